//! OTLP over HTTP: which encoding a request is in, and how it is answered in the same.
//!
//! Statuses and bodies are those of the OpenTelemetry Collector's receiver: `Export...ServiceResponse` with 200, also
//! where some or all points were refused, which its `partial_success` says; `google.rpc.Status` otherwise.

use serde::Serialize;

use crate::bytes::write_varint;
use crate::model::WriteResult;
use crate::wire::otlp::{Decoder, Encoding, Signal};

use super::super::answer::Answer;
use super::{Format, Opened, Reading, Rows};
use crate::http::Head;

/// Reads the head of a write.
pub(super) fn open(signal: Signal, head: &Head<'_>, wall_ns: i64) -> Result<Opened, Answer> {
    let encoding = encoding(head.headers.content_type).ok_or_else(|| Answer::text(415, UNSUPPORTED))?;
    let format = Format::Otlp(signal, encoding);
    Ok(Opened {
        format,
        encoding: format.encoding(head)?,
        rows: Rows::Otlp(Box::new(Decoder::new(signal, encoding, wall_ns))),
        reading: Reading::Whole,
    })
}

/// The encoding that a `Content-Type` names, whatever its parameters.
fn encoding(content_type: &[u8]) -> Option<Encoding> {
    let name = content_type.split(|&b| b == b';').next().unwrap_or_default().trim_ascii();
    if name.eq_ignore_ascii_case(PROTOBUF.as_bytes()) {
        Some(Encoding::Protobuf)
    } else if name.eq_ignore_ascii_case(JSON.as_bytes()) {
        Some(Encoding::Json)
    } else {
        None
    }
}

/// The answer to a write whose rows are durable, or that had none.
pub(super) fn write_answer(signal: Signal, encoding: Encoding, result: &WriteResult) -> Answer {
    if result.rejected == 0 {
        return match encoding {
            Encoding::Protobuf => protobuf(200, Vec::new()),
            Encoding::Json => Answer::json(200, &Response { partial_success: None }),
        };
    }
    let error_message = described(result);
    match encoding {
        Encoding::Protobuf => {
            let mut partial = Vec::new();
            write_varint(&mut partial, FIELD_1_VARINT);
            write_varint(&mut partial, result.rejected);
            write_sized(&mut partial, FIELD_2_BYTES, error_message.as_bytes());
            let mut body = Vec::new();
            write_sized(&mut body, FIELD_1_BYTES, &partial);
            protobuf(200, body)
        }
        Encoding::Json => {
            let rejected = Some(result.rejected.to_string());
            let (points, records) = match signal {
                Signal::Metrics => (rejected, None),
                Signal::Logs => (None, rejected),
            };
            let partial = PartialSuccess {
                rejected_data_points: points,
                rejected_log_records: records,
                error_message: &error_message,
            };
            Answer::json(200, &Response { partial_success: Some(partial) })
        }
    }
}

/// An error. `result` adds the counts.
pub(super) fn error_answer(
    encoding: Encoding,
    status: u16,
    message: &str,
    result: Option<&WriteResult>,
) -> Answer {
    let counted = result
        .filter(|r| r.accepted + r.rejected > 0)
        .map_or(String::new(), |r| format!("; {} accepted, {} rejected", r.accepted, r.rejected));
    let message = format!("{message}{counted}");
    let code = code(status);
    match encoding {
        Encoding::Protobuf => {
            let mut body = Vec::new();
            write_varint(&mut body, FIELD_1_VARINT);
            write_varint(&mut body, code.into());
            write_sized(&mut body, FIELD_2_BYTES, message.as_bytes());
            protobuf(status, body)
        }
        Encoding::Json => Answer::json(status, &Status { code, message: &message }),
    }
}

/// The first reasons, and where.
fn described(result: &WriteResult) -> String {
    let mut text = String::new();
    for error in &result.errors {
        let separator = if text.is_empty() { "" } else { "; " };
        text += &format!("{separator}{}: {}", error.index, error.error);
        if !error.original.is_empty() {
            text += &format!(" ({:?})", error.original);
        }
    }
    let more = result.rejected - result.errors.len() as u64;
    if more > 0 {
        text += &format!("; and {more} more");
    }
    text
}

/// The code of a `google.rpc.Status` for a status of HTTP.
fn code(status: u16) -> u8 {
    match status {
        400 | 405 | 411 | 415 => 3,
        401 => 16,
        403 => 7,
        404 => 5,
        408 => 4,
        413 | 429 => 8,
        502..=504 => 14,
        _ => 13,
    }
}

fn protobuf(status: u16, body: Vec<u8>) -> Answer {
    Answer { status, content_type: PROTOBUF, headers: Vec::new(), body }
}

fn write_sized(out: &mut Vec<u8>, tag: u64, bytes: &[u8]) {
    write_varint(out, tag);
    write_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// `ExportMetricsServiceResponse` and `ExportLogsServiceResponse`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    partial_success: Option<PartialSuccess<'a>>,
}

/// 64-bit integers are strings in protobuf's JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PartialSuccess<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected_data_points: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected_log_records: Option<String>,
    error_message: &'a str,
}

/// `google.rpc.Status`
#[derive(Serialize)]
struct Status<'a> {
    code: u8,
    message: &'a str,
}

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
const UNSUPPORTED: &str = "415 unsupported media type, supported: [application/json, application/x-protobuf]";

const FIELD_1_VARINT: u64 = 1 << 3;
const FIELD_1_BYTES: u64 = 1 << 3 | 2;
const FIELD_2_BYTES: u64 = 2 << 3 | 2;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn result(accepted: u64, bad: u64) -> WriteResult {
        let mut result = WriteResult { accepted, ..WriteResult::default() };
        for index in 1..=bad {
            result.reject(index, "value", b"m", || "no value".into());
        }
        result
    }

    fn body(answer: &Answer) -> Value {
        serde_json::from_slice(&answer.body).unwrap()
    }

    #[test]
    fn content_types_name_their_encoding() {
        for (name, expected) in [
            ("application/x-protobuf", Some(Encoding::Protobuf)),
            ("Application/X-Protobuf ; a=b", Some(Encoding::Protobuf)),
            ("application/json;charset=utf-8", Some(Encoding::Json)),
            ("", None),
            ("application/protobuf", None),
            ("application/jsonx", None),
        ] {
            assert_eq!(encoding(name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn all_taken_is_an_empty_response() {
        let answer = write_answer(Signal::Metrics, Encoding::Protobuf, &result(3, 0));
        assert_eq!(
            (answer.status, answer.content_type, answer.body.len()),
            (200, "application/x-protobuf", 0)
        );
        let answer = write_answer(Signal::Logs, Encoding::Json, &result(0, 0));
        assert_eq!((answer.status, &answer.body[..]), (200, &b"{}"[..]));
    }

    #[test]
    fn what_was_refused_is_a_partial_success_that_says_why() {
        let answer = write_answer(Signal::Metrics, Encoding::Json, &result(1, 2));
        let why = "1: no value (\"m\"); 2: no value (\"m\")";
        assert_eq!(
            (answer.status, body(&answer)),
            (200, json!({"partialSuccess": {"rejectedDataPoints": "2", "errorMessage": why}}))
        );
        let answer = write_answer(Signal::Logs, Encoding::Json, &result(0, 12));
        let partial = &body(&answer)["partialSuccess"];
        assert_eq!(partial["rejectedLogRecords"], "12");
        assert!(partial["errorMessage"].as_str().unwrap().ends_with("; and 2 more"), "{partial}");
        let answer = write_answer(Signal::Metrics, Encoding::Protobuf, &result(0, 1));
        assert_eq!(answer.body, b"\x0a\x15\x08\x01\x12\x111: no value (\"m\")");
    }

    #[test]
    fn errors_are_a_status_in_the_requests_encoding() {
        let answer = error_answer(Encoding::Json, 503, "later", None);
        assert_eq!((answer.status, body(&answer)), (503, json!({"code": 14, "message": "later"})));
        let answer = error_answer(Encoding::Protobuf, 400, "no", Some(&result(5, 0)));
        assert_eq!((answer.status, answer.content_type), (400, "application/x-protobuf"));
        assert_eq!(answer.body, b"\x08\x03\x12\x1ano; 5 accepted, 0 rejected");
    }
}
