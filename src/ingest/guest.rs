//! Takes parcels in: a worker's half of what [`Packer`](super::Packer) does on another thread.
//!
//! A guest is one packer, as a worker knows it: what its numbers mean, and which numbers of the worker's own those are.
//! The former is learned from its parcels and stays for as long as the packer uses it; the latter is found at a
//! number's first row in each generation of the worker's table, and costs further rows an index each.

use crate::bytes::Arena;
use crate::model::{FieldText, Full, LabelsBuf, SeriesId, ShapeId};

use super::packer::LIBRARY;
use super::parcel::{self, Parcel, ShapeDefinition, labels_of, read_number, read_sized};
use super::table::Table;
use super::writer::{DEFINE_BYTES_MAX, Ingest};

/// A packer, as a worker knows it.
#[derive(Default, Debug)]
pub struct Guest {
    /// The packer's generation.
    generation: u32,
    keys: Arena,
    series: Vec<GuestSeries>,
    shapes_from: u32,
    shapes: Vec<GuestShape>,
    /// The generation of the worker's table that the series' numbers are of.
    generation_here: u32,
    labels: LabelsBuf,
}

#[derive(Clone, Copy, Debug)]
struct GuestSeries {
    /// Where its key lies.
    key: u32,
    here: u32,
}

impl GuestSeries {
    /// Its number here, if it has one.
    #[inline]
    fn settled(&self) -> Option<SeriesId> {
        (self.here < REFUSED).then_some(SeriesId(self.here))
    }
}

#[derive(Clone, Debug)]
struct GuestShape {
    definition: Box<[u8]>,
    here: ShapeId,
}

/// Of a series: not met yet. Of a key: not defined.
const NONE: u32 = u32::MAX;

/// A series that the worker's table has no room for.
const REFUSED: u32 = u32::MAX - 1;

/// How far a parcel was taken in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TakenIn {
    /// Items before this one are done with: first rows, then exemplars, then metadata.
    pub upto: usize,
    /// How many rows of those done with now had no room in the worker's table, and are rejected.
    pub refused: u64,
}

impl Guest {
    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        let shapes = self.shapes.iter().map(|s| s.definition.len() + size_of::<GuestShape>());
        self.keys.memory_bytes() + self.series.capacity() * size_of::<GuestSeries>() + shapes.sum::<usize>()
    }

    /// Learns what a parcel defines. Once for each, in the packer's order.
    pub fn learn(&mut self, parcel: &Parcel) {
        if parcel.generation != self.generation {
            self.generation = parcel.generation;
            self.keys = Arena::default();
            self.series.clear();
        }
        if parcel.shapes_from != self.shapes_from {
            self.shapes_from = parcel.shapes_from;
            self.shapes.clear();
        }
        let mut rest = &parcel.series[..];
        while let (Some(number), Some(key)) = (read_number(&mut rest), read_sized(&mut rest)) {
            let place = self.keys.push(key).unwrap_or(NONE);
            *at(&mut self.series, number, GuestSeries { key: NONE, here: NONE }) =
                GuestSeries { key: place, here: NONE };
        }
        let mut rest = &parcel.shapes[..];
        while let Some(number) = read_number(&mut rest) {
            let before = rest;
            if parcel::read_shape(&mut rest).is_none() {
                break;
            }
            let definition = before[..before.len() - rest.len()].into();
            let unknown = GuestShape { definition: Box::default(), here: ShapeId::NONE };
            *at(&mut self.shapes, number - self.shapes_from, unknown) =
                GuestShape { definition, here: ShapeId::NONE };
        }
    }

    /// The numbers of another generation's series mean nothing.
    fn meet(&mut self, table: &Table) {
        if self.generation_here != table.generation() {
            self.generation_here = table.generation();
            self.series.iter_mut().for_each(|s| s.here = NONE);
            self.shapes.iter_mut().for_each(|s| s.here = ShapeId::NONE);
        }
    }
}

fn at<T: Clone>(items: &mut Vec<T>, index: u32, unknown: T) -> &mut T {
    let index = index as usize;
    if index >= items.len() {
        items.resize(index + 1, unknown);
    }
    &mut items[index]
}

impl Ingest {
    /// Takes in the items of a parcel from item `from` on, as far as there is room. The guest has learned the parcel.
    /// If items are left, come again with them after the batch was ended.
    pub fn take_in(&mut self, guest: &mut Guest, parcel: &Parcel, from: usize) -> TakenIn {
        guest.meet(self.table());
        let mut done = TakenIn { upto: from, refused: 0 };
        while done.upto < parcel.batch.rows() {
            match self.take_row(guest, parcel, done.upto) {
                Ok(true) => {
                    // Most rows are like the one before: of a series that was met, and of the same shape.
                    done.upto = self.take_alike(guest, parcel, done.upto + 1);
                    continue;
                }
                Ok(false) => done.refused += 1,
                Err(Full) => break,
            }
            done.upto += 1;
        }
        while (parcel.batch.rows()..parcel.items()).contains(&done.upto) {
            if self.take_side(guest, parcel, done.upto - parcel.batch.rows()) == Err(Full) {
                break;
            }
            done.upto += 1;
        }
        self.age_previous((done.upto - from) as u64);
        done
    }

    /// Takes in the rows from `from` on that have the shape of the row before, and series that were met. Gives the
    /// first one that has not, or that has no room.
    fn take_alike(&mut self, guest: &Guest, parcel: &Parcel, from: usize) -> usize {
        let (batch, theirs) = (&parcel.batch, parcel.batch.head(from - 1).1);
        let (_, here) = self.batch().head(self.batch().rows() - 1);
        if let Some(rows) = batch.narrow() {
            let series_of = |series: u32| guest.series.get(series as usize).and_then(GuestSeries::settled);
            return from + self.copy_narrow(rows, from, series_of, here);
        }
        let (samples, has_heap) = (self.shapes().shape(here).samples, self.shapes().shape(here).has_heap);
        if has_heap {
            return from;
        }
        for row in from..batch.rows() {
            let words = batch.row_words(row);
            let series = guest.series.get(words[0] as u32 as usize).and_then(GuestSeries::settled);
            let Some(series) = series.filter(|_| (words[0] >> 32) as u32 == theirs.0) else { return row };
            if self.copy_words(series, here, samples, &words[1..]).is_err() {
                return row;
            }
        }
        batch.rows()
    }

    /// Takes in a side record. An exemplar goes where its series went.
    #[cold]
    fn take_side(&mut self, guest: &mut Guest, parcel: &Parcel, at: usize) -> Result<(), Full> {
        let (batch, exemplars) = (&parcel.batch, parcel.batch.exemplars());
        let Some(exemplar) = exemplars.get(at) else {
            return self.take_metadata(&batch.metadata()[at - exemplars.len()].read(batch.heap()));
        };
        match self.settle_series(guest, exemplar.series)? {
            REFUSED => Ok(()),
            here => self.take_exemplar(SeriesId(here), &exemplar.read(batch.heap())),
        }
    }

    #[inline]
    fn take_row(&mut self, guest: &mut Guest, parcel: &Parcel, row: usize) -> Result<bool, Full> {
        let (series, shape) = parcel.batch.head(row);
        let mut here = guest.series.get(series.0 as usize).map_or(REFUSED, |s| s.here);
        if here >= REFUSED {
            here = self.settle_series(guest, series)?;
            if here == REFUSED {
                return Ok(false);
            }
        }
        let index = (shape.0 - guest.shapes_from) as usize;
        let mut shape = guest.shapes.get(index).map_or(ShapeId::NONE, |s| s.here);
        if !self.shapes().knows(shape) {
            if self.define_bytes() > DEFINE_BYTES_MAX && !self.batch().is_empty() {
                return Err(Full);
            }
            let Some(defined) = self.settle_shape(guest, index) else { return Ok(false) };
            shape = defined;
        }
        self.copy_row(&parcel.batch, row, SeriesId(here), shape)?;
        Ok(true)
    }

    #[cold]
    fn settle_series(&mut self, guest: &mut Guest, series: SeriesId) -> Result<u32, Full> {
        let Guest { keys, series: known, labels, .. } = guest;
        let Some(series) = known.get_mut(series.0 as usize).filter(|s| s.key != NONE) else {
            return Ok(REFUSED);
        };
        if series.here == NONE {
            if self.define_bytes() > DEFINE_BYTES_MAX && !self.batch().is_empty() {
                return Err(Full);
            }
            let key = keys.bytes(series.key);
            labels_of(key, labels);
            series.here = self.adopt(LIBRARY, key, labels).map_or(REFUSED, |id| id.0);
        }
        Ok(series.here)
    }

    #[cold]
    fn settle_shape(&mut self, guest: &mut Guest, index: usize) -> Option<ShapeId> {
        let shape = guest.shapes.get_mut(index)?;
        let ShapeDefinition { metric, fields } = parcel::read_shape(&mut &*shape.definition)?;
        let fields: Vec<_> =
            fields.into_iter().map(|(kind, name)| FieldText { text: name, name, kind }).collect();
        shape.here = self.define_shape_in(LIBRARY, metric, &fields).ok()?;
        Some(shape.here)
    }
}

#[cfg(test)]
mod tests;
