use clap::ValueEnum;

use super::*;

fn text(workload: Workload, values: Values, order: Order, series: u32, rounds: u32, seed: u64) -> String {
    let mut lines = Lines::new(workload, values, order, series, seed);
    let mut out = Vec::new();
    for _ in 0..rounds {
        for one in lines.round() {
            lines.write(one, &mut out);
            out.extend_from_slice(b"1\n");
        }
    }
    String::from_utf8(out).unwrap()
}

/// A line read the slow and obvious way: measurement and tags, then fields, then the time.
fn parse(line: &str) -> (String, Vec<(String, String)>, i64) {
    let key_end = line.find(' ').expect("a space after the tags");
    let mut fields = Vec::new();
    let (mut name, mut value, mut in_value, mut quoted, mut escaped) =
        (String::new(), String::new(), false, false, false);
    let mut rest = line[key_end + 1..].char_indices();
    for (at, c) in rest.by_ref() {
        if escaped {
            escaped = false;
        } else if c == '\\' && quoted {
            escaped = true;
        } else if c == '"' {
            quoted = !quoted;
        } else if !quoted && (c == ',' || c == ' ') {
            fields.push((std::mem::take(&mut name), std::mem::take(&mut value)));
            in_value = false;
            if c == ' ' {
                return (line[..key_end].to_owned(), fields, line[key_end + 2 + at..].parse().unwrap());
            }
            continue;
        } else if !quoted && c == '=' && !in_value {
            in_value = true;
            continue;
        }
        if in_value { value.push(c) } else { name.push(c) }
    }
    panic!("no time in {line}");
}

fn assert_value_is_valid(value: &str, decimals: Option<usize>) {
    if let Some(text) = value.strip_prefix('"') {
        assert!(text.ends_with('"') && !text.ends_with("\\\""), "{value}");
    } else if let Some(integer) = value.strip_suffix('i') {
        integer.parse::<i64>().unwrap();
    } else if value != "t" && value != "f" {
        let float: f64 = value.parse().unwrap();
        assert!((0.0..=100.0).contains(&float));
        if let Some(decimals) = decimals {
            assert_eq!(value.split_once('.').unwrap().1.len(), decimals);
        }
    }
}

#[test]
fn every_workload_writes_valid_lines_of_as_many_fields_as_it_says() {
    for workload in Workload::value_variants() {
        for values in Values::value_variants() {
            let expected = Lines::new(*workload, *values, Order::Seq, 1, 1).samples_per_line() as usize;
            let text = text(*workload, *values, Order::Seq, 300, 3, 1);
            let decimals = match (workload, values) {
                (Workload::Events, _) => Some(6),
                (_, Values::Dec2) => Some(2),
                _ => None,
            };
            let mut keys = std::collections::BTreeMap::new();
            for line in text.lines() {
                let (key, fields, time) = parse(line);
                assert_eq!(fields.len(), expected, "{line}");
                assert_eq!(time, 1);
                fields.iter().for_each(|(_, value)| assert_value_is_valid(value, decimals));
                let names: std::collections::BTreeSet<_> = fields.iter().map(|(name, _)| name).collect();
                assert_eq!(names.len(), expected);
                let tags: Vec<_> = key.split(',').skip(1).map(|tag| tag.split_once('=').unwrap()).collect();
                assert!(tags.iter().all(|(name, value)| !name.is_empty() && !value.is_empty()));
                *keys.entry(key).or_insert(0) += 1;
            }
            assert_eq!(keys.len(), 300, "each series has a key of its own");
            assert!(keys.values().all(|lines| *lines == 3), "each series has a line in each round");
        }
    }
}

#[test]
fn lines_are_a_function_of_the_seed() {
    for workload in Workload::value_variants() {
        let of = |seed| text(*workload, Values::Full, Order::Random, 50, 3, seed);
        assert_eq!(of(5), of(5));
        assert_ne!(of(5), of(6));
    }
}

#[test]
fn random_order_draws_every_round_anew() {
    let mut lines = Lines::new(Workload::Single, Values::Int, Order::Random, 500, 1);
    let (first, second) = (lines.round(), lines.round());
    assert_ne!(first, second);
    assert!(first.iter().zip(0..).filter(|(series, place)| **series == *place).count() < 10);
}

#[test]
fn cpu_lines_have_ten_tags_and_the_published_size() {
    for (values, bytes) in [(Values::Int, 330..360), (Values::Full, 470..500)] {
        let text = text(Workload::TsbsCpu, values, Order::Seq, 4_000, 1, 1);
        // The test's times are one digit; a real one has 19.
        assert!(bytes.contains(&(text.len() / 4_000 + 18)), "{} bytes a line", text.len() / 4_000 + 18);
        assert_eq!(parse(text.lines().next().unwrap()).0.matches(',').count(), 10);
    }
}

#[test]
fn single_lines_are_short() {
    let text = text(Workload::Single, Values::Int, Order::Seq, 10_000, 1, 1);
    assert!((60..75).contains(&(text.len() / 10_000 + 18)), "{} bytes a line", text.len() / 10_000 + 18);
}

#[test]
fn churn_lines_say_where_their_generation_is() {
    let mut lines = Lines::new(Workload::Churn, Values::Int, Order::Seq, 3, 1);
    let mut out = b"before ".to_vec();
    let at = lines.write(2, &mut out).unwrap();
    assert_eq!(&out[at - 5..at], b",pod=");
    assert_eq!(&out[at..at + GENERATION_DIGITS], [b'0'; GENERATION_DIGITS]);
    assert_eq!(out[at + GENERATION_DIGITS], b' ');
}
