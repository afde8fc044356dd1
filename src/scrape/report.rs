//! What each scrape says of itself: `up` and the rest, under the target's labels alone.

use std::sync::Arc;

use crate::model::{
    FieldText, FieldType, Full, Intake, LabelsBuf, METRIC_NAME, NAN_STALE_BITS, Refusal, Rewrite, ShapeId,
    Verdict, WriteResult,
};

use super::target::Target;

/// The values of a scrape's report.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Report {
    values: [f64; NAMES.len()],
    /// How many of them are told.
    told: usize,
    /// Those behind them, up to this one, were told before and are no more.
    ended: usize,
}

/// What is known when a scrape is over.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub(super) struct Told {
    pub(super) up: bool,
    pub(super) duration_ns: u64,
    pub(super) scraped: u64,
    pub(super) kept: u64,
    pub(super) added: u64,
    /// Of the body; -1 where that was too large.
    pub(super) body_bytes: i64,
}

/// The series, in Prometheus's order; from [`EXTRA`] on those that `extra_scrape_metrics` asks for.
const NAMES: [&str; 8] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
    "scrape_timeout_seconds",
    "scrape_sample_limit",
    "scrape_body_size_bytes",
];

const EXTRA: usize = 5;

const VALUE: [FieldText<'static>; 1] = [FieldText { text: b"value", name: b"value", kind: FieldType::F64 }];

impl Report {
    /// How a scrape of this target went, whose last report had so many values.
    pub(super) fn new(target: &Target, told: &Told, told_before: usize) -> Report {
        let values = [
            f64::from(u8::from(told.up)),
            told.duration_ns as f64 / 1e9,
            told.scraped as f64,
            told.kept as f64,
            told.added as f64,
            target.timeout.as_secs_f64(),
            target.job.limits.samples_max as f64,
            told.body_bytes as f64,
        ];
        let told = if target.job.extra_metrics { NAMES.len() } else { EXTRA };
        Report { values, told, ended: told_before }
    }

    /// The target is gone, whose last report had so many values.
    pub(super) fn stale(told_before: usize) -> Report {
        Report { values: [0.0; NAMES.len()], told: 0, ended: told_before }
    }

    /// How many values it has.
    pub(super) fn told(&self) -> usize {
        self.told
    }

    /// Pushes the rows from `from` on, and says from where to go on.
    ///
    /// # Errors
    /// How far it came until the intake was full.
    pub(super) fn push<I: Intake>(
        &self,
        from: usize,
        time_ns: i64,
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Result<(), usize> {
        for (i, name) in NAMES.iter().enumerate().take(self.told.max(self.ended)).skip(from) {
            match self.push_one(i, time_ns, intake) {
                Ok(Ok(())) => {
                    result.accepted += 1;
                    result.samples += 1;
                }
                Ok(Err(Full)) => return Err(i),
                Err(refusal) => {
                    result.reject(0, refusal.reason(), name.as_bytes(), || refusal.to_string());
                }
            }
        }
        Ok(())
    }

    fn push_one<I: Intake>(
        &self,
        i: usize,
        time_ns: i64,
        intake: &mut I,
    ) -> Result<Result<(), Full>, Refusal> {
        let name = NAMES[i].as_bytes();
        let series = match intake.find(name) {
            Some(series) => series,
            None => {
                let mut labels = LabelsBuf::default();
                labels.push(METRIC_NAME, name);
                intake.define(name, &mut labels)?
            }
        };
        // These series have no rows but these.
        let shape = match series.shape {
            ShapeId::NONE => intake.define_shape(series, &VALUE)?,
            known => known,
        };
        let bits = if i < self.told { self.values[i].to_bits() } else { NAN_STALE_BITS };
        Ok(intake.push(series, shape, time_ns, &[bits], &[]))
    }
}

/// Gives the series of a report their labels.
#[derive(Clone, Debug)]
pub(super) struct ReportLabels(pub(super) Arc<Target>);

impl Rewrite for ReportLabels {
    fn rewrite(&self, labels: &mut LabelsBuf) -> Verdict {
        for (name, value) in &self.0.labels {
            // The name of the series is ours, whatever a rule has made of `__name__`.
            if name.as_bytes() != METRIC_NAME && !value.is_empty() {
                labels.push(name.as_bytes(), value.as_bytes());
            }
        }
        Verdict::Keep
    }
}
