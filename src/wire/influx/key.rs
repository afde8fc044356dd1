//! Series keys: the measurement and its tags.
//!
//! The key is a line's bytes from its measurement to the first space that is not escaped. Equal bytes mean equal
//! labels within a dialect, and no key ends inside an escape; so a line that starts with a known key and a space has
//! exactly that key, whatever follows.

use crate::model::{LabelsBuf, METRIC_NAME};

use super::fault::{Fault, LineFault};
use super::scan::Scan;
use super::text::{NamePlace, name_end, unescape_name};
use super::{Dialect, NAME_BYTES_MAX_V3};

/// Where the key at `from` ends: at its space. None if there is a newline or the input's end before it.
#[inline(always)]
pub(super) fn key_end<S: Scan>(dialect: Dialect, input: &[u8], from: usize) -> Option<usize> {
    let at = S::key_stop(input, from);
    match input.get(at) {
        Some(b' ') => Some(at),
        Some(b'\\') => key_end_escaped::<S>(dialect, input, at),
        _ => None,
    }
}

/// [`key_end`], from a backslash on.
#[inline(never)]
fn key_end_escaped<S: Scan>(dialect: Dialect, input: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match input.get(at)? {
            b' ' => return Some(at),
            b'\\' => at += 1 + usize::from(dialect.escapes_backslash() || input.get(at + 1) == Some(&b' ')),
            _ => return None,
        }
        if at > input.len() {
            return None;
        }
        at = S::key_stop(input, at);
    }
}

/// Room for two unescaped names.
#[derive(Default, Debug)]
pub(super) struct NameScratch {
    name: Vec<u8>,
    value: Vec<u8>,
}

/// The labels of a key. Faults are placed from the key's start.
pub(super) fn parse_labels(
    dialect: Dialect,
    key: &[u8],
    scratch: &mut NameScratch,
    labels: &mut LabelsBuf,
) -> Result<(), LineFault> {
    labels.clear();
    let pairs = dialect.escapes_backslash();
    let mut at = match dialect {
        Dialect::V1 => name_end(pairs, key, 0, |b| b == b','),
        Dialect::V2 => name_end(pairs, key, 0, |b| b == b',' || is_control(b)),
        Dialect::V3 => name_end(pairs, key, 0, |b| matches!(b, b',' | b'\t' | 0)),
    };
    if at == 0 {
        return Err(Fault::MissingMeasurement.at(0));
    }
    let measurement = unescape_name(dialect, NamePlace::Measurement, &key[..at], &mut scratch.value);
    check_name(dialect, measurement, 0)?;
    labels.push(METRIC_NAME, measurement);
    if key.get(at).is_some_and(|&b| b != b',') {
        return Err(Fault::BadMeasurement.at(at));
    }
    while at < key.len() {
        at = parse_tag(dialect, key, at + 1, scratch, labels)?;
    }
    Ok(())
}

/// Parses the tag at `start`; the answer is where its value ends: at a comma or the key's end.
fn parse_tag(
    dialect: Dialect,
    key: &[u8],
    start: usize,
    scratch: &mut NameScratch,
    labels: &mut LabelsBuf,
) -> Result<usize, LineFault> {
    let pairs = dialect.escapes_backslash();
    let equals = match dialect {
        Dialect::V1 => name_end(pairs, key, start, |b| matches!(b, b',' | b'=')),
        Dialect::V2 => name_end(pairs, key, start, |b| matches!(b, b',' | b'=') || is_control(b)),
        Dialect::V3 => name_end(pairs, key, start, |b| matches!(b, b'=' | b'\t')),
    };
    if equals == start {
        return Err(Fault::MissingTagKey.at(start));
    }
    if key.get(equals) != Some(&b'=') {
        return Err(Fault::MissingTagEquals.at(equals));
    }
    let from = equals + 1;
    let end = match dialect {
        // The first dialect looks at the second byte first: an equals sign may lead.
        Dialect::V1 if key.get(from) == Some(&b'=') => {
            name_end(pairs, key, from + 1, |b| matches!(b, b',' | b'='))
        }
        Dialect::V1 => name_end(pairs, key, from, |b| matches!(b, b',' | b'=')),
        Dialect::V2 => name_end(pairs, key, from, |b| matches!(b, b',' | b'=') || is_control(b)),
        Dialect::V3 => name_end(pairs, key, from, |b| matches!(b, b',' | b'\t')),
    };
    if end == from {
        return Err(Fault::MissingTagValue.at(from));
    }
    if key.get(end).is_some_and(|&b| b != b',') {
        return Err(Fault::BadTagByte.at(end));
    }
    let name = unescape_name(dialect, NamePlace::Tag, &key[start..equals], &mut scratch.name);
    let value = unescape_name(dialect, NamePlace::Tag, &key[from..end], &mut scratch.value);
    check_name(dialect, name, start)?;
    check_name(dialect, value, from)?;
    labels.push(name, value);
    Ok(end)
}

/// The third dialect's own rules for an unescaped name.
pub(super) fn check_name(dialect: Dialect, name: &[u8], at: usize) -> Result<(), LineFault> {
    if dialect != Dialect::V3 {
        return Ok(());
    }
    if name.last() == Some(&b'\\') {
        return Err(Fault::TrailingBackslash.at(at));
    }
    if name.len() > NAME_BYTES_MAX_V3 {
        return Err(Fault::NameTooLong.at(at));
    }
    Ok(())
}

/// Bytes that the second dialect has in strings only.
pub(super) fn is_control(byte: u8) -> bool {
    byte < 32 || byte == 127
}
