//! Reading a segment: its blocks in order, and what is missing between them.
//!
//! Here the rule of tear or damage is applied. A bad block with a sequence that some block or trailer calls durable
//! is damage: it is named, and reading goes on behind it. A bad block with a higher sequence was being written when
//! the machine stopped, and nobody was told that it is safe: the segment ends there.

use super::disk::BlockFile;
use super::survey::{Segment, SegmentState};
use super::walk::{Owner, Step, Walk};
use crate::bytes::AlignedBuf;
use crate::model::{BlockHeader, BlockKind, HEADER_LEN, LogId, crc32c};

/// A block of a segment.
#[derive(Clone, Copy, Debug)]
pub struct Block<'a> {
    /// Where it starts in the file.
    pub offset: u64,
    /// Its header.
    pub header: &'a BlockHeader,
    /// Its dictionary section; `None` if that is damaged.
    pub dictionary: Option<&'a [u8]>,
    /// Its payload; `None` if that is damaged.
    pub payload: Option<&'a [u8]>,
}

/// What part of a segment is damaged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DamagedPart {
    /// The segment's first page. Its blocks are not concerned.
    SegmentHeader,
    /// Whole blocks: their headers cannot be read.
    Blocks,
    /// A block's dictionary section.
    Dictionary,
    /// A block's payload.
    Payload,
    /// Both sections of a block.
    Content,
    /// The end of the segment: blocks that must be there are not.
    Tail,
    /// The footer. No row is lost.
    Footer,
    /// The zeros behind a block's content. Nothing is lost.
    Padding,
}

/// Damage to a segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// Where it starts in the file.
    pub offset: u64,
    /// Bytes concerned.
    pub len: u64,
    /// What it hit.
    pub part: DamagedPart,
    /// The lowest sequence lost in part or as a whole.
    pub first_sequence: u64,
    /// The highest one; below `first_sequence` if no block is concerned.
    pub last_sequence: u64,
    /// Rows known to be lost: those of blocks whose header can still be read.
    pub rows: u64,
}

/// What [`SegmentReader::read_next`] found.
#[derive(Clone, Debug)]
pub enum Found<'a> {
    /// A block, perhaps with a damaged section: see [`Block::damage`]. Footers come, too.
    Block(Block<'a>),
    /// Bytes that should be blocks, and are not.
    Damage(Damage),
}

/// Reads a segment from its first block on.
#[derive(Debug)]
pub struct SegmentReader<F> {
    walk: Walk<F>,
    file: F,
    /// Blocks up to here must be in the segment, and be sound.
    must_have: u64,
    /// Blocks up to here were said to be durable, wherever the file ends.
    acknowledged: u64,
    /// Blocks above this are not shown.
    limit: u64,
    open: bool,
    footer_offset: Option<u64>,
    previous: u64,
    held: Option<(u64, BlockHeader)>,
    header: Option<BlockHeader>,
    buf: AlignedBuf,
    torn: Option<u64>,
    over: bool,
}

impl<F: BlockFile> SegmentReader<F> {
    /// A reader of `segment`, as a survey found it, in `file`.
    pub fn new(file: F, log: LogId, segment: &Segment) -> SegmentReader<F> {
        let owner = Owner { log, worker: segment.name.worker, epoch: segment.epoch };
        SegmentReader {
            walk: Walk::new(file.clone(), owner, segment.blocks_end()),
            file,
            must_have: segment.must_have,
            acknowledged: segment.acknowledged,
            limit: segment.limit,
            open: segment.state == SegmentState::Open,
            footer_offset: match segment.state {
                SegmentState::Sealed { footer_offset, .. } => Some(footer_offset),
                _ => None,
            },
            previous: segment.expected_first.saturating_sub(1),
            held: None,
            header: None,
            buf: AlignedBuf::new(),
            torn: None,
            over: false,
        }
    }

    /// The next block or damage; `None` at the end.
    ///
    /// Memory is bounded by the longest block that fits into the file, 64 MiB at most.
    ///
    /// What the disk refuses to read shows as damage, or as the end.
    pub fn read_next(&mut self) -> Option<Found<'_>> {
        if self.over {
            return None;
        }
        let (offset, header) = match self.held.take() {
            Some(held) => held,
            None => match self.walk.step() {
                Step::Block { offset, header } => (offset, header),
                Step::Gap { offset, len } => return self.gap(offset, len).map(Found::Damage),
                Step::End { offset, len } => return self.tail(offset, len).map(Found::Damage),
            },
        };
        self.block(offset, header)
    }

    /// The block at `offset`, where a footer says that one is; for who needs only some. `None` if there is no sound
    /// header of this segment. Does not move what [`read_next`](SegmentReader::read_next) reads.
    pub fn read_block(&mut self, offset: u64) -> Option<Block<'_>> {
        let header = self.walk.block_at(offset)?;
        let (dictionary, payload) = self.load(offset, &header);
        Some(self.show(offset, header, dictionary, payload))
    }

    /// The payload of the footer; `None` if the segment has none, or it is damaged.
    pub fn read_footer(&mut self) -> Option<&[u8]> {
        let offset = self.footer_offset?;
        self.read_block(offset).filter(|b| b.header.kind == BlockKind::Footer)?.payload
    }

    /// Bytes without a block before a block: damage, or a tear and so the end.
    fn gap(&mut self, offset: u64, len: u64) -> Option<Damage> {
        let first_sequence = self.previous + 1;
        let Step::Block { offset: next_offset, header } = self.walk.step() else {
            unreachable!("a gap ends at a block");
        };
        if self.open && (first_sequence > self.must_have || header.sequence > self.limit) {
            self.tear(offset);
            return None;
        }
        // A footer repeats the last block's sequence.
        let last_sequence = header.sequence - u64::from(header.kind != BlockKind::Footer);
        self.previous = self.previous.max(last_sequence);
        let part = DamagedPart::Blocks;
        self.held = Some((next_offset, header));
        Some(Damage { offset, len, part, first_sequence, last_sequence, rows: 0 })
    }

    /// No block from here on: the plain end, unless there must be more.
    fn tail(&mut self, offset: u64, len: u64) -> Option<Damage> {
        self.over = true;
        let first_sequence = self.previous + 1;
        let last_sequence = self.must_have;
        let said = first_sequence <= self.acknowledged;
        let part = match (self.open && !said, first_sequence <= last_sequence, len) {
            // A start that could not write a trailer, the disk being full, cut the file behind its last block.
            (true, true, 0) => return None,
            // Nobody writes, and the file ends where no writer would have ended it.
            (true, false, _) if self.limit == u64::MAX && self.walk.is_cut_at(offset) => {
                self.torn = Some(offset);
                return None;
            }
            (_, true, _) => DamagedPart::Tail,
            // Closed segments have no bytes to spare: what is left was the footer.
            (false, false, 1..) => DamagedPart::Footer,
            _ => return None,
        };
        Some(Damage { offset, len, part, first_sequence, last_sequence, rows: 0 })
    }

    fn block(&mut self, offset: u64, header: BlockHeader) -> Option<Found<'_>> {
        let footer = header.kind == BlockKind::Footer;
        if self.open && header.sequence > self.limit {
            // Not durable yet: to be looked at again when the watermark has moved.
            self.held = Some((offset, header));
            return None;
        }
        let (dictionary, payload) = self.load(offset, &header);
        if self.open && !(dictionary && payload) {
            if footer {
                // Its writer was about to close the segment. All blocks have been seen.
                self.tear(offset);
                self.torn = None;
                return None;
            }
            if header.sequence > self.must_have {
                self.tear(offset);
                return None;
            }
        }
        self.previous = self.previous.max(header.sequence);
        Some(Found::Block(self.show(offset, header, dictionary, payload)))
    }

    /// What was loaded, without the sections that are not sound.
    fn show(&mut self, offset: u64, header: BlockHeader, dictionary: bool, payload: bool) -> Block<'_> {
        let header = self.header.insert(header);
        let payload_at = HEADER_LEN + header.dictionary_len as usize;
        let dictionary = dictionary.then(|| &self.buf[HEADER_LEN..payload_at]);
        let payload = payload.then(|| &self.buf[payload_at..header.content_len()]);
        Block { offset, header, dictionary, payload }
    }

    /// Reads a block and says which of its sections, dictionary and payload, are sound.
    fn load(&mut self, offset: u64, header: &BlockHeader) -> (bool, bool) {
        self.buf.resize(header.content_len());
        let read = self.file.read_full_at(&mut self.buf, offset).unwrap_or(0);
        if read < self.buf.len() {
            return (false, false);
        }
        let payload_at = HEADER_LEN + header.dictionary_len as usize;
        let dictionary = crc32c(&self.buf[HEADER_LEN..payload_at]) == header.dictionary_crc;
        let payload = crc32c(&self.buf[payload_at..]) == header.payload_crc;
        (dictionary, payload)
    }

    /// What is wrong with the zeros behind a block's content. Reading does not ask: this is for who names every damaged
    /// byte. Of a block that was [read](SegmentReader::read_next) the sections are no more.
    pub fn check_padding(&mut self, offset: u64, header: &BlockHeader) -> Option<Damage> {
        let offset = offset + header.content_len() as u64;
        self.buf.resize(header.block_len() - header.content_len());
        let read = self.file.read_full_at(&mut self.buf, offset).unwrap_or(0);
        if read == self.buf.len() && self.buf.iter().all(|&byte| byte == 0) {
            return None;
        }
        let (len, part) = (self.buf.len() as u64, DamagedPart::Padding);
        // No block is concerned.
        let (first_sequence, last_sequence) = (header.sequence + 1, header.sequence);
        Some(Damage { offset, len, part, first_sequence, last_sequence, rows: 0 })
    }

    /// The end, for now: in a segment that is being written it may be a block soon.
    fn tear(&mut self, offset: u64) {
        self.torn = Some(offset);
        self.over = true;
        self.walk.rewind(offset);
    }

    /// Raises the watermark of a segment that is being written: blocks up to it may be read now.
    pub fn extend(&mut self, durable_sequence: u64, file_bytes: u64) {
        self.limit = self.limit.max(durable_sequence);
        self.must_have = self.must_have.max(durable_sequence);
        self.walk.extend(file_bytes);
        self.torn = None;
        self.over = false;
    }

    /// As [`extend`](SegmentReader::extend), where it is not known whether all blocks up to the watermark are in this
    /// segment: a block that is not sound is not called damage yet.
    pub fn raise(&mut self, durable_sequence: u64, file_bytes: u64) {
        self.limit = self.limit.max(durable_sequence);
        self.walk.extend(file_bytes);
        self.torn = None;
        self.over = false;
    }

    /// Where the torn tail starts that ended the segment, if one did.
    pub fn torn_at(&self) -> Option<u64> {
        self.torn
    }
}

impl Block<'_> {
    /// What is wrong with it, if anything.
    pub fn damage(&self) -> Option<Damage> {
        let footer = self.header.kind == BlockKind::Footer;
        let part = match (self.dictionary.is_some(), self.payload.is_some()) {
            (true, true) => return None,
            _ if footer => DamagedPart::Footer,
            (false, true) => DamagedPart::Dictionary,
            (true, false) => DamagedPart::Payload,
            (false, false) => DamagedPart::Content,
        };
        Some(Damage {
            offset: self.offset,
            len: self.header.block_len() as u64,
            part,
            first_sequence: self.header.sequence + u64::from(footer),
            last_sequence: self.header.sequence,
            rows: u64::from(self.header.rows),
        })
    }
}

impl Damage {
    /// Blocks lost in part or as a whole.
    pub fn blocks(&self) -> u64 {
        (self.last_sequence + 1).saturating_sub(self.first_sequence)
    }
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.part {
            DamagedPart::SegmentHeader => "segment header",
            DamagedPart::Blocks => "block header",
            DamagedPart::Dictionary => "dictionary section",
            DamagedPart::Payload => "payload",
            DamagedPart::Content => "whole block",
            DamagedPart::Tail => "end of the segment",
            DamagedPart::Footer => "footer",
            DamagedPart::Padding => "padding",
        };
        write!(f, "damaged {what} at byte {}, {} bytes", self.offset, self.len)?;
        match self.blocks() {
            0 => Ok(()),
            1 => write!(f, ", sequence {}", self.first_sequence),
            _ => write!(f, ", sequences {} to {}", self.first_sequence, self.last_sequence),
        }
    }
}
