//! The header of a block: who wrote it, where it belongs, how long it is, and checksums of its parts.
//!
//! 160 bytes at a 4 KiB boundary, little-endian; `block/format.md` draws them. The header has its own CRC-32C, so
//! that a reader can walk over a block whose payload is damaged.

use crc_fast::CrcAlgorithm;

/// Every block starts on a multiple of this.
pub const BLOCK_ALIGN: usize = 4096;

/// The longest block, padding included. What claims to be longer is damaged.
pub const BLOCK_BYTES_MAX: usize = 64 << 20;

/// The first bytes of a block.
pub const BLOCK_MAGIC: [u8; 8] = *b"\x89TDGBLK\n";

/// The format that this code writes.
pub const FORMAT_VERSION: u16 = 1;

/// Bytes of a block header.
pub const HEADER_LEN: usize = 160;

/// The identity of a log directory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LogId(pub [u8; 16]);

/// What a block is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum BlockKind {
    /// Rows as committed.
    Rows = 1,
    /// Rows of sealed segments, merged.
    Merged = 2,
    /// The footer of a sealed segment.
    Footer = 3,
}

/// A block's header, checksums aside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockHeader {
    /// What the block is.
    pub kind: BlockKind,
    /// The log that it belongs to.
    pub log: LogId,
    /// The worker that wrote it.
    pub worker: u32,
    /// The tenant of all its rows.
    pub tenant: u32,
    /// The segment that it belongs to: a random number, new for each use of a file.
    pub epoch: u64,
    /// Its place in the worker's sequence; never used twice.
    pub sequence: u64,
    /// The highest sequence of this worker that was durable when this block was written.
    pub durable_sequence: u64,
    /// When it was sealed: nanoseconds since the Unix epoch, never decreasing within a worker.
    pub stamp_ns: u64,
    /// The least time of a row or exemplar; above the greatest without either.
    pub time_min_ns: i64,
    /// The greatest time of a row or exemplar.
    pub time_max_ns: i64,
    /// Rows.
    pub rows: u32,
    /// Values, over all rows.
    pub samples: u64,
    /// Bytes of the dictionary section, right behind the header.
    pub dictionary_len: u32,
    /// Bytes of the payload, right behind the dictionary section.
    pub payload_len: u32,
    /// CRC-32C of the dictionary section.
    pub dictionary_crc: u32,
    /// CRC-32C of the payload.
    pub payload_crc: u32,
}

/// Why bytes are not a block header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeaderError {
    /// No magic number, a bad checksum or an impossible length: not a header, or a damaged one.
    Damaged,
    /// A sound header of a version or kind that this code does not know.
    Newer {
        /// The version it says.
        version: u16,
    },
}

impl BlockHeader {
    /// Bytes of the block without padding.
    pub fn content_len(&self) -> usize {
        HEADER_LEN + self.dictionary_len as usize + self.payload_len as usize
    }

    /// Bytes of the block on disk, padding included.
    pub fn block_len(&self) -> usize {
        self.content_len().next_multiple_of(BLOCK_ALIGN)
    }

    /// The header's bytes, its checksum included.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0u8; HEADER_LEN];
        out[0..8].copy_from_slice(&BLOCK_MAGIC);
        out[8..10].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        out[10] = self.kind as u8;
        // 11: flags, none defined: bits 0-3 a reader may ignore, bits 4-7 it must know
        out[12..16].copy_from_slice(&(HEADER_LEN as u32).to_le_bytes());
        out[16..32].copy_from_slice(&self.log.0);
        out[32..36].copy_from_slice(&self.worker.to_le_bytes());
        out[36..40].copy_from_slice(&self.tenant.to_le_bytes());
        out[40..48].copy_from_slice(&self.epoch.to_le_bytes());
        out[48..56].copy_from_slice(&self.sequence.to_le_bytes());
        out[56..64].copy_from_slice(&self.durable_sequence.to_le_bytes());
        out[64..72].copy_from_slice(&self.stamp_ns.to_le_bytes());
        out[72..80].copy_from_slice(&self.time_min_ns.to_le_bytes());
        out[80..88].copy_from_slice(&self.time_max_ns.to_le_bytes());
        out[88..96].copy_from_slice(&self.samples.to_le_bytes());
        out[96..100].copy_from_slice(&self.rows.to_le_bytes());
        out[100..104].copy_from_slice(&self.dictionary_len.to_le_bytes());
        out[104..108].copy_from_slice(&self.payload_len.to_le_bytes());
        out[108..112].copy_from_slice(&self.dictionary_crc.to_le_bytes());
        out[112..116].copy_from_slice(&self.payload_crc.to_le_bytes());
        // 116..156: reserved, zero
        let crc = crc32c(&out[..HEADER_LEN - 4]);
        out[HEADER_LEN - 4..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a header off the front of `bytes`.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn decode(bytes: &[u8]) -> Result<BlockHeader, HeaderError> {
        let bytes: &[u8; HEADER_LEN] =
            bytes.get(..HEADER_LEN).and_then(|b| b.try_into().ok()).ok_or(HeaderError::Damaged)?;
        if bytes[..8] != BLOCK_MAGIC || crc32c(&bytes[..HEADER_LEN - 4]) != le_u32(bytes, HEADER_LEN - 4) {
            return Err(HeaderError::Damaged);
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        let kind = match bytes[10] {
            1 => BlockKind::Rows,
            2 => BlockKind::Merged,
            3 => BlockKind::Footer,
            _ => return Err(HeaderError::Newer { version }),
        };
        if version != FORMAT_VERSION || le_u32(bytes, 12) as usize != HEADER_LEN || bytes[11] >> 4 != 0 {
            return Err(HeaderError::Newer { version });
        }
        let mut log = LogId::default();
        log.0.copy_from_slice(&bytes[16..32]);
        let header = BlockHeader {
            kind,
            log,
            worker: le_u32(bytes, 32),
            tenant: le_u32(bytes, 36),
            epoch: le_u64(bytes, 40),
            sequence: le_u64(bytes, 48),
            durable_sequence: le_u64(bytes, 56),
            stamp_ns: le_u64(bytes, 64),
            time_min_ns: le_u64(bytes, 72) as i64,
            time_max_ns: le_u64(bytes, 80) as i64,
            samples: le_u64(bytes, 88),
            rows: le_u32(bytes, 96),
            dictionary_len: le_u32(bytes, 100),
            payload_len: le_u32(bytes, 104),
            dictionary_crc: le_u32(bytes, 108),
            payload_crc: le_u32(bytes, 112),
        };
        let len = HEADER_LEN as u64 + u64::from(header.dictionary_len) + u64::from(header.payload_len);
        if len.next_multiple_of(BLOCK_ALIGN as u64) > BLOCK_BYTES_MAX as u64 {
            Err(HeaderError::Damaged)
        } else {
            Ok(header)
        }
    }
}

/// CRC-32C (Castagnoli), the checksum of every part of the format.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

fn le_u32(bytes: &[u8; HEADER_LEN], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn le_u64(bytes: &[u8; HEADER_LEN], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

impl std::fmt::Debug for LogId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Display for LogId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> BlockHeader {
        BlockHeader {
            kind: BlockKind::Rows,
            log: LogId(*b"0123456789abcdef"),
            worker: 3,
            tenant: 0,
            epoch: 0x1122_3344_5566_7788,
            sequence: 42,
            durable_sequence: 41,
            stamp_ns: 1_700_000_000_000_000_000,
            time_min_ns: -5,
            time_max_ns: 7,
            rows: 10,
            samples: 100,
            dictionary_len: 33,
            payload_len: 5000,
            dictionary_crc: 1,
            payload_crc: 2,
        }
    }

    #[test]
    fn a_header_round_trips_and_says_its_length() {
        let header = example();
        assert_eq!(BlockHeader::decode(&header.encode()), Ok(header.clone()));
        assert_eq!(header.block_len(), 8192);
    }

    #[test]
    fn a_flipped_bit_anywhere_is_damage() {
        let good = example().encode();
        for bit in 0..HEADER_LEN * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(BlockHeader::decode(&bad), Err(HeaderError::Damaged), "bit {bit}");
        }
    }

    #[test]
    fn crc32c_is_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }
}
