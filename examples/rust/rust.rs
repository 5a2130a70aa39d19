// SPDX-License-Identifier: GPL-2.0-only
//! A Rust program that calls the unmodified libpng behind per-object grants, through the C
//! interface of libffiguard: no crate, no bindgen.
//!
//!     rust [FILE]
//!
//! Its global allocator is the trusted heap. The pixels must be those of a process without guards;
//! four threads decode at the same time; panics are caught, one of them on its way through a
//! foreign function; Rust's own handler still reports a stack overflow; a violation ends the process
//! with a report, or is survived where the domain says so. Exit status 0: all of that was so.

mod ffi;
mod guard;

use ffi::{Begin, Finish, Free, PngImage};
use guard::{Context, Domain, Object, Result, TrustedHeap};
use std::any::Any;
use std::ffi::CString;
use std::io::Write;
use std::mem::{size_of, transmute};
use std::os::raw::{c_int, c_void};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::process::{exit, Command, Output};
use std::thread;

#[global_allocator]
static HEAP: TrustedHeap = TrustedHeap;

const LIBPNG: &str = "libpng16.so.16";
const PICTURE: &str = "/usr/share/backgrounds/xfce/xfce-stripes.png";
const ICON: &str = "/usr/share/icons/hicolor/128x128/apps/org.xfce.xfdesktop.png";
const NO_PNG: &str = "/etc/passwd";

const OVERFLOW: &str = "--overflow";
const THREADS: usize = 4;
const ROUNDS: usize = 10;
const RECOVERIES: usize = 20;
const SIGABRT: i32 = 6;
const SIGSEGV: i32 = 11;

/// What is held against the other process' pixels.
struct Picture {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

fn read(path: &str) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| format!("{path}: {error}"))
}

/// Libpng's words; it wrote them, so that nothing is believed of them, not even the end.
fn message(image: &PngImage) -> String {
    let end = image.message.iter().position(|&byte| byte == 0);
    let bytes = &image.message[..end.unwrap_or(image.message.len())];
    String::from_utf8_lossy(bytes).into_owned()
}

fn pixels_length(image: &PngImage) -> Result<usize> {
    if image.width == 0 || image.height == 0 || image.width > 16384 || image.height > 16384 {
        return Err(format!("{} x {} pixels", image.width, image.height));
    }
    Ok(image.width as usize * image.height as usize * 4)
}

// ---- behind the gate ----

/// The object seen as the structure.
fn image_of<'o>(object: &'o mut Object) -> &'o mut PngImage {
    assert!(object.len() >= size_of::<PngImage>());
    // SAFETY: large enough, aligned to 16, and any bytes are a PngImage.
    unsafe { &mut *object.pointer().cast() }
}

/// What `png_image_finish_read` is not granted although it needs it.
#[derive(Clone, Copy, PartialEq)]
enum Withheld {
    Nothing,
    Image,
    Pixels,
}

fn decode(context: &Context, png: &Domain, path: &str, withheld: Withheld) -> Result<Picture> {
    let bytes = read(path)?;
    let mut file = context.object(bytes.len())?;
    file.copy_from_slice(&bytes);
    let mut image = context.object(size_of::<PngImage>())?;
    image_of(&mut image).version = ffi::PNG_IMAGE_VERSION;

    let begin = png.call("png_image_begin_read_from_memory", "i(ppi)")?;
    begin.grant(&image, ffi::FFG_INOUT)?;
    begin.grant(&file, ffi::FFG_IN)?;
    // SAFETY: the type of the foreign function, with the gate's entry in its place.
    let function: Begin = unsafe { transmute(begin.entry()?) };
    let ok = function(image.pointer().cast(), file.pointer(), file.len());
    begin.made()?;
    if ok == 0 {
        return Err(message(image_of(&mut image)));
    }

    image_of(&mut image).format = ffi::PNG_FORMAT_RGBA;
    let length = pixels_length(image_of(&mut image))?;
    let pixels = context.object(length)?;
    let finish = png.call("png_image_finish_read", "i(pppip)")?;
    if withheld != Withheld::Image {
        finish.grant(&image, ffi::FFG_INOUT)?;
    }
    finish.grant(&file, ffi::FFG_IN)?;
    if withheld != Withheld::Pixels {
        finish.grant(&pixels, ffi::FFG_OUT)?;
    }
    // SAFETY: as above.
    let function: Finish = unsafe { transmute(finish.entry()?) };
    let null = std::ptr::null_mut();
    let ok = function(image.pointer().cast(), null, pixels.pointer(), 0, null);
    finish.made()?;
    if ok == 0 {
        return Err(message(image_of(&mut image)));
    }

    let free = png.call("png_image_free", "v(p)")?;
    free.grant(&image, ffi::FFG_INOUT)?;
    // SAFETY: as above.
    let function: Free = unsafe { transmute(free.entry()?) };
    function(image.pointer().cast());
    free.made()?;

    // An object cannot be freed while a call grants it, and what is declared last is dropped
    // first: so the calls go before the objects only because they come after them.
    Ok(Picture {
        width: image_of(&mut image).width,
        height: image_of(&mut image).height,
        pixels: pixels.to_vec(),
    })
}

// ---- the process without guards ----

fn symbol(library: &str, name: &str) -> *mut c_void {
    let (library, name) = (CString::new(library).unwrap(), CString::new(name).unwrap());
    // SAFETY: both are strings.
    let address =
        unsafe { ffi::dlsym(ffi::dlopen(library.as_ptr(), ffi::RTLD_NOW), name.as_ptr()) };
    assert!(!address.is_null());
    address
}

/// Width, height and pixels on the standard output.
fn plain(path: &str) -> Result<()> {
    let file = read(path)?;
    // SAFETY: zeros are a PngImage; the functions are libpng's.
    unsafe {
        let mut image: PngImage = std::mem::zeroed();
        let begin: Begin = transmute(symbol(LIBPNG, "png_image_begin_read_from_memory"));
        let finish: Finish = transmute(symbol(LIBPNG, "png_image_finish_read"));
        image.version = ffi::PNG_IMAGE_VERSION;
        if begin(&mut image, file.as_ptr().cast(), file.len()) == 0 {
            return Err(message(&image));
        }
        image.format = ffi::PNG_FORMAT_RGBA;
        let mut pixels = vec![0u8; pixels_length(&image)?];
        let null = std::ptr::null_mut();
        if finish(&mut image, null, pixels.as_mut_ptr().cast(), 0, null) == 0 {
            return Err(message(&image));
        }
        let mut output = std::io::stdout().lock();
        output
            .write_all(&image.width.to_le_bytes())
            .and_then(|()| output.write_all(&image.height.to_le_bytes()))
            .and_then(|()| output.write_all(&pixels))
            .and_then(|()| output.flush())
            .map_err(|error| error.to_string())
    }
}

/// This program again, with one of the words that only it uses.
fn again(word: &str, path: &str) -> Result<Output> {
    let myself = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(myself);
    command.args([word, path]);
    if word == OVERFLOW {
        // By fork() and exec(), once; the others go by posix_spawn().
        // SAFETY: nothing is done there.
        unsafe { command.pre_exec(|| Ok(())) };
    }
    command.output().map_err(|error| error.to_string())
}

fn decode_plain(path: &str) -> Result<Picture> {
    let output = again("--plain", path)?;
    if !output.status.success() || output.stdout.len() < 8 {
        return Err(format!(
            "without guards: {}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let number = |at: usize| u32::from_le_bytes(output.stdout[at..at + 4].try_into().unwrap());
    Ok(Picture {
        width: number(0),
        height: number(4),
        pixels: output.stdout[8..].to_vec(),
    })
}

fn same(one: &Picture, other: &Picture) -> bool {
    (one.width, one.height) == (other.width, other.height) && one.pixels == other.pixels
}

// ---- panics ----

/// The comparison runs inside libc's qsort_r(), behind the gate. A panic must not unwind through
/// foreign frames: it is caught here and goes on when the guarded call has returned.
struct Sorting {
    compared: u32,
    panic_at: u32,
    payload: Option<Box<dyn Any + Send>>,
}

extern "C" fn compare(a: *const c_void, b: *const c_void, data: *mut c_void) -> c_int {
    // SAFETY: the gate gives the pointer that we gave it.
    let sorting = unsafe { &mut *data.cast::<Sorting>() };
    if sorting.payload.is_some() {
        return 0;
    }
    let result = catch_unwind(AssertUnwindSafe(|| {
        sorting.compared += 1;
        if sorting.compared == sorting.panic_at {
            panic!("in the middle of a foreign function");
        }
        // SAFETY: qsort_r() is not hostile, and passes pointers into the array.
        unsafe { (*a.cast::<u8>()).cmp(&*b.cast::<u8>()) as c_int }
    }));
    result.unwrap_or_else(|payload| {
        sorting.payload = Some(payload);
        0
    })
}

fn sort(context: &Context, libc: &Domain, bytes: &[u8], panic_at: u32) -> Result<Vec<u8>> {
    let mut object = context.object(bytes.len())?;
    object.copy_from_slice(bytes);
    let mut sorting = Sorting {
        compared: 0,
        panic_at,
        payload: None,
    };
    let data: *mut Sorting = &mut sorting;
    let compares = libc.callback(compare as *mut c_void, "i(ppp)", 3, data.cast())?;
    let call = libc.call("qsort_r", "v(piipp)")?;
    call.grant(&object, ffi::FFG_INOUT)?;
    // SAFETY: the type of qsort_r().
    let function: ffi::Sort = unsafe { transmute(call.entry()?) };
    function(
        object.pointer(),
        object.len(),
        1,
        compares.entry(),
        std::ptr::null_mut(),
    );
    call.made()?;
    if let Some(payload) = sorting.payload.take() {
        resume_unwind(payload);
    }
    Ok(object.to_vec())
}

fn words(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("?")
}

/// Silent: these panics are meant.
fn quietly<T>(body: impl FnOnce() -> T) -> std::result::Result<T, String> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let result = catch_unwind(AssertUnwindSafe(body));
    std::panic::set_hook(hook);
    result.map_err(|payload| words(&*payload).to_string())
}

fn panics(context: &Context, png: &Domain) -> Result<bool> {
    // Objects and calls are alive when it begins to unwind, and are dropped on the way.
    let caught = quietly(|| {
        let object = context.object(100).unwrap();
        let call = png.call("png_image_free", "v(p)").unwrap();
        call.grant(&object, ffi::FFG_INOUT).unwrap();
        call.entry().unwrap();
        decode(context, png, NO_PNG, Withheld::Nothing)
            .map(|_| ())
            .unwrap()
    });
    let trusted = matches!(&caught, Err(words) if words.contains("PNG"));

    let libc = context.domain("libc.so.6", ffi::FFG_POLICY_DIE)?;
    let bytes: Vec<u8> = (0..200u32).map(|n| (n * 77 % 251) as u8).collect();
    let mut expected = bytes.clone();
    expected.sort_unstable();
    let within = quietly(|| sort(context, &libc, &bytes, 50).map(|_| ()));
    let within = matches!(&within, Err(words) if words.contains("middle of a foreign"));
    let after = sort(context, &libc, &bytes, 0)? == expected;

    println!(
        "panic    in trusted code {}; in a callback {}; calls afterwards {}",
        if trusted { "caught" } else { "NOT AS EXPECTED" },
        if within { "caught" } else { "NOT AS EXPECTED" },
        if after { "work" } else { "DO NOT WORK" }
    );
    Ok(trusted && within && after)
}

// ---- threads ----

fn threads(context: &Context, png: &Domain, expected: &Picture) -> bool {
    let right: usize = thread::scope(|scope| {
        let handles: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let _attached = context.attach().unwrap();
                    (0..ROUNDS)
                        .filter(|_| {
                            same(
                                &decode(context, png, ICON, Withheld::Nothing).unwrap(),
                                expected,
                            )
                        })
                        .count()
                })
            })
            .collect();
        handles
            .into_iter()
            .map(|handle| handle.join().unwrap())
            .sum()
    });
    println!(
        "threads  {THREADS} threads, {right} of {} pictures identical",
        THREADS * ROUNDS
    );
    right == THREADS * ROUNDS
}

/// A thread that panics takes its attachment with it.
fn thread_panics(context: &Context, png: &Domain) -> bool {
    quietly(|| {
        thread::scope(|scope| {
            scope
                .spawn(|| {
                    let _attached = context.attach().unwrap();
                    decode(context, png, NO_PNG, Withheld::Nothing)
                        .map(|_| ())
                        .unwrap()
                })
                .join()
                .is_err()
        })
    })
    .unwrap_or(false)
}

// ---- recovery ----

/// The call that violates returns an error, the library begins anew, and the next call succeeds.
/// The violation is libpng's own: that of a memcpy() in libc could not be recovered from.
fn recovery(path: &str) -> Result<()> {
    let expected = decode_plain(path)?;
    let context = Context::open()?;
    let png = context.domain(LIBPNG, ffi::FFG_POLICY_RECOVER)?;
    for round in 0..RECOVERIES {
        match decode(&context, &png, path, Withheld::Image) {
            Err(error) if error.contains("violation") => {}
            Err(error) => return Err(format!("round {round}: {error}")),
            Ok(_) => return Err("nothing to recover from".to_string()),
        }
        png.reset()?;
        if !same(&decode(&context, &png, path, Withheld::Nothing)?, &expected) {
            return Err(format!("round {round}: another picture"));
        }
    }
    println!("recovery {RECOVERIES} violations survived, each time the next picture is identical");
    Ok(())
}

// ---- what ends a process ----

fn violation(path: &str, in_thread: bool) -> Result<()> {
    let context = Context::open()?;
    let png = context.domain(LIBPNG, ffi::FFG_POLICY_DIE)?;
    if in_thread {
        thread::scope(|scope| {
            scope
                .spawn(|| {
                    let _attached = context.attach().unwrap();
                    decode(&context, &png, path, Withheld::Pixels).map(|_| ())
                })
                .join()
                .unwrap()
        })
    } else {
        decode(&context, &png, path, Withheld::Pixels).map(|_| ())
    }
}

/// The file in a Vec instead of an object: closed, although it is no object.
fn violation_in_heap(path: &str) -> Result<()> {
    let context = Context::open()?;
    let png = context.domain(LIBPNG, ffi::FFG_POLICY_DIE)?;
    let file = read(path)?;
    let mut image = context.object(size_of::<PngImage>())?;
    image_of(&mut image).version = ffi::PNG_IMAGE_VERSION;
    let begin = png.call("png_image_begin_read_from_memory", "i(ppi)")?;
    begin.grant(&image, ffi::FFG_INOUT)?;
    // SAFETY: the type of the foreign function.
    let function: Begin = unsafe { transmute(begin.entry()?) };
    function(image.pointer().cast(), file.as_ptr().cast(), file.len());
    begin.made()
}

fn overflow(path: &str) -> Result<()> {
    #[inline(never)]
    fn recurse(depth: u64) -> u64 {
        let room = [depth; 64];
        // SAFETY: a read that the compiler must not leave out.
        let depth = unsafe { std::ptr::read_volatile(&room[(depth % 64) as usize]) };
        if depth == u64::MAX {
            0
        } else {
            recurse(depth + 1) + room[(depth % 63) as usize]
        }
    }
    let context = Context::open()?;
    let png = context.domain(LIBPNG, ffi::FFG_POLICY_DIE)?;
    decode(&context, &png, path, Withheld::Nothing)?;
    let depth = thread::scope(|scope| {
        scope
            .spawn(|| {
                let _attached = context.attach().unwrap();
                recurse(0)
            })
            .join()
            .unwrap()
    });
    Err(format!("no overflow: {depth}"))
}

fn survives() -> Result<bool> {
    let output = again("--recovery", ICON)?;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    if !output.status.success() {
        println!("recovery NOT AS EXPECTED: {}", output.status);
        println!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.status.success())
}

/// Does it die of `signal`, and say `expected`?
fn dies(what: &str, word: &str, signal: i32, expected: &[&str]) -> Result<bool> {
    let output = again(word, ICON)?;
    let said = String::from_utf8_lossy(&output.stderr);
    let right =
        output.status.signal() == Some(signal) && expected.iter().all(|words| said.contains(words));
    println!(
        "{what:8} {}",
        if right {
            "stopped, with its report"
        } else {
            "NOT AS EXPECTED"
        }
    );
    if !right {
        println!(
            "    {}\n    | {}",
            output.status,
            said.replace('\n', "\n    | ")
        );
    }
    Ok(right)
}

fn program(path: &str) -> Result<bool> {
    let expected = decode_plain(path)?;
    let icon = decode_plain(ICON)?;
    let context = Context::open()?;
    let png = context.domain(LIBPNG, ffi::FFG_POLICY_DIE)?;
    let picture = decode(&context, &png, path, Withheld::Nothing)?;
    let identical = same(&picture, &expected);
    println!(
        "pixels   {} x {}, {}",
        picture.width,
        picture.height,
        if identical {
            "identical with those of the unguarded process"
        } else {
            "DIFFERENT from those of the unguarded process"
        }
    );
    let mut good = identical && threads(&context, &png, &icon);
    good &= panics(&context, &png)?;
    good &= thread_panics(&context, &png);
    good &= same(&decode(&context, &png, ICON, Withheld::Nothing)?, &icon);

    good &= survives()?;

    let report = [
        "ffiguard: violation: write of an object that the call was not granted\n",
        "  call:    png_image_finish_read,",
    ];
    good &= dies("main", "--violation", SIGSEGV, &report)?;
    good &= dies("thread", "--violation-in-thread", SIGSEGV, &report)?;
    let report = ["ffiguard: violation: read of closed memory: trusted heap\n"];
    good &= dies("heap", "--violation-in-heap", SIGSEGV, &report)?;
    good &= dies("overflow", OVERFLOW, SIGABRT, &["has overflowed its stack"])?;
    Ok(good)
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["--plain", path] => plain(path).map(|()| true),
        ["--recovery", path] => recovery(path).map(|()| true),
        ["--violation", path] => violation(path, false).map(|()| true),
        ["--violation-in-thread", path] => violation(path, true).map(|()| true),
        ["--violation-in-heap", path] => violation_in_heap(path).map(|()| true),
        [OVERFLOW, path] => overflow(path).map(|()| true),
        [] => program(PICTURE),
        [path] => program(path),
        _ => Err("which file?".to_string()),
    };
    exit(match result {
        Ok(good) => !good as i32,
        Err(error) => {
            eprintln!("{error}");
            1
        }
    });
}
