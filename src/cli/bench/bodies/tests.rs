use std::io::Read;

use clap::Parser;

use crate::model::WriteResult;
use crate::wire::remote_write::{Decoder, Message};
use crate::wire::testing::{self, Rows};
use crate::wire::{Decode, otlp};

use super::*;

const START_NS: i64 = 1_700_000_000_000_000_000;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    bench: BenchArgs,
}

fn build(line: &str, bytes_max: usize) -> Result<Bodies, BenchError> {
    let args = Cli::try_parse_from(format!("bench {line}").split_whitespace()).unwrap().bench;
    Bodies::build(&args, START_NS, bytes_max, |_| {})
}

fn bytes(bodies: &Bodies, request: u64) -> Vec<u8> {
    bodies.body(bodies.place(request)).bytes().to_vec()
}

/// Key and time of each line, fields dropped.
fn keys_and_times(body: &[u8]) -> Vec<(String, i64)> {
    let text = std::str::from_utf8(body).unwrap();
    assert!(text.ends_with('\n'));
    text.lines()
        .map(|line| {
            (line.split(' ').next().unwrap().to_owned(), line.rsplit(' ').next().unwrap().parse().unwrap())
        })
        .collect()
}

#[test]
fn a_request_is_a_function_of_seed_and_number() {
    let line = "--workload churn --series 70 --batch 40 --samples 3000 --order random";
    let (one, other) = (build(line, 1 << 20).unwrap(), build(line, 1 << 20).unwrap());
    let forward: Vec<_> = (0..200).map(|request| bytes(&one, request)).collect();
    let mut backward: Vec<_> = (0..200).rev().map(|request| bytes(&other, request)).collect();
    backward.reverse();
    assert!(forward == backward, "what was sent before shows in a body");
    let reseeded = build(&format!("{line} --seed 2"), 1 << 20).unwrap();
    assert!(bytes(&one, 0) != bytes(&reseeded, 0));
}

#[test]
fn every_series_has_ascending_times_ten_seconds_apart_over_cycles() {
    for line in [
        "--series 70 --batch 40 --samples 3000",
        "--series 30 --batch 400 --samples 3000",
        "--series 50 --batch 50 --order random --samples 1",
        "--workload events --series 64 --batch 33 --samples 2000",
    ] {
        let bodies = build(line, 1 << 20).unwrap();
        let requests = 3 * bodies.bodies.len() as u64 + 1;
        let mut last = std::collections::HashMap::new();
        let mut distances = std::collections::BTreeMap::new();
        for request in 0..requests {
            for (key, time) in keys_and_times(&bytes(&bodies, request)) {
                if let Some(before) = last.insert(key, time) {
                    *distances.entry(time - before).or_insert(0) += 1;
                }
            }
        }
        assert_eq!(last.len(), bodies.series() as usize);
        assert_eq!(distances.keys().copied().collect::<Vec<_>>(), [ROUND_NS], "{line}");
    }
}

#[test]
fn only_times_change_from_cycle_to_cycle() {
    let bodies = build("--series 10 --batch 10 --samples 100", 1 << 20).unwrap();
    let (first, again) = (bytes(&bodies, 0), bytes(&bodies, bodies.bodies.len() as u64));
    assert_eq!(first.len(), again.len());
    let blank = |bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).unwrap();
        text.lines().map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(blank(&first), blank(&again));
    assert_ne!(first, again);
}

#[test]
fn every_tenth_churn_request_is_all_new_series() {
    let bodies = build("--workload churn --series 20 --batch 7 --samples 1", 1 << 20).unwrap();
    let mut seen = std::collections::HashSet::new();
    let cycle = bodies.bodies.len() as u64;
    for request in 0..10 * cycle {
        let keys = keys_and_times(&bytes(&bodies, request));
        let new = keys.iter().filter(|(key, _)| seen.insert(key.clone())).count();
        if request % 10 == 9 {
            assert_eq!(new, keys.len(), "request {request}");
        } else {
            assert!(new == 0 || request < 12, "request {request} has {new} new series");
        }
    }
}

#[test]
fn places_count_every_sample_once() {
    let bodies = build("--series 33 --batch 10 --samples 700", 1 << 20).unwrap();
    let mut samples = 0;
    for request in 0..2 * bodies.bodies.len() as u64 + 3 {
        let place = bodies.place(request);
        assert_eq!(place.samples_before, samples);
        let lines = bytes(&bodies, request).iter().filter(|byte| **byte == b'\n').count() as u64;
        assert_eq!(place.samples, lines * 10);
        samples += place.samples;
    }
}

#[test]
fn bodies_stay_within_their_bound_and_are_no_more_than_needed() {
    let bodies = build("--series 50 --batch 100", 1 << 20).unwrap();
    let held: usize = (0..bodies.bodies.len() as u64).map(|request| bytes(&bodies, request).len()).sum();
    assert!((900_000..1 << 20).contains(&held), "{held}");
    let few = build("--series 50 --batch 100 --samples 10000 --connections 1", 1 << 20).unwrap();
    assert_eq!(few.bodies.len(), 10);
}

#[test]
fn more_series_than_fit_are_a_usage_error_with_the_number_that_fits() {
    let Err(BenchError::Usage(text)) = build("--series 10000 --batch 100", 1 << 20) else { panic!("built") };
    assert!(text.contains("; 3") || text.contains("; 2"), "{text}");
    assert!(build("--series 10000 --batch 100 --encoding zstd", 1 << 20).is_ok());
}

#[test]
fn compressed_bodies_hold_the_first_cycle() {
    for encoding in ["gzip", "zstd"] {
        let plain = build("--series 10 --batch 10 --samples 100", 1 << 20).unwrap();
        let packed =
            build(&format!("--series 10 --batch 10 --samples 100 --encoding {encoding}"), 1 << 20).unwrap();
        let bodies = packed.bodies.len() as u64;
        assert!(!packed.has_repeated_times(bodies) && packed.has_repeated_times(bodies + 1));
        for request in 0..bodies {
            let mut text = Vec::new();
            match encoding {
                "gzip" => drop(
                    flate2::read::GzDecoder::new(&bytes(&packed, request)[..])
                        .read_to_end(&mut text)
                        .unwrap(),
                ),
                _ => text = zstd::decode_all(&bytes(&packed, request)[..]).unwrap(),
            }
            assert!(text == bytes(&plain, request), "{encoding} {request}");
        }
    }
}

/// Labels, value and time in milliseconds.
type Said = (Vec<(String, String)>, f64, i64);

/// The rows of a remote write body.
fn rows(message: Message, body: &[u8]) -> Vec<Said> {
    let body = snap::raw::Decoder::new().decompress_vec(body).unwrap();
    let (mut rows, mut result) = (Rows::default(), WriteResult::default());
    let mut decoder = Decoder::new(message);
    decoder.check(&body).unwrap();
    decoder.feed(&body, true, &mut rows, &mut result);
    assert_eq!(result.rejected, 0, "{:?}", result.errors);
    let row = |row: testing::Row| match row.fields[..] {
        [(_, testing::Value::F64(bits))] => (row.labels, f64::from_bits(bits), row.time_ns / 1_000_000),
        _ => panic!("{row:?} has no value"),
    };
    rows.rows.into_iter().map(row).collect()
}

#[test]
fn remote_write_says_what_the_lines_say() {
    for workload in ["prom", "single"] {
        let line = format!("--workload {workload} --values dec2 --series 30 --batch 12 --samples 200");
        let plain = build(&line, 1 << 20).unwrap();
        for (protocol, message) in [("remote-write", Message::V1), ("remote-write-2", Message::V2)] {
            let made = build(&format!("{line} --protocol {protocol}"), 1 << 20).unwrap();
            let requests = made.bodies.len() as u64;
            assert_eq!(
                (made.place(requests).samples_before, requests),
                (plain.place(requests).samples_before, 18)
            );
            for request in 0..requests {
                let text = String::from_utf8(bytes(&plain, request)).unwrap();
                let expected: Vec<_> = text.lines().map(said).collect();
                assert_eq!(rows(message, &bytes(&made, request)), expected, "{line} {protocol} {request}");
            }
            assert!(!made.has_repeated_times(requests) && made.has_repeated_times(requests + 1));
        }
    }
}

/// What a line says.
fn said(line: &str) -> Said {
    let [key, field, time_ns] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
    let (name, tags) = key.split_once(',').unwrap();
    let tags = tags.split(',').map(|tag| tag.split_once('=').unwrap());
    let mut labels: Vec<_> = std::iter::once(("__name__", name)).chain(tags).collect();
    labels.sort_unstable();
    let labels = labels.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    let value = field.strip_prefix("value=").unwrap().trim_end_matches('i').parse().unwrap();
    (labels, value, time_ns.parse::<i64>().unwrap() / 1_000_000)
}

/// What a JSON line says.
fn said_by_json(line: &str) -> Vec<Said> {
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let labels: Vec<_> =
        line["metric"].as_object().unwrap().iter().map(|(n, v)| (n.clone(), text(v))).collect();
    let (values, times) = (line["values"].as_array().unwrap(), line["timestamps"].as_array().unwrap());
    assert_eq!(values.len(), times.len());
    let pairs = values.iter().zip(times);
    pairs.map(|(v, t)| (labels.clone(), v.as_f64().unwrap(), t.as_i64().unwrap())).collect()
}

/// What a line of exposition text says.
fn said_by_exposition(line: &str) -> Said {
    let (key, rest) = line.split_once("} ").unwrap();
    let (name, tags) = key.split_once('{').unwrap();
    let (value, time) = rest.split_once(' ').unwrap();
    let mut labels = vec![("__name__".to_owned(), name.to_owned())];
    for tag in tags.split(',') {
        let (name, value) = tag.split_once('=').unwrap();
        labels.push((name.to_owned(), value.trim_matches('"').to_owned()));
    }
    labels.sort_unstable();
    (labels, value.parse().unwrap(), time.parse().unwrap())
}

/// The rows of an OTLP body, without what is the same for all of them.
fn said_by_otlp(body: &[u8]) -> Vec<Said> {
    let (mut rows, mut result) = (Rows::default(), WriteResult::default());
    let mut decoder = otlp::Decoder::new(otlp::Signal::Metrics, otlp::Encoding::Protobuf, 0);
    decoder.feed(body, true, &mut rows, &mut result);
    assert_eq!(result.rejected, 0, "{:?}", result.errors);
    let row = |row: testing::Row| {
        let value = match row.fields[..] {
            [(_, testing::Value::F64(bits))] => f64::from_bits(bits),
            [(_, testing::Value::I64(value))] => value as f64,
            _ => panic!("{row:?} has no value"),
        };
        let ours = |name: &str| ["otlp.", "scope.", "resource."].iter().any(|front| name.starts_with(front));
        let labels = row.labels.into_iter().filter(|(name, _)| !ours(name)).collect();
        (labels, value, row.time_ns / 1_000_000)
    };
    rows.rows.into_iter().map(row).collect()
}

#[test]
fn every_protocol_says_what_the_lines_say_cycle_after_cycle() {
    for values in ["int", "dec2"] {
        let line = format!("--workload prom --values {values} --series 30 --batch 12 --samples 200");
        let plain = build(&line, 1 << 20).unwrap();
        let make = |protocol: &str| build(&format!("{line} --protocol {protocol}"), 1 << 20).unwrap();
        let made = [make("json"), make("prom-text"), make("otlp")];
        for request in 0..2 * plain.bodies.len() as u64 + 1 {
            let text = String::from_utf8(bytes(&plain, request)).unwrap();
            let expected: Vec<_> = text.lines().map(said).collect();
            let [json, exposition, otlp] = [0, 1, 2].map(|i| bytes(&made[i], request));
            let lines = |body: Vec<u8>| String::from_utf8(body).unwrap();
            assert_eq!(lines(json).lines().flat_map(said_by_json).collect::<Vec<_>>(), expected);
            assert_eq!(lines(exposition).lines().map(said_by_exposition).collect::<Vec<_>>(), expected);
            assert_eq!(said_by_otlp(&otlp), expected);
        }
    }
}

#[test]
fn several_points_of_a_series_follow_each_other_in_a_line() {
    let line = "--workload single --values dec2 --series 7 --batch 3 --samples 400 --points 5";
    let rows = |protocol: &str| -> Vec<Said> {
        let made = build(&format!("{line} --protocol {protocol}"), 1 << 20).unwrap();
        let requests = 2 * made.bodies.len() as u64;
        let mut all = Vec::new();
        for request in 0..requests {
            let body = bytes(&made, request);
            let rows = match protocol {
                "otlp" => said_by_otlp(&body),
                _ => String::from_utf8(body).unwrap().lines().flat_map(said_by_json).collect(),
            };
            assert_eq!(rows.len() as u64, made.place(request).samples);
            all.extend(rows);
        }
        all
    };
    let (json, otlp) = (rows("json"), rows("otlp"));
    assert_eq!(json, otlp);
    let mut last = std::collections::HashMap::new();
    for (at, (labels, _, time_ms)) in json.iter().enumerate() {
        assert_eq!(json[at / 5 * 5].0, *labels);
        if let Some(before) = last.insert(labels, *time_ms) {
            assert_eq!(time_ms - before, ROUND_NS / 1_000_000);
        }
    }
    assert_eq!(last.len(), 7);
}

#[test]
fn datagrams_hold_as_many_counters_each() {
    let line = "--protocol statsd --workload prom --series 30 --batch 7 --samples 100";
    let made = build(line, 1 << 20).unwrap();
    for request in 0..made.bodies.len() as u64 {
        let text = String::from_utf8(bytes(&made, request)).unwrap();
        assert_eq!((text.lines().count(), made.place(request).samples), (7, 7));
        assert!(!made.has_repeated_times(100));
        for line in text.lines() {
            let (name, rest) = line.split_once(':').unwrap();
            let (value, tags) = rest.split_once("|c|#").unwrap();
            assert!(name.starts_with("node_") && tags.starts_with("cluster:eu-1,device:dev"), "{line}");
            value.parse::<i64>().unwrap();
        }
    }
}
