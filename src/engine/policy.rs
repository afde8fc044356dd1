//! When to commit.
//!
//! A commit starts when none is in flight and the batch is full, or somebody waits for a row of it, or its oldest row
//! has lain for `interval`. While a commit is in flight the next batch fills, so batches grow with load by themselves.
//! If somebody waits but another request is just arriving, the commit lingers for it, `linger` at most; if one is only
//! expected, because its sender was answered a moment ago and is quick to send again, then until it should have
//! come, and no longer than a commit takes. As long it lingers, while its batch is small, where requests have followed
//! one another within that time of late. Larger batches cost less of everything per row.

/// The two times that the policy knows.
#[derive(Clone, Copy, Debug)]
pub struct CommitPolicy {
    /// How long a waited-for batch may linger while more is arriving.
    pub linger_ns: u64,
    /// How long a row that nobody waits for may lie.
    pub interval_ns: u64,
}

/// What is known of requests to come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Arrivals {
    /// Nothing.
    None,
    /// None of those who are quick, but at the pace of late one more comes within the time of a commit.
    Likely,
    /// Senders were answered a moment ago and are likely to send their next requests.
    Expected {
        /// When the last of these should have come.
        by_ns: u64,
    },
    /// A request is being received.
    Arriving,
}

/// What the policy looks at. Times are monotonic.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchState {
    /// Whether the batch can take no more.
    pub(super) full: bool,
    /// When its first row came.
    pub(super) first_row_ns: u64,
    /// When the first one began to wait for it.
    pub(super) waited_since_ns: Option<u64>,
    /// Samples in it.
    pub(super) samples: u64,
    /// What is known of requests to come.
    pub(super) arrivals: Arrivals,
    /// How long commits take of late.
    pub(super) commit_ns: u64,
}

/// What to do with a batch that has rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Decision {
    /// Commit it.
    Commit,
    /// Look again at this time.
    At(u64),
}

impl CommitPolicy {
    pub(super) fn decide(&self, batch: &BatchState, now_ns: u64) -> Decision {
        let due = match batch.waited_since_ns {
            _ if batch.full => return Decision::Commit,
            Some(since) => match batch.arrivals {
                Arrivals::None => return Decision::Commit,
                Arrivals::Likely if batch.samples >= SAMPLES_SMALL => return Decision::Commit,
                Arrivals::Likely => since + self.linger_ns.min(batch.commit_ns),
                Arrivals::Expected { by_ns } => by_ns.min(since + self.linger_ns.min(batch.commit_ns)),
                Arrivals::Arriving => since + self.linger_ns,
            },
            None => batch.first_row_ns + self.interval_ns,
        };
        if due <= now_ns { Decision::Commit } else { Decision::At(due) }
    }
}

/// From here on, what a commit costs by itself (two or three wakes, 50 to 100 us) is less than what its rows cost.
const SAMPLES_SMALL: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: CommitPolicy = CommitPolicy { linger_ns: 20, interval_ns: 200 };
    const IDLE: BatchState = BatchState {
        full: false,
        first_row_ns: 1000,
        waited_since_ns: None,
        samples: 100,
        arrivals: Arrivals::None,
        commit_ns: 7,
    };

    #[test]
    fn rows_that_nobody_waits_for_go_within_the_interval() {
        assert_eq!(POLICY.decide(&IDLE, 1000), Decision::At(1200));
        assert_eq!(POLICY.decide(&IDLE, 1200), Decision::Commit);
    }

    #[test]
    fn a_waiter_goes_at_once_unless_more_is_coming() {
        let waited = BatchState { waited_since_ns: Some(1010), ..IDLE };
        assert_eq!(POLICY.decide(&waited, 1010), Decision::Commit);
        let arriving = BatchState { arrivals: Arrivals::Arriving, ..waited };
        assert_eq!(POLICY.decide(&arriving, 1010), Decision::At(1030));
        assert_eq!(POLICY.decide(&arriving, 1030), Decision::Commit);
        let expected = |by_ns| BatchState { arrivals: Arrivals::Expected { by_ns }, ..waited };
        assert_eq!(POLICY.decide(&expected(1500), 1010), Decision::At(1017));
        assert_eq!(POLICY.decide(&BatchState { commit_ns: 90, ..expected(1500) }, 1010), Decision::At(1030));
        assert_eq!(POLICY.decide(&expected(1012), 1010), Decision::At(1012));
        assert_eq!(POLICY.decide(&expected(1012), 1012), Decision::Commit);
    }

    #[test]
    fn a_small_batch_waits_for_what_is_likely_as_long_as_a_commit_takes() {
        let likely = BatchState { waited_since_ns: Some(1010), arrivals: Arrivals::Likely, ..IDLE };
        assert_eq!(POLICY.decide(&likely, 1010), Decision::At(1017));
        assert_eq!(POLICY.decide(&likely, 1017), Decision::Commit);
        assert_eq!(POLICY.decide(&BatchState { commit_ns: 90, ..likely }, 1010), Decision::At(1030));
        assert_eq!(POLICY.decide(&BatchState { samples: 5000, ..likely }, 1010), Decision::Commit);
    }

    #[test]
    fn a_full_batch_goes_at_once() {
        assert_eq!(
            POLICY.decide(&BatchState { full: true, arrivals: Arrivals::Arriving, ..IDLE }, 0),
            Decision::Commit
        );
    }
}
