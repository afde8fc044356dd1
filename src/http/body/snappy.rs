//! Snappy: a body that is one block, or frames with a block in each, undone when all of it is there.

use std::io::Read;

use super::decoder::BodyError;
use crate::http::HttpLimits;

/// How long a block is when undone, as it says itself; within the limits.
///
/// # Errors
/// [`BodyError::DecodedTooLarge`], or it is no block.
pub fn decoded_len(block: &[u8], limits: &HttpLimits) -> Result<usize, BodyError> {
    let len = snap::raw::decompress_len(block).map_err(|_| NOT_SNAPPY)?;
    check_len(len, block, limits, NOT_SNAPPY)
}

/// Lets pass a length that is within the limits, and can be true: memory of that length is about to be taken.
fn check_len(len: usize, encoded: &[u8], limits: &HttpLimits, lie: BodyError) -> Result<usize, BodyError> {
    if len as u64 > limits.decoded_bytes_max {
        return Err(BodyError::DecodedTooLarge);
    }
    if len > EXPANSION_MAX * encoded.len() { Err(lie) } else { Ok(len) }
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

/// How long frames are when undone, as they say themselves; within the limits.
///
/// # Errors
/// [`BodyError::DecodedTooLarge`], or they are no frames.
pub fn frames_decoded_len(frames: &[u8], limits: &HttpLimits) -> Result<usize, BodyError> {
    let (mut rest, mut len) = (frames, 0);
    while let &[kind, a, b, c, ref behind @ ..] = rest {
        let size = u32::from_le_bytes([a, b, c, 0]) as usize;
        let (chunk, behind) = behind.split_at_checked(size).ok_or(NOT_FRAMES)?;
        len += match kind {
            FRAME_COMPRESSED => {
                let block = chunk.get(CHECKSUM_BYTES..).ok_or(NOT_FRAMES)?;
                let len = snap::raw::decompress_len(block).map_err(|_| NOT_FRAMES)?;
                if len > FRAME_BYTES_MAX {
                    return Err(NOT_FRAMES);
                }
                len
            }
            FRAME_PLAIN => chunk.len().checked_sub(CHECKSUM_BYTES).ok_or(NOT_FRAMES)?,
            _ => 0,
        };
        rest = behind;
    }
    if !rest.is_empty() {
        return Err(NOT_FRAMES);
    }
    check_len(len, frames, limits, NOT_FRAMES)
}

/// Undoes frames whose length is `len`, as [`frames_decoded_len`] had it, in memory that is written over.
///
/// # Errors
/// They are no frames, of another length, or one is not what its checksum says.
pub fn decode_frames(frames: &[u8], len: usize, mut body: Vec<u8>) -> Result<Vec<u8>, BodyError> {
    body.resize(len, 0);
    let mut decoder = snap::read::FrameDecoder::new(frames);
    decoder.read_exact(&mut body).map_err(|_| NOT_FRAMES)?;
    match decoder.read(&mut [0]) {
        Ok(0) => Ok(body),
        _ => Err(NOT_FRAMES),
    }
}

/// Bytes that a byte stands for at most: a copy of up to 64 bytes takes three.
const EXPANSION_MAX: usize = 22;

/// What a frame holds at most.
const FRAME_BYTES_MAX: usize = 1 << 16;

/// The kinds of frames that hold something. Of the others [`decode_frames`] knows which may be passed over.
const FRAME_COMPRESSED: u8 = 0;
const FRAME_PLAIN: u8 = 1;

/// Bytes of the checksum that stands in front of what a frame holds.
const CHECKSUM_BYTES: usize = 4;

const NOT_FRAMES: BodyError = BodyError::Corrupt("no snappy frames");

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
        // The length of 64 MiB likewise; the longest run there is of the least bytes is none.
        assert_eq!(decoded_len(&[0x80, 0x80, 0x80, 0x20], &HttpLimits::default()), Err(NOT_SNAPPY));
        let run = snap::raw::Encoder::new().compress_vec(&[7; 1 << 20]).unwrap();
        assert_eq!(decoded_len(&run, &HttpLimits::default()), Ok(1 << 20));
        for nothing in [&b""[..], &[0xff; 6]] {
            let len = decoded_len(nothing, &HttpLimits::default());
            assert!(len.and_then(|len| decode(nothing, len, Vec::new())).is_err(), "{nothing:?}");
        }
    }

    fn framed(text: &[u8]) -> Vec<u8> {
        let mut frames = Vec::new();
        snap::read::FrameEncoder::new(text).read_to_end(&mut frames).unwrap();
        frames
    }

    #[test]
    fn frames_are_undone_within_the_limit() {
        // More than a frame holds; and what is in no frame at all.
        for text in [&b"tide in, tide out, tide in, tide out".repeat(5_000)[..], b"tide", b""] {
            let frames = framed(text);
            let len = frames_decoded_len(&frames, &limits(text.len() as u64)).unwrap();
            assert_eq!(decode_frames(&frames, len, vec![7; 9]).unwrap(), text);
            if !text.is_empty() {
                let less = limits(text.len() as u64 - 1);
                assert_eq!(frames_decoded_len(&frames, &less), Err(BodyError::DecodedTooLarge));
            }
        }
    }

    #[test]
    fn what_is_no_frames_is_corrupt() {
        let frames = framed(b"tide in, tide out, tide in, tide out");
        let undone = |frames: &[u8]| {
            frames_decoded_len(frames, &HttpLimits::default())
                .and_then(|len| decode_frames(frames, len, Vec::new()))
        };
        for end in 1..frames.len() {
            // The name of the format alone is nothing, and nothing is cut off.
            assert_eq!(undone(&frames[..end]).is_ok(), end == 10, "{end}");
        }
        for at in 0..frames.len() {
            let mut other = frames.clone();
            other[at] ^= 1;
            assert!(undone(&other).is_err(), "{at}");
        }
        assert_eq!(undone(&snap::raw::Encoder::new().compress_vec(b"tide in").unwrap()), Err(NOT_FRAMES));
        // A frame that says it holds 64 KiB and a byte; as many as say that they hold 64 KiB.
        let lie = |len: [u8; 3]| [&[FRAME_COMPRESSED, 7, 0, 0, 0, 0, 0, 0][..], &len].concat();
        assert_eq!(undone(&[&frames[..10], &lie([0x81, 0x80, 0x04])].concat()), Err(NOT_FRAMES));
        assert_eq!(undone(&[&frames[..10], &lie([0x80, 0x80, 0x04]).repeat(99)].concat()), Err(NOT_FRAMES));
    }

    proptest! {
        #[test]
        fn any_bytes_are_frames_or_not(bytes: Vec<u8>) {
            if let Ok(len) = frames_decoded_len(&bytes, &limits(1 << 16)) {
                let _ = decode_frames(&bytes, len, vec![1; 99]);
            }
        }

        #[test]
        fn any_bytes_are_a_block_or_not(bytes: Vec<u8>) {
            if let Ok(len) = decoded_len(&bytes, &limits(1 << 16)) {
                let _ = decode(&bytes, len, vec![1; 99]);
            }
        }
    }
}
