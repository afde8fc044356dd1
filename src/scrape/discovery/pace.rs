//! When the next delivery is due: at once after a quiet time, then at growing pauses, so that a source that changes
//! without end costs little.

use std::time::{Duration, Instant};

/// The pace of deliveries.
#[derive(Debug)]
pub(super) struct Pace {
    /// From the last delivery to the next.
    pause: Duration,
    last: Option<Instant>,
    due: Option<Instant>,
}

impl Pace {
    pub(super) fn new() -> Pace {
        Pace { pause: PAUSE_MIN, last: None, due: None }
    }

    /// There is something to deliver.
    pub(super) fn changed(&mut self, now: Instant) {
        if self.due.is_some() {
            return;
        }
        self.due = Some(match self.last {
            Some(last) if now < last + PAUSE_MAX => (last + self.pause).max(now + GATHER),
            _ => {
                self.pause = PAUSE_MIN;
                now + GATHER
            }
        });
    }

    /// When what there is must go out.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// It has gone out.
    pub(super) fn delivered(&mut self, now: Instant) {
        if self.last.is_some() {
            self.pause = (self.pause * 2).min(PAUSE_MAX);
        }
        self.last = Some(now);
        self.due = None;
    }
}

/// After the first news: what other sources say at the same moment goes with it.
const GATHER: Duration = Duration::from_millis(20);

/// Between deliveries after a quiet time.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// Between deliveries while news never ends: Prometheus's five seconds.
const PAUSE_MAX: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_goes_out_at_once_after_quiet_and_seldom_in_a_storm() {
        let start = Instant::now();
        let mut pace = Pace::new();
        assert_eq!(pace.due(), None);
        pace.changed(start);
        assert_eq!(pace.due(), Some(start + GATHER));

        // Something new at every moment.
        let mut now = start;
        let mut deliveries = Vec::new();
        while now < start + Duration::from_secs(60) {
            pace.changed(now);
            if pace.due().is_some_and(|due| due <= now) {
                pace.delivered(now);
                deliveries.push(now - start);
            }
            now += Duration::from_millis(1);
        }
        assert!(deliveries[1] < Duration::from_millis(200), "{deliveries:?}");
        assert!((15..25).contains(&deliveries.len()), "{deliveries:?}");
        let last = deliveries.windows(2).last().unwrap();
        assert_eq!(last[1] - last[0], PAUSE_MAX);

        // What came between is still owed; then it is quiet.
        let due = pace.due().unwrap_or(now);
        pace.delivered(due);
        let later = due + PAUSE_MAX;
        pace.changed(later);
        assert_eq!(pace.due(), Some(later + GATHER));
    }
}
