//! What an engine has to say, told to the host.

use std::ffi::c_void;
use std::fmt::{Debug, Write};
use std::sync::{Arc, PoisonError, RwLock};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

use super::error::{Failure, tdg_error};
use super::guard::{catch, guard_telling};
use super::options::tdg_options;
use super::status::{TDG_E_INPUT, tdg_status};
use super::text::tdg_str;

/// Of a message: something is lost, or cannot be done.
pub const TDG_LOG_ERROR: i32 = 1;
/// Of a message: something may have to be looked at.
pub const TDG_LOG_WARN: i32 = 2;
/// Of a message: what happens in the usual way.
pub const TDG_LOG_INFO: i32 = 3;
/// Of a message: for who looks for a fault.
pub const TDG_LOG_DEBUG: i32 = 4;

/// Told of a message: its level, and its text of one line, borrowed for the call.
///
/// Threads: called by any of the engine's, and by those that open, close or read it; by several at once. It must
/// return soon, must not call the engine, and must not jump out. After `tdg_engine_free` has returned it is not called
/// any more.
pub type tdg_log_fn = Option<unsafe extern "C" fn(userdata: *mut c_void, level: i32, message: tdg_str)>;

/// Has an engine that is opened with these options tell messages of `level_max` and graver to `log`, together with
/// `userdata`, which is passed as it is. NULL for `log` ends that. Without it an engine says nothing.
///
/// Errors: `TDG_E_INPUT` for a level that is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_options_set_log(
    options: *mut tdg_options,
    log: tdg_log_fn,
    userdata: *mut c_void,
    level_max: i32,
    error: *mut *mut tdg_error,
) -> tdg_status {
    // SAFETY: the caller's pointers are NULL or valid, and the options this thread's.
    unsafe {
        guard_telling(None, error, || {
            let options = options.as_mut().ok_or_else(|| Failure::null("options"))?;
            let level_max = match level_max {
                TDG_LOG_ERROR => Level::ERROR,
                TDG_LOG_WARN => Level::WARN,
                TDG_LOG_INFO => Level::INFO,
                TDG_LOG_DEBUG => Level::DEBUG,
                _ => return Err(Failure::new(TDG_E_INPUT, "the level is none")),
            };
            options.ear = log.map(|call| Ear { call, userdata, level_max });
            Ok(())
        })
    }
}

/// Who wants to be told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ear {
    call: unsafe extern "C" fn(*mut c_void, i32, tdg_str),
    userdata: *mut c_void,
    level_max: Level,
}

// SAFETY: the function may be called by any thread, says the header, and the pointer is passed as it is.
unsafe impl Send for Ear {}
// SAFETY: the same.
unsafe impl Sync for Ear {}

/// An engine's messages on their way to its host.
#[derive(Clone, Debug)]
pub(super) struct Voice(Arc<RwLock<Option<Ear>>>);

impl Voice {
    pub(super) fn new(ear: Ear) -> Voice {
        Voice(Arc::new(RwLock::new(Some(ear))))
    }

    pub(super) fn dispatch(&self) -> tracing::Dispatch {
        tracing::Dispatch::new(Listener { voice: self.clone(), level_max: self.level_max() })
    }

    /// Nothing is told any more, and nobody is in the middle of it.
    pub(super) fn hush(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn level_max(&self) -> Level {
        let ear = self.0.read().unwrap_or_else(PoisonError::into_inner);
        ear.map_or(Level::ERROR, |ear| ear.level_max)
    }

    fn tell(&self, level: Level, message: &str) {
        let number = match level {
            Level::ERROR => TDG_LOG_ERROR,
            Level::WARN => TDG_LOG_WARN,
            Level::INFO => TDG_LOG_INFO,
            _ => TDG_LOG_DEBUG,
        };
        if let Some(ear) = *self.0.read().unwrap_or_else(PoisonError::into_inner) {
            // SAFETY: the host's function, called as the header says, with text that lives through the call.
            unsafe { (ear.call)(ear.userdata, number, tdg_str::of(message)) };
        }
    }
}

/// Makes a line of each event.
#[derive(Debug)]
struct Listener {
    voice: Voice,
    level_max: Level,
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.level_max
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        // A field that cannot be written is as little a reason to take a thread of the engine down.
        catch(|| {
            let mut line = Line::default();
            event.record(&mut line);
            line.message.push_str(&line.fields);
            self.voice.tell(*event.metadata().level(), &line.message);
        });
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// The message, and behind it ` name=value` for each field.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message.push_str(value),
            name => drop(write!(self.fields, " {name}={value:?}")),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    unsafe extern "C" fn note(userdata: *mut c_void, level: i32, message: tdg_str) {
        // SAFETY: as the test passed it.
        let notes = unsafe { &*userdata.cast::<Mutex<Vec<(i32, String)>>>() };
        // SAFETY: as the header says.
        let text = unsafe { message.text("message") }.unwrap_or_default().to_owned();
        notes.lock().unwrap().push((level, text));
    }

    #[test]
    fn messages_come_as_lines_until_it_is_hushed() {
        let notes = Mutex::new(Vec::<(i32, String)>::new());
        let ear = Ear { call: note, userdata: (&raw const notes).cast_mut().cast(), level_max: Level::INFO };
        let voice = Voice::new(ear);
        tracing::dispatcher::with_default(&voice.dispatch(), || {
            tracing::info!(worker = 3, name = "a b", "two {}", "words");
            tracing::debug!("too fine");
            tracing::error!("bad");
            voice.hush();
            tracing::error!("worse");
        });
        let told = notes.lock().unwrap();
        let line = "two words worker=3 name=\"a b\"".to_owned();
        assert_eq!(*told, [(TDG_LOG_INFO, line), (TDG_LOG_ERROR, "bad".into())]);
    }

    #[test]
    fn a_message_that_panics_while_it_is_written_harms_nobody() {
        struct Bomb;
        impl Debug for Bomb {
            fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                panic!("on purpose")
            }
        }
        let notes = Mutex::new(Vec::<(i32, String)>::new());
        let ear = Ear { call: note, userdata: (&raw const notes).cast_mut().cast(), level_max: Level::INFO };
        tracing::dispatcher::with_default(&Voice::new(ear).dispatch(), || {
            tracing::info!(bomb = ?Bomb, "struck");
            tracing::info!("sound");
        });
        assert_eq!(*notes.lock().unwrap(), [(TDG_LOG_INFO, "sound".to_owned())]);
    }
}
