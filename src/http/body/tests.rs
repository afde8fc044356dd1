use super::*;
use crate::http::HttpLimits;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;
use std::io::Write;

const LIMITS: HttpLimits =
    HttpLimits { head_bytes_max: 0, body_bytes_max: 1 << 20, decoded_bytes_max: 1 << 20 };

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(data).expect("a Vec takes it");
    encoder.finish().expect("a Vec takes it")
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(data).expect("a Vec takes it");
    encoder.finish().expect("a Vec takes it")
}

fn raw(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(data).expect("a Vec takes it");
    encoder.finish().expect("a Vec takes it")
}

fn zstandard(data: &[u8]) -> Vec<u8> {
    ::zstd::bulk::compress(data, 1).expect("compresses")
}

/// Encodes as zstd without saying the size, so that the decoder needs a window.
fn zstandard_streamed(data: &[u8], window_log: u32) -> Vec<u8> {
    let mut encoder = ::zstd::stream::Encoder::new(Vec::new(), 1).expect("an encoder");
    encoder.window_log(window_log).expect("a window");
    encoder.write_all(data).expect("a Vec takes it");
    encoder.finish().expect("a Vec takes it")
}

/// Decodes as an event loop would: pieces of `piece_bytes`, room for `room_bytes` at a time.
fn decode(
    pool: &mut DecoderPool,
    encoding: Encoding,
    coded: &[u8],
    piece_bytes: usize,
    room_bytes: usize,
    limits: &HttpLimits,
) -> Result<Vec<u8>, BodyError> {
    let (data, result) = decode_to_fault(pool, encoding, coded, piece_bytes, room_bytes, limits);
    result.map(|()| data)
}

/// The same, with the data before a fault.
fn decode_to_fault(
    pool: &mut DecoderPool,
    encoding: Encoding,
    coded: &[u8],
    piece_bytes: usize,
    room_bytes: usize,
    limits: &HttpLimits,
) -> (Vec<u8>, Result<(), BodyError>) {
    let mut decoder = pool.take(encoding, limits).expect("memory for a decoder");
    let mut data = Vec::new();
    let mut room = Vec::with_capacity(room_bytes);
    let capacity = room.capacity();
    let mut run = || {
        for piece in coded.chunks(piece_bytes.max(1)) {
            let mut rest = piece;
            loop {
                let before = room.len();
                let decoded = decoder.decode(rest, &mut room)?;
                assert_eq!(room.len(), before + decoded.produced);
                assert_eq!(room.capacity(), capacity, "the caller's memory is the caller's");
                rest = &rest[decoded.consumed..];
                if !decoded.output_full {
                    assert!(rest.is_empty(), "with room left all input is used");
                    break;
                }
                data.append(&mut room);
            }
        }
        decoder.finish()
    };
    let result = run();
    pool.put(decoder);
    data.append(&mut room);
    (data, result)
}

fn whole(encoding: Encoding, coded: &[u8]) -> Result<Vec<u8>, BodyError> {
    decode(&mut DecoderPool::new(), encoding, coded, usize::MAX, 1 << 16, &LIMITS)
}

fn text(lines: usize) -> Vec<u8> {
    (0..lines).flat_map(|i| format!("cpu,host=h{} v={i} {}\n", i % 7, i * 31).into_bytes()).collect()
}

#[test]
fn encodings_are_named_as_clients_name_them() {
    assert_eq!(Encoding::parse(b""), Some(Encoding::Identity));
    assert_eq!(Encoding::parse(b"identity"), Some(Encoding::Identity));
    assert_eq!(Encoding::parse(b"GZIP"), Some(Encoding::Gzip));
    assert_eq!(Encoding::parse(b"identity, x-gzip ,"), Some(Encoding::Gzip));
    assert_eq!(Encoding::parse(b"deflate"), Some(Encoding::Deflate));
    assert_eq!(Encoding::parse(b"zstd"), Some(Encoding::Zstd));
    assert_eq!(Encoding::parse(b"gzip, gzip"), None);
    assert_eq!(Encoding::parse(b"br"), None);
    assert_eq!(Encoding::parse(b"zst d"), None);
}

#[test]
fn bodies_of_several_members_or_frames_are_one_body() {
    let data = text(100);
    let (first, second) = data.split_at(777);
    assert_eq!(whole(Encoding::Gzip, &[gzip(first), gzip(b""), gzip(second)].concat()), Ok(data.clone()));
    let skippable = [&0x184d_2a50u32.to_le_bytes()[..], &3u32.to_le_bytes(), b"abc"].concat();
    let frames = [skippable, zstandard(first), zstandard_streamed(second, 18)].concat();
    assert_eq!(whole(Encoding::Zstd, &frames), Ok(data));
}

#[test]
fn gzip_headers_with_every_field_are_read() {
    let coded = gzip(b"hello");
    let fields =
        |flags: u8, extra: &[u8]| [&coded[..3], &[flags], &coded[4..10], extra, &coded[10..]].concat();
    let all = fields(0x1f, b"\x02\x00exname\0comment\0cc");
    assert_eq!(whole(Encoding::Gzip, &all), Ok(b"hello".to_vec()));
    assert_eq!(whole(Encoding::Gzip, &fields(0x04, b"\0\0")), Ok(b"hello".to_vec()));
    assert_eq!(whole(Encoding::Gzip, &fields(0x20, b"")), Err(BodyError::Corrupt("invalid gzip header")));
    let long = fields(0x08, &[b'a'; GZIP_HEADER_BYTES_MAX as usize]);
    assert_eq!(whole(Encoding::Gzip, &long), Err(BodyError::Corrupt("gzip header is too long")));
}

#[test]
fn deflate_is_zlib_or_raw() {
    for data in [&b""[..], b"a", &text(1000)] {
        assert_eq!(whole(Encoding::Deflate, &zlib(data)).as_deref(), Ok(data));
        assert_eq!(whole(Encoding::Deflate, &raw(data)).as_deref(), Ok(data));
    }
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let zeros = vec![0u8; 8 << 20];
    let limits = HttpLimits { decoded_bytes_max: 100_000, ..LIMITS };
    let coded = [
        (Encoding::Gzip, gzip(&zeros)),
        (Encoding::Deflate, zlib(&zeros)),
        (Encoding::Zstd, zstandard(&zeros)),
        (Encoding::Zstd, zstandard_streamed(&zeros, 17)),
    ];
    for (encoding, coded) in coded {
        assert!(coded.len() < 20_000);
        let mut pool = DecoderPool::new();
        let mut decoder = pool.take(encoding, &limits).expect("a decoder");
        let (mut rest, mut taken) = (&coded[..], 0);
        let mut room = Vec::with_capacity(4096);
        let error = loop {
            match decoder.decode(rest, &mut room) {
                Ok(decoded) => {
                    rest = &rest[decoded.consumed..];
                    taken += decoded.produced;
                    room.clear();
                }
                Err(error) => break error,
            }
        };
        assert_eq!(error, BodyError::DecodedTooLarge);
        assert!(room.is_empty() && taken == 100_000, "{taken}");
        assert_eq!(decode(&mut pool, encoding, &coded, 100, 100, &limits), Err(BodyError::DecodedTooLarge));
    }
    let exactly = HttpLimits { decoded_bytes_max: 8 << 20, ..LIMITS };
    assert_eq!(decode(&mut DecoderPool::new(), Encoding::Gzip, &gzip(&zeros), 99, 4096, &exactly), Ok(zeros));
}

#[test]
fn a_coded_body_over_its_limit_is_refused() {
    let coded = gzip(&text(100));
    let mut limits = HttpLimits { body_bytes_max: coded.len() as u64, ..LIMITS };
    assert!(decode(&mut DecoderPool::new(), Encoding::Gzip, &coded, 10, 100, &limits).is_ok());
    limits.body_bytes_max -= 1;
    let refused = decode(&mut DecoderPool::new(), Encoding::Gzip, &coded, 10, 100, &limits);
    assert_eq!(refused, Err(BodyError::EncodedTooLarge));
}

#[test]
fn a_zstd_window_over_the_limit_is_refused() {
    let data = text(20);
    assert_eq!(whole(Encoding::Zstd, &zstandard_streamed(&data, ZSTD_WINDOW_LOG_MAX)), Ok(data.clone()));
    let wide = zstandard_streamed(&data, ZSTD_WINDOW_LOG_MAX + 1);
    assert_eq!(whole(Encoding::Zstd, &wide), Err(BodyError::WindowTooLarge));
}

#[test]
fn a_zstd_context_stays_within_what_is_reserved_and_is_not_kept_when_large() {
    let data = text(700_000);
    assert!(data.len() > 1 << (ZSTD_WINDOW_LOG_MAX + 1), "{}", data.len());
    let mut pool = DecoderPool::new();
    let limits = HttpLimits { body_bytes_max: 1 << 30, decoded_bytes_max: 1 << 30, ..LIMITS };
    for (window_log, kept) in [(ZSTD_WINDOW_LOG_MAX, false), (21, true)] {
        let coded = zstandard_streamed(&data, window_log);
        let mut decoder = pool.take(Encoding::Zstd, &limits).expect("a decoder");
        let (mut rest, mut room) = (&coded[..], Vec::with_capacity(1 << 16));
        while !rest.is_empty() {
            room.clear();
            rest = &rest[decoder.decode(rest, &mut room).expect("sound data").consumed..];
        }
        let super::decoder::Coding::Zstd(zstd) = &decoder.coding else { panic!("not zstd") };
        let bytes = zstd.memory_bytes();
        assert!(bytes > 1 << window_log && bytes <= Encoding::Zstd.memory_bytes_max(), "{bytes}");
        pool.put(decoder);
        assert_eq!(pool.idle_count(), usize::from(kept), "{bytes}");
    }
}

#[test]
fn damage_truncation_and_garbage_are_told_apart() {
    let data = text(50);
    for (encoding, coded) in [
        (Encoding::Gzip, gzip(&data)),
        (Encoding::Deflate, zlib(&data)),
        (Encoding::Deflate, raw(&data)),
        (Encoding::Zstd, zstandard(&data)),
        (Encoding::Zstd, zstandard_streamed(&data, 18)),
    ] {
        for cut in 0..coded.len() {
            assert_eq!(
                whole(encoding, &coded[..cut]),
                Err(BodyError::Truncated),
                "{encoding:?} cut at {cut}"
            );
        }
        let garbage = whole(encoding, &[&coded[..], b"garbage"].concat());
        assert_eq!(garbage, Err(BodyError::TrailingGarbage), "{encoding:?}");
    }
    let mut coded = gzip(&data);
    let checksum_at = coded.len() - 8;
    coded[checksum_at] ^= 1;
    assert_eq!(whole(Encoding::Gzip, &coded), Err(BodyError::Corrupt("gzip checksum does not match")));
    coded[checksum_at] ^= 1;
    coded[checksum_at + 4] ^= 1;
    assert_eq!(whole(Encoding::Gzip, &coded), Err(BodyError::Corrupt("gzip length does not match")));
    assert!(matches!(whole(Encoding::Zstd, &gzip(&data)), Err(BodyError::Corrupt(_))));
    assert!(matches!(whole(Encoding::Gzip, &zlib(&data)), Err(BodyError::Corrupt(_))));
}

#[test]
fn what_precedes_a_fault_is_handed_out_wherever_the_body_is_cut() {
    let data = text(50);
    let check = |encoding, coded: &[u8], limits: &HttpLimits, bytes: usize, fault| {
        let mut pool = DecoderPool::new();
        for piece_bytes in (1..40).chain([100, coded.len() - 1, coded.len()]) {
            for room_bytes in [1, 99, 1 << 16] {
                let decoded = decode_to_fault(&mut pool, encoding, coded, piece_bytes, room_bytes, limits);
                let expected = (data[..bytes].to_vec(), Err(fault));
                assert_eq!(decoded, expected, "{encoding:?} by {piece_bytes}, room for {room_bytes}");
            }
        }
    };
    for (encoding, coded) in [
        (Encoding::Gzip, gzip(&data)),
        (Encoding::Deflate, zlib(&data)),
        (Encoding::Deflate, raw(&data)),
        (Encoding::Zstd, zstandard(&data)),
        (Encoding::Zstd, zstandard_streamed(&data, 18)),
    ] {
        for garbage in [&b"x"[..], b"xx", b"xxx", b"garbage", &[b'x'; 100]] {
            let coded = [&coded[..], garbage].concat();
            check(encoding, &coded, &LIMITS, data.len(), BodyError::TrailingGarbage);
        }
        let limits = HttpLimits { decoded_bytes_max: 777, ..LIMITS };
        check(encoding, &coded, &limits, 777, BodyError::DecodedTooLarge);
    }
    let identity = HttpLimits { body_bytes_max: 777, ..LIMITS };
    check(Encoding::Identity, &data, &identity, 777, BodyError::EncodedTooLarge);
    let mut wrong_checksum = gzip(&data);
    let at = wrong_checksum.len() - 8;
    wrong_checksum[at] ^= 1;
    let fault = BodyError::Corrupt("gzip checksum does not match");
    check(Encoding::Gzip, &wrong_checksum, &LIMITS, data.len(), fault);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// One pool for all codings and for bodies that failed midway: what a decoder did before must not show.
    #[test]
    fn every_split_gives_the_data_back(
        lines in 0usize..300,
        noise in prop::collection::vec(any::<u8>(), 0..300),
        piece_bytes in 1usize..400,
        room_bytes in 1usize..400,
        cut in 0usize..100,
    ) {
        let data = [text(lines), noise].concat();
        let mut pool = DecoderPool::new();
        for (encoding, coded) in [
            (Encoding::Identity, data.clone()),
            (Encoding::Gzip, gzip(&data)),
            (Encoding::Deflate, zlib(&data)),
            (Encoding::Deflate, raw(&data)),
            (Encoding::Zstd, zstandard(&data)),
            (Encoding::Zstd, zstandard_streamed(&data, 17)),
        ] {
            let _ = decode(&mut pool, encoding, &coded[..cut.min(coded.len())], 7, 64, &LIMITS);
            let got = decode(&mut pool, encoding, &coded, piece_bytes, room_bytes, &LIMITS);
            prop_assert_eq!(got.as_ref(), Ok(&data), "{:?}", encoding);
        }
    }

    #[test]
    fn damaged_bodies_never_panic(
        at in any::<prop::sample::Index>(),
        with in any::<u8>(),
        noise in prop::collection::vec(any::<u8>(), 0..200),
        piece_bytes in 1usize..300,
    ) {
        let data = text(30);
        let mut pool = DecoderPool::new();
        let codings = [
            (Encoding::Gzip, gzip(&data)),
            (Encoding::Deflate, zlib(&data)),
            (Encoding::Deflate, raw(&data)),
            (Encoding::Zstd, zstandard(&data)),
        ];
        for (encoding, mut coded) in codings {
            let place = at.index(coded.len());
            coded[place] = with;
            let split = decode_to_fault(&mut pool, encoding, &coded, piece_bytes, 50, &LIMITS);
            let at_once = decode_to_fault(&mut pool, encoding, &coded, usize::MAX, 1 << 16, &LIMITS);
            match encoding {
                // Its machine keeps what it had decoded of a damaged frame.
                Encoding::Zstd => prop_assert_eq!(split.1.is_ok(), at_once.1.is_ok(), "{}", place),
                _ => prop_assert_eq!(split, at_once, "{:?} {}", encoding, place),
            }
            let _ = decode(&mut pool, encoding, &noise, piece_bytes, 50, &LIMITS);
        }
    }
}
