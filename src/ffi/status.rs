//! Statuses: what every call gives back.

use std::ffi::{CStr, c_char};

/// What a call gives back: `TDG_OK`, or one of the `TDG_E_` numbers, which are never changed and never reused.
pub type tdg_status = i32;

/// It is done.
pub const TDG_OK: i32 = 0;
/// A pointer is NULL that may not be.
pub const TDG_E_NULL: i32 = 1;
/// The caller's to mend: text that is no UTF-8, two labels of one name, a length or number that cannot be, a series or
/// token that is none.
pub const TDG_E_INPUT: i32 = 2;
/// Of a body, some rows were rejected. The others are taken.
pub const TDG_E_REJECTED: i32 = 3;
/// A bound that was configured, or is the format's: too many series, too large a row. The row will not be taken later.
pub const TDG_E_LIMIT: i32 = 4;
/// The engine has no room, and the wait for some is over. Nothing of the row was taken: push it again later.
pub const TDG_E_FULL: i32 = 5;
/// The time is over. What was waited for may still come.
pub const TDG_E_TIMEOUT: i32 = 6;
/// A commit failed, or the engine ended without one: each of the rows will be found on disk, or not.
pub const TDG_E_IN_DOUBT: i32 = 7;
/// The engine is closed, or closing.
pub const TDG_E_CLOSED: i32 = 8;
/// An option is not known, or its value is not understood.
pub const TDG_E_CONFIG: i32 = 9;
/// Another process, or another engine of this one, has the data directory open.
pub const TDG_E_LOCKED: i32 = 10;
/// The operating system refused: the error's message says what.
pub const TDG_E_IO: i32 = 11;
/// What is on disk is not what was written there.
pub const TDG_E_CORRUPT: i32 = 12;
/// The directory was written by a newer version, or is no data directory.
pub const TDG_E_INCOMPATIBLE: i32 = 13;
/// This process was forked from the one that made the handle. Free it; everything else is the parent's.
pub const TDG_E_FORKED: i32 = 14;
/// A panic struck this handle before. Free it. What was durable stays so.
pub const TDG_E_POISONED: i32 = 15;
/// A panic struck during this call: a bug of tidegate's, whose message stands on stderr. The handle is poisoned.
pub const TDG_E_INTERNAL: i32 = 16;

/// A status in words, as a C string of static lifetime. Any number may be asked for.
#[unsafe(no_mangle)]
pub extern "C" fn tdg_status_text(status: tdg_status) -> *const c_char {
    text(status).as_ptr()
}

/// Whether rows may be on disk all the same after a call that gave this status: who sends them again may have them
/// twice, who does not may lack them. So it is of `TDG_E_IN_DOUBT`, `TDG_E_POISONED` and `TDG_E_INTERNAL`, whatever the
/// call. `TDG_E_TIMEOUT` is no answer yet: ask again; who does not is in doubt of what was asked about.
#[unsafe(no_mangle)]
pub extern "C" fn tdg_status_in_doubt(status: tdg_status) -> bool {
    matches!(status, TDG_E_IN_DOUBT | TDG_E_POISONED | TDG_E_INTERNAL)
}

fn text(status: tdg_status) -> &'static CStr {
    match status {
        TDG_OK => c"done",
        TDG_E_NULL => c"a pointer is NULL",
        TDG_E_INPUT => c"an argument cannot be used",
        TDG_E_REJECTED => c"some rows were rejected",
        TDG_E_LIMIT => c"a limit is reached",
        TDG_E_FULL => c"the engine has no room",
        TDG_E_TIMEOUT => c"the time is over",
        TDG_E_IN_DOUBT => c"rows were not committed: they are in doubt",
        TDG_E_CLOSED => c"the engine is closed",
        TDG_E_CONFIG => c"an option is not understood",
        TDG_E_LOCKED => c"the data directory is open elsewhere",
        TDG_E_IO => c"the operating system refused",
        TDG_E_CORRUPT => c"what is on disk is damaged",
        TDG_E_INCOMPATIBLE => c"the directory is not of a format that this version reads",
        TDG_E_FORKED => c"the handle is the parent process's",
        TDG_E_POISONED => c"a panic struck the handle before",
        TDG_E_INTERNAL => c"a panic struck during the call",
        _ => c"no status of tidegate's",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_words_of_its_own() {
        let unknown = text(-1);
        let words: std::collections::BTreeSet<_> = (TDG_OK..=TDG_E_INTERNAL).map(text).collect();
        assert_eq!(words.len(), TDG_E_INTERNAL as usize + 1);
        assert!(!words.contains(unknown) && text(TDG_E_INTERNAL + 1) == unknown);
    }
}
