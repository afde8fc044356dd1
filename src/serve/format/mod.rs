//! The formats of writes: what a request says of itself, which decoder reads its body, how it is answered.
//!
//! A format has a file here and a decoder in [`wire`](crate::wire). The file parses the request's parameters into
//! an [`Opened`] and makes answers from a [`WriteResult`]; everything between, from bytes to durable, is the same
//! for all and knows a [`Format`] only by what it asks of it.

pub(super) mod influx;
mod ndjson;
pub(super) mod opentsdb;
mod plain;
mod vm_import;

use crate::ingest::ContextId;
use crate::model::{Intake, WriteResult};
use crate::telemetry::Protocol;
use crate::wire::influx::Dialect;
use crate::wire::{self, Decode, Fed, Malformed};

use super::answer::Answer;
use super::body::Encoding;
use super::http::Head;

/// The format of a write, as far as its answer depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    /// Influx line protocol.
    Influx(Dialect),
    /// tidegate's own rows as text.
    Ndjson,
    /// VictoriaMetrics' JSON lines.
    VmImport,
    /// OpenTSDB's data points as JSON.
    OpenTsdb(opentsdb::Report),
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
    Ndjson(Box<wire::ndjson::Decoder>),
    VmImport(Box<wire::vm_import::Decoder>),
    OpenTsdb(Box<wire::opentsdb::Decoder>),
}

impl Rows {
    /// See [`Decode::check`].
    pub(super) fn check(&mut self, body: &[u8]) -> Result<(), Malformed> {
        match self {
            Rows::Influx(decoder) => decoder.check(body),
            Rows::Ndjson(decoder) => decoder.check(body),
            Rows::VmImport(decoder) => decoder.check(body),
            Rows::OpenTsdb(decoder) => decoder.check(body),
        }
    }

    /// See [`Decode::rewind`].
    pub(super) fn rewind(&mut self) {
        match self {
            Rows::Influx(decoder) => decoder.rewind(),
            Rows::Ndjson(decoder) => decoder.rewind(),
            Rows::VmImport(decoder) => decoder.rewind(),
            Rows::OpenTsdb(decoder) => decoder.rewind(),
        }
    }

    /// See [`Decode::feed`].
    pub(super) fn feed<I: Intake>(
        &mut self,
        input: &[u8],
        last: bool,
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Fed {
        match self {
            Rows::Influx(decoder) => decoder.feed(input, last, intake, result),
            Rows::Ndjson(decoder) => decoder.feed(input, last, intake, result),
            Rows::VmImport(decoder) => decoder.feed(input, last, intake, result),
            Rows::OpenTsdb(decoder) => decoder.feed(input, last, intake, result),
        }
    }
}

impl Format {
    /// Reads the head of a write in this format. Rows without a time get `wall_ns`.
    ///
    /// # Errors
    /// The answer to a request that is not understood.
    pub(super) fn open(self, head: &Head<'_>, wall_ns: i64) -> Result<Opened, Answer> {
        match self {
            Format::Influx(dialect) => influx::open(dialect, head, wall_ns),
            Format::Ndjson => ndjson::open(head),
            Format::VmImport => vm_import::open(head),
            Format::OpenTsdb(_) => opentsdb::open(head),
        }
    }

    /// The label of its rows in the metrics.
    pub(super) fn protocol(self) -> Protocol {
        match self {
            Format::Influx(_) => Protocol::Influx,
            Format::Ndjson => Protocol::Ndjson,
            Format::VmImport => Protocol::VmImport,
            Format::OpenTsdb(_) => Protocol::OpenTsdb,
        }
    }

    /// What makes its keys mean what they mean.
    pub(super) fn context(self) -> ContextId {
        match self {
            Format::Influx(dialect) => ContextId(dialect as u16),
            Format::Ndjson | Format::VmImport | Format::OpenTsdb(_) => {
                ContextId(ONE_DIALECT | self.protocol() as u16)
            }
        }
    }

    /// The methods that its path takes, as the `Allow` header lists them.
    pub(super) fn allow(self) -> &'static str {
        match self {
            Format::Influx(_) | Format::Ndjson | Format::VmImport | Format::OpenTsdb(_) => "POST",
        }
    }

    /// The answer to a write whose rows are durable, or that had none.
    pub(super) fn write_answer(self, result: &WriteResult) -> Answer {
        match self {
            Format::Influx(dialect) => influx::write_answer(dialect, result),
            Format::Ndjson | Format::VmImport => plain::write_answer("line", result),
            Format::OpenTsdb(report) => opentsdb::write_answer(report, result),
        }
    }

    /// The answer to a write of which nothing was taken because a row was bad and the request wanted all or nothing.
    pub(super) fn refused_whole_answer(self, result: &WriteResult) -> Answer {
        match self {
            Format::Influx(_) => influx::refused_whole_answer(result),
            Format::Ndjson | Format::VmImport | Format::OpenTsdb(_) => self.write_answer(result),
        }
    }

    /// An error in the protocol's form. `result` adds what became of the rows before it.
    pub(super) fn error_answer(self, status: u16, message: &str, result: Option<&WriteResult>) -> Answer {
        match self {
            Format::Influx(dialect) => influx::error_answer(dialect, status, message, result),
            Format::Ndjson | Format::VmImport => plain::error_answer(status, message, result),
            Format::OpenTsdb(_) => opentsdb::error_answer(status, message, result),
        }
    }

    /// The content coding that a head names.
    fn encoding(self, head: &Head<'_>) -> Result<Encoding, Answer> {
        let named = head.headers.content_encoding;
        Encoding::parse(named).ok_or_else(|| {
            let name = String::from_utf8_lossy(named);
            self.error_answer(415, &format!("content encoding {name:?} is not supported"), None)
        })
    }
}

/// Contexts of protocols whose bytes always mean the same are this and the protocol's number.
pub(super) const ONE_DIALECT: u16 = 0x100;
