//! Encoding byte strings.

use rapidhash::v3::rapidhash_v3;

use super::super::super::container::{ContainerWriter, Soft};
use super::super::{Codec, integers};
use super::DISTINCT_MAX;
use crate::bytes::write_varint;
use crate::model::heap_place;

/// Memory kept between columns.
#[derive(Default)]
pub(in crate::block) struct Scratch {
    lengths: Vec<u64>,
    indices: Vec<u64>,
    distinct: Vec<u64>,
    slots: Vec<u16>,
}

/// Encodes strings by their places on the heap, at least one, and writes codec and description to `out`.
pub(in crate::block) fn encode(
    places: &[u64],
    heap: &[u8],
    scratch: &mut Scratch,
    integers: &mut integers::Scratch,
    container: &mut ContainerWriter,
    out: &mut Vec<u8>,
) {
    if scratch.find_distinct(places, heap) {
        out.push(Codec::StringDictionary as u8);
        write_varint(out, scratch.distinct.len() as u64);
        let Scratch { lengths, indices, distinct, .. } = scratch;
        encode_plain(distinct.iter().map(|&p| text(p, heap)), lengths, integers, container, out);
        integers::encode(indices, integers, container, out);
    } else {
        out.push(Codec::Strings as u8);
        let strings = places.iter().map(|&p| text(p, heap));
        encode_plain(strings, &mut scratch.lengths, integers, container, out);
    }
}

/// Encodes strings, at least one, as lengths and bytes.
pub(in crate::block) fn encode_plain<'a>(
    strings: impl Iterator<Item = &'a [u8]> + Clone,
    lengths: &mut Vec<u64>,
    integers: &mut integers::Scratch,
    container: &mut ContainerWriter,
    out: &mut Vec<u8>,
) {
    lengths.clear();
    lengths.extend(strings.clone().map(|s| s.len() as u64));
    let total = lengths.iter().sum::<u64>() as usize;
    integers::encode(lengths, integers, container, out);
    if total > 0 {
        let (stream, mut room) = container.soft(Soft::Common, total);
        for s in strings {
            let (here, rest) = room.split_at_mut(s.len());
            here.copy_from_slice(s);
            room = rest;
        }
        stream.write(out);
    }
}

impl Scratch {
    /// Numbers the strings; gives up, with `false`, once more than half of those seen were new.
    fn find_distinct(&mut self, places: &[u64], heap: &[u8]) -> bool {
        if places.len() < DICTIONARY_ROWS_MIN {
            return false;
        }
        self.indices.clear();
        self.distinct.clear();
        self.slots.clear();
        self.slots.resize(SLOTS, EMPTY);
        for (seen, &place) in places.iter().enumerate() {
            let string = text(place, heap);
            let mut at = rapidhash_v3(string) as usize % SLOTS;
            let index = loop {
                let index = self.slots[at];
                if index == EMPTY {
                    let new = self.distinct.len();
                    if new == DISTINCT_MAX || new > seen / 2 + DISTINCT_FREE {
                        return false;
                    }
                    self.slots[at] = new as u16;
                    self.distinct.push(place);
                    break new as u64;
                }
                if text(self.distinct[usize::from(index)], heap) == string {
                    break u64::from(index);
                }
                at = (at + 1) % SLOTS;
            };
            self.indices.push(index);
        }
        true
    }
}

fn text(place: u64, heap: &[u8]) -> &[u8] {
    let (start, len) = heap_place(place);
    &heap[start..start + len]
}

const DICTIONARY_ROWS_MIN: usize = 16;
const DISTINCT_FREE: usize = 16;
const SLOTS: usize = 2 * DISTINCT_MAX;
const EMPTY: u16 = u16::MAX;
