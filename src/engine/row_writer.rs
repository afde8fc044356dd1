//! A thread's way into an embedded engine: rows in, tokens out by which to wait for their being durable.
//!
//! Kept: a call never waits but for room, and no longer than its patience; a row is in the engine's hands or the call
//! says why not; between two calls the rows not handed over lie in the tray, where the engine finds them when they have
//! become old. After warm-up a row allocates nothing.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::ingest::{ContextId, FieldValue, NotPushed, Packer, SeriesHandle};
use crate::model::{Refusal, WriteResult};
use crate::sync::Outcome;
use crate::telemetry::Protocol;
use crate::wire::influx::{Decoder, Dialect, Precision};
use crate::wire::{Decode, FedState};

use super::seat::{Desk, Load, Seat, SeatState};

/// Writes rows from one thread; as many of them as there are threads. Cheap while it is idle.
///
/// Rows are durable some time after they were pushed: within the commit interval if nothing is done about it, sooner
/// after [`flush`](RowWriter::flush), whose [`Token`] tells when. Dropping a writer does not flush: rows that were not
/// handed over yet are discarded, and counted.
#[derive(Debug)]
pub struct RowWriter {
    seat: Arc<Seat>,
    desk: Arc<Desk>,
    packer: Packer,
    decoder: Option<Box<Decoder>>,
    /// The load being filled, or the last one that was.
    number: u64,
    /// It was left in the tray.
    filling: bool,
    /// The first load that no token is about.
    unflushed: u64,
    patience: Duration,
}

/// Stands for rows that were handed over. It outlives its writer, and may be waited for on any thread.
#[derive(Clone, Debug)]
pub struct Token {
    desk: Arc<Desk>,
    first: u64,
    last: u64,
}

/// Why a row was not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WriteError {
    /// The engine did not keep up for as long as the writer's patience. Nothing of the row was taken: push it again.
    Full,
    /// This row will never be taken.
    Refused(Refusal),
    /// The handle was given by another writer.
    ForeignSeries,
    /// A row needs at least one field, and no two of one name.
    Fields,
    /// The engine is closed, or closing.
    Closed,
    /// The engine's thread has panicked. What was durable stays so; open the directory anew.
    Poisoned,
}

/// Why rows are not known to be durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotDurable {
    /// Not yet.
    TimedOut,
    /// A commit failed, or rows were rejected by it: each of the rows may be found again, or not.
    InDoubt,
    /// The engine ended before it had come to the rows: as [`InDoubt`](NotDurable::InDoubt).
    Closed,
}

/// What became of a body of lines.
#[derive(Debug)]
pub struct LinesWritten {
    /// Rows taken and rejected, by line.
    pub result: WriteResult,
    /// Bytes of the body used up: all of it, unless it `stopped`.
    pub consumed: usize,
    /// Why the rest of the body was not read. What was taken stays.
    pub stopped: Option<WriteError>,
}

/// How long a call waits for room, unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(1);

impl RowWriter {
    pub(super) fn new(seat: Arc<Seat>, desk: Arc<Desk>) -> RowWriter {
        let packer = Packer::new(desk.number, seat.hasher.clone(), &seat.series);
        RowWriter {
            seat,
            desk,
            packer,
            decoder: None,
            number: 0,
            filling: false,
            unflushed: 1,
            patience: PATIENCE,
        }
    }

    /// How long a call may wait for room. With zero, none waits.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Makes a series known by its labels, in any order; `__name__` is the metric's or measurement's name. The same
    /// labels give the same handle, which is good for this writer alone.
    ///
    /// # Errors
    /// [`WriteError::Refused`]: two labels of one name, or too many series.
    pub fn series(&mut self, labels: &[(&str, &str)]) -> Result<SeriesHandle, WriteError> {
        self.packer.register(labels).map_err(WriteError::Refused)
    }

    /// Pushes a sample: a row whose only field is the float `value`. Time is in nanoseconds since the Unix epoch.
    ///
    /// # Errors
    /// [`WriteError`]; the row was not taken.
    #[inline]
    pub fn push(&mut self, series: SeriesHandle, time_ns: i64, value: f64) -> Result<(), WriteError> {
        self.push_with(|packer, load| packer.push_value(&mut load.parcel, series, time_ns, value))
    }

    /// Pushes a row of any fields. It is cheapest if rows of a series have the same fields in the same order.
    ///
    /// # Errors
    /// [`WriteError`]; the row was not taken.
    pub fn push_row(
        &mut self,
        series: SeriesHandle,
        time_ns: i64,
        fields: &[(&str, FieldValue<'_>)],
    ) -> Result<(), WriteError> {
        self.push_with(|packer, load| packer.push_fields(&mut load.parcel, series, time_ns, fields))
    }

    /// Writes a body of line protocol. Lines without a time get that of the call.
    ///
    /// Bad lines are told in the result, and do not keep the others out. If the engine has no room for longer than the
    /// writer's patience, the call stops between two lines; go on with the rest of the body.
    pub fn write_lines(&mut self, body: &[u8], dialect: Dialect, precision: Precision) -> LinesWritten {
        let now_ns = SystemClock::default().wall_ns();
        let mut decoder =
            self.decoder.take().unwrap_or_else(|| Box::new(Decoder::new(dialect, precision, now_ns)));
        decoder.reset(dialect, precision, now_ns);
        let mut written = LinesWritten { result: WriteResult::default(), consumed: 0, stopped: None };
        let mut load = None;
        loop {
            let mut filled = match load.take().map_or_else(|| self.take_load(), Ok) {
                Ok(load) => load,
                Err(why) => {
                    written.stopped = Some(why);
                    break;
                }
            };
            let context = ContextId(dialect as u16);
            let fed = self.packer.fill(&mut filled.parcel, context, |intake| {
                decoder.feed(&body[written.consumed..], true, intake, &mut written.result)
            });
            written.consumed += fed.consumed;
            if fed.state != FedState::Full {
                self.put_back(filled);
                break;
            }
            self.hand_over(filled);
        }
        self.decoder = Some(decoder);
        for &(reason, rows) in &written.result.reasons {
            self.seat.counters.count_rejected(Protocol::Library, reason, rows);
        }
        written
    }

    /// Hands over what was pushed, to be committed at once. The token stands for all rows since the last flush.
    ///
    /// # Errors
    /// [`WriteError::Closed`], [`WriteError::Poisoned`]: of rows not handed over before, nothing will come.
    pub fn flush(&mut self) -> Result<Token, WriteError> {
        self.check()?;
        self.desk.tray.flush(self.number);
        match if self.filling { self.desk.tray.take() } else { None } {
            Some(load) => self.hand_over(load),
            // What there is has been handed over, or taken.
            None if self.desk.watermark.settled() < self.number => self.seat.hurry(),
            None => {}
        }
        self.filling = false;
        let first = std::mem::replace(&mut self.unflushed, self.number + 1);
        Ok(Token { desk: Arc::clone(&self.desk), first, last: self.number })
    }

    /// Bytes of memory held, loads not counted.
    pub fn memory_bytes(&self) -> usize {
        self.packer.memory_bytes()
    }

    #[inline]
    fn push_with(
        &mut self,
        push: impl Fn(&mut Packer, &mut Load) -> Result<(), NotPushed>,
    ) -> Result<(), WriteError> {
        let mut load = self.take_load()?;
        let mut pushed = push(&mut self.packer, &mut load);
        if pushed == Err(NotPushed::Full) {
            self.hand_over(load);
            load = self.take_load()?;
            pushed = push(&mut self.packer, &mut load);
        }
        self.put_back(load);
        pushed.map_err(WriteError::from)
    }

    #[inline]
    fn check(&self) -> Result<(), WriteError> {
        match self.seat.state() {
            SeatState::Open => Ok(()),
            SeatState::Closing | SeatState::Closed => Err(WriteError::Closed),
            SeatState::Poisoned => Err(WriteError::Poisoned),
        }
    }

    /// The load being filled, or a new one.
    #[inline]
    fn take_load(&mut self) -> Result<Box<Load>, WriteError> {
        self.check()?;
        if self.filling {
            if let Some(load) = self.desk.tray.take() {
                return Ok(load);
            }
            // The engine has it.
            self.filling = false;
        }
        self.start_load()
    }

    #[cold]
    fn start_load(&mut self) -> Result<Box<Load>, WriteError> {
        let Some(mut load) = self.seat.take_load(self.patience) else {
            self.check()?;
            return Err(WriteError::Full);
        };
        self.number += 1;
        (load.writer, load.number, load.urgent) = (self.desk.number, self.number, false);
        self.packer.start(&mut load.parcel);
        Ok(load)
    }

    /// The end of a call: the load goes into the tray, or on if it is full or wanted.
    #[inline]
    fn put_back(&mut self, mut load: Box<Load>) {
        if load.parcel.is_full() || self.desk.tray.is_wanted() {
            return self.hand_over(load);
        }
        if load.parcel.batch().is_empty() {
            return self.drop_load(load);
        }
        self.packer.pack(&mut load.parcel);
        let begun = !std::mem::replace(&mut self.filling, true);
        if begun {
            self.desk.tray.begin(self.number);
        }
        self.desk.tray.put(load);
        if begun {
            self.seat.stir();
        }
    }

    /// A load without rows was not begun.
    fn drop_load(&mut self, load: Box<Load>) {
        self.number -= 1;
        self.filling = false;
        self.seat.give_back(load);
    }

    #[cold]
    fn hand_over(&mut self, mut load: Box<Load>) {
        let wanted = self.desk.tray.take_wish();
        if load.parcel.batch().is_empty() {
            return self.drop_load(load);
        }
        self.packer.pack(&mut load.parcel);
        load.urgent = wanted;
        self.filling = false;
        let sent = self.seat.ring.send(load);
        assert!(sent.is_ok(), "the ring has a place for every load");
        self.seat.bell.ring();
    }
}

impl Drop for RowWriter {
    fn drop(&mut self) {
        let left = if self.filling { self.desk.tray.take() } else { None };
        if let Some(load) = left {
            self.seat.counters.rows_discarded.add(load.parcel.batch().rows() as u64);
            self.drop_load(load);
        }
        self.seat.writers.subtract(1);
        self.desk.tray.depart(self.number);
        self.seat.stir();
    }
}

impl Token {
    /// Whether all of its rows are on stable storage.
    pub fn is_durable(&self) -> bool {
        self.look() == Ok(())
    }

    /// Waits until the rows are on stable storage, or will not be.
    ///
    /// # Errors
    /// [`NotDurable`].
    pub fn wait(&self, timeout: Duration) -> Result<(), NotDurable> {
        // Loads come to an end in their order.
        self.desk.watermark.wait(self.last, timeout);
        self.look()
    }

    fn look(&self) -> Result<(), NotDurable> {
        let watermark = &self.desk.watermark;
        if watermark.outcome(self.last).is_none() {
            return Err(NotDurable::TimedOut);
        }
        (self.first..=self.last).try_for_each(|number| match watermark.outcome(number) {
            Some(Outcome::Durable) => Ok(()),
            Some(Outcome::Failed) => Err(NotDurable::InDoubt),
            Some(Outcome::Closed) => Err(NotDurable::Closed),
            None => Err(NotDurable::TimedOut),
        })
    }
}

impl From<NotPushed> for WriteError {
    fn from(why: NotPushed) -> WriteError {
        match why {
            NotPushed::Full => WriteError::Full,
            NotPushed::Refused(refusal) => WriteError::Refused(refusal),
            NotPushed::Foreign => WriteError::ForeignSeries,
            NotPushed::Fields => WriteError::Fields,
        }
    }
}

impl std::fmt::Display for WriteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            WriteError::Full => f.write_str("the engine has no room"),
            WriteError::Refused(refusal) => refusal.fmt(f),
            WriteError::ForeignSeries => f.write_str("the series was registered with another writer"),
            WriteError::Fields => f.write_str("a row needs a field, and no two of one name"),
            WriteError::Closed => f.write_str("the engine is closed"),
            WriteError::Poisoned => f.write_str("the engine has panicked"),
        }
    }
}

impl std::error::Error for WriteError {}

impl std::fmt::Display for NotDurable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            NotDurable::TimedOut => "not durable yet",
            NotDurable::InDoubt => "a commit failed: the rows are in doubt",
            NotDurable::Closed => "the engine ended first: the rows are in doubt",
        })
    }
}

impl std::error::Error for NotDurable {}
