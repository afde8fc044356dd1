//! Native histograms: built by a decoder, encoded as the format says, and read again.
//!
//! `block/format.md`, "Histogram", has the bytes. [`HistogramBuf`] is filled in any order and encoded at once, so that
//! its first byte, which says what follows, needs no patching. [`Histogram`] is a view of bytes that have been checked
//! to their end.

use std::cmp::Ordering;

use super::parts::{Malformed, Parts};
use crate::bytes::{write_varint, zigzag};

/// What a histogram's counts are.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum CountKind {
    /// Whole numbers.
    #[default]
    U64,
    /// Floats.
    F64,
}

/// A count of a histogram.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Count {
    /// Of [`CountKind::U64`].
    U64(u64),
    /// Of [`CountKind::F64`].
    F64(f64),
}

/// Whether the counter was reset before a histogram. The numbers are part of block format 1.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[repr(u8)]
pub enum ResetHint {
    /// Nobody knows.
    #[default]
    Unknown = 0,
    /// It was.
    Yes = 1,
    /// It was not.
    No = 2,
    /// It is a gauge: its counts go up and down.
    Gauge = 3,
}

/// A run of buckets side by side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// Buckets between the end of the span before it, or bucket 0, and its first one.
    pub offset: i64,
    /// How many buckets.
    pub len: u64,
}

/// The schema of histograms whose buckets have bounds of their own.
pub const SCHEMA_CUSTOM: i32 = -53;

/// The schemas of histograms with exponential buckets.
pub const SCHEMAS_EXPONENTIAL: std::ops::RangeInclusive<i32> = -4..=8;

/// A histogram under construction. Cleared and used again: a decoder allocates it once.
///
/// Counts are words: a whole number, or the bits of a float, as [`kind`](HistogramBuf::kind) says.
///
/// ```
/// use tidegate::model::{CountKind, Count, Histogram, HistogramBuf};
/// let mut buf = HistogramBuf::default();
/// (buf.schema, buf.sum, buf.count) = (3, 18.4, 8);
/// buf.positive.span(0, 2);
/// buf.positive.count(5);
/// buf.positive.count(3);
/// let mut heap = Vec::new();
/// buf.encode(&mut heap).unwrap();
/// let read = Histogram::read(&heap).unwrap();
/// assert_eq!(read.positive.counts().collect::<Vec<_>>(), [Count::U64(5), Count::U64(3)]);
/// ```
#[derive(Clone, Default, Debug)]
pub struct HistogramBuf {
    /// What its counts are.
    pub kind: CountKind,
    /// Whether the counter was reset before it.
    pub reset: ResetHint,
    /// How its buckets grow.
    pub schema: i32,
    /// The width of the bucket around zero.
    pub zero_threshold: f64,
    /// The sum of what was observed. Every bit is kept: the staleness marker stands here.
    pub sum: f64,
    /// How much was observed: a word.
    pub count: u64,
    /// The count of the bucket around zero: a word.
    pub zero_count: u64,
    /// Buckets of positive values.
    pub positive: BucketsBuf,
    /// Buckets of negative values.
    pub negative: BucketsBuf,
    /// The upper bounds of custom buckets, the last (+Inf) left out.
    pub bounds: Vec<f64>,
    /// The least value, if it is known.
    pub min: Option<f64>,
    /// The greatest value, if it is known.
    pub max: Option<f64>,
}

/// The buckets of one sign, under construction.
#[derive(Clone, Default, Debug)]
pub struct BucketsBuf {
    spans: Vec<Span>,
    counts: Vec<u64>,
    /// The bucket behind the last one given by its index.
    next: i64,
}

/// Why a histogram can't be encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HistogramError {
    /// The format has no such schema.
    Schema(i32),
    /// Spans speak of one number of buckets, and counts are there for another.
    Buckets {
        /// The buckets of all spans.
        spans: u64,
        /// The counts.
        counts: u64,
    },
}

/// How a histogram contradicts itself.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum CountsError {
    /// A bucket's count is below zero.
    BucketBelowZero {
        /// Its values are negative.
        is_negative: bool,
        /// The bucket, from 1, of those of its sign.
        bucket: u64,
    },
    /// The count of the bucket around zero is below it.
    ZeroBelowZero,
    /// The count of all observations is below zero.
    CountBelowZero,
    /// Buckets hold more or fewer observations than there were.
    Mismatch {
        /// Observations in buckets.
        buckets: u128,
        /// All of them.
        count: u64,
    },
    /// Buckets hold more observations than there were, some of which may have been NaN.
    TooSmall {
        /// Observations in buckets.
        buckets: u128,
        /// All of them.
        count: u64,
    },
}

impl HistogramBuf {
    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.positive.clear();
        self.negative.clear();
        self.bounds.clear();
        let HistogramBuf { positive, negative, bounds, .. } = std::mem::take(self);
        *self = HistogramBuf { positive, negative, bounds, ..HistogramBuf::default() };
    }

    /// Whether its counts agree, as Prometheus asks it of all that it stores: none is below zero, and buckets of whole
    /// numbers hold all observations. Sums of floats are not exact, and are not compared.
    ///
    /// # Errors
    /// [`CountsError`]: the first contradiction, in the order in which Prometheus looks.
    pub fn check_counts(&self) -> Result<(), CountsError> {
        match self.kind {
            CountKind::F64 => {
                self.negative.check_floats(true)?;
                if f64::from_bits(self.zero_count) < 0.0 {
                    return Err(CountsError::ZeroBelowZero);
                }
                if f64::from_bits(self.count) < 0.0 {
                    return Err(CountsError::CountBelowZero);
                }
                self.positive.check_floats(false)
            }
            CountKind::U64 => {
                let buckets = self.positive.sum() + self.negative.sum() + u128::from(self.zero_count);
                let count = self.count;
                match buckets.cmp(&u128::from(count)) {
                    // What was observed and is no number lies in no bucket, and makes the sum none.
                    Ordering::Greater if self.sum.is_nan() => Err(CountsError::TooSmall { buckets, count }),
                    Ordering::Less | Ordering::Greater if !self.sum.is_nan() => {
                        Err(CountsError::Mismatch { buckets, count })
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    /// Appends its bytes to `out`.
    ///
    /// # Errors
    /// [`HistogramError`]; nothing was appended.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), HistogramError> {
        if self.schema != SCHEMA_CUSTOM && !SCHEMAS_EXPONENTIAL.contains(&self.schema) {
            return Err(HistogramError::Schema(self.schema));
        }
        self.positive.check()?;
        self.negative.check()?;
        let bit = |bit: u8, set: bool| if set { bit } else { 0 };
        out.push(
            bit(FORM_FLOATS, self.kind == CountKind::F64)
                | (self.reset as u8) << FORM_RESET_SHIFT
                | bit(FORM_MIN, self.min.is_some())
                | bit(FORM_MAX, self.max.is_some()),
        );
        write_varint(out, zigzag(i64::from(self.schema)));
        write_float(out, self.zero_threshold);
        write_float(out, self.sum);
        self.kind.write(out, self.count);
        self.kind.write(out, self.zero_count);
        for buckets in [&self.positive, &self.negative] {
            write_varint(out, buckets.spans.len() as u64);
            for span in &buckets.spans {
                write_varint(out, zigzag(span.offset));
                write_varint(out, span.len);
            }
            buckets.counts.iter().for_each(|&word| self.kind.write(out, word));
        }
        write_varint(out, self.bounds.len() as u64);
        self.bounds.iter().chain(&self.min).chain(&self.max).for_each(|&float| write_float(out, float));
        Ok(())
    }
}

impl BucketsBuf {
    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.spans.clear();
        self.counts.clear();
        self.next = 0;
    }

    /// Adds a span; its counts follow by [`count`](BucketsBuf::count).
    #[inline]
    pub fn span(&mut self, offset: i64, len: u64) {
        self.spans.push(Span { offset, len });
    }

    /// Adds the next bucket's own count, a word.
    #[inline]
    pub fn count(&mut self, word: u64) {
        self.counts.push(word);
    }

    /// Adds a bucket by its index, for senders that don't speak of spans; indices rise. A span goes on over a gap of
    /// up to [`GAP_MAX`] empty buckets, which cost less than another span.
    ///
    /// # Panics
    /// If an index does not rise.
    pub fn bucket(&mut self, index: i32, word: u64) {
        let gap = i64::from(index) - self.next;
        self.next = i64::from(index) + 1;
        match self.spans.last_mut() {
            Some(span) if gap <= GAP_MAX => {
                assert!(gap >= 0, "the indices of buckets rise");
                self.counts.extend((0..gap).map(|_| 0));
                span.len += gap as u64 + 1;
            }
            _ => self.spans.push(Span { offset: gap, len: 1 }),
        }
        self.counts.push(word);
    }

    /// Makes every 2^`steps` buckets one, which is what buckets of a schema less by `steps` are. There are as many
    /// counts as the spans say, and spans don't go back.
    pub fn coarsen(&mut self, steps: u32, kind: CountKind) {
        let spans = std::mem::take(&mut self.spans);
        let mut counts = std::mem::take(&mut self.counts).into_iter();
        let (mut index, mut last) = (0i64, None);
        for span in spans {
            index = index.saturating_add(span.offset);
            for word in counts.by_ref().take(usize::try_from(span.len).unwrap_or(usize::MAX)) {
                // A bucket's index is that of its upper bound: what lies on a bound of the wider bucket is its last.
                let wide = (index.saturating_sub(1) >> steps) + 1;
                let gap = wide - last.map_or(0, |last: i64| last + 1);
                match (self.spans.last_mut(), self.counts.last_mut()) {
                    (Some(_), Some(sum)) if last == Some(wide) => *sum = kind.add(*sum, word),
                    (Some(span), _) if gap == 0 => {
                        span.len += 1;
                        self.counts.push(word);
                    }
                    _ => {
                        self.spans.push(Span { offset: gap, len: 1 });
                        self.counts.push(word);
                    }
                }
                last = Some(wide);
                index = index.saturating_add(1);
            }
        }
    }

    /// All counts, which are whole numbers.
    fn sum(&self) -> u128 {
        self.counts.iter().map(|&count| u128::from(count)).sum()
    }

    fn check_floats(&self, is_negative: bool) -> Result<(), CountsError> {
        match self.counts.iter().position(|&word| f64::from_bits(word) < 0.0) {
            Some(i) => Err(CountsError::BucketBelowZero { is_negative, bucket: i as u64 + 1 }),
            None => Ok(()),
        }
    }

    fn check(&self) -> Result<(), HistogramError> {
        let spans = self.spans.iter().fold(0, |sum: u64, span| sum.saturating_add(span.len));
        let counts = self.counts.len() as u64;
        if spans == counts { Ok(()) } else { Err(HistogramError::Buckets { spans, counts }) }
    }
}

/// An encoded histogram, checked.
#[derive(Clone, Copy, Debug)]
pub struct Histogram<'a> {
    /// What its counts are.
    pub kind: CountKind,
    /// Whether the counter was reset before it.
    pub reset: ResetHint,
    /// How its buckets grow.
    pub schema: i32,
    /// The width of the bucket around zero.
    pub zero_threshold: f64,
    /// The sum of what was observed.
    pub sum: f64,
    /// How much was observed.
    pub count: Count,
    /// The count of the bucket around zero.
    pub zero_count: Count,
    /// Buckets of positive values.
    pub positive: Buckets<'a>,
    /// Buckets of negative values.
    pub negative: Buckets<'a>,
    /// The least value, if it is known.
    pub min: Option<f64>,
    /// The greatest value, if it is known.
    pub max: Option<f64>,
    bounds: &'a [u8],
}

/// The buckets of one sign.
#[derive(Clone, Copy, Debug)]
pub struct Buckets<'a> {
    kind: CountKind,
    spans: &'a [u8],
    counts: &'a [u8],
}

impl<'a> Histogram<'a> {
    /// Reads a histogram that takes all of `bytes`. Costs a walk over its buckets, and no memory.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn read(bytes: &'a [u8]) -> Result<Histogram<'a>, Malformed> {
        let mut parts = Parts(bytes);
        let form = parts.byte()?;
        if form & !FORM_KNOWN != 0 {
            return Err(Malformed);
        }
        let kind = if form & FORM_FLOATS != 0 { CountKind::F64 } else { CountKind::U64 };
        let optional = |parts: &mut Parts<'a>, bit| (form & bit != 0).then(|| parts.float()).transpose();
        let histogram = Histogram {
            kind,
            reset: RESETS[usize::from(form >> FORM_RESET_SHIFT) % RESETS.len()],
            schema: i32::try_from(parts.signed()?).map_err(|_| Malformed)?,
            zero_threshold: parts.float()?,
            sum: parts.float()?,
            count: kind.read(&mut parts)?,
            zero_count: kind.read(&mut parts)?,
            positive: Buckets::read(kind, &mut parts)?,
            negative: Buckets::read(kind, &mut parts)?,
            bounds: {
                let count = parts.count()? as usize;
                parts.bytes(count * FLOAT_BYTES)?
            },
            min: optional(&mut parts, FORM_MIN)?,
            max: optional(&mut parts, FORM_MAX)?,
        };
        parts.end()?;
        Ok(histogram)
    }

    /// The upper bounds of custom buckets.
    pub fn bounds(&self) -> impl Iterator<Item = f64> + 'a {
        let mut parts = Parts(self.bounds);
        std::iter::from_fn(move || parts.float().ok())
    }
}

impl<'a> Buckets<'a> {
    fn read(kind: CountKind, parts: &mut Parts<'a>) -> Result<Buckets<'a>, Malformed> {
        let count = parts.count()?;
        let start = parts.0;
        let mut buckets = 0u64;
        for _ in 0..count {
            parts.signed()?;
            buckets = buckets.checked_add(parts.varint()?).ok_or(Malformed)?;
        }
        let spans = &start[..start.len() - parts.0.len()];
        let start = parts.0;
        // Each count takes a byte at least: a number that is a lie ends soon.
        for _ in 0..buckets {
            kind.read(parts)?;
        }
        Ok(Buckets { kind, spans, counts: &start[..start.len() - parts.0.len()] })
    }

    /// Its spans, in order.
    pub fn spans(&self) -> impl Iterator<Item = Span> + 'a {
        let mut parts = Parts(self.spans);
        std::iter::from_fn(move || Some(Span { offset: parts.signed().ok()?, len: parts.varint().ok()? }))
    }

    /// The buckets' own counts, span after span.
    pub fn counts(&self) -> impl Iterator<Item = Count> + 'a {
        let (kind, mut parts) = (self.kind, Parts(self.counts));
        std::iter::from_fn(move || kind.read(&mut parts).ok())
    }
}

impl CountKind {
    fn add(self, one: u64, other: u64) -> u64 {
        match self {
            CountKind::U64 => one.wrapping_add(other),
            CountKind::F64 => (f64::from_bits(one) + f64::from_bits(other)).to_bits(),
        }
    }

    fn write(self, out: &mut Vec<u8>, word: u64) {
        match self {
            CountKind::U64 => write_varint(out, word),
            CountKind::F64 => out.extend_from_slice(&word.to_le_bytes()),
        }
    }

    fn read(self, parts: &mut Parts<'_>) -> Result<Count, Malformed> {
        match self {
            CountKind::U64 => parts.varint().map(Count::U64),
            CountKind::F64 => parts.float().map(Count::F64),
        }
    }
}

fn write_float(out: &mut Vec<u8>, float: f64) {
    out.extend_from_slice(&float.to_bits().to_le_bytes());
}

impl std::fmt::Display for HistogramError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            HistogramError::Schema(schema) => write!(f, "a histogram of schema {schema}"),
            HistogramError::Buckets { spans, counts } => {
                write!(f, "a histogram with spans of {spans} buckets and {counts} counts")
            }
        }
    }
}

impl std::error::Error for HistogramError {}

impl std::fmt::Display for CountsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CountsError::BucketBelowZero { is_negative, bucket } => write!(
                f,
                "{} side: bucket number {bucket}: histogram has a bucket whose observation count is negative",
                if *is_negative { "negative" } else { "positive" }
            ),
            CountsError::ZeroBelowZero => {
                f.write_str("zero bucket: histogram has a bucket whose observation count is negative")
            }
            CountsError::CountBelowZero => f.write_str("histogram's observation count is negative"),
            CountsError::Mismatch { buckets, count } => write!(
                f,
                "{buckets} observations found in buckets, but the Count field is {count}: histogram's observation count \
                 should equal the number of observations found in the buckets (in absence of NaN)"
            ),
            CountsError::TooSmall { buckets, count } => write!(
                f,
                "{buckets} observations found in buckets, but the Count field is {count}: histogram's observation count \
                 should be at least the number of observations found in the buckets"
            ),
        }
    }
}

impl std::error::Error for CountsError {}

/// Empty buckets that a span may have between others: as Prometheus does it.
pub const GAP_MAX: i64 = 2;

const FORM_FLOATS: u8 = 1;
const FORM_RESET_SHIFT: u32 = 1;
const FORM_MIN: u8 = 1 << 3;
const FORM_MAX: u8 = 1 << 4;
const FORM_KNOWN: u8 = 0b1_1111;
const RESETS: [ResetHint; 4] = [ResetHint::Unknown, ResetHint::Yes, ResetHint::No, ResetHint::Gauge];
const FLOAT_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All that a histogram says; floats by their bits.
    #[derive(PartialEq, Debug)]
    struct Plain {
        kind: CountKind,
        reset: ResetHint,
        schema: i32,
        words: [u64; 4],
        sides: [(Vec<Span>, Vec<u64>); 2],
        bounds: Vec<u64>,
        limits: [Option<u64>; 2],
    }

    fn bits(floats: impl IntoIterator<Item = f64>) -> Vec<u64> {
        floats.into_iter().map(f64::to_bits).collect()
    }

    fn word(count: Count) -> u64 {
        match count {
            Count::U64(count) => count,
            Count::F64(count) => count.to_bits(),
        }
    }

    fn built(buf: &HistogramBuf) -> Plain {
        let side = |b: &BucketsBuf| (b.spans.clone(), b.counts.clone());
        Plain {
            kind: buf.kind,
            reset: buf.reset,
            schema: buf.schema,
            words: [buf.zero_threshold.to_bits(), buf.sum.to_bits(), buf.count, buf.zero_count],
            sides: [side(&buf.positive), side(&buf.negative)],
            bounds: bits(buf.bounds.iter().copied()),
            limits: [buf.min.map(f64::to_bits), buf.max.map(f64::to_bits)],
        }
    }

    fn read(bytes: &[u8]) -> Result<Plain, Malformed> {
        let read = Histogram::read(bytes)?;
        let side = |b: Buckets<'_>| (b.spans().collect(), b.counts().map(word).collect());
        Ok(Plain {
            kind: read.kind,
            reset: read.reset,
            schema: read.schema,
            words: [
                read.zero_threshold.to_bits(),
                read.sum.to_bits(),
                word(read.count),
                word(read.zero_count),
            ],
            sides: [side(read.positive), side(read.negative)],
            bounds: bits(read.bounds()),
            limits: [read.min.map(f64::to_bits), read.max.map(f64::to_bits)],
        })
    }

    fn buckets() -> impl Strategy<Value = BucketsBuf> {
        prop::collection::vec((any::<i64>(), prop::collection::vec(any::<u64>(), 0..5)), 0..4).prop_map(
            |runs| {
                let mut buf = BucketsBuf::default();
                for (offset, counts) in runs {
                    buf.span(offset, counts.len() as u64);
                    counts.into_iter().for_each(|count| buf.count(count));
                }
                buf
            },
        )
    }

    fn histograms() -> impl Strategy<Value = HistogramBuf> {
        let float = || any::<u64>().prop_map(f64::from_bits);
        let form = (any::<bool>(), 0..4usize, prop_oneof![SCHEMAS_EXPONENTIAL, Just(SCHEMA_CUSTOM)]);
        let limits = (prop::option::of(float()), prop::option::of(float()));
        let bounds = prop::collection::vec(float(), 0..4);
        (form, any::<[u64; 4]>(), buckets(), buckets(), bounds, limits).prop_map(
            |((floats, reset, schema), words, positive, negative, bounds, (min, max))| HistogramBuf {
                kind: if floats { CountKind::F64 } else { CountKind::U64 },
                reset: RESETS[reset],
                schema,
                zero_threshold: f64::from_bits(words[0]),
                sum: f64::from_bits(words[1]),
                count: words[2],
                zero_count: words[3],
                positive,
                negative,
                bounds,
                min,
                max,
            },
        )
    }

    proptest! {
        #[test]
        fn what_was_built_is_read_and_a_part_of_it_is_not(mut buf in histograms(), before: Vec<u8>) {
            let mut out = before.clone();
            buf.encode(&mut out).unwrap();
            prop_assert_eq!(&out[..before.len()], &before[..]);
            let bytes = &out[before.len()..];
            prop_assert_eq!(read(bytes), Ok(built(&buf)));
            for cut in 0..bytes.len() {
                prop_assert_eq!(read(&bytes[..cut]), Err(Malformed));
            }
            out.push(0);
            prop_assert_eq!(read(&out[before.len()..]), Err(Malformed));
            buf.clear();
            prop_assert_eq!(built(&buf), built(&HistogramBuf::default()));
        }

        #[test]
        fn any_bytes_are_a_histogram_or_malformed(mut bytes: Vec<u8>, form in 0u8..32) {
            if let Some(first) = bytes.first_mut() {
                *first = form;
            }
            _ = read(&bytes);
        }

        /// Naive: every bucket from the first to the last, one by one.
        #[test]
        fn buckets_by_index_are_at_their_index(counts in prop::collection::btree_map(-50i32..50, 1u64..9, 0..20)) {
            let mut buf = HistogramBuf::default();
            counts.iter().for_each(|(&index, &count)| buf.positive.bucket(index, count));
            let mut out = Vec::new();
            buf.encode(&mut out).unwrap();
            let read = Histogram::read(&out).unwrap();
            let (mut index, mut found) = (0, Vec::new());
            let mut values = read.positive.counts().map(word);
            for span in read.positive.spans() {
                index += span.offset;
                for _ in 0..span.len {
                    found.push((index as i32, values.next().unwrap()));
                    index += 1;
                }
            }
            prop_assert!(values.next().is_none());
            found.retain(|&(_, count)| count > 0);
            prop_assert_eq!(found, counts.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn small_gaps_do_not_end_a_span() {
        let mut buckets = BucketsBuf::default();
        for index in [-2, -1, 2, 6] {
            buckets.bucket(index, 7);
        }
        assert_eq!(buckets.spans, [Span { offset: -2, len: 5 }, Span { offset: 3, len: 1 }]);
        assert_eq!(buckets.counts, [7, 7, 0, 0, 7, 7]);
    }

    #[test]
    fn what_the_format_has_no_room_for_is_refused() {
        let mut out = vec![1];
        let mut buf = HistogramBuf { schema: 9, ..HistogramBuf::default() };
        assert_eq!(buf.encode(&mut out), Err(HistogramError::Schema(9)));
        buf.schema = 8;
        buf.negative.span(0, 2);
        buf.negative.count(1);
        assert_eq!(buf.encode(&mut out), Err(HistogramError::Buckets { spans: 2, counts: 1 }));
        assert_eq!(out, [1]);
    }

    /// One positive and one negative bucket.
    fn counted(kind: CountKind, count: f64, zero: f64, positive: f64, negative: f64) -> HistogramBuf {
        let word = |count: f64| if kind == CountKind::F64 { count.to_bits() } else { count as u64 };
        let mut buf =
            HistogramBuf { kind, count: word(count), zero_count: word(zero), ..HistogramBuf::default() };
        for (side, count) in [(&mut buf.positive, positive), (&mut buf.negative, negative)] {
            side.span(0, 1);
            side.count(word(count));
        }
        buf
    }

    #[test]
    fn whole_counts_are_those_of_the_buckets_but_for_what_was_nan() {
        let check = |count, sum| {
            let mut buf = counted(CountKind::U64, count, 1.0, 2.0, 3.0);
            buf.sum = sum;
            buf.check_counts()
        };
        assert_eq!(check(6.0, 1.0), Ok(()));
        for count in [5, 7] {
            let error = CountsError::Mismatch { buckets: 6, count };
            assert_eq!(check(count as f64, 1.0), Err(error));
        }
        assert_eq!([check(6.0, f64::NAN), check(7.0, f64::NAN)], [Ok(()); 2]);
        assert_eq!(check(5.0, f64::NAN), Err(CountsError::TooSmall { buckets: 6, count: 5 }));
        // The sum of counts may be more than a word holds.
        let buf = counted(CountKind::U64, 0.0, 0.0, u64::MAX as f64, 1.0);
        assert_eq!(buf.check_counts(), Err(CountsError::Mismatch { buckets: 1 << 64, count: 0 }));
    }

    #[test]
    fn counts_of_floats_are_not_below_zero_and_need_not_add_up() {
        let check = |counts: [f64; 4]| {
            counted(CountKind::F64, counts[0], counts[1], counts[2], counts[3]).check_counts()
        };
        assert_eq!(check([9.0, 1.0, 2.0, 3.5]), Ok(()));
        assert_eq!(check([-0.0, f64::NAN, f64::INFINITY, 0.0]), Ok(()));
        let bucket = |is_negative| CountsError::BucketBelowZero { is_negative, bucket: 1 };
        for (counts, error) in [
            ([-1.0, 1.0, 2.0, 3.0], CountsError::CountBelowZero),
            ([1.0, -1.0, 2.0, 3.0], CountsError::ZeroBelowZero),
            ([1.0, 1.0, -2.0, 3.0], bucket(false)),
            ([-1.0, -1.0, -2.0, -3.0], bucket(true)),
        ] {
            assert_eq!(check(counts), Err(error), "{counts:?}");
        }
    }
}
