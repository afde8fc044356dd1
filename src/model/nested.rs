//! Nested values: lists and maps of typed values, built by a decoder and read part by part.
//!
//! `block/format.md`, "Nested value", has the bytes.

use super::parts::{Malformed, Parts};
use crate::bytes::{write_varint, zigzag};

/// How deep lists and maps nest at most.
pub const NESTED_DEPTH_MAX: usize = 32;

/// A list or map would be deeper than [`NESTED_DEPTH_MAX`]. Nothing was added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooDeep;

/// A nested value under construction. Cleared and used again: a decoder allocates it once.
///
/// Values are added in order; in a map each has its [`key`](NestedBuf::key) before it. How many items a list or map has
/// is put before them when it ends, so nobody needs to know it before.
///
/// ```
/// use tidegate::model::{NestedBuf, NestedPart, NestedReader};
/// let mut buf = NestedBuf::default();
/// buf.begin_map().unwrap();
/// buf.key(b"tries");
/// buf.i64(3);
/// buf.end();
/// let parts: Vec<_> = NestedReader::new(buf.finish()).collect::<Result<_, _>>().unwrap();
/// assert_eq!(parts, [NestedPart::Map(1), NestedPart::Key(b"tries"), NestedPart::I64(3)]);
/// ```
#[derive(Clone, Default, Debug)]
pub struct NestedBuf {
    bytes: Vec<u8>,
    open: Vec<Open>,
}

/// A list or map that has not ended.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// Where its first item starts, and its count will stand.
    start: usize,
    items: u64,
    is_map: bool,
    /// A key waits for its value.
    keyed: bool,
}

impl NestedBuf {
    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.open.clear();
    }

    /// Adds a float; every bit is kept.
    pub fn f64(&mut self, value: f64) {
        self.tag(tag::F64);
        self.bytes.extend_from_slice(&value.to_bits().to_le_bytes());
    }

    /// Adds a signed integer.
    pub fn i64(&mut self, value: i64) {
        self.tag(tag::I64);
        write_varint(&mut self.bytes, zigzag(value));
    }

    /// Adds an unsigned integer.
    pub fn u64(&mut self, value: u64) {
        self.tag(tag::U64);
        write_varint(&mut self.bytes, value);
    }

    /// Adds a truth value.
    pub fn bool(&mut self, value: bool) {
        self.tag(tag::BOOL);
        self.bytes.push(u8::from(value));
    }

    /// Adds text.
    pub fn string(&mut self, value: &[u8]) {
        self.tag(tag::STRING);
        self.sized(value);
    }

    /// Adds bytes.
    pub fn bytes(&mut self, value: &[u8]) {
        self.tag(tag::BYTES);
        self.sized(value);
    }

    /// Adds a null.
    pub fn null(&mut self) {
        self.tag(tag::NULL);
    }

    /// Starts a list: what is added up to its [`end`](NestedBuf::end) is in it.
    ///
    /// # Errors
    /// [`TooDeep`].
    pub fn begin_list(&mut self) -> Result<(), TooDeep> {
        self.begin(tag::LIST)
    }

    /// Starts a map: what is added up to its [`end`](NestedBuf::end) is in it.
    ///
    /// # Errors
    /// [`TooDeep`].
    pub fn begin_map(&mut self) -> Result<(), TooDeep> {
        self.begin(tag::MAP)
    }

    /// Adds the key of the next value. Keys keep their order, and may come again.
    ///
    /// # Panics
    /// If what is open is no map, or has a key without a value.
    pub fn key(&mut self, key: &[u8]) {
        let open = self.open.last_mut().filter(|open| open.is_map && !open.keyed);
        open.expect("a key stands in a map, before a value").keyed = true;
        self.sized(key);
    }

    /// Ends the list or map that was started last.
    ///
    /// # Panics
    /// If none is open, or the last key has no value.
    pub fn end(&mut self) {
        let open = self.open.pop().expect("what is ended was started");
        assert!(!open.keyed, "a key has a value");
        let behind = self.bytes.len();
        write_varint(&mut self.bytes, open.items);
        let count_len = self.bytes.len() - behind;
        self.bytes[open.start..].rotate_right(count_len);
    }

    /// The value's bytes.
    ///
    /// # Panics
    /// If there is no value, or a list or map is open.
    pub fn finish(&self) -> &[u8] {
        assert!(self.open.is_empty() && !self.bytes.is_empty(), "a value is there, and whole");
        &self.bytes
    }

    fn begin(&mut self, tag: u8) -> Result<(), TooDeep> {
        if self.open.len() == NESTED_DEPTH_MAX {
            return Err(TooDeep);
        }
        self.tag(tag);
        self.open.push(Open { start: self.bytes.len(), items: 0, is_map: tag == tag::MAP, keyed: false });
        Ok(())
    }

    fn tag(&mut self, tag: u8) {
        match self.open.last_mut() {
            None => assert!(self.bytes.is_empty(), "there is one value, or a list of them"),
            Some(open) => {
                assert!(open.is_map == open.keyed, "a value in a map has a key");
                open.keyed = false;
                open.items += 1;
            }
        }
        self.bytes.push(tag);
    }

    fn sized(&mut self, bytes: &[u8]) {
        write_varint(&mut self.bytes, bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }
}

/// A part of a nested value, in the order of its bytes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum NestedPart<'a> {
    /// A float.
    F64(f64),
    /// A signed integer.
    I64(i64),
    /// An unsigned integer.
    U64(u64),
    /// A truth value.
    Bool(bool),
    /// Text.
    String(&'a [u8]),
    /// Bytes.
    Bytes(&'a [u8]),
    /// There, without a value.
    Null,
    /// A list; so many values follow.
    List(u64),
    /// A map; so many keys follow, each with its value behind it.
    Map(u64),
    /// The key of the next value.
    Key(&'a [u8]),
}

/// Reads a nested value, which takes all of its bytes. Uses no memory beyond itself. Ends after the first error.
#[derive(Clone, Debug)]
pub struct NestedReader<'a> {
    parts: Parts<'a>,
    open: [Level; NESTED_DEPTH_MAX],
    depth: usize,
    started: bool,
    ended: bool,
}

#[derive(Clone, Copy, Default, Debug)]
struct Level {
    left: u64,
    is_map: bool,
    keyed: bool,
}

impl<'a> NestedReader<'a> {
    /// Reads `bytes`.
    pub fn new(bytes: &'a [u8]) -> NestedReader<'a> {
        let open = [Level::default(); NESTED_DEPTH_MAX];
        NestedReader { parts: Parts(bytes), open, depth: 0, started: false, ended: false }
    }

    fn part(&mut self) -> Result<Option<NestedPart<'a>>, Malformed> {
        while self.depth > 0 && self.open[self.depth - 1].left == 0 {
            self.depth -= 1;
        }
        match self.open[..self.depth].last_mut() {
            None if self.started => return self.parts.end().map(|()| None),
            None => self.started = true,
            Some(level) if level.is_map && !level.keyed => {
                level.keyed = true;
                return Ok(Some(NestedPart::Key(self.parts.sized()?)));
            }
            Some(level) => {
                level.left -= 1;
                level.keyed = false;
            }
        }
        self.value().map(Some)
    }

    fn value(&mut self) -> Result<NestedPart<'a>, Malformed> {
        let parts = &mut self.parts;
        Ok(match parts.byte()? {
            tag::F64 => NestedPart::F64(parts.float()?),
            tag::I64 => NestedPart::I64(parts.signed()?),
            tag::U64 => NestedPart::U64(parts.varint()?),
            tag::BOOL => match parts.byte()? {
                byte @ 0..=1 => NestedPart::Bool(byte == 1),
                _ => return Err(Malformed),
            },
            tag::STRING => NestedPart::String(parts.sized()?),
            tag::BYTES => NestedPart::Bytes(parts.sized()?),
            tag::NULL => NestedPart::Null,
            tag::LIST => NestedPart::List(self.descend(false)?),
            tag::MAP => NestedPart::Map(self.descend(true)?),
            _ => return Err(Malformed),
        })
    }

    fn descend(&mut self, is_map: bool) -> Result<u64, Malformed> {
        let left = self.parts.count()?;
        *self.open.get_mut(self.depth).ok_or(Malformed)? = Level { left, is_map, keyed: false };
        self.depth += 1;
        Ok(left)
    }
}

impl<'a> Iterator for NestedReader<'a> {
    type Item = Result<NestedPart<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let part = self.part().transpose();
        self.ended = !matches!(part, Some(Ok(_)));
        part
    }
}

/// What a value is. The numbers are part of block format 1.
mod tag {
    pub(super) const F64: u8 = 1;
    pub(super) const I64: u8 = 2;
    pub(super) const U64: u8 = 3;
    pub(super) const BOOL: u8 = 4;
    pub(super) const STRING: u8 = 5;
    pub(super) const BYTES: u8 = 6;
    pub(super) const NULL: u8 = 7;
    pub(super) const LIST: u8 = 16;
    pub(super) const MAP: u8 = 17;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, PartialEq, Debug)]
    enum Plain {
        F64(u64),
        I64(i64),
        U64(u64),
        Bool(bool),
        String(Vec<u8>),
        Bytes(Vec<u8>),
        Null,
        List(Vec<Plain>),
        Map(Vec<(Vec<u8>, Plain)>),
    }

    fn build(value: &Plain, buf: &mut NestedBuf) {
        match value {
            Plain::F64(bits) => buf.f64(f64::from_bits(*bits)),
            Plain::I64(v) => buf.i64(*v),
            Plain::U64(v) => buf.u64(*v),
            Plain::Bool(v) => buf.bool(*v),
            Plain::String(v) => buf.string(v),
            Plain::Bytes(v) => buf.bytes(v),
            Plain::Null => buf.null(),
            Plain::List(items) => {
                buf.begin_list().unwrap();
                items.iter().for_each(|item| build(item, buf));
                buf.end();
            }
            Plain::Map(items) => {
                buf.begin_map().unwrap();
                for (key, item) in items {
                    buf.key(key);
                    build(item, buf);
                }
                buf.end();
            }
        }
    }

    fn take(reader: &mut NestedReader<'_>) -> Result<Plain, Malformed> {
        Ok(match reader.next().ok_or(Malformed)?? {
            NestedPart::F64(v) => Plain::F64(v.to_bits()),
            NestedPart::I64(v) => Plain::I64(v),
            NestedPart::U64(v) => Plain::U64(v),
            NestedPart::Bool(v) => Plain::Bool(v),
            NestedPart::String(v) => Plain::String(v.to_vec()),
            NestedPart::Bytes(v) => Plain::Bytes(v.to_vec()),
            NestedPart::Null => Plain::Null,
            NestedPart::List(count) => {
                Plain::List((0..count).map(|_| take(reader)).collect::<Result<_, _>>()?)
            }
            NestedPart::Map(count) => {
                let item = |_| match reader.next() {
                    Some(Ok(NestedPart::Key(key))) => Ok((key.to_vec(), take(reader)?)),
                    _ => Err(Malformed),
                };
                Plain::Map((0..count).map(item).collect::<Result<_, _>>()?)
            }
            NestedPart::Key(_) => return Err(Malformed),
        })
    }

    fn read(bytes: &[u8]) -> Result<Plain, Malformed> {
        let mut reader = NestedReader::new(bytes);
        let value = take(&mut reader)?;
        match reader.next() {
            None => Ok(value),
            Some(_) => Err(Malformed),
        }
    }

    fn values() -> impl Strategy<Value = Plain> {
        let leaf = prop_oneof![
            any::<u64>().prop_map(Plain::F64),
            any::<i64>().prop_map(Plain::I64),
            any::<u64>().prop_map(Plain::U64),
            any::<bool>().prop_map(Plain::Bool),
            any::<Vec<u8>>().prop_map(Plain::String),
            any::<Vec<u8>>().prop_map(Plain::Bytes),
            Just(Plain::Null),
        ];
        leaf.prop_recursive(5, 64, 6, |inner| {
            let key = prop::collection::vec(any::<u8>(), 0..3);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Plain::List),
                prop::collection::vec((key, inner), 0..6).prop_map(Plain::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_was_built_is_read_and_a_part_of_it_is_not(value in values()) {
            let mut buf = NestedBuf::default();
            build(&value, &mut buf);
            let bytes = buf.finish().to_vec();
            prop_assert_eq!(read(&bytes), Ok(value.clone()));
            for cut in 0..bytes.len() {
                prop_assert_eq!(read(&bytes[..cut]), Err(Malformed));
            }
            prop_assert_eq!(read(&[&bytes[..], &[0]].concat()), Err(Malformed));
            buf.clear();
            build(&value, &mut buf);
            prop_assert_eq!(buf.finish(), &bytes[..]);
        }

        #[test]
        fn any_bytes_are_a_value_or_malformed(
            bytes in prop::collection::vec(prop_oneof![0u8..20, any::<u8>()], 0..40),
        ) {
            let parts = NestedReader::new(&bytes).count();
            prop_assert!(parts <= bytes.len() + 1, "{} parts of {} bytes", parts, bytes.len());
            _ = read(&bytes);
        }
    }

    #[test]
    fn long_lists_have_long_counts() {
        for len in [127, 128, 20_000] {
            let value =
                Plain::Map(vec![(b"k".to_vec(), Plain::List(vec![Plain::Null; len])), (vec![], Plain::Null)]);
            let mut buf = NestedBuf::default();
            build(&value, &mut buf);
            assert_eq!(read(buf.finish()), Ok(value));
        }
    }

    #[test]
    fn the_depth_is_bounded_both_ways() {
        let mut buf = NestedBuf::default();
        for _ in 0..NESTED_DEPTH_MAX {
            buf.begin_list().unwrap();
        }
        assert_eq!(buf.begin_map(), Err(TooDeep));
        assert_eq!(buf.begin_list(), Err(TooDeep));
        buf.null();
        for _ in 0..NESTED_DEPTH_MAX {
            buf.end();
        }
        assert!(read(buf.finish()).is_ok());
        assert_eq!(read(&[&[16, 1], buf.finish()].concat()), Err(Malformed));
        assert_eq!(read(&[[16, 1].repeat(NESTED_DEPTH_MAX), vec![16, 0]].concat()), Err(Malformed));
    }
}
