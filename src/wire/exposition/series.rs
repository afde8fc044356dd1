//! The shapes of this format's rows: a value, or a value and a start time.

use crate::model::{FieldText, FieldType, Intake, Refusal, Series, Shape, ShapeId};

/// The name of the field that a sample is.
pub(super) const VALUE: &[u8] = b"value";

/// A row without a start time.
pub(super) const PLAIN: [FieldText<'static>; 1] =
    [FieldText { text: VALUE, name: VALUE, kind: FieldType::F64 }];

/// A row with one.
pub(super) const STARTED: [FieldText<'static>; 2] =
    [PLAIN[0], FieldText { text: b"", name: b"", kind: FieldType::StartTime }];

/// Finds the shapes of rows.
#[derive(Debug)]
pub(super) struct RowShapes {
    epoch: u64,
    /// The shape of rows without a start time, once it is known.
    plain: ShapeId,
}

impl Default for RowShapes {
    fn default() -> RowShapes {
        RowShapes { epoch: 0, plain: ShapeId::NONE }
    }
}

impl RowShapes {
    /// Forgets what the intake has forgotten.
    pub(super) fn enter_epoch(&mut self, epoch: u64) {
        if self.epoch != epoch {
            *self = RowShapes { epoch, ..RowShapes::default() };
        }
    }

    /// Forgets all: another intake comes.
    pub(super) fn clear(&mut self) {
        self.plain = ShapeId::NONE;
    }

    /// The shape of a row without a start time.
    #[inline]
    pub(super) fn plain<I: Intake>(&mut self, series: Series, intake: &mut I) -> Result<ShapeId, Refusal> {
        if series.shape == self.plain && series.shape != ShapeId::NONE {
            return Ok(self.plain);
        }
        self.other(series, &PLAIN, intake)
    }

    /// The shape of a row with a start time.
    pub(super) fn started<I: Intake>(&mut self, series: Series, intake: &mut I) -> Result<ShapeId, Refusal> {
        self.other(series, &STARTED, intake)
    }

    #[inline(never)]
    fn other<I: Intake>(
        &mut self,
        series: Series,
        fields: &[FieldText<'_>],
        intake: &mut I,
    ) -> Result<ShapeId, Refusal> {
        if series.shape != ShapeId::NONE && is(intake.shape(series.shape), fields) {
            if fields.len() == 1 {
                self.plain = series.shape;
            }
            return Ok(series.shape);
        }
        if fields.len() == 1
            && self.plain != ShapeId::NONE
            && let Some(shape) = intake.adopt_shape(series, self.plain)
        {
            return Ok(shape);
        }
        let shape = intake.define_shape(series, fields)?;
        if fields.len() == 1 {
            self.plain = shape;
        }
        Ok(shape)
    }
}

fn is(shape: &Shape, fields: &[FieldText<'_>]) -> bool {
    shape.fields.len() == fields.len()
        && shape.fields.iter().zip(fields).all(|(a, b)| *a.name == *b.name && a.kind == b.kind)
}
