//! Side records as tables: exemplars, a table for each field, and metadata.
//!
//! A table for each field needs no bit maps: there are at most half as many exemplars as rows, so the directory has
//! room even if each has a field of its own.

use super::super::codec::{floats, integers, strings};
use super::super::container::{ContainerWriter, entry};
use super::super::encoder::EncodeInput;
use super::encode::{Scratch, close_section};
use super::{RowOrder, section};
use crate::bytes::write_varint;
use crate::model::{ExemplarRef, FieldType, MetadataRef, SymbolId};

impl Scratch {
    /// Writes the side records of a batch.
    pub(in crate::block) fn encode_side(&mut self, input: &EncodeInput<'_>, container: &mut ContainerWriter) {
        if !input.batch.exemplars().is_empty() {
            self.encode_exemplars(input, container);
        }
        if !input.batch.metadata().is_empty() {
            self.encode_metadata(input, container);
        }
    }

    fn encode_exemplars(&mut self, input: &EncodeInput<'_>, container: &mut ContainerWriter) {
        let fields = input.exemplar_fields;
        assert_eq!(fields.len(), input.batch.exemplars().len(), "a symbol for each exemplar");
        let mut picked = std::mem::take(&mut self.picked);
        picked.clear();
        picked.extend(0..fields.len() as u32);
        // Unstable, and yet stable: places differ.
        picked.sort_unstable_by_key(|&at| (fields[at as usize], at));
        let field = |&at: &u32| fields[at as usize];
        for picked in picked.chunk_by(|a, b| field(a) == field(b)) {
            self.encode_exemplars_of(input, field(&picked[0]), picked, container);
        }
        self.picked = picked;
    }

    fn encode_exemplars_of(
        &mut self,
        input: &EncodeInput<'_>,
        field: SymbolId,
        picked: &[u32],
        container: &mut ContainerWriter,
    ) {
        let exemplars = picked.iter().map(|&at| &input.batch.exemplars()[at as usize]);
        let sorted = exemplars.clone().is_sorted_by_key(|exemplar| exemplar.series);
        let order = if sorted { RowOrder::Series } else { RowOrder::Arrival };
        self.begin(order, picked.len(), EXEMPLAR_SECTIONS);
        self.integers(section::SERIES, exemplars.clone().map(|e| u64::from(e.series.0)), container);
        self.integers(section::TIME, exemplars.clone().map(|e| e.time_ns as u64), container);

        self.fill(exemplars.clone().map(|e| e.value_bits));
        write_varint(&mut self.section, u64::from(field.0));
        // All have it.
        self.section.extend_from_slice(&[FieldType::F64 as u8, 0]);
        let Scratch { floats, integers, words, section, .. } = self;
        floats::encode(words, &[], floats, integers, container, section);
        close_section(section::FIELD, &mut self.section, &mut self.body);

        let labels = |e: &ExemplarRef| e.labels;
        self.texts(section::LABELS, exemplars.map(labels), input, container);
        container.entry(entry::EXEMPLARS, &self.body);
    }

    fn encode_metadata(&mut self, input: &EncodeInput<'_>, container: &mut ContainerWriter) {
        let metadata = input.batch.metadata().iter();
        assert_eq!(input.metadata_names.len(), metadata.len(), "a symbol for each metric");
        self.begin(RowOrder::Arrival, metadata.len(), METADATA_SECTIONS);
        let names = input.metadata_names.iter().map(|name| u64::from(name.0));
        self.integers(section::METRICS, names, container);
        self.integers(section::TYPES, metadata.clone().map(|m| m.kind as u64), container);
        let (unit, help) = (|m: &MetadataRef| m.unit, |m: &MetadataRef| m.help);
        self.texts(section::UNITS, metadata.clone().map(unit), input, container);
        self.texts(section::HELPS, metadata.map(help), input, container);
        container.entry(entry::METADATA, &self.body);
    }

    /// Begins a table whose rows have no name in common.
    fn begin(&mut self, order: RowOrder, rows: usize, sections: u64) {
        self.body.clear();
        self.body.push(order as u8);
        write_varint(&mut self.body, rows as u64);
        write_varint(&mut self.body, 0);
        write_varint(&mut self.body, sections);
    }

    fn fill(&mut self, words: impl Iterator<Item = u64>) {
        self.words.clear();
        self.words.extend(words);
    }

    fn integers(&mut self, kind: u8, words: impl Iterator<Item = u64>, container: &mut ContainerWriter) {
        self.fill(words);
        integers::encode(&mut self.words, &mut self.integers, container, &mut self.section);
        close_section(kind, &mut self.section, &mut self.body);
    }

    fn texts(
        &mut self,
        kind: u8,
        places: impl Iterator<Item = u64>,
        input: &EncodeInput<'_>,
        container: &mut ContainerWriter,
    ) {
        self.fill(places);
        let Scratch { strings, integers, words, section, .. } = self;
        strings::encode(words, input.batch.heap(), strings, integers, container, section);
        close_section(kind, &mut self.section, &mut self.body);
    }
}

/// Series, times, values, labels.
const EXEMPLAR_SECTIONS: u64 = 4;

/// Names, types, units, help texts.
const METADATA_SECTIONS: u64 = 4;
