//! The shapes a worker knows, and their symbols in the segment being written.

use hashbrown::HashTable;

use crate::bytes::ARENA_ENTRY_BYTES_MAX;
use crate::model::{FieldText, FieldType, Refusal, Shape, ShapeField, ShapeId, SymbolId};

use super::hash::KeyHasher;
use super::stream::ContextId;

/// A row has at most so many fields.
pub(super) const FIELDS_MAX: usize = 16_384;

/// When so many shapes are known, all are forgotten before the next batch.
const SHAPES_KEPT_MAX: usize = 65_536;

/// Shapes by number. In one generation of the table no number is given twice, so a forgotten shape's number is merely
/// unknown.
#[derive(Debug)]
pub struct Shapes {
    hasher: KeyHasher,
    first: u32,
    shapes: Vec<Known>,
    index: HashTable<u32>,
    used: Vec<ShapeId>,
    text_bytes: usize,
}

#[derive(Debug)]
struct Known {
    shape: Shape,
    context: ContextId,
    metric: Box<[u8]>,
    hash: u64,
    batch: u64,
    symbols: ShapeSymbols,
}

/// The names of a shape as symbols of one dictionary.
#[derive(Default, Clone, Debug)]
pub struct ShapeSymbols {
    generation: u64,
    /// The metric's name; meaningful for shapes of more than one value.
    pub metric: Option<SymbolId>,
    /// A symbol a field; a start time has none.
    pub fields: Vec<SymbolId>,
}

impl Shapes {
    /// No shapes yet.
    pub fn new(hasher: KeyHasher) -> Shapes {
        Shapes {
            hasher,
            first: 0,
            shapes: Vec::new(),
            index: HashTable::new(),
            used: Vec::new(),
            text_bytes: 0,
        }
    }

    /// A shape by its number.
    #[inline]
    pub fn shape(&self, id: ShapeId) -> &Shape {
        &self.shapes[(id.0 - self.first) as usize].shape
    }

    /// The symbols of a shape that was resolved for the batch.
    #[inline]
    pub fn symbols(&self, id: ShapeId) -> &ShapeSymbols {
        &self.shapes[(id.0 - self.first) as usize].symbols
    }

    /// The metric's name that is part of the shape; empty for shapes of one field.
    pub(super) fn metric(&self, id: ShapeId) -> &[u8] {
        &self.shapes[(id.0 - self.first) as usize].metric
    }

    /// The lowest number that still means a shape.
    pub(super) fn first(&self) -> u32 {
        self.first
    }

    /// Whether the number still means a shape.
    #[inline]
    pub(super) fn knows(&self, id: ShapeId) -> bool {
        id.0.checked_sub(self.first).is_some_and(|i| (i as usize) < self.shapes.len())
    }

    /// Whether so many numbers are given that it is time to begin anew, together with all that remembers some: a number
    /// that came again would give a row another one's fields.
    pub(crate) fn is_running_out(&self) -> bool {
        self.first >= NUMBERS_MAX
    }

    /// The shape of these fields in this context. The metric's name is part of a shape of several fields only: rows of
    /// one field share their columns across names.
    pub(super) fn define(
        &mut self,
        context: ContextId,
        metric: &[u8],
        fields: &[FieldText<'_>],
    ) -> Result<ShapeId, Refusal> {
        if fields.len() > FIELDS_MAX {
            return Err(Refusal::TooLarge { what: "the number of fields", max: FIELDS_MAX as u64 });
        }
        if fields.iter().any(|f| f.name.len() > ARENA_ENTRY_BYTES_MAX) {
            // It could be no symbol when the batch is sealed.
            return Err(Refusal::TooLarge { what: "a field's name", max: ARENA_ENTRY_BYTES_MAX as u64 });
        }
        let values = fields.iter().filter(|f| f.kind != FieldType::StartTime).count();
        let metric = if values > 1 { metric } else { &[] };
        let hash = fields.iter().fold(self.hasher.hash_in(context, metric), |h, f| {
            (h ^ self.hasher.hash(f.text) ^ f.kind as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
        });
        let same = |&i: &u32| {
            let known = &self.shapes[i as usize];
            known.hash == hash
                && known.context == context
                && *known.metric == *metric
                && known.shape.fields.len() == fields.len()
                && fields
                    .iter()
                    .enumerate()
                    .all(|(i, f)| known.shape.field_text(i) == f.text && known.shape.fields[i].kind == f.kind)
        };
        if let Some(&i) = self.index.find(hash, same) {
            return Ok(ShapeId(self.first + i));
        }
        let shape = build(fields);
        self.text_bytes += shape.text.len() * 2 + fields.len() * size_of::<ShapeField>();
        let i = self.shapes.len() as u32;
        self.shapes.push(Known {
            shape,
            context,
            metric: metric.into(),
            hash,
            batch: 0,
            symbols: ShapeSymbols::default(),
        });
        let shapes = &self.shapes;
        self.index.insert_unique(hash, i, |&i| shapes[i as usize].hash);
        Ok(ShapeId(self.first + i))
    }

    /// Whether rows of this context and metric may have this shape.
    pub(super) fn suits(&self, id: ShapeId, context: ContextId, metric: &[u8]) -> bool {
        let known = &self.shapes[(id.0 - self.first) as usize];
        known.context == context && (known.shape.samples <= 1 || *known.metric == *metric)
    }

    /// Notes that a row of the current batch has this shape.
    #[inline]
    pub(super) fn mark_used(&mut self, id: ShapeId, batch: u64) {
        let known = &mut self.shapes[(id.0 - self.first) as usize];
        if known.batch != batch {
            known.batch = batch;
            self.used.push(id);
        }
    }

    /// Gives every shape of the current batch its symbols in the dictionary of `generation`, made by `intern`, and
    /// returns the shapes. `None` from `intern` stops: the dictionary is full.
    pub(super) fn resolve(
        &mut self,
        generation: u64,
        mut intern: impl FnMut(&[u8]) -> Option<SymbolId>,
    ) -> Option<&[ShapeId]> {
        for id in &self.used {
            let known = &mut self.shapes[(id.0 - self.first) as usize];
            if known.symbols.generation == generation {
                continue;
            }
            let symbols = &mut known.symbols;
            symbols.metric = if known.metric.is_empty() { None } else { Some(intern(&known.metric)?) };
            symbols.fields.clear();
            for field in &known.shape.fields[..known.shape.samples as usize] {
                symbols.fields.push(intern(&field.name)?);
            }
            symbols.generation = generation;
        }
        Some(&self.used)
    }

    /// Ends a batch: no row holds a shape any more. Forgets all shapes when they have become too many; says if so.
    pub(super) fn end_batch(&mut self) -> bool {
        self.used.clear();
        let forget = self.shapes.len() > SHAPES_KEPT_MAX || self.text_bytes > TEXT_BYTES_KEPT_MAX;
        if forget {
            let next = self.first.checked_add(self.shapes.len() as u32);
            self.first = next.expect("a generation ends long before");
            self.shapes = Vec::new();
            self.index = HashTable::new();
            self.text_bytes = 0;
        }
        forget
    }

    #[cfg(test)]
    pub(super) fn skip_to(&mut self, number: u32) {
        assert!(self.shapes.is_empty());
        self.first = number;
    }

    /// Bytes of memory held, about.
    pub fn memory_bytes(&self) -> usize {
        self.text_bytes + self.shapes.capacity() * size_of::<Known>() + self.index.capacity() * 5
    }
}

/// Half of the numbers: the other half is for what comes until the generation has ended.
const NUMBERS_MAX: u32 = 1 << 31;

/// When the shapes' text is over this, all are forgotten before the next batch.
const TEXT_BYTES_KEPT_MAX: usize = 16 << 20;

fn build(fields: &[FieldText<'_>]) -> Shape {
    let mut text = Vec::with_capacity(fields.iter().map(|f| f.text.len()).sum());
    let fields: Box<[ShapeField]> = fields
        .iter()
        .map(|f| {
            text.extend_from_slice(f.text);
            ShapeField { name: f.name.into(), kind: f.kind, text_end: text.len() as u32 }
        })
        .collect();
    Shape::new(text.into(), fields)
}
