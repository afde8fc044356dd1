//! The answers that need no rows: probes, InfluxDB's side calls, the index.

use jiff::Timestamp;
use serde_json::json;

use crate::ingest::SurveyCounts;

use super::answer::Answer;
use super::format::influx::VERSION_HEADER;
use super::routes::Probe;
use crate::http::{Query, QueryError};

/// `/ping`.
pub(super) fn ping(query: &str) -> Answer {
    let verbose = matches!(Query::new(query).first("verbose"), Ok(Some(v)) if v != "false" && v != "0");
    let answer =
        if verbose { Answer::json(200, &json!({"version": VERSION_HEADER.1})) } else { Answer::empty(204) };
    answer
        .with_header(VERSION_HEADER.0, VERSION_HEADER.1)
        .with_header("X-Influxdb-Build", "tidegate")
        .with_header("X-Tidegate-Version", env!("CARGO_PKG_VERSION"))
}

/// `/health` and `/-/healthy`: the process is alive. `failure` says why it takes no writes, if that is so: not a reason
/// to start it anew.
pub(super) fn health(form: Probe, failure: Option<&str>) -> Answer {
    match form {
        Probe::Plain => Answer::text(200, "ok\n"),
        Probe::Influx => Answer::json(
            200,
            &json!({
                "name": "tidegate", "message": failure.unwrap_or("ready for writes"), "status": "pass", "checks": [],
                "version": env!("CARGO_PKG_VERSION"),
            }),
        ),
    }
}

/// `/ready` and `/-/ready`: the process takes writes, or `failure` says why it does not.
pub(super) fn ready(form: Probe, failure: Option<&str>, started_ms: u64, wall_ns: i64) -> Answer {
    let status = if failure.is_some() { 503 } else { 200 };
    let answer = match form {
        Probe::Plain => Answer::text(status, format!("{}\n", failure.unwrap_or("ready"))),
        Probe::Influx => {
            let started_ms = i64::try_from(started_ms).unwrap_or(i64::MAX);
            let started = Timestamp::from_millisecond(started_ms).unwrap_or(Timestamp::UNIX_EPOCH);
            let up_s = (wall_ns / 1_000_000 - started_ms).max(0) / 1000;
            let up = format!("{}h{}m{}s", up_s / 3600, up_s / 60 % 60, up_s % 60);
            let word = failure.unwrap_or("ready");
            Answer::json(status, &json!({"status": word, "started": started.to_string(), "up": up}))
        }
    };
    if failure.is_some() { answer.retry_later() } else { answer }
}

/// `/query`: writers create their database and list what there is before they write; there are no databases here, and
/// whatever they create exists.
pub(super) fn query(query: &str, form: &str) -> Answer {
    let answer = match statement(query).and_then(|q| if q.is_empty() { statement(form) } else { Ok(q) }) {
        Err(e) => Answer::json(400, &json!({"error": e.to_string()})),
        Ok(q) if q.is_empty() => Answer::json(400, &json!({"error": "missing required parameter \"q\""})),
        Ok(q) => statements(&q),
    };
    answer.with_header(VERSION_HEADER.0, VERSION_HEADER.1)
}

fn statement(pairs: &str) -> Result<String, QueryError> {
    Ok(Query::new(pairs).first("q")?.map(|q| q.trim().to_owned()).unwrap_or_default())
}

fn statements(q: &str) -> Answer {
    let mut results = Vec::new();
    for (id, statement) in q.split(';').map(str::trim).filter(|s| !s.is_empty()).enumerate() {
        let words: Vec<String> = statement.split_whitespace().take(2).map(str::to_ascii_uppercase).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        results.push(match words[..] {
            ["CREATE", "DATABASE"] => json!({"statement_id": id}),
            ["SHOW", "DATABASES"] => {
                json!({"statement_id": id, "series": [{"name": "databases", "columns": ["name"]}]})
            }
            _ => {
                let error = "tidegate does not answer queries: only CREATE DATABASE and SHOW DATABASES are understood";
                return Answer::json(400, &json!({"error": error}));
            }
        });
    }
    Answer::json(200, &json!({"results": results}))
}

/// `/`.
pub(super) fn index() -> Answer {
    Answer::text(
        200,
        concat!(
            "tidegate ",
            env!("CARGO_PKG_VERSION"),
            "\n\n\
             POST /write                      InfluxDB 1.x line protocol\n\
             POST /api/v2/write               InfluxDB 2.x line protocol\n\
             POST /api/v3/write_lp            InfluxDB 3 line protocol\n\
             POST /api/v1/write               Prometheus remote write, 1.0 and 2.0 (also /api/v1/push)\n\
             POST /v1/metrics                 OTLP metrics (also /api/v1/otlp/v1/metrics)\n\
             POST /v1/logs                    OTLP logs (also /api/v1/otlp/v1/logs)\n\
             POST /api/v1/import              VictoriaMetrics' JSON lines\n\
             POST /api/v1/import/prometheus   exposition text\n\
             POST /api/v1/import/ndjson       rows as `tidegate log cat` prints them\n\
             POST /api/put                    OpenTSDB's JSON\n\
             POST /collectd                   collectd's write_http, Format \"JSON\"\n\
             PUT  /metrics/job/NAME           the Pushgateway's groups (also POST, DELETE)\n\
             GET  /ping                       InfluxDB's probe\n\
             GET  /query                      what InfluxDB's clients ask before they write\n\
             GET  /metrics                    metrics of this process\n\
             GET  /api/v1/status/tsdb         who makes the series\n\
             GET  /targets                    what is scraped (also /api/v1/targets)\n\
             GET  /service-discovery          what was found, and what became of it\n\
             GET  /relabel                    why labels are what they are\n\
             GET  /health                     whether the process is alive (also /-/healthy)\n\
             GET  /ready                      whether it takes writes (also /-/ready)\n\
             POST /-/reload                   loads the configuration again\n\
             \n\
             All of them are also under /influx, /prometheus, /opentelemetry and /opentsdb.\n"
        ),
    )
}

/// How many entries of each list a status is asked to show: `limit`, with Prometheus's default and refusal.
pub(super) fn status_limit(query: &str) -> Result<usize, Answer> {
    let limit = match Query::new(query).first("limit") {
        Ok(limit) if limit.as_deref().is_none_or(str::is_empty) => return Ok(STATUS_ENTRIES),
        Ok(limit) => limit.unwrap_or_default().parse().ok().filter(|&limit| limit > 0),
        Err(_) => None,
    };
    limit.ok_or_else(|| {
        let error = "limit must be a positive number";
        Answer::json(400, &json!({"status": "error", "errorType": "bad_data", "error": error}))
    })
}

/// Entries of each list of a status, if it is not said.
const STATUS_ENTRIES: usize = 10;

/// `/api/v1/status/tsdb`, in Prometheus's shape, the first `limit` entries of each list. A series that several workers
/// know counts once for each.
pub(super) fn status_tsdb(counts: &SurveyCounts, limit: usize) -> Answer {
    let list = |entries: &[(String, u64)]| -> Vec<_> {
        entries.iter().take(limit).map(|(name, value)| json!({"name": name, "value": value})).collect()
    };
    Answer::json(
        200,
        &json!({"status": "success", "data": {
            "headStats": {
                "numSeries": counts.series,
                "numLabelPairs": counts.label_pairs,
                // There are no chunks in memory, and nobody keeps the times of what is in the log.
                "chunkCount": 0,
                "minTime": 0,
                "maxTime": 0,
            },
            "seriesCountByMetricName": list(&counts.series_by_metric),
            "labelValueCountByLabelName": list(&counts.values_by_label),
            "memoryInBytesByLabelName": list(&counts.bytes_by_label),
            "seriesCountByLabelValuePair": list(&counts.series_by_pair),
        }}),
    )
}

#[cfg(test)]
mod tests {
    use super::super::routes::Route;
    use super::*;
    use crate::http::Method;

    fn text(answer: &Answer) -> &str {
        std::str::from_utf8(&answer.body).unwrap()
    }

    #[test]
    fn what_writers_ask_before_they_write_is_answered() {
        let created = query("q=CREATE+DATABASE+%22bench%22", "");
        assert_eq!((created.status, text(&created)), (200, r#"{"results":[{"statement_id":0}]}"#));
        let shown = query("", "q=show%20databases%3B");
        assert_eq!(
            text(&shown),
            r#"{"results":[{"series":[{"columns":["name"],"name":"databases"}],"statement_id":0}]}"#
        );
        assert_eq!(query("q=SELECT+1", "").status, 400);
        assert_eq!(query("db=x", "").status, 400);
        assert_eq!(query("q=%zz", "").status, 400);
    }

    #[test]
    fn the_index_names_what_there_is() {
        let index = index();
        let lines = text(&index).lines().filter(|line| line.contains("  ") && line.contains(" /"));
        let named = lines.filter_map(|line| {
            let mut words = line.split_whitespace();
            let method = match words.next()? {
                "GET" => Method::Get,
                "POST" => Method::Post,
                "PUT" => Method::Put,
                _ => return None,
            };
            Some((method, words.next()?))
        });
        let named: Vec<_> = named.collect();
        assert_eq!(named.len(), 22);
        for (method, path) in named {
            assert!(Route::find(method, path).is_ok(), "{method:?} {path}");
        }
    }

    #[test]
    fn ping_names_a_version() {
        assert_eq!(ping("").status, 204);
        assert_eq!(ping("verbose=true").status, 200);
        assert!(ping("").headers.iter().any(|(name, _)| *name == "X-Influxdb-Version"));
    }
}
