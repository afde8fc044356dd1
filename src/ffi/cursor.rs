//! Cursors: how far a reader has come, by name, kept in the data directory.

use super::engine::{on_engine, tdg_engine};
use super::error::{Failure, tdg_error};
use super::status::{TDG_E_CLOSED, TDG_E_INPUT, TDG_E_LIMIT, TDG_E_LOCKED, tdg_status};
use super::text::tdg_str;
use crate::engine::Embedded;
use crate::log::disk::SystemFiles;
use crate::log::{CursorError, CursorStart, Cursors};

/// A new cursor begins before all that the log holds.
pub const TDG_CURSOR_OLDEST: i32 = 0;
/// A new cursor begins behind all that is durable when it is made.
pub const TDG_CURSOR_NOW: i32 = 1;

/// How a cursor stands. Later versions add fields at the end.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct tdg_cursor_stats {
    /// Blocks that are durable and not passed.
    pub blocks_behind: u64,
    /// Their rows.
    pub rows_behind: u64,
    /// Their bytes on disk.
    pub bytes_behind: u64,
    /// Blocks that retention took before they were passed, ever: see the options data.cursor_size_max and
    /// data.free_space_min.
    pub blocks_lost: u64,
    /// Their rows.
    pub rows_lost: u64,
    /// Their bytes on disk.
    pub bytes_lost: u64,
}

/// Makes a cursor, unless there is one of this name: that stays where it is. It is on disk when this returns, and from
/// then on retention keeps what it has not passed, within data.cursor_size_max. Its `name` has 1 to 64 of the letters
/// and digits of ASCII, `_`, `-` and `.`; `start` is `TDG_CURSOR_OLDEST` or `TDG_CURSOR_NOW`.
///
/// Errors: `TDG_E_INPUT` if the name or the start cannot be; `TDG_E_LIMIT` if there are 64 cursors; `TDG_E_CLOSED`,
/// `TDG_E_IO`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_cursor_create(
    engine: *const tdg_engine,
    name: tdg_str,
    start: i32,
    error: *mut *mut tdg_error,
) -> tdg_status {
    // SAFETY: the caller's pointers are NULL or valid.
    unsafe {
        on_engine(engine, error, |engine| {
            let name = name.text("name")?;
            let start = match start {
                TDG_CURSOR_OLDEST => CursorStart::Oldest,
                TDG_CURSOR_NOW => CursorStart::Now,
                _ => {
                    return Err(Failure::new(
                        TDG_E_INPUT,
                        format!("{start} is no place for a cursor to start"),
                    ));
                }
            };
            match cursors(&engine.embedded)?.create(name, start) {
                Ok(_) | Err(CursorError::Exists(_)) => Ok(()),
                Err(error) => Err(error.into()),
            }
        })
    }
}

/// Removes a cursor, which holds nothing any more when this returns.
///
/// Errors: `TDG_E_INPUT` if there is none of this name; `TDG_E_LOCKED` if a reader has it; `TDG_E_CLOSED`, `TDG_E_IO`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_cursor_delete(
    engine: *const tdg_engine,
    name: tdg_str,
    error: *mut *mut tdg_error,
) -> tdg_status {
    // SAFETY: the caller's pointers are NULL or valid.
    unsafe {
        on_engine(engine, error, |engine| {
            cursors(&engine.embedded)?.delete(name.text("name")?)?;
            Ok(())
        })
    }
}

/// Writes how a cursor stands to `stats`, of which the caller says the size: `sizeof(tdg_cursor_stats)`. A smaller
/// struct, of an older header, gets the fields that it has. Looks at the files of the log: some milliseconds, not a
/// counter.
///
/// Errors: `TDG_E_INPUT` if there is no cursor of this name, or the size is that of no `tdg_cursor_stats`; `TDG_E_IO`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_cursor_look(
    engine: *const tdg_engine,
    name: tdg_str,
    stats: *mut tdg_cursor_stats,
    stats_size: usize,
    error: *mut *mut tdg_error,
) -> tdg_status {
    // SAFETY: the caller's pointers are NULL or valid.
    unsafe {
        on_engine(engine, error, |engine| {
            if stats.is_null() {
                return Err(Failure::null("stats"));
            }
            if stats_size == 0 || stats_size > SIZE_MAX || !stats_size.is_multiple_of(size_of::<u64>()) {
                return Err(Failure::new(TDG_E_INPUT, "the size of the stats is none"));
            }
            let (cursors, name) = (cursors(&engine.embedded)?, name.text("name")?);
            let behind = cursors.behind(name)?;
            let lost = cursors.cursor(name).ok_or(CursorError::Missing(name.to_owned()))?.lost;
            let now = tdg_cursor_stats {
                blocks_behind: behind.blocks,
                rows_behind: behind.rows,
                bytes_behind: behind.bytes,
                blocks_lost: lost.blocks,
                rows_lost: lost.rows,
                bytes_lost: lost.bytes,
            };
            let known = stats_size.min(size_of::<tdg_cursor_stats>());
            stats.cast::<u8>().write_bytes(0, stats_size);
            std::ptr::copy_nonoverlapping((&raw const now).cast::<u8>(), stats.cast::<u8>(), known);
            Ok(())
        })
    }
}

/// The cursors of an engine, which was opened on a directory as all of the ABI's are.
pub(super) fn cursors(embedded: &Embedded) -> Result<&std::sync::Arc<Cursors<SystemFiles>>, Failure> {
    embedded.cursors().ok_or_else(|| Failure::plain(TDG_E_CLOSED))
}

impl From<CursorError> for Failure {
    fn from(error: CursorError) -> Failure {
        let status = match error {
            CursorError::Name(_)
            | CursorError::Exists(_)
            | CursorError::Missing(_)
            | CursorError::Ahead { .. } => TDG_E_INPUT,
            CursorError::InUse(_) => TDG_E_LOCKED,
            CursorError::TooMany => TDG_E_LIMIT,
            CursorError::Closed => TDG_E_CLOSED,
            CursorError::Log(error) => return error.into(),
        };
        Failure::new(status, error.to_string())
    }
}

/// No header ever has one as large.
const SIZE_MAX: usize = 4096;
