//! Rows of one series that come as columns: a time for each row, and for each field its values.

use super::packer::{FieldValue, NotPushed, Packer};
use super::parcel::Parcel;
use super::registry::SeriesHandle;

/// A field of several rows.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    /// The field's name.
    pub name: &'a str,
    /// Its values, one a row.
    pub values: Values<'a>,
}

/// The values of a column.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// IEEE 754 binary64; every bit is kept.
    F64(&'a [f64]),
    /// Signed.
    I64(&'a [i64]),
    /// Unsigned.
    U64(&'a [u64]),
    /// Truth values: 0 and anything else.
    Bool(&'a [u8]),
    /// Texts.
    String(&'a [&'a str]),
    /// Any bytes.
    Bytes(&'a [&'a [u8]]),
}

impl<'a> Values<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Values::F64(values) => values.len(),
            Values::I64(values) => values.len(),
            Values::U64(values) => values.len(),
            Values::Bool(values) => values.len(),
            Values::String(values) => values.len(),
            Values::Bytes(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn value(&self, row: usize) -> FieldValue<'a> {
        match self {
            Values::F64(values) => FieldValue::F64(values[row]),
            Values::I64(values) => FieldValue::I64(values[row]),
            Values::U64(values) => FieldValue::U64(values[row]),
            Values::Bool(values) => FieldValue::Bool(values[row] != 0),
            Values::String(values) => FieldValue::String(values[row]),
            Values::Bytes(values) => FieldValue::Bytes(values[row]),
        }
    }
}

impl Packer {
    /// Pushes a row for each of `times_ns` from the one numbered `from` on, all of one series. Gives how many were taken
    /// of these, and why it was not all.
    ///
    /// # Panics
    /// If a column has not as many values as there are times.
    pub fn push_columns(
        &mut self,
        parcel: &mut Parcel,
        series: SeriesHandle,
        times_ns: &[i64],
        columns: &[Column<'_>],
        from: usize,
    ) -> (usize, Result<(), NotPushed>) {
        assert!(columns.iter().all(|column| column.values.len() == times_ns.len()));
        let Some((&first_ns, rest_ns)) = times_ns[from..].split_first() else { return (0, Ok(())) };
        // The first row finds the shape, and defines what all need.
        let first = |i: usize| (columns[i].name, columns[i].values.value(from));
        if let Err(why) = self.push_row_of(parcel, series, first_ns, columns.len(), first) {
            return (0, Err(why));
        }
        let known = parcel.batch.head(parcel.batch.rows() - 1);
        for (row, &time_ns) in (1..).zip(rest_ns) {
            let values = columns.iter().map(|column| column.values.value(from + row));
            if let Err(why) = self.push_values(parcel, known, time_ns, values) {
                return (row, Err(why));
            }
        }
        (times_ns.len() - from, Ok(()))
    }
}
