//! The Influx endpoints: what their query parameters mean, and how each version answers a write.
//!
//! Statuses and bodies are those of InfluxDB 1.x for `/write`, 2.x for `/api/v2/write` and 3 for `/api/v3/write_lp`,
//! with tidegate's write result in the same object.

use serde::Serialize;

use crate::model::{RowError, WriteResult};
use crate::wire::influx::{Decoder, Dialect, Precision};

use super::super::answer::Answer;
use super::plain::Counts;
use super::{Format, Opened, Reading, Rows};
use crate::http::{Head, Query};

/// What `X-Influxdb-Version` says: the v1 API that clients probe for.
pub(in crate::serve) const VERSION_HEADER: (&str, &str) = ("X-Influxdb-Version", "1.8.10-tidegate");

/// Reads the head of a write.
pub(super) fn open(dialect: Dialect, head: &Head<'_>, wall_ns: i64) -> Result<Opened, Answer> {
    let format = Format::Influx(dialect);
    let params = Params::parse(dialect, head.query).map_err(|e| format.refusal(400, &e))?;
    Ok(Opened {
        format,
        encoding: format.encoding(head)?,
        rows: Rows::Influx(Box::new(Decoder::new(dialect, params.precision, wall_ns))),
        reading: if params.all_or_nothing { Reading::AllOrNothing } else { Reading::Streamed },
    })
}

/// What the query string says.
struct Params {
    precision: Precision,
    all_or_nothing: bool,
}

impl Params {
    fn parse(dialect: Dialect, query: &str) -> Result<Params, String> {
        let mut precision = "";
        let mut accept_partial = true;
        let mut held;
        for pair in Query::new(query) {
            let (name, value) = pair.map_err(|e| e.to_string())?;
            match &*name {
                "precision" => {
                    held = value.into_owned();
                    precision = &held;
                }
                "accept_partial" => {
                    accept_partial = match &*value {
                        "true" => true,
                        "false" => false,
                        other => return Err(format!("accept_partial is true or false, not {other:?}")),
                    }
                }
                // db, bucket, org, rp, consistency, u, p, no_sync: taken, and of no consequence here.
                _ => {}
            }
        }
        let precision =
            Precision::parse(dialect, precision).ok_or_else(|| format!("invalid precision {precision:?}"))?;
        Ok(Params { precision, all_or_nothing: dialect == Dialect::V3 && !accept_partial })
    }
}

/// The answer to a write whose rows are durable, or that had none.
pub(super) fn write_answer(dialect: Dialect, result: &WriteResult) -> Answer {
    if result.rejected == 0 {
        return match (dialect, result.accepted) {
            (Dialect::V1, _) | (_, 1..) => Answer::empty(204),
            (Dialect::V2, 0) => error_answer(dialect, 400, "writing requires points", Some(result)),
            (Dialect::V3, 0) => error_answer(dialect, 400, "no lines in the request's body", Some(result)),
        };
    }
    let first = result.errors.first();
    let cause = match first {
        Some(e) if e.reason == "series_limit" => e.error.clone(),
        Some(e) => format!("unable to parse '{}': {}", e.original, e.error),
        None => String::new(),
    };
    let partial = format!("partial write: {cause} dropped={}", result.rejected);
    // What parses and is over a limit is a partial write also where it is all: so InfluxDB tells it.
    let parsed_nothing = result.accepted == 0 && first.is_some_and(|e| e.reason != "series_limit");
    match (dialect, result.accepted) {
        (Dialect::V1 | Dialect::V2, 0) if parsed_nothing => error_answer(dialect, 400, &cause, Some(result)),
        (Dialect::V1, _) => error_answer(dialect, 400, &partial, Some(result)),
        (Dialect::V2, _) => {
            let message = format!("failure writing points to database: {partial}");
            error_answer(dialect, 422, &message, Some(result))
        }
        (Dialect::V3, _) => {
            error_answer(dialect, 400, "partial write of line protocol occurred", Some(result))
        }
    }
}

/// The answer to a write of which nothing was taken because a line was bad and the request wanted all or nothing.
pub(super) fn refused_whole_answer(result: &WriteResult) -> Answer {
    error_answer(Dialect::V3, 400, "parsing failed for write_lp endpoint", Some(result))
}

/// An error in the form of this version. `result` adds the counts and the first reasons.
pub(super) fn error_answer(
    dialect: Dialect,
    status: u16,
    message: &str,
    result: Option<&WriteResult>,
) -> Answer {
    let data = match (dialect, result) {
        (Dialect::V3, Some(result)) => Some(result.errors.iter().map(BadLine::new).collect()),
        _ => None,
    };
    let body = ErrorBody {
        error: (dialect != Dialect::V2).then_some(message),
        code: (dialect == Dialect::V2).then_some(code(status)),
        message: (dialect == Dialect::V2).then_some(message),
        data,
        counts: result.map(Counts::new),
    };
    Answer::json(status, &body)
}

/// InfluxDB 2's name for a status.
fn code(status: u16) -> &'static str {
    match status {
        400 => "invalid",
        401 => "unauthorized",
        404 => "not found",
        405 => "method not allowed",
        408 => "request timeout",
        413 => "request too large",
        415 => "unsupported media type",
        422 => "unprocessable entity",
        503 => "unavailable",
        _ => "internal error",
    }
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Vec<BadLine<'a>>>,
    #[serde(flatten)]
    counts: Option<Counts<'a>>,
}

/// InfluxDB 3's description of a line that was not taken.
#[derive(Serialize)]
struct BadLine<'a> {
    original_line: &'a str,
    line_number: u64,
    error_message: &'a str,
}

impl<'a> BadLine<'a> {
    fn new(e: &'a RowError) -> BadLine<'a> {
        BadLine { original_line: &e.original, line_number: e.index, error_message: &e.error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn result(accepted: u64, bad: &[u64]) -> WriteResult {
        let mut result = WriteResult { accepted, ..WriteResult::default() };
        for &line in bad {
            result.reject(line, "syntax", b"cpu", || "missing fields".into());
        }
        result
    }

    fn body(answer: &Answer) -> Value {
        serde_json::from_slice(&answer.body).unwrap()
    }

    #[test]
    fn all_taken_is_204_with_no_body() {
        for dialect in [Dialect::V1, Dialect::V2, Dialect::V3] {
            let answer = write_answer(dialect, &result(3, &[]));
            assert_eq!((answer.status, answer.body.len()), (204, 0));
        }
    }

    #[test]
    fn a_partial_write_says_so_in_each_versions_way_and_counts() {
        let v1 = write_answer(Dialect::V1, &result(2, &[3, 5]));
        assert_eq!(v1.status, 400);
        assert_eq!(
            body(&v1),
            json!({"error": "partial write: unable to parse 'cpu': missing fields dropped=2", "accepted": 2, "rejected": 2,
                "errors": [{"index": 3, "error": "missing fields"}, {"index": 5, "error": "missing fields"}]})
        );
        let v2 = write_answer(Dialect::V2, &result(2, &[3]));
        assert_eq!((v2.status, &body(&v2)["code"]), (422, &json!("unprocessable entity")));
        let v3 = write_answer(Dialect::V3, &result(2, &[3]));
        assert_eq!(v3.status, 400);
        assert_eq!(
            body(&v3)["data"],
            json!([{"original_line": "cpu", "line_number": 3, "error_message": "missing fields"}])
        );
    }

    #[test]
    fn nothing_taken_is_400_and_names_the_first_line() {
        let v1 = write_answer(Dialect::V1, &result(0, &[1]));
        assert_eq!((v1.status, &body(&v1)["error"]), (400, &json!("unable to parse 'cpu': missing fields")));
        let v2 = write_answer(Dialect::V2, &result(0, &[1]));
        assert_eq!((v2.status, &body(&v2)["code"]), (400, &json!("invalid")));
    }

    #[test]
    fn a_body_without_rows_is_fine_for_version_1_only() {
        assert_eq!(write_answer(Dialect::V1, &result(0, &[])).status, 204);
        let v2 = write_answer(Dialect::V2, &result(0, &[]));
        assert_eq!((v2.status, &body(&v2)["message"]), (400, &json!("writing requires points")));
        assert_eq!(write_answer(Dialect::V3, &result(0, &[])).status, 400);
    }
}
