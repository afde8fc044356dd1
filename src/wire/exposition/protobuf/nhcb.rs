//! A classic histogram as a native one with custom buckets, as Prometheus converts it.

use crate::model::{CountKind, HistogramBuf, ResetHint, SCHEMA_CUSTOM};

use super::native::write_runs;

/// A classic histogram while its series come, in any order. The first thing that is wrong with it stays.
#[derive(Default, Debug)]
pub(in super::super) struct Classic {
    /// Bounds, and observations up to them, by rising bound.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
    fault: Option<&'static str>,
    runs: Vec<(i64, u64)>,
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

    /// A bucket. One of a bound that was there before is left out.
    pub(in super::super) fn bucket(&mut self, bound: f64, count: f64) {
        if bound.is_nan() {
            return self.fault("a bucket's bound is NaN");
        }
        if count < 0.0 {
            return self.fault("a count is negative");
        }
        let at = self.buckets.partition_point(|bucket| bucket.0 < bound);
        if self.buckets.get(at).is_some_and(|bucket| bucket.0 == bound) {
            return;
        }
        let before = at.checked_sub(1).map(|before| self.buckets[before].1);
        let behind = self.buckets.get(at).map(|bucket| bucket.1);
        if before.is_some_and(|before| count < before) || behind.is_some_and(|behind| count > behind) {
            return self.fault("counts are not cumulative");
        }
        self.buckets.insert(at, (bound, count));
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
        let last = self.buckets.last().copied();
        let count = self.count.or(last.map(|last| last.1)).ok_or("there is neither count nor bucket")?;
        if last.is_none_or(|last| last.0 != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, count));
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
            fill_gaps(&mut self.runs);
        }
        write_runs(&self.runs, &mut buf.positive);
        buf.encode(out).map_err(|_| "buckets are not as its spans say")
    }
}

/// Puts empty buckets into gaps of up to two, which cost less than another span.
fn fill_gaps(runs: &mut Vec<(i64, u64)>) {
    let mut at = 1;
    while at < runs.len() {
        let (before, next) = (runs[at - 1].0, runs[at].0);
        if next > before + 1 && next <= before + 1 + GAP_MAX {
            runs.insert(at, (before + 1, 0));
        }
        at += 1;
    }
}

/// Empty buckets between others that are kept.
const GAP_MAX: i64 = 2;

/// Floats below this are whole numbers of 64 bits.
const U64_LIMIT: f64 = 9.2e18;
