//! A value list.

use super::decoder::Counters;
use super::element::{Items, is_null};
use super::fault::{Fault, shown};
use super::fields::{Fields, append};
use super::time::parse_seconds;
use crate::bytes::json::{Json, JsonNumber, JsonString};
use crate::model::{FieldType, LabelsBuf, METRIC_NAME};

/// A value list as its element says it.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct List<'a> {
    /// The texts of the arrays.
    pub(super) values: Option<&'a [u8]>,
    pub(super) types: Option<&'a [u8]>,
    pub(super) names: Option<&'a [u8]>,
    /// The text of the number.
    pub(super) time: Option<&'a [u8]>,
    pub(super) host: Option<JsonString<'a>>,
    pub(super) plugin: Option<JsonString<'a>>,
    pub(super) plugin_instance: Option<JsonString<'a>>,
    pub(super) kind: Option<JsonString<'a>>,
    pub(super) type_instance: Option<JsonString<'a>>,
}

/// The type of a data source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum SourceType {
    Gauge,
    Derive,
    /// A counter or an absolute.
    Unsigned,
}

impl<'a> List<'a> {
    /// Writes the key: what names the series, in quotes each.
    pub(super) fn write_key(&self, key: &mut Vec<u8>) -> Result<(), Fault> {
        if self.plugin.is_none_or(|plugin| plugin.raw().is_empty()) {
            return Err(Fault::NoName("plugin"));
        }
        let parts = self.parts().map(|(_, part)| part.map_or(&b""[..], |part| part.raw()));
        if parts.iter().map(|part| part.len()).sum::<usize>() > super::TEXT_BYTES_MAX {
            return Err(Fault::TooLong);
        }
        for part in parts {
            key.push(b'"');
            key.extend_from_slice(part);
            key.push(b'"');
        }
        Ok(())
    }

    /// Fills `labels`; what is empty is none.
    pub(super) fn read_labels(&self, labels: &mut LabelsBuf, scratch: &mut Vec<u8>) -> Result<(), Fault> {
        for (name, part) in self.parts() {
            scratch.clear();
            if let Some(part) = part {
                append(part, scratch)?;
            }
            std::str::from_utf8(scratch).map_err(|_| Fault::NotUtf8)?;
            if !scratch.is_empty() {
                labels.push(name, scratch);
            }
        }
        Ok(())
    }

    /// The time, if it says one: nanoseconds since the Unix epoch.
    pub(super) fn time_ns(&self) -> Result<Option<i64>, Fault> {
        self.time.map(|text| parse_seconds(text).ok_or_else(|| Fault::Time(shown(text)))).transpose()
    }

    /// Fills `row`: a field for each value that is known. Where none is, one for each that is not.
    pub(super) fn read_fields(&self, counters: Counters, row: &mut Fields) -> Result<(), Fault> {
        let count = self.each_value(|value, kind, name| {
            if is_null(value)? {
                return Ok(());
            }
            let number = value.number().map_err(|_| Fault::NotAValue)?;
            let (kind, word) = word_of(number, kind, counters)?;
            row.push(name, kind, word)
        })?;
        if count == 0 {
            return Err(Fault::NoValues);
        }
        if row.is_empty() {
            self.each_value(|value, _, name| {
                value.skip()?;
                row.push(name, FieldType::Null, 0)
            })?;
        }
        Ok(())
    }

    /// Calls `take` with the place of each value, which it reads, the type and the name: how many there are.
    fn each_value(
        &self,
        mut take: impl FnMut(&mut Json<'a>, SourceType, JsonString<'a>) -> Result<(), Fault>,
    ) -> Result<usize, Fault> {
        let (mut values, mut types, mut names) =
            (Items::new(self.values), Items::new(self.types), Items::new(self.names));
        let mut count = 0;
        loop {
            match (values.next(), types.next(), names.next()) {
                (Some(value), Some(kind), Some(name)) => {
                    let kind = SourceType::parse(kind.string()?)?;
                    take(value, kind, name.string()?)?;
                    count += 1;
                }
                (None, None, None) => return Ok(count),
                _ => return Err(self.miscounted()),
            }
        }
    }

    #[cold]
    fn miscounted(&self) -> Fault {
        let count = |array| Items::new(array).count();
        let (values, types) = (count(self.values), count(self.types));
        let (what, found) = if types == values { ("dsnames", count(self.names)) } else { ("dstypes", types) };
        Fault::Count { what, found, values }
    }

    /// The labels' names, and what they are made of.
    fn parts(&self) -> [(&'static [u8], Option<JsonString<'a>>); 5] {
        [
            (METRIC_NAME, self.plugin),
            (b"host", self.host),
            (b"instance", self.plugin_instance),
            (b"type", self.kind),
            (b"type_instance", self.type_instance),
        ]
    }
}

impl SourceType {
    fn parse(name: JsonString<'_>) -> Result<SourceType, Fault> {
        match name.raw() {
            b"gauge" => Ok(SourceType::Gauge),
            b"derive" => Ok(SourceType::Derive),
            b"counter" | b"absolute" => Ok(SourceType::Unsigned),
            other => Err(Fault::SourceType(shown(other))),
        }
    }
}

/// A value of a data source: its type and word.
fn word_of(number: JsonNumber<'_>, kind: SourceType, counters: Counters) -> Result<(FieldType, u64), Fault> {
    let whole = match kind {
        _ if counters == Counters::Rates => None,
        SourceType::Gauge => None,
        // An integer has no sign of zero: this is a rate.
        SourceType::Derive if number.text() == b"-0" => None,
        SourceType::Derive => number.i64().map(|value| (FieldType::I64, value as u64)),
        SourceType::Unsigned => number.u64().map(|value| (FieldType::U64, value)),
    };
    if let Some(whole) = whole {
        return Ok(whole);
    }
    let value = number.f64();
    if value.is_infinite() {
        return Err(Fault::OutOfRange);
    }
    Ok((FieldType::F64, value.to_bits()))
}
