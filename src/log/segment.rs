//! A segment file's name, its first page (the header) and its last (the trailer). `block/format.md` draws them.
//!
//! A file without a trailer of its own epoch is open: it was being written when the process or the machine stopped,
//! or is being written now. With one, the segment is closed, and the trailer says what it held, so that damage to
//! its end is seen. With a footer, too, it is sealed: it can be read without anything beside it.

use crate::bytes::AlignedBuf;
use crate::model::{BLOCK_ALIGN, FORMAT_VERSION, HEADER_LEN, LogId, crc32c};

/// Bytes before the first block, and bytes of the trailer.
pub const SEGMENT_PAGE: usize = BLOCK_ALIGN;

/// Where a segment belongs: readable in its file's name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SegmentName {
    /// The worker that wrote it.
    pub worker: u32,
    /// Its place among the worker's segments, from 1.
    pub number: u64,
}

impl SegmentName {
    /// Reads a file's name; `None` if it is not a segment's.
    pub fn parse(name: &str) -> Option<SegmentName> {
        let (worker, number) = name.strip_prefix('w')?.strip_suffix(".seg")?.split_once('-')?;
        let parsed = SegmentName { worker: worker.parse().ok()?, number: number.parse().ok()? };
        (parsed.to_string() == name).then_some(parsed)
    }
}

impl std::fmt::Display for SegmentName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "w{:03}-{:010}.seg", self.worker, self.number)
    }
}

/// The first page of a segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentHeader {
    /// Features that a reader may ignore.
    pub compatible: u64,
    /// The log that it belongs to.
    pub log: LogId,
    /// Its worker and number.
    pub name: SegmentName,
    /// The random number that its blocks repeat; tells them from what the file held before.
    pub epoch: u64,
    /// When the file was prepared, nanoseconds since the Unix epoch.
    pub created_ns: u64,
    /// No block in it has a lower sequence. Keeps sequences from coming back when no block is left to show them.
    pub sequence_floor: u64,
}

/// Why a page is not a segment header or trailer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PageError {
    /// No magic number, or a bad checksum.
    Damaged,
    /// Sound, but of a version or with features that this code does not know.
    Newer {
        /// Its version.
        version: u16,
        /// Its incompatible feature bits.
        incompatible: u64,
    },
}

impl SegmentHeader {
    /// The page's bytes.
    pub fn encode(&self) -> AlignedBuf {
        let mut page = AlignedBuf::new();
        page.resize(SEGMENT_PAGE);
        page[0..8].copy_from_slice(&SEGMENT_MAGIC);
        page[8..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        page[12..16].copy_from_slice(&self.name.worker.to_le_bytes());
        page[16..24].copy_from_slice(&self.compatible.to_le_bytes());
        // 24..32: incompatible features, none defined
        page[32..48].copy_from_slice(&self.log.0);
        page[48..56].copy_from_slice(&self.epoch.to_le_bytes());
        page[56..64].copy_from_slice(&self.name.number.to_le_bytes());
        page[64..72].copy_from_slice(&self.created_ns.to_le_bytes());
        page[72..80].copy_from_slice(&self.sequence_floor.to_le_bytes());
        finish(&mut page);
        page
    }

    /// Reads the page.
    ///
    /// # Errors
    /// [`PageError`].
    pub fn decode(page: &[u8]) -> Result<SegmentHeader, PageError> {
        check(page, SEGMENT_MAGIC)?;
        let version = u16::from_le_bytes([page[8], page[9]]);
        let incompatible = le_u64(page, 24);
        if version != FORMAT_VERSION || incompatible != 0 {
            return Err(PageError::Newer { version, incompatible });
        }
        let mut log = LogId::default();
        log.0.copy_from_slice(&page[32..48]);
        Ok(SegmentHeader {
            compatible: le_u64(page, 16),
            log,
            name: SegmentName { worker: le_u64(page, 8).wrapping_shr(32) as u32, number: le_u64(page, 56) },
            epoch: le_u64(page, 48),
            created_ns: le_u64(page, 64),
            sequence_floor: le_u64(page, 72),
        })
    }
}

/// The last page of a closed segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trailer {
    /// Where the footer block starts; the end of the blocks if there is none.
    pub footer_offset: u64,
    /// Bytes of the footer block, header and padding included; 0 if the segment was closed without a footer.
    pub footer_len: u64,
    /// The segment's epoch.
    pub epoch: u64,
    /// Sequences below this are used up, be it by blocks that failed and are not in the segment.
    pub sequence_floor: u64,
    /// What the segment holds.
    pub totals: Totals,
}

/// What the blocks of a segment add up to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Totals {
    /// The lowest sequence in it; above `last_sequence` if there is no block.
    pub first_sequence: u64,
    /// The highest sequence that it holds or should hold.
    pub last_sequence: u64,
    /// The highest arrival stamp.
    pub last_stamp_ns: u64,
    /// Blocks.
    pub blocks: u64,
    /// Rows.
    pub rows: u64,
    /// Values, over all rows.
    pub samples: u64,
    /// The least time of a row or exemplar; above the greatest without either.
    pub time_min_ns: i64,
    /// The greatest time of a row or exemplar.
    pub time_max_ns: i64,
}

impl Totals {
    /// Nothing yet; the next block has this sequence or a higher one.
    pub fn empty(next_sequence: u64, stamp_ns: u64) -> Totals {
        Totals {
            first_sequence: next_sequence,
            last_sequence: next_sequence - 1,
            last_stamp_ns: stamp_ns,
            blocks: 0,
            rows: 0,
            samples: 0,
            time_min_ns: i64::MAX,
            time_max_ns: i64::MIN,
        }
    }

    /// Counts a block.
    pub fn add(&mut self, header: &crate::model::BlockHeader) {
        if self.blocks == 0 {
            self.first_sequence = header.sequence;
        }
        self.last_sequence = self.last_sequence.max(header.sequence);
        self.last_stamp_ns = self.last_stamp_ns.max(header.stamp_ns);
        self.blocks += 1;
        self.rows += u64::from(header.rows);
        self.samples = self.samples.saturating_add(header.samples);
        // Without rows and exemplars the least is above the greatest.
        if header.time_min_ns <= header.time_max_ns {
            self.time_min_ns = self.time_min_ns.min(header.time_min_ns);
            self.time_max_ns = self.time_max_ns.max(header.time_max_ns);
        }
    }
}

impl Trailer {
    /// Appends the page to `out`.
    pub fn encode(&self, out: &mut AlignedBuf) {
        let start = out.len();
        out.resize(start + SEGMENT_PAGE);
        let page = &mut out[start..];
        let t = &self.totals;
        page[0..8].copy_from_slice(&TRAILER_MAGIC);
        let words = [
            self.footer_offset,
            self.footer_len,
            self.epoch,
            self.sequence_floor,
            t.first_sequence,
            t.last_sequence,
            t.last_stamp_ns,
            t.blocks,
            t.rows,
            t.samples,
            t.time_min_ns as u64,
            t.time_max_ns as u64,
        ];
        for (place, word) in page[8..].chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        finish(page);
    }

    /// Reads the page.
    ///
    /// # Errors
    /// [`PageError::Damaged`].
    pub fn decode(page: &[u8]) -> Result<Trailer, PageError> {
        check(page, TRAILER_MAGIC)?;
        Ok(Trailer {
            footer_offset: le_u64(page, 8),
            footer_len: le_u64(page, 16),
            epoch: le_u64(page, 24),
            sequence_floor: le_u64(page, 32),
            totals: Totals {
                first_sequence: le_u64(page, 40),
                last_sequence: le_u64(page, 48),
                last_stamp_ns: le_u64(page, 56),
                blocks: le_u64(page, 64),
                rows: le_u64(page, 72),
                samples: le_u64(page, 80),
                time_min_ns: le_u64(page, 88) as i64,
                time_max_ns: le_u64(page, 96) as i64,
            },
        })
    }
}

fn finish(page: &mut [u8]) {
    let crc = crc32c(&page[..CRC_AT]);
    page[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
}

fn check(page: &[u8], magic: [u8; 8]) -> Result<(), PageError> {
    let sound = page.len() == SEGMENT_PAGE
        && page[..8] == magic
        && page[CRC_AT..] == crc32c(&page[..CRC_AT]).to_le_bytes();
    if sound { Ok(()) } else { Err(PageError::Damaged) }
}

fn le_u64(page: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&page[at..at + 8]);
    u64::from_le_bytes(word)
}

const SEGMENT_MAGIC: [u8; 8] = *b"\x89TDGSEG\n";
const TRAILER_MAGIC: [u8; 8] = *b"\x89TDGEND\n";
const CRC_AT: usize = SEGMENT_PAGE - 4;
const _: () = assert!(HEADER_LEN <= SEGMENT_PAGE);

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            compatible: 5,
            log: LogId(*b"0123456789abcdef"),
            name: SegmentName { worker: 7, number: 42 },
            epoch: u64::MAX - 3,
            created_ns: 11,
            sequence_floor: 99,
        }
    }

    #[test]
    fn names_round_trip_and_others_are_refused() {
        let name = SegmentName { worker: 3, number: 17 };
        assert_eq!(name.to_string(), "w003-0000000017.seg");
        assert_eq!(SegmentName::parse(&name.to_string()), Some(name));
        let big = SegmentName { worker: 12_345, number: 99_999_999_999 };
        assert_eq!(SegmentName::parse(&big.to_string()), Some(big));
        for bad in ["w3-17.seg", "w003-0000000017.tmp", "spare-1", "w003-+000000017.seg", "", "w-.seg"] {
            assert_eq!(SegmentName::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn pages_round_trip_and_any_flipped_byte_is_damage() {
        let page = header().encode();
        assert_eq!(SegmentHeader::decode(&page), Ok(header()));
        let mut totals = Totals::empty(9, 8);
        totals.rows = 3;
        let trailer = Trailer { footer_offset: 4096, footer_len: 8192, epoch: 5, sequence_floor: 6, totals };
        let mut end = AlignedBuf::new();
        trailer.encode(&mut end);
        assert_eq!(Trailer::decode(&end), Ok(trailer));
        for at in 0..SEGMENT_PAGE {
            let mut bad = page.to_vec();
            bad[at] ^= 0x10;
            assert_eq!(SegmentHeader::decode(&bad), Err(PageError::Damaged), "byte {at}");
            let mut bad = end.to_vec();
            bad[at] ^= 0x10;
            assert_eq!(Trailer::decode(&bad), Err(PageError::Damaged), "byte {at}");
        }
    }

    #[test]
    fn unknown_incompatible_features_are_newer() {
        let mut page = header().encode();
        page[24] = 2;
        finish(&mut page);
        assert_eq!(SegmentHeader::decode(&page), Err(PageError::Newer { version: 1, incompatible: 2 }));
    }
}
