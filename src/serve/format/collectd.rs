//! `/collectd`: what collectd's write_http posts with `Format "JSON"`.
//!
//! `store_rates=true` says that its option `StoreRates` is set, so that a rate that happens to be whole is no integer.
//! collectd does not act on the answer; with `LogHttpError` it logs every status but 200, so that is what says that all
//! was taken.

use crate::wire::collectd::{Counters, Decoder};

use super::super::answer::Answer;
use super::{Format, Opened, Reading, Rows, plain};
use crate::http::{Head, Query};
use crate::model::WriteResult;

/// Reads the head of a write. Rows without a time get `wall_ns`.
pub(super) fn open(head: &Head<'_>, wall_ns: i64) -> Result<Opened, Answer> {
    let format = Format::Collectd;
    let counters = counters(head.query).map_err(|e| format.refusal(400, &e))?;
    Ok(Opened {
        format,
        encoding: format.encoding(head)?,
        rows: Rows::Collectd(Box::new(Decoder::new(counters, wall_ns))),
        reading: Reading::Whole,
    })
}

fn counters(query: &str) -> Result<Counters, String> {
    match Query::new(query).first("store_rates").map_err(|e| e.to_string())?.as_deref() {
        None | Some("false") => Ok(Counters::AsSent),
        Some("true") => Ok(Counters::Rates),
        Some(other) => Err(format!("store_rates is true or false, not {other:?}")),
    }
}

/// The answer to a write whose rows are durable, or that had none.
pub(super) fn write_answer(result: &WriteResult) -> Answer {
    if result.rejected == 0 { Answer::empty(200) } else { plain::write_answer("element", result) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_asked_for() {
        for (query, expected) in [
            ("", Counters::AsSent),
            ("a=b&store_rates=false", Counters::AsSent),
            ("store_rates=true", Counters::Rates),
        ] {
            assert_eq!(counters(query), Ok(expected), "{query}");
        }
        for query in ["store_rates", "store_rates=1", "store_rates=%zz"] {
            assert!(counters(query).is_err(), "{query}");
        }
    }

    #[test]
    fn all_taken_is_200_since_collectd_logs_other_statuses() {
        let mut result = WriteResult { accepted: 3, ..WriteResult::default() };
        assert_eq!(write_answer(&result), Answer::empty(200));
        result.reject(2, "value", b"{}", || "no values".into());
        let answer = write_answer(&result);
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let expected = serde_json::json!({"error": "1 of 4 rows were not taken: element 2: no values",
            "accepted": 3, "rejected": 1, "errors": [{"index": 2, "error": "no values"}]});
        assert_eq!((answer.status, body), (400, expected));
    }
}
