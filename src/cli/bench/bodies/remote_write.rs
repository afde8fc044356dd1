//! Samples as remote write requests.
//!
//! Comes in: samples and their times. Goes out: the message, compressed, as Prometheus's sender writes it: a sample a
//! series, and with 2.0 what the metric is in each series.

use std::collections::HashMap;

use super::sample::Sample;
use crate::bytes::write_varint;
use crate::cli::bench::args::Protocol;

/// A request while it is made.
pub(super) struct Request {
    protocol: Protocol,
    series: Vec<u8>,
    symbols: HashMap<String, u64>,
    symbols_written: Vec<u8>,
    scratch: Scratch,
}

#[derive(Default)]
struct Scratch {
    series: Vec<u8>,
    message: Vec<u8>,
}

impl Request {
    pub(super) fn new(protocol: Protocol) -> Request {
        let mut request = Request {
            protocol,
            series: Vec::new(),
            symbols: HashMap::new(),
            symbols_written: Vec::new(),
            scratch: Scratch::default(),
        };
        request.clear();
        request
    }

    /// Bytes before compression.
    pub(super) fn bytes(&self) -> usize {
        self.series.len() + self.symbols_written.len()
    }

    /// Adds a sample.
    pub(super) fn add(&mut self, sample: Sample<'_>, time_ms: i64) {
        let labels = std::iter::once(("__name__", sample.name)).chain(sample.tags());
        let mut series = std::mem::take(&mut self.scratch.series);
        let mut message = std::mem::take(&mut self.scratch.message);
        series.clear();
        if self.protocol == Protocol::RemoteWrite2 {
            message.clear();
            for text in labels.flat_map(|(name, value)| [name, value]) {
                write_varint(&mut message, self.symbol(text));
            }
            write_bytes(&mut series, 1, &message);
        } else {
            for (name, value) in labels {
                message.clear();
                write_bytes(&mut message, 1, name.as_bytes());
                write_bytes(&mut message, 2, value.as_bytes());
                write_bytes(&mut series, 1, &message);
            }
        }
        message.clear();
        message.push(1 << 3 | 1);
        message.extend_from_slice(&sample.value().to_le_bytes());
        write_number(&mut message, 2, time_ms as u64);
        write_bytes(&mut series, 2, &message);
        if self.protocol == Protocol::RemoteWrite2 {
            message.clear();
            write_number(&mut message, 1, METRIC_TYPE_GAUGE);
            write_number(&mut message, 3, self.symbol(HELP));
            write_bytes(&mut series, 5, &message);
        }
        write_bytes(&mut self.series, if self.protocol == Protocol::RemoteWrite2 { 5 } else { 1 }, &series);
        self.scratch = Scratch { series, message };
    }

    /// The request's body; the next request begins.
    pub(super) fn finish(&mut self) -> std::io::Result<Vec<u8>> {
        let mut message = std::mem::take(&mut self.symbols_written);
        message.append(&mut self.series);
        self.clear();
        snap::raw::Encoder::new().compress_vec(&message).map_err(std::io::Error::other)
    }

    fn clear(&mut self) {
        self.symbols.clear();
        if self.protocol == Protocol::RemoteWrite2 {
            self.symbol("");
        }
    }

    fn symbol(&mut self, text: &str) -> u64 {
        if let Some(known) = self.symbols.get(text) {
            return *known;
        }
        let number = self.symbols.len() as u64;
        self.symbols.insert(text.to_owned(), number);
        write_bytes(&mut self.symbols_written, 4, text.as_bytes());
        number
    }
}

fn write_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    write_varint(out, field << 3 | 2);
    write_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn write_number(out: &mut Vec<u8>, field: u64, number: u64) {
    write_varint(out, field << 3);
    write_varint(out, number);
}

const METRIC_TYPE_GAUGE: u64 = 2;
const HELP: &str = "What an exporter says of a metric, in a sentence of usual length.";
