//! How scrapes went: written by whoever scrapes a target, read by the pages and the API.
//!
//! Whoever takes up a target calls [`StatusBoard::enter`] and keeps the [`TargetStatus`]; at the end of each scrape it
//! calls [`TargetStatus::report`]; when the target is gone it calls [`StatusBoard::leave`]. A target that is taken up
//! again by the same key finds what was reported before. Readers ask by key and get a copy. Keeps: nobody waits for
//! longer than a copy of a few words takes. Knows nothing of pages.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::target::TargetKey;

/// What the last scrape of a target came to.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Health {
    /// There was none yet.
    #[default]
    Unknown,
    /// It brought samples: `up` is 1.
    Up,
    /// It failed: `up` is 0.
    Down,
}

/// The last scrape of a target.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ScrapeReport {
    /// What it came to.
    pub health: Health,
    /// Why it failed; empty if it did not.
    pub error: String,
    /// When it began, in nanoseconds since the Unix epoch; none if there was no scrape yet.
    pub start_ns: Option<i64>,
    /// How long it took, in nanoseconds.
    pub duration_ns: u64,
}

/// One target's last scrape, shared between the one who scrapes and those who look.
#[derive(Default, Debug)]
pub struct TargetStatus(Mutex<ScrapeReport>);

/// The status of all targets, by key.
#[derive(Default, Debug)]
pub struct StatusBoard(Mutex<HashMap<TargetKey, Arc<TargetStatus>>>);

impl Health {
    /// As Prometheus names it.
    pub fn name(self) -> &'static str {
        match self {
            Health::Unknown => "unknown",
            Health::Up => "up",
            Health::Down => "down",
        }
    }
}

impl TargetStatus {
    /// A scrape that began at `start_ns` and took `duration_ns` is over; the error is why it failed.
    pub fn report(&self, start_ns: i64, duration_ns: u64, outcome: Result<(), &str>) {
        let mut last = lock(&self.0);
        last.start_ns = Some(start_ns);
        last.duration_ns = duration_ns;
        last.error.clear();
        last.health = match outcome {
            Ok(()) => Health::Up,
            Err(why) => {
                last.error.push_str(why);
                Health::Down
            }
        };
    }

    /// The last report.
    pub fn last(&self) -> ScrapeReport {
        lock(&self.0).clone()
    }
}

impl StatusBoard {
    /// The status of a target that is taken up.
    pub fn enter(&self, key: &TargetKey) -> Arc<TargetStatus> {
        let mut board = lock(&self.0);
        if let Some(status) = board.get(key) {
            return Arc::clone(status);
        }
        Arc::clone(board.entry(key.clone()).or_default())
    }

    /// A target is gone. Its status, if it was taken up.
    pub fn leave(&self, key: &TargetKey) -> Option<Arc<TargetStatus>> {
        lock(&self.0).remove(key)
    }

    /// The last report of a target; one that nobody has taken up is unknown.
    pub fn last(&self, key: &TargetKey) -> ScrapeReport {
        let status = lock(&self.0).get(key).map(Arc::clone);
        status.map(|status| status.last()).unwrap_or_default()
    }
}

/// No code that could panic runs under these locks: what a poisoned one holds is sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_found_by_key_until_the_target_leaves() {
        let board = StatusBoard::default();
        let key = TargetKey { job: "a".into(), labels: Vec::new(), url: "http://a/".into() };
        assert_eq!(board.last(&key), ScrapeReport::default());

        let status = board.enter(&key);
        status.report(5, 7, Err("connection refused"));
        let down = board.last(&key);
        assert_eq!((down.health, down.error.as_str()), (Health::Down, "connection refused"));
        assert_eq!((down.start_ns, down.duration_ns), (Some(5), 7));

        board.enter(&key).report(8, 9, Ok(()));
        let up = status.last();
        assert_eq!((up.health, up.error.as_str(), up.start_ns), (Health::Up, "", Some(8)));

        board.leave(&key);
        assert_eq!(board.last(&key).health, Health::Unknown);
    }
}
