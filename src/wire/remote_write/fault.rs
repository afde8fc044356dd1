//! What can be wrong with a series or with what it holds, in the words of Prometheus's receiver.

use crate::model::{Refusal, WriteResult};

use super::labels::{ExemplarFault, KeyFault, LabelFault, show_labels, show_references};
use super::message::Message;

/// Where rows are rejected: the series' number, and what is known of it.
pub(super) struct Site<'a> {
    pub(super) message: Message,
    pub(super) number: u64,
    pub(super) key: &'a [u8],
}

impl Site<'_> {
    fn labels(&self) -> String {
        show_labels(self.message, self.key)
    }

    /// Rejects `rows` rows.
    fn reject(
        &self,
        result: &mut WriteResult,
        reason: &'static str,
        rows: u64,
        error: impl FnOnce() -> String,
    ) {
        result.reject(self.number, reason, &[], error);
        let further = rows.saturating_sub(1);
        result.rejected += further;
        if let Some((_, count)) = result.reasons.iter_mut().find(|(known, _)| *known == reason) {
            *count += further;
        }
    }

    /// A series of `rows` rows has no key.
    pub(super) fn reject_key(&self, result: &mut WriteResult, parts: &[u8], fault: KeyFault, rows: u64) {
        let reason = if fault == KeyFault::TooLong { "too_large" } else { "labels" };
        self.reject(result, reason, rows, || match self.message {
            Message::V1 => fault.to_string(),
            Message::V2 => format!("parsing labels for series {}: {fault}", show_references(parts)),
        });
    }

    /// A series of `rows` rows has bad labels.
    pub(super) fn reject_labels(&self, result: &mut WriteResult, fault: &LabelFault, rows: u64) {
        let reason = if *fault == LabelFault::Utf8 { "utf8" } else { "labels" };
        self.reject(result, reason, rows, || match fault {
            LabelFault::Name | LabelFault::Utf8 => {
                format!("invalid metric name or labels, got {}", self.labels())
            }
            LabelFault::Duplicate(name) => format!(
                "invalid labels for series, labels {}, duplicated label {}",
                self.labels(),
                String::from_utf8_lossy(name)
            ),
        });
    }

    /// The intake refuses `rows` rows.
    pub(super) fn reject_refused(&self, result: &mut WriteResult, refusal: &Refusal, rows: u64) {
        self.reject(result, refusal.reason(), rows, || refusal.to_string());
    }

    /// A reference of the metadata of a series leads out of the table.
    pub(super) fn reject_metadata(
        &self,
        result: &mut WriteResult,
        parts: &[u8],
        (field, reference, symbols): (&str, u64, usize),
        rows: u64,
    ) {
        self.reject(result, "metadata", rows, || {
            format!(
                "parsing metadata for series {}: metadata {field} {reference} outside of symbols table (size {symbols})",
                show_references(parts)
            )
        });
    }

    /// A series has neither samples nor histograms.
    pub(super) fn reject_empty(&self, result: &mut WriteResult) {
        self.reject(result, "no_samples", 1, || {
            format!("TimeSeries must contain at least one sample or histogram for series {}", self.labels())
        });
    }

    /// A time has no place in 64 bits of nanoseconds.
    pub(super) fn reject_time(&self, result: &mut WriteResult, what: &str, time_ms: i64) {
        self.reject(result, "timestamp", 1, || {
            format!("{what} {time_ms} is out of range for series {}", self.labels())
        });
    }

    /// A histogram contradicts itself.
    pub(super) fn reject_histogram(&self, result: &mut WriteResult, fault: &impl std::fmt::Display) {
        self.reject(result, "histogram", 1, || format!("{fault} for series {}", self.labels()));
    }

    /// An exemplar's labels are none.
    pub(super) fn reject_exemplar(&self, result: &mut WriteResult, fault: ExemplarFault) {
        self.reject(result, "exemplar", 1, || match fault {
            ExemplarFault::Labels(fault) => {
                format!("parsing exemplar for series {}: {fault}", self.labels())
            }
            ExemplarFault::Utf8 => format!("invalid labels of an exemplar for series {}", self.labels()),
        });
    }
}

impl std::fmt::Display for KeyFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            KeyFault::Odd(count) => write!(f, "invalid labelRefs length {count}"),
            KeyFault::Reference { name, value, symbols } => write!(
                f,
                "labelRefs {name} (name) = {value} (value) outside of symbols table (size {symbols})"
            ),
            KeyFault::TooLong => write!(f, "labels are longer than {} bytes", super::LABELS_BYTES_MAX),
        }
    }
}
