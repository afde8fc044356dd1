//! The formats of writes: what a request says of itself, which decoder reads its body, how it is answered.
//!
//! A format has a file here and a decoder in [`wire`](crate::wire). The file parses the request's parameters into
//! an [`Opened`] and makes answers from a [`WriteResult`]; everything between, from bytes to durable, is the same
//! for all and knows a [`Format`] only by what it asks of it.

mod collectd;
pub(super) mod exposition;
pub(super) mod influx;
mod ndjson;
pub(super) mod opentsdb;
mod otlp;
mod plain;
pub(super) mod pushgateway;
mod remote_write;
mod vm_import;

use std::sync::Arc;

use crate::ingest::ContextId;
use crate::model::{Intake, WriteResult};
use crate::telemetry::Protocol;
use crate::wire::influx::Dialect;
use crate::wire::otlp::Signal;
use crate::wire::remote_write::Message;
use crate::wire::{self, Decode, Fed, Malformed};

use super::answer::Answer;
use super::groups::{Change, Groups};
use crate::http::Head;
use crate::http::body::Encoding;

/// The format of a write, as far as its answer depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    /// Influx line protocol.
    Influx(Dialect),
    /// Exposition text, line by line.
    Exposition,
    /// The Pushgateway's protocol.
    Pushgateway(Change),
    /// tidegate's own rows as text.
    Ndjson,
    /// VictoriaMetrics' JSON lines.
    VmImport,
    /// OpenTSDB's data points as JSON.
    OpenTsdb(opentsdb::Report),
    /// collectd's write_http.
    Collectd,
    /// Prometheus remote write, of which message the head says.
    RemoteWrite(Message),
    /// OTLP over HTTP. Its encoding is what the path's requests are answered in, and once the head is read, what the
    /// request's `Content-Type` says.
    Otlp(Signal, wire::otlp::Encoding),
}

/// A write whose head was understood.
pub(super) struct Opened {
    pub(super) format: Format,
    pub(super) rows: Rows,
    pub(super) reading: Reading,
    pub(super) encoding: Encoding,
}

/// When a body's rows are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reading {
    /// As they come.
    Streamed,
    /// When the body is there whole and [`Decode::check`] found nothing.
    Whole,
    /// When the body is there whole and none of its rows would be refused.
    AllOrNothing,
}

/// The decoder of a write's body.
pub(super) enum Rows {
    Influx(Box<wire::influx::Decoder>),
    Exposition(Box<wire::exposition::Decoder>),
    ExpositionProtobuf(Box<wire::exposition::ProtobufDecoder>),
    Pushgateway(Box<pushgateway::Pushed>),
    Ndjson(Box<wire::ndjson::Decoder>),
    VmImport(Box<wire::vm_import::Decoder>),
    OpenTsdb(Box<wire::opentsdb::Decoder>),
    Collectd(Box<wire::collectd::Decoder>),
    RemoteWrite(Box<wire::remote_write::Decoder>),
    Otlp(Box<wire::otlp::Decoder>),
}

/// Calls the decoder, whichever it is: their `feed` is generic, so that a trait object can't.
macro_rules! decoder {
    ($rows:expr, $decoder:ident => $call:expr) => {
        match $rows {
            Rows::Influx($decoder) => $call,
            Rows::Exposition($decoder) => $call,
            Rows::ExpositionProtobuf($decoder) => $call,
            Rows::Pushgateway($decoder) => $call,
            Rows::Ndjson($decoder) => $call,
            Rows::VmImport($decoder) => $call,
            Rows::OpenTsdb($decoder) => $call,
            Rows::Collectd($decoder) => $call,
            Rows::RemoteWrite($decoder) => $call,
            Rows::Otlp($decoder) => $call,
        }
    };
}

impl Rows {
    /// See [`Decode::check`].
    pub(super) fn check(&mut self, body: &[u8]) -> Result<(), Malformed> {
        decoder!(self, decoder => decoder.check(body))
    }

    /// Bytes that the decoder holds beyond what a small constant is.
    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Rows::VmImport(decoder) => decoder.memory_bytes(),
            _ => 0,
        }
    }

    /// See [`Decode::feed_unchecked`].
    pub(super) fn feed_unchecked<I: Intake>(
        &mut self,
        body: &[u8],
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Result<Fed, Malformed> {
        decoder!(self, decoder => decoder.feed_unchecked(body, intake, result))
    }

    /// See [`Decode::check_bytes`].
    pub(super) fn check_bytes(&self, body: &[u8]) -> u64 {
        decoder!(self, decoder => decoder.check_bytes(body))
    }

    /// See [`Decode::rehearse`].
    pub(super) fn rehearse<I: Intake>(&mut self, body: &[u8], intake: &mut I, result: &mut WriteResult) {
        decoder!(self, decoder => decoder.rehearse(body, intake, result));
    }

    /// See [`Decode::feed`].
    pub(super) fn feed<I: Intake>(
        &mut self,
        input: &[u8],
        last: bool,
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Fed {
        decoder!(self, decoder => decoder.feed(input, last, intake, result))
    }
}

impl Format {
    /// Reads the head of a write in this format. Rows without a time get `wall_ns`.
    ///
    /// # Errors
    /// The answer to a request that is not understood.
    pub(super) fn open(self, head: &Head<'_>, wall_ns: i64, groups: &Arc<Groups>) -> Result<Opened, Answer> {
        match self {
            Format::Influx(dialect) => influx::open(dialect, head, wall_ns),
            Format::Exposition => exposition::open(head, wall_ns),
            Format::Pushgateway(change) => pushgateway::open(change, head, wall_ns, groups),
            Format::Ndjson => ndjson::open(head),
            Format::VmImport => vm_import::open(head),
            Format::OpenTsdb(_) => opentsdb::open(head),
            Format::Collectd => collectd::open(head, wall_ns),
            Format::RemoteWrite(_) => remote_write::open(head),
            Format::Otlp(signal, _) => otlp::open(signal, head, wall_ns),
        }
    }

    /// The label of its rows in the metrics.
    pub(super) fn protocol(self) -> Protocol {
        match self {
            Format::Influx(_) => Protocol::Influx,
            Format::Exposition => Protocol::Exposition,
            Format::Pushgateway(_) => Protocol::Pushgateway,
            Format::Ndjson => Protocol::Ndjson,
            Format::VmImport => Protocol::VmImport,
            Format::OpenTsdb(_) => Protocol::OpenTsdb,
            Format::Collectd => Protocol::Collectd,
            Format::RemoteWrite(_) => Protocol::RemoteWrite,
            Format::Otlp(..) => Protocol::Otlp,
        }
    }

    /// What makes its keys mean what they mean.
    pub(super) fn context(self) -> ContextId {
        match self {
            Format::Influx(dialect) => ContextId(dialect as u32),
            // One for both: their keys say all that decides about labels.
            Format::Exposition | Format::Pushgateway(_) => {
                ContextId(ONE_DIALECT | Protocol::Exposition as u32)
            }
            // OTLP's keys say which signal they are of.
            Format::Ndjson | Format::VmImport | Format::OpenTsdb(_) | Format::Collectd | Format::Otlp(..) => {
                ContextId(ONE_DIALECT | self.protocol() as u32)
            }
            Format::RemoteWrite(message) => ContextId(16 + message as u32),
        }
    }

    /// The query parameter that names the tenant, if the protocol has one.
    pub(super) fn tenant_parameter(self) -> Option<&'static str> {
        match self {
            Format::Influx(Dialect::V1 | Dialect::V3) => Some("db"),
            Format::Influx(Dialect::V2) => Some("bucket"),
            _ => None,
        }
    }

    /// The methods that its path takes, as the `Allow` header lists them.
    pub(super) fn allow(self) -> &'static str {
        match self {
            Format::Pushgateway(_) => "POST, PUT, DELETE",
            _ => "POST",
        }
    }

    /// The answer to a write whose rows are durable, or that had none.
    pub(super) fn write_answer(self, result: &WriteResult) -> Answer {
        match self {
            Format::Influx(dialect) => influx::write_answer(dialect, result),
            Format::Pushgateway(change) => pushgateway::write_answer(change, result),
            Format::Exposition | Format::Ndjson | Format::VmImport => plain::write_answer("line", result),
            Format::OpenTsdb(report) => opentsdb::write_answer(report, result),
            Format::Collectd => collectd::write_answer(result),
            Format::RemoteWrite(message) => remote_write::write_answer(message, result),
            Format::Otlp(signal, encoding) => otlp::write_answer(signal, encoding, result),
        }
    }

    /// The answer to a write of which nothing was taken because a row was bad and the request wanted all or nothing.
    pub(super) fn refused_whole_answer(self, result: &WriteResult) -> Answer {
        match self {
            Format::Influx(_) => influx::refused_whole_answer(result),
            _ => self.write_answer(result),
        }
    }

    /// An error in the protocol's form. `result` adds what became of the rows before it.
    pub(super) fn error_answer(self, status: u16, message: &str, result: Option<&WriteResult>) -> Answer {
        match self {
            Format::Influx(dialect) => influx::error_answer(dialect, status, message, result),
            Format::Exposition
            | Format::Pushgateway(_)
            | Format::Ndjson
            | Format::VmImport
            | Format::Collectd => plain::error_answer(status, message, result),
            Format::OpenTsdb(_) => opentsdb::error_answer(status, message, result),
            Format::RemoteWrite(of) => remote_write::error_answer(of, status, message, result),
            Format::Otlp(_, encoding) => otlp::error_answer(encoding, status, message, result),
        }
    }

    /// The answer to a write of which nothing was taken, which says so: it was refused before its body was looked at.
    pub(super) fn refusal(self, status: u16, message: &str) -> Answer {
        self.error_answer(status, message, Some(&WriteResult::default()))
    }

    /// The content coding that a head names.
    fn encoding(self, head: &Head<'_>) -> Result<Encoding, Answer> {
        let named = head.headers.content_encoding;
        Encoding::parse(named).ok_or_else(|| {
            let name = String::from_utf8_lossy(named);
            self.refusal(415, &format!("content encoding {name:?} is not supported"))
        })
    }
}

/// Contexts of protocols whose bytes always mean the same are this and the protocol's number.
pub(super) const ONE_DIALECT: u32 = 32;
