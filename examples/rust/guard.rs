// SPDX-License-Identifier: GPL-2.0-only
//! The little that makes the C interface bearable in Rust: owners that free, objects that are
//! slices. A crate would do more: see Documentation/rust.rst.

use crate::ffi;
use std::alloc::{GlobalAlloc, Layout};
use std::ffi::{CStr, CString};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::os::raw::{c_int, c_uint, c_void};

pub type Result<T> = std::result::Result<T, String>;

fn text(pointer: *const std::os::raw::c_char) -> String {
    // SAFETY: both functions of libffiguard that are asked return a string.
    unsafe { CStr::from_ptr(pointer) }
        .to_string_lossy()
        .into_owned()
}

fn last_error() -> String {
    // SAFETY: no precondition.
    text(unsafe { ffi::ffg_error_message() })
}

fn check(error: c_int) -> Result<()> {
    if error == 0 {
        Ok(())
    } else {
        Err(last_error())
    }
}

fn c_string(s: &str) -> CString {
    CString::new(s).expect("no NUL in names")
}

/// The allocator of the whole program: every Box, Vec and String is closed to foreign code.
pub struct TrustedHeap;

impl TrustedHeap {
    /// Is that the alignment that ffg_malloc() gives?
    fn is_plain(size: usize, align: usize) -> bool {
        align <= 8 || (align == 16 && size >= 16)
    }
}

// SAFETY: these are malloc() and its kin, before a context is open and after it, too.
unsafe impl GlobalAlloc for TrustedHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if Self::is_plain(layout.size(), layout.align()) {
            ffi::ffg_malloc(layout.size()).cast()
        } else {
            ffi::ffg_aligned_alloc(layout.align(), layout.size()).cast()
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if Self::is_plain(layout.size(), layout.align()) {
            return ffi::ffg_calloc(1, layout.size()).cast();
        }
        let block = self.alloc(layout);
        if !block.is_null() {
            block.write_bytes(0, layout.size());
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, _layout: Layout) {
        ffi::ffg_free(block.cast());
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if Self::is_plain(size, layout.align()) {
            return ffi::ffg_realloc(block.cast(), size).cast();
        }
        let larger = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
        if !larger.is_null() {
            larger.copy_from_nonoverlapping(block, layout.size().min(size));
            self.dealloc(block, layout);
        }
        larger
    }
}

/// The one context of the process. The functions of libffiguard may be called by any thread.
pub struct Context(*mut ffi::Context);
unsafe impl Send for Context {}
unsafe impl Sync for Context {}

impl Context {
    pub fn open() -> Result<Context> {
        // SAFETY: NULL means the defaults.
        let context = unsafe { ffi::ffg_context_open(std::ptr::null()) };
        if context.is_null() {
            return Err(last_error());
        }
        Ok(Context(context))
    }

    /// Guarded calls are for threads that are attached.
    pub fn attach(&self) -> Result<Attached<'_>> {
        // SAFETY: the context is open.
        check(unsafe { ffi::ffg_thread_attach(self.0) })?;
        Ok(Attached(self, PhantomData))
    }

    pub fn domain(&self, library: &str, policy: c_uint) -> Result<Domain<'_>> {
        // SAFETY: the context is open.
        let domain = unsafe { ffi::ffg_domain_open(self.0, c_string(library).as_ptr(), policy) };
        if domain.is_null() {
            return Err(last_error());
        }
        Ok(Domain(domain, PhantomData))
    }

    /// A zeroed object.
    pub fn object(&self, length: usize) -> Result<Object<'_>> {
        // SAFETY: the context is open.
        let address = unsafe { ffi::ffg_object_alloc(self.0, length, 0) };
        if address.is_null() {
            return Err(last_error());
        }
        Ok(Object {
            context: self,
            address: address.cast(),
            length,
        })
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: what belongs to it borrows it, and is gone.
        check(unsafe { ffi::ffg_context_close(self.0) }).expect("context");
    }
}

pub struct Attached<'c>(&'c Context, PhantomData<*mut ()>);

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        // SAFETY: this thread was attached; Attached is not Send.
        check(unsafe { ffi::ffg_thread_detach(self.0 .0) }).expect("detach");
    }
}

/// A foreign library.
pub struct Domain<'c>(*mut ffi::Domain, PhantomData<&'c Context>);
unsafe impl Sync for Domain<'_> {}
unsafe impl Send for Domain<'_> {}

impl Domain<'_> {
    /// The library's data as they were after its constructors.
    pub fn reset(&self) -> Result<()> {
        // SAFETY: the domain is open.
        check(unsafe { ffi::ffg_domain_reset(self.0) })
    }

    pub fn call(&self, symbol: &str, signature: &str) -> Result<Call<'_>> {
        // SAFETY: the domain is open.
        let call = unsafe {
            ffi::ffg_call_new(
                self.0,
                c_string(symbol).as_ptr(),
                c_string(signature).as_ptr(),
            )
        };
        if call.is_null() {
            return Err(last_error());
        }
        Ok(Call(call, PhantomData))
    }

    /// `function` gets `data` as its integer argument number `argument`.
    pub fn callback(
        &self,
        function: *mut c_void,
        signature: &str,
        argument: c_uint,
        data: *mut c_void,
    ) -> Result<Callback<'_>> {
        // SAFETY: the domain is open; that the function fits its signature is for the caller.
        unsafe {
            let callback = ffi::ffg_callback_new(self.0, function, c_string(signature).as_ptr());
            if callback.is_null() {
                return Err(last_error());
            }
            let callback = Callback(callback, PhantomData);
            check(ffi::ffg_callback_data(callback.0, argument, data))?;
            Ok(callback)
        }
    }
}

impl Drop for Domain<'_> {
    fn drop(&mut self) {
        // SAFETY: calls and callbacks borrow it, and are gone.
        check(unsafe { ffi::ffg_domain_close(self.0) }).expect("domain");
    }
}

pub struct Callback<'d>(*mut ffi::Callback, PhantomData<&'d ()>);

impl Callback<'_> {
    pub fn entry(&self) -> *mut c_void {
        // SAFETY: it was made.
        unsafe { ffi::ffg_callback_entry(self.0) }
    }
}

impl Drop for Callback<'_> {
    fn drop(&mut self) {
        // SAFETY: calls that it was passed to have returned.
        check(unsafe { ffi::ffg_callback_free(self.0) }).expect("callback");
    }
}

/// A prepared call. The borrow checker does not know what it was granted: see `grant`.
pub struct Call<'d>(*mut ffi::Call, PhantomData<&'d ()>);

impl Call<'_> {
    pub fn grant(&self, object: &Object, rights: c_uint) -> Result<()> {
        // SAFETY: an object that a call grants cannot be freed.
        check(unsafe { ffi::ffg_call_grant(self.0, object.address.cast(), object.length, rights) })
    }

    pub fn entry(&self) -> Result<*mut c_void> {
        // SAFETY: no thread is in the entry.
        let entry = unsafe { ffi::ffg_call_entry(self.0) };
        if entry.is_null() {
            return Err(last_error());
        }
        Ok(entry)
    }

    /// To be asked after each call: the entry returns zero if it could not be made.
    pub fn made(&self) -> Result<()> {
        // SAFETY: it was prepared.
        match unsafe { ffi::ffg_call_error(self.0) } {
            0 => Ok(()),
            // SAFETY: any number will do.
            error => Err(text(unsafe { ffi::ffg_strerror(error) })),
        }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        // SAFETY: no thread is in the entry.
        check(unsafe { ffi::ffg_call_free(self.0) }).expect("call");
    }
}

/// Memory that foreign code can be granted; a slice for us, while it is not.
pub struct Object<'c> {
    context: &'c Context,
    address: *mut u8,
    length: usize,
}
unsafe impl Send for Object<'_> {}

impl Object<'_> {
    pub fn pointer(&self) -> *mut c_void {
        self.address.cast()
    }
}

impl Deref for Object<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: initialized memory of its own.
        unsafe { std::slice::from_raw_parts(self.address, self.length) }
    }
}

impl DerefMut for Object<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.address, self.length) }
    }
}

impl Drop for Object<'_> {
    fn drop(&mut self) {
        // SAFETY: a call that still grants it makes this fail.
        check(unsafe { ffi::ffg_object_free(self.context.0, self.pointer()) }).expect("object");
    }
}
