//! Native histograms: a message in, the format's bytes out.
//!
//! What does not add up is refused, in the order and by the rules of Prometheus's `Histogram.Validate`. Integer buckets
//! come as differences and go as counts; floats keep every bit. Schemas that Prometheus reserves for later, finer than
//! those of today, become the finest of these.

use crate::bytes::{ProtobufValue, unzigzag};
use crate::model::{
    BucketsBuf, CountKind, CountsError, HistogramBuf, ResetHint, SCHEMA_CUSTOM, SCHEMAS_EXPONENTIAL,
};

use super::message::{Message, bytes, fields};

/// Reads histograms, one after another.
#[derive(Default, Debug)]
pub(super) struct HistogramReader {
    buf: HistogramBuf,
    positive: Side,
    negative: Side,
}

/// What a histogram says of times, in milliseconds.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Times {
    pub(super) time_ms: i64,
    pub(super) start_ms: i64,
}

/// What was seen of the buckets of one sign.
#[derive(Clone, Copy, Default, Debug)]
struct Side {
    spans: u64,
    /// Buckets that the spans speak of.
    spanned: u64,
    /// Where the spans end.
    reach: i64,
    /// The first span that custom buckets can't have, and the first one that exponential ones can't.
    bad_custom: Option<SideFault>,
    bad_exponential: Option<SideFault>,
    counts: u64,
    /// The last bucket's count.
    last: i64,
    /// The first bucket of integers with a negative count.
    below_zero: Option<u64>,
}

/// What is wrong with a histogram.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum HistogramFault {
    TooLong,
    Schema(i32),
    Side(Sign, SideFault),
    CustomSpans(SideFault),
    BoundNan,
    BoundOrder(f64, f64),
    BoundInfinite,
    BoundsFew { bounds: usize, reach: i64 },
    CustomZeroCount,
    CustomZeroThreshold,
    CustomNegativeSpans,
    CustomNegativeBuckets,
    ExponentialBounds,
    Counts(CountsError),
}

/// The sign of buckets' values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sign {
    Positive,
    Negative,
}

/// What is wrong with the buckets of one sign.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SideFault {
    Offset { span: u64, offset: i64 },
    Start { span: u64, index: i64 },
    End { span: u64, index: i64 },
    Buckets { spanned: u64, counts: u64 },
    BelowZero { bucket: u64 },
}

impl HistogramReader {
    /// Reads a histogram that was checked to be one of `message`; [`HistogramReader::encode`] has its bytes then.
    pub(super) fn read(&mut self, message: Message, histogram: &[u8]) -> Result<Times, HistogramFault> {
        if histogram.len() > HISTOGRAM_BYTES_MAX {
            return Err(HistogramFault::TooLong);
        }
        self.buf.clear();
        (self.positive, self.negative) = (Side::default(), Side::default());
        self.buf.kind = kind(histogram);
        let floats = self.buf.kind == CountKind::F64;
        let mut times = Times::default();
        for (number, value) in fields(histogram) {
            let word = word(value);
            match number {
                1 | 2 => self.buf.count = word,
                3 => self.buf.sum = f64::from_bits(word),
                4 => self.buf.schema = signed32(word),
                5 => self.buf.zero_threshold = f64::from_bits(word),
                6 => self.buf.zero_count = if floats { 0 } else { word },
                7 => self.buf.zero_count = if floats { word } else { 0 },
                8 => self.negative.span(&mut self.buf.negative, bytes(value)),
                9 if !floats => self.negative.differences(&mut self.buf.negative, value),
                10 if floats => self.negative.floats(&mut self.buf.negative, value),
                11 => self.positive.span(&mut self.buf.positive, bytes(value)),
                12 if !floats => self.positive.differences(&mut self.buf.positive, value),
                13 if floats => self.positive.floats(&mut self.buf.positive, value),
                14 => {
                    // A number of 32 bits, as all that protobuf has for enumerations.
                    self.buf.reset = match word as u32 {
                        1 => ResetHint::Yes,
                        2 => ResetHint::No,
                        3 => ResetHint::Gauge,
                        _ => ResetHint::Unknown,
                    }
                }
                15 => times.time_ms = word as i64,
                16 => {
                    let bounds = &mut self.buf.bounds;
                    // The message was checked: there is no stretch of another length.
                    let _ = value.each_fixed64(|word| bounds.push(f64::from_bits(word)));
                }
                17 if message == Message::V2 => times.start_ms = word as i64,
                _ => {}
            }
        }
        self.validate()?;
        self.coarsen();
        Ok(times)
    }

    /// Gives a histogram of a schema that is finer than what is kept the finest one that is, as Prometheus does.
    fn coarsen(&mut self) {
        let finest = *SCHEMAS_EXPONENTIAL.end();
        let steps = self.buf.schema.saturating_sub(finest).max(0) as u32;
        if steps > 0 {
            self.buf.schema = finest;
            self.buf.positive.coarsen(steps, self.buf.kind);
            self.buf.negative.coarsen(steps, self.buf.kind);
        }
    }

    /// Appends the bytes of the histogram that was read.
    pub(super) fn encode(&self, heap: &mut Vec<u8>) {
        self.buf.encode(heap).expect("what was validated has a schema, and buckets for its spans");
    }

    fn validate(&self) -> Result<(), HistogramFault> {
        match self.buf.schema {
            SCHEMA_CUSTOM => self.validate_custom()?,
            schema if (*SCHEMAS_EXPONENTIAL.start()..=SCHEMA_MAX).contains(&schema) => {
                self.validate_exponential()?;
            }
            schema => return Err(HistogramFault::Schema(schema)),
        }
        self.positive.validate_counts().map_err(|e| HistogramFault::Side(Sign::Positive, e))?;
        self.buf.check_counts().map_err(HistogramFault::Counts)
    }

    fn validate_exponential(&self) -> Result<(), HistogramFault> {
        let positive = |e| HistogramFault::Side(Sign::Positive, e);
        let negative = |e| HistogramFault::Side(Sign::Negative, e);
        self.positive.validate_spans(self.positive.bad_exponential).map_err(positive)?;
        self.negative.validate_spans(self.negative.bad_exponential).map_err(negative)?;
        self.negative.validate_counts().map_err(negative)?;
        if self.buf.bounds.is_empty() { Ok(()) } else { Err(HistogramFault::ExponentialBounds) }
    }

    fn validate_custom(&self) -> Result<(), HistogramFault> {
        let bounds = &self.buf.bounds;
        if bounds.iter().any(|bound| bound.is_nan()) {
            return Err(HistogramFault::BoundNan);
        }
        if let Some(pair) = bounds.windows(2).find(|pair| pair[1] <= pair[0]) {
            return Err(HistogramFault::BoundOrder(pair[0], pair[1]));
        }
        if bounds.last() == Some(&f64::INFINITY) {
            return Err(HistogramFault::BoundInfinite);
        }
        self.positive.validate_spans(self.positive.bad_custom).map_err(HistogramFault::CustomSpans)?;
        if (bounds.len() as i64) + 1 < self.positive.reach {
            return Err(HistogramFault::BoundsFew { bounds: bounds.len(), reach: self.positive.reach });
        }
        // The bits of 0.0 and of the count 0 are one; -0.0 is 0, too.
        let zero_count = self.buf.zero_count != 0
            && (self.buf.kind == CountKind::U64 || f64::from_bits(self.buf.zero_count) != 0.0);
        let zero_threshold = self.buf.zero_threshold != 0.0;
        for (is_wrong, fault) in [
            (zero_count, HistogramFault::CustomZeroCount),
            (zero_threshold, HistogramFault::CustomZeroThreshold),
            (self.negative.spans > 0, HistogramFault::CustomNegativeSpans),
            (self.negative.counts > 0, HistogramFault::CustomNegativeBuckets),
        ] {
            if is_wrong {
                return Err(fault);
            }
        }
        Ok(())
    }
}

impl Side {
    fn span(&mut self, buckets: &mut BucketsBuf, span: &[u8]) {
        let (mut offset, mut len) = (0i32, 0u32);
        for (number, value) in fields(span) {
            match number {
                1 => offset = signed32(word(value)),
                2 => len = word(value) as u32,
                _ => {}
            }
        }
        let (offset, len) = (i64::from(offset), u64::from(len));
        self.spans += 1;
        self.spanned += len;
        self.reach = self.reach.saturating_add(offset).saturating_add(len as i64);
        let (span, last) = (self.spans, self.reach - 1);
        if offset < 0 {
            self.bad_custom.get_or_insert(SideFault::Offset { span, offset });
        }
        // Indexes of exponential buckets are of 32 bits with a sign, the least of them left out.
        let fault = match (span, offset) {
            (1, offset) if offset == i64::from(i32::MIN) => SideFault::Start { span, index: offset },
            (2.., ..0) => SideFault::Offset { span, offset },
            _ if last > i64::from(i32::MAX) => SideFault::End { span, index: last },
            _ => return buckets.span(offset, len),
        };
        self.bad_exponential.get_or_insert(fault);
        buckets.span(offset, len);
    }

    fn differences(&mut self, buckets: &mut BucketsBuf, value: ProtobufValue<'_>) {
        // The message was checked: there is no varint cut short.
        let _ = value.each_varint(|word| {
            self.counts += 1;
            let count = self.last.wrapping_add(unzigzag(word));
            self.last = count;
            if count < 0 {
                self.below_zero.get_or_insert(self.counts);
            }
            buckets.count(count as u64);
        });
    }

    fn floats(&mut self, buckets: &mut BucketsBuf, value: ProtobufValue<'_>) {
        // The message was checked: there is no stretch of another length.
        let _ = value.each_fixed64(|word| {
            self.counts += 1;
            buckets.count(word);
        });
    }

    fn validate_spans(&self, bad: Option<SideFault>) -> Result<(), SideFault> {
        if let Some(fault) = bad {
            return Err(fault);
        }
        if self.spanned != self.counts {
            return Err(SideFault::Buckets { spanned: self.spanned, counts: self.counts });
        }
        Ok(())
    }

    fn validate_counts(&self) -> Result<(), SideFault> {
        self.below_zero.map_or(Ok(()), |bucket| Err(SideFault::BelowZero { bucket }))
    }
}

/// Whether counts are floats: as the last count says.
fn kind(histogram: &[u8]) -> CountKind {
    fields(histogram).fold(CountKind::U64, |kind, (number, _)| match number {
        1 => CountKind::U64,
        2 => CountKind::F64,
        _ => kind,
    })
}

/// The word of a number of 64 bits.
fn word(value: ProtobufValue<'_>) -> u64 {
    match value {
        ProtobufValue::Varint(word) | ProtobufValue::Fixed64(word) => word,
        ProtobufValue::Fixed32(_) | ProtobufValue::Bytes(_) => 0,
    }
}

/// A sint32.
fn signed32(word: u64) -> i32 {
    unzigzag(u64::from(word as u32)) as i32
}

impl std::fmt::Display for HistogramFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            HistogramFault::TooLong => write!(f, "histogram is longer than {HISTOGRAM_BYTES_MAX} bytes"),
            HistogramFault::Schema(schema) => write!(
                f,
                "histogram has an invalid schema, which must be between {} and {} for exponential buckets, or \
                 {SCHEMA_CUSTOM} for custom buckets, got schema {schema}",
                SCHEMAS_EXPONENTIAL.start(),
                SCHEMAS_EXPONENTIAL.end()
            ),
            HistogramFault::Side(Sign::Positive, fault) => write!(f, "positive side: {fault}"),
            HistogramFault::Side(Sign::Negative, fault) => write!(f, "negative side: {fault}"),
            HistogramFault::CustomSpans(fault) => write!(f, "custom buckets: {fault}"),
            HistogramFault::BoundNan => {
                f.write_str("custom buckets: histogram custom bounds must not be NaN")
            }
            HistogramFault::BoundOrder(before, bound) => write!(
                f,
                "custom buckets: previous bound is {before} and current is {bound}: histogram custom bounds must be \
                 in strictly increasing order"
            ),
            HistogramFault::BoundInfinite => f.write_str(
                "custom buckets: last +Inf bound must not be explicitly defined: histogram custom bounds must be finite",
            ),
            HistogramFault::BoundsFew { bounds, reach } => write!(
                f,
                "custom buckets: only {bounds} custom bounds defined which is insufficient to cover total span length \
                 of {reach}: histogram custom bounds are too few"
            ),
            HistogramFault::CustomZeroCount => f.write_str("custom buckets: must have zero count of 0"),
            HistogramFault::CustomZeroThreshold => {
                f.write_str("custom buckets: must have zero threshold of 0")
            }
            HistogramFault::CustomNegativeSpans => f.write_str("custom buckets: must not have negative spans"),
            HistogramFault::CustomNegativeBuckets => {
                f.write_str("custom buckets: must not have negative buckets")
            }
            HistogramFault::ExponentialBounds => {
                f.write_str("histogram with exponential schema must not have custom bounds")
            }
            HistogramFault::Counts(error) => error.fmt(f),
        }
    }
}

impl std::fmt::Display for SideFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SideFault::Offset { span, offset } => {
                write!(
                    f,
                    "span number {span} with offset {offset}: histogram has a span whose offset is negative"
                )
            }
            SideFault::Start { span, index } => write!(
                f,
                "span number {span} starts at bucket index {index}: histogram has a span whose bucket index is out of \
                 range"
            ),
            SideFault::End { span, index } => write!(
                f,
                "span number {span} ends at bucket index {index}: histogram has a span whose bucket index is out of \
                 range"
            ),
            SideFault::Buckets { spanned, counts } => write!(
                f,
                "spans need {spanned} buckets, have {counts} buckets: histogram spans specify different number of \
                 buckets than provided"
            ),
            SideFault::BelowZero { bucket } => write!(
                f,
                "bucket number {bucket}: histogram has a bucket whose observation count is negative"
            ),
        }
    }
}

/// Bytes of a histogram's message at most. A bucket may be a byte of it, and is a word here.
const HISTOGRAM_BYTES_MAX: usize = 1 << 20;

/// The finest schema that Prometheus knows of. What it takes is at most the format's.
const SCHEMA_MAX: i32 = 52;
