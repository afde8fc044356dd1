//! A page: what a target said last, line by line, and which series its lines are.
//!
//! A body in protobuf has no lines: what stands for them are the keys of its samples. What the samples of a metric
//! share stands in the text once, behind what is the first one's own.

use crate::model::{Intake, MetricType, Series, ShapeId};

use super::super::Syntax;
use super::super::protobuf::split_key;
use super::Format;

/// What a target said last: its body, 28 bytes a line, and nothing else.
#[derive(Debug)]
pub struct Page {
    pub(super) format: Format,
    /// The body; of a body in protobuf its keys and what it says of metrics, one after the other. A page that is not
    /// live has none.
    pub(super) text: Vec<u8>,
    /// It, line by line, without a gap.
    pub(super) lines: Vec<Line>,
    /// The intake's epoch that the lines' keys are of.
    pub(super) epoch: u64,
    /// The epoch in which all of its metadata was told.
    pub(super) told: u64,
    /// Its series have not been marked stale since.
    pub(super) live: bool,
    /// The keys that bodies had which were not taken since, and the page has not; sorted.
    pub(super) failed: Vec<u32>,
    /// The text that is being taken up, if it is a long one: until it is whole the page is what it was.
    coming: Vec<u8>,
    /// Of the metric whose lines were adopted last: its first line there, and here.
    adopted: Option<(u32, u32)>,
}

/// A line of a body, or several without a sample. Packed: a worker goes through millions of them, and a word aligned to
/// eight bytes would make each four bytes longer.
#[derive(Clone, Copy, PartialEq, Debug)]
#[repr(C, packed(4))]
pub(super) struct Line {
    /// Where it starts; it ends where the next one does.
    pub(super) start: u32,
    /// Bytes of its name and labels, with which it starts, if it is [`Line::PLAIN`]. Of a body in protobuf the first
    /// line of its metric.
    pub(super) key_len: u32,
    /// The intake's number for its key, or [`NO_KEY`].
    pub(super) key: u32,
    /// What the key spells, as the intake numbers it: its [`identity`](Intake::identity), or [`NO_SERIES`].
    pub(super) series: u32,
    /// What the last `TYPE` up to it says.
    pub(super) kind: MetricType,
    pub(super) flags: u16,
    /// The bits of its value; of a native histogram its place on the scraper's heap. Of metadata: whether it is to be
    /// told.
    pub(super) value_bits: u64,
}

/// Of lines without a sample, and of samples for whose series there is no room.
pub(super) const NO_KEY: u32 = u32::MAX;

/// Of lines without a sample, of samples for whose series there is no room, and of those that the rewrite drops.
pub(super) const NO_SERIES: u32 = u32::MAX;

/// What a key spells, as the intake numbers it, or [`NO_SERIES`].
pub(super) fn spelled<I: Intake>(key: u32, intake: &I) -> u32 {
    let series = (key != NO_KEY).then_some(Series { key, shape: ShapeId::NONE });
    series.and_then(|series| intake.identity(series)).unwrap_or(NO_SERIES)
}

impl Line {
    /// A sample.
    pub(super) const SAMPLE: u16 = 1;
    /// A key, a blank, and a value behind it.
    pub(super) const PLAIN: u16 = 2;
    /// It has a time of its own.
    pub(super) const TIMED: u16 = 4;
    /// Its series has come before.
    pub(super) const TWICE: u16 = 8;
    /// The rewrite drops its series.
    pub(super) const DROPPED: u16 = 16;
    /// It is read anew each time: what it means depends on other lines.
    pub(super) const ANEW: u16 = 32;
    /// `# EOF`
    pub(super) const EOF: u16 = 64;
    /// Its value is a native histogram.
    pub(super) const NATIVE: u16 = 128;
    /// Its text is the key itself, not what the target said.
    pub(super) const KEYED: u16 = 256;
    /// Of a body in protobuf: no line of its own but the exemplars of the sample before it, each with its length.
    pub(super) const EXEMPLARS: u16 = 512;
    /// Its time is too far ahead or out of range: neither its row nor its exemplars are taken.
    pub(super) const AHEAD: u16 = 1024;
    /// Its key was known before, though nothing of the line is taken.
    pub(super) const KNOWN: u16 = 2048;
    /// Its key has come before, and it has no time of its own.
    pub(super) const REPEATED: u16 = 4096;
    /// It is a histogram of too many buckets, which fails the body unless the rewrite drops it.
    pub(super) const OVER: u16 = 8192;

    pub(super) fn has(&self, flags: u16) -> bool {
        self.flags & flags != 0
    }

    /// Whether it is metadata, comments, blank lines.
    pub(super) fn is_header(&self) -> bool {
        !self.has(Line::SAMPLE | Line::ANEW | Line::EOF | Line::EXEMPLARS)
    }

    /// Whether it is a row of one float, of a series that is taken.
    #[inline]
    pub(super) fn is_value(&self) -> bool {
        self.flags & (Line::SAMPLE | Line::TWICE | Line::NATIVE) == Line::SAMPLE && self.series != NO_SERIES
    }

    /// Whether it is one of the samples that there may be so many of. As in Prometheus each key is, whatever the
    /// rewrite makes of it.
    pub(super) fn is_limited(&self) -> bool {
        self.has(Line::SAMPLE) && !self.has(Line::DROPPED | Line::REPEATED) && self.key != NO_KEY
    }

    /// Whether its key is known from now on.
    pub(super) fn is_known(&self) -> bool {
        let is_taken = !self.has(Line::DROPPED | Line::AHEAD) || self.has(Line::KNOWN);
        self.has(Line::SAMPLE) && is_taken && self.key != NO_KEY
    }

    /// Whether a stale marker must follow once its series is gone. `timed`: also after times of the target's own.
    pub(super) fn is_tracked(&self, timed: bool) -> bool {
        self.has(Line::SAMPLE)
            && !self.has(Line::DROPPED | Line::TWICE | Line::AHEAD)
            && self.key != NO_KEY
            && (timed || !self.has(Line::TIMED))
    }
}

impl Default for Page {
    fn default() -> Page {
        Page {
            format: Format::Lines(Syntax::Text),
            text: Vec::new(),
            lines: Vec::new(),
            epoch: 0,
            told: 0,
            live: false,
            failed: Vec::new(),
            coming: Vec::new(),
            adopted: None,
        }
    }
}

impl Page {
    /// The page of a target that has said nothing yet.
    pub fn new() -> Page {
        Page::default()
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        let texts = self.text.capacity() + self.coming.capacity();
        texts + self.lines.capacity() * size_of::<Line>() + self.failed.capacity() * size_of::<u32>()
    }

    /// Whether the target's last scrape was good: there are series that are not marked stale.
    pub fn is_live(&self) -> bool {
        self.live
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.lines.clear();
        self.adopted = None;
    }

    /// Its series are marked stale: of them no more is kept than which they were, as long as their numbers are good.
    pub(super) fn die(&mut self) {
        self.live = false;
        (self.text, self.coming) = (Vec::new(), Vec::new());
    }

    /// Fills `key` with that of a line of a body in protobuf.
    pub(super) fn write_key(&self, line: usize, key: &mut Vec<u8>) {
        let first = self.lines[line].key_len as usize;
        key.clear();
        key.extend_from_slice(split_key(self.bytes(line)).0);
        key.extend_from_slice(split_key(self.bytes(first)).1);
    }

    /// Where a line ends.
    pub(super) fn end(&self, line: usize) -> usize {
        self.lines.get(line + 1).map_or(self.text.len(), |next| next.start as usize)
    }

    /// The bytes of a line.
    pub(super) fn bytes(&self, line: usize) -> &[u8] {
        &self.text[self.lines[line].start as usize..self.end(line)]
    }

    /// What the last `TYPE` before a line says.
    pub(super) fn kind_before(&self, line: usize) -> MetricType {
        line.checked_sub(1).map_or(MetricType::Unknown, |before| self.lines[before].kind)
    }

    /// Exchanges the text for what the target says now, if that takes no more memory than it must: a body that is far
    /// smaller than the memory that it came in is to be [copied](Page::copy).
    pub(super) fn exchange(&mut self, body: &mut Vec<u8>) -> bool {
        let suits = body.capacity() <= body.len() + body.len() / SLACK_PART;
        if suits {
            std::mem::swap(&mut self.text, body);
        }
        suits
    }

    /// Takes up the text of what the target says now, a piece at a time: from where on is the answer of the call
    /// before, first 0. None once all of it is taken.
    pub(super) fn copy(&mut self, from: usize, text: &[u8]) -> Option<usize> {
        if text.len() > PIECE_BYTES {
            if from == 0 {
                self.coming = Vec::new();
                self.coming.reserve_exact(text.len());
            }
            let upto = text.len().min(from + PIECE_BYTES);
            self.coming.extend_from_slice(&text[from..upto]);
            if upto < text.len() {
                return Some(upto);
            }
            self.text = std::mem::take(&mut self.coming);
        } else {
            self.text.clear();
            self.text.reserve_exact(text.len());
            self.text.extend_from_slice(text);
        }
        None
    }

    /// The text was taken up: these are its lines.
    pub(super) fn settle(&mut self, format: Format, lines: &[Line], epoch: u64) {
        self.lines.clear();
        self.lines.reserve_exact(lines.len());
        self.lines.extend_from_slice(lines);
        // A body that was once far longer is no reason to hold so much for ever.
        if self.text.capacity() > 2 * self.text.len() {
            self.text.shrink_to_fit();
            self.lines.shrink_to_fit();
        }
        (self.format, self.epoch, self.live) = (format, epoch, true);
        self.failed = Vec::new();
    }

    /// A body was not taken that has these keys, and the page has not: next time they are not new. As in Prometheus
    /// those of earlier ones are forgotten once there are too many.
    pub(super) fn remember_failed(&mut self, keys: &[u64]) {
        if self.failed.len() + keys.len() > 2 * self.lines.len() + FAILED_KEYS {
            self.failed.clear();
        }
        self.failed.extend(keys.iter().map(|&key| key as u32));
        self.failed.sort_unstable();
        self.failed.dedup();
    }

    /// Appends a line of another page of the same format.
    pub(super) fn adopt(&mut self, other: &Page, line: usize) {
        let start = self.text.len() as u32;
        let mut adopted = Line { start, ..other.lines[line] };
        if other.format == Format::Protobuf {
            let first = adopted.key_len;
            self.text.extend_from_slice(split_key(other.bytes(line)).0);
            if self.adopted.is_none_or(|(there, _)| there != first) {
                self.text.extend_from_slice(split_key(other.bytes(first as usize)).1);
                self.adopted = Some((first, self.lines.len() as u32));
            }
            adopted.key_len = self.adopted.map_or(0, |(_, here)| here);
        } else {
            self.text.extend_from_slice(other.bytes(line));
        }
        self.lines.push(adopted);
    }
}

/// A text's memory may be longer than the text by this part of it.
const SLACK_PART: usize = 8;

/// Keys of bodies that were not taken, besides twice as many as there are in the page, that are remembered beyond those
/// of the last one.
const FAILED_KEYS: usize = 1000;

/// Bytes of a text that are taken up at a time.
const PIECE_BYTES: usize = 4 << 20;

const _: () = assert!(size_of::<Line>() == 28);
