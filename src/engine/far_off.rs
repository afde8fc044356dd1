//! Rows of unlikely times: counted, and one warning for each likely mistake that names it.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::ingest::Ingest;
use crate::telemetry::WorkerCounters;

/// A row is far off if it is more than this behind the clock...
const BEHIND_NS: i64 = 10 * 365 * DAY_NS;

/// ...or more than this ahead of it.
const AHEAD_NS: i64 = DAY_NS;

const DAY_NS: i64 = 86_400_000_000_000;

/// What was seen so far.
#[derive(Default, Debug)]
pub(super) struct FarOff {
    rows: u64,
}

/// The bounds of times that are not far off.
pub(super) fn bounds(wall_ns: i64) -> (i64, i64) {
    (wall_ns.saturating_sub(BEHIND_NS), wall_ns.saturating_add(AHEAD_NS))
}

impl FarOff {
    /// Looks at a batch that is about to be emptied. `warned`: of which mistakes any worker has
    /// warned, a bit each.
    pub(super) fn notice(
        &mut self,
        ingest: &Ingest,
        wall_ns: i64,
        worker: u32,
        counters: &WorkerCounters,
        warned: &AtomicU8,
    ) {
        let rows = ingest.rows_far_off();
        if rows == self.rows {
            return;
        }
        counters.rows_far_off.add(rows - self.rows);
        self.rows = rows;
        let (min, max) = ingest.batch().time_range();
        let (low, _) = bounds(wall_ns);
        let time_ns = if min < low { min } else { max };
        let mistake = Mistake::likely(time_ns, wall_ns);
        // Relaxed: it orders nothing.
        if warned.fetch_or(1 << mistake as u8, Ordering::Relaxed) & 1 << mistake as u8 == 0 {
            tracing::warn!(
                worker,
                time_ns,
                likely = mistake.text(),
                "rows with times far from the clock are taken, and counted as far off"
            );
        }
    }
}

/// What may have gone wrong with a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mistake {
    Seconds,
    Millis,
    Micros,
    NanosAsMicros,
    NanosAsMillis,
    NanosAsSeconds,
    Clock,
}

impl Mistake {
    /// What a time would be a plausible value of, had it been given in another unit.
    fn likely(time_ns: i64, wall_ns: i64) -> Mistake {
        let near = |scaled: Option<i64>| {
            let (low, high) = bounds(wall_ns);
            scaled.is_some_and(|t| (low..=high).contains(&t))
        };
        match () {
            () if near(time_ns.checked_mul(1_000_000_000)) => Mistake::Seconds,
            () if near(time_ns.checked_mul(1_000_000)) => Mistake::Millis,
            () if near(time_ns.checked_mul(1_000)) => Mistake::Micros,
            () if near(Some(time_ns / 1_000)) => Mistake::NanosAsMicros,
            () if near(Some(time_ns / 1_000_000)) => Mistake::NanosAsMillis,
            () if near(Some(time_ns / 1_000_000_000)) => Mistake::NanosAsSeconds,
            () => Mistake::Clock,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Mistake::Seconds => "seconds sent without precision=s",
            Mistake::Millis => "milliseconds sent without precision=ms",
            Mistake::Micros => "microseconds sent without precision=us",
            Mistake::NanosAsMicros => "nanoseconds sent as microseconds",
            Mistake::NanosAsMillis => "nanoseconds sent as milliseconds",
            Mistake::NanosAsSeconds => "nanoseconds sent as seconds",
            Mistake::Clock => "a wrong clock, or a backfill",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mistake_is_named_by_what_would_make_the_time_plausible() {
        let now = 1_790_000_000_000_000_000;
        assert_eq!(Mistake::likely(1_790_000_001, now), Mistake::Seconds);
        assert_eq!(Mistake::likely(1_790_000_001_000, now), Mistake::Millis);
        assert_eq!(Mistake::likely(now + 40 * DAY_NS, now), Mistake::Clock);
    }
}
