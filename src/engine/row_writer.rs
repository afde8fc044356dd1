//! A thread's way into an embedded engine: rows in, tokens out by which to wait for their being durable.
//!
//! Kept: a call never waits but for room, and no longer than its patience; a row is in the engine's hands or the call
//! says why not; between two calls the rows not handed over lie in the tray, where the engine finds them when they have
//! become old. After warm-up a row allocates nothing.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::ingest::{Column, ContextId, FieldValue, NotPushed, Packer, SeriesHandle};
use crate::model::{Refusal, WriteResult};
use crate::sync::Held;
use crate::telemetry::Protocol;
use crate::wire::influx::{Decoder, Dialect, Precision};
use crate::wire::{Decode, FedState};

use super::embedded::register;
use super::seat::{Desk, Load, Seat, SeatState};
use super::signal::Signal;
use super::token::{Token, Tokens};

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
    /// The worker was told of it.
    stirred: bool,
    /// The first load that no token is about.
    unflushed: u64,
    /// The first and last load that the last token is about.
    flushed: (u64, u64),
    patience: Duration,
    signal: OnceLock<Arc<Signal>>,
}

/// A load in its writer's hands. If what is done with it panics it is given up, and its rows with it.
struct Hand<'a> {
    writer: &'a mut RowWriter,
    /// There until it is put back, or handed over.
    load: Option<Box<Load>>,
}

/// A load in its place in the tray, with its writer at it. As with [`Hand`], a panic gives it up.
struct Reach<'a> {
    /// There until it is left, or taken.
    held: Option<Held<'a, Load>>,
    seat: &'a Seat,
    desk: &'a Desk,
    number: &'a mut u64,
    filling: &'a mut bool,
}

/// Why a row was not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WriteError {
    /// The engine did not keep up for as long as the writer's patience. Nothing of the row was taken: push it again.
    Full,
    /// This row will never be taken.
    Refused(Refusal),
    /// The handle means no series: it was released, or is another engine's.
    UnknownSeries,
    /// A row needs at least one field, and no two of one name.
    Fields,
    /// The engine is closed, or closing.
    Closed,
    /// The engine's thread has panicked. What was durable stays so; open the directory anew.
    Poisoned,
}

/// What became of a body.
#[derive(Debug)]
pub struct BodyWritten {
    /// Rows taken and rejected, by line or element.
    pub result: WriteResult,
    /// Bytes of the body used up: all of it, unless it `stopped`; then as many as need not come again.
    pub consumed: usize,
    /// Why the rest of the body was not read. What was taken stays.
    pub stopped: Option<WriteError>,
}

/// How long a call waits for room, unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(1);

impl RowWriter {
    pub(super) fn new(seat: Arc<Seat>, desk: Arc<Desk>) -> RowWriter {
        let packer = Packer::new(Arc::clone(&seat.registry), seat.hasher.clone(), &seat.series);
        RowWriter {
            seat,
            desk,
            packer,
            decoder: None,
            number: 0,
            filling: false,
            stirred: false,
            unflushed: 1,
            flushed: (1, 0),
            patience: PATIENCE,
            signal: OnceLock::new(),
        }
    }

    /// How long a call may wait for room. With zero, none waits.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// [`Embedded::series`](super::Embedded::series), for a thread that has its writer only.
    ///
    /// # Errors
    /// [`WriteError::Refused`]: two labels of one name, or too many series.
    pub fn series(&self, labels: &[(&str, &str)]) -> Result<SeriesHandle, WriteError> {
        register(&self.seat.registry, labels)
    }

    /// Pushes a sample: a row whose only field is the float `value`. Time is in nanoseconds since the Unix epoch.
    ///
    /// # Errors
    /// [`WriteError`]; the row was not taken.
    #[inline]
    pub fn push(&mut self, series: SeriesHandle, time_ns: i64, value: f64) -> Result<(), WriteError> {
        self.push_with(|packer, load| packer.push_value(&mut load.parcel, series, time_ns, value))
    }

    /// Pushes samples of one series, one for each time and value. Gives how many were taken, from the first on, and
    /// why it was not all.
    ///
    /// # Panics
    /// If there are not as many values as times.
    pub fn push_times(
        &mut self,
        series: SeriesHandle,
        times_ns: &[i64],
        values: &[f64],
    ) -> (usize, Result<(), WriteError>) {
        self.push_many(|packer, load, from| {
            packer.push_times(&mut load.parcel, series, &times_ns[from..], &values[from..])
        })
    }

    /// Pushes samples of one time, one for each series and value: otherwise as [`push_times`](RowWriter::push_times).
    ///
    /// # Panics
    /// If there are not as many values as series.
    pub fn push_series(
        &mut self,
        series: &[SeriesHandle],
        time_ns: i64,
        values: &[f64],
    ) -> (usize, Result<(), WriteError>) {
        self.push_many(|packer, load, from| {
            packer.push_series(&mut load.parcel, &series[from..], time_ns, &values[from..])
        })
    }

    /// Pushes rows of one series that come as columns: otherwise as [`push_times`](RowWriter::push_times).
    ///
    /// # Panics
    /// If a column has not as many values as there are times.
    pub fn push_columns(
        &mut self,
        series: SeriesHandle,
        times_ns: &[i64],
        columns: &[Column<'_>],
    ) -> (usize, Result<(), WriteError>) {
        assert!(columns.iter().all(|column| column.values.len() == times_ns.len()));
        self.push_many(|packer, load, from| {
            packer.push_columns(&mut load.parcel, series, times_ns, columns, from)
        })
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
    pub fn write_lines(&mut self, body: &[u8], dialect: Dialect, precision: Precision) -> BodyWritten {
        let now_ns = SystemClock::default().wall_ns();
        let mut decoder =
            self.decoder.take().unwrap_or_else(|| Box::new(Decoder::new(dialect, precision, now_ns)));
        decoder.reset(dialect, precision, now_ns);
        let written = self.write_body(body, &mut *decoder, ContextId(dialect as u32));
        self.decoder = Some(decoder);
        written
    }

    /// Writes a body in any format, by a decoder that is at the body's start. Rows of one context whose keys have the
    /// same bytes are one series: each format is to have its own.
    ///
    /// Bad rows are told in the result, and do not keep the others out. If the engine has no room for longer than the
    /// writer's patience, the call stops between two rows; what was taken stays. Lines go on with the rest of the body;
    /// a format that is checked whole can only come again whole.
    pub fn write_body(&mut self, body: &[u8], decoder: &mut impl Decode, context: ContextId) -> BodyWritten {
        let mut written = BodyWritten { result: WriteResult::default(), consumed: 0, stopped: None };
        loop {
            let mut hand = match self.take_load() {
                Ok(hand) => hand,
                Err(why) => {
                    written.stopped = Some(why);
                    break;
                }
            };
            let fed = hand.fill(|packer, load| {
                packer.fill(&mut load.parcel, context, |intake| {
                    decoder.feed(&body[written.consumed..], true, intake, &mut written.result)
                })
            });
            written.consumed += fed.consumed;
            if fed.state != FedState::Full {
                hand.put_back();
                break;
            }
            hand.hand_over();
        }
        for &(reason, rows) in &written.result.reasons {
            self.seat.counters.count_rejected(Protocol::Library, reason, rows);
        }
        written
    }

    /// Hands over what was pushed, to be committed at once. The token stands for all rows since the last flush
    /// that had any; without rows since then it is that flush's token again.
    ///
    /// # Errors
    /// [`WriteError::Closed`]: closing commits what was pushed before, of which no token tells;
    /// [`WriteError::Poisoned`]: of rows not handed over before, nothing will come.
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
        if self.unflushed <= self.number {
            self.flushed = (self.unflushed, self.number);
            self.unflushed = self.number + 1;
        }
        let (first, last) = self.flushed;
        Ok(Token::new(Arc::clone(&self.desk), first, last))
    }

    /// A descriptor that becomes readable whenever rows of this writer have come to an end, and is at first. Read it
    /// empty, then look at the tokens. It lives as long as the writer.
    ///
    /// # Errors
    /// The operating system has no descriptor left.
    pub fn signal(&self) -> io::Result<BorrowedFd<'_>> {
        if let Some(signal) = self.signal.get() {
            return Ok(signal.fd());
        }
        let made = Arc::new(Signal::new()?);
        // Who asks has yet to look.
        made.ring();
        let signal = self.signal.get_or_init(|| made);
        self.desk.set_signal(Some(Arc::clone(signal)));
        Ok(signal.fd())
    }

    /// This writer's tokens by their numbers.
    pub fn tokens(&self) -> Tokens {
        Tokens::new(Arc::clone(&self.desk))
    }

    /// Bytes of memory held, loads not counted.
    pub fn memory_bytes(&self) -> usize {
        self.packer.memory_bytes()
    }

    /// Pushes a row into the load that lies in the tray, where it lies: by far the most frequent case.
    #[inline]
    fn push_with(
        &mut self,
        push: impl Fn(&mut Packer, &mut Load) -> Result<(), NotPushed>,
    ) -> Result<(), WriteError> {
        self.check()?;
        let RowWriter { seat, desk, packer, number, filling, .. } = self;
        let Some(held) = desk.tray.hold() else { return self.push_in_hand(push) };
        let mut reach = Reach { held: Some(held), seat, desk, number, filling };
        let pushed = push(packer, reach.load());
        let is_full = pushed == Err(NotPushed::Full);
        if is_full || desk.tray.is_wanted() {
            let load = reach.take();
            self.hand_over(load);
            return if is_full { self.push_in_hand(push) } else { pushed.map_err(WriteError::from) };
        }
        reach.leave();
        pushed.map_err(WriteError::from)
    }

    /// Pushes a row into a load that is in hand.
    #[cold]
    fn push_in_hand(
        &mut self,
        push: impl Fn(&mut Packer, &mut Load) -> Result<(), NotPushed>,
    ) -> Result<(), WriteError> {
        let mut hand = self.take_load()?;
        let mut pushed = hand.fill(&push);
        if pushed == Err(NotPushed::Full) {
            hand.hand_over();
            hand = self.take_load()?;
            pushed = hand.fill(&push);
        }
        hand.put_back();
        pushed.map_err(WriteError::from)
    }

    /// As [`push_with`](RowWriter::push_with) for rows that may need several loads: `push` is told how many are in.
    fn push_many(
        &mut self,
        push: impl Fn(&mut Packer, &mut Load, usize) -> (usize, Result<(), NotPushed>),
    ) -> (usize, Result<(), WriteError>) {
        let mut taken = 0;
        loop {
            let mut hand = match self.take_load() {
                Ok(hand) => hand,
                Err(why) => return (taken, Err(why)),
            };
            let (more, pushed) = hand.fill(|packer, load| push(packer, load, taken));
            taken += more;
            if pushed != Err(NotPushed::Full) {
                hand.put_back();
                return (taken, pushed.map_err(WriteError::from));
            }
            hand.hand_over();
        }
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
    fn take_load(&mut self) -> Result<Hand<'_>, WriteError> {
        self.check()?;
        let left = if std::mem::take(&mut self.filling) { self.desk.tray.take() } else { None };
        let load = match left {
            Some(load) => load,
            // There was none, or the engine has it.
            None => self.start_load()?,
        };
        Ok(Hand { writer: self, load: Some(load) })
    }

    #[cold]
    fn start_load(&mut self) -> Result<Box<Load>, WriteError> {
        let Some(mut load) = self.seat.take_load(self.patience) else {
            self.check()?;
            return Err(WriteError::Full);
        };
        self.number += 1;
        self.stirred = false;
        self.desk.tray.begin(self.number);
        // Again: a worker that has not seen the load begin is seen closing.
        if let Err(why) = self.check() {
            self.drop_load(load);
            return Err(why);
        }
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
        self.filling = true;
        self.desk.tray.put(load);
        if !std::mem::replace(&mut self.stirred, true) {
            self.seat.stir();
        }
    }

    /// A load that the worker is not to get: the next one has its number again.
    #[cold]
    fn drop_load(&mut self, load: Box<Load>) {
        drop_load(load, &self.seat, &self.desk, &mut self.number, &mut self.filling);
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

impl Hand<'_> {
    #[inline]
    fn fill<R>(&mut self, fill: impl FnOnce(&mut Packer, &mut Load) -> R) -> R {
        fill(&mut self.writer.packer, self.load.as_mut().expect("there until put back"))
    }

    #[inline]
    fn put_back(mut self) {
        if let Some(load) = self.load.take() {
            self.writer.put_back(load);
        }
    }

    fn hand_over(mut self) {
        if let Some(load) = self.load.take() {
            self.writer.hand_over(load);
        }
    }
}

impl Drop for Hand<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(load) = self.load.take() {
            count_lost(&load, &self.writer.seat);
            self.writer.drop_load(load);
        }
    }
}

impl Reach<'_> {
    #[inline]
    fn load(&mut self) -> &mut Load {
        self.held.as_mut().expect("there until it is left, or taken")
    }

    #[inline]
    fn leave(mut self) {
        self.held = None;
    }

    fn take(mut self) -> Box<Load> {
        self.held.take().expect("there until it is left, or taken").into_box()
    }
}

impl Drop for Reach<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            let load = held.into_box();
            count_lost(&load, self.seat);
            drop_load(load, self.seat, self.desk, self.number, self.filling);
        }
    }
}

fn drop_load(load: Box<Load>, seat: &Seat, desk: &Desk, number: &mut u64, filling: &mut bool) {
    desk.tray.withdraw(*number);
    *number -= 1;
    *filling = false;
    seat.give_back(load);
}

/// The load's rows were taken, and are given up.
#[cold]
fn count_lost(load: &Load, seat: &Seat) {
    let rows = load.parcel.batch().rows() as u64;
    seat.counters.rows_discarded.add(rows);
    seat.rows_lost.add(rows);
}

impl Drop for RowWriter {
    fn drop(&mut self) {
        let left = if self.filling { self.desk.tray.take() } else { None };
        match left {
            // Closing takes what was pushed before it: also of writers that go meanwhile.
            Some(load) if self.seat.state() == SeatState::Closing => self.hand_over(load),
            Some(load) => {
                self.seat.counters.rows_discarded.add(load.parcel.batch().rows() as u64);
                self.drop_load(load);
            }
            None => {}
        }
        self.desk.set_signal(None);
        self.seat.writers.subtract(1);
        self.desk.tray.depart(self.number);
        self.seat.stir();
    }
}

impl From<NotPushed> for WriteError {
    fn from(why: NotPushed) -> WriteError {
        match why {
            NotPushed::Full => WriteError::Full,
            NotPushed::Refused(refusal) => WriteError::Refused(refusal),
            NotPushed::Unknown => WriteError::UnknownSeries,
            NotPushed::Fields => WriteError::Fields,
        }
    }
}

impl std::fmt::Display for WriteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            WriteError::Full => f.write_str("the engine has no room"),
            WriteError::Refused(refusal) => refusal.fmt(f),
            WriteError::UnknownSeries => f.write_str("the handle is of no series, or was released"),
            WriteError::Fields => f.write_str("a row needs a field, and no two of one name"),
            WriteError::Closed => f.write_str("the engine is closed"),
            WriteError::Poisoned => f.write_str("the engine has panicked"),
        }
    }
}

impl std::error::Error for WriteError {}
