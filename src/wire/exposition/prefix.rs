//! What stands before a line's bytes in the key of its series: whatever else decides about its labels.
//!
//! The same name and labels mean another series under another `TYPE`, since `le` and `quantile` are written anew under
//! two of them, and in a request that gives its series labels. A key is therefore `prefix, bytes as received`. Nothing
//! stands before a key of neither; else the prefix starts with a control character, which no name does, and tells
//! its own length: no two prefixes make the same key of different bytes.

use crate::bytes::write_varint;
use crate::model::MetricType;

use super::GivenLabel;
use super::cursor::starts_name;

/// The prefix of the lines being read.
#[derive(Default, Clone, Debug)]
pub(super) struct Prefix {
    bytes: Vec<u8>,
    labelled: bool,
}

/// The first byte of a prefix: what the last `TYPE` means for labels, and whether labels follow.
const PLAIN: u8 = 1;
const HISTOGRAM: u8 = 2;
const SUMMARY: u8 = 3;
const LABELLED: u8 = 4;

/// The first byte of keys that are longer than a line: no fast way finds them, which counts a line for a row.
const OF_LINES: u8 = 9;

/// The first byte of keys that name a series by its labels alone, whatever line it came from.
const BY_LABELS: u8 = 8;

impl Prefix {
    /// The prefix where every series gets these labels.
    pub(super) fn new(labels: &[GivenLabel]) -> Prefix {
        let mut bytes = Vec::new();
        if !labels.is_empty() {
            bytes.push(PLAIN | LABELLED);
            write_varint(&mut bytes, labels.len() as u64);
            for part in labels.iter().flat_map(|label| [&label.name, &label.value]) {
                write_varint(&mut bytes, part.len() as u64);
                bytes.extend_from_slice(part);
            }
        }
        Prefix { bytes, labelled: !labels.is_empty() }
    }

    /// A `TYPE` was read.
    pub(super) fn set_kind(&mut self, kind: MetricType) {
        let mark = match kind {
            MetricType::Histogram => HISTOGRAM,
            MetricType::Summary => SUMMARY,
            _ => PLAIN,
        };
        if self.labelled {
            self.bytes[0] = mark | LABELLED;
        } else {
            self.bytes.clear();
            if mark != PLAIN {
                self.bytes.push(mark);
            }
        }
    }

    /// The bytes as received of a key that has this prefix.
    #[inline]
    pub(super) fn strip<'a>(&self, key: &'a [u8]) -> Option<&'a [u8]> {
        let raw = key.strip_prefix(&*self.bytes)?;
        raw.first().is_some_and(|&byte| starts_name(byte) || byte == b'{').then_some(raw)
    }

    /// The key of these bytes: themselves, or `scratch` filled with it.
    #[inline]
    pub(super) fn key<'a>(&self, raw: &'a [u8], scratch: &'a mut Vec<u8>) -> &'a [u8] {
        if self.bytes.is_empty() {
            return raw;
        }
        scratch.clear();
        scratch.extend_from_slice(&self.bytes);
        scratch.extend_from_slice(raw);
        scratch
    }

    /// The key of these bytes, which hold a newline.
    pub(super) fn key_of_lines<'a>(&self, raw: &[u8], scratch: &'a mut Vec<u8>) -> &'a [u8] {
        scratch.clear();
        scratch.push(OF_LINES);
        scratch.extend_from_slice(&self.bytes);
        scratch.extend_from_slice(raw);
        scratch
    }
}

/// The key of a series that is named by its labels, each `length varint, name, length varint, value`.
pub(super) fn key_by_labels<'a>(labels: &[&[u8]], scratch: &'a mut Vec<u8>) -> &'a [u8] {
    scratch.clear();
    scratch.push(BY_LABELS);
    for part in labels {
        scratch.extend_from_slice(part);
    }
    scratch
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Vec<GivenLabel> {
        pairs.iter().map(|(n, v)| GivenLabel::new(n.as_bytes(), v.as_bytes())).collect()
    }

    #[test]
    fn a_key_is_stripped_by_the_prefix_that_made_it_and_by_no_other() {
        let mut prefixes = Vec::new();
        for given in
            [labels(&[]), labels(&[("a", "x")]), labels(&[("a", "x"), ("b", "")]), labels(&[("a", "xb")])]
        {
            for kind in [MetricType::Gauge, MetricType::Histogram, MetricType::Summary] {
                let mut prefix = Prefix::new(&given);
                prefix.set_kind(kind);
                prefixes.push(prefix);
            }
        }
        let raw = b"up{a=\"b\"}";
        for (i, prefix) in prefixes.iter().enumerate() {
            let key = prefix.key(raw, &mut Vec::new()).to_vec();
            for (j, other) in prefixes.iter().enumerate() {
                assert_eq!(other.strip(&key), (i == j).then_some(&raw[..]), "{i} {j}");
            }
            assert_eq!(prefix.strip(key_by_labels(&[b"up"], &mut Vec::new())), None);
            assert_eq!(prefix.strip(prefix.key_of_lines(b"up", &mut Vec::new())), None);
        }
    }

    #[test]
    fn a_type_that_means_nothing_for_labels_changes_no_key() {
        let mut prefix = Prefix::default();
        prefix.set_kind(MetricType::Histogram);
        prefix.set_kind(MetricType::Counter);
        assert_eq!(prefix.key(b"up", &mut Vec::new()), b"up");
    }
}
