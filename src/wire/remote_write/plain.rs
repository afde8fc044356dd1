//! What everybody sends, read without looking twice: a series of one sample.
//!
//! Whatever is not exactly that is none of it, and is read field by field elsewhere; both read the same.

use std::ops::Range;

use crate::bytes::{ProtobufValue, read_varint};

use super::message::LABELS_TAG;
use super::rows::Sample;

impl Sample {
    /// Reads what everybody writes, if `parts` is just that: the field of one sample, of value and time and nothing
    /// else.
    #[inline(always)]
    pub(super) fn read_plain(parts: &[u8]) -> Option<Sample> {
        let (head, rest) = parts.split_first_chunk::<3>()?;
        let &[SAMPLE_TAG, len, VALUE_TAG] = head else { return None };
        let (value, rest) = rest.split_first_chunk::<8>()?;
        let (&TIME_TAG, time) = rest.split_first()? else { return None };
        if parts.len() != usize::from(len) + 2 || len >= 0x80 {
            return None;
        }
        let time_ms = match time.len() {
            // Milliseconds since 1970 take six bytes until the year 2109: all of them are the time.
            6 => six_bytes(time)?,
            _ => {
                let mut time = time;
                let word = read_varint(&mut time)?;
                if !time.is_empty() {
                    return None;
                }
                word
            }
        };
        Some(Sample { bits: u64::from_le_bytes(*value), time_ms: time_ms as i64, start_ms: 0 })
    }
}

/// The varint of exactly six bytes.
#[inline(always)]
fn six_bytes(varint: &[u8]) -> Option<u64> {
    let low = u64::from(u32::from_le_bytes(*varint.first_chunk()?));
    let high = u64::from(u16::from_le_bytes(*varint.get(4..)?.first_chunk()?));
    let word = high << 32 | low;
    if word & 0x8080_8080_8080 != 0x0080_8080_8080 {
        return None;
    }
    // Seven bits a byte, pushed together: pairs, then pairs of pairs.
    let sevens = word & 0x7f7f_7f7f_7f7f;
    let pairs = (sevens & 0x007f_007f_007f) | (sevens & 0x7f00_7f00_7f00) >> 1;
    Some((pairs & 0x3fff) | (pairs >> 16 & 0x3fff) << 14 | (pairs >> 32 & 0x3fff) << 28)
}

/// A 2.0 series as Prometheus writes it.
pub(super) struct PlainSeries<'a> {
    /// Its references, packed.
    pub(super) references: &'a [u8],
    pub(super) sample: Sample,
    /// Where its metadata stands in it, from its length on; empty if it says nothing.
    pub(super) metadata: Range<usize>,
}

impl PlainSeries<'_> {
    /// Reads a series of references, a sample and perhaps metadata, each at most 127 bytes long.
    ///
    /// In place: what is read back from where a call has just put it waits for that.
    #[inline(always)]
    pub(super) fn read(parts: &[u8]) -> Option<PlainSeries<'_>> {
        let &[LABELS_TAG, references_len @ 0..0x80, ref behind @ ..] = parts else { return None };
        let (references, behind) = behind.split_at_checked(usize::from(references_len))?;
        let &[SAMPLE_TAG, sample_len @ 0..0x80, ..] = behind else { return None };
        let (sample, behind) = behind.split_at_checked(2 + usize::from(sample_len))?;
        let sample = Sample::read_plain(sample)?;
        let metadata = match *behind {
            [] | [METADATA_TAG, 0] => parts.len()..parts.len(),
            [METADATA_TAG, len @ 0..0x80, ref message @ ..] if message.len() == usize::from(len) => {
                parts.len() - message.len() - 1..parts.len()
            }
            _ => return None,
        };
        Some(PlainSeries { references, sample, metadata })
    }

    /// Whether its references are whole.
    #[inline]
    pub(super) fn has_whole_references(&self) -> bool {
        ProtobufValue::Bytes(self.references).each_varint(|_| ()).is_ok()
    }
}

/// Packed varints, short ones as a rule.
#[inline(always)]
pub(super) fn packed(packed: &[u8]) -> impl Iterator<Item = u64> {
    let mut rest = packed;
    std::iter::from_fn(move || match *rest {
        [] => None,
        [one @ 0..0x80, ref behind @ ..] => {
            rest = behind;
            Some(u64::from(one))
        }
        [one, two @ 0..0x80, ref behind @ ..] => {
            rest = behind;
            Some(u64::from(one & 0x7f) | u64::from(two) << 7)
        }
        _ => read_varint(&mut rest),
    })
}

const SAMPLE_TAG: u8 = 2 << 3 | 2;
const METADATA_TAG: u8 = 5 << 3 | 2;
const VALUE_TAG: u8 = 1 << 3 | 1;
const TIME_TAG: u8 = 2 << 3;
