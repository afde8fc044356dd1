//! Points as nearly all senders write them: a number whose series is the predicted one.
//!
//! Such a point needs no check of its own. Its attributes are, byte for byte, those that were checked when the series
//! was new, and of the rest nothing but what is looked at here is there.

use crate::model::FieldType;

use super::schema::{number, point};

/// A number and its times. Those are 0 where unknown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PlainPoint {
    pub(super) start_time: u64,
    pub(super) time: u64,
    pub(super) kind: FieldType,
    pub(super) word: u64,
}

impl PlainPoint {
    /// Reads a `NumberDataPoint` whose attributes are these: each with its length before it, as keys have them. `None`
    /// for any other, and for one that holds anything else.
    #[inline]
    pub(super) fn read(message: &[u8], attributes: &[u8]) -> Option<PlainPoint> {
        let (mut rest, mut expected) = (message, attributes);
        let (mut start_time, mut time, mut value) = (0, 0, None);
        while let [tag, behind @ ..] = rest {
            rest = match *tag {
                ATTRIBUTE => {
                    // One byte of length: longer ones are rare.
                    let len = 1 + usize::from(*behind.first().filter(|len| **len < 0x80)?);
                    let (attribute, behind) = behind.split_at_checked(len)?;
                    expected = expected.strip_prefix(attribute)?;
                    behind
                }
                START_TIME | TIME | AS_DOUBLE | AS_INT => {
                    let (word, behind) = behind.split_first_chunk::<8>()?;
                    let word = u64::from_le_bytes(*word);
                    match *tag {
                        START_TIME => start_time = word,
                        TIME => time = word,
                        AS_DOUBLE => value = Some((FieldType::F64, word)),
                        _ => value = Some((FieldType::I64, word)),
                    }
                    behind
                }
                _ => return None,
            };
        }
        let (kind, word) = value.filter(|_| expected.is_empty())?;
        Some(PlainPoint { start_time, time, kind, word })
    }
}

const ATTRIBUTE: u8 = tag(number::ATTRIBUTES, 2);
const START_TIME: u8 = tag(point::START_TIME, 1);
const TIME: u8 = tag(point::TIME, 1);
const AS_DOUBLE: u8 = tag(number::AS_DOUBLE, 1);
const AS_INT: u8 = tag(number::AS_INT, 1);

const fn tag(number: u32, wire_type: u32) -> u8 {
    assert!(number < 16);
    (number << 3 | wire_type) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINT: &[u8] =
        b"\x11\x01\0\0\0\0\0\0\0\x19\x02\0\0\0\0\0\0\0\x21\0\0\0\0\0\0\xf0\x3f\x3a\x01a\x3a\x02bc";
    const ATTRIBUTES: &[u8] = b"\x01a\x02bc";

    #[test]
    fn the_plainest_point() {
        let one = 1f64.to_bits();
        let read = PlainPoint { start_time: 1, time: 2, kind: FieldType::F64, word: one };
        assert_eq!(PlainPoint::read(POINT, ATTRIBUTES), Some(read));
        let (value, attributes) = POINT.split_at(27);
        // The attributes may stand before the value, and an integer is one.
        let turned = [attributes, b"\x31\x07\0\0\0\0\0\0\0"].concat();
        let read = PlainPoint { start_time: 0, time: 0, kind: FieldType::I64, word: 7 };
        assert_eq!(PlainPoint::read(&turned, ATTRIBUTES), Some(read));
        assert!(PlainPoint::read(value, b"").is_some());
    }

    #[test]
    fn all_others() {
        for cut in 0..POINT.len() {
            assert_eq!(PlainPoint::read(&POINT[..cut], ATTRIBUTES), None, "{cut}");
        }
        let more = |behind: &[u8]| [POINT, behind].concat();
        for (message, attributes) in [
            (POINT.to_vec(), &b"\x01a\x02bd"[..]),
            (POINT.to_vec(), b"\x01a"),
            (POINT.to_vec(), b"\x01a\x02bc\x00"),
            (more(b"\x40\x01"), ATTRIBUTES),
            (more(b"\x2a\x00"), ATTRIBUTES),
            (more(b"\x20\x00"), ATTRIBUTES),
            (more(b"\xff"), ATTRIBUTES),
            (b"\x3a\x01a\x3a\x02bc".to_vec(), ATTRIBUTES),
        ] {
            assert_eq!(PlainPoint::read(&message, attributes), None, "{message:x?}");
        }
    }
}
