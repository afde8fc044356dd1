//! Shapes: the ordered fields of a row, names and types, interned so that a row names them by one number.

use super::FieldType;

/// The number of a [`Shape`] within a worker, until its epoch changes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ShapeId(pub u32);

impl ShapeId {
    /// No shape is known.
    pub const NONE: ShapeId = ShapeId(u32::MAX);
}

/// One field of a shape.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShapeField {
    /// Its canonical name, unescaped.
    pub name: Box<[u8]>,
    /// Its type.
    pub kind: FieldType,
    /// Where its text ends in [`Shape::text`]; it starts where the previous one's ends.
    pub text_end: u32,
}

/// The ordered fields of a row.
///
/// `text` is what the wire says before each value, as received: for line protocol `usage_user=` for the first field
/// and `,usage_system=` for each further one. A decoder compares it with the next row to predict that row's fields.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shape {
    /// The wire's text before each field's value, one after the other.
    pub text: Box<[u8]>,
    /// The fields in the row's order. No two have the same name and type.
    pub fields: Box<[ShapeField]>,
    /// Whether any field's values lie on the heap.
    pub has_heap: bool,
    /// How many of the fields are values: all but a start time.
    pub samples: u32,
}

impl Shape {
    /// A shape of these fields.
    pub fn new(text: Box<[u8]>, fields: Box<[ShapeField]>) -> Shape {
        let has_heap = fields.iter().any(|f| f.kind.on_heap());
        let named = fields.iter().position(|f| f.kind == FieldType::StartTime);
        let samples = named.unwrap_or(fields.len());
        debug_assert!(samples + 1 >= fields.len(), "a start time is the last of its shape");
        Shape { text, fields, has_heap, samples: samples as u32 }
    }

    /// Whether rows of it have a start time: the last of their words.
    pub fn has_start_time(&self) -> bool {
        self.samples as usize != self.fields.len()
    }

    /// Whether rows of it are a series, a time and one word that is all of a value.
    #[inline]
    pub fn is_narrow(&self) -> bool {
        self.samples == 1 && self.fields.len() == 1 && !self.has_heap
    }

    /// The wire's text before field `i`.
    pub fn field_text(&self, i: usize) -> &[u8] {
        let start = if i == 0 { 0 } else { self.fields[i - 1].text_end as usize };
        &self.text[start..self.fields[i].text_end as usize]
    }
}
