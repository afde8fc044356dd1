//! When to commit.
//!
//! A commit starts when none is in flight and the batch is full, or somebody waits for a row of it, or its oldest row has
//! lain for `interval`. While a commit is in flight the next batch fills, so batches grow with load by themselves. If
//! somebody waits but more requests are just arriving, the commit lingers for them a moment: larger batches cost less
//! of everything per row.

/// The two times that the policy knows.
#[derive(Clone, Copy, Debug)]
pub struct CommitPolicy {
    /// How long a waited-for batch may linger while more is arriving.
    pub linger_ns: u64,
    /// How long a row that nobody waits for may lie.
    pub interval_ns: u64,
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
    /// Whether another request is just arriving.
    pub(super) more_arriving: bool,
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
            Some(since) if batch.more_arriving => since + self.linger_ns,
            Some(_) => return Decision::Commit,
            None => batch.first_row_ns + self.interval_ns,
        };
        if due <= now_ns { Decision::Commit } else { Decision::At(due) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: CommitPolicy = CommitPolicy { linger_ns: 2, interval_ns: 200 };
    const IDLE: BatchState =
        BatchState { full: false, first_row_ns: 1000, waited_since_ns: None, more_arriving: false };

    #[test]
    fn rows_that_nobody_waits_for_go_within_the_interval() {
        assert_eq!(POLICY.decide(&IDLE, 1000), Decision::At(1200));
        assert_eq!(POLICY.decide(&IDLE, 1200), Decision::Commit);
    }

    #[test]
    fn a_waiter_goes_at_once_unless_more_is_arriving() {
        let waited = BatchState { waited_since_ns: Some(1010), ..IDLE };
        assert_eq!(POLICY.decide(&waited, 1010), Decision::Commit);
        let arriving = BatchState { more_arriving: true, ..waited };
        assert_eq!(POLICY.decide(&arriving, 1010), Decision::At(1012));
        assert_eq!(POLICY.decide(&arriving, 1012), Decision::Commit);
    }

    #[test]
    fn a_full_batch_goes_at_once() {
        assert_eq!(POLICY.decide(&BatchState { full: true, more_arriving: true, ..IDLE }, 0), Decision::Commit);
    }
}
