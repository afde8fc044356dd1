//! A block as one batch: column by column, a value a row.

use super::array::{Array, Bools, Texts, TooLong, Words, zeros_for};
use super::buffer::Buffer;
use super::c::{ArrowArray, ArrowArrayStream, ArrowSchema};
use super::dictionary::{Fields, NONE, Place, Series};
use super::schema::{COLUMNS, Column, schema};
use crate::block::{self, Value};
use crate::model::{FieldType, SymbolId, json};
use crate::reader::{Block, BlockId, BlockTable};

/// A block's values in Arrow's layout. It borrows nothing: the reader may go on, or end.
pub struct Batch {
    id: BlockId,
    values: usize,
    array: Array,
}

/// A block with more text than a batch's offsets can count: 1 GiB in one column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooMuchText(pub BlockId);

impl Batch {
    /// Makes a batch of a block: what its reader's query takes, a value a row.
    ///
    /// Memory: 34 bytes for each value and those of its type, and each text once for labels and names.
    ///
    /// # Errors
    /// [`TooMuchText`].
    pub fn of(block: &mut Block<'_>) -> Result<Batch, TooMuchText> {
        let mut builder = Builder::new();
        block.for_each_table(|table| builder.table(table)).map_err(|TooLong| TooMuchText(block.id()))?;
        Ok(builder.finish(block))
    }

    /// Which block it is.
    pub fn id(&self) -> BlockId {
        self.id
    }

    /// How many values there are, and so rows of the batch.
    pub fn values(&self) -> usize {
        self.values
    }

    /// The batch, for who takes Arrow's C data interface: a struct of the columns that [`schema`](fn@super::schema)
    /// has.
    pub fn into_array(self) -> ArrowArray {
        ArrowArray::of(self.array)
    }

    /// The batch as a stream of one, or of none if it has no values.
    pub fn into_stream(self) -> ArrowArrayStream {
        let log = self.id.log;
        let mut array = (self.values > 0).then_some(self.array);
        let next = move || Ok(array.take().map(ArrowArray::of));
        ArrowArrayStream::of(Box::new(move || ArrowSchema::of(&schema(log))), Box::new(next))
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch").field("id", &self.id).field("values", &self.values).finish_non_exhaustive()
    }
}

impl std::fmt::Display for TooMuchText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "block {} of worker {} has more text than a batch can hold", self.0.sequence, self.0.worker)
    }
}

impl std::error::Error for TooMuchText {}

/// A batch being filled.
struct Builder {
    times: Buffer<u64>,
    starts: Words,
    names: Buffer<i32>,
    labels: Buffer<i32>,
    fields: Buffer<i32>,
    types: Buffer<u8>,
    rows: Buffer<u32>,
    floats: Words,
    signed: Words,
    unsigned: Words,
    bools: Bools,
    strings: Texts,
    bytes: Texts,
    json: Texts,
    series: Series,
    field_names: Fields,
    table: TableScratch,
    json_text: Vec<u8>,
    numbers: json::Text,
}

/// What the columns of a table share, for each of its rows.
#[derive(Default)]
struct TableScratch {
    places: Vec<Place>,
    starts: Vec<Option<u64>>,
    /// The rows of one column, and which of its values each has.
    rows: Vec<u32>,
    values: Vec<u32>,
}

impl Builder {
    fn new() -> Builder {
        Builder {
            times: Buffer::new(),
            starts: Words::new(),
            names: Buffer::new(),
            labels: Buffer::new(),
            fields: Buffer::new(),
            types: Buffer::new(),
            rows: Buffer::new(),
            floats: Words::new(),
            signed: Words::new(),
            unsigned: Words::new(),
            bools: Bools::new(),
            strings: Texts::new(),
            bytes: Texts::new(),
            json: Texts::new(),
            series: Series::new(),
            field_names: Fields::new(),
            table: TableScratch::default(),
            json_text: Vec::new(),
            numbers: json::Text::default(),
        }
    }

    fn table(&mut self, table: &BlockTable<'_>) -> Result<(), TooLong> {
        self.place_series(table)?;
        self.table.starts.clear();
        if let Some(starts) = table.start_times() {
            let mut seen = 0;
            self.table.starts.extend((0..table.rows()).map(|row| {
                starts.has(row).then(|| {
                    seen += 1;
                    starts.time_ns(seen - 1) as u64
                })
            }));
        }
        table.columns().iter().try_for_each(|column| self.column(table, column))
    }

    /// Finds what the series of each wanted row is.
    fn place_series(&mut self, table: &BlockTable<'_>) -> Result<(), TooLong> {
        let unknown = Place { name: NONE, labels: 0 };
        let places = &mut self.table.places;
        places.clear();
        let mut last = None;
        let mut place_of = |row: usize| {
            let series = table.series()[row];
            match last {
                // Rows of one series stand together more often than not.
                Some((known, place)) if known == series => Ok(place),
                _ => {
                    let place = self.series.place(series, table)?;
                    last = Some((series, place));
                    Ok(place)
                }
            }
        };
        match table.wanted {
            None => {
                for row in 0..table.rows() {
                    places.push(place_of(row)?);
                }
            }
            Some(wanted) => {
                places.resize(table.rows(), unknown);
                for &row in wanted {
                    places[row as usize] = place_of(row as usize)?;
                }
            }
        }
        Ok(())
    }

    fn column(&mut self, table: &BlockTable<'_>, column: &block::Column<'_>) -> Result<(), TooLong> {
        let name = table.symbol(column.field).unwrap_or_default();
        let whole = table.wanted.is_none() && column.len() == table.rows();
        if !whole {
            self.table.select(table, column);
        }
        let from = self.times.len();
        let count = if whole { table.rows() } else { self.table.rows.len() };
        self.name_values(column.field, name, column.kind, count)?;
        if whole {
            self.times.extend(table.times().iter().map(|&time| time as u64));
            self.names.extend(self.table.places.iter().map(|place| place.name));
            self.labels.extend(self.table.places.iter().map(|place| place.labels));
            self.rows.extend(table.first_row..table.first_row + count as u32);
        } else {
            let TableScratch { places, rows, .. } = &self.table;
            let rows = || rows.iter().map(|&row| row as usize);
            self.times.extend(rows().map(|row| table.times()[row] as u64));
            self.names.extend(rows().map(|row| places[row].name));
            self.labels.extend(rows().map(|row| places[row].labels));
            self.rows.extend(rows().map(|row| table.first_row + row as u32));
        }
        self.start_times(from, whole);
        self.values(column, from, whole)
    }

    /// Says of `count` values which field they are of, and which type.
    fn name_values(
        &mut self,
        field: SymbolId,
        name: &[u8],
        kind: FieldType,
        count: usize,
    ) -> Result<(), TooLong> {
        let index = self.field_names.index(field, name)?;
        self.fields.fill(count, index);
        self.types.fill(count, type_index(kind));
        Ok(())
    }

    fn start_times(&mut self, from: usize, whole: bool) {
        let TableScratch { starts, rows, .. } = &self.table;
        if starts.is_empty() {
            return;
        }
        let mut put = |at: usize, start: Option<u64>| {
            if let Some(start) = start {
                self.starts.pad(at);
                self.starts.extend_from_slice(&[start]);
            }
        };
        match whole {
            true => starts.iter().enumerate().for_each(|(at, &start)| put(from + at, start)),
            false => rows.iter().enumerate().for_each(|(at, &row)| put(from + at, starts[row as usize])),
        }
    }

    fn values(&mut self, column: &block::Column<'_>, from: usize, whole: bool) -> Result<(), TooLong> {
        let words = match column.kind {
            FieldType::F64 => &mut self.floats,
            FieldType::I64 => &mut self.signed,
            FieldType::U64 => &mut self.unsigned,
            _ if whole => return (0..column.len()).try_for_each(|i| self.value(from + i, column.value(i))),
            _ => {
                let values = std::mem::take(&mut self.table.values);
                let mut places = (from..).zip(&values);
                let done = places.try_for_each(|(at, &i)| self.value(at, column.value(i as usize)));
                self.table.values = values;
                return done;
            }
        };
        // A column of numbers has words.
        let values = column.words().unwrap_or_default();
        words.pad(from);
        match whole {
            true => words.extend_from_slice(values),
            false => words.extend(self.table.values.iter().map(|&i| values[i as usize])),
        }
        Ok(())
    }

    /// A value that is no number, at its place in the batch.
    fn value(&mut self, at: usize, value: Value<'_>) -> Result<(), TooLong> {
        let text = match value {
            Value::Bool(value) => {
                self.bools.pad(at);
                self.bools.push(value);
                return Ok(());
            }
            Value::String(text) if std::str::from_utf8(text).is_ok() => {
                self.strings.pad(at);
                return self.strings.push(text);
            }
            Value::Nested(bytes) => json::nested(bytes, &mut self.numbers, &mut self.json_text),
            Value::Histogram(bytes) => json::histogram(bytes, &mut self.numbers, &mut self.json_text),
            Value::Null | Value::F64(_) | Value::I64(_) | Value::U64(_) => return Ok(()),
            // As they are, what should be text and is none, too.
            Value::String(bytes) | Value::Bytes(bytes) => {
                self.bytes.pad(at);
                return self.bytes.push(bytes);
            }
        };
        let pushed = match (text, value) {
            (Ok(()), _) => {
                self.json.pad(at);
                self.json.push(&self.json_text)
            }
            (Err(_), Value::Nested(bytes) | Value::Histogram(bytes)) => {
                self.bytes.pad(at);
                self.bytes.push(bytes)
            }
            (Err(_), _) => Ok(()),
        };
        self.json_text.clear();
        pushed
    }

    fn finish(self, block: &Block<'_>) -> Batch {
        let len = self.times.len();
        let zeros = zeros_for(len);
        let (names, labels) = self.series.finish();
        let mut columns: Vec<Option<Array>> = vec![None; COLUMNS];
        let mut put = |column: Column, array: Array| columns[column as usize] = Some(array);
        put(Column::Time, Array::full(len, vec![self.times.freeze()]));
        put(Column::Start, self.starts.finish(len, &zeros));
        put(Column::Name, Array::indices_or_null(&self.names, names));
        put(Column::Labels, Array::indices(len, self.labels.freeze(), labels));
        put(Column::Field, Array::indices(len, self.fields.freeze(), self.field_names.finish()));
        put(Column::Type, Array::indices(len, self.types.freeze(), type_names()));
        put(Column::F64, self.floats.finish(len, &zeros));
        put(Column::I64, self.signed.finish(len, &zeros));
        put(Column::U64, self.unsigned.finish(len, &zeros));
        put(Column::Bool, self.bools.finish(len, &zeros));
        put(Column::String, self.strings.finish(len, &zeros));
        put(Column::Bytes, self.bytes.finish(len, &zeros));
        put(Column::Json, self.json.finish(len, &zeros));
        put(Column::Tenant, same(len, block.tenant()));
        put(Column::Arrival, same(len, block.stamp_ns()));
        put(Column::Worker, same(len, block.id().worker));
        put(Column::Sequence, same(len, block.id().sequence));
        put(Column::Row, Array::full(len, vec![self.rows.freeze()]));
        let columns = columns.into_iter().map(|column| column.expect("every column was put")).collect();
        Batch { id: block.id(), values: len, array: Array::rows(len, columns) }
    }
}

impl TableScratch {
    /// Finds the rows of a column that are wanted, and where their values are.
    fn select(&mut self, table: &BlockTable<'_>, column: &block::Column<'_>) {
        self.rows.clear();
        self.values.clear();
        let mut wanted = table.wanted.map(|rows| rows.iter().copied().peekable());
        let there = (0..table.rows() as u32).filter(|&row| column.has(row as usize));
        for (value, row) in (0..).zip(there) {
            let takes = wanted.as_mut().is_none_or(|wanted| {
                while wanted.next_if(|&next| next < row).is_some() {}
                wanted.peek() == Some(&row)
            });
            if takes {
                self.rows.push(row);
                self.values.push(value);
            }
        }
    }
}

/// The same for every row.
fn same<T: super::buffer::Plain>(len: usize, value: T) -> Array {
    let mut values = Buffer::new();
    values.fill(len, value);
    Array::full(len, vec![values.freeze()])
}

/// A type by its place in [`TYPES`].
fn type_index(kind: FieldType) -> u8 {
    kind as u8 - 1
}

/// The names of the types, as `docs/ndjson.md` has them, by their numbers in the format.
const TYPES: [&str; 9] = ["f64", "i64", "u64", "bool", "string", "bytes", "null", "nested", "histogram"];

fn type_names() -> Array {
    let mut names = Texts::new();
    TYPES.iter().for_each(|name| names.push(name.as_bytes()).expect("a few bytes"));
    names.finish_full()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_name() {
        let numbers = (1..=TYPES.len() as u8).map(|number| FieldType::from_number(number).unwrap());
        let names: Vec<_> = numbers.map(|kind| format!("{kind:?}").to_lowercase()).collect();
        assert_eq!(names, TYPES);
        assert_eq!(FieldType::from_number(TYPES.len() as u8 + 1), None);
    }
}
