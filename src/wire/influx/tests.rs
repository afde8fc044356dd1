//! The decoder against the oracle, in every dialect, whole and in pieces, and what it promises besides.

use proptest::prelude::*;

use super::super::testing::{Rows, Value};
use super::oracle::{self, Outcome};
use super::{Decoder, Dialect, LINE_BYTES_MAX, Precision};
use crate::model::WriteResult;
use crate::wire::{Decode, Fed, FedState};

const DIALECTS: [Dialect; 3] = [Dialect::V1, Dialect::V2, Dialect::V3];
const DEFAULT_NS: i64 = 1_234_567_890_123_456_789;

/// Feeds a body in pieces whose lengths repeat `pieces`, with room for `room` rows between two `Full`s.
fn decode(dialect: Dialect, body: &[u8], pieces: &[usize], room: Option<usize>) -> (Rows, WriteResult) {
    decode_by(Decoder::feed, dialect, body, pieces, room)
}

type Feed = fn(&mut Decoder, &[u8], bool, &mut Rows, &mut WriteResult) -> Fed;

fn decode_by(
    feed: Feed,
    dialect: Dialect,
    body: &[u8],
    pieces: &[usize],
    room: Option<usize>,
) -> (Rows, WriteResult) {
    let mut rows = Rows::default();
    rows.room = room;
    let mut result = WriteResult::default();
    let mut decoder = Decoder::new(dialect, Precision::Micros, DEFAULT_NS);
    let mut pieces = pieces.iter().cycle();
    let (mut at, mut end) = (0, 0);
    loop {
        end = (end + pieces.next().unwrap()).min(body.len());
        let last = end == body.len();
        let fed = feed(&mut decoder, &body[at..end], last, &mut rows, &mut result);
        at += fed.consumed;
        match fed.state {
            FedState::Full => rows.room = Some(room.unwrap().max(1)),
            FedState::NeedMore => assert!(!last, "nothing more comes"),
            FedState::Done => break,
        }
    }
    assert_eq!(at, body.len());
    assert_eq!(result.accepted, rows.rows.len() as u64);
    assert_eq!(result.samples, rows.rows.iter().map(|r| r.fields.len() as u64).sum::<u64>());
    (rows, result)
}

/// Compares with the oracle all that a result keeps.
fn check(dialect: Dialect, body: &[u8], pieces: &[usize], room: Option<usize>) -> Rows {
    let expected: Outcome = oracle::decode(dialect, Precision::Micros, DEFAULT_NS, body);
    let (rows, result) = decode(dialect, body, pieces, room);
    let faults: Vec<_> = result.errors.iter().map(|e| (e.index, e.reason)).collect();
    let shown = String::from_utf8_lossy(body);
    assert_eq!(rows.rows, expected.rows, "{dialect:?} {pieces:?} {shown:?} {:?}", result.errors);
    let first: Vec<_> = expected.faults.iter().take(10).copied().collect();
    assert_eq!(faults, first, "{dialect:?} {pieces:?} {shown:?} {:?}", result.errors);
    assert_eq!(result.rejected, expected.faults.len() as u64);
    let (scalar_rows, scalar_result) = decode_by(Decoder::feed_scalar, dialect, body, pieces, room);
    assert_eq!((scalar_rows.rows, scalar_result), (rows.rows.clone(), result));
    rows
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(vec!["cpu", "host", "a", "usage_guest_nice", "a_name_that_is_longer_than_a_step"]),
        1 => prop::sample::select(vec![
            r"a\ b", r"a\,b", r"a\=b", r"a\\", r"a\\ b", r"\x", "é", "\"q", r#"a\"b"#, r#"a\\"b"#, "a\tb", "a=b", "a,b", "", "#", "a\\\nb",
            "time", "__name__", "a::b", "\u{1}", "\\",
        ]),
    ]
    .prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => any::<i32>().prop_map(|v| format!("{v}i")),
        1 => any::<i64>().prop_map(|v| format!("{v}i")),
        1 => any::<u64>().prop_map(|v| format!("{v}u")),
        2 => (-9999i32..9999).prop_map(|v| format!("{}", f64::from(v) / 100.0)),
        2 => any::<f64>().prop_map(|v| format!("{v:?}")),
        1 => any::<f64>().prop_map(|v| format!("{v}")),
        1 => (0.0..100.0f64).prop_map(|v| format!("{v}")),
        1 => "[0-9]{0,22}[.]?[0-9]{0,22}",
        2 => prop::sample::select(vec![
            "t", "F", "true", "False", "TRUE", "tRUE", "truely", "-0", "-0i", "-0u", ".5", "5.", "1e3", "1E-3", "1e400", "-", ".",
            "1e", "1i2", "0x1", "inf", "NaN", "9223372036854775808i", "-9223372036854775808i", "1\t", "+1", "1_0",
            "18446744073709551616u", "000000000000000000000001i",
        ]).prop_map(str::to_owned),
        3 => prop::sample::select(vec![
            r#""""#, r#""text""#, r#""a\"b""#, r#""a\\""#, r#""a\nb""#, "\"a\nb\"", r#""a"b""#, r#""open"#, r#""é""#,
            r#""a=b,c d""#, r#""x\"#, "\"a\r\nb\"", r#""a text that is much longer than thirty-two bytes, ünd not ascii""#,
        ]).prop_map(str::to_owned),
    ]
}

fn line() -> impl Strategy<Value = String> {
    let tags = prop::collection::vec((name(), name()), 0..3);
    let fields = prop::collection::vec((name(), value()), 1..5);
    let time = prop_oneof![
        3 => Just(String::new()),
        5 => (0i64..4_000_000_000_000_000).prop_map(|t| format!(" {t}")),
        1 => any::<i64>().prop_map(|t| format!(" {t}")),
        1 => prop::sample::select(vec![" ", "  5", " 5 ", " 1.5", " x", " 5 6", " -", " 0000000000000000000000000007", "\t7"])
            .prop_map(str::to_owned),
    ];
    let end = prop::sample::select(vec![
        "\n",
        "\n",
        "\n",
        "\n",
        "\r\n",
        "\n\n",
        "\n# a comment with \"quote\n",
        "\n \t# x=\"\n",
        "\r",
    ]);
    let gap = prop::sample::select(vec![" ", " ", " ", " ", "  ", "\t", " \t", ""]);
    let indent = prop::sample::select(vec!["", "", "", "", "", " ", "\t", "\0"]);
    (indent, name(), tags, gap, fields, time, end).prop_map(
        |(indent, measurement, tags, gap, fields, time, end)| {
            let mut line = format!("{indent}{measurement}");
            for (i, (name, value)) in tags.iter().enumerate() {
                line += &format!(",{name}{i}={value}");
            }
            line += gap;
            for (i, (name, value)) in fields.iter().enumerate() {
                line += &format!("{}{name}={value}", if i > 0 { "," } else { "" });
            }
            line + &time + end
        },
    )
}

/// Lines several times over, so that predictions come true, with bytes changed here and there.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        3 => prop::sample::select(&b" ,=\"\\\n#\r\t0.-eiu\0"[..]),
        1 => any::<u8>(),
    ];
    let changes = prop::collection::vec((any::<prop::sample::Index>(), byte), 0..6);
    (prop::collection::vec(line(), 1..5), 1usize..4, changes, any::<bool>()).prop_map(
        |(lines, times, changes, ended)| {
            let mut body = lines.concat().repeat(times).into_bytes();
            for (place, byte) in changes {
                let place = place.index(body.len());
                body[place] = byte;
            }
            if !ended {
                body.pop();
            }
            // Enough behind the last line for it to go the fast way too.
            body.extend_from_slice(if ended {
                b"# the end of the body is far from here ........\n"
            } else {
                b""
            });
            body
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn whole_bodies_come_out_as_the_oracles(body in body()) {
        for dialect in DIALECTS {
            check(dialect, &body, &[body.len().max(1)], None);
        }
    }

    #[test]
    fn pieces_and_full_intakes_change_nothing(
        body in body(),
        pieces in prop::collection::vec(1usize..60, 1..6),
        room in prop::option::of(0usize..3),
    ) {
        for dialect in DIALECTS {
            check(dialect, &body, &pieces, room);
        }
    }

    #[test]
    fn any_bytes_at_all(body in prop::collection::vec(any::<u8>(), 0..300), piece in 1usize..64) {
        for dialect in DIALECTS {
            check(dialect, &body, &[piece], None);
        }
    }
}

#[test]
fn predicted_lines_go_the_fast_way() {
    let block = "cpu,host=a x=1i,y=2.5,s=\"t\" 1\ncpu,host=b x=-1i,y=0.1234567890123456789,s=\"\\\"\" 2\n";
    let body = block.repeat(50) + &"#".repeat(99);
    for dialect in DIALECTS {
        let rows = check(dialect, body.as_bytes(), &[body.len()], None);
        assert_eq!(rows.rows.len(), 100);
        assert_eq!(rows.confirmed, 97, "all but the first two and the one that first follows b");
    }
}

#[test]
fn keys_are_announced_where_predictions_fail() {
    let hosts: Vec<usize> = (0..300).map(|i| i * i * 7 % 101).collect();
    let body: String = hosts.iter().map(|h| format!("cpu,host={h} x={h}i {h}\n")).collect();
    for dialect in DIALECTS {
        let rows = check(dialect, body.as_bytes(), &[4096], None);
        assert!(rows.announced > 100, "{}", rows.announced);
    }
}

#[test]
fn a_line_too_long_is_refused_without_being_kept() {
    let long = format!("m s=\"{}\n\" 1\n", "x".repeat(3 * LINE_BYTES_MAX));
    let body = format!("m s=\"a\" 1\n{long}m s=\"b\" 2\n");
    for dialect in DIALECTS {
        let mut rows = Rows::default();
        let mut result = WriteResult::default();
        let mut decoder = Decoder::new(dialect, Precision::Nanos, 0);
        let (mut kept, mut kept_max) = (Vec::new(), 0);
        for piece in body.as_bytes().chunks(10_000) {
            kept.extend_from_slice(piece);
            let fed = decoder.feed(&kept, false, &mut rows, &mut result);
            kept.drain(..fed.consumed);
            kept_max = kept_max.max(kept.len());
        }
        let fed = decoder.feed(&kept, true, &mut rows, &mut result);
        assert_eq!(fed, Fed { consumed: kept.len(), state: FedState::Done });
        assert!(kept_max <= LINE_BYTES_MAX, "{kept_max}");
        assert_eq!(rows.rows.len(), 2);
        assert_eq!((result.rejected, result.errors[0].index, result.errors[0].reason), (1, 2, "too_large"));
    }
}

#[test]
fn a_line_of_the_greatest_length_is_taken_and_one_byte_more_is_not() {
    for (extra, taken) in [(0, 1), (1, 0)] {
        let rest = "m s=\"\",t=\"\" 1".len();
        let half = (LINE_BYTES_MAX - rest) / 2;
        let line = format!(
            "m s=\"{}\",t=\"{}\" 1\n",
            "x".repeat(half),
            "y".repeat(LINE_BYTES_MAX - rest - half + extra)
        );
        for body in [line.clone(), line.repeat(3) + &"\n".repeat(99)] {
            let (rows, result) = decode(Dialect::V1, body.as_bytes(), &[1 << 16], None);
            let lines = body.lines().filter(|l| !l.is_empty()).count();
            assert_eq!(rows.rows.len(), taken * lines);
            assert_eq!(result.rejected as usize, lines - taken * lines);
        }
    }
}

#[test]
fn a_body_of_one_byte_pieces_is_looked_at_once() {
    // Were each piece to cost a look at the whole line, this would take hours.
    let body = format!("m s=\"{}\" 1\n", "\n\\\"".repeat(LINE_BYTES_MAX / 3 - 10));
    for dialect in DIALECTS {
        let (rows, _) = decode(dialect, body.as_bytes(), &[1], None);
        assert_eq!(rows.rows.len(), usize::from(dialect != Dialect::V3), "v3 bounds strings");
    }
}

#[test]
fn faults_name_line_place_and_reason() {
    let body = "\n# comment\ncpu,host=a x=1i\ncpu,host=a x=1i,y\ncpu,host= x=1\n";
    let (_, result) = decode(Dialect::V1, body.as_bytes(), &[7], None);
    let shown: Vec<_> =
        result.errors.iter().map(|e| (e.index, e.error.as_str(), e.original.as_str())).collect();
    assert_eq!(
        shown,
        [
            (4, "missing '=' after field key at column 18", "cpu,host=a x=1i,y"),
            (5, "missing tag value at column 10", "cpu,host= x=1"),
        ]
    );
}

#[test]
fn oddities_of_the_references_are_theirs_alone() {
    use Dialect::{V1, V2, V3};
    let takes: [(&str, &[Dialect]); 13] = [
        ("m a=1,", &[V3]),
        ("m a=1, 5", &[V3]),
        ("m a=1,,", &[]),
        ("m a=1, ", &[]),
        ("m a=1,b=2,", &[]),
        (r"m a\\=1", &[]),
        (r"m a=1,\\=1", &[]),
        (r"m a\\b=1", &[V1, V2, V3]),
        ("m a=\"x\"\r", &[V2]),
        ("m a=\"x\"y", &[]),
        ("m a=\"x\"y,b=2 5", &[]),
        ("m a=1\r", &[V2]),
        ("m a=\"x\" 5\r", &[V2]),
    ];
    for (line, by) in takes {
        let body = format!("m a=1\n{line}\n");
        for dialect in DIALECTS {
            let rows = check(dialect, body.as_bytes(), &[body.len()], None).rows;
            assert_eq!(rows.len(), 1 + usize::from(by.contains(&dialect)), "{dialect:?} {line}");
        }
    }
}

#[test]
fn a_series_over_the_limit_is_refused_and_known_ones_go_on() {
    let body = "a x=1\nb x=\"\n\"\na x=2\n";
    let mut rows = Rows::default();
    rows.series_max = Some(1);
    let mut result = WriteResult::default();
    let mut decoder = Decoder::new(Dialect::V2, Precision::Nanos, 0);
    decoder.feed(body.as_bytes(), true, &mut rows, &mut result);
    assert_eq!(rows.rows.len(), 2);
    assert_eq!(result.reasons, [("series_limit", 1)]);
    assert_eq!(result.errors[0].error, "series limit reached: limits.series_max is 1");
}

#[test]
fn of_two_fields_of_one_name_the_last_one_counts_if_their_types_are_one() {
    let line = "m a=1i,b=2,a=3i 1\n".repeat(3) + "m b=2,a=3i 1\n" + &"#".repeat(64);
    for dialect in [Dialect::V1, Dialect::V2] {
        let rows = check(dialect, line.as_bytes(), &[line.len()], None);
        let expected = [("b".to_owned(), Value::F64(2f64.to_bits())), ("a".to_owned(), Value::I64(3))];
        assert!(rows.rows.iter().all(|row| row.fields == expected));
        assert_eq!(rows.rows.len(), 4);
    }
    let (_, result) = decode(Dialect::V3, line.as_bytes(), &[line.len()], None);
    assert_eq!((result.accepted, result.reasons.as_slice()), (1, &[("name", 3)][..]));
    // Which of the two is not to be lost without a word.
    for dialect in [Dialect::V1, Dialect::V2, Dialect::V3] {
        let lines = "m a=1i,b=2,a=\"x\" 1\nm b=2 1\n";
        let (_, result) = decode(dialect, lines.as_bytes(), &[lines.len()], None);
        assert_eq!((result.accepted, result.reasons.as_slice()), (1, &[("name", 1)][..]), "{dialect:?}");
    }
}

#[test]
fn a_decoder_is_used_again_for_another_intake() {
    let mut decoder = Decoder::new(Dialect::V1, Precision::Nanos, 0);
    for (body, name) in [("m a=1i 1\n", "a"), ("m b=1i 1\n", "b")] {
        let mut rows = Rows::default();
        let body = body.repeat(4) + &"#".repeat(64);
        decoder.reset(Dialect::V1, Precision::Nanos, 0);
        decoder.feed(body.as_bytes(), true, &mut rows, &mut WriteResult::default());
        assert!(rows.rows.iter().all(|row| row.fields[0].0 == name));
        assert_eq!(rows.rows.len(), 4);
    }
}
