//! From columns to rows.

use super::super::DecodeError;
use super::super::codec::{Codec, Runs, floats, integers, strings};
use super::super::container::{Container, OPTIONAL, Stream};
use super::super::input::Input;
use super::super::limits::FIELDS_MAX;
use super::{PARTIAL, RowOrder, codec_fits, section};
use crate::model::{FieldType, SeriesId, SymbolId};

/// A table, decoded: 8 bytes a value, a row's series and time.
pub struct Table<'c> {
    /// How its rows are ordered.
    pub order: RowOrder,
    /// The metric's name that its rows share; `None` for rows of one field, which have any.
    pub metric: Option<SymbolId>,
    /// The series of each row.
    pub series: Vec<SeriesId>,
    /// The time of each row, nanoseconds since the Unix epoch.
    pub times: Vec<i64>,
    /// When the counters of its rows began to count, if any row says so.
    pub start_times: Option<StartTimes<'c>>,
    /// Its columns.
    pub columns: Vec<Column<'c>>,
}

/// The start times of a table's rows, without gaps.
pub struct StartTimes<'c> {
    presence: Presence<'c>,
    times: Vec<i64>,
}

/// A column of a table: the values of one field and type, without gaps.
pub struct Column<'c> {
    /// The field's name.
    pub field: SymbolId,
    /// The type of its values.
    pub kind: FieldType,
    presence: Presence<'c>,
    values: Values<'c>,
}

/// Which rows have a value.
#[derive(Clone, Copy)]
struct Presence<'c> {
    /// A bit for each row; `None` if all have one.
    bits: Option<&'c [u8]>,
    /// How many have one.
    len: usize,
}

enum Values<'c> {
    Nothing,
    Words(Vec<u64>),
    Strings(strings::Strings<'c>),
}

/// A value. Floats are told apart by their bits only.
#[derive(Clone, Copy, Debug)]
pub enum Value<'c> {
    /// IEEE 754 binary64.
    F64(f64),
    /// Signed.
    I64(i64),
    /// Unsigned.
    U64(u64),
    /// Truth value.
    Bool(bool),
    /// Text; UTF-8 if its writer kept to that.
    String(&'c [u8]),
    /// Any bytes.
    Bytes(&'c [u8]),
    /// There, without a value.
    Null,
    /// A nested value, as `format.md` encodes it.
    Nested(&'c [u8]),
    /// A native histogram, as `format.md` encodes it.
    Histogram(&'c [u8]),
}

/// What a table is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::block) enum TableKind {
    Rows,
    Exemplars,
}

/// What the directory says of a table: enough to check its bounds before anything is allocated.
pub(in crate::block) struct TableHead<'a> {
    order: RowOrder,
    pub(in crate::block) rows: usize,
    metric: Option<SymbolId>,
    series: Input<'a>,
    times: Input<'a>,
    start_times: Option<(PresenceHead, Input<'a>)>,
    /// Of exemplars.
    pub(super) labels: Option<Input<'a>>,
    fields: Vec<FieldHead<'a>>,
}

struct FieldHead<'a> {
    field: SymbolId,
    kind: FieldType,
    presence: PresenceHead,
    codec: Codec,
    description: Input<'a>,
}

/// How many rows have a value, and where the bit map is that says which.
#[derive(Clone, Copy)]
struct PresenceHead {
    len: usize,
    bits: Option<Stream>,
}

impl<'a> TableHead<'a> {
    /// Reads the body of a table's entry. Allocates a constant for each column.
    pub(in crate::block) fn read(
        mut input: Input<'a>,
        rows_max: usize,
        of: TableKind,
    ) -> Result<TableHead<'a>, DecodeError> {
        let order = match input.u8()? {
            0 => RowOrder::Arrival,
            1 => RowOrder::Series,
            2 => RowOrder::SeriesTime,
            _ => return Err(DecodeError::Newer("an order of rows")),
        };
        let rows = input.count(rows_max, "rows")?;
        let metric = match input.u64()? {
            0 => None,
            m => Some(SymbolId(u32::try_from(m - 1).map_err(|_| DecodeError::Damaged("a metric's symbol"))?)),
        };
        let (mut series, mut times, mut start_times, mut labels) = (None, None, None, None);
        let mut fields = Vec::new();
        for _ in 0..input.count(SECTIONS_MAX, "sections")? {
            let kind = input.u8()?;
            let mut body = input.sized()?;
            match kind {
                section::SERIES if series.is_none() => series = Some(body),
                section::TIME if times.is_none() => times = Some(body),
                section::FIELD => fields.push(FieldHead::read(body, rows)?),
                section::LABELS if of == TableKind::Exemplars && labels.is_none() => labels = Some(body),
                section::START_TIME if of == TableKind::Rows && start_times.is_none() => {
                    start_times = Some((PresenceHead::read(&mut body, rows)?, body));
                }
                section::SERIES | section::TIME => return Err(TWICE),
                section::START_TIME if start_times.is_some() => return Err(TWICE),
                section::LABELS if labels.is_some() => return Err(TWICE),
                kind if kind & OPTIONAL != 0 => {}
                _ => return Err(DecodeError::Newer("a section of a table")),
            }
        }
        input.end()?;
        let (Some(series), Some(times), 1..) = (series, times, rows) else {
            return Err(DecodeError::Damaged("a table without rows, series or times"));
        };
        Ok(TableHead { order, rows, metric, series, times, start_times, labels, fields })
    }

    /// Values in the table.
    pub(in crate::block) fn samples(&self) -> u64 {
        self.fields.iter().map(|f| f.presence.len as u64).sum()
    }

    /// Decodes the table; the frames that it needs are decompressed.
    pub(in crate::block) fn decode<'c>(
        &self,
        container: &'c Container<'_>,
    ) -> Result<Table<'c>, DecodeError> {
        let mut words = Vec::new();
        decode_words(self.rows, None, container, self.series, &mut words)?;
        let number = |&w: &u64| u32::try_from(w).map(SeriesId);
        let series = words.iter().map(number).collect::<Result<Vec<_>, _>>();
        let series = series.map_err(|_| DecodeError::Damaged("a series' number"))?;
        let runs = Runs::new(&series, None);
        words.clear();
        decode_words(self.rows, Some(&runs), container, self.times, &mut words)?;
        let times = words.iter().map(|&w| w as i64).collect();
        let start_times = match self.start_times {
            None => None,
            Some((presence, input)) => {
                let presence = presence.decode(self.rows, container)?;
                words.clear();
                let own = presence.bits.map(|bits| runs.within(bits));
                decode_words(presence.len, own.as_ref().or(Some(&runs)), container, input, &mut words)?;
                Some(StartTimes { presence, times: words.iter().map(|&w| w as i64).collect() })
            }
        };
        let columns = self.fields.iter().map(|f| f.decode(self.rows, &runs, container));
        let columns = columns.collect::<Result<_, _>>()?;
        Ok(Table { order: self.order, metric: self.metric, series, times, start_times, columns })
    }
}

const TWICE: DecodeError = DecodeError::Damaged("a section twice");

/// A table's sections: its columns, and what is not a column.
pub(super) const SECTIONS_MAX: usize = FIELDS_MAX + 64;

pub(super) fn decode_words(
    rows: usize,
    runs: Option<&Runs<'_>>,
    container: &Container<'_>,
    mut input: Input<'_>,
    words: &mut Vec<u64>,
) -> Result<(), DecodeError> {
    integers::decode(rows, runs, container, &mut input, words)?;
    input.end()
}

impl<'a> FieldHead<'a> {
    fn read(mut input: Input<'a>, rows: usize) -> Result<FieldHead<'a>, DecodeError> {
        let field = SymbolId(input.u32()?);
        let kind = FieldType::from_number(input.u8()?).ok_or(DecodeError::Newer("a type of field"))?;
        let presence = PresenceHead::read(&mut input, rows)?;
        let codec = Codec::from_number(input.u8()?).ok_or(DecodeError::Newer("a codec"))?;
        if !codec_fits(kind, codec) {
            return Err(DecodeError::Damaged("a codec that is not for the column's type"));
        }
        Ok(FieldHead { field, kind, presence, codec, description: input })
    }

    fn decode<'c>(
        &self,
        rows: usize,
        runs: &Runs<'_>,
        container: &'c Container<'_>,
    ) -> Result<Column<'c>, DecodeError> {
        let presence = self.presence.decode(rows, container)?;
        let len = presence.len;
        let own = presence.bits.map(|bits| runs.within(bits));
        let runs = own.as_ref().or(Some(runs));
        let mut input = self.description;
        let values = match self.codec {
            Codec::None => Values::Nothing,
            Codec::Words => {
                let mut words = Vec::new();
                integers::decode(len, runs, container, &mut input, &mut words)?;
                if self.kind == FieldType::Bool && words.iter().any(|&w| w > 1) {
                    return Err(DecodeError::Damaged("a truth value"));
                }
                Values::Words(words)
            }
            Codec::Decimal => {
                let mut words = Vec::new();
                floats::decode_decimals(len, runs, container, &mut input, &mut words)?;
                Values::Words(words)
            }
            Codec::Strings => Values::Strings(strings::decode(len, false, container, &mut input)?),
            Codec::StringDictionary => Values::Strings(strings::decode(len, true, container, &mut input)?),
        };
        input.end()?;
        Ok(Column { field: self.field, kind: self.kind, presence, values })
    }
}

impl PresenceHead {
    fn read(input: &mut Input<'_>, rows: usize) -> Result<PresenceHead, DecodeError> {
        match input.u8()? {
            0 => Ok(PresenceHead { len: rows, bits: None }),
            PARTIAL => {
                let len = input.count(rows, "rows of a column")?;
                if len == 0 {
                    return Err(DecodeError::Damaged("a column without values"));
                }
                Ok(PresenceHead { len, bits: Some(Stream::read(input)?) })
            }
            _ => Err(DecodeError::Newer("flags of a column")),
        }
    }

    fn decode<'c>(&self, rows: usize, container: &'c Container<'_>) -> Result<Presence<'c>, DecodeError> {
        let Some(stream) = self.bits else { return Ok(Presence { bits: None, len: self.len }) };
        let bits = container.stream(stream, rows.div_ceil(8))?;
        let ones: usize = bits.iter().map(|b| b.count_ones() as usize).sum();
        if ones != self.len || (!rows.is_multiple_of(8) && bits[rows / 8] >> (rows % 8) != 0) {
            return Err(DecodeError::Damaged("a column's bit map"));
        }
        Ok(Presence { bits: Some(bits), len: self.len })
    }
}

impl Presence<'_> {
    #[inline]
    fn has(&self, row: usize) -> bool {
        self.bits.is_none_or(|bits| bits[row / 8] >> (row % 8) & 1 != 0)
    }
}

impl StartTimes<'_> {
    /// How many rows have one.
    pub fn len(&self) -> usize {
        self.presence.len
    }

    /// Whether no row has one; never so in a decoded table.
    pub fn is_empty(&self) -> bool {
        self.presence.len == 0
    }

    /// Whether row `row` has one.
    #[inline]
    pub fn has(&self, row: usize) -> bool {
        self.presence.has(row)
    }

    /// Start time `i`, gaps not counted: nanoseconds since the Unix epoch.
    #[inline]
    pub fn time_ns(&self, i: usize) -> i64 {
        self.times[i]
    }
}

impl Column<'_> {
    /// How many rows have it.
    pub fn len(&self) -> usize {
        self.presence.len
    }

    /// Whether no row has it; never so in a decoded table.
    pub fn is_empty(&self) -> bool {
        self.presence.len == 0
    }

    /// Whether row `row` has it.
    pub fn has(&self, row: usize) -> bool {
        self.presence.has(row)
    }

    /// Its value `i`, gaps not counted.
    pub fn value(&self, i: usize) -> Value<'_> {
        match (&self.values, self.kind) {
            (Values::Words(words), FieldType::F64) => Value::F64(f64::from_bits(words[i])),
            (Values::Words(words), FieldType::I64) => Value::I64(words[i] as i64),
            (Values::Words(words), FieldType::Bool) => Value::Bool(words[i] != 0),
            (Values::Words(words), _) => Value::U64(words[i]),
            (Values::Strings(strings), FieldType::String) => Value::String(strings.string(i)),
            (Values::Strings(strings), FieldType::Nested) => Value::Nested(strings.string(i)),
            (Values::Strings(strings), FieldType::Histogram) => Value::Histogram(strings.string(i)),
            (Values::Strings(strings), _) => Value::Bytes(strings.string(i)),
            (Values::Nothing, _) => Value::Null,
        }
    }

    /// Its words (f64 bits, i64, u64, 0 or 1), gaps not counted, if its type has words.
    pub fn words(&self) -> Option<&[u64]> {
        match &self.values {
            Values::Words(words) => Some(words),
            _ => None,
        }
    }
}

impl<'c> Table<'c> {
    /// Its rows, in the order in which they are stored.
    pub fn rows(&self) -> Rows<'_, 'c> {
        Rows { table: self, next: 0, seen: vec![0; self.columns.len()], starts_seen: 0 }
    }
}

/// Walks over the rows of a table.
pub struct Rows<'t, 'c> {
    table: &'t Table<'c>,
    next: usize,
    /// How many values of each column stood in rows before.
    seen: Vec<u32>,
    starts_seen: usize,
}

/// A row.
pub struct Row<'r> {
    /// Its series.
    pub series: SeriesId,
    /// Nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// When its counters began to count, if it says so.
    pub start_time_ns: Option<i64>,
    columns: &'r [Column<'r>],
    row: usize,
    seen: &'r [u32],
}

impl Rows<'_, '_> {
    /// The next row; it is to be let go before the one after is asked for.
    #[expect(clippy::should_implement_trait, reason = "a row borrows the walk's counts")]
    pub fn next(&mut self) -> Option<Row<'_>> {
        if let Some(last) = self.next.checked_sub(1) {
            for (seen, column) in self.seen.iter_mut().zip(&self.table.columns) {
                *seen += u32::from(column.has(last));
            }
        }
        let row = self.next;
        let &series = self.table.series.get(row)?;
        let starts = self.table.start_times.as_ref().filter(|starts| starts.has(row));
        let start_time_ns = starts.map(|starts| starts.time_ns(self.starts_seen));
        self.starts_seen += usize::from(starts.is_some());
        self.next += 1;
        Some(Row {
            series,
            time_ns: self.table.times[row],
            start_time_ns,
            columns: &self.table.columns,
            row,
            seen: &self.seen,
        })
    }
}

impl Row<'_> {
    /// The fields that the row has, by the symbols of their names, in the columns' order.
    pub fn values(&self) -> impl Iterator<Item = (SymbolId, Value<'_>)> {
        let here = self.columns.iter().zip(self.seen).filter(|(column, _)| column.has(self.row));
        here.map(|(column, &i)| (column.field, column.value(i as usize)))
    }
}
