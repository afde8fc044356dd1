//! `/metrics`: the workers' counters added up, in Prometheus's text format.

mod process;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::sync::SharedCount;
use crate::telemetry::{DurationHistogram, Protocol, WorkerCounters};

use super::door::Handshakes;
use super::lines::DatagramCounts;
use text::Text;

/// What the counters do not know.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// The disk backend that the workers use.
    pub(super) disk_backend: &'static str,
    /// Bytes of the log: blocks in all segments.
    pub(super) log_bytes: u64,
    /// Bytes of the files that hold it, preallocated space included.
    pub(super) log_allocated_bytes: u64,
    /// Blocks that were damaged when the log was opened.
    pub(super) blocks_damaged: u64,
    /// The memory budget.
    pub(super) memory_limit_bytes: u64,
    /// Whether the last reload of the configuration worked.
    pub(super) reload_successful: bool,
    /// When the configuration was last loaded, in milliseconds since the Unix epoch.
    pub(super) reloaded_ms: u64,
    /// Counts of the sockets for datagrams.
    pub(super) datagrams: Vec<Arc<DatagramCounts>>,
    /// Handshakes of the listeners that speak TLS.
    pub(super) handshakes: Vec<Arc<Handshakes>>,
    /// Keys of the configuration that do nothing yet.
    pub(super) unsupported: Vec<String>,
}

/// The whole page.
pub(super) fn render(workers: &[Arc<WorkerCounters>], facts: &Facts) -> String {
    let mut text = Text::default();
    by_protocol(
        &mut text,
        "tidegate_rows_accepted_total",
        "Rows taken that are on disk. Each is before its request is answered.",
        workers,
        |w| &w.rows_accepted,
    );
    by_protocol(
        &mut text,
        "tidegate_samples_accepted_total",
        "Values in the rows taken that are on disk.",
        workers,
        |w| &w.samples_accepted,
    );
    let mut rejected = BTreeMap::new();
    for (key, rows) in workers.iter().flat_map(|w| w.rejected()) {
        *rejected.entry(key).or_insert(0) += rows;
    }
    text.family("tidegate_rows_rejected_total", "counter", "Rows refused for good.");
    for ((protocol, reason), rows) in rejected {
        text.sample(&[("protocol", protocol.name()), ("reason", reason)], rows as f64);
    }
    let sum = |pick: fn(&WorkerCounters) -> &SharedCount| {
        workers.iter().map(|w| pick(w).value()).sum::<u64>() as f64
    };
    let mut one = |name, kind, help, value| {
        text.family(name, kind, help);
        text.sample(&[], value);
    };
    one(
        "tidegate_rows_in_doubt_total",
        "counter",
        "Rows taken whose commit failed: their requests were answered 503.",
        sum(|w| &w.rows_in_doubt),
    );
    one(
        "tidegate_rows_far_off_total",
        "counter",
        "Rows taken whose time is more than a day ahead of the clock or ten years behind it.",
        sum(|w| &w.rows_far_off),
    );
    one(
        "tidegate_rows_dropped_total",
        "counter",
        "Rows taken and dropped by relabeling.",
        sum(|w| &w.rows_dropped),
    );
    one("tidegate_series", "gauge", "Series in the workers' tables.", sum(|w| &w.series));
    one(
        "tidegate_connections",
        "gauge",
        "Open connections, as of a quarter of a second ago.",
        sum(|w| &w.connections),
    );
    one("tidegate_http_requests_total", "counter", "Requests answered.", sum(|w| &w.requests));
    one(
        "tidegate_http_requests_refused_total",
        "counter",
        "Requests answered 503: overload, full disk or failed log.",
        sum(|w| &w.requests_refused),
    );
    one(
        "tidegate_http_requests_unauthorized_total",
        "counter",
        "Requests answered 401: no credentials, or wrong ones.",
        sum(|w| &w.requests_unauthorized),
    );
    one("tidegate_commits_total", "counter", "Blocks made durable.", sum(|w| &w.commits));
    one(
        "tidegate_commits_failed_total",
        "counter",
        "Blocks whose commit failed.",
        sum(|w| &w.commits_failed),
    );
    one(
        "tidegate_committed_bytes_total",
        "counter",
        "Bytes of blocks made durable, padding included.",
        sum(|w| &w.committed_bytes),
    );
    one("tidegate_log_bytes", "gauge", "Bytes of blocks in the log.", facts.log_bytes as f64);
    one(
        "tidegate_log_allocated_bytes",
        "gauge",
        "Bytes of the log's files, preallocated space included.",
        facts.log_allocated_bytes as f64,
    );
    one(
        "tidegate_rows_discarded_total",
        "counter",
        "Rows pushed through the library that went before they were handed over: no block holds them.",
        sum(|w| &w.rows_discarded),
    );
    one(
        "tidegate_log_blocks_damaged",
        "gauge",
        "Blocks found damaged when the log was opened.",
        facts.blocks_damaged as f64,
    );
    one(
        "tidegate_memory_bytes",
        "gauge",
        "Bytes held of the memory budget.",
        sum(|w| &w.ingest_memory_bytes) + sum(|w| &w.connection_memory_bytes),
    );
    one("tidegate_memory_limit_bytes", "gauge", "The memory budget.", facts.memory_limit_bytes as f64);
    one(
        "tidegate_config_last_reload_successful",
        "gauge",
        "Whether the configuration's last reload worked.",
        f64::from(u8::from(facts.reload_successful)),
    );
    one(
        "tidegate_config_last_reload_success_timestamp_seconds",
        "gauge",
        "When the configuration was last loaded.",
        facts.reloaded_ms as f64 / 1e3,
    );
    one("tidegate_workers", "gauge", "Worker threads.", workers.len() as f64);
    durations(
        &mut text,
        "tidegate_commit_duration_seconds",
        "From the start of a block's write until it is durable.",
        workers.iter().map(|w| &w.commit_duration),
    );
    scrapes(&mut text, workers);
    text.family("tidegate_config_unsupported", "gauge", "Keys of the configuration that do nothing yet.");
    for key in &facts.unsupported {
        text.sample(&[("key", key)], 1.0);
    }
    datagrams(&mut text, &facts.datagrams);
    let help = "TLS handshakes that clients began and that came to nothing.";
    text.family("tidegate_tls_handshakes_failed_total", "counter", help);
    for handshakes in &facts.handshakes {
        text.sample(&[("listener", &handshakes.listener)], handshakes.failed.value() as f64);
    }
    text.family("tidegate_disk_backend_info", "gauge", "The disk backend in use.");
    text.sample(&[("backend", facts.disk_backend)], 1.0);
    text.family("tidegate_build_info", "gauge", "What was built.");
    text.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    process::render(&mut text);
    text.finish()
}

fn by_protocol(
    text: &mut Text,
    name: &'static str,
    help: &str,
    workers: &[Arc<WorkerCounters>],
    pick: fn(&WorkerCounters) -> &[SharedCount; Protocol::ALL.len()],
) {
    text.family(name, "counter", help);
    for protocol in Protocol::ALL {
        let rows: u64 = workers.iter().map(|w| pick(w)[protocol as usize].value()).sum();
        text.sample(&[("protocol", protocol.name())], rows as f64);
    }
}

fn datagrams(text: &mut Text, listeners: &[Arc<DatagramCounts>]) {
    text.family("tidegate_datagrams_received_total", "counter", "Datagrams read.");
    for counts in listeners {
        text.sample(&[("listener", &counts.listener)], counts.received.value() as f64);
    }
    let help = "Datagrams that the kernel dropped, since nobody read the ones before in time.";
    text.family("tidegate_datagrams_dropped_total", "counter", help);
    for counts in listeners {
        text.sample(&[("listener", &counts.listener)], counts.dropped.value() as f64);
    }
}

fn scrapes(text: &mut Text, workers: &[Arc<WorkerCounters>]) {
    let mut one = |name, kind, help, pick: fn(&WorkerCounters) -> &SharedCount| {
        text.family(name, kind, help);
        text.sample(&[], workers.iter().map(|w| pick(w).value()).sum::<u64>() as f64);
    };
    one("tidegate_scrape_targets", "gauge", "Targets that are scraped.", |w| &w.scrape_targets);
    one("tidegate_scrapes_total", "counter", "Scrapes begun.", |w| &w.scrapes);
    one("tidegate_scrapes_failed_total", "counter", "Scrapes that failed: up is 0.", |w| &w.scrapes_failed);
    one(
        "tidegate_scrapes_missed_total",
        "counter",
        "Slots that passed without a scrape, since the one before was not over or the worker was late.",
        |w| &w.scrapes_missed,
    );
    durations(
        text,
        "tidegate_scrape_delay_seconds",
        "From a scrape's slot until it begins.",
        workers.iter().map(|w| &w.scrape_delay),
    );
}

fn durations<'a>(
    text: &mut Text,
    name: &'static str,
    help: &str,
    of: impl Iterator<Item = &'a DurationHistogram>,
) {
    let mut buckets: Vec<(f64, u64)> = Vec::new();
    let mut sum = 0.0;
    for histogram in of {
        sum += histogram.sum_seconds();
        for (i, (bound, count)) in histogram.cumulative().into_iter().enumerate() {
            match buckets.get_mut(i) {
                Some(bucket) => bucket.1 += count,
                None => buckets.push((bound, count)),
            }
        }
    }
    text.histogram(name, help, &buckets, sum);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_added_up() {
        let workers = [Arc::new(WorkerCounters::default()), Arc::new(WorkerCounters::default())];
        for worker in &workers {
            worker.count_rows(Protocol::Influx, 2, 20);
            worker.count_rejected(Protocol::Influx, "syntax", 3);
            worker.commit_duration.observe(60_000);
        }
        let facts = Facts {
            disk_backend: "threads",
            log_bytes: 4096,
            log_allocated_bytes: 8192,
            blocks_damaged: 0,
            memory_limit_bytes: 1,
            reload_successful: true,
            reloaded_ms: 1_500,
            datagrams: vec![Arc::new(DatagramCounts {
                listener: "udp://[::]:8125".to_owned(),
                ..DatagramCounts::default()
            })],
            handshakes: vec![Arc::new(Handshakes::new("[::]:9480".to_owned()))],
            unsupported: vec!["remote_write".to_owned()],
        };
        facts.datagrams[0].received.add(7);
        facts.handshakes[0].failed.add(3);
        let page = render(&workers, &facts);
        for line in [
            "tidegate_rows_accepted_total{protocol=\"influx\"} 4",
            "tidegate_samples_accepted_total{protocol=\"influx\"} 40",
            "tidegate_rows_rejected_total{protocol=\"influx\",reason=\"syntax\"} 6",
            "tidegate_log_bytes 4096",
            "tidegate_config_last_reload_successful 1",
            "tidegate_config_unsupported{key=\"remote_write\"} 1",
            "tidegate_config_last_reload_success_timestamp_seconds 1.5",
            "tidegate_commit_duration_seconds_bucket{le=\"0.00005\"} 0",
            "tidegate_commit_duration_seconds_bucket{le=\"0.0001\"} 2",
            "tidegate_commit_duration_seconds_bucket{le=\"+Inf\"} 2",
            "tidegate_commit_duration_seconds_count 2",
            "tidegate_disk_backend_info{backend=\"threads\"} 1",
            "tidegate_datagrams_received_total{listener=\"udp://[::]:8125\"} 7",
            "tidegate_datagrams_dropped_total{listener=\"udp://[::]:8125\"} 0",
            "tidegate_tls_handshakes_failed_total{listener=\"[::]:9480\"} 3",
        ] {
            assert!(page.lines().any(|l| l == line), "{line} is not in\n{page}");
        }
        assert!(page.contains("process_resident_memory_bytes "));
    }
}
