//! Bodies read against a page, held against a decoder that knows none of those before.

use proptest::prelude::*;

use super::*;
use crate::model::{NAN_STALE_BITS, WriteResult};
use crate::wire::exposition::{Decoder, Faults, Options};
use crate::wire::testing::{Row, Rows, Value};
use crate::wire::{Decode, FedState};

use super::tests::{NOW_NS, options};

/// What a decoder makes of a body that knows nothing of earlier ones, without lines that come twice.
fn expected(syntax: Syntax, body: &[u8], time_ns: i64) -> Option<Rows> {
    let (faults, labels) = (Faults::Body, Vec::new());
    let options = Options { syntax, faults, default_time_ns: time_ns, labels, keep_created: true };
    let mut decoder = Decoder::new(options);
    decoder.check(body).ok()?;
    let (mut rows, mut result) = (Rows::default(), WriteResult::default());
    assert_eq!(decoder.feed(body, true, &mut rows, &mut result).state, FedState::Done);
    Some(rows)
}

/// A page as exporters write them, and how it may change from scrape to scrape.
#[derive(Clone, Debug)]
struct Family {
    name: u8,
    kind: &'static str,
    help: u8,
    samples: Vec<(u8, u16)>,
    created: Option<u8>,
    exemplar: bool,
}

fn family() -> impl Strategy<Value = Family> {
    let kind = prop_oneof![Just("counter"), Just("gauge"), Just("histogram"), Just("")];
    let samples = proptest::collection::vec((0u8..6, 0u16..4), 0..5);
    (0u8..5, kind, 0u8..2, samples, proptest::option::weighted(0.2, 0u8..6), proptest::bool::weighted(0.1))
        .prop_map(|(name, kind, help, samples, created, exemplar)| Family {
            name,
            kind,
            help,
            samples,
            created,
            exemplar,
        })
}

fn page_text(syntax: Syntax, families: &[Family]) -> String {
    let mut text = String::new();
    for f in families {
        if !f.kind.is_empty() {
            text += &format!("# HELP f{} help {}\n# TYPE f{} {}\n", f.name, f.help, f.name, f.kind);
        }
        for (label, value) in &f.samples {
            let exemplar = if f.exemplar && syntax == Syntax::OpenMetrics { " # {a=\"b\"} 1 2" } else { "" };
            text += &format!(
                "f{}_x{{le=\"{label}\"}} {value}{}{exemplar}\n",
                f.name,
                "7".repeat(*value as usize)
            );
        }
        if let Some(label) = f.created.filter(|_| syntax == Syntax::OpenMetrics) {
            text += &format!(
                "f{}_created{{b=\"{label}\"}} {}\nf{}_x{{b=\"{label}\"}} 1\n",
                f.name, f.help, f.name
            );
        }
    }
    if syntax == Syntax::OpenMetrics {
        text += "# EOF\n";
    }
    text
}

fn pages() -> impl Strategy<Value = (Syntax, Vec<String>)> {
    let syntax = prop_oneof![Just(Syntax::Text), Just(Syntax::OpenMetrics)];
    let edits = proptest::collection::vec((0usize..8, proptest::option::of(family())), 0..4);
    (syntax, proptest::collection::vec(family(), 0..6), proptest::collection::vec(edits, 1..5)).prop_map(
        |(syntax, mut families, scrapes)| {
            let mut bodies = vec![page_text(syntax, &families)];
            for edits in scrapes {
                for (at, edit) in edits {
                    match edit {
                        Some(family) if at < families.len() && at % 2 == 0 => families[at] = family,
                        Some(family) => families.insert(at.min(families.len()), family),
                        None if at < families.len() => drop(families.remove(at)),
                        None => {}
                    }
                }
                bodies.push(page_text(syntax, &families));
            }
            (syntax, bodies)
        },
    )
}

/// Scrapes bodies one after the other, each of them compared with the one before, and checks that its rows are those
/// of a decoder that knows none of them.
/// `work`: what a step does; in the middle of one body the intake forgets all.
fn agrees(
    syntax: Syntax,
    bodies: &[Vec<u8>],
    forget_at: usize,
    room: usize,
    work: usize,
) -> Result<(), TestCaseError> {
    let (mut scraper, mut page, mut rows) = (Scraper::new(), Page::new(), Rows::default());
    scraper.step_work = Work::of(work);
    let mut before: Vec<Row> = Vec::new();
    for (i, body) in bodies.iter().enumerate() {
        let time_ns = NOW_NS + i as i64 * 1_000_000_000;
        if i == forget_at {
            rows.forget();
        }
        rows.rows.clear();
        let format = Format::Lines(syntax);
        scraper.begin(format, time_ns, &options());
        let mut steps = 0;
        let mut taken = body.clone();
        let read = loop {
            match scraper.step(&mut page, &mut taken, &mut rows) {
                Ok(None) => {}
                Ok(Some(counts)) => break Ok(counts),
                Err(failure) => break Err(failure),
            }
            steps += 1;
            if i == forget_at && steps == 3 {
                rows.forget();
            }
        };
        let expected = expected(syntax, body, time_ns);
        prop_assert_eq!(read.is_ok(), expected.is_some(), "{:?} {:?}", read, String::from_utf8_lossy(body));
        let mut result = WriteResult::default();
        rows.room = Some(room);
        while scraper.push(&mut page, &mut rows, &mut result).is_err() {
            rows.room = Some(room.max(1));
            if i == forget_at {
                rows.forget();
            }
        }
        rows.room = None;
        let Some(expected) = expected else { continue };
        if is_up_to_texts(&expected.rows, time_ns) {
            return Ok(());
        }
        let counts = read.unwrap();
        let (stale, got): (Vec<Row>, Vec<Row>) = rows.rows.drain(..).partition(is_stale);
        prop_assert_eq!(counts.scraped, expected.rows.len() as u64);
        prop_assert_eq!(counts.kept - counts.twice - counts.ahead, got.len() as u64);
        let first = first_of_each(expected.rows, time_ns);
        prop_assert_eq!(&got, &first);
        let has = |rows: &[Row], labels: &Vec<(String, String)>, timed: bool| {
            rows.iter().any(|row| row.labels == *labels && (timed || row.time_ns == time_ns))
        };
        let gone = before.iter().filter(|row| !has(&got, &row.labels, false));
        let mut gone: Vec<_> = gone.map(|row| row.labels.clone()).collect();
        let mut stale: Vec<_> = stale.into_iter().map(|row| row.labels).collect();
        gone.sort();
        stale.sort();
        gone.dedup();
        prop_assert_eq!(stale, gone);
        before = got.into_iter().filter(|row| row.time_ns == time_ns).collect();
    }
    Ok(())
}

/// What a step does: a line, some, all.
fn works() -> impl Strategy<Value = usize> {
    prop_oneof![Just(1), Just(3_000), Just(usize::MAX)]
}

fn is_stale(row: &Row) -> bool {
    row.fields[0].1 == Value::F64(NAN_STALE_BITS)
}

/// Whether a row has the time of the scrape, and a series that came with another time: it is taken if its text is
/// another, which rows do not show.
fn is_up_to_texts(rows: &[Row], time_ns: i64) -> bool {
    let timed =
        |row: &Row, upto: usize| rows[..upto].iter().any(|r| r.labels == row.labels && r.time_ns != time_ns);
    rows.iter().enumerate().any(|(i, row)| row.time_ns == time_ns && timed(row, i))
}

/// Rows without those that have the time of the scrape and a series that came before.
fn first_of_each(rows: Vec<Row>, time_ns: i64) -> Vec<Row> {
    let mut kept: Vec<Row> = Vec::new();
    for row in rows {
        let twice =
            row.time_ns == time_ns && kept.iter().any(|k| k.labels == row.labels && k.time_ns == time_ns);
        if !twice && row.time_ns <= time_ns + AHEAD_NS_MAX {
            kept.push(row);
        }
    }
    kept
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_page_compared_with_the_last_one_gives_the_rows_of_one_read_alone(
        (syntax, bodies) in pages(), forget_at in 0usize..6, room in 0usize..12, work in works(),
    ) {
        let bodies: Vec<Vec<u8>> = bodies.into_iter().map(String::into_bytes).collect();
        agrees(syntax, &bodies, forget_at, room, work)?;
    }

    #[test]
    fn any_lines_compared_with_any_others_give_the_rows_of_those_read_alone(
        syntax in super::super::tests::syntaxes(),
        bodies in proptest::collection::vec(super::super::tests::body(), 1..4),
        repeat in 0usize..3,
        work in works(),
    ) {
        let mut bodies = bodies;
        bodies.extend(bodies.clone().into_iter().take(repeat));
        agrees(syntax, &bodies, usize::MAX, 100, work)?;
    }
}
