//! A cycle of bodies while it is made.
//!
//! Comes in: samples in the order they are sent, each with its time. Goes out: bodies, and how many samples lie before
//! each. Keeps: what is held stays near its bound, since a body is compressed as soon as it is full.

use std::io::Write;

use super::sample::Sample;
use super::stamp::Stamp;
use super::{Body, Stretch, otlp, remote_write, text};
use crate::cli::bench::BenchError;
use crate::cli::bench::args::{BenchArgs, Encoding, Protocol};
use crate::cli::bench::workload::Lines;

/// A cycle while it is made.
pub(super) struct Cycle {
    encoding: Encoding,
    form: Form,
    stamp: Stamp,
    batch: usize,
    start_ns: i64,
    samples_per_line: u32,
    pub(super) bodies: Vec<Body>,
    pub(super) samples_before: Vec<u64>,
    open: Body,
    open_lines: usize,
    open_rows: u64,
    pub(super) raw_bytes: usize,
    held_bytes: usize,
    line: Vec<u8>,
}

/// What lines become.
enum Form {
    Lines,
    Exposition,
    Json,
    Statsd,
    RemoteWrite(Box<remote_write::Request>),
    Otlp(Box<otlp::Request>),
}

impl Form {
    fn of(protocol: Protocol) -> Form {
        match protocol {
            Protocol::Influx => Form::Lines,
            Protocol::PromText => Form::Exposition,
            Protocol::Json => Form::Json,
            Protocol::Statsd => Form::Statsd,
            Protocol::RemoteWrite | Protocol::RemoteWrite2 => {
                Form::RemoteWrite(Box::new(remote_write::Request::new(protocol)))
            }
            Protocol::Otlp => Form::Otlp(Box::default()),
        }
    }
}

impl Cycle {
    pub(super) fn new(args: &BenchArgs, start_ns: i64, samples_per_line: u32) -> Cycle {
        Cycle {
            encoding: args.encoding,
            form: Form::of(args.protocol),
            stamp: Stamp::of(args.protocol),
            batch: args.batch() as usize,
            start_ns,
            samples_per_line,
            bodies: Vec::new(),
            samples_before: vec![0],
            open: Body::empty(),
            open_lines: 0,
            open_rows: 0,
            raw_bytes: 0,
            held_bytes: 0,
            line: Vec::new(),
        }
    }

    pub(super) fn samples(&self) -> u64 {
        self.samples_before[self.bodies.len()]
    }

    /// Bytes before compression, with the body that is being made.
    pub(super) fn raw_bytes_with_open(&self) -> usize {
        self.raw_bytes + self.open_bytes()
    }

    pub(super) fn open_is_empty(&self) -> bool {
        self.open_lines == 0
    }

    pub(super) fn open_is_full(&self) -> bool {
        self.open_lines == self.batch || self.open_bytes() >= BODY_BYTES_MAX
    }

    fn open_bytes(&self) -> usize {
        match &self.form {
            Form::RemoteWrite(request) => request.bytes(),
            Form::Otlp(request) => request.bytes(),
            _ => self.open.bytes.len(),
        }
    }

    pub(super) fn check_fits(
        &self,
        series: u32,
        series_made: u64,
        bytes_max: usize,
    ) -> Result<(), BenchError> {
        if self.held_bytes <= bytes_max {
            return Ok(());
        }
        let fit = series_made * bytes_max as u64 / self.held_bytes as u64;
        let compresses = !matches!(self.form, Form::RemoteWrite(_) | Form::Statsd);
        let is_plain = self.encoding == Encoding::Identity && compresses;
        let more = if is_plain { ", more with --encoding gzip or zstd" } else { "" };
        let mb = bytes_max >> 20;
        let text =
            format!("--series: a round of {series} does not fit into {mb} MB of bodies; {fit} do{more}");
        Err(BenchError::Usage(text))
    }

    /// Adds a line of a series with a sample for each of the times, which are given from the start of the cycle.
    pub(super) fn write(&mut self, lines: &mut Lines, series: u32, offsets_ns: impl Iterator<Item = i64>) {
        let mut rows = 0;
        for offset_ns in offsets_ns {
            self.write_row(lines, series, rows, offset_ns);
            rows += 1;
        }
        if matches!(self.form, Form::Json) {
            self.end_json(rows);
        }
        self.open_lines += 1;
        self.open_rows += rows as u64;
    }

    fn write_row(&mut self, lines: &mut Lines, series: u32, row: usize, offset_ns: i64) {
        let open = &mut self.open;
        if matches!(self.form, Form::Lines) {
            let generation = lines.write(series, &mut open.bytes);
            open.generations.extend(generation.map(|start| start as u32));
            open.push_time(self.stamp, offset_ns);
            open.bytes.push(b'\n');
            return;
        }
        self.line.clear();
        lines.write(series, &mut self.line);
        let sample = Sample::of(&self.line);
        match &mut self.form {
            Form::Exposition => {
                text::write_exposition(sample, &mut open.bytes);
                open.push_time(self.stamp, offset_ns);
                open.bytes.push(b'\n');
            }
            Form::Json => {
                if row == 0 {
                    text::write_json_start(sample, &mut open.bytes);
                } else {
                    text::push(&mut open.bytes, &[",", sample.digits]);
                }
                open.push_stretch(offset_ns);
            }
            Form::Statsd => text::write_statsd(sample, &mut open.bytes),
            Form::RemoteWrite(request) => request.add(sample, (self.start_ns + offset_ns) / NS_PER_MS),
            Form::Otlp(request) => {
                request.add(sample);
                open.push_stretch(offset_ns);
            }
            Form::Lines => unreachable!("lines are written above"),
        }
    }

    /// Ends the values of a JSON line and writes its times.
    fn end_json(&mut self, rows: usize) {
        let open = &mut self.open;
        let mut before = "],\"timestamps\":[";
        for _ in 0..rows {
            text::push(&mut open.bytes, &[before]);
            open.push_place(self.stamp);
            before = ",";
        }
        text::push(&mut open.bytes, &["]}\n"]);
    }

    pub(super) fn close_body(&mut self) -> Result<(), BenchError> {
        // The next body will be as large: no growing by doubling, and nothing held beyond its length.
        let next = Body { bytes: Vec::with_capacity(self.open.bytes.len() + SLACK_BYTES), ..Body::empty() };
        self.samples_before.push(self.samples() + self.open_rows * u64::from(self.samples_per_line));
        self.raw_bytes += self.open_bytes();
        (self.open_lines, self.open_rows) = (0, 0);
        let mut body = std::mem::replace(&mut self.open, next);
        match &mut self.form {
            Form::RemoteWrite(request) => {
                body = Body { bytes: request.finish().map_err(BenchError::Compress)?, ..Body::empty() };
            }
            Form::Otlp(request) => request.finish(&mut body.bytes, &mut body.times),
            _ => {}
        }
        if self.encoding == Encoding::Identity {
            body.bytes.shrink_to_fit();
        } else {
            body.set_times(self.stamp, self.start_ns);
            let bytes = compress(self.encoding, &body.bytes).map_err(BenchError::Compress)?;
            body = Body { bytes, ..Body::empty() };
        }
        self.held_bytes += body.bytes.len();
        self.bodies.push(body);
        Ok(())
    }
}

impl Body {
    /// Leaves room for a time at the end.
    fn push_time(&mut self, stamp: Stamp, offset_ns: i64) {
        self.push_stretch(offset_ns);
        self.push_place(stamp);
    }

    fn push_place(&mut self, stamp: Stamp) {
        self.times.push(self.bytes.len() as u32);
        self.bytes.resize(self.bytes.len() + stamp.length(), b'0');
    }

    /// Says the next time, wherever its place will be.
    fn push_stretch(&mut self, offset_ns: i64) {
        let times_before = self.stretches.last().map_or(0, |last| last.times_end);
        match self.stretches.last_mut() {
            Some(last) if last.offset_ns == offset_ns => last.times_end += 1,
            _ => self.stretches.push(Stretch { times_end: times_before + 1, offset_ns }),
        }
    }
}

fn compress(encoding: Encoding, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    match encoding {
        Encoding::Identity => Ok(bytes.to_vec()),
        Encoding::Gzip => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            gzip.write_all(bytes)?;
            gzip.finish()
        }
        Encoding::Zstd => zstd::bulk::compress(bytes, 1),
    }
}

/// A body; positions in it are u32, and no server takes more.
const BODY_BYTES_MAX: usize = 128 << 20;
/// Lines of a workload differ by a few bytes; this saves the last reallocation of a body.
const SLACK_BYTES: usize = 64 << 10;
const NS_PER_MS: i64 = 1_000_000;
