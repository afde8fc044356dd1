//! Panics on demand, for the test of what becomes of them. Not in the library that is shipped.

use super::engine::{on_engine, tdg_engine};
use super::error::tdg_error;
use super::reader::{on_reader, tdg_reader};
use super::status::tdg_status;
use super::writer::{tdg_writer, with_rows};

/// Panics within a call on a writer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_test_panic_writer(writer: *mut tdg_writer) -> tdg_status {
    // SAFETY: as of the caller.
    unsafe { with_rows(writer, |_| panic!("on purpose, on a writer")) }
}

/// Panics within a cold call on an engine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_test_panic_engine(
    engine: *mut tdg_engine,
    error: *mut *mut tdg_error,
) -> tdg_status {
    // SAFETY: as of the caller.
    unsafe { on_engine(engine, error, |_| panic!("on purpose, on an engine")) }
}

/// Panics within a call on a reader.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_test_panic_reader(
    reader: *mut tdg_reader,
    error: *mut *mut tdg_error,
) -> tdg_status {
    // SAFETY: as of the caller.
    unsafe { on_reader(reader, error, |_| panic!("on purpose, on a reader")) }
}
