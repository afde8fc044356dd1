//! Prometheus remote write: which message a head announces, and how a write is answered.
//!
//! Statuses are those of the specifications, for both messages: 204, 400 for what is never to be sent again, 415 for
//! other messages and codings, 503 for what is. Prometheus's receiver answers with text; the object here has it as
//! `error`. To a 2.0 sender every answer says in its headers what was written.

use crate::model::WriteResult;
use crate::wire::remote_write::{Decoder, Message};

use super::super::answer::Answer;
use super::{Format, Opened, Reading, Rows, plain};
use crate::http::Head;
use crate::http::body::Encoding;

/// Reads the head of a write.
pub(super) fn open(head: &Head<'_>) -> Result<Opened, Answer> {
    let refused = |message, error: &str| Format::RemoteWrite(message).refusal(415, error);
    let message = message(head.headers.content_type).map_err(|error| refused(Message::V1, &error))?;
    let coding = head.headers.content_encoding;
    // Senders of early versions do not name the coding that all have used.
    if !coding.is_empty() && !coding.eq_ignore_ascii_case(b"snappy") {
        let name = String::from_utf8_lossy(coding);
        let error = format!(
            "{name} encoding (compression) is not accepted by this server; only snappy is acceptable"
        );
        return Err(refused(message, &error));
    }
    Ok(Opened {
        format: Format::RemoteWrite(message),
        encoding: Encoding::Snappy,
        rows: Rows::RemoteWrite(Box::new(Decoder::new(message))),
        reading: Reading::Whole,
    })
}

/// The message that a `Content-Type` names; 1.0 where it names none.
fn message(content_type: &[u8]) -> Result<Message, String> {
    let text = String::from_utf8_lossy(content_type);
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    if !media.is_empty() && !media.eq_ignore_ascii_case(MEDIA_TYPE) {
        return Err(format!("expected {MEDIA_TYPE} as the first (media) part, got {text} content-type"));
    }
    for part in parts.filter(|part| !part.is_empty()) {
        let Some((name, value)) = part.split_once('=') else {
            return Err(format!("expected parameters to be key-values, got {part} in {text} content-type"));
        };
        if name.trim().eq_ignore_ascii_case("proto") {
            return match value.trim().trim_matches('"') {
                "prometheus.WriteRequest" => Ok(Message::V1),
                "io.prometheus.write.v2.Request" => Ok(Message::V2),
                other => Err(format!("unknown remote write protobuf message {other} in {text} content-type")),
            };
        }
    }
    Ok(Message::V1)
}

/// The answer to a write whose rows are durable, or that had none.
pub(super) fn write_answer(message: Message, result: &WriteResult) -> Answer {
    let answer = if result.rejected == 0 {
        Answer::empty(204)
    } else {
        let reasons: Vec<&str> = result.errors.iter().map(|e| e.error.as_str()).collect();
        plain::error_answer(400, &reasons.join("\n"), Some(result))
    };
    with_written(message, answer, Some(result))
}

/// An error. `result` adds the counts and the first reasons of what was taken before.
pub(super) fn error_answer(
    message: Message,
    status: u16,
    error: &str,
    result: Option<&WriteResult>,
) -> Answer {
    // What is sent again was not written, as far as the sender can know.
    let written = result.filter(|_| status < 500);
    with_written(message, plain::error_answer(status, error, result), written)
}

/// Says what was written, to those who ask.
fn with_written(message: Message, answer: Answer, written: Option<&WriteResult>) -> Answer {
    if message == Message::V1 {
        return answer;
    }
    let count = |of: fn(&WriteResult) -> u64| written.map_or(0, of).to_string();
    answer
        .with_header("X-Prometheus-Remote-Write-Samples-Written", count(|r| r.accepted - r.histograms))
        .with_header("X-Prometheus-Remote-Write-Histograms-Written", count(|r| r.histograms))
        .with_header("X-Prometheus-Remote-Write-Exemplars-Written", count(|r| r.exemplars))
}

const MEDIA_TYPE: &str = "application/x-protobuf";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_picks_the_message() {
        for (content_type, expected) in [
            ("", Some(Message::V1)),
            ("application/x-protobuf", Some(Message::V1)),
            ("application/x-protobuf;proto=prometheus.WriteRequest", Some(Message::V1)),
            ("application/x-protobuf;proto=io.prometheus.write.v2.Request", Some(Message::V2)),
            (
                "Application/X-Protobuf; charset=utf-8; proto=\"io.prometheus.write.v2.Request\"",
                Some(Message::V2),
            ),
            ("application/x-protobuf;", Some(Message::V1)),
            ("application/x-protobuf;proto=yolo", None),
            ("application/x-protobuf;proto", None),
            ("application/json", None),
            ("yolo", None),
        ] {
            assert_eq!(message(content_type.as_bytes()).ok(), expected, "{content_type}");
        }
    }

    #[test]
    fn what_was_written_is_said_to_2_0_alone() {
        let mut result = WriteResult { accepted: 7, histograms: 2, exemplars: 3, ..WriteResult::default() };
        let said =
            |answer: &Answer| -> Vec<String> { answer.headers.iter().map(|(_, v)| v.clone()).collect() };
        assert_eq!(said(&write_answer(Message::V2, &result)), ["5", "2", "3"]);
        assert!(write_answer(Message::V1, &result).headers.is_empty());
        result.reject(4, "labels", b"", || "no".into());
        let partial = write_answer(Message::V2, &result);
        assert_eq!((partial.status, said(&partial)), (400, vec!["5".into(), "2".into(), "3".into()]));
        assert_eq!(said(&error_answer(Message::V2, 503, "busy", Some(&result))), ["0", "0", "0"]);
        assert_eq!(said(&error_answer(Message::V2, 415, "zstd", None)), ["0", "0", "0"]);
    }
}
