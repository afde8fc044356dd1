//! The encoder allocates nothing once its buffers have grown; the decoder little, whatever bytes it gets.

use tidegate::{block, bytes, model};

mod allocation_kit;
use allocation_kit::{own, own_bytes};

#[allow(dead_code, unreachable_pub, reason = "shared with the unit tests")]
#[path = "../src/block/tests/segment.rs"]
mod segment;

use block::{Encoder, decode_dictionary, decode_rows};
use bytes::AlignedBuf;
use segment::{Plain, PlainRow, Segment, example_header};

fn fill(segment: &mut Segment, round: i64) {
    for i in 0..3000 {
        let host = format!("host_{}", i * 7 % 200);
        let labels = [("__name__", "cpu"), ("host", &*host)];
        let number = (i * 31 + round) % 977;
        let fields = [
            ("float", Plain::f64((number as f64).sqrt())),
            ("percent", Plain::f64(number as f64 / 100.0)),
            ("text", Plain::String(format!("state {}", number % 11).into())),
            ("up", Plain::Bool(number % 3 == 0)),
            ("usage", Plain::I64(number)),
        ];
        // Two shapes of one metric, and a row of one value: all ways through the encoder.
        let fields = match i % 10 {
            0 => &fields[..4],
            1 => &fields[4..],
            _ => &fields[..],
        };
        segment.push(&PlainRow::new(&labels, round * 1_000_000_000 + i, fields));
    }
}

#[test]
fn a_warm_encoder_does_not_allocate() {
    let (mut segment, mut encoder, mut out) = (Segment::default(), Encoder::new(), AlignedBuf::new());
    let mut taken = Vec::new();
    for round in 0..6 {
        fill(&mut segment, round);
        out.clear();
        let before = own();
        segment.seal(&mut encoder, &mut out);
        taken.push(own() - before);
    }
    assert!(taken[0] > 0, "the counter counts");
    assert_eq!(taken[3..], [0, 0, 0], "{taken:?}");
}

#[test]
fn a_small_block_that_claims_much_takes_little() {
    // A directory of 31 MiB that is zeros, compressed to a few bytes: no frames, no entries, bytes left over.
    let raw_len = 31u32 << 20;
    let directory = zstd::bulk::compress(&vec![0; raw_len as usize], 1).unwrap();
    let mut container = (directory.len() as u32).to_le_bytes().to_vec();
    container.extend_from_slice(&raw_len.to_le_bytes());
    container.extend_from_slice(&directory);
    // The same with lengths that no directory has.
    let mut longer = container.clone();
    longer[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    for bytes in [container, longer] {
        let before = own_bytes();
        assert!(decode_dictionary(&bytes).and_then(|d| d.for_each(|_| Ok(()))).is_err());
        assert!(decode_rows(&example_header(), &bytes).is_err());
        assert!(own_bytes() - before < 3 * raw_len as usize);
    }
}
