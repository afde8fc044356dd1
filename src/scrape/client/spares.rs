//! Memory for bodies, used again.
//!
//! Comes in: texts of pages that were replaced. Goes out: memory for the next body, the latest first, since the
//! processor has it near. Keeps: a body gets no more memory than it needs, but for the little that pages differ by from
//! one time to the next, since it stays as the page of its target. It refuses to know what the bytes are: they mean
//! nothing.

/// Pieces of memory between two bodies.
#[derive(Default, Debug)]
pub(in crate::scrape) struct Spares(Vec<Vec<u8>>);

/// Pieces kept: the bodies of a worker come one after the other, of targets of a few kinds.
const SPARES_MAX: usize = 8;

/// Bytes of a piece that is kept.
const SPARE_BYTES_MAX: usize = 1 << 20;

/// A piece may be longer than what is wanted by this part of it, and a new one is by that.
const SLACK_PART: usize = 16;
const NEW_SLACK_PART: usize = 64;

impl Spares {
    /// Memory for so many bytes; what is in it means nothing.
    pub(super) fn take(&mut self, bytes: usize) -> Vec<u8> {
        let suits = |spare: &Vec<u8>| (bytes..=bytes + bytes / SLACK_PART).contains(&spare.capacity());
        match self.0.iter().rposition(suits) {
            Some(found) => self.0.remove(found),
            None => Vec::with_capacity(bytes + bytes / NEW_SLACK_PART),
        }
    }

    /// Takes memory back.
    pub(in crate::scrape) fn put(&mut self, spare: Vec<u8>) {
        if spare.capacity() == 0 || spare.capacity() > SPARE_BYTES_MAX {
            return;
        }
        if self.0.len() == SPARES_MAX {
            self.0.remove(0);
        }
        self.0.push(spare);
    }

    /// Bytes of memory held.
    pub(in crate::scrape) fn memory_bytes(&self) -> usize {
        self.0.iter().map(Vec::capacity).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_that_suits_is_given_and_no_more_are_kept_than_may_be() {
        let mut spares = Spares::default();
        for bytes in [1600, 1601, 3000, SPARE_BYTES_MAX + 1, 0] {
            spares.put(Vec::with_capacity(bytes));
        }
        assert_eq!(spares.memory_bytes(), 1600 + 1601 + 3000);
        assert_eq!(spares.take(1600).capacity(), 1601);
        assert_eq!(spares.take(1602).capacity(), 1602 + 25, "too small a piece is none");
        assert_eq!(spares.take(1400).capacity(), 1400 + 21, "nor is one that is far too large");
        assert_eq!(spares.take(1550).capacity(), 1600);
        (0..3 * SPARES_MAX).for_each(|_| spares.put(Vec::with_capacity(100)));
        assert_eq!(spares.memory_bytes(), 100 * SPARES_MAX);
    }
}
