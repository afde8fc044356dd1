//! Data points: each becomes the fields of a row.

use crate::bytes::{ProtobufError, ProtobufFields, ProtobufValue, unzigzag};
use crate::model::{
    BucketsBuf, FieldType, HistogramBuf, NAN_CANONICAL_BITS, NAN_STALE_BITS, NestedBuf, RowBuf,
    SCHEMA_CUSTOM, SCHEMAS_EXPONENTIAL, heap_word,
};

use super::decoder::{Fault, Stop};
use super::metric::MetricKind;
use super::pieces::Pieces;
use super::schema::{buckets, exponential, histogram, number, point, quantile, summary};
use super::series::SeriesBuf;
use super::value::write_double;

/// What all kinds of points have.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct PointHead {
    /// 0 if unknown.
    pub(super) time: u64,
    /// 0 if unknown.
    pub(super) start_time: u64,
    flags: u64,
    pub(super) has_exemplars: bool,
}

/// Reads points into rows. Its memory is used again.
#[derive(Default, Debug)]
pub(super) struct PointReader {
    histogram: HistogramBuf,
    nested: NestedBuf,
    name: Vec<u8>,
}

/// Numbers of the fields that all points have, each kind under its own.
struct Numbers {
    attributes: u32,
    flags: u32,
    exemplars: u32,
}

/// The number of a kind's exemplars. Summaries have none.
pub(super) fn exemplars_number(kind: MetricKind) -> u32 {
    numbers(kind).exemplars
}

fn numbers(kind: MetricKind) -> Numbers {
    let (attributes, flags, exemplars) = match kind {
        MetricKind::Gauge | MetricKind::Sum => (number::ATTRIBUTES, number::FLAGS, number::EXEMPLARS),
        MetricKind::Histogram => (histogram::ATTRIBUTES, histogram::FLAGS, histogram::EXEMPLARS),
        MetricKind::ExponentialHistogram => {
            (exponential::ATTRIBUTES, exponential::FLAGS, exponential::EXEMPLARS)
        }
        MetricKind::Summary => (summary::ATTRIBUTES, summary::FLAGS, 0),
    };
    Numbers { attributes, flags, exemplars }
}

impl PointHead {
    /// Takes a field that all kinds have; `false` if it is none.
    #[inline(always)]
    fn take(
        &mut self,
        numbers: &Numbers,
        field: (u32, ProtobufValue<'_>),
        series: &mut SeriesBuf,
    ) -> Result<bool, ProtobufError> {
        match field {
            (point::TIME, value) => self.time = value.fixed64()?,
            (point::START_TIME, value) => self.start_time = value.fixed64()?,
            (n, value) if n == numbers.attributes => series.push_attribute(value.bytes()?),
            (n, value) if n == numbers.flags => self.flags = value.varint()?,
            (n, _) if n == numbers.exemplars => self.has_exemplars = true,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn has_value(&self) -> bool {
        self.flags & point::NO_RECORDED_VALUE == 0
    }
}

impl PointReader {
    /// Reads a point: its fields to `row`, its attributes to `series`.
    #[inline]
    pub(super) fn read(
        &mut self,
        kind: MetricKind,
        message: &[u8],
        row: &mut RowBuf,
        series: &mut SeriesBuf,
    ) -> Result<PointHead, Stop> {
        row.clear();
        series.enter_point();
        let head = match kind {
            MetricKind::Gauge | MetricKind::Sum => read_number(message, row, series)?,
            MetricKind::Histogram => self.read_histogram(message, row, series)?,
            MetricKind::ExponentialHistogram => self.read_exponential(message, row, series)?,
            MetricKind::Summary => self.read_summary(message, row, series)?,
        };
        if !head.has_value() {
            // What it has instead of a value says nothing.
            row.clear();
            row.push(VALUE, FieldType::F64, NAN_STALE_BITS);
        }
        if head.start_time > 0 {
            row.push_start_time(nanos(head.start_time)?);
        }
        Ok(head)
    }

    fn read_histogram(
        &mut self,
        message: &[u8],
        row: &mut RowBuf,
        series: &mut SeriesBuf,
    ) -> Result<PointHead, Stop> {
        let (mut head, numbers) = (PointHead::default(), numbers(MetricKind::Histogram));
        let buf = &mut self.histogram;
        buf.clear();
        buf.schema = SCHEMA_CUSTOM;
        let (mut sum, mut count) = (None, 0);
        for field in ProtobufFields::new(message) {
            let field = field?;
            if head.take(&numbers, field, series)? {
                continue;
            }
            match field {
                (histogram::COUNT, value) => buf.count = value.fixed64()?,
                (histogram::SUM, value) => sum = Some(float(value)?),
                (histogram::BUCKET_COUNTS, value) => value.each_fixed64(|word| {
                    buf.positive.count(word);
                    count += 1;
                })?,
                (histogram::BOUNDS, value) => {
                    value.each_fixed64(|word| buf.bounds.push(f64::from_bits(word)))?;
                }
                (histogram::MIN, value) => buf.min = Some(float(value)?),
                (histogram::MAX, value) => buf.max = Some(float(value)?),
                _ => {}
            }
        }
        if head.has_value() {
            // Counts may end before the bounds do, as for Prometheus: what is missing shows in the count of all.
            if count > buf.bounds.len() as u64 + 1 {
                return Err(Fault::Buckets.into());
            }
            if count > 0 {
                buf.positive.span(0, count);
            }
            push_histogram(buf, sum, row)?;
        }
        Ok(head)
    }

    fn read_exponential(
        &mut self,
        message: &[u8],
        row: &mut RowBuf,
        series: &mut SeriesBuf,
    ) -> Result<PointHead, Stop> {
        let (mut head, numbers) = (PointHead::default(), numbers(MetricKind::ExponentialHistogram));
        let buf = &mut self.histogram;
        buf.clear();
        let mut sum = None;
        let mut positive = Pieces::none(exponential::POSITIVE);
        let mut negative = Pieces::none(exponential::NEGATIVE);
        let mut fields = ProtobufFields::new(message);
        while let Some(field) = fields.next() {
            let field = field?;
            if head.take(&numbers, field, series)? {
                continue;
            }
            match field {
                (exponential::COUNT, value) => buf.count = value.fixed64()?,
                (exponential::SUM, value) => sum = Some(float(value)?),
                (exponential::SCALE, value) => buf.schema = sint32(value)?,
                (exponential::ZERO_COUNT, value) => buf.zero_count = value.fixed64()?,
                (exponential::ZERO_THRESHOLD, value) => buf.zero_threshold = float(value)?,
                (exponential::POSITIVE, value) => positive.push(value.bytes()?, fields.rest()),
                (exponential::NEGATIVE, value) => negative.push(value.bytes()?, fields.rest()),
                (exponential::MIN, value) => buf.min = Some(float(value)?),
                (exponential::MAX, value) => buf.max = Some(float(value)?),
                _ => {}
            }
        }
        if !head.has_value() {
            return Ok(head);
        }
        if SCHEMAS_EXPONENTIAL.contains(&buf.schema) {
            read_buckets(positive, &mut buf.positive)?;
            read_buckets(negative, &mut buf.negative)?;
            push_histogram(buf, sum, row)?;
        } else {
            nest(buf, sum, positive, negative, &mut self.nested)?;
            row.push_bytes(VALUE, FieldType::Nested, self.nested.finish());
        }
        Ok(head)
    }

    fn read_summary(
        &mut self,
        message: &[u8],
        row: &mut RowBuf,
        series: &mut SeriesBuf,
    ) -> Result<PointHead, Stop> {
        let (mut head, numbers) = (PointHead::default(), numbers(MetricKind::Summary));
        let (mut count, mut sum) = (0, 0);
        for field in ProtobufFields::new(message) {
            let field = field?;
            if head.take(&numbers, field, series)? {
                continue;
            }
            match field {
                (summary::COUNT, value) => count = value.fixed64()?,
                (summary::SUM, value) => sum = value.fixed64()?,
                (summary::QUANTILES, value) => {
                    let (mut at, mut bits) = (0.0, 0);
                    for field in value.message()? {
                        match field? {
                            (quantile::QUANTILE, value) => at = float(value)?,
                            (quantile::VALUE, value) => bits = value.fixed64()?,
                            _ => {}
                        }
                    }
                    self.name.clear();
                    write_double(at, &mut self.name);
                    row.push_prefixed(b"quantile.", &self.name, FieldType::F64, bits);
                }
                _ => {}
            }
        }
        row.push(b"count", FieldType::U64, count);
        row.push(b"sum", FieldType::F64, sum);
        Ok(head)
    }
}

#[inline]
fn read_number(message: &[u8], row: &mut RowBuf, series: &mut SeriesBuf) -> Result<PointHead, Stop> {
    let (mut head, numbers) = (PointHead::default(), numbers(MetricKind::Gauge));
    let mut read = None;
    for field in ProtobufFields::new(message) {
        let field = field?;
        if head.take(&numbers, field, series)? {
            continue;
        }
        match field {
            (number::AS_DOUBLE, value) => read = Some((FieldType::F64, value.fixed64()?)),
            (number::AS_INT, value) => read = Some((FieldType::I64, value.fixed64()?)),
            _ => {}
        }
    }
    match read {
        Some((kind, word)) => row.push(VALUE, kind, word),
        None if head.has_value() => return Err(Fault::NoValue.into()),
        None => {}
    }
    Ok(head)
}

/// A sum that was not sent is the ordinary NaN in the histogram, and a field `sum` without a value says so: a NaN
/// that was sent has none beside it.
fn push_histogram(buf: &mut HistogramBuf, sum: Option<f64>, row: &mut RowBuf) -> Result<(), Fault> {
    buf.sum = sum.unwrap_or(f64::from_bits(NAN_CANONICAL_BITS));
    let start = row.heap.len();
    buf.encode(&mut row.heap).map_err(|_| Fault::Buckets)?;
    row.push(VALUE, FieldType::Histogram, heap_word(start, row.heap.len() - start));
    if sum.is_none() {
        row.push(b"sum", FieldType::Null, 0);
    }
    Ok(())
}

/// OTLP's bucket `i` begins where the block format's bucket `i` ends: it is the next one there.
fn read_buckets(message: Pieces<'_>, buf: &mut BucketsBuf) -> Result<(), ProtobufError> {
    let (offset, count) = each_bucket(message, |word| buf.count(word))?;
    if count > 0 || offset != 0 {
        buf.span(i64::from(offset) + 1, count);
    }
    Ok(())
}

/// Hands over the counts of a `Buckets`; the answer is its offset and how many there were.
fn each_bucket(message: Pieces<'_>, mut take: impl FnMut(u64)) -> Result<(i32, u64), ProtobufError> {
    let (mut offset, mut count) = (0, 0);
    for field in message.fields() {
        match field? {
            (buckets::OFFSET, value) => offset = sint32(value)?,
            (buckets::COUNTS, value) => value.each_varint(|word| {
                take(word);
                count += 1;
            })?,
            _ => {}
        }
    }
    Ok((offset, count))
}

/// An exponential histogram of a scale that the block format has no schema for, as a map of its fields.
fn nest(
    buf: &HistogramBuf,
    sum: Option<f64>,
    positive: Pieces<'_>,
    negative: Pieces<'_>,
    nested: &mut NestedBuf,
) -> Result<(), Stop> {
    let shallow = "a map of lists is not too deep";
    nested.clear();
    nested.begin_map().expect(shallow);
    nested.key(b"scale");
    nested.i64(buf.schema.into());
    nested.key(b"count");
    nested.u64(buf.count);
    nested.key(b"zero_count");
    nested.u64(buf.zero_count);
    nested.key(b"zero_threshold");
    nested.f64(buf.zero_threshold);
    for (key, value) in [(&b"sum"[..], sum), (b"min", buf.min), (b"max", buf.max)] {
        if let Some(value) = value {
            nested.key(key);
            nested.f64(value);
        }
    }
    for (key, side) in [(&b"positive"[..], positive), (b"negative", negative)] {
        nested.key(key);
        nested.begin_map().expect(shallow);
        nested.key(b"bucket_counts");
        nested.begin_list().expect(shallow);
        let (offset, _) = each_bucket(side, |word| nested.u64(word))?;
        nested.end();
        nested.key(b"offset");
        nested.i64(offset.into());
        nested.end();
    }
    nested.end();
    Ok(())
}

/// A time that has room in the model's.
pub(super) fn nanos(time: u64) -> Result<i64, Fault> {
    i64::try_from(time).map_err(|_| Fault::Time)
}

fn float(value: ProtobufValue<'_>) -> Result<f64, ProtobufError> {
    value.fixed64().map(f64::from_bits)
}

/// Of a longer varint the low 32 bits count, as in protobuf.
fn sint32(value: ProtobufValue<'_>) -> Result<i32, ProtobufError> {
    Ok(unzigzag(u64::from(value.varint()? as u32)) as i32)
}

/// The field of whatever is one value.
pub(super) const VALUE: &[u8] = b"value";
