//! The rows of a directory in order of arrival: the workers' blocks, merged by (stamp, worker, sequence).
//!
//! Memory: for each worker one block as stored (64 MiB at most; usually well below one) and the definitions of one
//! segment; beside them one table, decoded.

use std::sync::Arc;

use super::block::Block;
use super::dedup::Dropped;
use super::loss::{Loss, LossKind, Losses};
use super::query::Query;
use super::record::{Exemplar, Record};
use super::row::{Arrival, BlockPlace, Row, TableWalk};
use super::stream::{Head, Open, Stream, Verdict};
use crate::block::{DecodeError, Exemplars, MetadataTable, Part, Table, decode_rows};
use crate::log::{LogError, Positions, ReadDirectory, Survey};
use crate::model::{BlockHeader, Metadata};

/// Rows of a directory, block by block.
#[derive(Debug)]
pub struct Rows {
    directory: Arc<ReadDirectory>,
    query: Query,
    streams: Vec<Stream>,
    losses: Losses,
    dropped: Option<Dropped>,
    /// Blocks up to here are left out.
    passed: Positions,
    watermarks: Option<Vec<u64>>,
}

impl Rows {
    pub(super) fn new(directory: Arc<ReadDirectory>, survey: &Survey, query: Query) -> Rows {
        let segments = survey.segments.chunk_by(|a, b| a.name.worker == b.name.worker);
        let streams = segments.map(|s| Stream::new(s[0].name.worker, s.iter().cloned())).collect();
        let losses = Losses::default();
        let passed = Positions::default();
        Rows { directory, query, streams, losses, dropped: None, passed, watermarks: None }
    }

    /// Leaves out blocks that are passed.
    pub(super) fn behind(mut self, passed: Positions) -> Rows {
        self.streams.iter_mut().for_each(|stream| stream.pass(passed.passed(stream.worker)));
        self.passed = passed;
        self
    }

    pub(super) fn without(mut self, dropped: Dropped) -> Rows {
        self.dropped = Some(dropped);
        self
    }

    /// Hands the wanted rows of the next block to `take`; false if there was none.
    ///
    /// A block all of whose rows are left out counts, too. What could not be read is left to
    /// [`take_losses`](Rows::take_losses).
    ///
    /// # Errors
    /// What `take` says, or [`LogError::Io`] if a segment cannot be opened.
    pub fn next_block<E: From<LogError>>(
        &mut self,
        mut take: impl FnMut(&Row<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        self.next_records(false, &mut |record: &Record<'_>| match record {
            Record::Row(row) => take(row),
            Record::Exemplar(_) | Record::Metadata(_) => Ok(()),
        })
    }

    /// As [`next_block`](Rows::next_block), with side records if `sides`.
    pub(super) fn next_records<E: From<LogError>>(
        &mut self,
        sides: bool,
        take: &mut impl FnMut(&Record<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        if !self.advance(sides)? {
            return Ok(false);
        }
        let Some((head, payload, open)) = next(&mut self.streams) else { return Ok(false) };
        let mut block = BlockWalk {
            head: &head,
            open,
            query: &self.query,
            dropped: self.dropped.as_ref().and_then(|d| d.of(head.header.worker, head.header.sequence)),
            position: 0,
            undefined: Undefined::default(),
        };
        let walked = block.walk(payload, sides, take);
        let (position, undefined) = (block.position, block.undefined);
        let place = (open.segment.name, head.offset, head.header.sequence);
        self.losses.push_undefined(place, &undefined);
        match walked {
            Ok(()) => Ok(true),
            Err(Stop::Decode(error)) => {
                let rows = u64::from(head.header.rows.saturating_sub(position));
                self.losses.push_undecodable(place, rows, error);
                Ok(true)
            }
            Err(Stop::Take(error)) => Err(error),
        }
    }

    /// Hands the next block to `take` before any of it is decoded; `None` if there was none. Blocks of nothing but side
    /// records come, too, and the query's filters are left to who takes it.
    ///
    /// # Errors
    /// [`LogError::Io`] if a segment cannot be opened.
    pub(super) fn next_whole<R>(
        &mut self,
        take: impl FnOnce(&mut Block<'_>) -> R,
    ) -> Result<Option<R>, LogError> {
        if !self.advance(true)? {
            return Ok(None);
        }
        let Some((head, payload, open)) = next(&mut self.streams) else { return Ok(None) };
        let place = (open.segment.name, head.offset, head.header.sequence);
        let mut block = Block::new(&head, payload, open, &self.query);
        let taken = take(&mut block);
        let (undefined, failed) = block.end();
        self.losses.push_undefined(place, &undefined);
        if let Some((error, rows)) = failed {
            self.losses.push_undecodable(place, rows, error);
        }
        Ok(Some(taken))
    }

    /// Holds a block of each worker ready, if there is one; whether there is any.
    pub(super) fn advance(&mut self, sides: bool) -> Result<bool, LogError> {
        for stream in self.streams.iter_mut().filter(|s| s.head().is_none()) {
            stream.advance(&self.directory, &self.query, sides, &mut self.losses)?;
        }
        Ok(self.streams.iter().any(|s| s.head().is_some()))
    }

    /// What was given, or had nothing to give.
    pub(super) fn reached(&self) -> Positions {
        let mut reached = self.passed.clone();
        self.streams.iter().for_each(|stream| _ = reached.pass(stream.worker, stream.reached()));
        reached
    }

    /// Looks for what these watermarks, of this process, have made durable; whether a block is ready.
    pub(super) fn follow(&mut self, watermarks: &[u64]) -> Result<bool, LogError> {
        let durable = |worker: u32| watermarks.get(worker as usize).copied().unwrap_or(0);
        for stream in &mut self.streams {
            stream.raise(durable(stream.worker))?;
        }
        if self.advance(true)? {
            return Ok(true);
        }
        let reached = self.reached();
        if (0..).zip(watermarks).all(|(worker, &durable)| durable <= reached.passed(worker))
            && !self.streams.iter().any(Stream::has_ended)
        {
            return Ok(false);
        }
        // In a segment that was not there when these were looked for; or one is to be let go.
        let mut survey = self.directory.survey()?;
        // Once this process is done the directory may be another's: what that writes is not for who follows this one.
        let workers: Vec<u32> = survey.workers().collect();
        workers.into_iter().for_each(|worker| survey.limit(worker, durable(worker)));
        self.look_at(&survey, true)?;
        self.advance(true)
    }

    /// Hands all wanted rows to `take`, in order of arrival.
    ///
    /// # Errors
    /// As [`next_block`](Rows::next_block).
    pub fn for_each<E: From<LogError>>(
        &mut self,
        mut take: impl FnMut(&Row<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        while self.next_block(&mut take)? {}
        Ok(())
    }

    /// Looks for rows that have become durable since the rows were last asked for; call it when
    /// [`next_block`](Rows::next_block) has given false. True if there may be some.
    ///
    /// Rows that come later come in order of arrival within each worker; between workers they do for those that one
    /// call found. Rotation and restarts of the writer are passed over. What a writer wrote last before it was killed
    /// comes when the next one starts: until then nothing says that it is durable.
    ///
    /// # Errors
    /// As [`Reader::rows`](super::Reader::rows).
    pub fn refresh(&mut self) -> Result<bool, LogError> {
        let watermarks = self.directory.watermarks()?;
        if watermarks.is_some()
            && watermarks == self.watermarks
            && !self.streams.iter().any(Stream::has_ended)
        {
            return Ok(false);
        }
        self.look_at(&self.directory.survey()?, watermarks.is_some())?;
        self.watermarks = watermarks;
        Ok(true)
    }

    fn look_at(&mut self, survey: &Survey, live: bool) -> Result<(), LogError> {
        for segments in survey.segments.chunk_by(|a, b| a.name.worker == b.name.worker) {
            let worker = segments[0].name.worker;
            let at = match self.streams.iter().position(|s| s.worker == worker) {
                Some(at) => at,
                None => {
                    let mut stream = Stream::new(worker, std::iter::empty());
                    stream.pass(self.passed.passed(worker));
                    self.streams.push(stream);
                    self.streams.len() - 1
                }
            };
            self.streams[at].refresh(segments.iter(), live)?;
        }
        Ok(())
    }

    /// What could not be read so far and was not fetched yet: at most
    /// [`LOSSES_KEPT_MAX`](super::LOSSES_KEPT_MAX).
    pub fn take_losses(&mut self) -> Vec<Loss> {
        self.losses.take()
    }

    /// How much could not be read so far, fetched or not.
    pub fn losses(&self) -> u64 {
        self.losses.count
    }
}

/// The block that comes first, of those that are held ready.
fn next(streams: &mut [Stream]) -> Option<(Head, &[u8], &mut Open)> {
    let order = |stream: &&mut Stream| {
        let header = &stream.head().expect("streams without a block were left out").header;
        (header.stamp_ns, header.worker, header.sequence)
    };
    streams.iter_mut().filter(|s| s.head().is_some()).min_by_key(order).and_then(Stream::take)
}

/// A block whose rows are handed over.
struct BlockWalk<'b> {
    head: &'b Head,
    open: &'b mut Open,
    query: &'b Query,
    dropped: Option<&'b [u64]>,
    position: u32,
    undefined: Undefined,
}

enum Stop<E> {
    Decode(DecodeError),
    Take(E),
}

impl<E> From<DecodeError> for Stop<E> {
    fn from(error: DecodeError) -> Stop<E> {
        Stop::Decode(error)
    }
}

impl BlockWalk<'_> {
    fn walk<E>(
        &mut self,
        payload: &[u8],
        sides: bool,
        take: &mut impl FnMut(&Record<'_>) -> Result<(), E>,
    ) -> Result<(), Stop<E>> {
        let block = decode_rows(&self.head.header, payload)?;
        if !sides {
            return block.for_each_table(|table| self.table(table, take));
        }
        block.for_each_part(|part| match part {
            Part::Rows(table) => self.table(table, take),
            Part::Exemplars(table) => self.exemplars(table, take),
            Part::Metadata(table) => self.metadata(table, take),
        })
    }

    fn table<E>(
        &mut self,
        table: &Table<'_>,
        take: &mut impl FnMut(&Record<'_>) -> Result<(), E>,
    ) -> Result<(), Stop<E>> {
        self.judge(table);
        let (open, place) = (&*self.open, self.place());
        let Some(mut walk) = TableWalk::new(table, &open.definitions) else {
            self.undefined.see_all(table);
            self.position += table.series.len() as u32;
            return Ok(());
        };
        for (&series, &time_ns) in table.series.iter().zip(&table.times) {
            let position = self.position;
            self.position += 1;
            let dropped = self.dropped.is_some_and(|bits| Dropped::has(bits, position));
            if self.query.takes_time(time_ns) && !dropped {
                match open.series.at(series.0) {
                    Verdict::Taken => {
                        if let Some(labels) = open.definitions.labels_known(series) {
                            let row = walk.row(labels, self.arrival(position), place);
                            take(&Record::Row(row)).map_err(Stop::Take)?;
                        }
                    }
                    Verdict::Lost => self.undefined.see(series.0),
                    Verdict::Refused | Verdict::Unknown => {}
                }
            }
            walk.step();
        }
        Ok(())
    }

    fn exemplars<E>(
        &mut self,
        exemplars: &Exemplars<'_>,
        take: &mut impl FnMut(&Record<'_>) -> Result<(), E>,
    ) -> Result<(), Stop<E>> {
        let table = &exemplars.table;
        self.judge(table);
        let (open, place) = (&*self.open, self.place());
        let Some(mut walk) = TableWalk::new(table, &open.definitions) else {
            self.undefined.side_records += table.series.len() as u64;
            return Ok(());
        };
        for (at, (&series, &time_ns)) in table.series.iter().zip(&table.times).enumerate() {
            if self.query.takes_time(time_ns) {
                match (open.series.at(series.0), open.definitions.labels_known(series)) {
                    (Verdict::Taken, Some(labels)) => {
                        let row = walk.row(labels, self.arrival(at as u32), place);
                        let exemplar = Exemplar { row, labels: exemplars.labels(at) };
                        take(&Record::Exemplar(exemplar)).map_err(Stop::Take)?;
                    }
                    (Verdict::Lost, _) => self.undefined.side_records += 1,
                    _ => {}
                }
            }
            walk.step();
        }
        Ok(())
    }

    fn metadata<E>(
        &mut self,
        table: &MetadataTable<'_>,
        take: &mut impl FnMut(&Record<'_>) -> Result<(), E>,
    ) -> Result<(), Stop<E>> {
        for (at, (&name, &kind)) in table.names.iter().zip(&table.kinds).enumerate() {
            let Some(name) = self.open.definitions.symbol(name) else {
                self.undefined.side_records += 1;
                continue;
            };
            if self.query.takes_metric(name) {
                let metadata = Metadata { name, kind, unit: table.unit(at), help: table.help(at) };
                take(&Record::Metadata(metadata)).map_err(Stop::Take)?;
            }
        }
        Ok(())
    }

    /// Before rows are walked over: verdicts change what is known of series, and rows borrow it.
    fn judge(&mut self, table: &Table<'_>) {
        for &series in &table.series {
            self.open.verdict(series, self.query);
        }
    }

    fn place(&self) -> BlockPlace {
        BlockPlace { segment: self.open.segment.name.number, tenant: self.head.header.tenant }
    }

    fn arrival(&self, position: u32) -> Arrival {
        let BlockHeader { stamp_ns, worker, sequence, .. } = self.head.header;
        Arrival { stamp_ns, worker, sequence, position }
    }
}

/// What cannot be named of a block.
#[derive(Default)]
pub(super) struct Undefined {
    pub(super) rows: u64,
    pub(super) side_records: u64,
    series: std::collections::BTreeSet<u32>,
}

impl Undefined {
    pub(super) fn see(&mut self, series: u32) {
        self.rows += 1;
        self.series.insert(series);
    }

    pub(super) fn see_all(&mut self, table: &Table<'_>) {
        self.rows += table.series.len() as u64;
        self.series.extend(table.series.iter().map(|s| s.0));
    }

    pub(super) fn loss(&self, offset: u64, sequence: u64) -> LossKind {
        LossKind::Undefined { offset, sequence, rows: self.rows, series: self.series.len() as u64 }
    }

    pub(super) fn side_loss(&self, offset: u64, sequence: u64) -> LossKind {
        LossKind::UndefinedSide { offset, sequence, records: self.side_records }
    }
}
