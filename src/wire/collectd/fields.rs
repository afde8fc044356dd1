//! The fields of the row that is being made, within their bounds.

use super::fault::{Fault, shown};
use super::{TEXT_BYTES_MAX, VALUES_MAX};
use crate::bytes::json::{JsonString, LoneSurrogates};
use crate::model::{FieldText, FieldType, Full, Intake, RowBuf, Series, heap_word};

/// A row's fields, values and heap. Cleared and used again.
#[derive(Default, Debug)]
pub(super) struct Fields(RowBuf);

impl Fields {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.words().is_empty()
    }

    /// Adds a field that has its value in a word.
    pub(super) fn push(&mut self, name: JsonString<'_>, kind: FieldType, word: u64) -> Result<(), Fault> {
        if self.0.words().len() == VALUES_MAX {
            return Err(Fault::TooManyValues);
        }
        append(name, self.0.next_name())?;
        self.0.push_named(kind, word);
        Ok(())
    }

    /// Adds a field of text.
    pub(super) fn push_text(&mut self, name: JsonString<'_>, text: JsonString<'_>) -> Result<(), Fault> {
        let heap = &mut self.0.heap;
        let start = heap.len();
        append(text, heap)?;
        std::str::from_utf8(&heap[start..]).map_err(|_| Fault::NotUtf8)?;
        let word = heap_word(start, heap.len() - start);
        self.push(name, FieldType::String, word)
    }

    /// Pushes the row: how many values it has.
    pub(super) fn push_to<I: Intake>(
        &mut self,
        series: Series,
        time_ns: i64,
        intake: &mut I,
    ) -> Result<Result<u64, Full>, Fault> {
        let shape = self.0.shape(series, intake, check_names)?;
        let pushed = intake.push(series, shape, time_ns, self.0.words(), &self.0.heap);
        Ok(pushed.map(|()| self.0.samples()))
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
