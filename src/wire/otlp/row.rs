//! The fields of the row that is being made.

use crate::model::{FieldText, FieldType, Intake, Refusal, Series, Shape, ShapeId, heap_word};

use super::decoder::Fault;

/// A row's fields, values and heap. Cleared and used again.
#[derive(Default, Debug)]
pub(super) struct RowBuf {
    names: Vec<u8>,
    fields: Vec<RowField>,
    values: Vec<u64>,
    pub(super) heap: Vec<u8>,
    has_start_time: bool,
    order: Vec<u32>,
    texts: Vec<FieldText<'static>>,
}

#[derive(Clone, Copy, Debug)]
struct RowField {
    name_end: u32,
    kind: FieldType,
}

impl RowBuf {
    pub(super) fn clear(&mut self) {
        self.names.clear();
        self.fields.clear();
        self.values.clear();
        self.heap.clear();
        self.has_start_time = false;
    }

    /// Adds a field that has its value in a word, or a word that says where it is on the heap.
    pub(super) fn push(&mut self, name: &[u8], kind: FieldType, word: u64) {
        self.names.extend_from_slice(name);
        self.push_named(kind, word);
    }

    /// As [`push`](RowBuf::push), under a name of two parts.
    pub(super) fn push_prefixed(&mut self, prefix: &[u8], name: &[u8], kind: FieldType, word: u64) {
        self.names.extend_from_slice(prefix);
        self.push(name, kind, word);
    }

    fn push_named(&mut self, kind: FieldType, word: u64) {
        self.fields.push(RowField { name_end: self.names.len() as u32, kind });
        self.values.push(word);
    }

    /// Adds a field of text or bytes.
    pub(super) fn push_bytes(&mut self, name: &[u8], kind: FieldType, bytes: &[u8]) {
        let start = self.heap.len();
        self.heap.extend_from_slice(bytes);
        self.push(name, kind, heap_word(start, bytes.len()));
    }

    /// Adds the start time, behind all fields.
    pub(super) fn push_start_time(&mut self, time_ns: i64) {
        self.push(b"", FieldType::StartTime, time_ns as u64);
        self.has_start_time = true;
    }

    /// A word for each field.
    pub(super) fn values(&self) -> &[u64] {
        &self.values
    }

    /// How many of its values count as samples.
    pub(super) fn samples(&self) -> u64 {
        self.values.len() as u64 - u64::from(self.has_start_time)
    }

    /// The shape of these fields: most often that of the series' previous row.
    pub(super) fn shape<I: Intake>(&mut self, series: Series, intake: &mut I) -> Result<ShapeId, Fault> {
        if series.shape != ShapeId::NONE && self.has_shape(intake.shape(series.shape)) {
            return Ok(series.shape);
        }
        self.check_names()?;
        Ok(self.define_shape(series, intake)?)
    }

    /// The text of our shapes' fields is their names.
    fn has_shape(&self, shape: &Shape) -> bool {
        let same = |(field, own): (&crate::model::ShapeField, &RowField)| {
            (field.text_end, field.kind) == (own.name_end, own.kind)
        };
        shape.fields.len() == self.fields.len()
            && *shape.text == self.names[..]
            && shape.fields.iter().zip(&self.fields).all(same)
    }

    fn name(&self, i: usize) -> &[u8] {
        let start = if i == 0 { 0 } else { self.fields[i - 1].name_end as usize };
        &self.names[start..self.fields[i].name_end as usize]
    }

    /// No two fields may have one name and type. By sorting: an attacker chooses how many there are.
    fn check_names(&mut self) -> Result<(), Fault> {
        let mut order = std::mem::take(&mut self.order);
        order.clear();
        order.extend(0..self.fields.len() as u32);
        let key = |i: u32| (self.name(i as usize), self.fields[i as usize].kind);
        order.sort_unstable_by(|&a, &b| key(a).cmp(&key(b)));
        let has_twins = order.windows(2).any(|pair| key(pair[0]) == key(pair[1]));
        self.order = order;
        if has_twins { Err(Fault::DuplicateField) } else { Ok(()) }
    }

    fn define_shape<I: Intake>(&mut self, series: Series, intake: &mut I) -> Result<ShapeId, Refusal> {
        let mut texts = recycle(std::mem::take(&mut self.texts));
        texts.extend(self.fields.iter().enumerate().map(|(i, field)| FieldText {
            text: self.name(i),
            name: self.name(i),
            kind: field.kind,
        }));
        let shape = intake.define_shape(series, &texts);
        self.texts = recycle(texts);
        shape
    }
}

/// The same memory for other borrows: collecting an empty vector of the same layout allocates nothing.
fn recycle<'a>(mut texts: Vec<FieldText<'_>>) -> Vec<FieldText<'a>> {
    texts.clear();
    texts.into_iter().map(|_| unreachable!("the vector is empty")).collect()
}
