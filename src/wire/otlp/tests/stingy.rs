//! An intake that is full every now and then, for rows, exemplars and metadata alike.

use crate::model::{
    Exemplar, FieldText, Full, Intake, LabelsBuf, Metadata, Refusal, Series, Shape, ShapeId, WriteResult,
};
use crate::wire::testing::Rows;
use crate::wire::{Decode, FedState};

use super::{Decoded, Decoder, Encoding, NOW_NS, Signal};

struct Stingy {
    rows: Rows,
    /// What is taken until it is full.
    room: u64,
}

impl Stingy {
    fn take(&mut self) -> Result<(), Full> {
        self.room = self.room.checked_sub(1).ok_or(Full)?;
        Ok(())
    }
}

/// Decodes into an intake that is full after each `room` records. A body that is not checked is checked as it is taken.
pub(super) fn decode(signal: Signal, encoding: Encoding, body: &[u8], room: u64, checked: bool) -> Decoded {
    let mut decoder = Decoder::new(signal, encoding, NOW_NS);
    if checked {
        decoder.check(body).unwrap();
    }
    let mut intake = Stingy { rows: Rows::default(), room };
    let mut result = WriteResult::default();
    let mut first = !checked;
    loop {
        let fed = match std::mem::take(&mut first) {
            true => decoder.feed_unchecked(body, &mut intake, &mut result).unwrap(),
            false => decoder.feed(body, true, &mut intake, &mut result),
        };
        if fed.state == FedState::Done {
            assert_eq!(fed.consumed, body.len());
            break;
        }
        assert_eq!((fed.state, fed.consumed, intake.room), (FedState::Full, 0, 0));
        intake.room = room;
    }
    let Rows { rows, exemplars, metadata, .. } = intake.rows;
    Decoded { rows, exemplars, metadata, result }
}

impl Intake for Stingy {
    fn epoch(&self) -> u64 {
        self.rows.epoch()
    }

    fn predicted(&self) -> &[u8] {
        self.rows.predicted()
    }

    fn confirm(&mut self) -> Series {
        self.rows.confirm()
    }

    fn announce(&mut self, key: &[u8]) {
        self.rows.announce(key);
    }

    fn wants_announcements(&self) -> bool {
        self.rows.wants_announcements()
    }

    fn find(&mut self, key: &[u8]) -> Option<Series> {
        self.rows.find(key)
    }

    fn define(&mut self, key: &[u8], labels: &mut LabelsBuf) -> Result<Series, Refusal> {
        self.rows.define(key, labels)
    }

    fn identity(&self, series: Series) -> Option<u32> {
        self.rows.identity(series)
    }

    fn shape(&self, id: ShapeId) -> &Shape {
        self.rows.shape(id)
    }

    fn define_shape(&mut self, series: Series, fields: &[FieldText<'_>]) -> Result<ShapeId, Refusal> {
        self.rows.define_shape(series, fields)
    }

    fn push(
        &mut self,
        series: Series,
        shape: ShapeId,
        time_ns: i64,
        values: &[u64],
        heap: &[u8],
    ) -> Result<(), Full> {
        self.take()?;
        self.rows.push(series, shape, time_ns, values, heap)
    }

    fn exemplar(&mut self, series: Series, exemplar: &Exemplar<'_>) -> Result<(), Full> {
        self.take()?;
        self.rows.exemplar(series, exemplar)
    }

    fn metadata(&mut self, metadata: &Metadata<'_>) -> Result<(), Full> {
        self.take()?;
        self.rows.metadata(metadata)
    }
}
