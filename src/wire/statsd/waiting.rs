//! Rows that have a time and wait only for the intake: events, service checks, samples that say when they were.

use super::notice::{Notice, NoticeValue};
use crate::model::LabelsBuf;

/// Rows, in order. Their bytes lie in one buffer that is used again.
#[derive(Default, Debug)]
pub(super) struct Waiting {
    pub(super) rows: Vec<WaitingRow>,
    fields: Vec<(&'static str, WaitingValue)>,
    bytes: Vec<u8>,
    /// Rows written so far.
    pub(super) written: usize,
}

/// A row: where its labels and fields are.
#[derive(Clone, Copy, Debug)]
pub(super) struct WaitingRow {
    labels: (usize, usize),
    fields: (usize, usize),
    pub(super) time_ns: i64,
}

/// A field's value.
#[derive(Clone, Copy, Debug)]
pub(super) enum WaitingValue {
    Float(f64),
    Integer(i64),
    Text(usize, usize),
}

impl Waiting {
    /// Adds a sample's row. `key` is its labels in canonical form, as [`encode_labels`] writes them.
    pub(super) fn push_value(&mut self, key: &[u8], time_ns: i64, value: f64) {
        let labels = self.append(key);
        let start = self.fields.len();
        self.fields.push(("value", WaitingValue::Float(value)));
        self.rows.push(WaitingRow { labels, fields: (start, start + 1), time_ns });
    }

    /// Adds a notice's row.
    pub(super) fn push_notice(&mut self, key: &[u8], time_ns: i64, notice: &Notice<'_>) {
        let labels = self.append(key);
        let start = self.fields.len();
        for &(name, value) in notice.fields {
            let value = match value {
                NoticeValue::Integer(integer) => WaitingValue::Integer(integer),
                NoticeValue::Text(text) => {
                    let (start, end) = self.append(text.as_bytes());
                    WaitingValue::Text(start, end)
                }
                NoticeValue::Escaped(text) => {
                    let start = self.bytes.len();
                    for (i, line) in text.split("\\n").enumerate() {
                        self.bytes.extend_from_slice(if i > 0 { b"\n" } else { b"" });
                        self.bytes.extend_from_slice(line.as_bytes());
                    }
                    WaitingValue::Text(start, self.bytes.len())
                }
            };
            self.fields.push((name, value));
        }
        self.rows.push(WaitingRow { labels, fields: (start, self.fields.len()), time_ns });
    }

    /// A row's labels, encoded.
    pub(super) fn labels(&self, row: &WaitingRow) -> &[u8] {
        &self.bytes[row.labels.0..row.labels.1]
    }

    /// A row's fields.
    pub(super) fn fields(&self, row: &WaitingRow) -> &[(&'static str, WaitingValue)] {
        &self.fields[row.fields.0..row.fields.1]
    }

    /// The bytes of a text.
    pub(super) fn text(&self, start: usize, end: usize) -> &[u8] {
        &self.bytes[start..end]
    }

    /// All rows are written: their memory is free for the next.
    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.fields.clear();
        self.bytes.clear();
        self.written = 0;
    }

    /// Bytes held.
    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
            + self.rows.capacity() * size_of::<WaitingRow>()
            + self.fields.capacity() * size_of::<(&str, WaitingValue)>()
    }

    fn append(&mut self, bytes: &[u8]) -> (usize, usize) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        (start, self.bytes.len())
    }
}

/// Appends canonical labels: `(length u32, name, length u32, value)` each.
pub(super) fn encode_labels(labels: &LabelsBuf, out: &mut Vec<u8>) {
    for text in labels.iter().flat_map(|(name, value)| [name, value]) {
        out.extend_from_slice(&(text.len() as u32).to_le_bytes());
        out.extend_from_slice(text);
    }
}

/// Reads what [`encode_labels`] wrote.
pub(super) fn decode_labels(mut encoded: &[u8], labels: &mut LabelsBuf) {
    labels.clear();
    let mut next = || {
        let (len, rest) = encoded.split_first_chunk::<4>()?;
        let (text, rest) = rest.split_at(u32::from_le_bytes(*len) as usize);
        encoded = rest;
        Some(text)
    };
    while let (Some(name), Some(value)) = (next(), next()) {
        labels.push(name, value);
    }
}
