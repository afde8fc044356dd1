//! Floats through a container and back, by their bits.

use proptest::prelude::*;

use super::super::super::container::{Container, ContainerWriter, entry};
use super::super::super::input::Input;
use super::super::{Codec, integers, kernels};
use super::{SCALES, Scratch, decode_decimals, encode};
use crate::bytes::AlignedBuf;
use crate::model::{NAN_CANONICAL_BITS, NAN_STALE_BITS};

/// Encodes and decodes; gives the codec that was chosen.
fn through(floats: &[u64]) -> (Vec<u64>, Codec) {
    let mut container = ContainerWriter::new();
    let mut out = Vec::new();
    let mut integers = integers::Scratch::default();
    encode(&mut floats.to_vec(), &[], &mut Scratch::default(), &mut integers, &mut container, &mut out);
    container.entry(entry::ROWS, &out);
    let mut bytes = AlignedBuf::new();
    container.finish(&mut bytes);
    let container = Container::open(&bytes).unwrap();
    let mut input = Input(&out);
    let codec = Codec::from_number(input.u8().unwrap()).unwrap();
    let mut back = Vec::new();
    match codec {
        Codec::Decimal => decode_decimals(floats.len(), None, &container, &mut input, &mut back).unwrap(),
        _ => integers::decode(floats.len(), None, &container, &mut input, &mut back).unwrap(),
    }
    input.end().unwrap();
    (back, codec)
}

fn float() -> impl Strategy<Value = u64> {
    let odd = prop_oneof![
        Just(NAN_CANONICAL_BITS),
        Just(NAN_STALE_BITS),
        Just(0xfff0_0000_0000_dead),
        Just((-0.0f64).to_bits()),
        Just(f64::INFINITY.to_bits()),
        Just(f64::MAX.to_bits()),
        Just(5e-324f64.to_bits()),
        any::<u64>(),
    ];
    let decimal = (-1_000_000i64..1_000_000, 0usize..16).prop_map(|(d, e)| (d as f64 / SCALES[e]).to_bits());
    let two = (-10_000i64..10_000).prop_map(|d| (d as f64 / 100.0).to_bits());
    prop_oneof![1 => odd, 2 => decimal, 60 => two]
}

proptest! {
    #[test]
    fn floats_come_back(floats in prop::collection::vec(float(), 1..600)) {
        prop_assert!(through(&floats).0 == floats);
    }

    #[test]
    fn decimals_of_any_length_come_back(
        digits in prop::collection::vec(any::<i64>(), 1..100),
        shift in 0u32..63,
        e in 0usize..16,
    ) {
        let floats: Vec<u64> = digits.iter().map(|d| ((d >> shift) as f64 / SCALES[e]).to_bits()).collect();
        prop_assert!(through(&floats).0 == floats);
    }

    #[test]
    fn what_is_called_exact_is(bits: u64, d in -(1i64 << 53)..1 << 53, e in 0usize..16, f in 0usize..16) {
        for bits in [bits, (d as f64 / SCALES[f]).to_bits()] {
            let (d, exact) = kernels::decimal(bits, SCALES[e]);
            prop_assert!(!exact || (d as f64 / SCALES[e]).to_bits() == bits);
        }
    }
}

#[test]
fn two_decimals_are_found_and_stale_markers_do_not_spoil_them() {
    let mut floats: Vec<u64> = (0..1000).map(|i| (f64::from(i * 7 % 10_000) / 100.0).to_bits()).collect();
    floats[500] = NAN_STALE_BITS;
    floats[999] = (-0.0f64).to_bits();
    assert_eq!(through(&floats), (floats, Codec::Decimal));
}

#[test]
fn digits_that_a_sample_misses_are_found_later() {
    let mut floats: Vec<u64> = (0..4096).map(|i| f64::from(i).to_bits()).collect();
    for f in floats.iter_mut().skip(3).step_by(7) {
        *f = (f64::from_bits(*f) + 0.125).to_bits();
    }
    assert_eq!(through(&floats), (floats, Codec::Decimal));
}

#[test]
fn full_precision_floats_are_kept_by_their_bits() {
    let floats: Vec<u64> = (1..1000).map(|i| f64::from(i).sqrt().to_bits()).collect();
    assert_eq!(through(&floats), (floats, Codec::Words));
}
