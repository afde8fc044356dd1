//! One data point on its way to the intake, whatever it was written in.

use super::fault::Fault;
use super::value::{METRIC, TAG_NAME, TAG_VALUE, check_name, lossy};
use crate::model::{FieldText, FieldType, Full, Intake, LabelsBuf, METRIC_NAME, ShapeId};

/// What is common to points of either form.
#[derive(Default, Debug)]
pub(super) struct Points {
    labels: LabelsBuf,
}

/// A value and its time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) time_ns: i64,
    pub(super) kind: FieldType,
    pub(super) word: u64,
}

/// The labels of a point, when they are asked for.
pub(super) trait Tags {
    /// Gives the metric and then each tag to `labels`.
    fn read(&mut self, labels: &mut Labels<'_>) -> Result<(), Fault>;
}

/// Labels that are checked as they come.
#[derive(Debug)]
pub(super) struct Labels<'a>(&'a mut LabelsBuf);

impl Labels<'_> {
    pub(super) fn metric(&mut self, name: &[u8]) -> Result<(), Fault> {
        check_name(METRIC, name)?;
        self.0.push(METRIC_NAME, name);
        Ok(())
    }

    pub(super) fn tag(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        check_name(TAG_NAME, name)?;
        check_name(TAG_VALUE, value)?;
        let same = self.0.iter().find(|(known, _)| *known == name).map(|(_, known)| known == value);
        match same {
            Some(true) => {}
            Some(false) => return Err(Fault::DuplicateTag(format!("{}={}", lossy(name), lossy(value)))),
            None => self.0.push(name, value),
        }
        Ok(())
    }
}

impl Points {
    /// Pushes a point. `key` is its text: equal bytes mean equal tags.
    pub(super) fn push<I: Intake>(
        &mut self,
        key: &[u8],
        sample: Sample,
        mut tags: impl Tags,
        intake: &mut I,
    ) -> Result<Result<(), Full>, Fault> {
        let series = if !key.is_empty() && intake.predicted() == key {
            intake.confirm()
        } else if let Some(series) = intake.find(key) {
            series
        } else {
            self.labels.clear();
            tags.read(&mut Labels(&mut self.labels))?;
            intake.define(key, &mut self.labels).map_err(Fault::Refused)?
        };
        let same = series.shape != ShapeId::NONE && intake.shape(series.shape).fields[0].kind == sample.kind;
        let shape = if same {
            series.shape
        } else {
            let value = FieldText { text: b"value", name: b"value", kind: sample.kind };
            intake.define_shape(series, &[value]).map_err(Fault::Refused)?
        };
        Ok(intake.push(series, shape, sample.time_ns, &[sample.word], &[]))
    }
}
