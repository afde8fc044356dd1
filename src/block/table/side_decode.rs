//! Side records from columns.

use super::super::DecodeError;
use super::super::codec::{Codec, strings};
use super::super::container::{Container, OPTIONAL};
use super::super::input::Input;
use super::super::limits::ROWS_MAX;
use super::decode::{SECTIONS_MAX, Table, TableHead, TableKind, decode_words};
use super::section;
use crate::bytes::read_varint;
use crate::model::{MetricType, SymbolId};

/// A table of exemplars, decoded. Its rows are exemplars: the series, a time, and the value as a field.
pub struct Exemplars<'c> {
    /// What they have in common with rows.
    pub table: Table<'c>,
    labels: strings::Strings<'c>,
}

/// The labels of an exemplar, in their order.
#[derive(Clone, Copy, Debug)]
pub struct ExemplarLabels<'c>(&'c [u8]);

/// What is said of metrics, decoded.
pub struct MetadataTable<'c> {
    /// The symbols of their names.
    pub names: Vec<SymbolId>,
    /// What they are.
    pub kinds: Vec<MetricType>,
    units: strings::Strings<'c>,
    helps: strings::Strings<'c>,
}

/// Decodes a table of exemplars.
pub(in crate::block) fn decode_exemplars<'c>(
    input: Input<'_>,
    container: &'c Container<'_>,
) -> Result<Exemplars<'c>, DecodeError> {
    let head = TableHead::read(input, ROWS_MAX, TableKind::Exemplars)?;
    let labels = head.labels.ok_or(DecodeError::Damaged("exemplars without labels"))?;
    let labels = decode_texts(head.rows, container, labels)?;
    let sound = |row| ExemplarLabels(labels.string(row)).is_sound();
    if !(0..head.rows).all(sound) {
        return Err(DecodeError::Damaged("labels of an exemplar"));
    }
    Ok(Exemplars { table: head.decode(container)?, labels })
}

/// Decodes a table of metadata.
pub(in crate::block) fn decode_metadata<'c>(
    mut input: Input<'_>,
    container: &'c Container<'_>,
) -> Result<MetadataTable<'c>, DecodeError> {
    let (order, rows, metric) = (input.u8()?, input.count(ROWS_MAX, "metadata")?, input.u64()?);
    if order != 0 || rows == 0 || metric != 0 {
        return Err(DecodeError::Damaged("the head of a table of metadata"));
    }
    let mut sections: [Option<Input<'_>>; METADATA_SECTIONS.len()] = Default::default();
    for _ in 0..input.count(SECTIONS_MAX, "sections")? {
        let kind = input.u8()?;
        let body = input.sized()?;
        match METADATA_SECTIONS.iter().position(|&known| known == kind) {
            Some(at) if sections[at].is_none() => sections[at] = Some(body),
            Some(_) => return Err(DecodeError::Damaged("a section twice")),
            None if kind & OPTIONAL != 0 => {}
            None => return Err(DecodeError::Newer("a section of a table")),
        }
    }
    input.end()?;
    let [Some(names), Some(types), Some(units), Some(helps)] = sections else {
        return Err(DecodeError::Damaged("metadata without names, types, units or help texts"));
    };
    let mut words = Vec::new();
    decode_words(rows, None, container, names, &mut words)?;
    let name = |&word: &u64| u32::try_from(word).map(SymbolId);
    let names = words.iter().map(name).collect::<Result<_, _>>();
    let names = names.map_err(|_| DecodeError::Damaged("a metric's symbol"))?;
    words.clear();
    decode_words(rows, None, container, types, &mut words)?;
    let kinds = words.iter().map(|&word| MetricType::from_number(word)).collect::<Option<_>>();
    Ok(MetadataTable {
        names,
        kinds: kinds.ok_or(DecodeError::Damaged("the type of a metric"))?,
        units: decode_texts(rows, container, units)?,
        helps: decode_texts(rows, container, helps)?,
    })
}

fn decode_texts<'c>(
    rows: usize,
    container: &'c Container<'_>,
    mut input: Input<'_>,
) -> Result<strings::Strings<'c>, DecodeError> {
    let dictionary = match Codec::from_number(input.u8()?) {
        Some(Codec::Strings) => false,
        Some(Codec::StringDictionary) => true,
        Some(_) => return Err(DecodeError::Damaged("a codec that is not for texts")),
        None => return Err(DecodeError::Newer("a codec")),
    };
    let texts = strings::decode(rows, dictionary, container, &mut input)?;
    input.end()?;
    Ok(texts)
}

impl Exemplars<'_> {
    /// The labels of exemplar `row`.
    pub fn labels(&self, row: usize) -> ExemplarLabels<'_> {
        ExemplarLabels(self.labels.string(row))
    }
}

impl<'c> ExemplarLabels<'c> {
    /// The labels as (name, value).
    pub fn iter(self) -> impl Iterator<Item = (&'c [u8], &'c [u8])> {
        let mut rest = self.0;
        let count = read_varint(&mut rest).unwrap_or(0);
        (0..count).map_while(move |_| Some((sized(&mut rest)?, sized(&mut rest)?)))
    }

    /// As the format encodes them.
    pub fn as_bytes(self) -> &'c [u8] {
        self.0
    }

    fn is_sound(self) -> bool {
        let mut rest = self.0;
        let Some(count) = read_varint(&mut rest) else { return false };
        // A label takes two bytes at least: a count that is a lie ends soon.
        (0..count).all(|_| sized(&mut rest).and_then(|_| sized(&mut rest)).is_some()) && rest.is_empty()
    }
}

impl MetadataTable<'_> {
    /// What metric `row` counts; empty if unknown.
    pub fn unit(&self, row: usize) -> &[u8] {
        self.units.string(row)
    }

    /// What metric `row` means.
    pub fn help(&self, row: usize) -> &[u8] {
        self.helps.string(row)
    }
}

fn sized<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(read_varint(rest)?).ok()?;
    let (bytes, behind) = rest.split_at_checked(len)?;
    *rest = behind;
    Some(bytes)
}

/// All of them are there exactly once.
const METADATA_SECTIONS: [u8; 4] = [section::METRICS, section::TYPES, section::UNITS, section::HELPS];
