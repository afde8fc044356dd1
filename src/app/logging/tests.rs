//! Lines as they come out, for events as they go in.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use tracing::{debug, error, info, warn};

use super::*;

/// What was written.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Stopped;

impl Clock for Stopped {
    fn wall_ns(&self) -> i64 {
        1_795_341_600_123_999_999
    }

    fn monotonic_ns(&self) -> u64 {
        0
    }
}

fn lines(format: LogFormat, level: Level, log: impl FnOnce()) -> String {
    let sink = Sink::default();
    let writer = sink.clone();
    let subscriber = LogOptions { level, format }.subscriber(Stopped, move || writer.clone());
    tracing::subscriber::with_default(subscriber, log);
    let bytes = sink.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_logfmt_line_has_its_pairs_in_order() {
    let text = lines(LogFormat::Logfmt, Level::INFO, || {
        info!(target: "tidegate::log", rows = 10, ratio = 0.5, sealed = true, "segment sealed");
    });
    let head = "ts=2026-11-22T10:00:00.123Z level=info target=tidegate::log";
    assert_eq!(text, format!("{head} msg=\"segment sealed\" rows=10 ratio=0.5 sealed=true\n"));
}

#[test]
fn a_json_line_has_the_same_members() {
    let text = lines(LogFormat::Json, Level::INFO, || {
        info!(target: "t", rows = 10, low = -1, ratio = 0.5, odd = f64::NAN, sealed = true, "segment {}", "sealed");
        error!(target: "t", msg = "own", path = "a\"b\\c\n");
    });
    let head = "{\"ts\":\"2026-11-22T10:00:00.123Z\",\"level\":";
    let first = "\"info\",\"target\":\"t\",\"msg\":\"segment sealed\",\"rows\":10,\"low\":-1,\"ratio\":0.5";
    let second = "\"error\",\"target\":\"t\",\"msg_\":\"own\",\"path\":\"a\\\"b\\\\c\\n\"";
    assert_eq!(text, format!("{head}{first},\"odd\":\"NaN\",\"sealed\":true}}\n{head}{second}}}\n"));
    for line in text.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

#[test]
fn a_logfmt_value_is_quoted_where_it_must_be() {
    for (value, written) in [
        ("plain", "plain"),
        ("/a/b.c:1%-_,;", "/a/b.c:1%-_,;"),
        ("", "\"\""),
        ("a b", "\"a b\""),
        ("a=b", "\"a=b\""),
        ("say \"x\"", "\"say \\\"x\\\"\""),
        ("a\\b", "\"a\\\\b\""),
        ("a\nb\r\tc", "\"a\\nb\\r\\tc\""),
        ("\u{1b}[31m\u{7f}\u{85}", "\"\\u001b[31m\\u007f\\u0085\""),
        ("a\u{2028}b", "\"a\\u2028b\""),
        ("\u{e9}\u{4e2d}", "\u{e9}\u{4e2d}"),
    ] {
        let text = lines(LogFormat::Logfmt, Level::INFO, || info!(target: "t", value, "m"));
        assert_eq!(
            text,
            format!("ts=2026-11-22T10:00:00.123Z level=info target=t msg=\"m\" value={written}\n")
        );
    }
}

#[test]
fn a_key_can_not_end_early_and_a_message_may_be_absent() {
    let text = lines(LogFormat::Logfmt, Level::INFO, || {
        info!(target: "t", list = ?[1, 2], "a b" = 1, "c=\"" = 2, error = %io::Error::other("no way"));
    });
    let head = "ts=2026-11-22T10:00:00.123Z level=info target=t";
    assert_eq!(text, format!("{head} list=\"[1, 2]\" a_b=1 c__=2 error=\"no way\"\n"));
}

#[test]
fn less_grave_events_are_passed_over() {
    let log = || {
        debug!("d");
        info!("i");
        warn!("w");
        error!("e");
    };
    assert_eq!(lines(LogFormat::Logfmt, Level::WARN, log).lines().count(), 2);
    assert_eq!(lines(LogFormat::Logfmt, Level::DEBUG, log).lines().count(), 4);
}

#[test]
fn a_flag_goes_before_a_variable_before_the_default() {
    let unset = |_: &str| None;
    let set = |name: &str| {
        let value = if name == "TIDEGATE_LOG_LEVEL" { "debug" } else { "json" };
        Some(value.into())
    };
    let none = LogArgs::default();
    let default = LogOptions { level: Level::INFO, format: LogFormat::Logfmt };
    assert_eq!(LogOptions::resolve(&none, &unset), Ok(default));
    assert_eq!(LogOptions::resolve(&none, &|_| Some("".into())), Ok(default));
    let by_variables = LogOptions { level: Level::DEBUG, format: LogFormat::Json };
    assert_eq!(LogOptions::resolve(&none, &set), Ok(by_variables));
    let flags = LogArgs { log_level: Some("error".into()), log_format: None };
    let mixed = LogOptions { level: Level::ERROR, format: LogFormat::Json };
    assert_eq!(LogOptions::resolve(&flags, &set), Ok(mixed));
}

#[test]
fn an_unknown_word_is_refused_with_its_flag_or_variable() {
    let flags = LogArgs { log_level: Some("loud".into()), log_format: None };
    let error = LogOptions::resolve(&flags, &|_| None).unwrap_err().to_string();
    assert_eq!(error, "--log-level: \"loud\" is unknown, expected one of error, warn, info, debug, trace");
    let error = LogOptions::resolve(&LogArgs::default(), &|name| {
        (name == "TIDEGATE_LOG_FORMAT").then(|| "xml".into())
    });
    let expected = "TIDEGATE_LOG_FORMAT: \"xml\" is unknown, expected one of logfmt, json";
    assert_eq!(error.unwrap_err().to_string(), expected);
}
