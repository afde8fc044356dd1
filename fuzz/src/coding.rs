//! Content codings undone.

use tidegate::http::HttpLimits;
use tidegate::http::body::{BodyError, DecoderPool, Encoding, snappy as blocks};

use super::way::Way;

const LIMITS: HttpLimits =
    HttpLimits { head_bytes_max: 0, body_bytes_max: 1 << 16, decoded_bytes_max: 1 << 16 };

/// gzip, deflate and zstd: the same body or the same error in pieces and whole, and never more than the limits.
pub fn coding(data: &[u8]) {
    let (way, body) = Way::read(data);
    let encoding =
        [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd, Encoding::Identity][usize::from(way.flags % 4)];
    let whole = decode(encoding, body, [body.len()].into_iter(), 1 << 17);
    let cut = decode(encoding, body, way.ends(body.len()), 16 * way.room);
    match (whole, cut) {
        (Ok(whole), cut) => {
            assert!(whole.len() as u64 <= LIMITS.decoded_bytes_max);
            assert_eq!(cut, Ok(whole));
        }
        // Which of several faults is met first may depend on the pieces.
        (Err(_), cut) => assert!(cut.is_err(), "taken in pieces, and refused whole"),
    }
}

fn decode(
    encoding: Encoding,
    coded: &[u8],
    ends: impl Iterator<Item = usize>,
    room_bytes: usize,
) -> Result<Vec<u8>, BodyError> {
    let mut decoder = DecoderPool::new().take(encoding, &LIMITS).expect("memory for a decoder");
    let (mut data, mut room) = (Vec::new(), Vec::with_capacity(room_bytes));
    let (capacity, mut at) = (room.capacity(), 0);
    for end in ends {
        loop {
            let before = room.len();
            let decoded = decoder.decode(&coded[at..end], &mut room)?;
            assert_eq!((room.len(), room.capacity()), (before + decoded.produced, capacity));
            at += decoded.consumed;
            if !decoded.output_full {
                assert_eq!(at, end, "with room left all input is used");
                break;
            }
            assert!(room.len() == capacity || decoded.produced > 0, "full, with room and nothing in it");
            data.append(&mut room);
        }
    }
    decoder.finish()?;
    data.append(&mut room);
    Ok(data)
}

/// A snappy block, or frames of such, are undone to the length that they say, or refused.
pub fn snappy(block: &[u8]) {
    if let Ok(len) = blocks::decoded_len(block, &LIMITS)
        && let Ok(body) = blocks::decode(block, len, Vec::new())
    {
        assert!(body.len() == len && len as u64 <= LIMITS.decoded_bytes_max);
    }
    if let Ok(len) = blocks::frames_decoded_len(block, &LIMITS)
        && let Ok(body) = blocks::decode_frames(block, len, Vec::new())
    {
        assert!(body.len() == len && len as u64 <= LIMITS.decoded_bytes_max);
    }
}
