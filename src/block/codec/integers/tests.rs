//! Words through a container and back.

use proptest::prelude::*;

use super::super::super::DecodeError;
use super::super::super::container::{Container, ContainerWriter, entry};
use super::super::super::input::Input;
use super::super::Runs;
use super::{Scratch, decode, encode, encode_bits, encode_by_series, form};
use crate::bytes::AlignedBuf;
use crate::model::SeriesId;

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
    decode(words.len(), None, &container, &mut input, &mut back).unwrap();
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

/// The same with the series of each word.
fn through_by_series(words: &[u64], series: &[SeriesId]) -> (Vec<u64>, Vec<u8>) {
    let runs = Runs::new(series, None);
    let mut container = ContainerWriter::new();
    let mut description = Vec::new();
    let mut scratch = Scratch::default();
    encode_by_series(&mut words.to_vec(), runs.starts(), &mut scratch, &mut container, &mut description);
    container.entry(entry::ROWS, &description);
    let mut out = AlignedBuf::new();
    container.finish(&mut out);
    let container = Container::open(&out).unwrap();
    let mut input = Input(&description);
    let mut back = Vec::new();
    decode(words.len(), Some(&runs), &container, &mut input, &mut back).unwrap();
    input.end().unwrap();
    (back, description)
}

/// Series in runs of up to `longest`, each with as many words as the column has.
fn series(words: usize, longest: usize, odd: u64) -> Vec<SeriesId> {
    let lengths = (0..).map(|i: u64| 1 + (odd.wrapping_mul(i + 1) >> 40) as usize % longest);
    let runs = lengths.zip(0..).flat_map(|(length, s)| std::iter::repeat_n(SeriesId(s), length));
    runs.take(words).collect()
}

/// A walk of small steps in each series, from anywhere.
fn walks(series: &[SeriesId], odd: u64, scale: u64) -> Vec<u64> {
    let (mut state, mut at, mut last) = (odd | 1, 0u64, None);
    let step = |s: &SeriesId| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        at = if last == Some(*s) { at.wrapping_add(state >> 5 & 3) } else { state >> 44 };
        last = Some(*s);
        odd.wrapping_add(at.wrapping_mul(scale))
    };
    series.iter().map(step).collect()
}

proptest! {
    #[test]
    fn words_of_any_runs_come_back(words in words(), longest in 1usize..12, odd: u64) {
        let series = series(words.len(), longest, odd);
        let (back, description) = through_by_series(&words, &series);
        prop_assert!(back == words);
        // Twice what a column takes otherwise, and only where a column is long: see `descriptors_are_bounded`.
        let bound = if words.len() < 512 { 63 } else { 126 };
        prop_assert!(description.len() <= bound);
    }

    #[test]
    fn walks_are_coded_by_series(
        rows in 512usize..3000,
        longest in 2usize..12,
        odd: u64,
        scale in prop_oneof![Just(1u64), 1..1u64 << 30],
    ) {
        let series = series(rows, longest, odd);
        let words = walks(&series, odd, scale);
        let (back, description) = through_by_series(&words, &series);
        prop_assert!(back == words);
        prop_assert!(description[0] & form::BY_SERIES != 0);
    }

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

#[test]
fn columns_that_win_nothing_by_series_are_coded_as_ever() {
    let words: Vec<u64> = (0..2000u64).map(|i| i * i % 977).collect();
    let plain = |series: &[SeriesId]| through_by_series(&words, series).1[0] & form::BY_SERIES == 0;
    let each_its_own: Vec<SeriesId> = (0..2000).map(SeriesId).collect();
    assert!(plain(&each_its_own));
    assert!(plain(&[SeriesId(3); 2000]), "one series");
    assert!(plain(&series(2000, 5, 0x9e37_79b9_7f4a_7c15)), "noise within series as between them");
}

#[test]
fn by_series_is_refused_where_there_are_no_runs_or_nothing_but_starts() {
    let container_bytes = |description: &[u8]| {
        let mut container = ContainerWriter::new();
        container.entry(entry::ROWS, description);
        let mut out = AlignedBuf::new();
        container.finish(&mut out);
        out
    };
    let decode = |count: usize, series: Option<&[u32]>, form: u8, first: u8| {
        // Origin 1, base 3, no bits; the firsts are all 5.
        let description = [form, 2, 6, 0, 0, first, 10, 0, 0];
        let bytes = container_bytes(&description);
        let series = series.map(|s| s.iter().map(|&s| SeriesId(s)).collect::<Vec<_>>());
        let runs = series.as_ref().map(|series| Runs::new(series, None));
        let (mut input, mut words) = (Input(&description), Vec::new());
        let container = Container::open(&bytes).unwrap();
        decode(count, runs.as_ref(), &container, &mut input, &mut words)?;
        input.end().map(|()| words)
    };
    let by_series = form::BY_SERIES | 1;
    assert_eq!(decode(4, Some(&[7, 7, 7, 2]), by_series, 0), Ok(vec![6, 9, 12, 6]));
    let damaged = |read: Result<Vec<u64>, DecodeError>| matches!(read, Err(DecodeError::Damaged(_)));
    assert!(damaged(decode(4, None, by_series, 0)), "not a column of rows");
    assert!(damaged(decode(4, Some(&[1, 2, 3, 4]), by_series, 0)), "nothing but starts");
    assert!(damaged(decode(4, Some(&[7, 7, 7, 2]), form::BY_SERIES, 0)), "no differences");
    assert!(damaged(decode(4, Some(&[7, 7, 7, 2]), form::BY_SERIES | 2, 0)), "second differences");
    assert!(damaged(decode(4, Some(&[7, 7, 7, 2]), by_series, by_series)), "firsts by series");
}
