//! The one room that reads a clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Tells the time. A trait so that simulations bring their own.
pub trait Clock {
    /// Nanoseconds since the Unix epoch. May step back; who needs order keeps the greatest seen.
    fn wall_ns(&self) -> i64;

    /// Nanoseconds since some moment; never steps back.
    fn monotonic_ns(&self) -> u64;
}

/// The system's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn wall_ns(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => nanos(since),
            Err(before) => -nanos(before.duration()),
        }
    }

    fn monotonic_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
