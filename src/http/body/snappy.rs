//! Snappy's block format: a body that is one block, undone when all of it is there.

use super::decoder::BodyError;
use crate::http::HttpLimits;

/// How long a block is when undone, as it says itself; within the limits.
///
/// # Errors
/// [`BodyError::DecodedTooLarge`], or it is no block.
pub fn decoded_len(block: &[u8], limits: &HttpLimits) -> Result<usize, BodyError> {
    let len = snap::raw::decompress_len(block).map_err(|_| NOT_SNAPPY)?;
    if len as u64 > limits.decoded_bytes_max { Err(BodyError::DecodedTooLarge) } else { Ok(len) }
}

/// Undoes a block whose length is `len`, as [`decoded_len`] had it, in memory that is written over.
///
/// # Errors
/// It is no block, or of another length.
pub fn decode(block: &[u8], len: usize, mut body: Vec<u8>) -> Result<Vec<u8>, BodyError> {
    body.resize(len, 0);
    let written = snap::raw::Decoder::new().decompress(block, &mut body).map_err(|_| NOT_SNAPPY)?;
    if written == len { Ok(body) } else { Err(NOT_SNAPPY) }
}

const NOT_SNAPPY: BodyError = BodyError::Corrupt("not a snappy block");

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limits(decoded_bytes_max: u64) -> HttpLimits {
        HttpLimits { decoded_bytes_max, ..HttpLimits::default() }
    }

    #[test]
    fn a_block_is_undone_within_the_limit() {
        let text = b"tide in, tide out, tide in, tide out".repeat(100);
        let block = snap::raw::Encoder::new().compress_vec(&text).unwrap();
        let len = decoded_len(&block, &limits(3_600)).unwrap();
        assert_eq!(decode(&block, len, vec![7; 9]).unwrap(), text);
        assert_eq!(decoded_len(&block, &limits(3_599)), Err(BodyError::DecodedTooLarge));
    }

    #[test]
    fn what_is_no_block_is_corrupt() {
        let block = snap::raw::Encoder::new().compress_vec(b"tide in, tide out").unwrap();
        assert_eq!(decode(&block[..block.len() - 1], 17, Vec::new()), Err(NOT_SNAPPY));
        // The length of 4 GiB and nothing else: refused before memory is asked for.
        let bomb = [0xff, 0xff, 0xff, 0xff, 0x0f];
        assert_eq!(decoded_len(&bomb, &HttpLimits::default()), Err(BodyError::DecodedTooLarge));
        for nothing in [&b""[..], &[0xff; 6]] {
            let len = decoded_len(nothing, &HttpLimits::default());
            assert!(len.and_then(|len| decode(nothing, len, Vec::new())).is_err(), "{nothing:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_block_or_not(bytes: Vec<u8>) {
            if let Ok(len) = decoded_len(&bytes, &limits(1 << 16)) {
                let _ = decode(&bytes, len, vec![1; 99]);
            }
        }
    }
}
