//! Fields and timestamp, byte by byte: what every line is judged by.
//!
//! Comes in: a whole line and where its key ends; goes out: values and heap of one row, the fields' texts and names,
//! and the time. The fast way ([`super::plan`]) takes only lines that this room would take, with the same values.

use crate::model::{FieldText, FieldType, heap_word};

use super::fault::{Fault, LineFault};
use super::key::{check_name, is_control};
use super::number::{NumberFault, parse_f64, parse_i64, parse_u64};
use super::text::{NamePlace, name_end, unescape_name, unescape_string};
use super::time::Clockwork;
use super::{Dialect, KEY_BYTES_MAX_V1, NAME_BYTES_MAX_V3};

/// One row's fields. Cleared and used again.
#[derive(Default, Debug)]
pub(super) struct Fields {
    /// A word a field.
    pub(super) values: Vec<u64>,
    /// The bytes of strings.
    pub(super) heap: Vec<u8>,
    spans: Vec<Span>,
    names: Vec<u8>,
    order: Vec<u32>,
    scratch: Vec<u8>,
    texts: Vec<FieldText<'static>>,
}

/// A field's places: its text in the line, its name in `names`.
#[derive(Clone, Copy, Debug)]
struct Span {
    text_start: u32,
    text_end: u32,
    name_start: u32,
    name_end: u32,
    kind: FieldType,
}

impl Fields {
    /// Parses what follows the key in `line`, which is at `key_start..key_end`; the answer is the row's time.
    pub(super) fn parse(
        &mut self,
        dialect: Dialect,
        clockwork: &Clockwork,
        line: &[u8],
        key_start: usize,
        key_end: usize,
    ) -> Result<i64, LineFault> {
        self.values.clear();
        self.heap.clear();
        self.spans.clear();
        self.names.clear();
        let mut at = skip_gap(dialect, line, key_end);
        if at == line.len() {
            return Err(Fault::MissingFields.at(at));
        }
        let key_len = key_end - key_start;
        let mut text_start = at;
        loop {
            at = self.parse_key(dialect, line, text_start, at, key_len)?;
            at = self.parse_value(dialect, line, at)?;
            if line.get(at) != Some(&b',') {
                break;
            }
            text_start = at;
            at += 1;
            // InfluxDB 3 overlooks a comma behind a line's only field.
            if dialect == Dialect::V3 && self.spans.len() == 1 && matches!(line.get(at), None | Some(b' ')) {
                break;
            }
        }
        parse_time(dialect, clockwork, line, at)
    }

    /// Parses the key at `at`, whose text starts at `text_start`; the answer is where its value starts.
    fn parse_key(
        &mut self,
        dialect: Dialect,
        line: &[u8],
        text_start: usize,
        at: usize,
        key_len: usize,
    ) -> Result<usize, LineFault> {
        // v1 reads the escapes of field keys in pairs, and only those.
        let pairs = dialect != Dialect::V2;
        let equals = match dialect {
            Dialect::V1 => name_end(pairs, line, at, |b| matches!(b, b'=' | b',' | b' ')),
            Dialect::V2 => name_end(pairs, line, at, |b| matches!(b, b'=' | b',' | b' ') || is_control(b)),
            Dialect::V3 => name_end(pairs, line, at, |b| matches!(b, b'=' | b' ' | b'\t' | b'\n')),
        };
        if equals == at {
            return Err(Fault::MissingFieldKey.at(at));
        }
        if line.get(equals) != Some(&b'=') {
            return Err(Fault::MissingFieldEquals.at(equals));
        }
        // InfluxDB 1 reads a line's fields twice, and the second time any backslash escapes the `=` behind it.
        if dialect == Dialect::V1 && line[equals - 1] == b'\\' {
            return Err(Fault::MissingFieldEquals.at(equals));
        }
        let name = unescape_name(dialect, NamePlace::FieldKey, &line[at..equals], &mut self.scratch);
        check_name(dialect, name, at)?;
        // InfluxDB 1 bounds the key, a separator of four bytes and the field's key as one.
        if dialect == Dialect::V1 && key_len + 4 + (equals - at) > KEY_BYTES_MAX_V1 {
            return Err(Fault::NameTooLong.at(at));
        }
        let name_start = self.names.len() as u32;
        self.names.extend_from_slice(name);
        self.spans.push(Span {
            text_start: text_start as u32,
            text_end: equals as u32 + 1,
            name_start,
            name_end: self.names.len() as u32,
            kind: FieldType::Null,
        });
        Ok(equals + 1)
    }

    /// Parses the value at `at`; the answer is where it ends.
    fn parse_value(&mut self, dialect: Dialect, line: &[u8], at: usize) -> Result<usize, LineFault> {
        let (kind, word, end) = match line.get(at) {
            Some(b'"') => {
                let end = string_end(line, at + 1).ok_or_else(|| Fault::OpenString.at(at))?;
                let start = self.heap.len();
                unescape_string(dialect, &line[at + 1..end], &mut self.heap);
                let len = self.heap.len() - start;
                if dialect == Dialect::V3 && len > NAME_BYTES_MAX_V3 {
                    return Err(Fault::NameTooLong.at(at));
                }
                if line.get(end + 1).is_some_and(|&b| b != b',' && b != b' ') {
                    return Err(Fault::AfterValue.at(end + 1));
                }
                (FieldType::String, heap_word(start, len), end + 1)
            }
            None | Some(b',' | b' ') => return Err(Fault::MissingFieldValue.at(at)),
            Some(_) => {
                let rest = &line[at..];
                let len = rest.iter().position(|&b| matches!(b, b',' | b' ')).unwrap_or(rest.len());
                let (kind, word) = parse_bare(dialect, &rest[..len]).map_err(|f| f.at(at))?;
                (kind, word, at + len)
            }
        };
        self.values.push(word);
        self.spans.last_mut().expect("parse_key pushed one").kind = kind;
        Ok(end)
    }

    /// Keeps the last of the fields that have one name and type. Of two types, or where the dialect has it so, they are
    /// refused.
    pub(super) fn settle_duplicates(&mut self, dialect: Dialect) -> Result<(), LineFault> {
        let Some(fault) = self.find_duplicate() else { return Ok(()) };
        if dialect == Dialect::V3 {
            return Err(fault);
        }
        let mut kept = 0;
        for i in 0..self.spans.len() {
            let later =
                self.spans[i + 1..].iter().find(|later| self.name(later) == self.name(&self.spans[i]));
            if let Some(later) = later
                && later.kind != self.spans[i].kind
            {
                let name = String::from_utf8_lossy(self.name(later)).into_owned();
                return Err(Fault::FieldOfTwoTypes(name).at(later.text_start as usize + 1));
            }
            if later.is_none() {
                self.spans[kept] = self.spans[i];
                self.values[kept] = self.values[i];
                if kept == 0 && i > 0 {
                    // The first text of a shape has no comma: a row that starts with one is malformed.
                    self.spans[kept].text_start += 1;
                }
                kept += 1;
            }
        }
        self.spans.truncate(kept);
        self.values.truncate(kept);
        Ok(())
    }

    fn find_duplicate(&mut self) -> Option<LineFault> {
        let mut order = std::mem::take(&mut self.order);
        order.clear();
        order.extend(0..self.spans.len() as u32);
        let name = |i: u32| self.name(&self.spans[i as usize]);
        order.sort_unstable_by(|&a, &b| name(a).cmp(name(b)).then(a.cmp(&b)));
        let second = order.windows(2).find(|w| name(w[0]) == name(w[1])).map(|w| w[1]);
        self.order = order;
        let span = self.spans[second? as usize];
        let name = String::from_utf8_lossy(self.name(&span)).into_owned();
        Some(Fault::DuplicateField(name).at(span.text_start as usize + 1))
    }

    fn name(&self, span: &Span) -> &[u8] {
        &self.names[span.name_start as usize..span.name_end as usize]
    }

    /// Calls `with` with the row's fields as a shape is defined, its values and its heap.
    pub(super) fn with_texts<R>(
        &mut self,
        line: &[u8],
        with: impl FnOnce(&[FieldText<'_>], &[u64], &[u8]) -> R,
    ) -> R {
        let mut texts = FieldText::recycle(std::mem::take(&mut self.texts));
        texts.extend(self.spans.iter().map(|span| FieldText {
            text: &line[span.text_start as usize..span.text_end as usize],
            name: &self.names[span.name_start as usize..span.name_end as usize],
            kind: span.kind,
        }));
        let answer = with(&texts, &self.values, &self.heap);
        self.texts = FieldText::recycle(texts);
        answer
    }
}

/// The quote that closes the string whose inside starts at `from`.
fn string_end(line: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += memchr::memchr2(b'"', b'\\', line.get(at..)?)?;
        if line[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// A value without quotes, all of `text`.
pub(super) fn parse_bare(dialect: Dialect, text: &[u8]) -> Result<(FieldType, u64), Fault> {
    match text {
        [b'-' | b'.' | b'0'..=b'9', ..] => parse_number(dialect, text),
        [b't' | b'T' | b'f' | b'F', ..] => match text {
            b"t" | b"T" | b"true" | b"True" | b"TRUE" => Ok((FieldType::Bool, 1)),
            b"f" | b"F" | b"false" | b"False" | b"FALSE" => Ok((FieldType::Bool, 0)),
            _ => Err(Fault::BadBoolean),
        },
        _ => Err(Fault::NotAValue),
    }
}

fn parse_number(dialect: Dialect, text: &[u8]) -> Result<(FieldType, u64), Fault> {
    let parsed = match text {
        [digits @ .., b'i'] => parse_i64(digits).map(|v| (FieldType::I64, v as u64)),
        [digits @ .., b'u'] => parse_u64(digits).map(|v| (FieldType::U64, v)),
        _ => parse_f64(dialect, text).map(|v| (FieldType::F64, v.to_bits())),
    };
    parsed.map_err(|fault| match fault {
        NumberFault::Syntax => Fault::BadNumber,
        NumberFault::Range => Fault::NumberOutOfRange,
    })
}

/// The time of a line whose last value ends at `at`.
fn parse_time(dialect: Dialect, clockwork: &Clockwork, line: &[u8], at: usize) -> Result<i64, LineFault> {
    let start = skip_gap(dialect, line, at);
    if start == line.len() {
        // InfluxDB 3 takes trailing spaces behind a timestamp only.
        if dialect == Dialect::V3 && start > at {
            return Err(Fault::AfterValue.at(at));
        }
        return Ok(clockwork.default_ns);
    }
    let rest = &line[start..];
    let len = rest.iter().position(|&b| b == b' ').unwrap_or(rest.len());
    let ticks = parse_i64(&rest[..len]).map_err(|fault| match fault {
        NumberFault::Syntax => Fault::BadTimestamp.at(start),
        NumberFault::Range => Fault::TimestampOutOfRange.at(start),
    })?;
    if let Some(behind) = rest[len..].iter().position(|&b| b != b' ') {
        return Err(Fault::AfterTimestamp.at(start + len + behind));
    }
    clockwork.nanoseconds(ticks).ok_or_else(|| Fault::TimestampOutOfRange.at(start))
}

fn skip_gap(dialect: Dialect, line: &[u8], from: usize) -> usize {
    from + line[from..].iter().take_while(|&&b| dialect.is_gap(b)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_recycled_without_allocating() {
        let text = FieldText { text: b"a=", name: b"a", kind: FieldType::F64 };
        let texts = vec![text; 9];
        let (place, capacity) = (texts.as_ptr() as usize, texts.capacity());
        let again: Vec<FieldText<'static>> = FieldText::recycle(texts);
        assert_eq!((again.as_ptr() as usize, again.capacity(), again.len()), (place, capacity, 0));
    }
}
