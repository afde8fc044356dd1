//! The shapes of this format's rows: a value or a native histogram, with a start time or without.

use crate::model::{FieldText, FieldType, Intake, Refusal, Series, Shape, ShapeId};

/// The name of the field that a sample is.
pub(super) const VALUE: &[u8] = b"value";

/// A row without a start time.
pub(super) const PLAIN: [FieldText<'static>; 1] =
    [FieldText { text: VALUE, name: VALUE, kind: FieldType::F64 }];

/// A row with one.
pub(super) const STARTED: [FieldText<'static>; 2] =
    [PLAIN[0], FieldText { text: b"", name: b"", kind: FieldType::StartTime }];

/// A native histogram, and one with a start time.
pub(super) const NATIVE: [FieldText<'static>; 1] =
    [FieldText { text: VALUE, name: VALUE, kind: FieldType::Histogram }];

pub(super) const NATIVE_STARTED: [FieldText<'static>; 2] = [NATIVE[0], STARTED[1]];

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

    /// The shape of a row: of a native histogram or a float, with a start time or without.
    pub(super) fn of<I: Intake>(
        &mut self,
        is_native: bool,
        is_started: bool,
        series: Series,
        intake: &mut I,
    ) -> Result<ShapeId, Refusal> {
        match (is_native, is_started) {
            (false, false) => self.plain(series, intake),
            (false, true) => self.started(series, intake),
            (true, false) => self.other(series, &NATIVE, intake),
            (true, true) => self.other(series, &NATIVE_STARTED, intake),
        }
    }

    #[inline(never)]
    fn other<I: Intake>(
        &mut self,
        series: Series,
        fields: &[FieldText<'_>],
        intake: &mut I,
    ) -> Result<ShapeId, Refusal> {
        let is_plain = fields.len() == 1 && fields[0].kind == FieldType::F64;
        if series.shape != ShapeId::NONE && is(intake.shape(series.shape), fields) {
            if is_plain {
                self.plain = series.shape;
            }
            return Ok(series.shape);
        }
        if is_plain
            && self.plain != ShapeId::NONE
            && let Some(shape) = intake.adopt_shape(series, self.plain)
        {
            return Ok(shape);
        }
        let shape = intake.define_shape(series, fields)?;
        if is_plain {
            self.plain = shape;
        }
        Ok(shape)
    }
}

fn is(shape: &Shape, fields: &[FieldText<'_>]) -> bool {
    shape.fields.len() == fields.len()
        && shape.fields.iter().zip(fields).all(|(a, b)| *a.name == *b.name && a.kind == b.kind)
}
