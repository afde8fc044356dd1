//! A cursor's file: two slots that are written in turn, so that a torn write costs the newer one alone.
//!
//! ```text
//! slot (8192 bytes, little-endian), twice
//!   0   8  magic "\x89TDGCUR\n"
//!   8   2  version, 1
//!  10   2  zero
//!  12   4  n, positions
//!  16  16  the log's identity
//!  32   8  revision: the higher one of two sound slots counts
//!  40   8  blocks lost, ever
//!  48   8  rows lost, ever
//!  56   8  bytes of what was lost
//!  64 16n  for each worker, by number: worker (4), zero (4), sequence (8)
//!   .   4  CRC-32C of all before it; zeros follow
//! ```
//!
//! `block/format.md` has the rest of the directory.

use super::{Positions, Tally};
use crate::log::live::LIVE_WORKERS_MAX;
use crate::model::{LogId, crc32c};

/// Bytes of a slot.
pub(super) const SLOT_BYTES: usize = 8192;

/// Slots of a file.
pub(super) const SLOTS: usize = 2;

/// Positions that a slot has room for.
pub(super) const POSITIONS_MAX: usize = (SLOT_BYTES - HEAD_BYTES - 4) / POSITION_BYTES;

/// What a slot holds.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Slot {
    pub(super) revision: u64,
    pub(super) positions: Positions,
    pub(super) lost: Tally,
}

/// What a slot's bytes are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Decoded {
    Sound(Slot),
    /// Torn, damaged, or never written.
    Damaged,
    /// Of another log.
    Foreign,
    /// Of a version that this code does not know.
    Newer(u16),
}

impl Slot {
    /// The slot's bytes. There are at most [`POSITIONS_MAX`] positions.
    pub(super) fn encode(&self, log: LogId) -> Vec<u8> {
        assert!(self.positions.len() <= POSITIONS_MAX, "the store refuses more");
        let mut out = Vec::with_capacity(SLOT_BYTES);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&(self.positions.len() as u32).to_le_bytes());
        out.extend_from_slice(&log.0);
        for word in [self.revision, self.lost.blocks, self.lost.rows, self.lost.bytes] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        for (worker, sequence) in self.positions.iter() {
            out.extend_from_slice(&worker.to_le_bytes());
            out.extend_from_slice(&[0; 4]);
            out.extend_from_slice(&sequence.to_le_bytes());
        }
        out.extend_from_slice(&crc32c(&out).to_le_bytes());
        out.resize(SLOT_BYTES, 0);
        out
    }

    /// Reads a slot.
    pub(super) fn decode(bytes: &[u8], log: LogId) -> Decoded {
        let (Some(head), true) = (bytes.get(..HEAD_BYTES), bytes.len() <= SLOT_BYTES) else {
            return Decoded::Damaged;
        };
        let count = le_u32(&head[12..]) as usize;
        let end = HEAD_BYTES + count.min(POSITIONS_MAX) * POSITION_BYTES;
        let Some(crc) = bytes.get(end..end + 4) else { return Decoded::Damaged };
        if head[..8] != MAGIC || count > POSITIONS_MAX || crc32c(&bytes[..end]) != le_u32(crc) {
            return Decoded::Damaged;
        }
        let version = u16::from_le_bytes([head[8], head[9]]);
        if version != VERSION {
            return Decoded::Newer(version);
        }
        if head[16..32] != log.0 {
            return Decoded::Foreign;
        }
        let position = |p: &[u8]| (le_u32(p), le_u64(&p[8..]));
        Decoded::Sound(Slot {
            revision: le_u64(&head[32..]),
            positions: bytes[HEAD_BYTES..end].chunks_exact(POSITION_BYTES).map(position).collect(),
            lost: Tally {
                blocks: le_u64(&head[40..]),
                rows: le_u64(&head[48..]),
                bytes: le_u64(&head[56..]),
            },
        })
    }
}

fn le_u32(bytes: &[u8]) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[..4]);
    u32::from_le_bytes(word)
}

fn le_u64(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[..8]);
    u64::from_le_bytes(word)
}

const MAGIC: [u8; 8] = *b"\x89TDGCUR\n";
const VERSION: u16 = 1;
const HEAD_BYTES: usize = 64;
const POSITION_BYTES: usize = 16;

// A worker that an engine may have, has room.
const _: () = assert!(LIVE_WORKERS_MAX as usize <= POSITIONS_MAX);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LOG: LogId = LogId(*b"cursors-slot-log");

    fn slots() -> impl Strategy<Value = Slot> {
        let positions = prop::collection::vec((any::<u32>(), any::<u64>()), 0..20);
        (any::<u64>(), positions, any::<[u64; 3]>()).prop_map(
            |(revision, positions, [blocks, rows, bytes])| Slot {
                revision,
                positions: positions.into_iter().collect(),
                lost: Tally { blocks, rows, bytes },
            },
        )
    }

    proptest! {
        #[test]
        fn a_slot_is_read_as_it_was_written_and_a_changed_bit_is_damage(
            slot in slots(),
            bit in any::<prop::sample::Index>(),
        ) {
            let bytes = slot.encode(LOG);
            prop_assert_eq!(bytes.len(), SLOT_BYTES);
            prop_assert_eq!(Slot::decode(&bytes, LOG), Decoded::Sound(slot.clone()));
            prop_assert_eq!(Slot::decode(&bytes, LogId::default()), Decoded::Foreign);
            let mut bad = bytes;
            let bit = bit.index((HEAD_BYTES + slot.positions.len() * POSITION_BYTES + 4) * 8);
            bad[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Slot::decode(&bad, LOG), Decoded::Damaged);
        }

        #[test]
        fn any_bytes_have_an_answer(bytes: Vec<u8>) {
            prop_assert_eq!(Slot::decode(&bytes, LOG), Decoded::Damaged);
        }
    }

    #[test]
    fn a_slot_has_room_for_every_worker() {
        let positions = (0..POSITIONS_MAX as u32).map(|worker| (worker, u64::MAX)).collect();
        let slot = Slot { positions, ..Slot::default() };
        assert_eq!(Slot::decode(&slot.encode(LOG), LOG), Decoded::Sound(slot));
    }
}
