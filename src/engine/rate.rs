//! The cap on commits per second that all workers share, for disks that count operations.

use crate::sync::Turnstile;

/// Commits per second over all workers.
#[derive(Debug)]
pub(super) struct CommitRate {
    spacing_ns: u64,
    turnstile: Turnstile,
}

impl CommitRate {
    /// At most so many a second; 0 is no cap.
    pub(super) fn new(commits_per_second_max: u32) -> CommitRate {
        let spacing_ns = 1_000_000_000u64.checked_div(u64::from(commits_per_second_max)).unwrap_or(0);
        CommitRate { spacing_ns, turnstile: Turnstile::default() }
    }

    /// Takes a place: `Ok` if a commit may start now, else when to ask again. All callers' clocks must be one.
    pub(super) fn pass(&self, now_ns: u64) -> Result<(), u64> {
        if self.spacing_ns == 0 { Ok(()) } else { self.turnstile.pass(now_ns, self.spacing_ns) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_spaced() {
        let rate = CommitRate::new(1000);
        assert_eq!(rate.pass(5_000_000), Ok(()));
        assert_eq!(rate.pass(5_500_000), Err(6_000_000));
        assert_eq!(rate.pass(6_000_000), Ok(()));
        // Time that nobody used is not saved up.
        assert_eq!(rate.pass(60_000_000), Ok(()));
        assert_eq!(rate.pass(60_000_001), Err(61_000_000));
    }

    #[test]
    fn no_cap_is_no_cap() {
        let rate = CommitRate::new(0);
        assert!((0..100).all(|_| rate.pass(0).is_ok()));
    }
}
