//! Definitions through a section and back.

use proptest::prelude::*;

use super::{Checkpoint, DictionaryPart, Scratch, decode_dictionary, encode_range};
use crate::block::DecodeError;
use crate::block::codec::integers;
use crate::block::container::ContainerWriter;
use crate::bytes::AlignedBuf;
use crate::model::{Dictionary, DictionaryMark, SymbolId, encode_series};

type Labels = Vec<(u32, u32)>;
type Numbered<T> = Vec<(u32, T)>;

fn dictionary(symbols: &[Vec<u8>], series: &[Labels]) -> Dictionary {
    let mut dictionary = Dictionary::default();
    for text in symbols {
        dictionary.add_symbol(text).unwrap();
    }
    for labels in series {
        let mut key = Vec::new();
        for &(name, value) in labels {
            encode_series(&mut key, SymbolId(name), SymbolId(value));
        }
        dictionary.add_series(&key).unwrap();
    }
    dictionary
}

/// What a section for the range defines: symbols and series with their numbers.
fn through(
    dictionary: &Dictionary,
    from: DictionaryMark,
    to: DictionaryMark,
) -> (Numbered<Vec<u8>>, Numbered<Labels>) {
    let mut container = ContainerWriter::new();
    let mut integers = integers::Scratch::default();
    encode_range(dictionary, (from, to), true, &mut Scratch::default(), &mut integers, &mut container);
    let mut section = AlignedBuf::new();
    container.finish(&mut section);
    let (mut symbols, mut series) = (Vec::new(), Vec::new());
    let parts = decode_dictionary(&section).unwrap();
    parts
        .for_each(|part| {
            match part {
                DictionaryPart::Symbols(part) => {
                    assert!(part.repeated());
                    symbols.extend(part.iter().map(|(id, text)| (id.0, text.to_vec())));
                }
                DictionaryPart::Series(part) => {
                    assert!(part.repeated());
                    let plain =
                        |labels: &[(SymbolId, SymbolId)]| labels.iter().map(|(n, v)| (n.0, v.0)).collect();
                    series.extend(part.iter().map(|(id, labels)| (id.0, plain(labels))));
                }
            }
            Ok::<_, DecodeError>(())
        })
        .unwrap();
    (symbols, series)
}

proptest! {
    #[test]
    fn definitions_come_back(
        symbols in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..10), 0..50),
        lists in prop::collection::vec(prop::collection::vec(any::<u32>(), 0..5), 1..4),
        series in prop::collection::vec((any::<prop::sample::Index>(), any::<u32>()), 0..60),
        cut in any::<prop::sample::Index>(),
    ) {
        let labels = |(list, value): &(prop::sample::Index, u32)| {
            let names = list.get(&lists).iter().enumerate();
            names.map(|(i, &name)| (name, value.wrapping_mul(i as u32 + 1))).collect::<Labels>()
        };
        let series: Vec<Labels> = series.iter().map(labels).collect();
        let dictionary = dictionary(&symbols, &series);
        let to = dictionary.mark();
        let from = DictionaryMark {
            symbols: cut.index(symbols.len() + 1) as u32,
            series: cut.index(series.len() + 1) as u32,
        };
        let number = |from: u32| move |i: usize| i as u32 + from;
        let (read_symbols, read_series) = through(&dictionary, from, to);
        let expected = symbols[from.symbols as usize..].iter().cloned().enumerate();
        let expected: Vec<_> = expected.map(|(i, s)| (number(from.symbols)(i), s)).collect();
        prop_assert_eq!(read_symbols, expected);
        let expected = series[from.series as usize..].iter().cloned().enumerate();
        let expected: Vec<_> = expected.map(|(i, s)| (number(from.series)(i), s)).collect();
        prop_assert_eq!(read_series, expected);
    }
}

#[test]
fn long_ranges_are_split_into_entries() {
    let symbols: Vec<Vec<u8>> = (0..70_000u32).map(|i| i.to_string().into_bytes()).collect();
    let series: Vec<Labels> = (0..70_000u32).map(|i| vec![(0, i), (1, i / 7)]).collect();
    let dictionary = dictionary(&symbols, &series);
    let (read_symbols, read_series) = through(&dictionary, DictionaryMark::default(), dictionary.mark());
    assert!(read_symbols.iter().map(|s| &s.1).eq(&symbols));
    assert!(read_series.iter().map(|s| &s.1).eq(&series));
}

#[test]
fn a_checkpoint_repeats_everything_once_in_a_cycle_and_then_begins_again() {
    let symbols: Vec<Vec<u8>> = (0..1000u32).map(|i| i.to_string().into_bytes()).collect();
    let series: Vec<Labels> = (0..300u32).map(|i| vec![(0, i)]).collect();
    let dictionary = dictionary(&symbols, &series);
    let known = dictionary.mark();
    let mut checkpoint = Checkpoint::default();
    for _ in 0..2 {
        let mut at = DictionaryMark::default();
        while at != known {
            let slice = checkpoint.next_slice(&dictionary, known, 10_000);
            assert_eq!(slice.start, at);
            assert!(slice.end.symbols - at.symbols <= 10_000 / 64);
            assert!(slice.end.symbols > at.symbols || slice.end.series > at.series);
            at = slice.end;
        }
    }
}

#[test]
fn long_definitions_make_short_slices() {
    let symbols: Vec<Vec<u8>> = (0..40).map(|i| vec![i; 256 << 10]).collect();
    let dictionary = dictionary(&symbols, &[]);
    let mut checkpoint = Checkpoint::default();
    let slice = checkpoint.next_slice(&dictionary, dictionary.mark(), 65_536);
    assert_eq!((slice.start.symbols, slice.end.symbols), (0, 2));
}
