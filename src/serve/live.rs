//! What may change while the server serves, and the reload that changes it.
//!
//! Each worker looks at one set of settings for a whole turn and takes up the next set before its next turn. So a
//! request that comes after a reload was answered finds the new settings, whichever worker it comes to.

use std::fmt::{self, Debug, Formatter};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::door::{Contexts, Door, DoorOptions, TlsError};
use crate::http::{HttpLimits, Timeouts};

/// What may change while the server serves.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// `limits.memory`, in bytes.
    pub memory_bytes_max: u64,
    /// Open connections; further ones wait to be accepted.
    pub connections_max: usize,
    /// Bounds on requests.
    pub http: HttpLimits,
    /// Time limits on peers.
    pub timeouts: Timeouts,
    /// What is asked at each of the addresses, in their order; where there is none, nothing.
    pub doors: Vec<DoorOptions>,
    /// Keys of the configuration that do nothing yet, for the metrics to name.
    pub unsupported: Vec<String>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            memory_bytes_max: 1 << 30,
            connections_max: 16_384,
            http: HttpLimits::default(),
            timeouts: Timeouts::default(),
            doors: Vec::new(),
            unsupported: Vec::new(),
        }
    }
}

/// Settings in use.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) memory_bytes_max: u64,
    pub(super) connections_max: usize,
    pub(super) http: HttpLimits,
    pub(super) timeouts: Timeouts,
    /// One for each listener.
    pub(super) doors: Vec<Door>,
    pub(super) unsupported: Vec<String>,
}

impl Live {
    /// The settings in use after `before`, for so many listeners.
    pub(super) fn new(
        settings: &Settings,
        listeners: usize,
        before: Option<&Live>,
        contexts: &Contexts,
    ) -> Result<Live, TlsError> {
        let open = DoorOptions::default();
        let door = |n: usize| {
            let options = settings.doors.get(n).unwrap_or(&open);
            Door::new(options, before.and_then(|before| before.doors.get(n)), contexts)
        };
        Ok(Live {
            memory_bytes_max: settings.memory_bytes_max,
            connections_max: settings.connections_max,
            http: settings.http,
            timeouts: settings.timeouts,
            doors: (0..listeners).map(door).collect::<Result<_, _>>()?,
            unsupported: settings.unsupported.clone(),
        })
    }
}

/// The settings in use, for many readers.
#[derive(Debug)]
pub(super) struct Present {
    version: AtomicU64,
    live: Mutex<Arc<Live>>,
}

impl Present {
    pub(super) fn new(live: Live) -> Present {
        Present { version: AtomicU64::new(0), live: Mutex::new(Arc::new(live)) }
    }

    pub(super) fn get(&self) -> Arc<Live> {
        Arc::clone(&self.lock())
    }

    /// The settings, if they are others than those of `version`, which is then theirs.
    pub(super) fn newer(&self, version: &mut u64) -> Option<Arc<Live>> {
        // Pairs with the store in `set`; the lock publishes the settings.
        let now = self.version.load(Ordering::Acquire);
        (now != *version).then(|| {
            *version = now;
            self.get()
        })
    }

    pub(super) fn set(&self, live: Live) {
        *self.lock() = Arc::new(live);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// No code that could panic runs under the lock: what a poisoned one holds is sound.
    fn lock(&self) -> MutexGuard<'_, Arc<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks whoever has the configuration to load it again, and to say how that went; never waits for it.
#[derive(Clone)]
pub struct ReloadHook(pub Arc<dyn Fn() + Send + Sync>);

impl Debug for ReloadHook {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("ReloadHook")
    }
}

/// Reloads that were asked for over HTTP. One that is asked for while another is under way is another one: the file
/// may have changed since that was read.
#[derive(Default, Debug)]
pub(super) struct Reloads {
    asked: AtomicU64,
    done: Mutex<Done>,
}

#[derive(Default, Debug)]
struct Done {
    round: u64,
    failure: Option<String>,
}

impl Reloads {
    /// Whoever asks waits for this round to be done.
    pub(super) fn ask(&self) -> u64 {
        self.asked.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The round that a reload which begins now completes.
    pub(super) fn begin(&self) -> u64 {
        self.asked.load(Ordering::Acquire)
    }

    /// Says how it went.
    pub(super) fn complete(&self, round: u64, failure: Option<&str>) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        *done = Done { round, failure: failure.map(str::to_owned) };
    }

    /// How a round went, if it is done: with the reason where it failed.
    pub(super) fn outcome(&self, round: u64) -> Option<Result<(), String>> {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        (done.round >= round).then(|| done.failure.clone().map_or(Ok(()), Err))
    }
}
