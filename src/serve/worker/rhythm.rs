//! How quickly writes follow one another.
//!
//! Comes in: when writes were answered. Goes out: whether the next is likely to come within some time. Keeps: a mean
//! over the last few dozen writes of all connections; a silence counts for no more than [`GAP_NS_MAX`], so that it is
//! soon forgotten.

/// The mean time between writes of late.
#[derive(Debug)]
pub(super) struct Rhythm {
    last_ns: u64,
    gap_ns: u64,
}

impl Rhythm {
    /// Nothing came yet.
    pub(super) fn new() -> Rhythm {
        Rhythm { last_ns: 0, gap_ns: GAP_NS_MAX }
    }

    /// A write was answered. Those that one commit answers come at one time, and share the time since
    /// the commit before.
    pub(super) fn beat(&mut self, now_ns: u64) {
        let gap_ns = now_ns.saturating_sub(self.last_ns).min(GAP_NS_MAX);
        self.last_ns = now_ns;
        self.gap_ns = self.gap_ns - self.gap_ns / WRITES + gap_ns / WRITES;
    }

    /// Whether at least one more write comes within `ns` in the mean.
    pub(super) fn is_likely_within(&self, ns: u64) -> bool {
        self.gap_ns <= ns
    }
}

/// Writes that the mean goes back.
const WRITES: u64 = 32;
const GAP_NS_MAX: u64 = 20_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_follows_writes_that_share_commits_and_forgets_silence() {
        let mut rhythm = Rhythm::new();
        assert!(!rhythm.is_likely_within(1_000_000));
        let mut now_ns = 0;
        // Two in a commit, a commit each 400 us.
        for write in 0..600 {
            now_ns += 400_000 * (write % 2);
            rhythm.beat(now_ns);
        }
        assert!(rhythm.is_likely_within(230_000) && !rhythm.is_likely_within(170_000), "{rhythm:?}");
        // A night of silence counts as 20 ms, and a few dozen writes make it forgotten.
        now_ns += 40_000_000_000_000;
        rhythm.beat(now_ns);
        assert!(!rhythm.is_likely_within(230_000));
        for _ in 0..100 {
            now_ns += 200_000;
            rhythm.beat(now_ns);
        }
        assert!(rhythm.is_likely_within(260_000), "{rhythm:?}");
    }
}
