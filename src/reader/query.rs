//! What a reader is asked for.

use std::sync::Arc;

use super::Labels;

/// Which rows to read. The default is all of them.
#[derive(Clone, Default)]
pub struct Query {
    /// Only series that this takes. Asked once for each series of each segment.
    pub series: Option<SeriesFilter>,
    /// Only metadata of metrics that this takes, by name. Asked for each.
    pub metrics: Option<MetricFilter>,
    /// Only rows and exemplars of this time or later, nanoseconds since the Unix epoch. What is said of metrics has no
    /// time: who asks for one gets none of it.
    pub start_ns: Option<i64>,
    /// Only rows and exemplars before this time.
    pub end_ns: Option<i64>,
    /// Leave out rows that came more than once. Side records are not looked at.
    pub dedup: Option<Dedup>,
}

/// Says of a series whether it is wanted.
pub type SeriesFilter = Arc<dyn Fn(Labels<'_>) -> bool + Send + Sync>;

/// Says of a metric's name whether it is wanted.
pub type MetricFilter = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// Which of several rows stays. Rows are whole: fields of two rows are never joined into one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dedup {
    /// Of rows equal in series, times and all fields, bit for bit, the first to arrive.
    Exact,
    /// Of rows of one series and one time, the last to arrive, whatever their fields are.
    ///
    /// Two rows of one block that have no table of columns in common (one has a single field, the other several)
    /// come in the block's order, which does not tell which came first.
    Last,
}

impl Query {
    /// Whether a row of this time is wanted.
    #[inline]
    pub(super) fn takes_time(&self, time_ns: i64) -> bool {
        self.start_ns.is_none_or(|start| start <= time_ns) && self.end_ns.is_none_or(|end| time_ns < end)
    }

    /// Whether rows are wanted whatever their time is.
    pub(super) fn takes_every_time(&self) -> bool {
        self.start_ns.is_none() && self.end_ns.is_none()
    }

    /// Whether what is said of this metric is wanted.
    pub(super) fn takes_metric(&self, name: &[u8]) -> bool {
        let timeless = self.start_ns.is_none() && self.end_ns.is_none();
        timeless && self.metrics.as_ref().is_none_or(|takes| takes(name))
    }

    /// Whether a row between these times can be wanted.
    pub(super) fn takes_any(&self, time_min_ns: i64, time_max_ns: i64) -> bool {
        self.start_ns.is_none_or(|start| start <= time_max_ns)
            && self.end_ns.is_none_or(|end| time_min_ns < end)
    }
}

impl std::fmt::Debug for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Query")
            .field("series", &self.series.as_ref().map(|_| ".."))
            .field("metrics", &self.metrics.as_ref().map(|_| ".."))
            .field("start_ns", &self.start_ns)
            .field("end_ns", &self.end_ns)
            .field("dedup", &self.dedup)
            .finish()
    }
}
