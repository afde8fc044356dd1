//! Writers: a thread's way in, and the rows it is for.

use std::borrow::Cow;
use std::cell::UnsafeCell;

use super::engine::{on_engine, tdg_engine, timeout};
use super::error::{Failure, status_of, tdg_error};
use super::guard::{Health, catch, guard, guard_telling};
use super::series::{handles, tdg_series};
use super::status::{TDG_E_NULL, TDG_OK, tdg_status};
use super::text::slice;
use crate::clock::{Clock, SystemClock};
use crate::engine::{RowWriter, SeriesHandle, Tokens, WriteError};

/// A thread's way into an engine: as many as there are threads. Cheap, also while it is idle.
///
/// Rows lie in the writer until it is flushed, its batch is full, or the commit interval is over, whichever comes
/// first; for the last of these it needs no call.
///
/// Threads: one at a time. `tdg_writer_wait` alone may be called by any thread at any time before the writer is freed.
#[derive(Debug)]
pub struct tdg_writer {
    pub(super) health: Health,
    /// Invariant: (1) only calls of the writer's one thread get to it.
    rows: UnsafeCell<RowWriter>,
    pub(super) tokens: Tokens,
}

/// As a time: the system's clock at the call.
pub const TDG_TIME_NOW: i64 = -0x7fff_ffff_ffff_ffff - 1;

/// Makes a writer of an engine. `writer` gets a handle that the caller owns, for `tdg_writer_free`.
///
/// Errors: `TDG_E_CLOSED`, `TDG_E_POISONED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_writer_new(
    engine: *mut tdg_engine,
    writer: *mut *mut tdg_writer,
    error: *mut *mut tdg_error,
) -> tdg_status {
    // SAFETY: the caller's pointers are NULL or valid.
    unsafe {
        on_engine(engine, error, |engine| {
            if writer.is_null() {
                return Err(Failure::null("writer"));
            }
            let mut rows = engine.embedded.writer()?;
            rows.set_patience(engine.patience);
            let tokens = rows.tokens();
            let made = tdg_writer { health: Health::sound(), rows: UnsafeCell::new(rows), tokens };
            writer.write(Box::into_raw(Box::new(made)));
            Ok(())
        })
    }
}

/// Frees a writer. Rows that it was given and that were not flushed, nor taken by the engine for their age, are
/// discarded, and counted in `rows_discarded`; while the engine closes they are committed. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_writer_free(writer: *mut tdg_writer) {
    if writer.is_null() {
        return;
    }
    // SAFETY: it came from `tdg_writer_new`, is freed once, and no call on it is under way.
    let writer = unsafe { Box::from_raw(writer) };
    if writer.health.is_forked() {
        std::mem::forget(writer);
    } else {
        catch(|| drop(writer));
    }
}

/// How long this writer's calls may wait for room, in nanoseconds (-1: for ever), in the place of the engine's
/// `writer.full_wait`. With 0 none waits, and a call that finds no room gives `TDG_E_FULL` at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_writer_set_full_wait(writer: *mut tdg_writer, full_wait_ns: i64) -> tdg_status {
    // SAFETY: as of the caller.
    unsafe {
        with_rows(writer, |rows| {
            rows.set_patience(timeout(full_wait_ns));
            TDG_OK
        })
    }
}

/// Pushes a sample: a row whose only field is the float `value`. `time_ns` is nanoseconds since the Unix epoch, or
/// `TDG_TIME_NOW`. Every bit of `value` is kept, a NaN's too.
///
/// Errors: `TDG_E_FULL` after at most the writer's wait for room; `TDG_E_INPUT` if the series is none; `TDG_E_LIMIT` if
/// the row is too large; `TDG_E_CLOSED`, `TDG_E_POISONED`. The row was not taken then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_writer_push(
    writer: *mut tdg_writer,
    series: tdg_series,
    time_ns: i64,
    value: f64,
) -> tdg_status {
    // SAFETY: as of the caller.
    unsafe {
        with_rows(writer, |rows| done(rows.push(SeriesHandle::from_bits(series), moment(time_ns), value)))
    }
}

/// Pushes samples of one series: `len` times and as many values. `taken`, which may be NULL, is written in any case:
/// how many were taken, from the first on. All of them with `TDG_OK`, and a part of them or none otherwise.
///
/// Errors: as of `tdg_writer_push`, for the first sample that was not taken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_writer_push_times(
    writer: *mut tdg_writer,
    series: tdg_series,
    times_ns: *const i64,
    values: *const f64,
    len: usize,
    taken: *mut usize,
) -> tdg_status {
    // SAFETY: as of the caller.
    unsafe {
        with_rows_counted(writer, taken, |rows| {
            let (times, values) = match (slice(times_ns, len, "times"), slice(values, len, "values")) {
                (Ok(times), Ok(values)) => (times, values),
                (Err(failure), _) | (_, Err(failure)) => return (0, failure.status),
            };
            let series = SeriesHandle::from_bits(series);
            if !times.contains(&TDG_TIME_NOW) {
                let (count, pushed) = rows.push_times(series, times, values);
                return (count, done(pushed));
            }
            let mut count = 0;
            for (times, values) in times.chunks(MOMENTS_AT_ONCE).zip(values.chunks(MOMENTS_AT_ONCE)) {
                let mut read = [0; MOMENTS_AT_ONCE];
                times.iter().zip(&mut read).for_each(|(&time_ns, place)| *place = moment(time_ns));
                let (more, pushed) = rows.push_times(series, &read[..times.len()], values);
                count += more;
                if pushed.is_err() {
                    return (count, done(pushed));
                }
            }
            (count, TDG_OK)
        })
    }
}

/// Pushes samples of one time: one for each of `len` series and values. `taken` as of `tdg_writer_push_times`.
///
/// Errors: as of `tdg_writer_push`, for the first sample that was not taken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_writer_push_series(
    writer: *mut tdg_writer,
    series: *const tdg_series,
    time_ns: i64,
    values: *const f64,
    len: usize,
    taken: *mut usize,
) -> tdg_status {
    // SAFETY: as of the caller.
    unsafe {
        with_rows_counted(writer, taken, |rows| {
            let (series, values) = match (slice(series, len, "series"), slice(values, len, "values")) {
                (Ok(series), Ok(values)) => (series, values),
                (Err(failure), _) | (_, Err(failure)) => return (0, failure.status),
            };
            let (count, pushed) = rows.push_series(handles(series), moment(time_ns), values);
            (count, done(pushed))
        })
    }
}

/// Pushes samples of any series and times: `len` of each. For a caller that pays for each call, and collects first.
/// `taken` as of `tdg_writer_push_times`.
///
/// Errors: as of `tdg_writer_push`, for the first sample that was not taken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_writer_push_samples(
    writer: *mut tdg_writer,
    series: *const tdg_series,
    times_ns: *const i64,
    values: *const f64,
    len: usize,
    taken: *mut usize,
) -> tdg_status {
    // SAFETY: as of the caller.
    unsafe {
        with_rows_counted(writer, taken, |rows| {
            let columns =
                (slice(series, len, "series"), slice(times_ns, len, "times"), slice(values, len, "values"));
            let (series, times, values) = match columns {
                (Ok(series), Ok(times), Ok(values)) => (handles(series), times, values),
                (Err(failure), ..) | (_, Err(failure), _) | (.., Err(failure)) => {
                    return (0, failure.status);
                }
            };
            for (count, ((&series, &time), &value)) in series.iter().zip(times).zip(values).enumerate() {
                if let Err(error) = rows.push(series, moment(time), value) {
                    return (count, status_of(&error));
                }
            }
            (len, TDG_OK)
        })
    }
}

/// Runs a call of the writer's thread.
///
/// # Safety
/// The writer is NULL or live, and no other thread calls on it but to wait.
#[inline]
pub(super) unsafe fn with_rows(
    writer: *const tdg_writer,
    call: impl FnOnce(&mut RowWriter) -> tdg_status,
) -> tdg_status {
    // SAFETY: NULL or live, as of the caller.
    let Some(writer) = (unsafe { writer.as_ref() }) else { return TDG_E_NULL };
    guard(&writer.health, || {
        // SAFETY: invariant 1, as of the caller.
        call(unsafe { &mut *writer.rows.get() })
    })
}

/// The same for a call of many rows, of which `taken` gets how many were taken: also 0 where none is looked at.
///
/// # Safety
/// As of [`with_rows`], and `taken` is NULL or may be written.
pub(super) unsafe fn with_rows_counted(
    writer: *const tdg_writer,
    taken: *mut usize,
    call: impl FnOnce(&mut RowWriter) -> (usize, tdg_status),
) -> tdg_status {
    let mut count = 0;
    // SAFETY: as of the caller.
    unsafe {
        let status = with_rows(writer, |rows| {
            let (taken, status) = call(rows);
            count = taken;
            status
        });
        if let Some(taken) = taken.as_mut() {
            *taken = count;
        }
        status
    }
}

/// The same for a cold one, which tells what went wrong.
///
/// # Safety
/// As of [`with_rows`], and `error` is NULL or may be written.
pub(super) unsafe fn on_writer(
    writer: *const tdg_writer,
    error: *mut *mut tdg_error,
    call: impl FnOnce(&mut RowWriter) -> Result<(), Failure>,
) -> tdg_status {
    // SAFETY: as of the caller.
    unsafe {
        match writer.as_ref() {
            None => guard_telling(None, error, || Err(Failure::null("writer"))),
            // Invariant 1, as of the caller.
            Some(writer) => guard_telling(Some(&writer.health), error, || call(&mut *writer.rows.get())),
        }
    }
}

#[inline]
pub(super) fn done(pushed: Result<(), WriteError>) -> tdg_status {
    match pushed {
        Ok(()) => TDG_OK,
        Err(error) => status_of(&error),
    }
}

/// A time as the header has it.
#[inline]
pub(super) fn moment(time_ns: i64) -> i64 {
    if time_ns == TDG_TIME_NOW { now_ns() } else { time_ns }
}

/// Times with [`TDG_TIME_NOW`] among them are read so many at once.
const MOMENTS_AT_ONCE: usize = 256;

/// Times as the header has them; of some that are to be read from the clock a copy.
pub(super) fn moments(times_ns: &[i64]) -> Cow<'_, [i64]> {
    match times_ns.contains(&TDG_TIME_NOW) {
        false => times_ns.into(),
        true => times_ns.iter().map(|&time| moment(time)).collect(),
    }
}

#[cold]
fn now_ns() -> i64 {
    SystemClock::default().wall_ns()
}
