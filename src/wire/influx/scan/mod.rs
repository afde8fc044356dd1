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
