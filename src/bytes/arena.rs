//! Byte strings, appended once, found by number, never moved.

use super::{SLAB_BYTES, Slab, read_varint};

/// The longest byte string an [`Arena`] takes.
pub const ARENA_ENTRY_BYTES_MAX: usize = 256 << 10;

/// Byte strings in chunks. Each is a varint length and its bytes; its number is where it starts.
///
/// The first chunks are small and double up to [`SLAB_BYTES`], so that a small arena is small.
#[derive(Default, Debug)]
pub struct Arena {
    chunks: Vec<Slab<u8>>,
    content_bytes: u64,
}

impl Arena {
    /// Appends a byte string and gives its number. `None` if it is too long or 4 GiB are full.
    pub fn push(&mut self, bytes: &[u8]) -> Option<u32> {
        if bytes.len() > ARENA_ENTRY_BYTES_MAX {
            return None;
        }
        let (length, length_len) = encode_length(bytes.len());
        self.content_bytes += bytes.len() as u64;
        self.push_unframed([&length[..length_len], bytes, &[]])
    }

    /// Appends bytes without their length, one part behind the other, and says where they start: who wrote them knows
    /// where they end. `None` if they are too long or 4 GiB are full.
    pub fn push_unframed(&mut self, parts: [&[u8]; 3]) -> Option<u32> {
        let need: usize = parts.iter().map(|part| part.len()).sum();
        if need > ARENA_ENTRY_BYTES_MAX + LENGTH_BYTES_MAX {
            return None;
        }
        if self.chunks.last().is_none_or(|c| c.capacity() - c.len() < need) {
            if self.chunks.len() == CHUNKS_MAX {
                return None;
            }
            let usual = CHUNK_BYTES_MIN << (self.chunks.len() / 2).min(CHUNK_DOUBLINGS);
            self.chunks.push(Slab::with_capacity(usual.max(need)));
        }
        let index = self.chunks.len() - 1;
        let chunk = &mut self.chunks[index];
        let at = (index << CHUNK_BITS | chunk.len()) as u32;
        parts.iter().for_each(|part| chunk.extend(part));
        Some(at)
    }

    /// The byte string of this number.
    ///
    /// # Panics
    /// May panic on a number that [`push`](Arena::push) did not give.
    #[inline]
    pub fn bytes(&self, at: u32) -> &[u8] {
        let mut rest = self.from(at);
        let first = rest[0];
        let len = if first < 0x80 {
            rest = &rest[1..];
            first as usize
        } else {
            read_varint(&mut rest).unwrap_or(0) as usize
        };
        &rest[..len]
    }

    /// What lies from here to the end of its chunk.
    ///
    /// # Panics
    /// May panic on a number that was not given.
    #[inline(always)]
    pub fn from(&self, at: u32) -> &[u8] {
        &self.chunks[at as usize >> CHUNK_BITS][at as usize & (CHUNK_BYTES_MAX - 1)..]
    }

    /// The same, to be changed in place.
    ///
    /// # Panics
    /// May panic on a number that was not given.
    #[inline(always)]
    pub fn from_mut(&mut self, at: u32) -> &mut [u8] {
        &mut self.chunks[at as usize >> CHUNK_BITS][at as usize & (CHUNK_BYTES_MAX - 1)..]
    }

    /// The address of a byte string, for prefetching.
    #[inline]
    pub fn address(&self, at: u32) -> *const u8 {
        self.chunks[at as usize >> CHUNK_BITS].as_ptr().wrapping_add(at as usize & (CHUNK_BYTES_MAX - 1))
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        self.chunks.iter().map(Slab::capacity).sum()
    }

    /// Bytes of the strings alone.
    pub fn content_bytes(&self) -> u64 {
        self.content_bytes
    }
}

/// Bytes of the length before a byte string.
#[inline]
fn varint_len(len: usize) -> usize {
    1 + usize::from(len >= 1 << 7) + usize::from(len >= 1 << 14)
}

/// The varint of a length, and its own length.
#[inline]
fn encode_length(len: usize) -> ([u8; LENGTH_BYTES_MAX], usize) {
    let group = |shift: u32| (len >> shift) as u8;
    match varint_len(len) {
        1 => ([group(0), 0, 0], 1),
        2 => ([group(0) | 0x80, group(7), 0], 2),
        _ => ([group(0) | 0x80, group(7) | 0x80, group(14)], 3),
    }
}

const CHUNK_BITS: usize = SLAB_BYTES.trailing_zeros() as usize;
const CHUNK_BYTES_MAX: usize = SLAB_BYTES;
const CHUNK_DOUBLINGS: usize = 9;
const CHUNK_BYTES_MIN: usize = CHUNK_BYTES_MAX >> CHUNK_DOUBLINGS;
const CHUNKS_MAX: usize = 1 << (32 - CHUNK_BITS);
const LENGTH_BYTES_MAX: usize = 3;
// The longest entry's length fits the bytes kept for it, and the entry a chunk.
const _: () = assert!(ARENA_ENTRY_BYTES_MAX < 1 << (7 * LENGTH_BYTES_MAX));
const _: () = assert!(ARENA_ENTRY_BYTES_MAX + LENGTH_BYTES_MAX <= CHUNK_BYTES_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_keep_their_numbers_over_many_chunks() {
        let mut arena = Arena::default();
        let text = |i: usize| vec![i as u8; (i * 37) % 5000];
        let at: Vec<u32> = (0..3000).map(|i| arena.push(&text(i)).unwrap()).collect();
        for (i, &at) in at.iter().enumerate() {
            assert_eq!(arena.bytes(at), text(i));
            assert!(arena.from_mut(at).len() > text(i).len());
        }
        assert!(arena.memory_bytes() as u64 >= arena.content_bytes());
    }

    #[test]
    fn the_longest_string_fits_and_a_longer_one_is_refused() {
        let mut arena = Arena::default();
        let at = arena.push(&vec![7; ARENA_ENTRY_BYTES_MAX]).unwrap();
        assert_eq!(arena.bytes(at).len(), ARENA_ENTRY_BYTES_MAX);
        assert_eq!(arena.push(&vec![7; ARENA_ENTRY_BYTES_MAX + 1]), None);
    }
}
