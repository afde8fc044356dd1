//! `/api/put`: OpenTSDB's data points as JSON.
//!
//! Statuses and bodies are OpenTSDB 2's, with tidegate's write result in the same object: 204 or 400, with `summary` in
//! the query the numbers of points taken and not taken, with `details` the points not taken, too. `errors` is both
//! OpenTSDB's and ours: its elements have `index` and `error`, and `datapoint` where details are asked for.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::model::{RowError, WriteResult};

use super::super::answer::Answer;
use super::plain::Counts;
use super::{Format, Opened, Reading, Rows};
use crate::http::{Head, Query};

/// What an answer tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::serve) enum Report {
    /// The status, and what is wrong.
    Status,
    /// How many points were taken.
    Summary,
    /// Which points were not taken, too.
    Details,
}

/// Reads the head of a write.
pub(super) fn open(head: &Head<'_>) -> Result<Opened, Answer> {
    let unread = Format::OpenTsdb(Report::Status);
    let report = Report::parse(head.query).map_err(|e| unread.refusal(400, &e))?;
    let format = Format::OpenTsdb(report);
    Ok(Opened {
        format,
        encoding: format.encoding(head)?,
        rows: Rows::OpenTsdb(Box::default()),
        reading: Reading::Whole,
    })
}

impl Report {
    fn parse(query: &str) -> Result<Report, String> {
        let mut report = Report::Status;
        for pair in Query::new(query) {
            // sync, sync_timeout: every answer waits until the rows are durable.
            match &*pair.map_err(|e| e.to_string())?.0 {
                "details" => report = Report::Details,
                "summary" if report == Report::Status => report = Report::Summary,
                _ => {}
            }
        }
        Ok(report)
    }
}

/// The answer to a write whose rows are durable, or that had none.
pub(super) fn write_answer(report: Report, result: &WriteResult) -> Answer {
    let failed = result.rejected > 0;
    match report {
        Report::Status if failed => {
            let details = "Please see the TSD logs or append \"details\" to the put request";
            error_body(400, "One or more data points had errors", Some(details), Some(result))
        }
        Report::Status => Answer::empty(204),
        Report::Summary | Report::Details => {
            let details =
                (report == Report::Details).then(|| result.errors.iter().map(BadPoint::new).collect());
            let body = Summary {
                success: result.accepted,
                failed: result.rejected,
                counts: (failed && details.is_none()).then(|| Counts::new(result)),
                accepted: (failed && details.is_some()).then_some(result.accepted),
                rejected: (failed && details.is_some()).then_some(result.rejected),
                errors: details,
            };
            Answer::json(if failed { 400 } else { 200 }, &body)
        }
    }
}

/// An error. `result` adds the counts and the first reasons.
pub(super) fn error_answer(status: u16, message: &str, result: Option<&WriteResult>) -> Answer {
    error_body(status, message, None, result)
}

fn error_body(status: u16, message: &str, details: Option<&str>, result: Option<&WriteResult>) -> Answer {
    let body = ErrorBody { error: Error { code: status, message, details }, counts: result.map(Counts::new) };
    Answer::json(status, &body)
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: Error<'a>,
    #[serde(flatten)]
    counts: Option<Counts<'a>>,
}

#[derive(Serialize)]
struct Error<'a> {
    code: u16,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a str>,
}

#[derive(Serialize)]
struct Summary<'a> {
    success: u64,
    failed: u64,
    #[serde(flatten)]
    counts: Option<Counts<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<Vec<BadPoint<'a>>>,
}

/// A point that was not taken.
#[derive(Serialize)]
struct BadPoint<'a> {
    index: u64,
    datapoint: Datapoint<'a>,
    error: &'a str,
}

/// A point as it was sent.
#[derive(Serialize)]
#[serde(untagged)]
enum Datapoint<'a> {
    Json(&'a RawValue),
    /// What is no JSON: the start of a point that is too long to be kept, or one with a bare `NaN`.
    Text(&'a str),
}

impl<'a> BadPoint<'a> {
    fn new(e: &'a RowError) -> BadPoint<'a> {
        let datapoint =
            serde_json::from_str(&e.original).map_or(Datapoint::Text(&e.original), Datapoint::Json);
        BadPoint { index: e.index, datapoint, error: &e.error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn result(accepted: u64, bad: &[u64]) -> WriteResult {
        let mut result = WriteResult { accepted, ..WriteResult::default() };
        for &index in bad {
            result.reject(index, "value", br#"{"metric":"a","value":NaN}"#, || "Missing tags".into());
        }
        if let Some(error) = result.errors.first_mut() {
            error.original = r#"{"metric":"a"}"#.into();
        }
        result
    }

    fn body(answer: &Answer) -> Value {
        serde_json::from_slice(&answer.body).unwrap()
    }

    #[test]
    fn parameters_count_by_being_there() {
        for (query, report) in [
            ("", Report::Status),
            ("sync&sync_timeout=60", Report::Status),
            ("summary", Report::Summary),
            ("details&summary", Report::Details),
            ("summary=true&details=", Report::Details),
        ] {
            assert_eq!(Report::parse(query), Ok(report), "{query}");
        }
        assert!(Report::parse("details=%f").is_err());
    }

    #[test]
    fn all_taken_is_204_or_a_summary() {
        assert_eq!(write_answer(Report::Status, &result(3, &[])), Answer::empty(204));
        let summary = write_answer(Report::Summary, &result(3, &[]));
        assert_eq!((summary.status, body(&summary)), (200, json!({"success": 3, "failed": 0})));
        let details = write_answer(Report::Details, &result(3, &[]));
        assert_eq!((details.status, body(&details)), (200, json!({"success": 3, "failed": 0, "errors": []})));
    }

    #[test]
    fn bad_points_are_400_and_named() {
        let plain = write_answer(Report::Status, &result(1, &[2]));
        let found = body(&plain);
        assert_eq!((plain.status, &found["error"]["code"]), (400, &json!(400)));
        assert_eq!(found["error"]["message"], "One or more data points had errors");
        assert_eq!(found["errors"], json!([{"index": 2, "error": "Missing tags"}]));
        assert_eq!((&found["accepted"], &found["rejected"]), (&json!(1), &json!(1)));

        let summary = write_answer(Report::Summary, &result(1, &[2]));
        let expected = json!({"success": 1, "failed": 1, "accepted": 1, "rejected": 1,
            "errors": [{"index": 2, "error": "Missing tags"}]});
        assert_eq!((summary.status, body(&summary)), (400, expected));

        let details = write_answer(Report::Details, &result(1, &[2, 3]));
        let expected = json!({"success": 1, "failed": 2, "accepted": 1, "rejected": 2, "errors": [
            {"index": 2, "datapoint": {"metric": "a"}, "error": "Missing tags"},
            {"index": 3, "datapoint": "{\"metric\":\"a\",\"value\":NaN}", "error": "Missing tags"}]});
        assert_eq!((details.status, body(&details)), (400, expected));
    }
    #[test]
    fn a_point_is_shown_as_it_was_sent() {
        for (sent, shown) in [
            (r#"{"value":1e400}"#, r#"{"value":1e400}"#),
            (
                r#"{ "value": 18446744073709551616, "b":-0.10E+1,"a":"\ud800\/"}"#,
                r#"{ "value": 18446744073709551616, "b":-0.10E+1,"a":"\ud800\/"}"#,
            ),
            (r#"{"metric":"a","metric":"a"}"#, r#"{"metric":"a","metric":"a"}"#),
            (r#"{"value":NaN}"#, r#""{\"value\":NaN}""#),
            (r#"{"value":"cut"#, r#""{\"value\":\"cut""#),
        ] {
            let mut result = result(0, &[1]);
            result.errors[0].original = sent.to_owned();
            let answer = String::from_utf8(write_answer(Report::Details, &result).body).unwrap();
            assert!(answer.contains(&format!("\"datapoint\":{shown},\"error\"")), "{answer}");
        }
    }
}
