//! Which path means what.

use crate::wire::influx::Dialect;
use crate::wire::otlp::{Encoding, Signal};
use crate::wire::remote_write::Message;

use super::format::opentsdb::Report;
use super::format::{Format, pushgateway};
use super::panels::PANEL_PATHS;
use crate::http::Method;

/// What a request asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Route {
    /// Rows in this format.
    Write(Format),
    /// InfluxDB's liveness probe.
    Ping,
    /// InfluxDB's query endpoint, as far as writers call it.
    Query,
    /// The process is alive.
    Health(Probe),
    /// The process takes writes.
    Ready(Probe),
    /// Our own metrics.
    Metrics,
    /// Who makes the series.
    StatusTsdb,
    /// Load the configuration again.
    Reload,
    /// A page that others make.
    Panel,
    /// What this is.
    Index,
    /// Which methods there are, asked of no path.
    Methods,
}

/// Whose words a probe is answered in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Probe {
    /// InfluxDB 2's, as its clients read them.
    Influx,
    /// A line of text.
    Plain,
}

/// Why there is no route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NoRoute {
    /// Nothing is at this path.
    Path,
    /// The path takes other methods, as the `Allow` header lists them.
    Method(&'static str),
}

impl Route {
    /// The route of a request. vmagent's prefixes are taken before any path.
    pub(super) fn find(method: Method<'_>, path: &str) -> Result<Route, NoRoute> {
        let path = bare(path);
        let route = match path {
            "/write" => Route::Write(Format::Influx(Dialect::V1)),
            "/api/v2/write" => Route::Write(Format::Influx(Dialect::V2)),
            "/api/v3/write_lp" => Route::Write(Format::Influx(Dialect::V3)),
            "/api/v1/import" => Route::Write(Format::VmImport),
            "/api/v1/import/ndjson" => Route::Write(Format::Ndjson),
            "/api/put" => Route::Write(Format::OpenTsdb(Report::Status)),
            "/collectd" => Route::Write(Format::Collectd),
            "/api/v1/write" | "/api/v1/push" => Route::Write(Format::RemoteWrite(Message::V1)),
            "/v1/metrics" | "/api/v1/otlp/v1/metrics" => Route::Write(OTLP_METRICS),
            "/v1/logs" | "/api/v1/otlp/v1/logs" => Route::Write(OTLP_LOGS),
            "/ping" => Route::Ping,
            "/query" => Route::Query,
            "/health" => Route::Health(Probe::Influx),
            "/-/healthy" => Route::Health(Probe::Plain),
            "/ready" => Route::Ready(Probe::Influx),
            "/-/ready" => Route::Ready(Probe::Plain),
            "/metrics" => Route::Metrics,
            "/api/v1/status/tsdb" => Route::StatusTsdb,
            "/-/reload" => Route::Reload,
            "/" => Route::Index,
            "*" => Route::Methods,
            path if PANEL_PATHS.contains(&path) => Route::Panel,
            "/api/v1/import/prometheus" => Route::Write(Format::Exposition),
            _ if pushgateway::group_path(path).is_some() => {
                Route::Write(Format::Pushgateway(pushgateway::change(method)))
            }
            _ => return Err(NoRoute::Path),
        };
        let allow = route.allow();
        if allow.split(", ").any(|m| m == method.as_str()) { Ok(route) } else { Err(NoRoute::Method(allow)) }
    }

    fn allow(self) -> &'static str {
        match self {
            Route::Write(format) => format.allow(),
            Route::Query => "GET, POST",
            Route::Reload => "POST, PUT",
            Route::Methods => "OPTIONS",
            _ => "GET, HEAD",
        }
    }
}

/// A path without vmagent's prefix.
pub(super) fn bare(path: &str) -> &str {
    let bare = PREFIXES.iter().find_map(|prefix| path.strip_prefix(prefix));
    bare.filter(|rest| rest.starts_with('/')).unwrap_or(path)
}
/// Protobuf, until a request says what it is in.
const OTLP_METRICS: Format = Format::Otlp(Signal::Metrics, Encoding::Protobuf);
const OTLP_LOGS: Format = Format::Otlp(Signal::Logs, Encoding::Protobuf);

/// What any path takes.
pub(super) const METHODS: &str = "GET, HEAD, POST, PUT, DELETE, OPTIONS";

/// Under which vmagent has the same paths.
const PREFIXES: [&str; 4] = ["/influx", "/prometheus", "/opentelemetry", "/opentsdb"];

#[cfg(test)]
mod tests {
    use super::super::groups::Change;
    use super::*;

    #[test]
    fn paths_and_prefixes_find_their_route() {
        for (path, route) in [
            ("/write", Route::Write(Format::Influx(Dialect::V1))),
            ("/influx/write", Route::Write(Format::Influx(Dialect::V1))),
            ("/influx/api/v2/write", Route::Write(Format::Influx(Dialect::V2))),
            ("/api/v1/import", Route::Write(Format::VmImport)),
            ("/prometheus/api/v1/import", Route::Write(Format::VmImport)),
            ("/api/v1/import/ndjson", Route::Write(Format::Ndjson)),
            ("/api/put", Route::Write(Format::OpenTsdb(Report::Status))),
            ("/opentsdb/api/put", Route::Write(Format::OpenTsdb(Report::Status))),
            ("/collectd", Route::Write(Format::Collectd)),
            ("/api/v3/write_lp", Route::Write(Format::Influx(Dialect::V3))),
            ("/api/v1/write", Route::Write(Format::RemoteWrite(Message::V1))),
            ("/api/v1/push", Route::Write(Format::RemoteWrite(Message::V1))),
            ("/prometheus/api/v1/write", Route::Write(Format::RemoteWrite(Message::V1))),
            ("/api/v1/import/prometheus", Route::Write(Format::Exposition)),
            ("/prometheus/api/v1/import/prometheus", Route::Write(Format::Exposition)),
            ("/metrics/job/a", Route::Write(Format::Pushgateway(Change::Update))),
            ("/metrics/job@base64/YQ/b/c", Route::Write(Format::Pushgateway(Change::Update))),
            ("/api/v1/import/prometheus/metrics/job/a", Route::Write(Format::Pushgateway(Change::Update))),
            ("/v1/metrics", Route::Write(OTLP_METRICS)),
            ("/api/v1/otlp/v1/metrics", Route::Write(OTLP_METRICS)),
            ("/opentelemetry/v1/metrics", Route::Write(OTLP_METRICS)),
            ("/v1/logs", Route::Write(OTLP_LOGS)),
            ("/api/v1/otlp/v1/logs", Route::Write(OTLP_LOGS)),
            ("/opentelemetry/v1/logs", Route::Write(OTLP_LOGS)),
        ] {
            assert_eq!(Route::find(Method::Post, path), Ok(route), "{path}");
        }
        assert_eq!(Route::find(Method::Head, "/-/ready"), Ok(Route::Ready(Probe::Plain)));
        assert_eq!(Route::find(Method::Get, "/api/v1/targets"), Ok(Route::Panel));
        assert_eq!(Route::find(Method::Get, "/prometheus/targets"), Ok(Route::Panel));
        assert_eq!(Route::find(Method::Head, "/ready"), Ok(Route::Ready(Probe::Influx)));
        for (method, change) in [(Method::Put, Change::Replace), (Method::Delete, Change::Delete)] {
            let route = Route::Write(Format::Pushgateway(change));
            assert_eq!(Route::find(method, "/metrics/job/a"), Ok(route));
        }
    }

    #[test]
    fn other_paths_and_methods_are_told_apart() {
        assert!(
            [Route::Reload, Route::Query, Route::Index, Route::Methods]
                .into_iter()
                .flat_map(|route| route.allow().split(", "))
                .chain(Route::Write(Format::Pushgateway(Change::Update)).allow().split(", "))
                .all(|method| METHODS.split(", ").any(|m| m == method))
        );
        assert_eq!(Route::find(Method::Options, "*"), Ok(Route::Methods));
        assert_eq!(Route::find(Method::Post, "/influxwrite"), Err(NoRoute::Path));
        assert_eq!(Route::find(Method::Get, "/writes"), Err(NoRoute::Path));
        assert_eq!(Route::find(Method::Get, "/write"), Err(NoRoute::Method("POST")));
        assert_eq!(Route::find(Method::Delete, "/metrics"), Err(NoRoute::Method("GET, HEAD")));
    }
}
