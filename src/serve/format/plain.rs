//! The answers of formats whose protocol has no error object of its own: 204, or an object with the error and what
//! became of the rows.

use serde::Serialize;

use crate::model::{RowError, WriteResult};

use super::super::answer::Answer;

/// The answer to a write whose rows are durable, or that had none; `unit` is what its errors count in: `line`.
pub(super) fn write_answer(unit: &str, result: &WriteResult) -> Answer {
    if result.rejected == 0 {
        return Answer::empty(204);
    }
    let rows = result.accepted + result.rejected;
    let first =
        result.errors.first().map_or_else(String::new, |e| format!(": {unit} {}: {}", e.index, e.error));
    let message = format!("{} of {rows} rows were not taken{first}", result.rejected);
    error_answer(400, &message, Some(result))
}

/// An error. `result` adds the counts and the first reasons.
pub(super) fn error_answer(status: u16, message: &str, result: Option<&WriteResult>) -> Answer {
    Answer::json(status, &ErrorBody { error: message, counts: result.map(Counts::new) })
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: &'a str,
    #[serde(flatten)]
    counts: Option<Counts<'a>>,
}

/// What became of a write's rows: part of every object that answers one that was not wholly taken.
#[derive(Serialize)]
pub(super) struct Counts<'a> {
    accepted: u64,
    rejected: u64,
    errors: Vec<Reason<'a>>,
}

impl<'a> Counts<'a> {
    pub(super) fn new(result: &'a WriteResult) -> Counts<'a> {
        let errors = result.errors.iter().map(Reason::new).collect();
        Counts { accepted: result.accepted, rejected: result.rejected, errors }
    }
}

/// A row that was not taken.
#[derive(Serialize)]
struct Reason<'a> {
    index: u64,
    error: &'a str,
}

impl<'a> Reason<'a> {
    fn new(e: &'a RowError) -> Reason<'a> {
        Reason { index: e.index, error: &e.error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn what_was_not_taken_is_counted_and_named() {
        let mut result = WriteResult { accepted: 3, ..WriteResult::default() };
        assert_eq!(write_answer("line", &result), Answer::empty(204));
        result.reject(2, "syntax", b"x", || "no object".into());
        result.reject(4, "value", b"y", || "no number".into());
        let answer = write_answer("line", &result);
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        let expected = json!({"error": "2 of 5 rows were not taken: line 2: no object", "accepted": 3, "rejected": 2,
            "errors": [{"index": 2, "error": "no object"}, {"index": 4, "error": "no number"}]});
        assert_eq!((answer.status, body), (400, expected));
        let answer = error_answer(413, "too large", None);
        assert_eq!(serde_json::from_slice::<Value>(&answer.body).unwrap(), json!({"error": "too large"}));
    }
}
