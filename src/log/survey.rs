//! Which segments there are, and what must be in them.
//!
//! A closed segment says it in its trailer. An open one is walked by its blocks' headers; what it must hold follows
//! from all segments of its worker together: blocks up to the highest sequence that any header calls durable, and
//! below the first of the next segment.

use super::disk::{Access, BlockFile, COMMITS_IN_FLIGHT_MAX, Files};
use super::error::LogError;
use super::reader::{Damage, DamagedPart};
use super::segment::{PageError, SEGMENT_PAGE, SegmentHeader, SegmentName, Totals, Trailer};
use super::walk::{Owner, Step, Walk};
use crate::model::LogId;

/// How a segment ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SegmentState {
    /// It did not: it is being written, or its writer stopped without closing it.
    Open,
    /// With a trailer, but no footer.
    Closed,
    /// With a footer.
    Sealed {
        /// Where the footer block starts.
        footer_offset: u64,
        /// Its bytes, header and padding included.
        footer_len: u64,
    },
}

/// A segment as found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Worker and number.
    pub name: SegmentName,
    /// Bytes of the file.
    pub bytes: u64,
    /// How it ended.
    pub state: SegmentState,
    /// Its header; `None` if that is damaged.
    pub header: Option<SegmentHeader>,
    /// Its epoch; `None` if neither header nor blocks tell.
    pub epoch: Option<u64>,
    /// What it holds. For an open one, by the headers that can be read.
    pub totals: Totals,
    /// Sequences below this are used up.
    pub sequence_floor: u64,
    /// The highest sequence that it calls durable.
    pub durable_sequence: u64,
    /// No block of it has a lower sequence.
    pub expected_first: u64,
    /// Blocks up to this sequence must be there.
    pub must_have: u64,
    /// Of `must_have`, what a writer said to be durable that is gone: a file may not even have room for it.
    pub acknowledged: u64,
    /// Blocks above this sequence are not to be shown: the watermark, in a directory that is being written.
    pub limit: u64,
}

impl Segment {
    /// Where the blocks end, footer included, and nothing but unused bytes or the trailer follows.
    pub(super) fn blocks_end(&self) -> u64 {
        match self.state {
            SegmentState::Open => self.bytes,
            SegmentState::Closed | SegmentState::Sealed { .. } => self.bytes - SEGMENT_PAGE as u64,
        }
    }

    /// The damage to its header, if there is any.
    pub fn header_damage(&self) -> Option<Damage> {
        self.header.is_none().then_some(Damage {
            offset: 0,
            len: SEGMENT_PAGE as u64,
            part: DamagedPart::SegmentHeader,
            first_sequence: 1,
            last_sequence: 0,
            rows: 0,
        })
    }

    /// Whether it is its header and nothing else, which remembers the sequence: retention has taken its blocks.
    pub fn has_no_room(&self) -> bool {
        self.bytes == SEGMENT_PAGE as u64
    }

    /// Whether it ended properly and changes no more.
    pub fn is_closed(&self) -> bool {
        self.state != SegmentState::Open
    }

    /// Whether `file`, opened and locked since, still has it: of some segments retention leaves the header.
    pub(crate) fn is_in<F: BlockFile>(&self, file: &F) -> bool {
        // An open one may have been closed, and its unused end cut off.
        let least = if self.is_closed() { self.bytes } else { self.bytes.min(SEGMENT_PAGE as u64 + 1) };
        // What can't be looked at is for reading to find out.
        file.len().map_or(true, |bytes| bytes >= least)
    }

    /// Whether `file`, in which it was open, has got its trailer since.
    pub(crate) fn has_ended_in<F: BlockFile>(&self, file: &F) -> bool {
        let trailer = file.len().ok().and_then(|bytes| trailer(file, bytes));
        trailer.is_some_and(|trailer| self.epoch.is_none_or(|epoch| epoch == trailer.epoch))
    }
}

/// Blocks that no segment of a worker holds, though others tell of them: a file is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Missing {
    /// The worker.
    pub worker: u32,
    /// The segment before the place; `None` if the worker has none left.
    pub after: Option<SegmentName>,
    /// The lowest sequence that is missing, about: up to [`COMMITS_IN_FLIGHT_MAX`] for each number of a segment may
    /// never have been written.
    pub first_sequence: u64,
    /// The highest one.
    pub last_sequence: u64,
}

impl Missing {
    /// Blocks that are missing, at most.
    pub fn blocks(&self) -> u64 {
        (self.last_sequence + 1).saturating_sub(self.first_sequence)
    }
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.after {
            Some(after) => write!(f, "{after}: segments behind it are missing")?,
            None => write!(f, "worker {}: its segments are missing", self.worker)?,
        }
        write!(f, ", sequences {} to {}", self.first_sequence, self.last_sequence)
    }
}

/// What a directory of segments holds.
#[derive(Clone, Default, Debug)]
pub struct Survey {
    /// The segments, by worker and number.
    pub segments: Vec<Segment>,
    /// Files with a segment's name that belong to another log, or hold nothing that says so.
    pub foreign: Vec<SegmentName>,
    /// Places where a segment's file is gone. Retention leaves none: it takes the oldest.
    pub missing: Vec<Missing>,
}

impl Survey {
    /// Looks at all segments of `log`, or at those of one worker.
    ///
    /// # Errors
    /// [`LogError::Newer`] if a segment uses features unknown here; [`LogError::Io`] if the directory cannot be
    /// listed or a file cannot be opened. Damage is no error.
    pub fn take<S: Files>(files: &S, log: LogId, worker: Option<u32>) -> Result<Survey, LogError> {
        let mut names: Vec<SegmentName> = files
            .list()
            .map_err(LogError::io("list", files.place()))?
            .iter()
            .filter_map(|name| SegmentName::parse(name))
            .filter(|name| worker.is_none_or(|w| w == name.worker))
            .collect();
        names.sort_unstable();
        let mut survey = Survey::default();
        let mut gone = Vec::new();
        for name in names {
            match inspect(files, log, name, true)? {
                Inspected::Ours(segment) => survey.segments.push(*segment),
                Inspected::Foreign => survey.foreign.push(name),
                Inspected::Gone => gone.push(name),
            }
        }
        survey.expect();
        survey.find_missing(&gone);
        Ok(survey)
    }

    /// The workers that have segments.
    pub fn workers(&self) -> impl Iterator<Item = u32> + '_ {
        self.segments.chunk_by(|a, b| a.name.worker == b.name.worker).map(|s| s[0].name.worker)
    }

    /// In a directory that another process writes: hides what is above a worker's watermark.
    pub fn limit(&mut self, worker: u32, durable_sequence: u64) {
        for segment in self.segments.iter_mut().filter(|s| s.name.worker == worker) {
            segment.limit = durable_sequence;
            if segment.state == SegmentState::Open {
                segment.must_have = segment.must_have.min(durable_sequence);
            }
        }
    }

    /// In a directory that nobody writes: what its last writer said to be durable of a worker's log must be there.
    pub fn expect_durable(&mut self, worker: u32, durable_sequence: u64) {
        let mut segments: Vec<&mut Segment> =
            self.segments.iter_mut().filter(|s| s.name.worker == worker).collect();
        // Those behind the newest one with blocks were prepared and never used.
        if let Some(newest) = segments.iter_mut().rfind(|s| s.totals.blocks > 0)
            && newest.state == SegmentState::Open
        {
            newest.must_have = newest.must_have.max(durable_sequence);
            newest.acknowledged = durable_sequence;
            return;
        }
        let first_sequence = segments.iter().map(|s| s.sequence_floor).max().unwrap_or(1);
        let (after, last_sequence) = (segments.last().map(|s| s.name), durable_sequence);
        if first_sequence <= last_sequence {
            self.missing.push(Missing { worker, after, first_sequence, last_sequence });
        }
    }

    /// Looks for sequences between two segments that nothing explains. Each number of a segment explains some: those
    /// under way at a failure or a crash, after which a new one was begun. `gone`: removed while this looked.
    fn find_missing(&mut self, gone: &[SegmentName]) {
        let with_blocks: Vec<&Segment> = self.segments.iter().filter(|s| s.totals.blocks > 0).collect();
        for pair in with_blocks.windows(2) {
            let (before, behind) = (pair[0], pair[1]);
            let (a, b) = (before.name, behind.name);
            // What was not closed stays when retention takes what lies behind it.
            if a.worker != b.worker || !before.is_closed() || gone.iter().any(|name| a < *name && *name < b) {
                continue;
            }
            let floor = before.sequence_floor.max(before.totals.last_sequence + 1);
            let explained = (b.number - a.number).saturating_mul(COMMITS_IN_FLIGHT_MAX as u64);
            if behind.totals.first_sequence > floor.saturating_add(explained) {
                self.missing.push(Missing {
                    worker: a.worker,
                    after: Some(a),
                    first_sequence: floor,
                    last_sequence: behind.totals.first_sequence - 1,
                });
            }
        }
    }

    /// Works out what must be in each segment.
    fn expect(&mut self) {
        for segments in self.segments.chunk_by_mut(|a, b| a.name.worker == b.name.worker) {
            let durable = segments.iter().map(|s| s.durable_sequence).max().unwrap_or(0);
            let mut last = 0;
            for segment in segments.iter_mut() {
                segment.expected_first = match segment.state {
                    SegmentState::Open => {
                        segment.header.as_ref().map_or(0, |h| h.sequence_floor).max(last + 1)
                    }
                    _ => segment.totals.first_sequence,
                };
                last = last.max(segment.totals.last_sequence);
            }
            let mut next_first = u64::MAX;
            for segment in segments.iter_mut().rev() {
                segment.must_have = match segment.state {
                    SegmentState::Open => durable.min(next_first - 1),
                    _ => segment.totals.last_sequence,
                };
                if segment.totals.blocks > 0 {
                    next_first = segment.totals.first_sequence.max(1);
                }
            }
        }
    }
}

pub(super) enum Inspected {
    Ours(Box<Segment>),
    Foreign,
    Gone,
}

/// Looks at one segment, and through the blocks of an open one if `walk` says so. What must be in it is left to
/// [`Survey::take`].
pub(super) fn inspect<S: Files>(
    files: &S,
    log: LogId,
    name: SegmentName,
    walk: bool,
) -> Result<Inspected, LogError> {
    let path = name.to_string();
    let file = match files.open(&path, Access::Read) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Inspected::Gone),
        Err(e) => return Err(LogError::io("open", path)(e)),
    };
    let bytes = file.len().map_err(LogError::io("look at", &path))?;
    let header = match read_page(&file, 0).map_or(Err(PageError::Damaged), |p| SegmentHeader::decode(&p)) {
        Ok(header) => Some(header),
        Err(PageError::Damaged) => None,
        Err(PageError::Newer { version, incompatible }) => {
            let found = format!("version {version}, features {incompatible:#x}");
            return Err(LogError::Newer { path: path.into(), found });
        }
    };
    if header.as_ref().is_some_and(|h| h.log != log || h.name != name) {
        return Ok(Inspected::Foreign);
    }
    let epoch = header.as_ref().map(|h| h.epoch);
    let floor = header.as_ref().map_or(1, |h| h.sequence_floor.max(1));
    let created_ns = header.as_ref().map_or(0, |h| h.created_ns);
    let mut segment = Segment {
        name,
        bytes,
        state: SegmentState::Open,
        header,
        epoch,
        totals: Totals::empty(floor, created_ns),
        sequence_floor: floor,
        durable_sequence: 0,
        expected_first: 0,
        must_have: 0,
        acknowledged: 0,
        limit: u64::MAX,
    };
    match trailer(&file, bytes).filter(|t| epoch.is_none_or(|e| e == t.epoch)) {
        Some(trailer) => {
            segment.epoch = Some(trailer.epoch);
            segment.totals = trailer.totals;
            segment.sequence_floor = segment.sequence_floor.max(trailer.sequence_floor);
            segment.durable_sequence = trailer.totals.last_sequence;
            segment.state = match trailer.footer_len {
                0 => SegmentState::Closed,
                footer_len => SegmentState::Sealed { footer_offset: trailer.footer_offset, footer_len },
            };
        }
        None if walk => walk_headers(&mut segment, file, log),
        None => {}
    }
    // A page of zeros has a name only: nothing in it says that it is ours.
    let ours = segment.header.is_some() || segment.epoch.is_some();
    Ok(if ours { Inspected::Ours(Box::new(segment)) } else { Inspected::Foreign })
}

fn walk_headers<F: BlockFile>(segment: &mut Segment, file: F, log: LogId) {
    let owner = Owner { log, worker: segment.name.worker, epoch: segment.epoch };
    let mut walk = Walk::new(file, owner, segment.bytes);
    loop {
        match walk.step() {
            Step::Block { header, .. } => {
                segment.durable_sequence = segment.durable_sequence.max(header.durable_sequence);
                if header.kind != crate::model::BlockKind::Footer {
                    segment.totals.add(&header);
                }
            }
            Step::Gap { .. } => {}
            Step::End { .. } => break,
        }
    }
    segment.epoch = walk.owner.epoch;
    segment.sequence_floor = segment.sequence_floor.max(segment.totals.last_sequence + 1);
}

/// The trailer at the end of a file, if it can be true.
fn trailer<F: BlockFile>(file: &F, bytes: u64) -> Option<Trailer> {
    let at = bytes.checked_sub(SEGMENT_PAGE as u64).filter(|&at| at >= SEGMENT_PAGE as u64)?;
    let trailer = Trailer::decode(&read_page(file, at)?).ok()?;
    (trailer.footer_offset.checked_add(trailer.footer_len) == Some(at)).then_some(trailer)
}

fn read_page<F: BlockFile>(file: &F, offset: u64) -> Option<[u8; SEGMENT_PAGE]> {
    let mut page = [0; SEGMENT_PAGE];
    (file.read_full_at(&mut page, offset).ok()? == SEGMENT_PAGE).then_some(page)
}
