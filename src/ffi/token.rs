//! Flushing, and waiting for what was flushed.

use std::os::fd::AsRawFd;

use super::engine::timeout;
use super::error::{status_of, status_of_wait};
use super::guard::guard;
use super::status::{TDG_E_INPUT, TDG_E_IO, TDG_E_NULL, TDG_OK, tdg_status};
use super::writer::{tdg_writer, with_rows};

/// Stands for the rows that one flush handed over. Later tokens of a writer are greater, or the same if no row came
/// between.
pub type tdg_token = u64;

/// Hands over what was pushed, to be committed at once; waits for nothing. `token`, which may be NULL, gets a token
/// that stands for all rows since the last flush that had any.
///
/// Errors: `TDG_E_CLOSED`: what was pushed before is committed by the closing; `TDG_E_POISONED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_writer_flush(writer: *mut tdg_writer, token: *mut tdg_token) -> tdg_status {
    // SAFETY: as of the caller.
    unsafe {
        with_rows(writer, |rows| match rows.flush() {
            Ok(flushed) => {
                if !token.is_null() {
                    token.write(flushed.number());
                }
                TDG_OK
            }
            Err(error) => status_of(&error),
        })
    }
}

/// Gives a descriptor for the host's own event loop: it becomes readable whenever rows of this writer have come to an
/// end, durable or not, and is readable at first. Read it empty (on Linux it is an eventfd: eight bytes), then ask
/// `tdg_writer_wait` with a timeout of 0 for each token that is still of interest, then poll. It is the writer's, and
/// closed by `tdg_writer_free`: take it out of the loop before that.
///
/// Errors: `TDG_E_IO` if the process has no descriptor left.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_writer_fd(writer: *mut tdg_writer, fd: *mut i32) -> tdg_status {
    // SAFETY: as of the caller.
    unsafe {
        with_rows(writer, |rows| match rows.signal() {
            _ if fd.is_null() => TDG_E_NULL,
            Ok(signal) => {
                fd.write(signal.as_raw_fd());
                TDG_OK
            }
            Err(_) => TDG_E_IO,
        })
    }
}

/// Waits until the rows of a token are on stable storage, at most `timeout_ns`: 0 asks and does not wait, -1 waits for
/// ever. Any thread may wait, while others do and while the writer's own pushes on.
///
/// Errors: `TDG_E_TIMEOUT` if they are not yet; `TDG_E_IN_DOUBT` if a commit failed, a row found no room in the series
/// table, or the engine ended first: each of the rows is on disk, or not; `TDG_E_INPUT` if the writer gave no such
/// token.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_writer_wait(
    writer: *const tdg_writer,
    token: tdg_token,
    timeout_ns: i64,
) -> tdg_status {
    // SAFETY: NULL, or live as of the caller; nothing of it is touched that belongs to the writer's thread.
    let Some(writer) = (unsafe { writer.as_ref() }) else { return TDG_E_NULL };
    guard(&writer.health, || match writer.tokens.token(token) {
        None => TDG_E_INPUT,
        Some(token) => token.wait(timeout(timeout_ns)).map_or_else(status_of_wait, |()| TDG_OK),
    })
}
