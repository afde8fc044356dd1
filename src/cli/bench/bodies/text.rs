//! Samples as lines of text: exposition text, VictoriaMetrics' JSON lines, DogStatsD.
//!
//! The workloads' names and values are letters, digits and points: nothing has to be escaped.

use super::sample::Sample;

/// `name{label="value"} number `, up to its time.
pub(super) fn write_exposition(sample: Sample<'_>, out: &mut Vec<u8>) {
    push(out, &[sample.name]);
    let mut before = "{";
    for (name, value) in sample.tags() {
        push(out, &[before, name, "=\"", value, "\""]);
        before = ",";
    }
    push(out, &[if before == "{" { " " } else { "} " }, sample.digits, " "]);
}

/// `{"metric":{...},"values":[number`, up to the next number or the end of numbers.
pub(super) fn write_json_start(sample: Sample<'_>, out: &mut Vec<u8>) {
    push(out, &["{\"metric\":{\"__name__\":\"", sample.name, "\""]);
    for (name, value) in sample.tags() {
        push(out, &[",\"", name, "\":\"", value, "\""]);
    }
    push(out, &["},\"values\":[", sample.digits]);
}

/// `name:number|c|#tag:value` and the end of the line.
pub(super) fn write_statsd(sample: Sample<'_>, out: &mut Vec<u8>) {
    push(out, &[sample.name, ":", sample.digits, "|c"]);
    let mut before = "|#";
    for (name, value) in sample.tags() {
        push(out, &[before, name, ":", value]);
        before = ",";
    }
    push(out, &["\n"]);
}

pub(super) fn push(out: &mut Vec<u8>, parts: &[&str]) {
    parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
}
