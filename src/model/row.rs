//! The fields of a row that is being made, of a format in which a row may have any.
//!
//! Comes in: names, types and words, one after the other. Goes out: the shape of them, a word for each, and their heap.
//! Keeps: a row whose fields are those of its series' last row asks for nothing but that shape; memory is used again.
//! It refuses to know which names are sound, and how many there may be.

use super::intake::{FieldText, Intake, Refusal, Series, heap_word};
use super::shape::{Shape, ShapeField, ShapeId};
use super::value::FieldType;

/// A row's fields, values and heap.
#[derive(Default, Debug)]
pub(crate) struct RowBuf {
    /// The names of the fields, one behind the other; the text of our shapes.
    names: Vec<u8>,
    fields: Vec<Field>,
    words: Vec<u64>,
    /// What words say the place of.
    pub(crate) heap: Vec<u8>,
    texts: Vec<FieldText<'static>>,
}

#[derive(Clone, Copy, Debug)]
struct Field {
    name_end: u32,
    kind: FieldType,
}

impl RowBuf {
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.names.clear();
        self.fields.clear();
        self.words.clear();
        self.heap.clear();
    }

    /// A word for each field.
    #[inline]
    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    /// How many of its words count as samples: a start time does not.
    #[inline]
    pub(crate) fn samples(&self) -> u64 {
        let has_start = self.fields.last().is_some_and(|field| field.kind == FieldType::StartTime);
        self.words.len() as u64 - u64::from(has_start)
    }

    /// Where the name of the next field is to be appended.
    #[inline]
    pub(crate) fn next_name(&mut self) -> &mut Vec<u8> {
        &mut self.names
    }

    /// Adds a field of [that name](RowBuf::next_name) that has its value in a word, or a word that says where it is on
    /// the heap.
    #[inline]
    pub(crate) fn push_named(&mut self, kind: FieldType, word: u64) {
        self.fields.push(Field { name_end: self.names.len() as u32, kind });
        self.words.push(word);
    }

    /// The same, with its name.
    #[inline]
    pub(crate) fn push(&mut self, name: &[u8], kind: FieldType, word: u64) {
        self.names.extend_from_slice(name);
        self.push_named(kind, word);
    }

    /// As [`push`](RowBuf::push), under a name of two parts.
    #[inline]
    pub(crate) fn push_prefixed(&mut self, prefix: &[u8], name: &[u8], kind: FieldType, word: u64) {
        self.names.extend_from_slice(prefix);
        self.push(name, kind, word);
    }

    /// Adds a field of text or bytes.
    #[inline]
    pub(crate) fn push_bytes(&mut self, name: &[u8], kind: FieldType, bytes: &[u8]) {
        let start = self.heap.len();
        self.heap.extend_from_slice(bytes);
        self.push(name, kind, heap_word(start, bytes.len()));
    }

    /// Adds the start time, behind all fields.
    #[inline]
    pub(crate) fn push_start_time(&mut self, time_ns: i64) {
        self.push(b"", FieldType::StartTime, time_ns as u64);
    }

    /// The shape of these fields: most often that of the series' last row. Fields of another are shown to `check`.
    ///
    /// # Errors
    /// What `check` says, or why the intake refuses them.
    #[inline]
    pub(crate) fn shape<I: Intake, E: From<Refusal>>(
        &mut self,
        series: Series,
        intake: &mut I,
        check: impl FnOnce(&[FieldText<'_>]) -> Result<(), E>,
    ) -> Result<ShapeId, E> {
        if series.shape != ShapeId::NONE && self.has_shape(intake.shape(series.shape)) {
            return Ok(series.shape);
        }
        self.with_texts(|texts| {
            check(texts)?;
            Ok(intake.define_shape(series, texts)?)
        })
    }

    fn has_shape(&self, shape: &Shape) -> bool {
        let same =
            |(field, own): (&ShapeField, &Field)| (field.text_end, field.kind) == (own.name_end, own.kind);
        shape.fields.len() == self.fields.len()
            && *shape.text == self.names[..]
            && shape.fields.iter().zip(&self.fields).all(same)
    }

    /// Calls `with` with the fields as a shape is defined.
    fn with_texts<R>(&mut self, with: impl FnOnce(&[FieldText<'_>]) -> R) -> R {
        let mut texts = FieldText::recycle(std::mem::take(&mut self.texts));
        let mut start = 0;
        texts.extend(self.fields.iter().map(|field| {
            let name = &self.names[start..field.name_end as usize];
            start = field.name_end as usize;
            FieldText { text: name, name, kind: field.kind }
        }));
        let answer = with(&texts);
        self.texts = FieldText::recycle(texts);
        answer
    }
}
