// SPDX-License-Identifier: GPL-2.0-only
//! What the program uses of libffiguard and libpng, declared by hand from their C headers.

use std::os::raw::{c_char, c_int, c_uint, c_void};

#[repr(C)]
pub struct Context {
    opaque: [u8; 0],
}
#[repr(C)]
pub struct Domain {
    opaque: [u8; 0],
}
#[repr(C)]
pub struct Call {
    opaque: [u8; 0],
}
#[repr(C)]
pub struct Callback {
    opaque: [u8; 0],
}

pub const FFG_IN: c_uint = 1;
pub const FFG_OUT: c_uint = 3;
pub const FFG_INOUT: c_uint = 3;
pub const FFG_POLICY_DIE: c_uint = 0;
pub const FFG_POLICY_RECOVER: c_uint = 1;

#[link(name = "ffiguard")]
extern "C" {
    pub fn ffg_error_message() -> *const c_char;
    pub fn ffg_strerror(error: c_int) -> *const c_char;
    pub fn ffg_context_open(options: *const c_void) -> *mut Context;
    pub fn ffg_context_close(context: *mut Context) -> c_int;
    pub fn ffg_thread_attach(context: *mut Context) -> c_int;
    pub fn ffg_thread_detach(context: *mut Context) -> c_int;
    pub fn ffg_malloc(size: usize) -> *mut c_void;
    pub fn ffg_calloc(count: usize, size: usize) -> *mut c_void;
    pub fn ffg_realloc(address: *mut c_void, size: usize) -> *mut c_void;
    pub fn ffg_aligned_alloc(align: usize, size: usize) -> *mut c_void;
    pub fn ffg_free(address: *mut c_void);
    pub fn ffg_object_alloc(context: *mut Context, length: usize, flags: c_uint) -> *mut c_void;
    pub fn ffg_object_free(context: *mut Context, object: *mut c_void) -> c_int;
    pub fn ffg_domain_open(
        context: *mut Context,
        library: *const c_char,
        flags: c_uint,
    ) -> *mut Domain;
    pub fn ffg_domain_reset(domain: *mut Domain) -> c_int;
    pub fn ffg_domain_close(domain: *mut Domain) -> c_int;
    pub fn ffg_call_new(
        domain: *mut Domain,
        symbol: *const c_char,
        signature: *const c_char,
    ) -> *mut Call;
    pub fn ffg_call_grant(
        call: *mut Call,
        address: *const c_void,
        length: usize,
        rights: c_uint,
    ) -> c_int;
    pub fn ffg_call_entry(call: *mut Call) -> *mut c_void;
    pub fn ffg_call_error(call: *mut Call) -> c_int;
    pub fn ffg_call_free(call: *mut Call) -> c_int;
    pub fn ffg_callback_new(
        domain: *mut Domain,
        function: *mut c_void,
        signature: *const c_char,
    ) -> *mut Callback;
    pub fn ffg_callback_data(callback: *mut Callback, argument: c_uint, data: *mut c_void)
        -> c_int;
    pub fn ffg_callback_entry(callback: *mut Callback) -> *mut c_void;
    pub fn ffg_callback_free(callback: *mut Callback) -> c_int;
}

/// png_image of png.h. What libpng writes there is numbers and text, never a Rust type that
/// has invalid values.
#[repr(C)]
pub struct PngImage {
    pub opaque: *mut c_void,
    pub version: u32,
    pub width: u32,
    pub height: u32,
    pub format: u32,
    pub flags: u32,
    pub colormap_entries: u32,
    pub warning_or_error: u32,
    pub message: [u8; 64],
}

pub const PNG_IMAGE_VERSION: u32 = 1;
pub const PNG_FORMAT_RGBA: u32 = 3;

pub type Begin = extern "C" fn(*mut PngImage, *const c_void, usize) -> c_int;
pub type Finish =
    extern "C" fn(*mut PngImage, *const c_void, *mut c_void, i32, *mut c_void) -> c_int;
pub type Free = extern "C" fn(*mut PngImage);
pub type Sort = extern "C" fn(*mut c_void, usize, usize, *mut c_void, *mut c_void);

/// libc's own, for the process without guards.
pub const RTLD_NOW: c_int = 2;
extern "C" {
    pub fn dlopen(library: *const c_char, flags: c_int) -> *mut c_void;
    pub fn dlsym(handle: *mut c_void, symbol: *const c_char) -> *mut c_void;
}
