//! The engine: opened on a directory, shared by all threads, closed once.

use std::time::Duration;

use super::error::{Failure, tdg_error};
use super::guard::{Health, catch, guard_telling};
use super::log::Voice;
use super::options::tdg_options;
use super::status::tdg_status;
use crate::engine::{self, Embedded};

/// An engine on a data directory.
///
/// Threads: any, at once. Freeing it is the end of that: no call on it may be under way, or come later.
#[derive(Debug)]
pub struct tdg_engine {
    pub(super) health: Health,
    pub(super) embedded: Embedded,
    pub(super) patience: Duration,
    pub(super) voice: Option<Voice>,
}

/// Opens a data directory and starts the engine's threads. What an earlier process left unfinished is recovered.
///
/// `options` is borrowed for the call. `engine` gets a handle that the caller owns, for `tdg_engine_free`.
///
/// Errors: `TDG_E_LOCKED` if another engine has the directory open, in this process or another; `TDG_E_CONFIG` if
/// options do not go together or no directory is named; `TDG_E_INCOMPATIBLE`, `TDG_E_IO`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_engine_open(
    options: *const tdg_options,
    engine: *mut *mut tdg_engine,
    error: *mut *mut tdg_error,
) -> tdg_status {
    // SAFETY: the caller's pointers are NULL or valid.
    unsafe {
        guard_telling(None, error, || {
            let options = options.as_ref().ok_or_else(|| Failure::null("options"))?;
            if engine.is_null() {
                return Err(Failure::null("engine"));
            }
            let voice = options.ear.map(Voice::new);
            let embedded = aloud(&voice, || Embedded::open(options.checked()?).map_err(Failure::from))?;
            let opened = tdg_engine { health: Health::sound(), embedded, patience: options.patience, voice };
            engine.write(Box::into_raw(Box::new(opened)));
            Ok(())
        })
    }
}

/// Takes in what writers have pushed, commits it, seals the log and ends the engine's threads; waits for that at most
/// `timeout_ns` (-1: for ever). From its start on writers get `TDG_E_CLOSED`; calls of theirs that are under way are
/// waited for, and what such a call was told taken is committed, too. The directory is free when it gave `TDG_OK`.
///
/// Errors: `TDG_E_TIMEOUT` if it is not done yet: it goes on, and the call may be repeated; `TDG_E_IN_DOUBT` if it is
/// closed, and rows that it took could not be committed, or a writer's panic had lost some; `TDG_E_CLOSED` if it was
/// closed before; `TDG_E_POISONED` if a thread of the engine had panicked; `TDG_E_IO`. What was told durable is so in
/// any case.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_engine_close(
    engine: *mut tdg_engine,
    timeout_ns: i64,
    error: *mut *mut tdg_error,
) -> tdg_status {
    // SAFETY: the caller's pointers are NULL or valid.
    unsafe {
        on_engine(engine, error, |engine| {
            Ok(aloud(&engine.voice, || engine.embedded.close(timeout(timeout_ns)))?)
        })
    }
}

/// Frees an engine. One that was not closed is closed first, within ten seconds. Writers may outlive it: they get
/// `TDG_E_CLOSED`. NULL is fine. In a forked child it frees nothing but what the child may touch.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_engine_free(engine: *mut tdg_engine) {
    if engine.is_null() {
        return;
    }
    // SAFETY: it came from `tdg_engine_open`, is freed once, and no call on it is under way.
    let engine = unsafe { Box::from_raw(engine) };
    if engine.health.is_forked() {
        // Its threads are not here: there is nobody to wait for, and nothing that is this process's to close.
        std::mem::forget(engine);
    } else {
        let voice = engine.voice.clone();
        catch(|| aloud(&voice, || drop(engine)));
        voice.inspect(Voice::hush);
    }
}

/// Runs what has something to say to the host: itself, or by the threads that it starts.
fn aloud<R>(voice: &Option<Voice>, run: impl FnOnce() -> R) -> R {
    match voice {
        Some(voice) => engine::telling(&voice.dispatch(), run),
        None => run(),
    }
}

/// A timeout as the header has it: nanoseconds, below 0 for ever.
pub(super) fn timeout(timeout_ns: i64) -> Duration {
    u64::try_from(timeout_ns).map_or(FOR_EVER, Duration::from_nanos)
}

/// Longer than any process runs, and short enough to be added to a clock.
const FOR_EVER: Duration = Duration::from_secs(1 << 32);

/// Runs a cold call on an engine.
///
/// # Safety
/// The pointers are NULL or valid.
pub(super) unsafe fn on_engine(
    engine: *const tdg_engine,
    error: *mut *mut tdg_error,
    call: impl FnOnce(&tdg_engine) -> Result<(), Failure>,
) -> tdg_status {
    // SAFETY: as of the caller.
    unsafe {
        match engine.as_ref() {
            Some(engine) => guard_telling(Some(&engine.health), error, || call(engine)),
            None => guard_telling(None, error, || Err(Failure::null("engine"))),
        }
    }
}
