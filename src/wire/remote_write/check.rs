//! Whether bytes are a message, before the first row of it is taken.
//!
//! Every known field is walked to its last byte and has the wire type that its schema says, as Prometheus's decoder
//! wants it; fields that nobody knows are stepped over. What the message means is not looked at here.

use crate::bytes::{ProtobufError, ProtobufFields, ProtobufValue};
use crate::wire::Malformed;

use super::message::{Message, Outer, Part, SYMBOL_TAG};
use super::rows::Sample;
use super::symbols::{Symbols, TooManySymbols, length_start};

type Checked = Result<(), ProtobufError>;

/// How far a body is looked into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Depth {
    /// To its last byte.
    Whole,
    /// Not into its series.
    Outer,
}

/// Checks a body, and finds the symbols of a 2.0 one.
pub(super) fn check_body(
    message: Message,
    body: &[u8],
    depth: Depth,
    symbols: &mut Symbols,
) -> Result<(), Malformed> {
    symbols.clear();
    if u32::try_from(body.len()).is_err() {
        return Err(malformed("the message is longer than 4 GiB".to_owned()));
    }
    let (mut series, mut known, mut foreign) = (0u64, false, false);
    let mut fields = ProtobufFields::new(body);
    loop {
        if depth == Depth::Outer && fields.short_bytes(message.series_tag()).is_some() {
            series += 1;
            known = true;
            continue;
        }
        if message == Message::V2
            && let Some(text) = fields.short_bytes(SYMBOL_TAG)
        {
            add_symbol(body, fields.rest(), text, symbols)?;
            known = true;
            continue;
        }
        let Some(field) = fields.next() else { break };
        let (number, value) = field.map_err(|e| behind_series(series, e))?;
        match message.outer(number) {
            Outer::Series => {
                series += 1;
                let parts = value.bytes().map_err(|e| in_series(series, e))?;
                if depth == Depth::Whole {
                    check_series(message, parts).map_err(|e| in_series(series, e))?;
                }
            }
            Outer::Metadata => value.bytes().and_then(check_metadata_v1).map_err(in_metadata)?,
            Outer::Symbol => {
                let text = value.bytes().map_err(|e| behind_series(series, e))?;
                add_symbol(body, fields.rest(), text, symbols)?;
            }
            Outer::Foreign => {
                foreign = true;
                continue;
            }
            Outer::Unknown => continue,
        }
        known = true;
    }
    if foreign && !known {
        // To this message's decoder the other one is empty: it would be taken, and lost.
        return Err(malformed(format!("the body is a {}: Content-Type must say so", message.other_name())));
    }
    if symbols.first(body).is_some_and(|first| !first.is_empty()) {
        return Err(malformed("the first symbol must be empty".to_owned()));
    }
    Ok(())
}

/// Adds the symbol of this text, behind which the body goes on with `rest`.
#[inline]
fn add_symbol(body: &[u8], rest: &[u8], text: &[u8], symbols: &mut Symbols) -> Result<(), Malformed> {
    let end = body.len() - rest.len();
    let start = end - text.len();
    symbols
        .push(body, length_start(body, start)..end, start)
        .map_err(|TooManySymbols| malformed(format!("more than {} symbols", super::symbols::SYMBOLS_MAX)))
}

fn malformed(error: String) -> Malformed {
    Malformed { error }
}

#[cold]
pub(super) fn in_series(number: u64, error: ProtobufError) -> Malformed {
    malformed(format!("invalid protobuf in timeseries {number}: {error}"))
}

#[cold]
pub(super) fn behind_series(number: u64, error: ProtobufError) -> Malformed {
    malformed(format!("invalid protobuf behind {number} timeseries: {error}"))
}

#[cold]
pub(super) fn in_metadata(error: ProtobufError) -> Malformed {
    malformed(format!("invalid protobuf in metadata: {error}"))
}

/// Checks a series.
#[inline]
pub(super) fn check_series(message: Message, series: &[u8]) -> Checked {
    let series = if message == Message::V1 { behind_plain_labels(series) } else { series };
    if Sample::read_plain(series).is_some() {
        return Ok(());
    }
    for field in ProtobufFields::new(series) {
        let (number, value) = field?;
        match message.part(number) {
            Part::Labels if message == Message::V1 => check_label(value.bytes()?)?,
            Part::Labels => value.each_varint(|_| ())?,
            Part::Sample => check_sample(message, value.bytes()?)?,
            Part::Histogram => check_histogram(message, value.bytes()?)?,
            Part::Exemplar => check_exemplar(message, value.bytes()?)?,
            Part::Metadata => check_metadata_v2(value.bytes()?)?,
            Part::Created => _ = value.varint()?,
            Part::Unknown => {}
        }
    }
    Ok(())
}

/// Checks a label: two strings.
#[inline]
fn check_label(label: &[u8]) -> Checked {
    if is_plain_label(label) {
        return Ok(());
    }
    each(label, |number, value| match number {
        1 | 2 => value.bytes().map(drop),
        _ => Ok(()),
    })
}

/// What follows the labels that a 1.0 series starts with, as far as they are as everybody writes them.
#[inline]
fn behind_plain_labels(mut series: &[u8]) -> &[u8] {
    while let &[LABEL_TAG, len @ 0..0x80, ref rest @ ..] = series
        && let Some((label, behind)) = rest.split_at_checked(usize::from(len))
        && is_plain_label(label)
    {
        series = behind;
    }
    series
}

/// Whether a label is as everybody writes it: name, then value, both short.
#[inline]
fn is_plain_label(label: &[u8]) -> bool {
    let &[NAME_TAG, name_len @ 0..0x80, ref rest @ ..] = label else { return false };
    let Some(&[VALUE_TAG, value_len @ 0..0x80, ref value @ ..]) = rest.get(usize::from(name_len)..) else {
        return false;
    };
    value.len() == usize::from(value_len)
}

#[inline]
fn check_sample(message: Message, sample: &[u8]) -> Checked {
    each(sample, |number, value| match number {
        1 => value.fixed64().map(drop),
        2 => value.varint().map(drop),
        3 if message == Message::V2 => value.varint().map(drop),
        _ => Ok(()),
    })
}

fn check_exemplar(message: Message, exemplar: &[u8]) -> Checked {
    each(exemplar, |number, value| match number {
        1 if message == Message::V1 => check_label(value.bytes()?),
        1 => value.each_varint(|_| ()),
        2 => value.fixed64().map(drop),
        3 => value.varint().map(drop),
        _ => Ok(()),
    })
}

fn check_histogram(message: Message, histogram: &[u8]) -> Checked {
    each(histogram, |number, value| match number {
        1 | 4 | 6 | 14 | 15 => value.varint().map(drop),
        2 | 3 | 5 | 7 => value.fixed64().map(drop),
        8 | 11 => each(value.bytes()?, |number, value| match number {
            1 | 2 => value.varint().map(drop),
            _ => Ok(()),
        }),
        9 | 12 => value.each_varint(|_| ()),
        10 | 13 | 16 => value.each_fixed64(|_| ()),
        17 if message == Message::V2 => value.varint().map(drop),
        _ => Ok(()),
    })
}

pub(super) fn check_metadata_v1(metadata: &[u8]) -> Checked {
    each(metadata, |number, value| match number {
        1 => value.varint().map(drop),
        2 | 4 | 5 => value.bytes().map(drop),
        _ => Ok(()),
    })
}

pub(super) fn check_metadata_v2(metadata: &[u8]) -> Checked {
    each(metadata, |number, value| match number {
        1 | 3 | 4 => value.varint().map(drop),
        _ => Ok(()),
    })
}

#[inline]
fn each(message: &[u8], mut check: impl FnMut(u32, ProtobufValue<'_>) -> Checked) -> Checked {
    ProtobufFields::new(message).try_for_each(|field| {
        let (number, value) = field?;
        check(number, value)
    })
}

const LABEL_TAG: u8 = 1 << 3 | 2;
const NAME_TAG: u8 = 1 << 3 | 2;
const VALUE_TAG: u8 = 2 << 3 | 2;
