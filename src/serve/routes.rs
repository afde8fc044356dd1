//! Which path means what.

use crate::wire::influx::Dialect;

use super::format::Format;
use super::format::opentsdb::Report;
use super::http::Method;

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
    Health,
    /// The process takes writes.
    Ready,
    /// Our own metrics.
    Metrics,
    /// Who makes the series.
    StatusTsdb,
    /// What this is.
    Index,
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
        let bare = PREFIXES.iter().find_map(|prefix| path.strip_prefix(prefix));
        let path = bare.filter(|rest| rest.starts_with('/')).unwrap_or(path);
        let route = match path {
            "/write" => Route::Write(Format::Influx(Dialect::V1)),
            "/api/v2/write" => Route::Write(Format::Influx(Dialect::V2)),
            "/api/v3/write_lp" => Route::Write(Format::Influx(Dialect::V3)),
            "/api/v1/import" => Route::Write(Format::VmImport),
            "/api/v1/import/ndjson" => Route::Write(Format::Ndjson),
            "/api/put" => Route::Write(Format::OpenTsdb(Report::Status)),
            "/ping" => Route::Ping,
            "/query" => Route::Query,
            "/health" | "/-/healthy" => Route::Health,
            "/ready" | "/-/ready" => Route::Ready,
            "/metrics" => Route::Metrics,
            "/api/v1/status/tsdb" => Route::StatusTsdb,
            "/" => Route::Index,
            _ => return Err(NoRoute::Path),
        };
        let allow = route.allow();
        if allow.split(", ").any(|m| m == method.as_str()) { Ok(route) } else { Err(NoRoute::Method(allow)) }
    }

    fn allow(self) -> &'static str {
        match self {
            Route::Write(format) => format.allow(),
            Route::Query => "GET, POST",
            _ => "GET, HEAD",
        }
    }
}

/// Under which vmagent has the same paths.
const PREFIXES: [&str; 4] = ["/influx", "/prometheus", "/opentelemetry", "/opentsdb"];

#[cfg(test)]
mod tests {
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
            ("/api/v3/write_lp", Route::Write(Format::Influx(Dialect::V3))),
        ] {
            assert_eq!(Route::find(Method::Post, path), Ok(route), "{path}");
        }
        assert_eq!(Route::find(Method::Head, "/-/ready"), Ok(Route::Ready));
    }

    #[test]
    fn other_paths_and_methods_are_told_apart() {
        assert_eq!(Route::find(Method::Post, "/influxwrite"), Err(NoRoute::Path));
        assert_eq!(Route::find(Method::Get, "/writes"), Err(NoRoute::Path));
        assert_eq!(Route::find(Method::Get, "/write"), Err(NoRoute::Method("POST")));
        assert_eq!(Route::find(Method::Delete, "/metrics"), Err(NoRoute::Method("GET, HEAD")));
    }
}
