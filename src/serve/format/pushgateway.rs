//! The Pushgateway's protocol: `/metrics/job/JOB{/LABEL/VALUE}`, by `PUT`, `POST` and `DELETE`.
//!
//! Statuses are the Pushgateway's: 200 for a push, 202 for a deletion, 400 for a path or body that it would refuse.
//! What it would be scraped for ever for is written once: the pushed samples at the time of the push,
//! `push_time_seconds` and `push_failure_time_seconds`, and stale markers where its page would no longer show a
//! series. As there, times in the body and series that come twice are refused, and the group's labels take the
//! place of a series' own. A push is all or nothing: one that has a series for which there is no room writes nothing.

use std::sync::Arc;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::model::{Intake, WriteResult};
use crate::wire::exposition::{GivenLabel, Push, PushOptions, SeriesKey};
use crate::wire::{Decode, Fed, FedState, Malformed};

use super::super::answer::Answer;
use super::super::groups::{Change, Groups};
use super::plain::error_answer;
use super::{Format, Opened, Reading, Rows, exposition};
use crate::http::body::Encoding;
use crate::http::{Head, Method, decode_segment};

/// The path of a group under any of the prefixes, up to the job.
pub(in crate::serve) fn group_path(path: &str) -> Option<&str> {
    let path = path.strip_prefix("/api/v1/import/prometheus").unwrap_or(path);
    let rest = path.strip_prefix("/metrics/job")?;
    // Some clients write an at sign in a path as a percent code.
    let is_base64 = rest.starts_with(BASE64) || rest.starts_with("%40base64");
    (rest.is_empty() || rest.starts_with('/') || is_base64).then_some(rest)
}

/// What a method does to a group.
pub(in crate::serve) fn change(method: Method<'_>) -> Change {
    match method.as_str() {
        "PUT" => Change::Replace,
        "DELETE" => Change::Delete,
        _ => Change::Update,
    }
}

/// Reads the head of a push or a deletion.
pub(super) fn open(
    change: Change,
    head: &Head<'_>,
    wall_ns: i64,
    groups: &Arc<Groups>,
) -> Result<Opened, Answer> {
    let format = Format::Pushgateway(change);
    let labels =
        group_labels(super::super::routes::bare(head.path)).map_err(|error| format.refusal(400, &error))?;
    let of_body = exposition::body_format(head).map_err(|error| format.refusal(415, error))?;
    let mut key = Vec::new();
    for part in labels.iter().flat_map(|(name, value)| [name, value]) {
        // UTF-8 has no such byte.
        key.extend_from_slice(part.as_bytes());
        key.push(0xff);
    }
    let label = |(name, value): &(String, String)| GivenLabel::new(name.as_bytes(), value.as_bytes());
    let group = labels.iter().map(label).collect();
    let pushed = Pushed {
        push: Push::new(PushOptions { format: of_body, time_ns: wall_ns, group }),
        change,
        key,
        groups: Arc::clone(groups),
        is_applied: false,
        ended: Vec::new(),
    };
    Ok(Opened {
        format,
        encoding: match head.headers.content_encoding.eq_ignore_ascii_case(b"snappy") {
            // Blocks in frames: a stream, as the Pushgateway has it.
            true => Encoding::SnappyFrames,
            false => format.encoding(head)?,
        },
        rows: Rows::Pushgateway(Box::new(pushed)),
        reading: Reading::AllOrNothing,
    })
}

/// The decoder of a push, and the group it goes to.
pub(in crate::serve) struct Pushed {
    push: Push,
    change: Change,
    key: Vec<u8>,
    groups: Arc<Groups>,
    /// The group knows of it.
    is_applied: bool,
    /// What it ends, until that is told.
    ended: Vec<SeriesKey>,
}

impl Decode for Pushed {
    fn check(&mut self, body: &[u8]) -> Result<(), Malformed> {
        // What a deletion says means nothing.
        self.push.check(if self.change == Change::Delete { &[] } else { body })
    }

    fn rewind(&mut self) {
        self.push.rewind();
    }

    /// Stale markers are left out, and with them all of a deletion: what they end was there before.
    fn rehearse<I: Intake>(&mut self, body: &[u8], intake: &mut I, result: &mut WriteResult) {
        if self.change == Change::Delete {
            return;
        }
        self.push.rehearse_with(Groups::own_rows(), body, intake, result);
    }

    fn feed<I: Intake>(&mut self, input: &[u8], last: bool, intake: &mut I, result: &mut WriteResult) -> Fed {
        if !std::mem::replace(&mut self.is_applied, true) {
            self.ended = self.groups.apply(&self.key, self.change, &mut self.push);
        }
        let body = if self.change == Change::Delete { &[] } else { input };
        let fed = self.push.feed(body, last, intake, result);
        if fed.state != FedState::Done {
            return Fed { consumed: 0, ..fed };
        }
        self.ended.clear();
        Fed { consumed: input.len(), ..fed }
    }
}

impl Drop for Pushed {
    /// A push that was given up on its way, for want of room or because its connection went, ends nothing.
    fn drop(&mut self) {
        if !self.ended.is_empty() {
            self.groups.restore(&self.key, std::mem::take(&mut self.ended));
        }
    }
}

/// The labels of the group that a path names, sorted: all that follows `/metrics/job`.
fn group_labels(path: &str) -> Result<Vec<(String, String)>, String> {
    let rest = group_path(path).unwrap_or_default();
    // As in the Pushgateway: decoded first, then cut, so that a slash in a value needs base64.
    let rest = decode_segment(rest).map_err(|e| e.to_string())?;
    let (is_base64, rest) = match rest.strip_prefix(BASE64) {
        Some(rest) => (true, rest),
        None => (false, &*rest),
    };
    let rest = rest.strip_prefix('/').unwrap_or_default();
    let (job, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let job = if is_base64 { decode_base64("job", job)? } else { job.to_owned() };
    if job.is_empty() {
        return Err("job name is required".into());
    }
    let mut labels = std::collections::BTreeMap::new();
    let parts: Vec<&str> = if rest.is_empty() { Vec::new() } else { rest.split('/').collect() };
    if !parts.len().is_multiple_of(2) {
        return Err(format!("odd number of components in label string {rest:?}"));
    }
    for pair in parts.chunks_exact(2) {
        let (name, is_base64) = match pair[0].strip_suffix(BASE64) {
            Some(name) => (name, true),
            None => (pair[0], false),
        };
        if !is_label_name(name) {
            return Err(format!("improper label name {name:?}"));
        }
        let value = if is_base64 { decode_base64(name, pair[1])? } else { pair[1].to_owned() };
        labels.insert(name.to_owned(), value);
    }
    labels.insert("job".to_owned(), job);
    Ok(labels.into_iter().collect())
}

fn is_label_name(name: &str) -> bool {
    let letter = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    let whole = name.bytes().all(|b| letter(b) || b.is_ascii_digit());
    whole && name.bytes().next().is_some_and(letter) && !name.starts_with("__")
}

fn decode_base64(name: &str, value: &str) -> Result<String, String> {
    let decoded = URL_SAFE.decode(value.trim_end_matches('=')).map_err(|e| e.to_string());
    let text = decoded.and_then(|bytes| String::from_utf8(bytes).map_err(|e| e.to_string()));
    text.map_err(|e| format!("invalid base64 encoding for label {name}={value:?}: {e}"))
}

/// The answer to a push or deletion whose rows are durable.
pub(super) fn write_answer(change: Change, result: &WriteResult) -> Answer {
    let Some(first) = result.errors.first() else {
        return Answer::empty(if change == Change::Delete { 202 } else { 200 });
    };
    if matches!(first.reason, "series_limit" | "too_large") {
        return error_answer(400, &first.error, Some(result));
    }
    // What was written then is that the push was refused: of the push itself there is nothing.
    let nothing = WriteResult { accepted: 0, samples: 0, ..result.clone() };
    let error = format!(
        "pushed metrics are invalid or inconsistent with existing metrics: line {}: {}",
        first.index, first.error
    );
    error_answer(400, &error, Some(&nothing))
}

/// Behind the name of a label whose value is in base64.
const BASE64: &str = "@base64";

const URL_SAFE: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(path: &str) -> Result<String, String> {
        let shown = |(name, value): &(String, String)| format!("{name}={value}");
        group_labels(path).map(|labels| labels.iter().map(shown).collect::<Vec<_>>().join(","))
    }

    #[test]
    fn a_path_names_a_group() {
        for (path, expected) in [
            ("/metrics/job/a", "job=a"),
            ("/metrics/job/a/", "job=a"),
            ("/metrics/job/a%20b/instance/c+d", "instance=c+d,job=a b"),
            ("/metrics/job/a/z/1/b/2/z/3", "b=2,job=a,z=3"),
            ("/metrics/job/a/job/b", "job=a"),
            ("/metrics/job/a/instance/", "instance=,job=a"),
            ("/metrics/job@base64/L3Zhci90bXA", "job=/var/tmp"),
            ("/metrics/job@base64/L3Zhci90bXA=/path@base64/L3Zhci90bXA=", "job=/var/tmp,path=/var/tmp"),
            ("/metrics/job%40base64/L3Zhci90bXA/path%40base64/L3Zhci90bXA", "job=/var/tmp,path=/var/tmp"),
            ("/metrics/job/a/path@base64/=", "job=a,path="),
            ("/metrics/job/a/name@base64/zqDPgc6_zrzOt864zrXPjc-C", "job=a,name=Προμηθεύς"),
            ("/api/v1/import/prometheus/metrics/job/a/b/c", "b=c,job=a"),
        ] {
            assert_eq!(labels(path).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn a_path_that_names_none_is_refused() {
        for (path, expected) in [
            ("/metrics/job", "job name is required"),
            ("/metrics/job/", "job name is required"),
            ("/metrics/job//instance/a", "job name is required"),
            ("/metrics/job@base64/=", "job name is required"),
            ("/metrics/job/a/instance", "odd number"),
            ("/metrics/job/a%2Fb", "odd number"),
            ("/metrics/job/a/__x/b", "improper label name"),
            ("/metrics/job/a/0x/b", "improper label name"),
            ("/metrics/job/a//b", "improper label name"),
            ("/metrics/job/a/b@base64/%%%", "percent"),
            ("/metrics/job@base64/a!", "invalid base64"),
            ("/metrics/job/a/b@base64/_w", "invalid base64"),
        ] {
            let error = labels(path).unwrap_err();
            assert!(error.contains(expected), "{path}: {error}");
        }
        for other in ["/metrics", "/metrics/jobs/a", "/metrics/jobx", "/job/a"] {
            assert_eq!(group_path(other), None, "{other}");
        }
    }
}
