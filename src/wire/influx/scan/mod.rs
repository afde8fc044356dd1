//! Finding the bytes that matter, many at a time.
//!
//! Goes in: bytes and where to start; comes out: a position. Which implementation runs is chosen once per `feed`,
//! so that it is compiled into the decoder's loop. `scalar` is the oracle of the others.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
pub(super) mod scalar;

/// Positions by byte class.
pub(super) trait Scan {
    /// Where the first space, newline or backslash is at or after `from`; the input's length if there is none.
    fn key_stop(input: &[u8], from: usize) -> usize;

    /// Where the first newline is at or after `from`; the input's length if there is none.
    fn newline(input: &[u8], from: usize) -> usize;

    /// Where the first quote or backslash is at or after `from`; the input's length if there is none.
    fn string_stop(input: &[u8], from: usize) -> usize;

    /// Whether the first `len` bytes of two blocks are the same; `len` is 1 to [`BLOCK_BYTES`].
    fn same_start(a: &[u8; BLOCK_BYTES], b: &[u8; BLOCK_BYTES], len: usize) -> bool;
}

/// Bytes compared at a time.
pub(super) const BLOCK_BYTES: usize = 32;

/// Masks of 1 to [`BLOCK_BYTES`] bytes, each a window of this.
static MASKS: [u8; 2 * BLOCK_BYTES] = {
    let mut masks = [0; 2 * BLOCK_BYTES];
    let mut i = 0;
    while i < BLOCK_BYTES {
        masks[i] = 0xff;
        i += 1;
    }
    masks
};

/// A block whose first `len` bytes are ones.
#[inline(always)]
fn mask(len: usize) -> &'static [u8; BLOCK_BYTES] {
    // The remainder does nothing to a length within bounds; it spares a check.
    let skipped = (BLOCK_BYTES - len) % BLOCK_BYTES;
    MASKS[skipped..].first_chunk().expect("the window starts in the first half")
}

/// Work that is compiled once for each way of scanning.
pub(super) trait Job {
    type Answer;

    fn run<S: Scan>(self) -> Self::Answer;
}

/// Runs a job with the best way of scanning that this processor has.
#[inline]
pub(super) fn dispatch<J: Job>(job: J) -> J::Answer {
    #[cfg(target_arch = "x86_64")]
    if avx2::available() {
        return avx2::run(job);
    }
    job.run::<scalar::Scalar>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn agree<S: Scan>(input: &[u8], from: usize) {
        assert_eq!(S::key_stop(input, from), scalar::Scalar::key_stop(input, from));
        assert_eq!(S::newline(input, from), scalar::Scalar::newline(input, from));
        assert_eq!(S::string_stop(input, from), scalar::Scalar::string_stop(input, from));
    }

    proptest! {
        #[test]
        fn every_way_finds_the_same(
            input in proptest::collection::vec(prop_oneof![9 => any::<u8>(), 1 => prop::sample::select(&b" \n\\\""[..])], 0..200),
            from in 0usize..220,
        ) {
            let from = from.min(input.len());
            #[cfg(target_arch = "x86_64")]
            if avx2::available() {
                agree::<avx2::Avx2>(&input, from);
            }
            agree::<scalar::Scalar>(&input, from);
        }
    }

    #[test]
    fn starts_are_compared_up_to_their_length() {
        let a: [u8; BLOCK_BYTES] = std::array::from_fn(|i| i as u8);
        for len in 1..=BLOCK_BYTES {
            for other in 0..BLOCK_BYTES {
                let mut b = a;
                b[other] ^= 0x40;
                assert_eq!(scalar::Scalar::same_start(&a, &b, len), other >= len);
                #[cfg(target_arch = "x86_64")]
                if avx2::available() {
                    assert_eq!(avx2::Avx2::same_start(&a, &b, len), other >= len);
                }
            }
        }
    }

    #[test]
    fn nothing_to_find_is_the_end() {
        #[cfg(target_arch = "x86_64")]
        if avx2::available() {
            for len in 0..100 {
                agree::<avx2::Avx2>(&vec![b'a'; len], 0);
            }
        }
        assert_eq!(scalar::Scalar::key_stop(b"abc", 3), 3);
        assert_eq!(scalar::Scalar::newline(b"abc", 1), 3);
    }
}
