use proptest::prelude::*;

use super::*;
use crate::model::WriteResult;
use crate::wire::testing::{Row, Rows, Value};
use crate::wire::{Decode, FedState};

const NOW_NS: i64 = 1_700_000_000_000_000_001;

fn decode(input: &[u8]) -> (Vec<Row>, WriteResult) {
    let (mut rows, mut result) = (Rows::default(), WriteResult::default());
    let fed = Decoder::new(NOW_NS).feed(input, true, &mut rows, &mut result);
    assert_eq!((fed.consumed, fed.state), (input.len(), FedState::Done));
    (rows.rows, result)
}

fn row(labels: &[(&str, &str)], value: f64, time_ns: i64) -> Row {
    let labels = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let fields = vec![("value".to_owned(), Value::F64(value.to_bits()))];
    Row { labels, time_ns, start_time_ns: None, fields }
}

#[test]
fn lines_become_rows() {
    let input = b"a.b 1 2\n  \tc;x=y=z;b=1\t-0.5e3\t3.99 \r\n\nd 5 -1\ne +Inf -1.5\nunicode.\xc3\xa9 7 1e3";
    let (rows, result) = decode(input);
    let expected = [
        row(&[("__name__", "a.b")], 1.0, 2_000_000_000),
        row(&[("__name__", "c"), ("b", "1"), ("x", "y=z")], -500.0, 3_000_000_000),
        row(&[("__name__", "d")], 5.0, NOW_NS),
        row(&[("__name__", "e")], f64::INFINITY, NOW_NS),
        row(&[("__name__", "unicode.é")], 7.0, 1_000_000_000_000),
    ];
    assert_eq!(rows, expected);
    assert_eq!((result.accepted, result.samples, result.rejected), (5, 5, 0));
}

#[test]
fn faults_cost_their_line_and_name_it() {
    let too_long = "x".repeat(LINE_BYTES_MAX + 1);
    let input = format!(
        "one\ntwo 1\nfour 1 2 3\nv x 1\nt 1 x\nn nan 1\nr 1 1e30\nr 1 nan\n;a=b 1 1\n{too_long}\ngood 1 1\n"
    );
    let (rows, result) = decode(input.as_bytes());
    assert_eq!(rows, [row(&[("__name__", "good")], 1.0, 1_000_000_000)]);
    assert_eq!((result.accepted, result.rejected), (1, 10));
    let found: Vec<_> = result.errors.iter().map(|e| (e.index, e.reason)).collect();
    let syntax = [1, 2, 3, 4, 5].map(|line| (line, "syntax"));
    let others = [(6, "nan"), (7, "timestamp"), (8, "timestamp"), (9, "syntax"), (10, "too_large")];
    assert_eq!(found, [&syntax[..], &others].concat());
    assert_eq!(result.errors[2].error, "expected metric, value and timestamp, found 4 words");
}

#[test]
fn a_path_that_is_not_text_is_refused() {
    let (rows, result) = decode(b"a\xff 1 1\na 1 1\n");
    assert_eq!((rows.len(), result.rejected), (1, 1));
}

#[test]
fn tags_that_mean_nothing_are_left_out_and_the_last_of_a_name_counts() {
    let (rows, result) = decode(b"m;a=1;b;=c;d=;e!=1;f=~1;a=2;g=~;a=3 1 1\nm; 1 1\n");
    assert_eq!(rows[0].labels[1..], [("a".to_owned(), "3".to_owned())]);
    assert_eq!(rows[1].labels.len(), 1);
    assert_eq!(result.rejected, 0);
}

#[test]
fn known_series_are_predicted_and_others_announced() {
    let lines: String = (0..50).map(|i| format!("m{i} 1 1\n")).collect();
    let (mut rows, mut result) = (Rows::default(), WriteResult::default());
    let mut decoder = Decoder::new(NOW_NS);
    decoder.feed(lines.repeat(3).as_bytes(), false, &mut rows, &mut result);
    assert!(rows.confirmed >= 98, "{}", rows.confirmed);
    assert!(rows.announced >= 40, "{}", rows.announced);
    assert_eq!(rows.rows.len(), 150);
}

#[test]
fn a_full_intake_stops_before_the_row() {
    let input = b"a 1 1\nbad\nb 2 2\n\nc 3 3";
    let (expected, _) = decode(input);
    for room in 1..4 {
        let mut rows = Rows::default();
        rows.room = Some(0);
        let mut result = WriteResult::default();
        let mut decoder = Decoder::new(NOW_NS);
        let mut at = 0;
        loop {
            let fed = decoder.feed(&input[at..], true, &mut rows, &mut result);
            at += fed.consumed;
            if fed.state == FedState::Done {
                break;
            }
            assert_eq!(fed.state, FedState::Full);
            rows.room = Some(room);
        }
        assert_eq!(rows.rows, expected);
        assert_eq!((result.accepted, result.rejected, result.errors[0].index), (3, 1, 2));
    }
}

/// What a line means, word by word and without haste.
fn oracle(line: &str) -> Option<Option<(String, u64, i64)>> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    if words.is_empty() {
        return Some(None);
    }
    let [path, value, time] = words[..] else { return None };
    let value: f64 = value.parse().ok().filter(|v: &f64| !v.is_nan())?;
    let seconds: f64 = time.parse().ok().filter(|v: &f64| v.abs() < 9e9)?;
    let time_ns = if seconds.trunc() == -1.0 { NOW_NS } else { seconds.trunc() as i64 * 1_000_000_000 };
    Some(Some((path.to_owned(), value.to_bits(), time_ns)))
}

proptest! {
    #[test]
    fn rows_are_the_oracles_wherever_the_input_is_cut(
        lines in proptest::collection::vec(
            "[ \t]{0,2}([a-c]{1,3}[ \t]{1,2}(-?[0-9]{1,3}(\\.[0-9]{1,3})?|nan|inf|x)[ \t](-?[0-9]{1,9}(\\.[0-9])?|-1|y))?( z)?[ \r]{0,2}",
            0..12,
        ),
        cut in 0usize..400,
    ) {
        let input = lines.join("\n");
        let expected: Vec<_> = lines.iter().filter_map(|line| oracle(line).flatten()).collect();
        let bad = lines.iter().filter(|line| oracle(line).is_none()).count() as u64;
        let (mut rows, mut result) = (Rows::default(), WriteResult::default());
        let mut decoder = Decoder::new(NOW_NS);
        let first = &input.as_bytes()[..cut.min(input.len())];
        let fed = decoder.feed(first, false, &mut rows, &mut result);
        decoder.feed(&input.as_bytes()[fed.consumed..], true, &mut rows, &mut result);
        let found: Vec<_> = rows.rows.iter().map(|row| {
            let Value::F64(bits) = row.fields[0].1 else { panic!("a float") };
            (row.labels[0].1.clone(), bits, row.time_ns)
        }).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(result.rejected, bad);
    }

    #[test]
    fn any_bytes_never_panic(input in proptest::collection::vec(any::<u8>(), 0..200), cut in 0usize..200) {
        let (mut rows, mut result) = (Rows::default(), WriteResult::default());
        let mut decoder = Decoder::new(NOW_NS);
        let fed = decoder.feed(&input[..cut.min(input.len())], false, &mut rows, &mut result);
        decoder.feed(&input[fed.consumed..], true, &mut rows, &mut result);
    }
}
