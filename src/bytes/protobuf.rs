//! The fields of a Protocol Buffers message, in place.
//!
//! Bytes in, (field number, value) out, in the order of the wire; nothing is copied and nothing is known of any
//! schema. Every error of the encoding is a [`ProtobufError`], never a panic; groups, which no schema of ours uses, are
//! stepped over as the unknown fields that they are.
//!
//! A field whose wire type is not the schema's is an error here ([`ProtobufValue::bytes`] and its siblings), as it is
//! to the decoders of Prometheus and of the OpenTelemetry Collector.

/// The value of one field as it lies on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProtobufValue<'a> {
    /// Any integer type that isn't fixed, bool, enum.
    Varint(u64),
    /// fixed64, sfixed64, double.
    Fixed64(u64),
    /// fixed32, sfixed32, float.
    Fixed32(u32),
    /// string, bytes, message, packed scalars.
    Bytes(&'a [u8]),
}

/// Why bytes are no message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProtobufError {
    /// The message ends within a field.
    Truncated,
    /// A varint is longer than 64 bits.
    Overlong,
    /// A tag has the field number 0 or one above the greatest, or a wire type that there isn't.
    Tag,
    /// A group ends that did not begin, or with another number, or lies too deep.
    Group,
    /// A known field has another wire type than its schema says.
    WireType,
    /// A string isn't UTF-8.
    Utf8,
}

/// Walks over the fields of a message. Ends after the first error.
#[derive(Clone, Debug)]
pub struct ProtobufFields<'a> {
    rest: &'a [u8],
}

impl<'a> ProtobufFields<'a> {
    /// The fields of `message`.
    #[inline]
    pub fn new(message: &'a [u8]) -> ProtobufFields<'a> {
        ProtobufFields { rest: message }
    }

    /// The bytes behind the last field given out.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next field's bytes, if its tag is this one byte, which says that it is of bytes, and its length is below
    /// 2^14: for who knows what comes as a rule, and asks [`next`](Iterator::next) otherwise.
    #[inline(always)]
    pub fn short_bytes(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (len, content) = match *self.rest {
            [first, len @ 0..0x80, ref content @ ..] if first == tag => (usize::from(len), content),
            [first, low, high @ 0..0x80, ref content @ ..] if first == tag => {
                (usize::from(low & 0x7f) | usize::from(high) << 7, content)
            }
            _ => return None,
        };
        let (bytes, behind) = content.split_at_checked(len)?;
        self.rest = behind;
        Some(bytes)
    }

    #[inline]
    fn field(&mut self) -> Result<Option<(u32, ProtobufValue<'a>)>, ProtobufError> {
        while !self.rest.is_empty() {
            let (number, kind) = tag(&mut self.rest)?;
            let value = match kind {
                WIRE_VARINT => ProtobufValue::Varint(varint(&mut self.rest)?),
                WIRE_BYTES => {
                    let len = varint(&mut self.rest)?;
                    let len = usize::try_from(len).map_err(|_| ProtobufError::Truncated)?;
                    ProtobufValue::Bytes(split(&mut self.rest, len)?)
                }
                WIRE_FIXED64 => ProtobufValue::Fixed64(fixed64(&mut self.rest)?),
                WIRE_FIXED32 => ProtobufValue::Fixed32(fixed32(&mut self.rest)?),
                WIRE_GROUP => {
                    skip_group(&mut self.rest, number)?;
                    continue;
                }
                WIRE_GROUP_END => return Err(ProtobufError::Group),
                _ => return Err(ProtobufError::Tag),
            };
            return Ok(Some((number, value)));
        }
        Ok(None)
    }
}

impl<'a> Iterator for ProtobufFields<'a> {
    type Item = Result<(u32, ProtobufValue<'a>), ProtobufError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        field.transpose()
    }
}

impl<'a> ProtobufValue<'a> {
    /// A bytes field, or a message's bytes.
    ///
    /// # Errors
    /// [`ProtobufError::WireType`] if it is none; so all of these.
    #[inline]
    pub fn bytes(self) -> Result<&'a [u8], ProtobufError> {
        match self {
            ProtobufValue::Bytes(bytes) => Ok(bytes),
            _ => Err(ProtobufError::WireType),
        }
    }

    /// The fields of a message.
    #[inline]
    pub fn message(self) -> Result<ProtobufFields<'a>, ProtobufError> {
        self.bytes().map(ProtobufFields::new)
    }

    /// A string field, which is UTF-8.
    #[inline]
    pub fn string(self) -> Result<&'a str, ProtobufError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| ProtobufError::Utf8)
    }

    /// An integer that isn't fixed: int32 and int64 are `as i64`, sint64 is to be unzigzagged.
    #[inline]
    pub fn varint(self) -> Result<u64, ProtobufError> {
        match self {
            ProtobufValue::Varint(value) => Ok(value),
            _ => Err(ProtobufError::WireType),
        }
    }

    /// Eight fixed bytes: a fixed64, or the bits of a double.
    #[inline]
    pub fn fixed64(self) -> Result<u64, ProtobufError> {
        match self {
            ProtobufValue::Fixed64(value) => Ok(value),
            _ => Err(ProtobufError::WireType),
        }
    }

    /// Four fixed bytes: a fixed32, or the bits of a float.
    #[inline]
    pub fn fixed32(self) -> Result<u32, ProtobufError> {
        match self {
            ProtobufValue::Fixed32(value) => Ok(value),
            _ => Err(ProtobufError::WireType),
        }
    }

    /// Hands over each element of a repeated fixed64 or double field, of which this is a stretch (packed) or one.
    #[inline]
    pub fn each_fixed64(self, mut take: impl FnMut(u64)) -> Result<(), ProtobufError> {
        match self {
            ProtobufValue::Bytes(bytes) => {
                let (words, rest) = bytes.as_chunks::<8>();
                words.iter().for_each(|word| take(u64::from_le_bytes(*word)));
                if rest.is_empty() { Ok(()) } else { Err(ProtobufError::Truncated) }
            }
            one => one.fixed64().map(take),
        }
    }

    /// Hands over each element of a repeated varint field, of which this is a stretch (packed) or one.
    #[inline]
    pub fn each_varint(self, mut take: impl FnMut(u64)) -> Result<(), ProtobufError> {
        match self {
            ProtobufValue::Bytes(mut rest) => {
                while !rest.is_empty() {
                    take(varint(&mut rest)?);
                }
                Ok(())
            }
            one => one.varint().map(take),
        }
    }
}

#[inline]
fn tag(rest: &mut &[u8]) -> Result<(u32, u64), ProtobufError> {
    let tag = varint(rest)?;
    let number = tag >> 3;
    if number == 0 || number > FIELD_NUMBER_MAX {
        return Err(ProtobufError::Tag);
    }
    Ok((number as u32, tag & 7))
}

#[inline]
fn varint(rest: &mut &[u8]) -> Result<u64, ProtobufError> {
    match **rest {
        [byte @ 0..0x80, ..] => {
            *rest = &rest[1..];
            Ok(u64::from(byte))
        }
        _ => varint_of_many(rest),
    }
}

#[inline(never)]
fn varint_of_many(rest: &mut &[u8]) -> Result<u64, ProtobufError> {
    super::read_varint(rest).ok_or_else(|| {
        let is_cut = rest.len() < VARINT_BYTES_MAX && rest.iter().all(|byte| *byte >= 0x80);
        if is_cut { ProtobufError::Truncated } else { ProtobufError::Overlong }
    })
}

#[inline]
fn split<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], ProtobufError> {
    let (bytes, behind) = rest.split_at_checked(len).ok_or(ProtobufError::Truncated)?;
    *rest = behind;
    Ok(bytes)
}

#[inline]
fn fixed64(rest: &mut &[u8]) -> Result<u64, ProtobufError> {
    let (word, behind) = rest.split_first_chunk::<8>().ok_or(ProtobufError::Truncated)?;
    *rest = behind;
    Ok(u64::from_le_bytes(*word))
}

#[inline]
fn fixed32(rest: &mut &[u8]) -> Result<u32, ProtobufError> {
    let (word, behind) = rest.split_first_chunk::<4>().ok_or(ProtobufError::Truncated)?;
    *rest = behind;
    Ok(u32::from_le_bytes(*word))
}

/// Steps over what is in group `number`, its end included.
#[cold]
fn skip_group(rest: &mut &[u8], number: u32) -> Result<(), ProtobufError> {
    let mut open = [0u32; GROUP_DEPTH_MAX];
    open[0] = number;
    let mut depth = 1;
    while depth > 0 {
        let (number, kind) = tag(rest)?;
        match kind {
            WIRE_VARINT => _ = varint(rest)?,
            WIRE_BYTES => {
                let len = varint(rest)?;
                split(rest, usize::try_from(len).map_err(|_| ProtobufError::Truncated)?)?;
            }
            WIRE_FIXED64 => _ = fixed64(rest)?,
            WIRE_FIXED32 => _ = fixed32(rest)?,
            WIRE_GROUP => {
                *open.get_mut(depth).ok_or(ProtobufError::Group)? = number;
                depth += 1;
            }
            WIRE_GROUP_END if open[depth - 1] == number => depth -= 1,
            WIRE_GROUP_END => return Err(ProtobufError::Group),
            _ => return Err(ProtobufError::Tag),
        }
    }
    Ok(())
}

impl std::fmt::Display for ProtobufError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ProtobufError::Truncated => "the message ends within a field",
            ProtobufError::Overlong => "a varint is longer than 64 bits",
            ProtobufError::Tag => "invalid field number or wire type",
            ProtobufError::Group => "a group is not closed as it was opened",
            ProtobufError::WireType => "a field has another wire type than its schema says",
            ProtobufError::Utf8 => "a string is not UTF-8",
        })
    }
}

impl std::error::Error for ProtobufError {}

const WIRE_VARINT: u64 = 0;
const WIRE_FIXED64: u64 = 1;
const WIRE_BYTES: u64 = 2;
const WIRE_GROUP: u64 = 3;
const WIRE_GROUP_END: u64 = 4;
const WIRE_FIXED32: u64 = 5;

const FIELD_NUMBER_MAX: u64 = (1 << 29) - 1;
const VARINT_BYTES_MAX: usize = 10;

/// How deep groups may lie in one another.
const GROUP_DEPTH_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::write_varint;
    use proptest::prelude::*;

    fn all(message: &[u8]) -> Result<Vec<(u32, ProtobufValue<'_>)>, ProtobufError> {
        ProtobufFields::new(message).collect()
    }

    #[test]
    fn fields_come_in_the_order_of_the_wire() {
        let message = b"\x08\x96\x01\x12\x02hi\x19\x01\0\0\0\0\0\0\0\x25\x02\0\0\0\x08\x00";
        assert_eq!(
            all(message).unwrap(),
            [
                (1, ProtobufValue::Varint(150)),
                (2, ProtobufValue::Bytes(b"hi")),
                (3, ProtobufValue::Fixed64(1)),
                (4, ProtobufValue::Fixed32(2)),
                (1, ProtobufValue::Varint(0)),
            ]
        );
    }

    #[test]
    fn groups_are_stepped_over() {
        // Group 1 holds a varint, bytes and group 2; then field 3.
        let message = b"\x0b\x10\x05\x1a\x01x\x13\x25\0\0\0\0\x14\x0c\x18\x07";
        assert_eq!(all(message).unwrap(), [(3, ProtobufValue::Varint(7))]);
        assert_eq!(all(b"\x0b\x14"), Err(ProtobufError::Group), "closed by another number");
        assert_eq!(all(b"\x0c"), Err(ProtobufError::Group), "closed and never opened");
        assert_eq!(all(b"\x0b"), Err(ProtobufError::Truncated));
        assert_eq!(all(&[0x0b; 100]), Err(ProtobufError::Group), "too deep");
    }

    #[test]
    fn what_is_no_message_says_why() {
        let cases: [(&[u8], ProtobufError); 9] = [
            (b"\x08", ProtobufError::Truncated),
            (b"\x08\x80", ProtobufError::Truncated),
            (b"\x12\x02h", ProtobufError::Truncated),
            (b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01h", ProtobufError::Truncated),
            (b"\x19\0\0\0\0\0\0\0", ProtobufError::Truncated),
            (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", ProtobufError::Overlong),
            (b"\x00\x00", ProtobufError::Tag),
            (b"\x0e", ProtobufError::Tag),
            (b"\x80\x80\x80\x80\x10\x00", ProtobufError::Tag),
        ];
        for (message, error) in cases {
            assert_eq!(all(message), Err(error), "{message:02x?}");
        }
    }

    #[test]
    fn a_value_of_another_wire_type_is_refused() {
        let varint = ProtobufValue::Varint(1);
        assert_eq!(varint.bytes(), Err(ProtobufError::WireType));
        assert_eq!(varint.fixed64(), Err(ProtobufError::WireType));
        assert_eq!(varint.fixed32(), Err(ProtobufError::WireType));
        assert_eq!(ProtobufValue::Fixed32(1).varint(), Err(ProtobufError::WireType));
        assert_eq!(ProtobufValue::Bytes(b"\xff").string(), Err(ProtobufError::Utf8));
    }

    #[test]
    fn repeated_scalars_are_packed_or_not() {
        let mut seen = Vec::new();
        ProtobufValue::Bytes(b"\x01\x80\x01").each_varint(|v| seen.push(v)).unwrap();
        ProtobufValue::Varint(5).each_varint(|v| seen.push(v)).unwrap();
        ProtobufValue::Bytes(&[7, 0, 0, 0, 0, 0, 0, 0]).each_fixed64(|v| seen.push(v)).unwrap();
        ProtobufValue::Fixed64(9).each_fixed64(|v| seen.push(v)).unwrap();
        assert_eq!(seen, [1, 128, 5, 7, 9]);
        assert_eq!(ProtobufValue::Bytes(b"\x80").each_varint(|_| ()), Err(ProtobufError::Truncated));
        assert_eq!(ProtobufValue::Bytes(&[0; 9]).each_fixed64(|_| ()), Err(ProtobufError::Truncated));
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_fields_or_an_error(bytes: Vec<u8>) {
            let seen = ProtobufFields::new(&bytes).count();
            prop_assert!(seen <= bytes.len());
        }

        #[test]
        fn what_was_written_is_read(
            fields in proptest::collection::vec(
                (1u32..=FIELD_NUMBER_MAX as u32, 0u8..4, any::<u64>(), 0u32..64),
                0..20,
            ),
        ) {
            let mut message = Vec::new();
            let mut expected = Vec::new();
            let text = [0x55u8; 300];
            for (number, kind, word, shift) in fields {
                let word = word >> shift;
                let tag = u64::from(number) << 3;
                expected.push((number, match kind {
                    0 => {
                        write_varint(&mut message, tag);
                        write_varint(&mut message, word);
                        ProtobufValue::Varint(word)
                    }
                    1 => {
                        write_varint(&mut message, tag | 1);
                        message.extend_from_slice(&word.to_le_bytes());
                        ProtobufValue::Fixed64(word)
                    }
                    2 => {
                        let bytes = &text[..word as usize % text.len()];
                        write_varint(&mut message, tag | 2);
                        write_varint(&mut message, bytes.len() as u64);
                        message.extend_from_slice(bytes);
                        ProtobufValue::Bytes(bytes)
                    }
                    _ => {
                        write_varint(&mut message, tag | 5);
                        message.extend_from_slice(&(word as u32).to_le_bytes());
                        ProtobufValue::Fixed32(word as u32)
                    }
                }));
            }
            prop_assert_eq!(all(&message).unwrap(), expected);
        }

        #[test]
        fn short_bytes_are_the_next_field(
            tag in prop_oneof![Just(0x0au8), Just(0x12), Just(0x2a)], len in 0u64..20_000, content in 0usize..20_000,
            foreign: bool,
        ) {
            let mut message = vec![if foreign { 0x22 } else { tag }];
            write_varint(&mut message, len);
            message.resize(message.len() + content, 7);
            let (mut short, mut any) = (ProtobufFields::new(&message), ProtobufFields::new(&message));
            match short.short_bytes(tag) {
                Some(bytes) => {
                    prop_assert_eq!(any.next(), Some(Ok((u32::from(tag >> 3), ProtobufValue::Bytes(bytes)))));
                    prop_assert_eq!(short.rest(), any.rest());
                }
                None => {
                    prop_assert!(foreign || content < len as usize || len >= 1 << 14);
                    prop_assert_eq!(short.rest(), &message[..]);
                }
            }
        }
    }
}
