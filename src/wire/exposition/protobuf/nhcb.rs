//! A classic histogram as a native one with custom buckets, as Prometheus converts it.

use crate::model::{CountKind, HistogramBuf, ResetHint, SCHEMA_CUSTOM};

use super::native::write_runs;

/// A classic histogram while its series come, in any order. The first thing that is wrong with it stays.
#[derive(Default, Debug)]
pub(in super::super) struct Classic {
    /// Bounds, and observations up to them, as they come.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
    fault: Option<&'static str>,
    runs: Vec<(i64, u64)>,
    /// The same, with short gaps filled.
    filled: Vec<(i64, u64)>,
    /// How many buckets the last one that was converted has.
    converted: usize,
    buf: HistogramBuf,
}

impl Classic {
    /// Empties it and keeps its memory.
    pub(in super::super) fn clear(&mut self) {
        self.buckets.clear();
        (self.count, self.sum, self.fault) = (None, 0.0, None);
    }

    pub(in super::super) fn count(&mut self, count: f64) {
        if count < 0.0 {
            self.fault("a count is negative");
        }
        self.count = Some(count);
    }

    pub(in super::super) fn sum(&mut self, sum: f64) {
        self.sum = sum;
    }

    /// A bucket. One of a bound that was there before will be left out.
    pub(in super::super) fn bucket(&mut self, bound: f64, count: f64) {
        if bound.is_nan() {
            return self.fault("a bucket's bound is NaN");
        }
        if count < 0.0 {
            return self.fault("a count is negative");
        }
        self.buckets.push((bound, count));
    }

    fn fault(&mut self, why: &'static str) {
        self.fault.get_or_insert(why);
    }

    /// Appends the native histogram's bytes to `out`.
    ///
    /// # Errors
    /// What is wrong with the histogram; nothing was appended.
    pub(in super::super) fn convert(
        &mut self,
        is_gauge: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), &'static str> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        // Of one bound the first to come stays the first.
        self.buckets.sort_by(|a, b| a.0.partial_cmp(&b.0).expect("a bound is no NaN"));
        self.buckets.dedup_by(|later, first| later.0 == first.0);
        let last = self.buckets.last().copied();
        let count = self.count.or(last.map(|last| last.1)).ok_or("there is neither count nor bucket")?;
        if last.is_none_or(|last| last.0 != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, count));
        }
        // The bucket that was left out is one of them.
        if self.buckets.windows(2).any(|pair| pair[0].1 > pair[1].1) {
            return Err("counts are not cumulative");
        }
        let is_whole = |count: f64| count.round() == count && count < U64_LIMIT;
        let whole = is_whole(count) && self.buckets.iter().all(|bucket| is_whole(bucket.1));
        if self.buckets.last().is_some_and(|last| last.1 != count) {
            return Err("the count is not that of the last bucket");
        }
        let buf = &mut self.buf;
        buf.clear();
        buf.schema = SCHEMA_CUSTOM;
        buf.sum = self.sum;
        buf.kind = if whole { CountKind::U64 } else { CountKind::F64 };
        buf.count = if whole { count as u64 } else { count.to_bits() };
        if is_gauge {
            buf.reset = ResetHint::Gauge;
        }
        self.runs.clear();
        let mut before = 0.0;
        for (i, &(bound, upto)) in self.buckets.iter().enumerate() {
            let own = upto - before;
            before = upto;
            if bound != f64::INFINITY {
                buf.bounds.push(bound);
            }
            if own != 0.0 {
                self.runs.push((i as i64, if whole { own as u64 } else { own.to_bits() }));
            }
        }
        if whole {
            fill_gaps(&self.runs, &mut self.filled);
        }
        let runs = if whole { &self.filled } else { &self.runs };
        self.converted = runs.len();
        write_runs(runs, &mut buf.positive);
        buf.encode(out).map_err(|_| "buckets are not as its spans say")
    }

    /// How many buckets the native histogram has that was made last.
    pub(in super::super) fn buckets(&self) -> u64 {
        self.converted as u64
    }
}

/// Fills `out` with the buckets, and with empty ones in gaps of up to two, which cost less than another span.
fn fill_gaps(buckets: &[(i64, u64)], out: &mut Vec<(i64, u64)>) {
    out.clear();
    for &(index, count) in buckets {
        if let Some(&(last, _)) = out.last()
            && index - last <= 1 + GAP_MAX
        {
            out.extend((last + 1..index).map(|empty| (empty, 0)));
        }
        out.push((index, count));
    }
}

/// Empty buckets between others that are kept.
const GAP_MAX: i64 = 2;

/// Floats below this are whole numbers of 64 bits.
const U64_LIMIT: f64 = 9.2e18;
