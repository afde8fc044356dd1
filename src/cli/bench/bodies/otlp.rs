//! Samples as OTLP gauges.
//!
//! Comes in: samples. Goes out: one ExportMetricsServiceRequest with one resource and scope, and where in it each
//! point's time lies. Consecutive samples of one name share a metric, as the SDKs and the Collector send them.

use super::sample::Sample;
use crate::bytes::write_varint;

/// A request while it is made.
#[derive(Default)]
pub(super) struct Request {
    /// Whole metrics, as the scope has them, and where in them times lie.
    metrics: Vec<u8>,
    times: Vec<u32>,
    /// The metric that is being made: its name, its points, and where in them times lie.
    name: String,
    points: Vec<u8>,
    point_times: Vec<u32>,
    scratch: Scratch,
}

#[derive(Default)]
struct Scratch {
    point: Vec<u8>,
    attribute: Vec<u8>,
    message: Vec<u8>,
}

impl Request {
    /// Bytes so far.
    pub(super) fn bytes(&self) -> usize {
        self.metrics.len() + self.points.len()
    }

    /// Adds a point.
    pub(super) fn add(&mut self, sample: Sample<'_>) {
        if self.point_times.len() == POINTS_MAX || self.name != sample.name {
            self.close_metric();
            self.name.clear();
            self.name.push_str(sample.name);
        }
        let Scratch { point, attribute, message } = &mut self.scratch;
        point.clear();
        // time_unix_nano stands first, so its place is known.
        point.push(3 << 3 | FIXED64);
        point.extend_from_slice(&[0; 8]);
        if sample.is_integer {
            let value: i64 = sample.digits.parse().expect("the workloads write numbers");
            point.push(6 << 3 | FIXED64);
            point.extend_from_slice(&value.to_le_bytes());
        } else {
            point.push(4 << 3 | FIXED64);
            point.extend_from_slice(&sample.value().to_le_bytes());
        }
        for (name, value) in sample.tags() {
            write_attribute(name, value, attribute, message);
            write_bytes(point, 7, attribute);
        }
        let end = self.points.len() + point.len();
        write_bytes(&mut self.points, 1, point);
        let header = self.points.len() - end;
        self.point_times.push((end - point.len() + header + 1) as u32);
    }

    /// The request's body, whose times begin at the places put into `times`; the next request begins.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>, times: &mut Vec<u32>) {
        self.close_metric();
        let (mut scope, mut resource) = (Vec::new(), Vec::new());
        write_bytes(&mut scope, 1, b"\x0a\x05bench");
        let mut attributes = Vec::new();
        write_attribute("service.name", "bench", &mut self.scratch.attribute, &mut self.scratch.message);
        write_bytes(&mut attributes, 1, &self.scratch.attribute);
        write_bytes(&mut resource, 1, &attributes);
        // From the inside out: each message's length is written before it.
        let scope_bytes = scope.len() + self.metrics.len();
        write_varint(&mut resource, 2 << 3 | LENGTH);
        write_varint(&mut resource, scope_bytes as u64);
        write_varint(out, 1 << 3 | LENGTH);
        write_varint(out, (resource.len() + scope_bytes) as u64);
        out.extend_from_slice(&resource);
        out.extend_from_slice(&scope);
        let start = out.len() as u32;
        times.extend(self.times.drain(..).map(|time| start + time));
        out.append(&mut self.metrics);
    }

    fn close_metric(&mut self) {
        if self.point_times.is_empty() {
            return;
        }
        let metric = &mut self.scratch.message;
        metric.clear();
        write_bytes(metric, 1, self.name.as_bytes());
        write_varint(metric, 5 << 3 | LENGTH);
        write_varint(metric, self.points.len() as u64);
        write_varint(&mut self.metrics, 2 << 3 | LENGTH);
        write_varint(&mut self.metrics, (metric.len() + self.points.len()) as u64);
        self.metrics.extend_from_slice(metric);
        let start = self.metrics.len() as u32;
        self.times.extend(self.point_times.drain(..).map(|time| start + time));
        self.metrics.append(&mut self.points);
    }
}

/// A KeyValue whose value is a string.
fn write_attribute(name: &str, value: &str, out: &mut Vec<u8>, message: &mut Vec<u8>) {
    out.clear();
    message.clear();
    write_bytes(out, 1, name.as_bytes());
    write_bytes(message, 1, value.as_bytes());
    write_bytes(out, 2, message);
}

fn write_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    write_varint(out, field << 3 | LENGTH);
    write_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Points of a metric at most.
const POINTS_MAX: usize = 100;
const FIXED64: u8 = 1;
const LENGTH: u64 = 2;
