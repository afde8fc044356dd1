use proptest::prelude::*;

use super::*;
use crate::model::{Full, WriteResult};
use crate::wire::FedState;
use crate::wire::testing::{Row, Rows, Value};

const FLUSH_NS: i64 = 10_000_000_000;

/// A listener without sockets, and what it wrote.
struct Listener {
    parser: Parser,
    aggregates: Aggregates,
    rows: Rows,
    result: WriteResult,
    now_ns: i64,
}

impl Listener {
    fn new(options: Options) -> Listener {
        Listener {
            parser: Parser::default(),
            aggregates: Aggregates::new(options),
            rows: Rows::default(),
            result: WriteResult::default(),
            now_ns: 0,
        }
    }

    fn feed(&mut self, decoder: &mut Decoder, input: &[u8], last: bool) -> usize {
        let Listener { parser, aggregates, result, now_ns, .. } = self;
        let to = &mut Feed { parser, aggregates, sender: &"10.0.0.1", now_ns: *now_ns };
        let fed = decoder.feed(input, last, to, result);
        assert_eq!(fed.state, if last { FedState::Done } else { FedState::NeedMore });
        fed.consumed
    }

    fn take(&mut self, input: &str) {
        assert_eq!(self.feed(&mut Decoder::default(), input.as_bytes(), true), input.len());
    }

    /// Ends an interval; its rows, as `name{tags} field=value ...` in the order of their names.
    fn flush(&mut self) -> Vec<String> {
        self.now_ns += FLUSH_NS;
        self.aggregates.flush(self.now_ns);
        self.written()
    }

    fn written(&mut self) -> Vec<String> {
        self.aggregates.write(&mut self.rows, &mut self.result).unwrap();
        let mut rows: Vec<String> = self.rows.rows.drain(..).map(|row| show(&row)).collect();
        rows.sort();
        rows
    }

    fn rejected(&mut self, input: &str) -> Vec<(u64, &'static str)> {
        self.take(input);
        let errors = std::mem::take(&mut self.result).errors;
        errors.iter().map(|error| (error.index, error.reason)).collect()
    }
}

fn show(row: &Row) -> String {
    let mut text = String::new();
    let labels = row.labels.iter().filter(|(name, _)| name != "__name__");
    let name = &row.labels.iter().find(|(name, _)| name == "__name__").unwrap().1;
    let labels: Vec<String> = labels.map(|(name, value)| format!("{name}={value}")).collect();
    text += &format!("{name}{{{}}}", labels.join(","));
    for (name, value) in &row.fields {
        text += &match value {
            Value::F64(bits) => format!(" {name}={}", f64::from_bits(*bits)),
            Value::I64(integer) => format!(" {name}={integer}i"),
            Value::Bytes(bytes) => format!(" {name}={:?}", String::from_utf8_lossy(bytes)),
            other => panic!("{other:?}"),
        };
    }
    format!("{text} @{}", row.time_ns / 1_000_000_000)
}

fn plain() -> Listener {
    Listener::new(Options { percentiles: vec![50.0, 99.9], ..Options::default() })
}

#[test]
fn counters_are_added_up_by_interval_and_divided_by_their_rate() {
    let mut listener = plain();
    listener.take("a.b:1|c\na.b:2|c\na.b:1|c|@0.1\nb:-5|c|#x:y\nb:1|c:2|c\nc:3|c|@0\nc:4|c|@nonsense\n");
    assert_eq!(
        listener.flush(),
        ["a.b{} value=13 @10", "b{x=y} value=-5 @10", "b{} value=3 @10", "c{} value=7 @10"]
    );
    listener.take("a.b:1|c");
    assert_eq!(listener.flush(), ["a.b{} value=1 @20"]);
    assert_eq!(listener.flush(), [""; 0]);
    assert_eq!((listener.result.accepted, listener.result.samples, listener.result.rejected), (5, 5, 0));
}

#[test]
fn gauges_are_kept_between_flushes_and_changed_by_signed_values() {
    let mut listener = plain();
    listener.take("a:5|g\na:+3|g\nlone:-4|g\na:-1|g");
    assert_eq!(listener.flush(), ["a{} value=7 @10", "lone{} value=-4 @10"]);
    assert_eq!(listener.flush(), ["a{} value=7 @20", "lone{} value=-4 @20"]);
    listener.take("a:+1|g|@0.5\nlone:0|g\nlone:-2|g");
    assert_eq!(listener.flush(), ["a{} value=8 @30", "lone{} value=-2 @30"]);
}

#[test]
fn gauges_that_nobody_sends_are_forgotten_and_begin_at_zero_again() {
    let mut listener = Listener::new(Options { gauge_flushes_max: 2, ..Options::default() });
    listener.take("a:5|g\nb:1|g");
    assert_eq!(listener.flush().len(), 2);
    listener.take("b:1|g");
    assert_eq!(listener.flush().len(), 2);
    assert_eq!(listener.flush().len(), 2);
    assert_eq!(listener.flush(), ["b{} value=1 @40"]);
    assert_eq!(listener.flush(), [""; 0]);
    assert_eq!(listener.aggregates.series(), 0);
    listener.take("a:+1|g");
    assert_eq!(listener.flush(), ["a{} value=1 @60"]);
}

#[test]
fn timers_become_seconds_and_observations_one_row_of_what_they_are() {
    let mut listener = plain();
    listener.take("t:100:300|ms\nt:200|ms\nh:1|h|@0.5\nh:-4|h\nd:7|d|#a:b,live,x:,:y");
    let expected = [
        "d{a=b} count=1i sum=7 min=7 max=7 p50=7 p99.9=7 @10",
        "h{} count=3i sum=-2 min=-4 max=1 p50=1 p99.9=1 @10",
        "t{} count=3i sum=0.6000000000000001 min=0.1 max=0.3 p50=0.2 p99.9=0.3 @10",
    ];
    assert_eq!(listener.flush(), expected);
    assert_eq!(listener.flush(), [""; 0]);
}

#[test]
fn sets_count_what_is_different_in_an_interval() {
    let mut listener = plain();
    listener.take("s:a|s\ns:b|s\ns:a|s\ns:4.7E5|s|@0.1\n");
    assert_eq!(listener.flush(), ["s{} value=3 @10"]);
    listener.take("s:a|s");
    assert_eq!(listener.flush(), ["s{} value=1 @20"]);
}

#[test]
fn samples_with_a_time_are_rows_at_once() {
    let mut listener = plain();
    listener.take("c:5|c|@0.5|#a:b|T1656581400|c:id\ng:2|g|T7\nc:1|c|Tnever\nc:1|c|T\ng:+1|g|T7\nh:1|h|T7\n");
    assert_eq!(listener.written(), ["c{a=b,container_id=id} value=10 @1656581400", "g{} value=2 @7"]);
    let rows = listener.flush();
    assert_eq!(rows[..2], ["c{} value=2 @10", "g{} value=1 @10"]);
}

#[test]
fn a_time_out_of_range_is_refused_and_one_that_is_none_passed_over() {
    let mut listener = plain();
    for time in ["99999999999999", "9223372037", "99999999999999999999", "0", "-1", "-99999999999999999999"] {
        for sample in ["c:1|c", "g:1|g", "c:1|c|#a:b"] {
            let line = format!("{sample}|T{time}");
            assert_eq!(listener.rejected(&line), [(1, "timestamp")], "{line}");
        }
        listener.take(&format!("g:+1|g|T{time}\nh:1|h|T{time}\n"));
    }
    listener.take("c:1|c|T9223372036\nc:1|c|T1e3\nc:1|c|T1.5");
    assert_eq!(listener.written(), ["c{} value=1 @9223372036"]);
    let rows = listener.flush();
    assert_eq!(rows[..2], ["c{} value=2 @10", "g{} value=6 @10"]);
}

#[test]
fn the_order_of_tags_makes_no_other_series_and_the_last_of_a_name_counts() {
    let mut listener = plain();
    listener.take("m:1|c|#a:1,b:2\nm:1|c|#b:2,a:1\nm,b=2,a=1:1|c\nm#b=2,a=1:1|c\nm[a=0,b=2,a=1]:1|c\nm:1|c|#a:0,#b:2,a:1");
    assert_eq!(listener.flush(), ["m{a=1,b=2} value=6 @10"]);
    listener.take("m:1|c|#tag.with-dots:1,9th:é:2,__name__:x");
    assert_eq!(listener.flush(), ["m{_9th=é:2,tag_with_dots=1} value=1 @20"]);
}

#[test]
fn names_in_brackets_are_read_with_care() {
    let mut listener = plain();
    listener.take("a.[x=1]b:1|c\n]a[:1|c\n[a:1|c\na]b=1,c=2:1|c\n");
    let expected =
        ["[a{} value=1 @10", "]a[{} value=1 @10", "a.b{x=1} value=1 @10", "a]b=1,c=2{} value=1 @10"];
    assert_eq!(listener.flush(), expected);
    assert_eq!(listener.rejected("[x=1]:1|c"), [(1, "syntax")]);
}

#[test]
fn bad_samples_cost_themselves_and_name_their_line() {
    let mut listener = plain();
    let long = "x".repeat(LINE_BYTES_MAX + 1);
    let lines = [
        "foo",
        "foo:1",
        ":1|c",
        "foo:1o|c",
        "foo:|c",
        "foo:1|c|",
        "foo:1|e",
        "foo:1|c|0.1",
        "foo:+1|s",
        "foo:+1|h",
    ];
    assert_eq!(
        listener.rejected(&lines.join("\n")),
        (1..=10).map(|line| (line, "syntax")).collect::<Vec<_>>()
    );
    let lines = [
        "foo:-1|ms",
        "foo:nan|g",
        "foo:inf|c",
        "foo:1:2|c",
        "foo,a=b:1|c|#c:d",
        "foo:1|c|#a:b|c",
        "1d1:d11|c",
        &long,
    ];
    let mut expected: Vec<_> = (1..=7).map(|line| (line, "syntax")).collect();
    expected.push((8, "too_large"));
    assert_eq!(listener.rejected(&lines.join("\n")), expected);
    assert_eq!(listener.rejected("good:1|c:bad|c:2|c\n\n \r\n"), [(1, "syntax")]);
    assert_eq!(listener.flush(), ["good{} value=3 @10"]);
    let (mut decoder, bad) = (Decoder::default(), b"\xffoo:1|c\nb:1|c|#a:\xff\n");
    listener.feed(&mut decoder, bad, true);
    assert_eq!(listener.result.rejected, 2);
}

#[test]
fn a_colon_in_a_container_separates_no_samples() {
    let mut listener = plain();
    listener.take("a:1|c|c:ci-1:2\nb:1|g|@1|e:x:y|card:low");
    assert_eq!(listener.flush(), ["a{container_id=ci-1:2} value=1 @10", "b{} value=1 @10"]);
    assert_eq!(listener.result.rejected, 0);
}

#[test]
fn events_and_checks_are_rows_of_strings() {
    let mut listener = plain();
    listener.now_ns = 3_000_000_000;
    listener.take(
        "_e{11,24}:test\\ntitle|test\\line1\\nline2\\nline3\n_e{1,1}:é|x\n_e{1,0}:a|\n_e{2,3}:é|a|b|d:7|p:low|h:h1|t:error|k:key|s:src|#a,b:c|c:id\n",
    );
    let expected = [
        "statsd_event{a=true,b=c,container_id=id,source=h1} title=\"é\" text=\"a|b\" priority=\"low\" \
         alert_type=\"error\" aggregation_key=\"key\" source_type_name=\"src\" @7",
        "statsd_event{source=10.0.0.1} title=\"a\" text=\"\" priority=\"normal\" alert_type=\"info\" @3",
        "statsd_event{source=10.0.0.1} title=\"test\\ntitle\" text=\"test\\\\line1\\nline2\\nline3\" \
         priority=\"normal\" alert_type=\"info\" @3",
    ];
    assert_eq!(listener.written(), expected);
    assert_eq!(std::mem::take(&mut listener.result).rejected, 1, "a length that ends within a character");
    listener.take("_sc|db.up|2|d:9|#host:h2,check_name:x|m:a|b\\nc\n_sc|db.up|0|d:never|c:|h:\n");
    let expected = [
        "statsd_service_check{check_name=db.up,source=10.0.0.1} status=0i status_text=\"ok\" @3",
        "statsd_service_check{check_name=db.up,source=h2} status=2i status_text=\"critical\" message=\"a|b\\nc\" @9",
    ];
    assert_eq!(listener.written(), expected);
    let bad = [
        "_e{}:a|b",
        "_e{1}:a|b",
        "_e{1,1}a|b",
        "_e{1,1}:ab",
        "_e{0,1}:|b",
        "_e{1,9}:a|b",
        "_e{+1,1}:a|b",
        "_e{1,1}:a|bc",
        "_e{1,1}:a|b|x:y",
        "_sc|a|4",
    ];
    assert_eq!(listener.rejected(&bad.join("\n")), (1..=10).map(|line| (line, "syntax")).collect::<Vec<_>>());
    assert_eq!(listener.rejected("_sc|a\n_sc||0\n_e{18446744073709551615,1}:a|b").len(), 3);
}

#[test]
fn a_checks_message_ends_where_clients_say_whose_it_is() {
    let mut listener = plain();
    listener.take("_sc|a|0|m:a|c|d:1|c:in-7|e:it-false|card:low\n_sc|b|0|m:|c:ci\n_sc|c|0|m:c:x|e\n");
    let expected = [
        "statsd_service_check{check_name=a,container_id=in-7,source=10.0.0.1} status=0i status_text=\"ok\" \
         message=\"a|c|d:1\" @0",
        "statsd_service_check{check_name=b,container_id=ci,source=10.0.0.1} status=0i status_text=\"ok\" \
         message=\"\" @0",
        "statsd_service_check{check_name=c,source=10.0.0.1} status=0i status_text=\"ok\" message=\"c:x|e\" @0",
    ];
    assert_eq!(listener.written(), expected);
}

#[test]
fn what_is_not_known_of_a_check_is_passed_over() {
    let mut listener = plain();
    listener.take("_sc|a|1|x:y|#t:v|z||h:h1|m:text\n_sc|a|0|\n");
    let expected = [
        "statsd_service_check{check_name=a,source=10.0.0.1} status=0i status_text=\"ok\" @0",
        "statsd_service_check{check_name=a,source=h1,t=v} status=1i status_text=\"warning\" message=\"text\" @0",
    ];
    assert_eq!(listener.written(), expected);
    assert_eq!(listener.result.rejected, 0);
}

#[test]
fn a_listener_holds_so_many_series_and_those_go_on() {
    let mut listener = Listener::new(Options { series_max: 2, ..Options::default() });
    assert_eq!(
        listener.rejected("a:1|c\nb:1|c\nc:1|c\na:1|g\na:1|c"),
        [(3, "series_limit"), (4, "series_limit")]
    );
    assert_eq!(listener.flush(), ["a{} value=2 @10", "b{} value=1 @10"]);
    // Those that fall silent make room.
    for _ in 0..4 {
        listener.flush();
    }
    listener.take("c:1|c\nd:1|c");
    assert_eq!(listener.flush(), ["c{} value=1 @60", "d{} value=1 @60"]);
}

#[test]
fn what_the_intake_refuses_is_counted() {
    let mut listener = plain();
    listener.rows.series_max = Some(1);
    listener.take("a:1|c\nb:1|c");
    assert_eq!(listener.flush(), ["a{} value=1 @10"]);
    assert_eq!(listener.result.reasons, [("series_limit", 1)]);
}

#[test]
fn a_full_intake_gets_every_row_once() {
    let input = "a:1|c\nb:2|g\nc:3|c|T5\n_sc|x|0\nd:4|ms\nc:3|c|T6\n";
    let mut expected = plain();
    expected.take(input);
    let expected = expected.flush();
    for room in 1..6 {
        let mut listener = plain();
        listener.take(input);
        listener.now_ns += FLUSH_NS;
        listener.aggregates.flush(listener.now_ns);
        listener.rows.room = Some(0);
        while listener.aggregates.has_rows() {
            let written = listener.aggregates.write(&mut listener.rows, &mut listener.result);
            assert_eq!(written.is_err(), listener.aggregates.has_rows());
            assert!(matches!(written, Ok(()) | Err(Full)));
            listener.rows.room = Some(room);
        }
        listener.rows.room = None;
        let mut rows: Vec<String> = listener.rows.rows.iter().map(show).collect();
        rows.sort();
        // The check has the time of its arrival in both.
        assert_eq!(rows, expected);
        assert_eq!(listener.result.accepted, rows.len() as u64);
    }
}

fn sample_line() -> impl Strategy<Value = String> {
    let name = "[ab](\\[k=v\\])?|[ab],k=[vw]|c";
    let value = "[+-]?[0-9]{1,2}(\\.5)?|x";
    let tags = "(\\|@0\\.[0-9])?(\\|#[kl]:[vw](,[kl])?)?(\\|T[0-9])?";
    (name, value, "c|g|ms|h|s|z", tags)
        .prop_map(|(name, value, kind, tags)| format!("{name}:{value}|{kind}{tags}"))
}

proptest! {
    #[test]
    fn rows_are_the_same_wherever_the_input_is_cut(
        lines in proptest::collection::vec(sample_line(), 0..20), cut in 0usize..300,
    ) {
        let input = lines.join("\n");
        let (mut whole, mut cut_up) = (plain(), plain());
        whole.take(&input);
        let mut decoder = Decoder::default();
        let used = cut_up.feed(&mut decoder, &input.as_bytes()[..cut.min(input.len())], false);
        cut_up.feed(&mut decoder, &input.as_bytes()[used..], true);
        prop_assert_eq!(whole.flush(), cut_up.flush());
        prop_assert_eq!(whole.result, cut_up.result);
    }

    #[test]
    fn counters_and_gauges_are_what_a_naive_sum_makes_of_them(
        samples in proptest::collection::vec((0usize..3, any::<bool>(), -50i32..50, any::<bool>()), 0..40),
    ) {
        let mut listener = plain();
        let (mut counters, mut gauges) = ([None; 3], [None; 3]);
        for &(name, is_counter, value, plus) in &samples {
            let sign = if plus && value >= 0 { "+" } else { "" };
            let kind = if is_counter { "c" } else { "g" };
            listener.take(&format!("m{name}:{sign}{value}|{kind}"));
            if is_counter {
                counters[name] = Some(counters[name].unwrap_or(0) + value);
            } else if value < 0 || plus {
                gauges[name] = Some(gauges[name].unwrap_or(0) + value);
            } else {
                gauges[name] = Some(value);
            }
        }
        let rows = |values: [Option<i32>; 3]| {
            (0..3).filter_map(move |name| values[name].map(|value| format!("m{name}{{}} value={value} @10")))
        };
        let mut expected: Vec<String> = rows(counters).chain(rows(gauges)).collect();
        expected.sort();
        let found: Vec<String> = listener.flush().iter().map(|row| row.replace("=-0 ", "=0 ")).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn any_bytes_never_panic(
        prefix in "(_e\\{|_sc\\||a:|\\[a)?", input in proptest::collection::vec(any::<u8>(), 0..100), cut in 0usize..100,
    ) {
        let input = [prefix.as_bytes(), &input].concat();
        let mut listener = plain();
        let mut decoder = Decoder::default();
        let used = listener.feed(&mut decoder, &input[..cut.min(input.len())], false);
        listener.feed(&mut decoder, &input[used..], true);
        listener.flush();
    }

    #[test]
    fn any_text_never_panics(input in "([ -~é]|\\||:|,|#|\\{|\\}|[0-9]|\n){0,60}") {
        for prefix in ["", "_e{1,2}:", "_e{", "_sc|a|1|", "a:1|c|"] {
            let mut listener = plain();
            listener.take(&format!("{prefix}{input}"));
            listener.flush();
        }
    }
}

/// Lines that differ in few things, so that many are known when they come, and some are known but for their value.
fn repeated_line() -> impl Strategy<Value = String> {
    let name = prop_oneof![Just("a"), Just("b"), Just("a,x=1"), Just("a.b")];
    let value = prop_oneof![
        Just("1"),
        Just("2.5"),
        Just("-3"),
        Just("+4"),
        Just("1:2"),
        Just(""),
        Just("x"),
        Just("1e400"),
        Just("7|c:8")
    ];
    let kind = prop_oneof![Just("c"), Just("g"), Just("ms"), Just("h"), Just("s"), Just("z")];
    let rest = prop_oneof![
        Just(""),
        Just("|@0.1"),
        Just("|@0.1|@0.5"),
        Just("|#x:1"),
        Just("|#x:1,y:2|@0.5"),
        Just("|T5"),
        Just("|@0"),
        Just("|c:id"),
        Just(":5|c"),
        Just("|@1e-320")
    ];
    (name, value, kind, rest).prop_map(|(name, value, kind, rest)| format!("{name}:{value}|{kind}{rest}"))
}

proptest! {
    #[test]
    fn lines_that_are_known_add_up_like_lines_that_are_new(
        lines in proptest::collection::vec(repeated_line(), 1..60),
        flushes in proptest::collection::vec(0usize..60, 0..6),
    ) {
        let (mut known, mut new) = (plain(), plain());
        for (number, line) in lines.iter().enumerate() {
            for listener in [&mut known, &mut new] {
                listener.take(line);
            }
            new.aggregates.forget_lines();
            if flushes.contains(&number) {
                prop_assert_eq!(known.flush(), new.flush());
            }
        }
        prop_assert_eq!(known.flush(), new.flush());
        prop_assert_eq!(known.result, new.result);
    }
}

#[test]
fn a_line_that_is_known_finds_its_series_after_others_were_forgotten() {
    let mut listener = plain();
    listener.take("gone:1|c\nhere:1|c");
    listener.flush();
    for _ in 0..5 {
        listener.take("here:2|c");
        assert_eq!(listener.flush().len(), 1);
    }
    assert_eq!(listener.aggregates.series(), 1);
    listener.take("new:5|c\nhere:3|c");
    assert_eq!(listener.flush(), ["here{} value=3 @70", "new{} value=5 @70"]);
}

/// The stream that DogStatsD's clients make of packets.
fn framed(packets: &[&str]) -> Vec<u8> {
    let framed = |packet: &&str| [&(packet.len() as u32).to_le_bytes()[..], packet.as_bytes()].concat();
    packets.iter().flat_map(framed).collect()
}

#[test]
fn packets_of_a_stream_are_told_from_lines_by_their_first_bytes() {
    let mut listener = plain();
    let long = format!("{}:1|c", "n".repeat(LINE_BYTES_MAX));
    for stream in [
        &framed(&["a:1|c\nb:2|c", "a:3|c\n", "", "bad", &long, "b:4|c"])[..],
        b"a:1|c\nb:2|c\na:3|c",
        b"a:1",
        b"",
    ] {
        listener.feed(&mut Decoder::of_either(), stream, true);
    }
    assert_eq!(listener.flush(), ["a{} value=8 @10", "b{} value=8 @10"]);
    // The line that is too long, and two that are none.
    assert_eq!(listener.result.rejected, 3);
}

#[test]
fn a_stream_that_is_out_of_step_is_given_up() {
    let mut listener = plain();
    let stream = [framed(&["a:1|c"]), b"a:1|c\nb:2|c\n".to_vec()].concat();
    let mut decoder = Decoder::of_either();
    assert_eq!(listener.feed(&mut decoder, &stream, false), stream.len());
    assert!(decoder.is_lost());
    assert_eq!(listener.feed(&mut decoder, b"c:1|c\n", false), 6);
    assert_eq!(listener.flush(), ["a{} value=1 @10"]);
    assert_eq!((listener.result.rejected, listener.result.errors[0].reason), (1, "syntax"));
}

proptest! {
    #[test]
    fn packets_are_the_same_wherever_their_stream_is_cut(
        packets in prop::collection::vec("([ab]:[1-9]\\|c\n?){0,4}", 0..5),
        pieces in prop::collection::vec(1usize..9, 1..6),
    ) {
        let packets: Vec<&str> = packets.iter().map(String::as_str).collect();
        let (mut expected, mut found) = (plain(), plain());
        for packet in &packets {
            expected.take(packet);
        }
        let stream = framed(&packets);
        let (mut decoder, mut start, mut end) = (Decoder::of_either(), 0, 0);
        for piece in pieces.iter().cycle() {
            end = stream.len().min(end + piece);
            start += found.feed(&mut decoder, &stream[start..end], end == stream.len());
            if end == stream.len() {
                break;
            }
        }
        prop_assert_eq!(start, stream.len());
        prop_assert_eq!(found.flush(), expected.flush());
        prop_assert_eq!(found.result.rejected, expected.result.rejected);
    }
}
