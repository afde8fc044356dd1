//! What a listener says of itself: counts, and now and then a line in the log.

use crate::model::WriteResult;
use crate::sync::SharedCount;
use crate::telemetry::{Protocol, WorkerCounters};

/// Counts of a listener for datagrams.
#[derive(Default, Debug)]
pub(in crate::serve) struct DatagramCounts {
    /// The listener's address.
    pub(in crate::serve) listener: String,
    /// Datagrams read.
    pub(in crate::serve) received: SharedCount,
    /// Datagrams that the kernel had no room for.
    pub(in crate::serve) dropped: SharedCount,
}

/// Reports of one listener by one worker.
#[derive(Debug)]
pub(super) struct Report {
    listener: String,
    protocol: Protocol,
    /// Refused since the last line in the log.
    unsaid: u64,
    next_ns: u64,
}

impl Report {
    pub(super) fn new(listener: String, protocol: Protocol) -> Report {
        Report { listener, protocol, unsaid: 0, next_ns: 0 }
    }

    /// Counts rows that were refused, says what was wrong with some at most once a second, and empties the result.
    pub(super) fn count(&mut self, result: &mut WriteResult, counters: &WorkerCounters, now_ns: u64) {
        for &(reason, rows) in &result.reasons {
            counters.count_rejected(self.protocol, reason, rows);
        }
        self.unsaid += result.rejected;
        if let Some(first) = result.errors.first()
            && now_ns >= self.next_ns
        {
            tracing::warn!(
                listener = self.listener,
                rejected = self.unsaid,
                error = first.error,
                line = first.original,
                "lines not taken"
            );
            self.unsaid = 0;
            self.next_ns = now_ns + PAUSE_NS;
        }
        if result.accepted + result.rejected > 0 {
            result.clear();
        }
    }
}

const PAUSE_NS: u64 = 1_000_000_000;
