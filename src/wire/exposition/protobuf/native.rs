//! Native histograms: a message in, the block format's bytes out.
//!
//! What has no buckets for its spans is refused, as by Prometheus's parser. Whether counts agree is said beside the
//! bytes: Prometheus asks it where it stores what it scraped, after rules have dropped series. Buckets without
//! observations are none, so that the same histogram has the same bytes; one that is too fine is made coarser.

use crate::bytes::{ProtobufFields, ProtobufValue, unzigzag};
use crate::model::{
    BucketsBuf, CountKind, CountsError, HistogramBuf, ResetHint, SCHEMA_CUSTOM, SCHEMAS_EXPONENTIAL,
};

use super::{Fault, HistogramOptions, double};

/// Reads native histograms, one after another.
#[derive(Default, Debug)]
pub(in super::super) struct NativeReader {
    buf: HistogramBuf,
    positive: Side,
    negative: Side,
}

/// The buckets of one sign.
#[derive(Default, Debug)]
struct Side {
    /// Offset and length.
    spans: Vec<(i64, u64)>,
    /// As they come: differences of whole numbers, or floats.
    differences: Vec<i64>,
    floats: Vec<f64>,
    /// Index and count of those that have one, by rising index.
    buckets: Vec<(i64, u64)>,
}

/// What is to be said of a histogram that was read.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub(in super::super) struct Findings {
    /// It has too many buckets, merged as they are.
    pub(in super::super) is_over: bool,
    /// Its counts contradict each other; not asked of one with too many buckets.
    pub(in super::super) contradiction: Option<CountsError>,
}

impl NativeReader {
    /// Appends the bytes of the histogram in `message` to `out`.
    pub(in super::super) fn read(
        &mut self,
        message: &[u8],
        is_gauge: bool,
        options: &HistogramOptions,
        out: &mut Vec<u8>,
    ) -> Result<Findings, Fault> {
        self.buf.clear();
        self.positive.clear();
        self.negative.clear();
        let (mut count, mut count_float, mut zero, mut zero_float) = (0, 0.0, 0, 0.0);
        for field in ProtobufFields::new(message) {
            let (number, value) = field?;
            match number {
                1 => count = value.varint()?,
                2 => self.buf.sum = double(value)?,
                4 => count_float = double(value)?,
                5 => self.buf.schema = unzigzag(u64::from(value.varint()? as u32)) as i32,
                6 => self.buf.zero_threshold = double(value)?,
                7 => zero = value.varint()?,
                8 => zero_float = double(value)?,
                9 => self.negative.span(value.bytes()?)?,
                10 => self.negative.differences(value)?,
                11 => self.negative.floats(value)?,
                12 => self.positive.span(value.bytes()?)?,
                13 => self.positive.differences(value)?,
                14 => self.positive.floats(value)?,
                _ => {}
            }
        }
        let has_floats = !self.positive.floats.is_empty() || !self.negative.floats.is_empty();
        self.buf.kind =
            if count_float > 0.0 || zero_float > 0.0 || has_floats { CountKind::F64 } else { CountKind::U64 };
        (self.buf.count, self.buf.zero_count) = match self.buf.kind {
            CountKind::F64 => (count_float.to_bits(), zero_float.to_bits()),
            CountKind::U64 => (count, zero),
        };
        if is_gauge {
            self.buf.reset = ResetHint::Gauge;
        }
        self.positive.settle(self.buf.kind)?;
        self.negative.settle(self.buf.kind)?;
        self.check_schema()?;
        let is_over = self.coarsen(options);
        self.positive.write(&mut self.buf.positive);
        self.negative.write(&mut self.buf.negative);
        self.buf.encode(out).map_err(|_| Fault::Histogram("buckets are not as its spans say"))?;
        let contradiction = if is_over { None } else { self.buf.check_counts().err() };
        Ok(Findings { is_over, contradiction })
    }

    /// Whether the buckets have bounds.
    fn check_schema(&self) -> Result<(), Fault> {
        match self.buf.schema {
            SCHEMA_CUSTOM => Err(Fault::Histogram("custom buckets without bounds")),
            schema if (*SCHEMAS_EXPONENTIAL.start()..=SCHEMA_RESERVED_MAX).contains(&schema) => Ok(()),
            _ => Err(Fault::Histogram("schema must be at least -4")),
        }
    }

    /// Merges buckets until there are few enough and each is wide enough; whether too many are left.
    fn coarsen(&mut self, options: &HistogramOptions) -> bool {
        let wanted = schema_of_factor(options.bucket_factor_min);
        if self.buf.schema > wanted {
            self.reduce((self.buf.schema - wanted) as u32);
        }
        while options.buckets_max > 0
            && (self.positive.buckets.len() + self.negative.buckets.len()) as u64 > options.buckets_max
        {
            if self.buf.schema <= *SCHEMAS_EXPONENTIAL.start() {
                return true;
            }
            self.reduce(1);
        }
        false
    }

    fn reduce(&mut self, by: u32) {
        self.buf.schema -= by as i32;
        self.positive.reduce(self.buf.kind, by);
        self.negative.reduce(self.buf.kind, by);
    }
}

impl Side {
    fn clear(&mut self) {
        self.spans.clear();
        self.differences.clear();
        self.floats.clear();
        self.buckets.clear();
    }

    fn span(&mut self, span: &[u8]) -> Result<(), Fault> {
        let (mut offset, mut len) = (0, 0);
        for field in ProtobufFields::new(span) {
            match field? {
                (1, value) => offset = unzigzag(u64::from(value.varint()? as u32)),
                (2, value) => len = u64::from(value.varint()? as u32),
                _ => {}
            }
        }
        self.spans.push((offset, len));
        Ok(())
    }

    fn differences(&mut self, value: ProtobufValue<'_>) -> Result<(), Fault> {
        Ok(value.each_varint(|word| self.differences.push(unzigzag(word)))?)
    }

    fn floats(&mut self, value: ProtobufValue<'_>) -> Result<(), Fault> {
        Ok(value.each_fixed64(|word| self.floats.push(f64::from_bits(word)))?)
    }

    /// Says which buckets there are.
    fn settle(&mut self, kind: CountKind) -> Result<(), Fault> {
        let Side { spans, differences, floats, buckets } = self;
        let counts = if kind == CountKind::F64 { floats.len() } else { differences.len() };
        let spanned = spans.iter().fold(0u64, |sum, span| sum.saturating_add(span.1));
        if spanned != counts as u64 {
            return Err(Fault::Histogram("its spans are not as long as its buckets are many"));
        }
        let (mut index, mut place, mut last) = (0i64, 0, 0i64);
        // Spans of no bucket only move the next one.
        let (mut moved, mut is_first) = (0i64, true);
        for &(offset, len) in spans.iter() {
            index += offset;
            moved += offset;
            if len == 0 {
                continue;
            }
            if moved < 0 && !is_first {
                return Err(Fault::Histogram("a span's offset is negative"));
            }
            (moved, is_first) = (0, false);
            for _ in 0..len {
                let word = match kind {
                    CountKind::F64 => floats[place].to_bits(),
                    CountKind::U64 => {
                        last = last.wrapping_add(differences[place]);
                        u64::try_from(last).map_err(|_| Fault::Histogram("a count is negative"))?
                    }
                };
                if !is_zero(kind, word) {
                    buckets.push((index, word));
                }
                index += 1;
                place += 1;
            }
        }
        Ok(())
    }

    /// Merges what lies in one bucket of a schema that is lower by so much.
    fn reduce(&mut self, kind: CountKind, by: u32) {
        self.buckets.iter_mut().for_each(|bucket| bucket.0 = ((bucket.0 - 1) >> by) + 1);
        self.buckets.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                earlier.1 = match kind {
                    CountKind::F64 => (f64::from_bits(earlier.1) + f64::from_bits(later.1)).to_bits(),
                    CountKind::U64 => earlier.1.saturating_add(later.1),
                };
            }
            same
        });
    }

    fn write(&self, out: &mut BucketsBuf) {
        write_runs(&self.buckets, out);
    }
}

/// Writes buckets with rising indices, a span for each run of neighbours.
pub(super) fn write_runs(buckets: &[(i64, u64)], out: &mut BucketsBuf) {
    let mut end = 0;
    for run in buckets.chunk_by(|a, b| a.0 + 1 == b.0) {
        out.span(run[0].0 - end, run.len() as u64);
        run.iter().for_each(|bucket| out.count(bucket.1));
        end = run[0].0 + run.len() as i64;
    }
}

fn is_zero(kind: CountKind, word: u64) -> bool {
    match kind {
        CountKind::F64 => f64::from_bits(word) == 0.0,
        CountKind::U64 => word == 0,
    }
}

/// The finest schema whose factor between bounds is at least this: as Prometheus picks it.
fn schema_of_factor(factor: f64) -> i32 {
    let (coarsest, finest) = (*SCHEMAS_EXPONENTIAL.start(), *SCHEMAS_EXPONENTIAL.end());
    if factor <= 1.0 || factor.is_nan() {
        return finest;
    }
    let schema = (-factor.log2().log2()).floor();
    schema.clamp(f64::from(coarsest), f64::from(finest)) as i32
}

/// Schemas up to this one mean what they say, though no histogram of ours is so fine.
const SCHEMA_RESERVED_MAX: i32 = 52;
