//! Who the server is, and what it says it has taken.
//!
//! Comes in: the answers of its `/metrics`, `/ping` and `/debug/vars`. Goes out: its name and version, the path it
//! takes writes at, and its own count of what it took. Keeps: a server that is not known is measured all the same, only
//! without being asked.

use std::io;

use super::args::Protocol;
use super::http::Server;

/// A server and who it is.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) kind: Kind,
    pub(super) version: String,
    /// How tidegate says it writes.
    pub(super) disk_backend: Option<String>,
    protocol: Protocol,
}

/// The servers that are known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Tidegate,
    VictoriaMetrics,
    InfluxDb,
    Unknown,
}

/// What a server says it has taken since it started.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Taken {
    Samples(u64),
    Rows(u64),
    Datagrams(u64),
}

impl Peer {
    /// Asks a server who it is, to speak `protocol` with it.
    ///
    /// # Errors
    /// It can't be reached. One that answers anything at all is [`Kind::Unknown`].
    pub(super) fn detect(server: &Server, protocol: Protocol) -> io::Result<Peer> {
        let metrics = server.fetch("/metrics")?;
        let text = String::from_utf8_lossy(&metrics.body);
        if let Some(peer) = Peer::from_metrics(&text, protocol) {
            return Ok(peer);
        }
        match server.fetch("/ping")?.influxdb_version {
            Some(version) => Ok(Peer { kind: Kind::InfluxDb, version, disk_backend: None, protocol }),
            None => Ok(Peer { kind: Kind::Unknown, version: String::new(), disk_backend: None, protocol }),
        }
    }

    fn from_metrics(text: &str, protocol: Protocol) -> Option<Peer> {
        if let Some(build) = samples(text, "tidegate_build_info").next() {
            let backend = samples(text, "tidegate_disk_backend_info").next();
            let backend = backend.and_then(|backend| backend.label("backend"));
            let version = build.label("version").unwrap_or_default();
            return Some(Peer { kind: Kind::Tidegate, version, disk_backend: backend, protocol });
        }
        let build = samples(text, "vm_app_version").next()?;
        let version = build.label("short_version").filter(|version| !version.is_empty());
        let version = version.or_else(|| build.label("version")).unwrap_or_default();
        let version = version.trim_start_matches("victoria-metrics-").trim_start_matches('v').to_owned();
        Some(Peer { kind: Kind::VictoriaMetrics, version, disk_backend: None, protocol })
    }

    /// Where it takes the protocol: line protocol with times in nanoseconds.
    pub(super) fn write_path(&self) -> &'static str {
        match (self.protocol, self.kind) {
            (Protocol::RemoteWrite | Protocol::RemoteWrite2, _) => "/api/v1/write",
            (Protocol::PromText, _) => "/api/v1/import/prometheus",
            (Protocol::Json, _) => "/api/v1/import",
            (Protocol::Otlp, Kind::VictoriaMetrics) => "/opentelemetry/v1/metrics",
            (Protocol::Otlp, _) => "/v1/metrics",
            (Protocol::Statsd, _) => "/",
            (Protocol::Influx, Kind::Tidegate | Kind::Unknown) => "/write?precision=ns",
            (Protocol::Influx, Kind::VictoriaMetrics) => "/write",
            (Protocol::Influx, Kind::InfluxDb) => "/write?db=bench",
        }
    }

    /// Does what a first write needs. A refusal shows when writing.
    ///
    /// # Errors
    /// The server can't be reached.
    pub(super) fn prepare(&self, server: &Server) -> io::Result<()> {
        if self.kind == Kind::InfluxDb && self.protocol == Protocol::Influx {
            server.post_empty("/query?q=CREATE+DATABASE+bench")?;
        }
        Ok(())
    }

    /// What it says it has taken, if it says so.
    ///
    /// # Errors
    /// It can't be reached.
    pub(super) fn taken(&self, server: &Server) -> io::Result<Option<Taken>> {
        let path = match self.kind {
            Kind::Tidegate | Kind::VictoriaMetrics => "/metrics",
            Kind::InfluxDb => "/debug/vars",
            Kind::Unknown => return Ok(None),
        };
        let body = server.fetch(path)?.body;
        let text = String::from_utf8_lossy(&body);
        Ok(match self.kind {
            Kind::Tidegate if self.protocol == Protocol::Statsd => {
                let datagrams = samples(&text, "tidegate_datagrams_received_total");
                Some(Taken::Datagrams(datagrams.map(|sample| sample.value as u64).sum()))
            }
            Kind::Tidegate => {
                let protocol = match self.protocol {
                    Protocol::RemoteWrite | Protocol::RemoteWrite2 => "remote_write",
                    Protocol::PromText => "exposition",
                    Protocol::Json => "vm_import",
                    Protocol::Otlp => "otlp",
                    Protocol::Influx | Protocol::Statsd => "influx",
                };
                Some(Taken::Samples(count(&text, "tidegate_samples_accepted_total", "protocol", protocol)))
            }
            Kind::VictoriaMetrics => {
                let kind = match self.protocol {
                    Protocol::RemoteWrite | Protocol::RemoteWrite2 => "promremotewrite",
                    Protocol::PromText => "prometheus",
                    Protocol::Json => "vmimport",
                    Protocol::Otlp => "opentelemetry",
                    Protocol::Influx | Protocol::Statsd => "influx",
                };
                Some(Taken::Samples(count(&text, "vm_rows_inserted_total", "type", kind)))
            }
            Kind::InfluxDb => points_written(&text).map(Taken::Rows),
            Kind::Unknown => None,
        })
    }

    /// Bytes of blocks in the log, without what is preallocated; only tidegate tells.
    ///
    /// # Errors
    /// It can't be reached.
    pub(super) fn live_bytes(&self, server: &Server) -> io::Result<Option<f64>> {
        if self.kind != Kind::Tidegate {
            return Ok(None);
        }
        let body = server.fetch("/metrics")?.body;
        let text = String::from_utf8_lossy(&body);
        let live = |sample: &Sample<'_>| sample.label("state").is_none_or(|state| state == "live");
        Ok(samples(&text, "tidegate_log_bytes").find(live).map(|sample| sample.value))
    }
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Tidegate => "tidegate",
            Kind::VictoriaMetrics => "VictoriaMetrics",
            Kind::InfluxDb => "InfluxDB",
            Kind::Unknown => "unknown",
        }
    }
}

impl Taken {
    /// Samples taken since `before`, or datagrams.
    pub(super) fn samples_since(self, before: Taken, samples_per_line: u32) -> Option<u64> {
        match (before, self) {
            (Taken::Samples(before), Taken::Samples(after)) => after.checked_sub(before),
            (Taken::Rows(before), Taken::Rows(after)) => {
                after.checked_sub(before).map(|rows| rows * u64::from(samples_per_line))
            }
            (Taken::Datagrams(before), Taken::Datagrams(after)) => after.checked_sub(before),
            _ => None,
        }
    }
}

/// The counter of what came by a protocol, as a label names it; absent means none yet.
fn count(text: &str, name: &str, label: &str, protocol: &str) -> u64 {
    let is_it = |sample: &Sample<'_>| sample.label(label).as_deref() == Some(protocol);
    samples(text, name).find(is_it).map_or(0, |sample| sample.value as u64)
}

/// InfluxDB 1's count of points that its writes brought.
fn points_written(text: &str) -> Option<u64> {
    let vars: serde_json::Value = serde_json::from_str(text).ok()?;
    Some(vars.get("write")?.get("values")?.get("pointReq")?.as_f64()? as u64)
}

/// A line of the Prometheus text format.
struct Sample<'a> {
    labels: &'a str,
    value: f64,
}

impl Sample<'_> {
    /// A label's value. What is asked for here never has escapes.
    fn label(&self, name: &str) -> Option<String> {
        let mut rest = self.labels;
        while let Some((label, tail)) = rest.split_once("=\"") {
            let (value, tail) = tail.split_once('"')?;
            if label.trim_matches([',', ' ']) == name {
                return Some(value.to_owned());
            }
            rest = tail;
        }
        None
    }
}

fn samples<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = Sample<'a>> {
    text.lines().filter_map(move |line| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = match rest.strip_prefix('{') {
            Some(labels) => labels.rsplit_once('}')?,
            None => ("", rest.strip_prefix(' ')?),
        };
        let value = value.split_whitespace().next()?.parse().ok()?;
        Some(Sample { labels, value })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIDEGATE: &str = "# TYPE tidegate_build_info gauge\n\
        tidegate_build_info{version=\"0.1.0\",revision=\"abc\"} 1\n\
        tidegate_disk_backend_info{backend=\"threads\"} 1\n\
        tidegate_samples_accepted_total{protocol=\"json\"} 5\n\
        tidegate_samples_accepted_total{protocol=\"influx\"} 1.5e7\n\
        tidegate_log_bytes 4096\n";
    const VICTORIA: &str = "vm_app_version{version=\"victoria-metrics-20220715\", short_version=\"v1.79.5\"} 1\n\
        vm_rows_inserted_total_other{type=\"influx\"} 4\n\
        vm_rows_inserted_total{type=\"influx\"} 123\n";

    #[test]
    fn servers_are_told_apart_by_their_metrics() {
        let tidegate = Peer::from_metrics(TIDEGATE, Protocol::Influx).unwrap();
        assert_eq!((tidegate.kind, tidegate.version.as_str()), (Kind::Tidegate, "0.1.0"));
        assert_eq!(tidegate.disk_backend.as_deref(), Some("threads"));
        let victoria = Peer::from_metrics(VICTORIA, Protocol::Influx).unwrap();
        assert_eq!((victoria.kind, victoria.version.as_str()), (Kind::VictoriaMetrics, "1.79.5"));
        assert!(Peer::from_metrics("go_goroutines 5\n<html>", Protocol::Influx).is_none());
    }

    #[test]
    fn counters_are_read_by_name_and_label() {
        assert_eq!(count(TIDEGATE, "tidegate_samples_accepted_total", "protocol", "influx"), 15_000_000);
        assert_eq!(count(VICTORIA, "vm_rows_inserted_total", "type", "influx"), 123);
        assert_eq!(count("", "vm_rows_inserted_total", "type", "influx"), 0);
        assert_eq!(samples(TIDEGATE, "tidegate_log_bytes").next().unwrap().value, 4096.0);
    }

    #[test]
    fn influxdb_counts_points() {
        let vars = r#"{"system":{},"write":{"name":"write","tags":null,"values":{"pointReq":2000,"req":4}}}"#;
        assert_eq!(points_written(vars), Some(2000));
        assert_eq!(points_written("{}"), None);
        assert_eq!(Taken::Rows(2000).samples_since(Taken::Rows(500), 10), Some(15_000));
        assert_eq!(Taken::Samples(1).samples_since(Taken::Samples(2), 10), None);
    }
}
