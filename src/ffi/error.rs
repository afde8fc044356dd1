//! What went wrong with a cold call, in words.

use super::text::tdg_str;
use crate::engine::{CloseError, NotDurable, WriteError};
use crate::log::LogError;
use crate::model::Refusal;

use super::status::*;

/// What went wrong with a call, in words. Given to whoever passed a place for it, and freed by `tdg_error_free`.
///
/// Threads: any, one at a time.
#[derive(Debug)]
pub struct tdg_error(Failure);

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// Why a call did not do what it was called for.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: tdg_status,
    message: String,
}

impl Failure {
    pub(super) fn new(status: tdg_status, message: impl Into<String>) -> Failure {
        Failure { status, message: message.into() }
    }

    /// One of which nothing is to be said but its status.
    pub(super) fn plain(status: tdg_status) -> Failure {
        let text = tdg_status_text(status);
        // SAFETY: a C string of static lifetime.
        let text = unsafe { std::ffi::CStr::from_ptr(text) };
        Failure::new(status, text.to_string_lossy())
    }

    /// A pointer that may not be NULL.
    pub(super) fn null(what: &str) -> Failure {
        Failure::new(TDG_E_NULL, format!("{what} is NULL"))
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Failure {
        let status = match &error {
            LogError::Locked { .. } => TDG_E_LOCKED,
            LogError::Newer { .. } | LogError::Foreign { .. } => TDG_E_INCOMPATIBLE,
            _ => TDG_E_IO,
        };
        Failure::new(status, error.to_string())
    }
}

impl From<CloseError> for Failure {
    fn from(error: CloseError) -> Failure {
        let status = match error {
            CloseError::TimedOut => TDG_E_TIMEOUT,
            CloseError::Panicked => TDG_E_POISONED,
            CloseError::Closed => TDG_E_CLOSED,
            CloseError::InDoubt { .. } => TDG_E_IN_DOUBT,
            CloseError::Log(error) => return error.into(),
        };
        Failure::new(status, error.to_string())
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Failure {
        Failure::new(status_of(&error), error.to_string())
    }
}

/// The status of a row that was not taken.
pub(super) fn status_of(error: &WriteError) -> tdg_status {
    match error {
        WriteError::Full => TDG_E_FULL,
        WriteError::Refused(Refusal::Labels(_) | Refusal::Unfit(_))
        | WriteError::UnknownSeries
        | WriteError::Fields => TDG_E_INPUT,
        WriteError::Refused(Refusal::SeriesLimit { .. } | Refusal::TooLarge { .. }) => TDG_E_LIMIT,
        WriteError::Closed => TDG_E_CLOSED,
        WriteError::Poisoned => TDG_E_POISONED,
    }
}

/// The status of rows that are not known to be durable.
pub(super) fn status_of_wait(error: NotDurable) -> tdg_status {
    match error {
        NotDurable::TimedOut => TDG_E_TIMEOUT,
        NotDurable::InDoubt | NotDurable::Closed => TDG_E_IN_DOUBT,
    }
}

/// Gives a failure to the caller, if there is a place for it.
///
/// # Safety
/// `place` is NULL or may be written.
pub(super) unsafe fn hand_out(failure: Failure, place: *mut *mut tdg_error) {
    if !place.is_null() {
        // SAFETY: not NULL, and the caller's.
        unsafe { place.write(Box::into_raw(Box::new(tdg_error(failure)))) };
    }
}

/// The status that the failed call gave. `TDG_OK` for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_error_status(error: *const tdg_error) -> tdg_status {
    // SAFETY: NULL, or a live error.
    unsafe { error.as_ref() }.map_or(TDG_OK, |error| error.0.status)
}

/// The message, for a person, in one line or a few. Valid until the error is freed; empty for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_error_message(error: *const tdg_error) -> tdg_str {
    // SAFETY: NULL, or a live error.
    tdg_str::of(unsafe { error.as_ref() }.map_or("", |error| &error.0.message))
}

/// `tdg_status_in_doubt` of the error's status.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_error_in_doubt(error: *const tdg_error) -> bool {
    // SAFETY: NULL, or a live error.
    tdg_status_in_doubt(unsafe { tdg_error_status(error) })
}

/// Frees an error. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_error_free(error: *mut tdg_error) {
    if !error.is_null() {
        // SAFETY: it came from `hand_out`, and is freed once.
        drop(unsafe { Box::from_raw(error) });
    }
}
