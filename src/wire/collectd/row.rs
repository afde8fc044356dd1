//! The fields of the row that is being made.

use super::fault::{Fault, shown};
use super::{TEXT_BYTES_MAX, VALUES_MAX};
use crate::bytes::json::{JsonString, LoneSurrogates};
use crate::model::{FieldText, FieldType, Full, Intake, Series, Shape, ShapeField, ShapeId, heap_word};

/// A row's fields, values and heap. Cleared and used again.
#[derive(Default, Debug)]
pub(super) struct RowBuf {
    /// The names of the fields, one behind the other; the text of our shapes.
    names: Vec<u8>,
    fields: Vec<Field>,
    words: Vec<u64>,
    heap: Vec<u8>,
    texts: Vec<FieldText<'static>>,
}

#[derive(Clone, Copy, Debug)]
struct Field {
    name_end: u32,
    kind: FieldType,
}

impl RowBuf {
    pub(super) fn clear(&mut self) {
        self.names.clear();
        self.fields.clear();
        self.words.clear();
        self.heap.clear();
    }

    /// Whether it has no fields.
    pub(super) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Adds a field that has its value in a word.
    pub(super) fn push(&mut self, name: JsonString<'_>, kind: FieldType, word: u64) -> Result<(), Fault> {
        if self.fields.len() == VALUES_MAX {
            return Err(Fault::TooManyValues);
        }
        append(name, &mut self.names)?;
        self.fields.push(Field { name_end: self.names.len() as u32, kind });
        self.words.push(word);
        Ok(())
    }

    /// Adds a field of text.
    pub(super) fn push_text(&mut self, name: JsonString<'_>, text: JsonString<'_>) -> Result<(), Fault> {
        let start = self.heap.len();
        append(text, &mut self.heap)?;
        std::str::from_utf8(&self.heap[start..]).map_err(|_| Fault::NotUtf8)?;
        self.push(name, FieldType::String, heap_word(start, self.heap.len() - start))
    }

    /// Pushes the row: how many values it has.
    pub(super) fn push_to<I: Intake>(
        &mut self,
        series: Series,
        time_ns: i64,
        intake: &mut I,
    ) -> Result<Result<u64, Full>, Fault> {
        let known = series.shape != ShapeId::NONE && self.has_shape(intake.shape(series.shape));
        let shape = if known { series.shape } else { self.define_shape(series, intake)? };
        let pushed = intake.push(series, shape, time_ns, &self.words, &self.heap);
        Ok(pushed.map(|()| self.words.len() as u64))
    }

    fn has_shape(&self, shape: &Shape) -> bool {
        let same =
            |(field, own): (&ShapeField, &Field)| (field.text_end, field.kind) == (own.name_end, own.kind);
        shape.fields.len() == self.fields.len()
            && *shape.text == self.names[..]
            && shape.fields.iter().zip(&self.fields).all(same)
    }

    fn define_shape<I: Intake>(&mut self, series: Series, intake: &mut I) -> Result<ShapeId, Fault> {
        let mut texts = recycle(std::mem::take(&mut self.texts));
        let mut start = 0;
        texts.extend(self.fields.iter().map(|field| {
            let name = &self.names[start..field.name_end as usize];
            start = field.name_end as usize;
            FieldText { text: name, name, kind: field.kind }
        }));
        let shape =
            check_names(&texts).and_then(|()| intake.define_shape(series, &texts).map_err(Fault::Refused));
        self.texts = recycle(texts);
        shape
    }
}

/// Names are text, and no two of a row the same. By pairs: there are [`VALUES_MAX`] at most.
fn check_names(fields: &[FieldText<'_>]) -> Result<(), Fault> {
    for (i, field) in fields.iter().enumerate() {
        std::str::from_utf8(field.name).map_err(|_| Fault::NotUtf8)?;
        if fields[..i].iter().any(|other| other.name == field.name) {
            return Err(Fault::Twice(shown(field.name)));
        }
    }
    Ok(())
}

/// Appends what a string spells, within the bound.
pub(super) fn append(string: JsonString<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    // What it spells is never longer.
    if out.len() + string.raw().len() > TEXT_BYTES_MAX {
        return Err(Fault::TooLong);
    }
    string.append_to(LoneSurrogates::Refused, out).map_err(|_| Fault::Surrogate)
}

/// The same memory for other borrows: collecting an empty vector of the same layout allocates nothing.
fn recycle<'a>(mut texts: Vec<FieldText<'_>>) -> Vec<FieldText<'a>> {
    texts.clear();
    texts.into_iter().map(|_| unreachable!("the vector is empty")).collect()
}
