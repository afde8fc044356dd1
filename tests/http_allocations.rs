//! Requests on a warm connection allocate nothing: head, body framing, decoding, answer.

#![cfg(feature = "server")]

use std::io::Write;
use tidegate::http::body::{DecoderPool, Encoding};
use tidegate::http::{AnswerTo, Body, HttpLimits, Parser, Query, Response, Status};

mod allocation_kit;
use allocation_kit::{own, own_bytes};

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(data).expect("a Vec takes it");
    encoder.finish().expect("a Vec takes it")
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(data).expect("a Vec takes it");
    encoder.finish().expect("a Vec takes it")
}

/// Serves the requests in `wire` on one connection; returns the bytes decoded.
fn serve(wire: &[u8], pool: &mut DecoderPool, room: &mut Vec<u8>, out: &mut Vec<u8>) -> usize {
    let limits = HttpLimits::default();
    let mut parser = Parser::new();
    let (mut at, mut total) = (0, 0);
    while let Some(head) = parser.head(&wire[at..], &limits).expect("a sound request") {
        at += head.bytes;
        assert_eq!(Query::new(head.query).first("db"), Ok(Some("a".into())));
        let encoding = Encoding::parse(head.headers.content_encoding).expect("a known encoding");
        let mut decoder = pool.take(encoding, &limits).expect("a decoder");
        loop {
            match parser.body(&wire[at..], &limits).expect("a sound body") {
                Body::Data { consumed, data } => {
                    let mut piece = &wire[at..][data];
                    loop {
                        let decoded = decoder.decode(piece, room).expect("sound data");
                        piece = &piece[decoded.consumed..];
                        total += decoded.produced;
                        room.clear();
                        if !decoded.output_full {
                            break;
                        }
                    }
                    at += consumed;
                }
                Body::NeedMore { .. } => panic!("the wire is whole"),
                Body::End { consumed } => {
                    at += consumed;
                    break;
                }
            }
        }
        decoder.finish().expect("a whole body");
        pool.put(decoder);
        out.clear();
        let answer = Response::new(out, AnswerTo::from(&head), Status::NO_CONTENT);
        answer.header("X-Influxdb-Version", b"1.8").empty();
    }
    assert_eq!(at, wire.len());
    total
}

#[test]
fn warm_requests_allocate_nothing() {
    let data: Vec<u8> = (0..20_000).flat_map(|i| format!("cpu,host=a v={i}\n").into_bytes()).collect();
    let zstd = zstd::bulk::compress(&data, 1).expect("compresses");
    let mut wire = Vec::new();
    for (encoding, body) in
        [("gzip", gzip(&data)), ("deflate", zlib(&data)), ("zstd", zstd), ("identity", data.clone())]
    {
        let head = "POST /write?db=a HTTP/1.1\r\nHost: a\r\nUser-Agent: t\r\n";
        wire.extend(
            format!("{head}Content-Encoding: {encoding}\r\nContent-Length: {}\r\n\r\n", body.len())
                .into_bytes(),
        );
        wire.extend_from_slice(&body);
        wire.extend(
            format!("{head}Content-Encoding: {encoding}\r\nTransfer-Encoding: chunked\r\n\r\n").into_bytes(),
        );
        for chunk in body.chunks(1000) {
            wire.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"0\r\n\r\n");
    }
    let (mut pool, mut room, mut out) =
        (DecoderPool::new(), Vec::with_capacity(1 << 16), Vec::with_capacity(1024));

    assert_eq!(serve(&wire, &mut pool, &mut room, &mut out), 8 * data.len());
    let (cold, cold_bytes) = (own(), own_bytes());
    assert_eq!(serve(&wire, &mut pool, &mut room, &mut out), 8 * data.len());
    assert_eq!(own() - cold, 0, "allocations on a warm pool");
    assert!(cold_bytes > 0);
}

#[test]
fn an_inflater_stays_within_what_is_reserved_for_it() {
    let limits = HttpLimits::default();
    for encoding in [Encoding::Gzip, Encoding::Deflate] {
        let mut pool = DecoderPool::new();
        let before = own_bytes();
        let decoder = pool.take(encoding, &limits).expect("a decoder");
        let bytes = own_bytes() - before;
        println!("{encoding:?}: {bytes} bytes");
        assert!(bytes > 0 && bytes <= encoding.memory_bytes_max(), "{bytes}");
        drop(decoder);
    }
}
