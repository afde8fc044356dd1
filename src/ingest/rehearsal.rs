//! An intake that takes everything and keeps nothing: for requests that are all or nothing, read once before
//! their first
//! row is taken.

use crate::model::{Exemplar, FieldText, Full, Intake, LabelsBuf, Metadata, Refusal, Series, Shape, ShapeId};

use super::hash::KeyHasher;
use super::shapes::Shapes;
use super::stream::ContextId;

/// Checks rows as far as that needs no table: whatever it takes is refused later only for want of room.
#[derive(Debug)]
pub struct Rehearsal {
    shapes: Shapes,
}

impl Rehearsal {
    /// For one request.
    pub fn new(hasher: KeyHasher) -> Rehearsal {
        Rehearsal { shapes: Shapes::new(hasher) }
    }
}

const ANY: Series = Series { key: 0, shape: ShapeId::NONE };

impl Intake for Rehearsal {
    fn epoch(&self) -> u64 {
        0
    }

    fn predicted(&self) -> &[u8] {
        &[]
    }

    fn confirm(&mut self) -> Series {
        ANY
    }

    fn announce(&mut self, _key: &[u8]) {}

    fn wants_announcements(&self) -> bool {
        false
    }

    fn find(&mut self, _key: &[u8]) -> Option<Series> {
        None
    }

    fn define(&mut self, _key: &[u8], labels: &mut LabelsBuf) -> Result<Series, Refusal> {
        labels.canonicalize().map_err(Refusal::Labels)?;
        Ok(ANY)
    }

    fn shape(&self, id: ShapeId) -> &Shape {
        self.shapes.shape(id)
    }

    fn define_shape(&mut self, _series: Series, fields: &[FieldText<'_>]) -> Result<ShapeId, Refusal> {
        self.shapes.define(ContextId::default(), &[], fields)
    }

    fn push(&mut self, _: Series, _: ShapeId, _: i64, _: &[u64], _: &[u8]) -> Result<(), Full> {
        Ok(())
    }

    fn exemplar(&mut self, _: Series, _: &Exemplar<'_>) -> Result<(), Full> {
        Ok(())
    }

    fn metadata(&mut self, _: &Metadata<'_>) -> Result<(), Full> {
        Ok(())
    }
}
