//! The protobuf format: a stream of `io.prometheus.client.MetricFamily`, each with its length before it.
//!
//! Comes in: a body that is there whole, and [`HistogramOptions`]. Goes out, family by family: metadata, then samples
//! as the Prometheus server makes them: of a summary `_count`, `_sum` and the quantiles; of a classic histogram
//! `_count`, `_sum` and the buckets up to `+Inf`; of a native histogram the histogram whole.
//!
//! Nothing is copied but the bytes of native histograms, which are the format's own, and a message that comes in
//! parts: as everywhere in protobuf a field that comes again is merged with what it was, which is to read the parts
//! one behind the other. What a family says of itself is checked before its first sample is given out; labels are
//! checked where a series is new.

mod decoder;
mod native;
mod nhcb;
mod series;
#[cfg(test)]
pub(super) mod tests;
mod walk;

use std::borrow::Cow;

use crate::bytes::{ProtobufError, ProtobufFields, ProtobufValue};
use crate::model::{CountsError, Metadata, MetricType};

use super::LINE_BYTES_MAX;
use walk::SPELLED_BYTES_MAX;

pub use decoder::ProtobufDecoder;
pub(super) use native::{Findings, NativeReader};
pub(super) use nhcb::Classic;
pub(super) use series::{
    fill_labels, key_labels, key_of_histogram, split_key, write_exemplar, write_key, write_own, write_shared,
};
pub(super) use walk::{Halt, Spot, Walk};

/// What becomes of histograms.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct HistogramOptions {
    /// Native histograms are taken; else only the classic ones beside them.
    pub native: bool,
    /// Classic series are taken beside native histograms, also beside those they were converted to.
    pub classic_too: bool,
    /// Classic histograms become native ones with custom buckets.
    pub convert_classic: bool,
    /// Buckets of a native histogram at most: one with more is made coarser. 0 is any number.
    pub buckets_max: u64,
    /// The least factor between two bounds of a native histogram: a finer one is made coarser. 0 is any.
    pub bucket_factor_min: f64,
}

impl Default for HistogramOptions {
    /// All that is sent is taken.
    fn default() -> HistogramOptions {
        HistogramOptions {
            native: true,
            classic_too: true,
            convert_classic: false,
            buckets_max: 0,
            bucket_factor_min: 0.0,
        }
    }
}

/// What is wrong with a body.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Fault {
    Encoding(ProtobufError),
    Name,
    Type(u64),
    Label,
    TooManySeries,
    TooMuchText,
    LongMetric,
    LongSeries,
    SpelledOut,
    Histogram(&'static str),
    Counts(CountsError),
    BucketLimit(u64),
}

impl From<ProtobufError> for Fault {
    fn from(error: ProtobufError) -> Fault {
        Fault::Encoding(error)
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Encoding(error) => error.fmt(f),
            Fault::Name => f.write_str("the metric has no name, or one that is not UTF-8"),
            Fault::Type(number) => write!(f, "unknown metric type {number}"),
            Fault::Label => f.write_str("a label has no name, or the name of another one"),
            Fault::TooManySeries => f.write_str("a push has at most 131072 series"),
            Fault::TooMuchText => f.write_str("a push has at most 64 MiB of labels"),
            Fault::LongMetric => write!(f, "a metric is longer than {LINE_BYTES_MAX} bytes"),
            Fault::LongSeries => {
                write!(f, "the name and labels of a series are longer than {LINE_BYTES_MAX} bytes")
            }
            Fault::SpelledOut => {
                write!(
                    f,
                    "the names and labels of the series are longer than {SPELLED_BYTES_MAX} bytes together"
                )
            }
            Fault::Histogram(why) => write!(f, "native histogram: {why}"),
            Fault::Counts(error) => write!(f, "native histogram: {error}"),
            Fault::BucketLimit(limit) => {
                write!(f, "histogram bucket limit exceeded: native_histogram_bucket_limit is {limit}")
            }
        }
    }
}

/// What a family holds.
#[derive(Debug)]
pub(super) enum Said<'a> {
    Metadata(Metadata<'a>),
    Sample(&'a Sample<'a>),
}

/// Which of a metric's samples.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Role {
    Value = 0,
    Count = 1,
    Sum = 2,
    Bucket = 3,
    Quantile = 4,
    Native = 5,
}

/// A sample.
#[derive(Debug)]
pub(super) struct Sample<'a> {
    /// The name of its family.
    pub(super) family: &'a [u8],
    pub(super) role: Role,
    /// Of a bucket or quantile.
    pub(super) bound: f64,
    /// Its labels, each a `LabelPair`.
    pub(super) labels: &'a [&'a [u8]],
    pub(super) value: Value<'a>,
    /// The sample's own time.
    pub(super) time_ms: Option<i64>,
    /// When its counter began to count.
    pub(super) start_ms: Option<i64>,
    /// Its exemplars, each an `Exemplar`.
    pub(super) exemplars: &'a [&'a [u8]],
    /// Of a native histogram.
    pub(super) findings: Findings,
}

/// A sample's value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    /// The bits of a double.
    Float(u64),
    /// A native histogram in the block format's encoding.
    Histogram(&'a [u8]),
}

/// Memory for reading families, used again.
#[derive(Default, Debug)]
pub(super) struct Reader {
    native: NativeReader,
    classic: Classic,
    histogram: Vec<u8>,
}

/// The message of a metric, in parts.
#[derive(Default)]
struct Metric<'a> {
    value: Cow<'a, [u8]>,
    time_ms: i64,
}

/// What a family says of itself.
struct Head<'a> {
    name: &'a [u8],
    help: &'a [u8],
    unit: &'a [u8],
    kind: u64,
}

impl Reader {
    /// Hands over a metric's samples.
    fn metric<E: From<Fault>>(
        &mut self,
        head: &Head<'_>,
        metric: &Metric<'_>,
        labels: &[&[u8]],
        options: &HistogramOptions,
        visit: &mut impl FnMut(&Sample<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let sample = Sample {
            family: head.name,
            role: Role::Value,
            bound: 0.0,
            labels,
            value: Value::Float(0),
            time_ms: Some(metric.time_ms).filter(|ms| *ms != 0),
            start_ms: None,
            exemplars: &[],
            findings: Findings::default(),
        };
        match head.kind {
            TYPE_SUMMARY => read_summary(&metric.value, sample, visit),
            TYPE_HISTOGRAM | TYPE_GAUGE_HISTOGRAM => {
                let is_gauge = head.kind == TYPE_GAUGE_HISTOGRAM;
                self.histogram(&metric.value, is_gauge, sample, options, visit)
            }
            _ => read_value(&metric.value, head.kind == TYPE_COUNTER, sample, visit),
        }
    }

    fn histogram<E: From<Fault>>(
        &mut self,
        message: &[u8],
        is_gauge: bool,
        sample: Sample<'_>,
        options: &HistogramOptions,
        visit: &mut impl FnMut(&Sample<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let histogram = Histogram::read(message).map_err(E::from)?;
        let sample = Sample { start_ms: histogram.start_ms, ..sample };
        let is_native = options.native && histogram.is_native;
        if is_native {
            self.histogram.clear();
            let read = self.native.read(message, is_gauge, options, &mut self.histogram);
            let findings = read.map_err(E::from)?;
            let exemplars = native_exemplars(message, &histogram).map_err(E::from)?;
            visit(&Sample {
                findings,
                role: Role::Native,
                value: Value::Histogram(&self.histogram),
                exemplars: &exemplars,
                labels: sample.labels,
                family: sample.family,
                ..sample
            })?;
            if !options.classic_too || histogram.buckets.is_empty() {
                return Ok(());
            }
        }
        let convert = options.convert_classic && !is_native;
        if !convert || options.classic_too {
            read_classic(&histogram, &sample, visit)?;
        }
        if convert {
            self.classic.clear();
            self.classic.count(histogram.count);
            self.classic.sum(histogram.sum);
            histogram.buckets.iter().for_each(|bucket| self.classic.bucket(bucket.bound, bucket.count));
            self.histogram.clear();
            let converted = self.classic.convert(is_gauge, &mut self.histogram);
            converted.map_err(|why| E::from(Fault::Histogram(why)))?;
            let exemplars = native_exemplars(message, &histogram).map_err(E::from)?;
            visit(&Sample {
                findings: Findings {
                    is_over: options.buckets_max > 0 && self.classic.buckets() > options.buckets_max,
                    contradiction: None,
                },
                role: Role::Native,
                value: Value::Histogram(&self.histogram),
                exemplars: &exemplars,
                labels: sample.labels,
                family: sample.family,
                ..sample
            })?;
        }
        Ok(())
    }
}

impl Head<'_> {
    /// Whether the name is one. The unit may be any: unlike in OpenMetrics the name need not end in it.
    fn check(&self) -> Result<(), Fault> {
        if self.name.is_empty() || std::str::from_utf8(self.name).is_err() {
            return Err(Fault::Name);
        }
        Ok(())
    }

    fn metric_type(&self) -> Result<MetricType, Fault> {
        Ok(match self.kind {
            TYPE_COUNTER => MetricType::Counter,
            TYPE_GAUGE => MetricType::Gauge,
            TYPE_SUMMARY => MetricType::Summary,
            TYPE_UNTYPED => MetricType::Unknown,
            TYPE_HISTOGRAM => MetricType::Histogram,
            TYPE_GAUGE_HISTOGRAM => MetricType::GaugeHistogram,
            number => return Err(Fault::Type(number)),
        })
    }
}

/// A metric of a family of this type.
fn metric<'a>(message: &'a [u8], kind: u64, labels: &mut Vec<&'a [u8]>) -> Result<Metric<'a>, Fault> {
    let mut metric = Metric::default();
    let value_number = match kind {
        TYPE_GAUGE => 2,
        TYPE_COUNTER => 3,
        TYPE_SUMMARY => 4,
        TYPE_UNTYPED => 5,
        _ => 7,
    };
    for field in ProtobufFields::new(message) {
        let (number, value) = field?;
        match number {
            1 => labels.push(value.bytes()?),
            6 => metric.time_ms = value.varint()? as i64,
            _ if number == value_number => merge(&mut metric.value, value.bytes()?),
            _ => {}
        }
    }
    Ok(metric)
}

/// A counter, gauge, or what nobody said what it is.
fn read_value<E: From<Fault>>(
    message: &[u8],
    is_counter: bool,
    sample: Sample<'_>,
    visit: &mut impl FnMut(&Sample<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let read = || -> Result<_, Fault> {
        let (mut bits, mut start, mut exemplar) = (0, Timestamp::default(), None);
        for field in ProtobufFields::new(message) {
            match field? {
                (1, value) => bits = value.fixed64()?,
                (2, value) if is_counter => merge(exemplar.get_or_insert_default(), value.bytes()?),
                (3, value) if is_counter => start.merge(value.bytes()?)?,
                _ => {}
            }
        }
        Ok((bits, start.start_ms(), exemplar))
    };
    let (bits, start_ms, exemplar) = read().map_err(E::from)?;
    let exemplar: Option<&[u8]> = exemplar.as_deref();
    visit(&Sample { value: Value::Float(bits), start_ms, exemplars: exemplar.as_slice(), ..sample })
}

fn read_summary<E: From<Fault>>(
    message: &[u8],
    sample: Sample<'_>,
    visit: &mut impl FnMut(&Sample<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let read = || -> Result<_, Fault> {
        let (mut count, mut sum, mut start, mut quantiles) = (0, 0, Timestamp::default(), Vec::new());
        for field in ProtobufFields::new(message) {
            match field? {
                (1, value) => count = value.varint()?,
                (2, value) => sum = value.fixed64()?,
                (3, value) => {
                    let (mut quantile, mut bits) = (0, 0);
                    for field in value.message()? {
                        match field? {
                            (1, value) => quantile = value.fixed64()?,
                            (2, value) => bits = value.fixed64()?,
                            _ => {}
                        }
                    }
                    quantiles.push((f64::from_bits(quantile), bits));
                }
                (4, value) => start.merge(value.bytes()?)?,
                _ => {}
            }
        }
        Ok((count, sum, start.start_ms(), quantiles))
    };
    let (count, sum, start_ms, quantiles) = read().map_err(E::from)?;
    let mut give = |role, bound, bits| {
        visit(&Sample { role, bound, value: Value::Float(bits), start_ms, ..sample.shared() })
    };
    give(Role::Count, 0.0, (count as f64).to_bits())?;
    give(Role::Sum, 0.0, sum)?;
    quantiles.into_iter().try_for_each(|(quantile, bits)| give(Role::Quantile, quantile, bits))
}

/// The samples of a classic histogram.
fn read_classic<E: From<Fault>>(
    histogram: &Histogram<'_>,
    sample: &Sample<'_>,
    visit: &mut impl FnMut(&Sample<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut give = |role, bound, value: f64, exemplar: Option<&[u8]>| {
        let value = Value::Float(value.to_bits());
        visit(&Sample { role, bound, value, exemplars: exemplar.as_slice(), ..sample.shared() })
    };
    give(Role::Count, 0.0, histogram.count, None)?;
    give(Role::Sum, 0.0, histogram.sum, None)?;
    for bucket in &histogram.buckets {
        give(Role::Bucket, bucket.bound, bucket.count, bucket.exemplar.as_deref())?;
        if bucket.bound == f64::INFINITY {
            return Ok(());
        }
    }
    give(Role::Bucket, f64::INFINITY, histogram.count, None)
}

impl<'a> Sample<'a> {
    /// The same without exemplars, for another of the metric's samples.
    fn shared(&self) -> Sample<'a> {
        Sample { exemplars: &[], ..*self }
    }
}

/// A histogram's classic half.
struct Histogram<'a> {
    count: f64,
    sum: f64,
    buckets: Vec<Bucket<'a>>,
    start_ms: Option<i64>,
    /// There is a native half.
    is_native: bool,
    has_exemplars: bool,
}

struct Bucket<'a> {
    bound: f64,
    /// Observations up to the bound.
    count: f64,
    exemplar: Option<Cow<'a, [u8]>>,
}

impl<'a> Histogram<'a> {
    fn read(message: &'a [u8]) -> Result<Histogram<'a>, Fault> {
        let (mut whole, mut float, mut start) = (0, 0.0, Timestamp::default());
        let mut histogram = Histogram {
            count: 0.0,
            sum: 0.0,
            buckets: Vec::new(),
            start_ms: None,
            is_native: false,
            has_exemplars: false,
        };
        for field in ProtobufFields::new(message) {
            match field? {
                (1, value) => whole = value.varint()?,
                (2, value) => histogram.sum = double(value)?,
                (3, value) => histogram.buckets.push(Bucket::read(value.bytes()?)?),
                (4, value) => float = double(value)?,
                (6, value) => histogram.is_native |= double(value)? > 0.0,
                (7, value) => histogram.is_native |= value.varint()? > 0,
                (9 | 12, _) => histogram.is_native = true,
                (15, value) => start.merge(value.bytes()?)?,
                (16, _) => histogram.has_exemplars = true,
                _ => {}
            }
        }
        histogram.count = if float != 0.0 { float } else { whole as f64 };
        histogram.start_ms = start.start_ms();
        Ok(histogram)
    }
}

impl<'a> Bucket<'a> {
    fn read(message: &'a [u8]) -> Result<Bucket<'a>, Fault> {
        let (mut whole, mut float) = (0, 0.0);
        let mut bucket = Bucket { bound: 0.0, count: 0.0, exemplar: None };
        for field in ProtobufFields::new(message) {
            match field? {
                (1, value) => whole = value.varint()?,
                (2, value) => bucket.bound = double(value)?,
                (3, value) => merge(bucket.exemplar.get_or_insert_default(), value.bytes()?),
                (4, value) => float = double(value)?,
                _ => {}
            }
        }
        bucket.count = if float != 0.0 { float } else { whole as f64 };
        Ok(bucket)
    }
}

/// The exemplars of a native histogram that say when they were seen: its own, or those of the buckets.
fn native_exemplars<'a>(message: &'a [u8], histogram: &'a Histogram<'_>) -> Result<Vec<&'a [u8]>, Fault> {
    let mut exemplars = Vec::new();
    if histogram.has_exemplars {
        for field in ProtobufFields::new(message) {
            if let (16, value) = field? {
                exemplars.push(value.bytes()?);
            }
        }
    } else {
        exemplars.extend(histogram.buckets.iter().filter_map(|bucket| bucket.exemplar.as_deref()));
    }
    let mut timed = Vec::with_capacity(exemplars.len());
    for exemplar in exemplars {
        let has_time = |field| matches!(field, Ok((3, _)));
        if ProtobufFields::new(exemplar).any(has_time) {
            timed.push(exemplar);
        }
    }
    Ok(timed)
}

/// Reads `more` into a message: the bytes of both, one behind the other, say what they say together.
fn merge<'a>(message: &mut Cow<'a, [u8]>, more: &'a [u8]) {
    if message.is_empty() {
        *message = Cow::Borrowed(more);
    } else {
        message.to_mut().extend_from_slice(more);
    }
}

/// A `Timestamp`.
#[derive(Clone, Copy, Default)]
struct Timestamp {
    seconds: i64,
    nanos: i64,
}

impl Timestamp {
    fn merge(&mut self, message: &[u8]) -> Result<(), Fault> {
        for field in ProtobufFields::new(message) {
            match field? {
                (1, value) => self.seconds = value.varint()? as i64,
                (2, value) => self.nanos = i64::from(value.varint()? as i32),
                _ => {}
            }
        }
        Ok(())
    }

    fn ms(self) -> i64 {
        self.seconds.saturating_mul(1000).saturating_add(self.nanos / 1_000_000)
    }

    /// A start time's milliseconds. To Prometheus one at the epoch is none, also one that is there and says nothing.
    fn start_ms(self) -> Option<i64> {
        Some(self.ms()).filter(|ms| *ms != 0)
    }
}

fn double(value: ProtobufValue<'_>) -> Result<f64, ProtobufError> {
    value.fixed64().map(f64::from_bits)
}

/// The field of a family's metrics.
const FAMILY_METRIC: u32 = 4;

const TYPE_COUNTER: u64 = 0;
const TYPE_GAUGE: u64 = 1;
const TYPE_SUMMARY: u64 = 2;
const TYPE_UNTYPED: u64 = 3;
const TYPE_HISTOGRAM: u64 = 4;
const TYPE_GAUGE_HISTOGRAM: u64 = 5;
