//! Rows of any fields, one by one and as columns.

use std::ffi::c_void;

use super::error::status_of;
use super::series::tdg_series;
use super::status::{TDG_E_INPUT, TDG_OK, tdg_status};
use super::text::{Unfit, slice, tdg_str};
use super::writer::{done, moment, moments, tdg_writer, with_rows, with_rows_counted};
use crate::engine::{Column, FieldValue, SeriesHandle, Values};

/// Of a field: a float, every bit of it, in `f64`.
pub const TDG_F64: i32 = 1;
/// Of a field: a signed integer, in `i64`.
pub const TDG_I64: i32 = 2;
/// Of a field: an unsigned integer, in `u64`.
pub const TDG_U64: i32 = 3;
/// Of a field: a truth value, in `boolean`.
pub const TDG_BOOL: i32 = 4;
/// Of a field: UTF-8 text, in `string`.
pub const TDG_STRING: i32 = 5;
/// Of a field: any bytes, in `string`.
pub const TDG_BYTES: i32 = 6;
/// Of a field: it is there and has no value.
pub const TDG_NULL: i32 = 7;

/// The value of a field.
#[repr(C)]
#[derive(Clone, Copy)]
pub union tdg_value {
    /// Of `TDG_F64`.
    pub f64: f64,
    /// Of `TDG_I64`.
    pub i64: i64,
    /// Of `TDG_U64`.
    pub u64: u64,
    /// Of `TDG_BOOL`: 0, or anything else for true.
    pub boolean: u8,
    /// Of `TDG_STRING` and `TDG_BYTES`.
    pub string: tdg_str,
}

/// A field of a row.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tdg_field {
    /// Its name, UTF-8.
    pub name: tdg_str,
    /// Its value.
    pub value: tdg_value,
    /// What the value is: `TDG_F64` and so on.
    pub kind: i32,
}

/// A field of several rows.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tdg_column {
    /// Its name, UTF-8.
    pub name: tdg_str,
    /// One value a row: `double`, `int64_t`, `uint64_t`, `uint8_t` for `TDG_BOOL`, or `tdg_str` for `TDG_STRING` and
    /// `TDG_BYTES`.
    pub values: *const c_void,
    /// What the values are: `TDG_F64` and so on; not `TDG_NULL`.
    pub kind: i32,
}

/// Pushes a row of any fields: a sample of several values, an event with text. It is cheapest if rows of a series have
/// the same fields in the same order; one of more than 32 takes memory for the call.
///
/// Errors: `TDG_E_INPUT` also if there is no field, two of one name, text that is no UTF-8 or a `kind` that is none;
/// else as of `tdg_writer_push`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_writer_push_row(
    writer: *mut tdg_writer,
    series: tdg_series,
    time_ns: i64,
    fields: *const tdg_field,
    fields_len: usize,
) -> tdg_status {
    // SAFETY: as of the caller.
    unsafe {
        with_rows(writer, |rows| {
            let fields = match slice(fields, fields_len, "fields") {
                Ok(fields) => fields,
                Err(failure) => return failure.status,
            };
            let handle = SeriesHandle::from_bits(series);
            if fields.len() <= FIELDS_USUAL {
                let mut read = [("", FieldValue::Null); FIELDS_USUAL];
                for (field, place) in fields.iter().zip(&mut read) {
                    match field.read() {
                        Ok(field) => *place = field,
                        Err(status) => return status,
                    }
                }
                return done(rows.push_row(handle, moment(time_ns), &read[..fields.len()]));
            }
            match fields.iter().map(|field| field.read()).collect::<Result<Vec<_>, _>>() {
                Ok(fields) => done(rows.push_row(handle, moment(time_ns), &fields)),
                Err(status) => status,
            }
        })
    }
}

/// Pushes rows of one series that come as columns: `len` times, and for each of the columns as many values. `taken` as
/// of `tdg_writer_push_times`. Columns of text take memory for the call, and so do more than 32 of any kind.
///
/// Errors: as of `tdg_writer_push_row`, for the first row that was not taken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_writer_push_columns(
    writer: *mut tdg_writer,
    series: tdg_series,
    times_ns: *const i64,
    len: usize,
    columns: *const tdg_column,
    columns_len: usize,
    taken: *mut usize,
) -> tdg_status {
    // SAFETY: as of the caller.
    unsafe {
        with_rows_counted(writer, taken, |rows| {
            let texts = match (slice(times_ns, len, "times"), slice(columns, columns_len, "columns")) {
                (Ok(times), Ok(columns)) => Texts::read(columns, len).map(|texts| (times, columns, texts)),
                (Err(failure), _) | (_, Err(failure)) => Err(failure),
            };
            let pushed = texts.and_then(|(times, columns, texts)| {
                let sound = texts.columns(columns, |columns| {
                    let times = moments(&times[..texts.rows]);
                    rows.push_columns(SeriesHandle::from_bits(series), &times, columns)
                })?;
                Ok((sound, texts.unfit))
            });
            match pushed {
                Ok(((count, Ok(())), None)) => (count, TDG_OK),
                Ok(((count, Ok(())), Some(unfit))) => (count, unfit.status),
                Ok(((count, Err(error)), _)) => (count, status_of(&error)),
                Err(failure) => (0, failure.status),
            }
        })
    }
}

/// Rows of so many fields, and so many columns, cost no memory of their own.
const FIELDS_USUAL: usize = 32;

impl tdg_field {
    /// # Safety
    /// The name is there, and the value is of its kind.
    #[inline]
    unsafe fn read<'a>(&self) -> Result<(&'a str, FieldValue<'a>), tdg_status> {
        // SAFETY: as of the caller; every member of the union but the last is plain bits.
        unsafe {
            let value = match self.kind {
                TDG_F64 => FieldValue::F64(self.value.f64),
                TDG_I64 => FieldValue::I64(self.value.i64),
                TDG_U64 => FieldValue::U64(self.value.u64),
                TDG_BOOL => FieldValue::Bool(self.value.boolean != 0),
                TDG_STRING => FieldValue::String(self.value.string.text("text").map_err(|f| f.status)?),
                TDG_BYTES => FieldValue::Bytes(self.value.string.bytes().map_err(|f| f.status)?),
                TDG_NULL => FieldValue::Null,
                _ => return Err(TDG_E_INPUT),
            };
            Ok((self.name.text("a field's name").map_err(|f| f.status)?, value))
        }
    }
}

/// The values of columns that are no numbers, read and checked.
struct Texts<'a> {
    strings: Vec<Vec<&'a str>>,
    bytes: Vec<Vec<&'a [u8]>>,
    /// Rows before the first that has a value which cannot be read, or all of them.
    rows: usize,
    /// What is wrong with that one.
    unfit: Option<Unfit>,
}

impl<'a> Texts<'a> {
    /// # Safety
    /// The columns' values are there, so many of each.
    unsafe fn read(columns: &[tdg_column], len: usize) -> Result<Texts<'a>, Unfit> {
        let mut texts = Texts { strings: Vec::new(), bytes: Vec::new(), rows: len, unfit: None };
        for column in columns.iter().filter(|column| matches!(column.kind, TDG_STRING | TDG_BYTES)) {
            // SAFETY: as of the caller.
            unsafe {
                let values = slice(column.values.cast::<tdg_str>(), len, "a column")?;
                match column.kind {
                    TDG_STRING => {
                        let read = texts.read_column(values, |value| value.text("text"));
                        texts.strings.push(read);
                    }
                    _ => {
                        let read = texts.read_column(values, |value| value.bytes());
                        texts.bytes.push(read);
                    }
                }
            }
        }
        Ok(texts)
    }

    /// The values of a column up to the first that cannot be read.
    fn read_column<T>(&mut self, values: &[tdg_str], read: impl Fn(tdg_str) -> Result<T, Unfit>) -> Vec<T> {
        let mut column = Vec::with_capacity(self.rows);
        for &value in &values[..self.rows] {
            match read(value) {
                Ok(value) => column.push(value),
                Err(unfit) => {
                    (self.rows, self.unfit) = (column.len(), Some(unfit));
                    break;
                }
            }
        }
        column
    }

    /// Passes the columns on, as far as their rows could be read.
    ///
    /// # Safety
    /// As of [`read`](Texts::read).
    unsafe fn columns<R>(
        &self,
        columns: &[tdg_column],
        pass: impl FnOnce(&[Column<'_>]) -> R,
    ) -> Result<R, Unfit> {
        let (mut strings, mut bytes) = (self.strings.iter(), self.bytes.iter());
        let len = self.rows;
        let mut read = |column: &tdg_column| {
            let what = "a column";
            // SAFETY: as of the caller.
            let values = unsafe {
                match column.kind {
                    TDG_F64 => Values::F64(slice(column.values.cast(), len, what)?),
                    TDG_I64 => Values::I64(slice(column.values.cast(), len, what)?),
                    TDG_U64 => Values::U64(slice(column.values.cast(), len, what)?),
                    TDG_BOOL => Values::Bool(slice(column.values.cast(), len, what)?),
                    TDG_STRING => Values::String(strings.next().map_or(&[], |texts| &texts[..len])),
                    TDG_BYTES => Values::Bytes(bytes.next().map_or(&[], |texts| &texts[..len])),
                    _ => return Err(Unfit::new(TDG_E_INPUT, what, "is of no kind")),
                }
            };
            // SAFETY: the same.
            Ok(Column { name: unsafe { column.name.text("a column's name") }?, values })
        };
        if columns.len() <= FIELDS_USUAL {
            let mut few = [Column { name: "", values: Values::Bool(&[]) }; FIELDS_USUAL];
            for (column, place) in columns.iter().zip(&mut few) {
                *place = read(column)?;
            }
            return Ok(pass(&few[..columns.len()]));
        }
        let columns: Vec<_> = columns.iter().map(read).collect::<Result<_, _>>()?;
        Ok(pass(&columns))
    }
}
