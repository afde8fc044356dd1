//! A data directory as Arrow, for a program in another language: a shared library of one function.
//!
//! ```text
//! cargo build --example arrow_export
//! ```
//!
//! `tests/arrow_reader.py` loads it by ctypes and has pyarrow take the stream.

#![allow(unsafe_code)]

use std::ffi::{CStr, OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::panic::catch_unwind;
use std::path::Path;

use tidegate::arrow::{self, ArrowArrayStream};
use tidegate::log::LogError;
use tidegate::reader::{Query, Reader};

/// Opens the rows of a data directory as a stream of record batches, and writes it to `out`; 0, or -1 with `out` as it
/// was.
///
/// # Safety
/// `directory` ends in NUL; `out` is a place for a `struct ArrowArrayStream`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_arrow_stream(
    directory: *const c_char,
    out: *mut ArrowArrayStream,
) -> c_int {
    // SAFETY: the caller's promise.
    let directory = unsafe { CStr::from_ptr(directory) };
    let directory = Path::new(OsStr::from_bytes(directory.to_bytes()));
    match catch_unwind(|| export(directory)) {
        Ok(Ok(stream)) => {
            // SAFETY: the caller's promise; what was there is not read.
            unsafe { out.write(stream) };
            0
        }
        Ok(Err(error)) => {
            eprintln!("{error}");
            -1
        }
        Err(_) => -1,
    }
}

fn export(directory: &Path) -> Result<ArrowArrayStream, LogError> {
    let reader = Reader::open(directory)?;
    Ok(arrow::stream(reader.blocks(Query::default())?, reader.log()))
}
