//! Counters: what the process says of itself.
//!
//! Each worker writes its own set, so that counting costs a plain store and never a shared cache line; whoever shows
//! them adds the sets up. Rows are counted per request or batch, never one by one.

mod histogram;

pub use histogram::DurationHistogram;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::sync::SharedCount;

/// A protocol that rows come in by, as the label `protocol` names it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(usize)]
pub enum Protocol {
    /// Influx line protocol.
    Influx = 0,
    /// Prometheus remote write.
    RemoteWrite = 1,
    /// OTLP over HTTP.
    Otlp = 2,
    /// VictoriaMetrics' JSON lines.
    VmImport = 3,
    /// Exposition text, pushed.
    Exposition = 4,
    /// The Pushgateway's protocol.
    Pushgateway = 5,
    /// OpenTSDB's JSON.
    OpenTsdb = 6,
    /// tidegate's own rows as text.
    Ndjson = 7,
    /// Graphite's plaintext.
    Graphite = 8,
    /// StatsD and DogStatsD.
    Statsd = 9,
    /// Scraped.
    Scrape = 10,
    /// Rows pushed through the library.
    Library = 11,
    /// collectd's JSON.
    Collectd = 12,
}

impl Protocol {
    /// All protocols.
    pub const ALL: [Protocol; 13] = [
        Protocol::Influx,
        Protocol::RemoteWrite,
        Protocol::Otlp,
        Protocol::VmImport,
        Protocol::Exposition,
        Protocol::Pushgateway,
        Protocol::OpenTsdb,
        Protocol::Ndjson,
        Protocol::Graphite,
        Protocol::Statsd,
        Protocol::Scrape,
        Protocol::Library,
        Protocol::Collectd,
    ];

    /// The label's value.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Influx => "influx",
            Protocol::RemoteWrite => "remote_write",
            Protocol::Otlp => "otlp",
            Protocol::VmImport => "vm_import",
            Protocol::Exposition => "exposition",
            Protocol::Pushgateway => "pushgateway",
            Protocol::OpenTsdb => "opentsdb",
            Protocol::Ndjson => "ndjson",
            Protocol::Graphite => "graphite",
            Protocol::Statsd => "statsd",
            Protocol::Scrape => "scrape",
            Protocol::Library => "library",
            Protocol::Collectd => "collectd",
        }
    }
}

/// What one worker counts.
#[derive(Default, Debug)]
#[repr(align(128))]
pub struct WorkerCounters {
    /// Rows taken and durable, by protocol.
    pub rows_accepted: [SharedCount; Protocol::ALL.len()],
    /// Values in these rows, by protocol.
    pub samples_accepted: [SharedCount; Protocol::ALL.len()],
    /// Rows taken whose commit has not ended yet.
    pub rows_pending: SharedCount,
    /// Rows whose commit failed after they had been taken.
    pub rows_in_doubt: SharedCount,
    /// Rows that a writer of the library had pushed, and that no block will hold: it went, or the engine did,
    /// before they
    /// were handed over.
    pub rows_discarded: SharedCount,
    /// Rows more than a day ahead of the clock or ten years behind it.
    pub rows_far_off: SharedCount,
    /// Rows taken and dropped by relabeling.
    pub rows_dropped: SharedCount,
    /// How many tables came before the present one, or one more.
    pub generation: SharedCount,
    /// Series in the table.
    pub series: SharedCount,
    /// Bytes of memory that table, shapes and batch hold.
    pub ingest_memory_bytes: SharedCount,
    /// Open connections.
    pub connections: SharedCount,
    /// Bytes of bodies and connections held.
    pub connection_memory_bytes: SharedCount,
    /// Requests answered.
    pub requests: SharedCount,
    /// Requests answered with 503.
    pub requests_refused: SharedCount,
    /// Requests answered with 401.
    pub requests_unauthorized: SharedCount,
    /// Blocks made durable.
    pub commits: SharedCount,
    /// Commits that failed.
    pub commits_failed: SharedCount,
    /// The number of the segment being written; 0 if none is.
    pub segment_number: SharedCount,
    /// Where its blocks end.
    pub segment_bytes: SharedCount,
    /// Bytes of blocks written, padding included.
    pub committed_bytes: SharedCount,
    /// From the start of a write to its completion.
    pub commit_duration: DurationHistogram,
    /// Targets that are scraped.
    pub scrape_targets: SharedCount,
    /// Scrapes begun.
    pub scrapes: SharedCount,
    /// Scrapes that failed.
    pub scrapes_failed: SharedCount,
    /// Slots that passed without a scrape.
    pub scrapes_missed: SharedCount,
    /// From a scrape's slot to its begin.
    pub scrape_delay: DurationHistogram,
    rejected: Mutex<BTreeMap<(Protocol, &'static str), u64>>,
}

impl WorkerCounters {
    /// Counts rows that became durable.
    pub fn count_rows(&self, protocol: Protocol, accepted: u64, samples: u64) {
        self.rows_accepted[protocol as usize].add(accepted);
        self.samples_accepted[protocol as usize].add(samples);
    }

    /// Counts rows rejected for a reason. Takes a lock that only [`rejected`](WorkerCounters::rejected) contends for;
    /// called once per request and reason.
    pub fn count_rejected(&self, protocol: Protocol, reason: &'static str, rows: u64) {
        let mut rejected = self.rejected.lock().unwrap_or_else(PoisonError::into_inner);
        *rejected.entry((protocol, reason)).or_default() += rows;
    }

    /// Rows rejected so far, by protocol and reason.
    pub fn rejected(&self) -> BTreeMap<(Protocol, &'static str), u64> {
        self.rejected.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
