//! One worker's blocks in order, over all its segments: definitions are gathered, damage is noted, and one block is
//! held ready, its rows not decoded yet.

use std::collections::VecDeque;
use std::io;

use super::definitions::Definitions;
use super::loss::{Loss, LossKind, Losses};
use super::query::Query;
use crate::block::{decode_dictionary, decode_footer};
use crate::bytes::AlignedBuf;
use crate::log::disk::{BlockFile, Files, SystemFile};
use crate::log::{Damage, DamagedPart, Found, LogError, ReadDirectory, Segment, SegmentReader, SegmentState};
use crate::model::{BlockHeader, BlockKind, HEADER_LEN, SeriesId, crc32c};

use super::pages::Pages;

/// A worker's blocks.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) worker: u32,
    queue: VecDeque<Segment>,
    open: Option<Open>,
    /// The number of the last segment that was taken from the queue.
    at: u64,
    head: Option<Head>,
    payload: Vec<u8>,
    /// Blocks up to this sequence are left out; their definitions are not.
    passed: u64,
    /// The highest sequence that was given, or had nothing to give.
    reached: u64,
}

/// A block that is held ready; its payload is the stream's.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) offset: u64,
    pub(super) header: BlockHeader,
}

/// A segment that is being read.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) segment: Segment,
    pub(super) file: SystemFile,
    pub(super) reader: SegmentReader<SystemFile>,
    pub(super) definitions: Definitions,
    /// All that the segment defines is known; else what the blocks read so far define.
    pub(super) complete: bool,
    pub(super) series: Pages<Verdict>,
    /// Retention has taken its name: nothing tells of it any more.
    is_gone: bool,
}

/// Which blocks are to be given.
struct Wanted<'q> {
    query: &'q Query,
    /// Those with nothing but side records, too.
    sides: bool,
    passed: u64,
}

impl Wanted<'_> {
    fn takes(&self, header: &BlockHeader) -> bool {
        header.sequence > self.passed
            && (header.rows > 0 || self.sides)
            && self.query.takes_any(header.time_min_ns, header.time_max_ns)
    }
}

/// What is known of a series.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Verdict {
    /// Not asked yet.
    #[default]
    Unknown,
    /// The query takes it.
    Taken,
    /// The query does not.
    Refused,
    /// Its definition is lost.
    Lost,
}

impl Stream {
    /// The blocks of these segments of one worker.
    pub(super) fn new(worker: u32, segments: impl Iterator<Item = Segment>) -> Stream {
        let mut stream = Stream {
            worker,
            queue: VecDeque::new(),
            open: None,
            at: 0,
            head: None,
            payload: Vec::new(),
            passed: 0,
            reached: 0,
        };
        stream.queue.extend(segments.filter(|s| s.is_closed() || shows_blocks(s) || misses_blocks(s)));
        stream
    }

    /// Leaves out blocks up to `sequence`, before the first one is asked for.
    pub(super) fn pass(&mut self, sequence: u64) {
        self.passed = sequence;
        self.reached = sequence;
        self.queue.retain(|segment| shows_behind(segment, sequence));
    }

    /// The highest sequence that was given, or had nothing to give.
    pub(super) fn reached(&self) -> u64 {
        self.reached
    }

    /// The block that is held ready.
    pub(super) fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// Takes the block that is held ready: head, payload, and the segment that it is in.
    pub(super) fn take(&mut self) -> Option<(Head, &[u8], &mut Open)> {
        let head = self.head.take()?;
        self.reached = self.reached.max(head.header.sequence);
        Some((head, &self.payload, self.open.as_mut()?))
    }

    /// Holds the next block ready that can have rows for `query`, or with `sides` side records, if there is one.
    ///
    /// # Errors
    /// [`LogError::Io`] if a segment cannot be opened.
    pub(super) fn advance(
        &mut self,
        directory: &ReadDirectory,
        query: &Query,
        sides: bool,
        losses: &mut Losses,
    ) -> Result<(), LogError> {
        while self.head.is_none() {
            if let Some(open) = &mut self.open {
                let wanted = Wanted { query, sides, passed: self.passed };
                self.head =
                    open.next_block(directory, &wanted, losses, &mut self.payload, &mut self.reached)?;
                if self.head.is_some() {
                    return Ok(());
                }
                if open.segment.is_closed() || open.is_gone {
                    // Whatever retention does, its storage is not free before it is let go here.
                    self.open = None;
                }
            }
            // One that is being written stays open: more of it may become durable.
            let Some(segment) = self.queue.front() else { return Ok(()) };
            let (number, totals) = (segment.name.number, &segment.totals);
            if !segment.is_closed() || query.takes_any(totals.time_min_ns, totals.time_max_ns) {
                // One that can't be opened now is the next one still.
                if let Some(open) = Open::new(directory, segment.clone())? {
                    self.open = Some(open);
                }
            }
            self.at = number;
            self.queue.pop_front();
        }
        Ok(())
    }

    /// Takes notice of a newer watermark, which is cheaper than a survey; whether there may now be more in the segment
    /// that is being read. Other segments it does not find.
    ///
    /// # Errors
    /// [`LogError::Io`] if the open segment's file can not be looked at.
    pub(super) fn raise(&mut self, durable_sequence: u64) -> Result<bool, LogError> {
        match &mut self.open {
            Some(open) if !open.segment.is_closed() && durable_sequence > self.reached => {
                open.raise(durable_sequence)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Whether the segment that is being read was closed meanwhile, which no watermark tells: it is to be let go.
    pub(super) fn has_ended(&self) -> bool {
        let ended =
            |open: &Open| !open.segment.is_closed() && !open.is_gone && open.segment.has_ended_in(&open.file);
        self.open.as_ref().is_some_and(ended)
    }

    /// Takes notice of what a newer survey shows: `segments` are the worker's.
    ///
    /// # Errors
    /// [`LogError::Io`] if the open segment's file can not be looked at.
    pub(super) fn refresh<'s>(
        &mut self,
        segments: impl Iterator<Item = &'s Segment>,
        live: bool,
    ) -> Result<(), LogError> {
        self.queue.clear();
        let mut is_there = false;
        for segment in segments {
            let number = segment.name.number;
            match &mut self.open {
                Some(open) if open.segment.name.number == number => {
                    open.extend(segment, live)?;
                    is_there = true;
                }
                _ if number > self.at && shows_blocks(segment) && shows_behind(segment, self.passed) => {
                    self.queue.push_back(segment.clone());
                }
                _ => {}
            }
        }
        if let Some(open) = &mut self.open {
            // Only a closed one goes: one that is being written may have more.
            open.is_gone = !is_there && open.segment.has_ended_in(&open.file);
        }
        Ok(())
    }
}

/// Whether there is a block to be seen. What a worker wrote before it, in older segments, is then all there.
fn shows_blocks(segment: &Segment) -> bool {
    segment.totals.blocks > 0 && segment.totals.first_sequence <= segment.limit
}

/// Whether there can be a block above a sequence.
fn shows_behind(segment: &Segment, sequence: u64) -> bool {
    !segment.is_closed() || segment.totals.last_sequence > sequence
}

/// Whether blocks must be there of which no header can be read.
fn misses_blocks(segment: &Segment) -> bool {
    segment.must_have >= segment.expected_first
}

impl Open {
    /// Opens a segment; `None` if retention was faster.
    pub(super) fn new(directory: &ReadDirectory, segment: Segment) -> Result<Option<Open>, LogError> {
        let name = segment.name.to_string();
        let file = match directory.files().open_shared(&name) {
            Ok(file) if segment.is_in(&file) => file,
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LogError::Io { action: "open", path: name.into(), error }),
        };
        let reader = SegmentReader::new(file.clone(), directory.log(), &segment);
        let mut open = Open {
            segment,
            file,
            reader,
            definitions: Definitions::default(),
            complete: false,
            series: Pages::default(),
            is_gone: false,
        };
        open.complete = open.learn_footer().is_some();
        Ok(Some(open))
    }

    /// Takes the definitions out of the footer; `None` if there is none that has them.
    fn learn_footer(&mut self) -> Option<()> {
        let block = read_footer(&self.file, &self.segment)?;
        let footer = decode_footer(footer_payload(&block)?).ok()?;
        let mut definitions = Definitions::default();
        definitions.learn(&footer.dictionary?).ok()?;
        self.definitions = definitions;
        Some(())
    }

    /// Takes the definitions out of all blocks of the segment that can be read.
    pub(super) fn learn_blocks(&mut self, directory: &ReadDirectory) {
        let mut reader = SegmentReader::new(self.file.clone(), directory.log(), &self.segment);
        while let Some(found) = reader.read_next() {
            let Found::Block(block) = found else { continue };
            if let Some(section) = block.dictionary {
                // What is wrong with it is said when the block's turn comes.
                _ = decode_dictionary(section).and_then(|parts| self.definitions.learn(&parts));
            }
        }
        self.complete = true;
        // Series that seemed lost may be known now.
        self.series.clear();
    }

    /// The next block that can have something that is wanted; its payload goes to `payload`. `reached` follows what is
    /// passed over.
    fn next_block(
        &mut self,
        directory: &ReadDirectory,
        wanted: &Wanted<'_>,
        losses: &mut Losses,
        payload: &mut Vec<u8>,
        reached: &mut u64,
    ) -> Result<Option<Head>, LogError> {
        loop {
            let Some(found) = self.reader.read_next() else { return Ok(None) };
            let segment = self.segment.name;
            let (block, damage) = match found {
                Found::Damage(damage) => (None, Some(damage)),
                Found::Block(block) => (Some(block), block.damage().map(without_saved_rows)),
            };
            let mut defines_all = true;
            let sequence = match (&block, &damage) {
                (Some(block), _) => block.header.sequence,
                (None, Some(damage)) => damage.last_sequence,
                (None, None) => 0,
            };
            let head = match block {
                Some(block) if block.header.kind != BlockKind::Footer => {
                    if let Some(section) = block.dictionary
                        && !self.complete
                    {
                        let learned =
                            decode_dictionary(section).and_then(|parts| self.definitions.learn(&parts));
                        if let Err(error) = learned {
                            defines_all = false;
                            let (offset, sequence) = (block.offset, block.header.sequence);
                            let kind = LossKind::Undecodable { offset, sequence, rows: 0, error };
                            losses.push(Loss { segment, kind });
                        }
                    }
                    block.payload.and_then(|bytes| {
                        let header = block.header;
                        wanted.takes(header).then(|| {
                            payload.clear();
                            payload.extend_from_slice(bytes);
                            Head { offset: block.offset, header: header.clone() }
                        })
                    })
                }
                _ => None,
            };
            if let Some(damage) = damage {
                defines_all &= damage.part == DamagedPart::Footer;
                if sequence > wanted.passed || damage.blocks() == 0 {
                    losses.push(Loss { segment, kind: LossKind::Damage(damage) });
                }
            }
            if !defines_all && !self.complete {
                // What was defined in the damaged place may be defined again further on.
                self.learn_blocks(directory);
            }
            if head.is_some() {
                return Ok(head);
            }
            *reached = sequence.max(*reached);
        }
    }

    /// Shows what is durable by now, without looking at other segments. A block that is not sound ends the reading, as
    /// far as is known without [`extend`](Open::extend).
    fn raise(&mut self, durable_sequence: u64) -> Result<(), LogError> {
        let bytes = self.file_bytes()?;
        self.reader.raise(durable_sequence, bytes);
        self.segment.limit = self.segment.limit.max(durable_sequence);
        self.segment.bytes = self.segment.bytes.max(bytes);
        Ok(())
    }

    fn file_bytes(&self) -> Result<u64, LogError> {
        self.file.len().map_err(|error| LogError::Io {
            action: "look at",
            path: self.segment.name.to_string().into(),
            error,
        })
    }

    /// Goes on with what has become durable since.
    fn extend(&mut self, now: &Segment, live: bool) -> Result<(), LogError> {
        let upto = match now.state {
            SegmentState::Open if live => now.limit.min(now.totals.last_sequence),
            SegmentState::Open => now.must_have,
            SegmentState::Closed | SegmentState::Sealed { .. } => now.totals.last_sequence,
        };
        let bytes = self.file_bytes()?;
        self.reader.extend(upto, bytes);
        // What comes now may define more.
        self.complete = false;
        if now.is_closed() {
            self.segment = now.clone();
            return Ok(());
        }
        self.segment.limit = self.segment.limit.max(upto);
        self.segment.must_have = self.segment.must_have.max(upto);
        self.segment.bytes = self.segment.bytes.max(bytes);
        Ok(())
    }
}

/// A damaged dictionary section takes definitions; which rows that costs is told where they are read.
pub(super) fn without_saved_rows(damage: Damage) -> Damage {
    let rows = if damage.part == DamagedPart::Dictionary { 0 } else { damage.rows };
    Damage { rows, ..damage }
}

/// The footer block of a sealed segment, unchecked.
pub(super) fn read_footer(file: &SystemFile, segment: &Segment) -> Option<AlignedBuf> {
    let SegmentState::Sealed { footer_offset, footer_len } = segment.state else { return None };
    // The trailer's word was checked against the file's length.
    let len = usize::try_from(footer_len).ok().filter(|&len| len <= crate::model::BLOCK_BYTES_MAX)?;
    let mut block = AlignedBuf::new();
    block.resize(len);
    (file.read_full_at(&mut block, footer_offset).ok()? == len).then_some(block)
}

/// The payload of a footer block, if it is sound.
pub(super) fn footer_payload(block: &[u8]) -> Option<&[u8]> {
    let header = BlockHeader::decode(block).ok().filter(|h| h.kind == BlockKind::Footer)?;
    let payload = block.get(HEADER_LEN + header.dictionary_len as usize..header.content_len())?;
    (crc32c(payload) == header.payload_crc).then_some(payload)
}

impl Open {
    /// Whether rows of a series are wanted.
    #[inline]
    pub(super) fn verdict(&mut self, series: SeriesId, query: &Query) -> Verdict {
        match self.series.at(series.0) {
            Verdict::Unknown => self.judge(series, query),
            verdict => verdict,
        }
    }

    #[cold]
    fn judge(&mut self, series: SeriesId, query: &Query) -> Verdict {
        let verdict = match (self.definitions.labels(series), &query.series) {
            (None, _) => Verdict::Lost,
            (Some(labels), Some(filter)) if !filter(labels) => Verdict::Refused,
            (Some(_), _) => Verdict::Taken,
        };
        self.series.set(series.0, verdict);
        verdict
    }
}
