//! Byte strings, appended once, found by number, never moved.

use super::read_varint;

/// The longest byte string an [`Arena`] takes.
pub const ARENA_ENTRY_BYTES_MAX: usize = 256 << 10;

/// Byte strings in chunks. Each is a varint length and its bytes; its number is where it starts.
///
/// The first chunks are small and double up to 1 MiB, so that a small arena is small.
#[derive(Default, Debug)]
pub struct Arena {
    chunks: Vec<Vec<u8>>,
    content_bytes: u64,
}

impl Arena {
    /// Appends a byte string and gives its number. `None` if it is too long or 4 GiB are full.
    pub fn push(&mut self, bytes: &[u8]) -> Option<u32> {
        self.push_parts(bytes, &[])
    }

    /// Appends one byte string given in two parts.
    pub fn push_parts(&mut self, first: &[u8], second: &[u8]) -> Option<u32> {
        let len = first.len() + second.len();
        if len > ARENA_ENTRY_BYTES_MAX {
            return None;
        }
        let need = len + LENGTH_BYTES_MAX;
        if self.chunks.last().is_none_or(|c| c.capacity() - c.len() < need) {
            if self.chunks.len() == CHUNKS_MAX {
                return None;
            }
            let usual = CHUNK_BYTES_MIN << (self.chunks.len() / 2).min(CHUNK_DOUBLINGS);
            self.chunks.push(Vec::with_capacity(usual.max(need)));
        }
        let index = self.chunks.len() - 1;
        let chunk = &mut self.chunks[index];
        let at = (index << CHUNK_BITS | chunk.len()) as u32;
        super::write_varint(chunk, len as u64);
        chunk.extend_from_slice(first);
        chunk.extend_from_slice(second);
        self.content_bytes += len as u64;
        Some(at)
    }

    /// Whether nothing was appended.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The byte string of this number.
    ///
    /// # Panics
    /// May panic on a number that [`push`](Arena::push) did not give.
    #[inline]
    pub fn bytes(&self, at: u32) -> &[u8] {
        let chunk = &self.chunks[at as usize >> CHUNK_BITS];
        let mut rest = &chunk[at as usize & (CHUNK_BYTES_MAX - 1)..];
        let first = rest[0];
        let len = if first < 0x80 {
            rest = &rest[1..];
            first as usize
        } else {
            read_varint(&mut rest).unwrap_or(0) as usize
        };
        &rest[..len]
    }

    /// The byte string of this number, to be changed in place.
    ///
    /// # Panics
    /// May panic on a number that [`push`](Arena::push) did not give.
    #[inline]
    pub fn bytes_mut(&mut self, at: u32) -> &mut [u8] {
        let len = self.bytes(at).len();
        let chunk = &mut self.chunks[at as usize >> CHUNK_BITS];
        let start = (at as usize & (CHUNK_BYTES_MAX - 1)) + varint_len(len);
        &mut chunk[start..start + len]
    }

    /// The address of a byte string, for prefetching.
    #[inline]
    pub fn address(&self, at: u32) -> *const u8 {
        self.chunks[at as usize >> CHUNK_BITS].as_ptr().wrapping_add(at as usize & (CHUNK_BYTES_MAX - 1))
    }

    /// Bytes of memory held.
    pub fn memory_bytes(&self) -> usize {
        self.chunks.iter().map(Vec::capacity).sum()
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

const CHUNK_BITS: usize = 20;
const CHUNK_BYTES_MAX: usize = 1 << CHUNK_BITS;
const CHUNK_DOUBLINGS: usize = 8;
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
            assert_eq!(arena.bytes_mut(at), text(i));
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
