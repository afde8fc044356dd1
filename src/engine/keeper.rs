//! Housekeeping of a data directory: old segments go, on a thread of its own.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::log::disk::SystemFiles;
use crate::log::{LogError, Retention, Sweeper, Swept};

use super::spawn;

/// How often retention is looked at. Space runs out faster than that only on disks that are full already.
const PAUSE: Duration = Duration::from_secs(5);

/// Keeps a directory until it is dropped.
pub(super) struct Keeper {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Stop {
    asked: Mutex<bool>,
    changed: Condvar,
}

impl Keeper {
    /// Starts the thread.
    pub(super) fn start(mut sweeper: Sweeper<SystemFiles>, retention: Retention) -> Result<Keeper, LogError> {
        let stop = Arc::new(Stop::default());
        let asked = Arc::clone(&stop);
        let run = move || {
            let clock = SystemClock::default();
            while !asked.wait() {
                match sweeper.sweep(&retention, clock.wall_ns().max(0) as u64) {
                    Ok(swept) => report(&swept),
                    Err(error) => tracing::error!(%error, "retention could not be looked at"),
                }
            }
        };
        let thread = spawn("keeper", Box::new(run)).map_err(|error| LogError::Io {
            action: "start the keeper of",
            path: "log".into(),
            error,
        })?;
        Ok(Keeper { stop, thread: Some(thread) })
    }
}

/// Rows that go before their time are a loss, which somebody should hear of.
fn report(swept: &Swept) {
    let (segments, bytes) = (swept.removed, swept.removed_bytes);
    match (segments, swept.removed_for_space) {
        (0, _) => {}
        (_, 0) => tracing::info!(segments, bytes, "removed what was past its retention"),
        (_, early) => tracing::warn!(
            segments,
            bytes,
            early,
            free_bytes = swept.free_bytes,
            "removed rows before their time: the file system has less room than is to be kept free"
        ),
    }
}

impl Stop {
    /// Waits for the pause to pass, or to be asked to stop; says which.
    fn wait(&self) -> bool {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(asked, PAUSE, |asked| !*asked);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        *self.stop.asked.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // It ends by itself; had it panicked, that has been said.
            let _ = thread.join();
        }
    }
}
