//! Rows of unlikely times: counted, and one warning that names the likely mistake.

use std::sync::atomic::{AtomicBool, Ordering};

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
    /// Looks at a batch that is about to be emptied. `warned`: whether any worker has warned.
    pub(super) fn notice(
        &mut self,
        ingest: &Ingest,
        wall_ns: i64,
        worker: u32,
        counters: &WorkerCounters,
        warned: &AtomicBool,
    ) {
        let rows = ingest.rows_far_off();
        if rows == self.rows {
            return;
        }
        counters.rows_far_off.add(rows - self.rows);
        self.rows = rows;
        // Relaxed: it orders nothing.
        if !warned.swap(true, Ordering::Relaxed) {
            let (min, max) = ingest.batch().time_range();
            let (low, _) = bounds(wall_ns);
            let time_ns = if min < low { min } else { max };
            tracing::warn!(
                worker,
                time_ns,
                likely = likely_mistake(time_ns, wall_ns),
                "rows with times far from the clock are taken, and counted in tidegate_rows_far_off_total"
            );
        }
    }
}

/// What a time would be a plausible value of, had it been given in another unit.
fn likely_mistake(time_ns: i64, wall_ns: i64) -> &'static str {
    let near = |scaled: Option<i64>| {
        let (low, high) = bounds(wall_ns);
        scaled.is_some_and(|t| (low..=high).contains(&t))
    };
    match () {
        () if near(time_ns.checked_mul(1_000_000_000)) => "seconds sent without precision=s",
        () if near(time_ns.checked_mul(1_000_000)) => "milliseconds sent without precision=ms",
        () if near(time_ns.checked_mul(1_000)) => "microseconds sent without precision=us",
        () if near(Some(time_ns / 1_000)) => "nanoseconds sent as microseconds",
        () if near(Some(time_ns / 1_000_000)) => "nanoseconds sent as milliseconds",
        () if near(Some(time_ns / 1_000_000_000)) => "nanoseconds sent as seconds",
        () => "a wrong clock, or a backfill",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mistake_is_named_by_what_would_make_the_time_plausible() {
        let now = 1_790_000_000_000_000_000;
        assert_eq!(likely_mistake(1_790_000_001, now), "seconds sent without precision=s");
        assert_eq!(likely_mistake(1_790_000_001_000, now), "milliseconds sent without precision=ms");
        assert_eq!(likely_mistake(now + 40 * DAY_NS, now), "a wrong clock, or a backfill");
    }
}
