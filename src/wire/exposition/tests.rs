use proptest::prelude::*;

use super::oracle::{self, Labels, Said};
use super::*;
use crate::model::{METRIC_NAME, MetricType, WriteResult};
use crate::wire::testing::{MetadataSeen, Row, Rows, Value};
use crate::wire::{Decode, FedState};

const NOW_NS: i64 = 1_700_000_000_000_000_000;

fn options(syntax: Syntax, faults: Faults) -> Options {
    Options { syntax, faults, default_time_ns: NOW_NS, labels: Vec::new(), keep_created: false }
}

/// What became of a body.
struct Taken {
    rows: Rows,
    result: WriteResult,
}

fn feed_whole(decoder: &mut Decoder, body: &[u8], rows: &mut Rows) -> WriteResult {
    let mut result = WriteResult::default();
    let fed = decoder.feed(body, true, rows, &mut result);
    assert_eq!((fed.consumed, fed.state), (body.len(), FedState::Done));
    result
}

fn take(syntax: Syntax, faults: Faults, body: &[u8]) -> Result<Taken, String> {
    let mut decoder = Decoder::new(options(syntax, faults));
    decoder.check(body).map_err(|malformed| malformed.error)?;
    let mut rows = Rows::default();
    let result = feed_whole(&mut decoder, body, &mut rows);
    assert_eq!(result.accepted, rows.rows.len() as u64);
    Ok(Taken { rows, result })
}

fn lines(body: &str) -> Taken {
    take(Syntax::Text, Faults::Line, body.as_bytes()).unwrap()
}

fn errors(taken: &Taken) -> Vec<(u64, &str)> {
    taken.result.errors.iter().map(|e| (e.index, e.reason)).collect()
}

/// A row as `name{labels} value time start`.
fn shown(row: &Row) -> String {
    let label = |name: &str| row.labels.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v);
    let others = row.labels.iter().filter(|(n, _)| n.as_bytes() != METRIC_NAME);
    let labels: Vec<String> = others.map(|(n, v)| format!("{n}={v}")).collect();
    let Value::F64(bits) = row.fields[0].1 else { panic!("{row:?}") };
    let mut text = format!("{}{{{}}} {}", label("__name__"), labels.join(","), f64::from_bits(bits));
    if row.time_ns != NOW_NS {
        text += &format!(" {}", row.time_ns / 1_000_000);
    }
    if let Some(start_ns) = row.start_time_ns {
        text += &format!(" from {}", start_ns / 1_000_000);
    }
    text
}

fn all_shown(rows: &Rows) -> Vec<String> {
    rows.rows.iter().map(shown).collect()
}

#[test]
fn bad_lines_are_named_by_number_and_cost_no_others() {
    let taken = lines("a 1\n\nb{ 2\n# TYPE c nonsense\nc 3 x\nd 4\ne{x=\"1\",x=\"2\"} 5\nf");
    assert_eq!(all_shown(&taken.rows), ["a{} 1", "d{} 4"]);
    assert_eq!(errors(&taken), [(3, "syntax"), (4, "syntax"), (5, "syntax"), (7, "labels"), (8, "value")]);
    assert_eq!(taken.result.errors[0].original, "b{ 2");
}

#[test]
fn pushed_lines_may_end_with_crlf() {
    let body = "\r\n# HELP a x\r\n# TYPE a gauge\r\n# c\r\na 1\r\nb{x=\"y\"} 2 3\r\n \t\r\nc 4 \r\nd \r\ne{x=\"\r\n\"} 5\ng{x=\"\n\"} 7\r\nf 6\r";
    let whole = lines(body);
    assert_eq!(all_shown(&whole.rows), ["a{} 1", "b{x=y} 2 3", "c{} 4", "e{x=\r\n} 5", "g{x=\n} 7", "f{} 6"]);
    assert_eq!(errors(&whole), [(9, "value")]);
    assert_eq!((whole.rows.metadata[0].help.as_str(), whole.rows.metadata[0].kind), ("x", MetricType::Gauge));
    for piece in 1..9 {
        let taken = feed_pieces(body.as_bytes(), &[piece], &[1, 0, 3]);
        assert_eq!(
            (taken.rows.rows, taken.result),
            (whole.rows.rows.clone(), whole.result.clone()),
            "{piece}"
        );
    }
    assert!(take(Syntax::Text, Faults::Body, b"a 1\r\n").is_err(), "a scrape knows no such end");
    assert!(take(Syntax::OpenMetrics, Faults::Line, b"a 1\r\n# EOF\n").unwrap().rows.rows.is_empty());
}

#[test]
fn a_bad_line_costs_a_scrape() {
    let error = take(Syntax::Text, Faults::Body, b"a 1\n\nb{x=\"\n\"} 2\nc 3 x\n").err().unwrap();
    assert_eq!(error, "line 5: expected a timestamp or the line's end at column 5");
    let error = take(Syntax::OpenMetrics, Faults::Body, b"a 1\n").err().unwrap();
    assert_eq!(error, "the data does not end with # EOF");
    let error = take(Syntax::OpenMetrics, Faults::Body, b"a 1\n# EOF\n\n").err().unwrap();
    assert_eq!(error, "line 3: unexpected data after # EOF");
    let error = take(Syntax::Text, Faults::Body, b"a{x=\"1\",x=\"\"} 1\n").err().unwrap();
    assert_eq!(error, "line 1: label \"x\" is given twice at column 9");
}

#[test]
fn pushed_openmetrics_that_is_cut_short_says_so_once() {
    for body in ["a 1\nb 2\n", "a 1\nb 2\nc"] {
        let taken = take(Syntax::OpenMetrics, Faults::Line, body.as_bytes()).unwrap();
        assert_eq!(all_shown(&taken.rows), ["a{} 1", "b{} 2"]);
        assert_eq!(errors(&taken), [(3, "syntax")]);
    }
    let taken = take(Syntax::OpenMetrics, Faults::Line, b"a 1\n# EOF\nb 2\nc 3\n").unwrap();
    assert_eq!(errors(&taken), [(3, "syntax"), (4, "syntax")]);
}

#[test]
fn a_time_out_of_range_costs_its_row_in_every_mode() {
    let body = b"a 1 9223372036855\nb 2 9223372036854\nc 3 99999999999999999999\n";
    let taken = take(Syntax::Text, Faults::Line, body).unwrap();
    assert_eq!(all_shown(&taken.rows), ["b{} 2 9223372036854"]);
    assert_eq!(errors(&taken), [(1, "timestamp"), (3, "timestamp")]);
    let taken = take(Syntax::Text, Faults::Body, &body[..36]).unwrap();
    assert_eq!(errors(&taken), [(1, "timestamp")]);
}

#[test]
fn the_same_bytes_are_another_series_under_another_type() {
    let line = "a{le=\"1\",quantile=\"2\"} 5\n";
    let body = format!(
        "{line}# TYPE x histogram\n{line}# TYPE x summary\n{line}# TYPE x gauge\n{line}# TYPE x histogram\n{line}"
    );
    let expected = [
        "a{le=1,quantile=2} 5",
        "a{le=1.0,quantile=2} 5",
        "a{le=1,quantile=2.0} 5",
        "a{le=1,quantile=2} 5",
        "a{le=1.0,quantile=2} 5",
    ];
    let mut decoder = Decoder::new(options(Syntax::Text, Faults::Line));
    let mut rows = Rows::default();
    for _ in 0..3 {
        rows.rows.clear();
        feed_whole(&mut decoder, body.as_bytes(), &mut rows);
        assert_eq!(all_shown(&rows), expected);
        decoder.reset(NOW_NS);
    }
    assert!(rows.confirmed >= 4, "{}", rows.confirmed);
}

#[test]
fn given_labels_take_the_place_of_a_series_own() {
    let labels = vec![GivenLabel::new(b"job", b"push"), GivenLabel::new(b"instance", b"")];
    let given = Options { labels, ..options(Syntax::Text, Faults::Line) };
    let mut rows = Rows::default();
    let body = b"a{job=\"own\",x=\"y\",instance=\"i\"} 1\nb 2\n";
    feed_whole(&mut Decoder::new(given.clone()), body, &mut rows);
    assert_eq!(all_shown(&rows), ["a{job=push,x=y} 1", "b{job=push} 2"]);
    // The same intake, without: other series.
    feed_whole(&mut Decoder::new(options(Syntax::Text, Faults::Line)), body, &mut rows);
    assert_eq!(all_shown(&rows)[2..], ["a{instance=i,job=own,x=y} 1", "b{} 2"]);
    feed_whole(&mut Decoder::new(given), body, &mut rows);
    assert_eq!(all_shown(&rows)[4..], ["a{job=push,x=y} 1", "b{job=push} 2"]);
}

#[test]
fn created_lines_are_start_times_wherever_they_stand() {
    let body =
        b"# TYPE a histogram\na_created{x=\"1\"} 1.5\na_bucket{x=\"1\",le=\"2\"} 1\na_count{x=\"1\"} 1\n\
        a_count{x=\"2\"} 2\na_created{x=\"3\"} 7\na_created{x=\"4\"} NaN\n\
        a_count{x=\"5\"} 5\na_created{x=\"5\"} 0\n\
        # TYPE b counter\nb_total 1\nb_created 2\n# TYPE c gauge\nc_created 3\n\
        # TYPE d summary\nd{quantile=\"0\"} 1\nd_created 4\n# TYPE e counter\ne_total 5\n# EOF\n";
    for faults in [Faults::Body, Faults::Line] {
        let taken = take(Syntax::OpenMetrics, faults, body).unwrap();
        let expected = [
            "a_bucket{le=2.0,x=1} 1 from 1500",
            "a_count{x=1} 1 from 1500",
            "a_count{x=2} 2",
            // Of no row: they are rows themselves.
            "a_created{x=3} 7",
            "a_created{x=4} NaN",
            // Prometheus takes the epoch for none.
            "a_count{x=5} 5",
            "a_created{x=5} 0",
            "b_total{} 1 from 2000",
            "c_created{} 3",
            "d{quantile=0.0} 1 from 4000",
            "e_total{} 5",
        ];
        assert_eq!(all_shown(&taken.rows), expected);
    }
}

#[test]
fn exemplars_belong_to_their_series_and_have_its_time_if_none_of_their_own() {
    let body =
        b"# TYPE a counter\na_total{x=\"y\"} 1 2.5 # {id=\"q\\\"\",\"b.c\"=\"\"} 0.5\nb 1 # {} 3 4\n# EOF\n";
    let taken = take(Syntax::OpenMetrics, Faults::Body, body).unwrap();
    let [first, second] = &*taken.rows.exemplars else { panic!("{:?}", taken.rows.exemplars) };
    assert_eq!((first.time_ns, first.value_bits, &*first.field), (2_500_000_000, 0.5f64.to_bits(), "value"));
    assert_eq!(first.labels, [("id".into(), "q\"".into()), ("b.c".into(), String::new())]);
    assert_eq!(first.series, taken.rows.rows[0].labels);
    assert_eq!((second.time_ns, second.labels.len()), (4_000_000_000, 0));
}

#[test]
fn metadata_is_told_once_for_each_metric_and_whole() {
    let body =
        "# HELP a help \\\"\\n\\\\\n# TYPE a counter\na 1\n# HELP b\nb 1\n# TYPE \"c d\" gauge\n# HELP e f";
    let expected = |name: &str, kind, help: &str| MetadataSeen {
        name: name.into(),
        kind,
        unit: String::new(),
        help: help.into(),
    };
    assert_eq!(
        lines(body).rows.metadata,
        [
            expected("a", MetricType::Counter, "help \\\"\n\\"),
            expected("b", MetricType::Unknown, ""),
            expected("c d", MetricType::Gauge, ""),
            expected("e", MetricType::Unknown, "f"),
        ]
    );
    let body = b"# TYPE a_s gauge\n# UNIT a_s s\n# HELP a_s x\\\"\n# EOF";
    let taken = take(Syntax::OpenMetrics, Faults::Body, body).unwrap();
    let seen = &taken.rows.metadata[0];
    assert_eq!((&*seen.unit, &*seen.help, seen.kind), ("s", "x\"", MetricType::Gauge));
}

#[test]
fn a_line_that_is_too_long_is_rejected_and_passed_over_however_it_comes() {
    let long = format!("a{{x=\"{}\"}} 1", "y".repeat(LINE_BYTES_MAX));
    // Newlines in quotes do not make it shorter.
    let quoted = format!("b{{x=\"{}", "\"\n".repeat(2) + &"z\n".repeat(LINE_BYTES_MAX));
    for (body, rows) in [(format!("ok 1\n{long}\nok 2\n"), 2), (format!("ok 1\n{quoted}"), 1)] {
        let whole = lines(&body);
        assert_eq!(whole.rows.rows.len(), rows);
        assert_eq!(whole.result.errors[0].index, 2);
        for piece in [1000, 65_536] {
            let pieces = feed_pieces(body.as_bytes(), &[piece], &[]);
            assert_eq!(pieces.rows.rows, whole.rows.rows);
            assert_eq!(pieces.result, whole.result);
        }
    }
}

/// Feeds a body to a decoder of lines in pieces of these sizes, with room for these numbers of rows, again and again.
fn feed_pieces(body: &[u8], pieces: &[usize], rooms: &[usize]) -> Taken {
    let mut decoder = Decoder::new(options(Syntax::Text, Faults::Line));
    let mut rows = Rows::default();
    let mut result = WriteResult::default();
    let (mut pieces, mut rooms) = (pieces.iter().cycle(), rooms.iter().cycle());
    rows.room = rooms.next().copied();
    let (mut from, mut to) = (0, 0);
    loop {
        let last = to == body.len();
        let fed = decoder.feed(&body[from..to], last, &mut rows, &mut result);
        from += fed.consumed;
        assert!(to - from <= LINE_BYTES_MAX);
        match fed.state {
            FedState::Full => rows.room = rooms.next().map(|room| room + 1),
            FedState::Done => {
                assert_eq!(from, body.len());
                return Taken { rows, result };
            }
            FedState::NeedMore => to = (to + pieces.next().unwrap()).min(body.len()),
        }
    }
}

/// Feeds a whole body with room for these numbers of rows, again and again.
fn feed_with_rooms(syntax: Syntax, body: &[u8], rooms: &[usize]) -> Taken {
    let mut decoder = Decoder::new(options(syntax, Faults::Line));
    let mut rows = Rows::default();
    let mut result = WriteResult::default();
    let mut rooms = rooms.iter().cycle();
    rows.room = rooms.next().copied();
    let mut rest = body;
    loop {
        let fed = decoder.feed(rest, true, &mut rows, &mut result);
        rest = &rest[fed.consumed..];
        match fed.state {
            FedState::Full => rows.room = rooms.next().map(|room| room + 1),
            _ => return Taken { rows, result },
        }
    }
}

fn blank() -> impl Strategy<Value = String> {
    prop_oneof![8 => Just(String::new()), 2 => Just(" ".to_owned()), 1 => Just("\t ".to_owned())]
}

fn label() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("le".to_owned()),
        Just("quantile".to_owned()),
        "[a-c]",
        "\"[a-c. ]{0,2}\"",
        Just("\"a\\\"\"".to_owned()),
        Just("__name__".to_owned()),
        Just("é".to_owned()),
    ];
    let value = prop_oneof![
        "\"[0-9]{1,8}\"",
        "\"[0-9.e+-]{0,6}\"",
        "\"[a-c}{, =#é]{0,4}\"",
        Just("\"\\\\\"".to_owned()),
        Just("\"\\\"\\n\\x\"".to_owned()),
        Just("\"a\nb\"".to_owned()),
        Just("'x'".to_owned()),
        Just("\"".to_owned()),
    ];
    (name, blank(), blank(), value).prop_map(|(n, a, b, v)| format!("{n}{a}={b}{v}"))
}

fn labels() -> impl Strategy<Value = String> {
    let comma = prop_oneof![12 => Just(","), 1 => Just(", "), 1 => Just(""), 1 => Just(",,")];
    (proptest::collection::vec((label(), comma), 0..4), any::<bool>(), blank()).prop_map(
        |(labels, trailing, blank)| {
            let mut text = String::from("{");
            for (i, (label, comma)) in labels.iter().enumerate() {
                text += label;
                if trailing || i + 1 < labels.len() {
                    text += comma;
                }
            }
            text + &blank + "}"
        },
    )
}

fn sample() -> impl Strategy<Value = String> {
    let name = prop_oneof![6 => "[a-c:_][a-c0-9]{0,3}", 1 => Just("é".to_owned()), 1 => Just(String::new())];
    let value = prop_oneof![
        6 => any::<i16>().prop_map(|v| v.to_string()),
        6 => any::<f64>().prop_map(|v| v.to_string()),
        1 => "[0-9.eExp_+nNaAiIfF-]{0,8}",
        1 => Just("NaN".to_owned()),
        1 => Just("+Inf".to_owned()),
    ];
    let time = prop_oneof![
        4 => Just(String::new()),
        2 => any::<u32>().prop_map(|t| format!(" {t}")),
        1 => any::<i32>().prop_map(|t| format!(" {}", f64::from(t) / 1000.0)),
        1 => Just("  12 ".to_owned()),
        1 => Just(" 1 2".to_owned()),
    ];
    let exemplar = prop_oneof![
        8 => Just(String::new()),
        1 => (labels(), 0..100).prop_map(|(l, v)| format!(" # {l} {v}")),
        1 => (labels(), 0..100).prop_map(|(l, v)| format!(" # {l} {v} 1.5")),
    ];
    let labels = prop_oneof![2 => labels(), 1 => Just(String::new())];
    let parts = (
        blank(),
        name,
        blank(),
        labels,
        prop_oneof![8 => Just(" "), 1 => Just("\t"), 1 => Just("")],
        value,
        time,
        exemplar,
    );
    parts.prop_map(|(a, name, b, labels, c, value, time, exemplar)| {
        format!("{a}{name}{b}{labels}{c}{value}{time}{exemplar}")
    })
}

fn line() -> impl Strategy<Value = String> {
    let kind = prop_oneof![
        4 => Just("histogram"), 4 => Just("summary"), 4 => Just("gauge"), 1 => Just("untyped"), 1 => Just("unknown"),
        1 => Just("nonsense"), 1 => Just(""),
    ];
    prop_oneof![
        12 => sample(),
        3 => kind.prop_map(|kind| format!("# TYPE a {kind}")),
        1 => "# HELP [a-c]{0,2} ?[a-c\\\\\"n]{0,4}",
        1 => "# UNIT a_s [st]",
        1 => "#[ \t]?[HELPTYa ]{0,6}",
        1 => Just(String::new()),
    ]
}

pub(super) fn body() -> impl Strategy<Value = Vec<u8>> {
    let lines = proptest::collection::vec(line(), 0..6);
    let end = prop_oneof![3 => Just("\n# EOF\n"), 1 => Just("\n"), 1 => Just("")];
    (lines, end).prop_map(|(lines, end)| (lines.join("\n") + end).into_bytes())
}

/// One line, good or bad, so that what is wrong with one does not hide what becomes of others.
fn short_body() -> impl Strategy<Value = Vec<u8>> {
    (proptest::option::of("(# TYPE [a-c] (histogram|summary|counter)\n)"), line(), any::<bool>()).prop_map(
        |(kind, line, ends)| {
            let end = if ends { "\n# EOF" } else { "" };
            (kind.unwrap_or_default() + &line + end).into_bytes()
        },
    )
}

pub(super) fn syntaxes() -> impl Strategy<Value = Syntax> {
    prop_oneof![Just(Syntax::Text), Just(Syntax::OpenMetrics)]
}

/// Labels, the bits of the value, time.
type TakenRow = (Labels, u64, Option<i64>);

/// The samples that are taken: times that are no nanoseconds are refused row by row, with their exemplars.
fn expected_samples(said: &[Said]) -> impl Iterator<Item = &oracle::Sample> {
    let samples = said.iter().filter_map(|one| match one {
        Said::Sample(sample) => Some(sample),
        _ => None,
    });
    samples.filter(|s| s.time_ms.is_none_or(|ms| ms.checked_mul(1_000_000).is_some()))
}

fn expected_rows(said: &[Said]) -> Vec<TakenRow> {
    let bits = |value: f64| if value.is_nan() { crate::model::NAN_CANONICAL_BITS } else { value.to_bits() };
    expected_samples(said).map(|s| (s.labels.clone(), bits(s.value), s.time_ms)).collect()
}

fn taken_rows(rows: &Rows) -> Vec<TakenRow> {
    rows.rows
        .iter()
        .map(|row| {
            let Value::F64(bits) = row.fields[0].1 else { panic!("{row:?}") };
            (row.labels.clone(), bits, (row.time_ns != NOW_NS).then_some(row.time_ns / 1_000_000))
        })
        .collect()
}

fn agrees_with_oracle(syntax: Syntax, body: &[u8]) -> Result<(), TestCaseError> {
    let expected = oracle::read(syntax, body);
    let got = take(syntax, Faults::Body, body);
    let error = got.as_ref().err().cloned();
    prop_assert_eq!(got.is_ok(), expected.is_some(), "{:?}: {:?}", String::from_utf8_lossy(body), error);
    let (Ok(taken), Some(expected)) = (got, expected) else { return Ok(()) };
    prop_assert_eq!(taken_rows(&taken.rows), expected_rows(&expected));
    let exemplars = expected_samples(&expected).filter_map(|sample| sample.exemplar.clone());
    let exemplars: Vec<_> = exemplars.map(|(labels, value, _)| (labels, value)).collect();
    let got: Vec<_> =
        taken.rows.exemplars.iter().map(|e| (e.labels.clone(), f64::from_bits(e.value_bits))).collect();
    prop_assert_eq!(format!("{got:?}"), format!("{exemplars:?}"));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_line_is_read_as_the_server_reads_it(syntax in syntaxes(), body in short_body()) {
        agrees_with_oracle(syntax, &body)?;
    }

    #[test]
    fn a_line_with_a_byte_changed_is_read_as_the_server_reads_it(
        syntax in syntaxes(), body in short_body(), at in any::<prop::sample::Index>(),
        byte in prop_oneof![Just(b' '), Just(b'"'), Just(b'\\'), Just(b'\n'), Just(b'}'), Just(b'#'), 1u8..=255],
    ) {
        let mut body = body;
        if !body.is_empty() {
            let at = at.index(body.len());
            body[at] = byte;
        }
        agrees_with_oracle(syntax, &body)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn lines_that_are_known_are_read_like_lines_that_are_new(body in body()) {
        let mut decoder = Decoder::new(options(Syntax::Text, Faults::Line));
        let mut rows = Rows::default();
        let result = feed_whole(&mut decoder, &body, &mut rows);
        for _ in 0..2 {
            let before = std::mem::take(&mut rows.rows);
            decoder.reset(NOW_NS);
            prop_assert_eq!(&feed_whole(&mut decoder, &body, &mut rows), &result);
            prop_assert_eq!(&rows.rows, &before);
        }
    }

    #[test]
    fn rows_and_faults_are_the_same_wherever_a_body_is_cut(
        body in body(), pieces in proptest::collection::vec(1usize..40, 1..6),
        rooms in proptest::collection::vec(0usize..3, 0..4),
    ) {
        let whole = take(Syntax::Text, Faults::Line, &body).unwrap();
        let cut = feed_pieces(&body, &pieces, &rooms);
        prop_assert_eq!(&cut.rows.rows, &whole.rows.rows);
        prop_assert_eq!(&cut.rows.metadata, &whole.rows.metadata);
        prop_assert_eq!(cut.result, whole.result);
    }

    #[test]
    fn rows_and_exemplars_are_the_same_wherever_the_intake_is_full(
        syntax in syntaxes(), body in body(), rooms in proptest::collection::vec(0usize..3, 1..4),
    ) {
        let whole = take(syntax, Faults::Line, &body).unwrap();
        let stalled = feed_with_rooms(syntax, &body, &rooms);
        prop_assert_eq!(&stalled.rows.rows, &whole.rows.rows);
        prop_assert_eq!(&stalled.rows.exemplars, &whole.rows.exemplars);
        prop_assert_eq!(&stalled.rows.metadata, &whole.rows.metadata);
        prop_assert_eq!(stalled.result, whole.result);
    }

    #[test]
    fn any_bytes_are_read_or_refused(syntax in syntaxes(), body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = take(syntax, Faults::Body, &body);
        let taken = take(syntax, Faults::Line, &body).unwrap();
        prop_assert!(taken.result.rejected <= 1 + body.iter().filter(|&&b| b == b'\n').count() as u64 + 1);
    }

    #[test]
    fn a_push_is_taken_whole_or_refused_whole(body in body(), rooms in proptest::collection::vec(0usize..3, 1..4)) {
        let group = vec![GivenLabel::new(b"a", b"x"), GivenLabel::new(b"le", b"")];
        let options = PushOptions { format: Format::Lines(Syntax::Text), time_ns: NOW_NS, group };
        let mut push = Push::new(options);
        let Ok(()) = push.check(&body) else { return Ok(()) };
        // What is pushed a scrape would take, but for types.
        let error = take(Syntax::Text, Faults::Body, &body).err();
        prop_assert!(error.as_ref().is_none_or(|error| error.contains("unknown metric type")), "{:?}", error);
        let series = push.series().len();
        let mut rows = Rows::default();
        let mut result = WriteResult::default();
        for room in rooms.iter().cycle() {
            rows.room = Some(room + 1);
            let fed = push.feed(&body, true, &mut rows, &mut result);
            if fed.state == FedState::Done {
                break;
            }
            prop_assert_eq!(fed.consumed, 0);
        }
        prop_assert_eq!((rows.rows.len(), result.accepted), (series, series as u64));
        prop_assert!(result.rejected == 0 || series == 0);
        for row in &rows.rows {
            prop_assert!(row.labels.contains(&("a".to_owned(), "x".to_owned())));
            prop_assert!(row.labels.iter().all(|(name, _)| name != "le"));
            prop_assert_eq!(row.time_ns, NOW_NS);
        }
        let mut labels: Vec<_> = rows.rows.iter().map(|row| &row.labels).collect();
        labels.sort();
        labels.dedup();
        prop_assert_eq!(labels.len(), series);
    }
}
