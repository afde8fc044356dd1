//! Verifying: every byte that matters is read, every block decoded, and what is wrong is named.
//!
//! ```text
//! for each segment:
//!     definitions = footer's, and those of all blocks that can be read
//!     for each block: header and checksums (the log does that), dictionary, tables, times within the header's
//!                     range, every series, field and metric defined
//!     for the footer: its list of blocks is what was found
//! ```

use super::loss::{Loss, LossKind};
use super::query::Query;
use super::row::TableWalk;
use super::rows::Undefined;
use super::stream::{Open, Verdict, footer_payload, read_footer, without_saved_rows};
use crate::block::{
    BlockEntry, DecodeError, Exemplars, Part, Table, decode_dictionary, decode_footer, decode_rows,
};
use crate::log::{Damage, DamagedPart, Found, LogError, Missing, ReadDirectory, SegmentName, Survey};
use crate::model::{BlockHeader, BlockKind, SeriesId};

/// Something worth saying of a directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finding {
    /// Damage.
    Loss(Loss),
    /// A file with a segment's name that does not belong to the log, or in which nothing says so any more.
    Foreign(SegmentName),
    /// Segments that are gone.
    Missing(Missing),
    /// A torn tail: what was being written when the writer stopped, and nobody was told that it is safe. The next
    /// start cuts it. It is no damage.
    Torn {
        /// In which segment.
        segment: SegmentName,
        /// Where it starts in the file.
        offset: u64,
    },
}

/// What a verification came to.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Verified {
    /// Segments read.
    pub segments: u64,
    /// Blocks of rows found.
    pub blocks: u64,
    /// Rows that can be read.
    pub rows: u64,
    /// Bytes of the segments.
    pub bytes: u64,
    /// Damaged places.
    pub damaged: u64,
    /// Rows known to be lost.
    pub rows_lost: u64,
    /// More rows may be lost: those of blocks whose headers are, and no footer tells how many they had.
    pub rows_unknown: bool,
}

impl Finding {
    /// Whole segments that are lost, as a survey shows them before any is read.
    pub fn of_survey(survey: &Survey) -> impl Iterator<Item = Finding> + '_ {
        let foreign = survey.foreign.iter().map(|&name| Finding::Foreign(name));
        foreign.chain(survey.missing.iter().map(|&missing| Finding::Missing(missing)))
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Finding::Loss(loss) => loss.fmt(f),
            Finding::Foreign(segment) => {
                write!(f, "{segment}: nothing in it says that it belongs to this log")
            }
            Finding::Missing(missing) => missing.fmt(f),
            Finding::Torn { segment, offset } => write!(
                f,
                "{segment}: torn tail from byte {offset}: never acknowledged, no damage, cut at the next start"
            ),
        }
    }
}

/// Verifies the segments of a survey; `done` is told the bytes read so far.
pub(super) fn verify<E: From<LogError>>(
    directory: &ReadDirectory,
    survey: &Survey,
    mut tell: impl FnMut(Finding) -> Result<(), E>,
    mut done: impl FnMut(u64),
) -> Result<Verified, E> {
    let mut verified = Verified::default();
    for finding in Finding::of_survey(survey) {
        verified.damaged += 1;
        verified.rows_unknown = true;
        tell(finding)?;
    }
    for segment in &survey.segments {
        let Some(open) = Open::new(directory, segment.clone())? else { continue };
        let mut check =
            Check { open, footer: None, found: Vec::new(), verified: &mut verified, tell: &mut tell };
        check.segment(directory, &mut done)?;
        verified.segments += 1;
        verified.bytes += segment.bytes;
    }
    Ok(verified)
}

/// A segment that is verified.
struct Check<'v, F> {
    open: Open,
    /// The blocks that the footer lists, if it can be read.
    footer: Option<Vec<BlockEntry>>,
    /// Offset, sequence and rows of the blocks found.
    found: Vec<(u64, u64, u32)>,
    verified: &'v mut Verified,
    tell: &'v mut F,
}

impl<E: From<LogError>, F: FnMut(Finding) -> Result<(), E>> Check<'_, F> {
    fn segment(&mut self, directory: &ReadDirectory, done: &mut impl FnMut(u64)) -> Result<(), E> {
        let segment = self.open.segment.clone();
        self.footer = listed_blocks(&self.open);
        if segment.header.is_none() {
            self.loss(LossKind::Damage(header_damage()))?;
        }
        self.open.learn_blocks(directory);
        if self.open.definitions.conflicts > 0 {
            self.undecodable(0, 0, 0, DecodeError::Damaged("numbers that are defined twice, and not alike"))?;
        }
        // Blocks are copied out of the reader: checking them needs the segment's definitions.
        let mut copy = Copied::default();
        while copy.next(&mut self.open) {
            if let Some(damage) = copy.damage.take() {
                self.damage(damage)?;
            }
            if let Some(header) = copy.header.take() {
                self.block(&header, &copy)?;
                done(self.verified.bytes + copy.offset + header.block_len() as u64);
            }
        }
        if let Some(offset) = self.open.reader.torn_at() {
            (self.tell)(Finding::Torn { segment: segment.name, offset })?;
        }
        Ok(())
    }

    fn damage(&mut self, mut damage: Damage) -> Result<(), E> {
        if matches!(damage.part, DamagedPart::Blocks | DamagedPart::Tail) {
            match &self.footer {
                Some(blocks) => {
                    let lost = damage.first_sequence..=damage.last_sequence;
                    let lost = blocks.iter().filter(|b| lost.contains(&b.sequence));
                    damage.rows = lost.map(|b| u64::from(b.rows)).sum();
                }
                None => self.verified.rows_unknown |= damage.blocks() > 0,
            }
        }
        self.loss(LossKind::Damage(damage))
    }

    fn block(&mut self, header: &BlockHeader, copy: &Copied) -> Result<(), E> {
        if header.kind == BlockKind::Footer {
            return self.footer(header, copy);
        }
        let (offset, sequence) = (copy.offset, header.sequence);
        self.verified.blocks += 1;
        self.found.push((offset, sequence, header.rows));
        if let Some(section) = &copy.dictionary
            && let Err(error) =
                decode_dictionary(section).and_then(|parts| self.open.definitions.learn(&parts))
        {
            self.undecodable(offset, sequence, 0, error)?;
        }
        let Some(payload) = &copy.payload else { return Ok(()) };
        let mut rows = RowsCheck { open: &mut self.open, header, read: 0, undefined: Undefined::default() };
        let checked =
            decode_rows(header, payload).and_then(|block| block.for_each_part(|part| rows.part(part)));
        let RowsCheck { read, undefined, .. } = rows;
        self.verified.rows += read;
        if undefined.rows > 0 {
            self.loss(undefined.loss(offset, sequence))?;
        }
        if undefined.side_records > 0 {
            self.loss(undefined.side_loss(offset, sequence))?;
        }
        match checked {
            Ok(()) => Ok(()),
            Err(error) => {
                let rows = u64::from(header.rows).saturating_sub(read + undefined.rows);
                self.undecodable(offset, sequence, rows, error)
            }
        }
    }

    fn footer(&mut self, header: &BlockHeader, copy: &Copied) -> Result<(), E> {
        let Some(payload) = &copy.payload else { return Ok(()) };
        let listed = |blocks: &[BlockEntry], &(offset, sequence, rows): &(u64, u64, u32)| {
            blocks.iter().any(|b| (b.offset, b.sequence, b.rows) == (offset, sequence, rows))
        };
        match decode_footer(payload) {
            Err(error) => self.undecodable(copy.offset, header.sequence, 0, error),
            Ok(footer) if self.found.iter().all(|found| listed(&footer.blocks, found)) => Ok(()),
            Ok(_) => {
                let error = DecodeError::Damaged("the footer does not list all blocks as they are");
                self.undecodable(copy.offset, header.sequence, 0, error)
            }
        }
    }

    fn undecodable(&mut self, offset: u64, sequence: u64, rows: u64, error: DecodeError) -> Result<(), E> {
        self.loss(LossKind::Undecodable { offset, sequence, rows, error })
    }

    fn loss(&mut self, kind: LossKind) -> Result<(), E> {
        let loss = Loss { segment: self.open.segment.name, kind };
        self.verified.damaged += 1;
        self.verified.rows_lost += loss.rows();
        (self.tell)(Finding::Loss(loss))
    }
}

/// Checks the rows and side records of one block.
struct RowsCheck<'c> {
    open: &'c mut Open,
    header: &'c BlockHeader,
    read: u64,
    undefined: Undefined,
}

impl RowsCheck<'_> {
    fn part(&mut self, part: Part<'_, '_>) -> Result<(), DecodeError> {
        match part {
            Part::Rows(table) => self.table(table),
            Part::Exemplars(exemplars) => self.exemplars(exemplars),
            Part::Metadata(table) => {
                let lost = table.names.iter().filter(|&&name| self.open.definitions.symbol(name).is_none());
                self.undefined.side_records += lost.count() as u64;
                Ok(())
            }
        }
    }

    fn exemplars(&mut self, exemplars: &Exemplars<'_>) -> Result<(), DecodeError> {
        let table = &exemplars.table;
        self.times(table)?;
        let named = TableWalk::new(table, &self.open.definitions).is_some();
        let lost = |&&series: &&SeriesId| !named || self.open.definitions.labels(series).is_none();
        self.undefined.side_records += table.series.iter().filter(lost).count() as u64;
        Ok(())
    }

    fn times(&self, table: &Table<'_>) -> Result<(), DecodeError> {
        let range = self.header.time_min_ns..=self.header.time_max_ns;
        match table.times.iter().all(|time| range.contains(time)) {
            true => Ok(()),
            false => Err(DecodeError::Damaged("a time outside the range that the header gives")),
        }
    }

    fn table(&mut self, table: &Table<'_>) -> Result<(), DecodeError> {
        self.times(table)?;
        if TableWalk::new(table, &self.open.definitions).is_none() {
            self.undefined.see_all(table);
            return Ok(());
        }
        for &series in &table.series {
            match self.open.verdict(series, &Query::default()) {
                Verdict::Lost => self.undefined.see(series.0),
                _ => self.read += 1,
            }
        }
        Ok(())
    }
}

/// A block or damage, taken out of the reader.
#[derive(Default)]
struct Copied {
    offset: u64,
    header: Option<BlockHeader>,
    damage: Option<Damage>,
    dictionary: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
}

impl Copied {
    fn next(&mut self, open: &mut Open) -> bool {
        match open.reader.read_next() {
            None => return false,
            Some(Found::Damage(damage)) => self.damage = Some(damage),
            Some(Found::Block(block)) => {
                self.offset = block.offset;
                self.header = Some(block.header.clone());
                self.damage = block.damage().map(without_saved_rows);
                self.dictionary = block.dictionary.map(<[u8]>::to_vec);
                self.payload = block.payload.map(<[u8]>::to_vec);
                if let (None, Some(header)) = (&self.damage, &self.header) {
                    self.damage = open.reader.check_padding(self.offset, header);
                }
            }
        }
        true
    }
}

fn listed_blocks(open: &Open) -> Option<Vec<BlockEntry>> {
    let block = read_footer(&open.file, &open.segment)?;
    Some(decode_footer(footer_payload(&block)?).ok()?.blocks)
}

fn header_damage() -> Damage {
    Damage {
        offset: 0,
        len: crate::log::SEGMENT_PAGE as u64,
        part: DamagedPart::SegmentHeader,
        first_sequence: 1,
        last_sequence: 0,
        rows: 0,
    }
}
