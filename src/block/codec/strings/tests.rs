//! Strings through a container and back.

use proptest::prelude::*;

use super::super::super::container::{Container, ContainerWriter, entry};
use super::super::super::input::Input;
use super::super::{Codec, integers};
use super::{Scratch, decode, encode};
use crate::bytes::AlignedBuf;
use crate::model::heap_word;

fn through(strings: &[Vec<u8>]) -> (Vec<Vec<u8>>, Codec) {
    let (mut heap, mut places) = (Vec::new(), Vec::new());
    for s in strings {
        places.push(heap_word(heap.len(), s.len()));
        heap.extend_from_slice(s);
    }
    let mut container = ContainerWriter::new();
    let mut out = Vec::new();
    let mut integers = integers::Scratch::default();
    encode(&places, &heap, &mut Scratch::default(), &mut integers, &mut container, &mut out);
    container.entry(entry::ROWS, &out);
    let mut bytes = AlignedBuf::new();
    container.finish(&mut bytes);
    let container = Container::open(&bytes).unwrap();
    let mut input = Input(&out);
    let codec = Codec::from_number(input.u8().unwrap()).unwrap();
    let back = decode(strings.len(), codec == Codec::StringDictionary, &container, &mut input).unwrap();
    input.end().unwrap();
    ((0..strings.len()).map(|i| back.string(i).to_vec()).collect(), codec)
}

proptest! {
    #[test]
    fn strings_come_back(strings in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 1..200)) {
        prop_assert!(through(&strings).0 == strings);
    }

    #[test]
    fn few_different_strings_come_back(indices in prop::collection::vec(0u8..6, 1..500)) {
        let strings: Vec<Vec<u8>> = indices.iter().map(|&i| vec![b'x'; usize::from(i)]).collect();
        let (back, codec) = through(&strings);
        prop_assert_eq!(codec == Codec::StringDictionary, strings.len() >= 16);
        prop_assert!(back == strings);
    }
}

#[test]
fn a_dictionary_of_a_column_is_bounded() {
    let twice = |n: usize| (0..3 * n).map(|i| (i % n).to_string().into_bytes()).collect::<Vec<_>>();
    assert_eq!(through(&twice(4000)).1, Codec::Strings, "the first third is all new");
    let sorted = |n: usize| (0..3 * n).map(|i| (i / 3).to_string().into_bytes()).collect::<Vec<_>>();
    assert_eq!(through(&sorted(4096)), (sorted(4096), Codec::StringDictionary));
    assert_eq!(through(&sorted(4097)), (sorted(4097), Codec::Strings));
}
