//! Words through a container and back.

use proptest::prelude::*;

use super::super::super::container::{Container, ContainerWriter, entry};
use super::super::super::input::Input;
use super::{Scratch, decode, encode, encode_bits};
use crate::bytes::AlignedBuf;

/// Encodes, decodes, and gives the words with the bytes of their description and data before compression.
fn through(words: &[u64], bits: bool) -> (Vec<u64>, usize, usize) {
    let mut container = ContainerWriter::new();
    let mut description = Vec::new();
    match bits {
        true => encode_bits(words, &mut container, &mut description),
        false => encode(&mut words.to_vec(), &mut Scratch::default(), &mut container, &mut description),
    }
    let raw = container.raw_bytes();
    container.entry(entry::ROWS, &description);
    let mut out = AlignedBuf::new();
    container.finish(&mut out);
    let container = Container::open(&out).unwrap();
    let mut input = Input(&description);
    let mut back = Vec::new();
    decode(words.len(), &container, &mut input, &mut back).unwrap();
    input.end().unwrap();
    (back, description.len(), raw)
}

/// Columns as they come: random walks, multiples, runs, noise of any width.
fn words() -> impl Strategy<Value = Vec<u64>> {
    let noise = (0u32..64, prop::collection::vec(any::<u64>(), 1..2000))
        .prop_map(|(shift, words)| words.into_iter().map(|w| w >> shift).collect::<Vec<_>>());
    let walk = (any::<u64>(), 1u64..u64::MAX, prop::collection::vec(-3i64..4, 1..2000)).prop_map(
        |(start, scale, steps)| {
            let mut at = start;
            let step = |s: i64| {
                at = at.wrapping_add((s as u64).wrapping_mul(scale));
                at
            };
            steps.into_iter().map(step).collect::<Vec<_>>()
        },
    );
    let regular = (any::<u64>(), any::<u64>(), 1usize..500, any::<u64>()).prop_map(|(a, b, n, c)| {
        (0..n as u64).map(|i| a.wrapping_add(b.wrapping_mul(i)) ^ (c & i)).collect()
    });
    let few = prop::collection::vec(any::<u64>(), 1..6);
    prop_oneof![noise, walk, regular, few]
}

proptest! {
    #[test]
    fn words_come_back(words in words()) {
        let (back, description, raw) = through(&words, false);
        prop_assert_eq!(back == words, true);
        prop_assert!(raw <= words.len() * 8, "{} bytes for {} words", raw, words.len());
        // The bound that `limits.rs` counts on: see `descriptors_are_bounded`.
        let streams = 2 * 2 * 5;
        prop_assert!(description <= 1 + 4 * 10 + 2 + streams);
        if words.len() == 1 {
            prop_assert!(description <= 13);
        }
    }

    #[test]
    fn bits_come_back(bits in prop::collection::vec(0u64..2, 1..100)) {
        prop_assert_eq!(through(&bits, true).0, bits);
    }
}

#[test]
fn regular_times_take_no_bytes() {
    let times: Vec<u64> = (0..1000).map(|i| 1_700_000_000_000_000_000 + i * 10_000_000_000).collect();
    let (back, _, raw) = through(&times, false);
    assert_eq!((back, raw), (times, 0));
}

#[test]
fn noise_is_packed_and_not_offered_to_the_compressor() {
    let mut state = 88_172_645_463_325_252u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let words: Vec<u64> = (0..4096).map(|_| random() % 128).collect();
    let (back, _, raw) = through(&words, false);
    assert_eq!((back == words, raw), (true, 4096 * 7 / 8));
}
