//! The engine on a simulated disk: line protocol, exemplars and metadata in, power cuts and faults at random, and every
//! row compared. What was told durable is found, what is found was sent, nothing is found twice but what was said of
//! metrics, and nothing is called damaged that is not.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use tidegate::clock::Clock;
use tidegate::engine::{Arrivals, Event, Worker};
use tidegate::ingest::{ContextId, Stream};
use tidegate::log::disk::simulated::{Faults, SimulatedDisk, SimulatedFiles};
use tidegate::model::{Exemplar, Intake, LabelsBuf, METRIC_NAME, Metadata, MetricType, WriteResult};
use tidegate::wire::influx::{Decoder, Dialect, Precision};
use tidegate::wire::{Decode, FedState};

mod engine_kit;
use engine_kit::{open, read_rows};

const SEGMENT_BYTES: u64 = 24 << 10;
const LIVES: u64 = 4;
const ACTIONS_MAX: u64 = 60;
const SEEDS: u64 = 80;

type SimulatedWorker = Worker<SimulatedDisk, SimulatedClock>;

#[derive(Clone)]
struct SimulatedClock(Rc<Cell<u64>>);

impl Clock for SimulatedClock {
    fn wall_ns(&self) -> i64 {
        // Steps back now and then.
        1_700_000_000_000_000_000 + self.0.get() as i64 - (self.0.get() % 7) as i64 * 1_000_000_000
    }

    fn monotonic_ns(&self) -> u64 {
        self.0.get()
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 8) % bound
    }
}

/// What was sent and what became of it.
#[derive(Default)]
struct Model {
    sent: BTreeSet<String>,
    acknowledged: BTreeSet<String>,
    /// Rows that nothing was heard of yet, by the sequence of their block.
    waiting: BTreeMap<u64, Vec<String>>,
    /// The highest sequence told durable.
    durable: u64,
    failures: u64,
    segments: BTreeSet<u64>,
}

impl Model {
    /// A body of lines, each as it is sent and as it is read back.
    fn lines(&mut self, random: &mut Random) -> (String, Vec<String>) {
        let (mut body, mut rows) = (String::new(), Vec::new());
        for _ in 0..=random.below(30) {
            let id = self.sent.len() + rows.len();
            let (metric, host) = (random.below(3), random.below(9));
            let time = random.below(1 << 40) as i64 - (1 << 39);
            let (wire, fields) = match random.below(4) {
                0 => (format!("id={id}i"), format!("id={id}i")),
                1 => (format!("v=0.5,id={id}i"), format!("id={id}i,v=0.5")),
                2 => (format!("id={id}i,s=\"text {host}\""), format!("id={id}i,s=\"text {host}\"")),
                _ => (format!("b=t,id={id}i,u={host}u"), format!("b=true,id={id}i,u={host}u")),
            };
            body.push_str(&format!("m{metric},host=h{host},dc=d {wire} {time}\n"));
            rows.push(format!("__name__=m{metric},dc=d,host=h{host} {fields} {time}"));
        }
        (body, rows)
    }

    fn send(
        &mut self,
        worker: &mut SimulatedWorker,
        decoder: &mut Decoder,
        stream: &mut Stream,
        random: &mut Random,
    ) {
        let (body, rows) = self.lines(random);
        let sequence = worker.filling();
        let mut result = WriteResult::default();
        decoder.reset(Dialect::V1, Precision::Nanos, 0);
        // In two pieces, as sockets give them.
        let cut = random.below(body.len() as u64) as usize;
        let first = decoder.feed(&body.as_bytes()[..cut], false, &mut worker.writer(stream), &mut result);
        let rest = &body.as_bytes()[first.consumed..];
        let second = decoder.feed(rest, true, &mut worker.writer(stream), &mut result);
        assert_eq!((second.state, result.accepted, result.rejected), (FedState::Done, rows.len() as u64, 0));
        self.sent.extend(rows.iter().cloned());
        self.waiting.entry(sequence).or_default().extend(rows);
    }

    /// An exemplar and some metadata, which may have been said before: then it waits for what was.
    fn send_aside(&mut self, worker: &mut SimulatedWorker, stream: &mut Stream, random: &mut Random) {
        let (id, name) = (self.sent.len(), format!("m{}", random.below(3)));
        let help = format!("help {}", random.below(3));
        let (exemplar, metadata) = (random.below(3) > 0, random.below(3) > 0);
        let filling = worker.filling();
        let mut intake = worker.writer(stream);
        let mut sent = Vec::new();
        if exemplar {
            let key = format!("exemplars of {name}");
            let mut labels = LabelsBuf::default();
            labels.push(METRIC_NAME, name.as_bytes());
            let found = intake.find(key.as_bytes());
            let series =
                found.unwrap_or_else(|| intake.define(key.as_bytes(), &mut labels).expect("few series"));
            let (time_ns, value_bits) = (id as i64, 0.5f64.to_bits());
            let exemplar = Exemplar { field: b"v", time_ns, value_bits, labels: &[0] };
            intake.exemplar(series, &exemplar).expect("room");
            sent.push(format!("exemplar __name__={name} v=0.5 {id}"));
            self.waiting.entry(filling).or_default().extend(sent.iter().cloned());
        }
        if metadata {
            let kind = MetricType::Counter;
            let (name_bytes, help_bytes) = (name.as_bytes(), help.as_bytes());
            let metadata = Metadata { name: name_bytes, kind, unit: b"", help: help_bytes };
            intake.metadata(&metadata).expect("room");
            let text = format!("metadata {name} {help}");
            match worker.last_filled() {
                sequence if sequence <= self.durable => _ = self.acknowledged.insert(text.clone()),
                sequence => self.waiting.entry(sequence).or_default().push(text.clone()),
            }
            sent.push(text);
        }
        self.sent.extend(sent);
    }

    fn hear(&mut self, events: &mut Vec<Event>) {
        for event in events.drain(..) {
            match event {
                Event::Durable { upto } => {
                    self.durable = upto;
                    let later = self.waiting.split_off(&(upto + 1));
                    self.acknowledged
                        .extend(std::mem::replace(&mut self.waiting, later).into_values().flatten());
                }
                Event::Failed { from, upto, .. } => {
                    self.failures += 1;
                    self.waiting.retain(|sequence, _| !(from..=upto).contains(sequence));
                }
            }
        }
    }

    /// One life of a worker, up to a power cut or the end of what it had to do.
    fn live(
        &mut self,
        worker: &mut SimulatedWorker,
        clock: &Cell<u64>,
        files: &SimulatedFiles,
        random: &mut Random,
    ) {
        let mut decoder = Decoder::new(Dialect::V1, Precision::Nanos, 0);
        let mut streams = [Stream::new(ContextId(0)), Stream::new(ContextId(0))];
        let mut events = Vec::new();
        for _ in 0..ACTIONS_MAX {
            if files.is_off() {
                return;
            }
            let stream = &mut streams[random.below(2) as usize];
            match random.below(7) {
                0..3 if worker.accepts().is_ok() => self.send(worker, &mut decoder, stream, random),
                3 if worker.accepts().is_ok() => self.send_aside(worker, stream, random),
                4 | 5 => worker.wait(),
                _ => {}
            }
            clock.set(clock.get() + random.below(400_000_000));
            worker.turn(if random.below(4) == 0 { Arrivals::Arriving } else { Arrivals::None }, &mut events);
            self.hear(&mut events);
            self.segments.insert(worker.counters().segment_number.value());
        }
    }

    fn check(&self, files: &SimulatedFiles, strict: bool) -> Result<(), String> {
        let (found, damages) = read_rows(files);
        if strict && !damages.is_empty() {
            return Err(format!("damaged: {damages:?}"));
        }
        if let Some(lost) = self.acknowledged.iter().find(|row| !found.contains_key(*row)) {
            return Err(format!("lost: {lost}"));
        }
        for (row, &times) in &found {
            let once = times == 1 || row.starts_with("metadata ");
            if !once || !self.sent.contains(row) {
                return Err(format!("{times} times, sent {}: {row}", self.sent.contains(row)));
            }
        }
        Ok(())
    }
}

fn simulate(seed: u64, faults: Faults) -> Result<Model, String> {
    let strict = faults.sync_fails + faults.write_fails + faults.write_is_short + faults.no_space == 0;
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let files = SimulatedFiles::new(seed);
    let clock = SimulatedClock(Rc::new(Cell::new(1)));
    let mut model = Model::default();
    for life in 0..LIVES {
        files.set_faults(faults);
        files.cut_power_at((life + 1 < LIVES).then(|| files.operations() + 1 + random.below(120)));
        if life + 1 == LIVES {
            files.set_faults(Faults { sync_does_nothing: faults.sync_does_nothing, ..Faults::default() });
        }
        let disk = SimulatedDisk::new(files.clone(), seed ^ life << 32);
        match open(disk, clock.clone(), SEGMENT_BYTES, seed ^ life) {
            Ok((mut worker, recovery)) => {
                if strict && recovery.damaged > 0 {
                    return Err(format!("recovered as damaged: {recovery:?}"));
                }
                model.live(&mut worker, &clock.0, &files, &mut random);
                if life + 1 == LIVES {
                    let mut events = Vec::new();
                    worker.close(&mut events).map_err(|error| error.to_string())?;
                    model.hear(&mut events);
                    if !model.waiting.is_empty() {
                        return Err("a sound disk left rows unsaid at the close".into());
                    }
                }
            }
            Err(error) if life + 1 == LIVES => return Err(error.to_string()),
            // The power went, or a fault was met, while it opened.
            Err(_) => {}
        }
        model.waiting.clear();
        model.durable = 0;
        files.power_on();
        model.check(&files, strict)?;
    }
    Ok(model)
}

#[test]
fn crashes_lose_no_row_that_was_told_durable() {
    let (mut acknowledged, mut sent, mut segments) = (0, 0, 0);
    for seed in 1..=SEEDS {
        let model = simulate(seed, Faults::default()).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        acknowledged += model.acknowledged.len();
        sent += model.sent.len();
        segments += model.segments.len();
    }
    println!("{sent} rows sent, {acknowledged} told durable, {segments} segments");
    assert!(acknowledged > sent / 4 && sent > acknowledged, "{acknowledged} of {sent}: crashes must be felt");
    assert!(segments as u64 > SEEDS * (LIVES + 1), "{segments} segments: rotation must be reached");
}

#[test]
fn failing_disks_lose_no_row_that_was_told_durable() {
    let mut failures = 0;
    for seed in 1..=SEEDS {
        let faults = match seed % 4 {
            0 => Faults { sync_fails: 12, ..Faults::default() },
            1 => Faults { write_fails: 12, ..Faults::default() },
            2 => Faults { write_is_short: 12, ..Faults::default() },
            _ => Faults {
                no_space: 8,
                sync_fails: 30,
                write_fails: 30,
                write_is_short: 30,
                ..Faults::default()
            },
        };
        let model = simulate(seed, faults).unwrap_or_else(|wrong| panic!("seed {seed}: {wrong}"));
        failures += model.failures;
    }
    println!("{failures} failures told");
    assert!(failures > SEEDS / 2, "{failures}: the faults must be felt");
}

#[test]
fn a_disk_that_does_not_sync_is_found_out() {
    let lies = Faults { sync_does_nothing: true, ..Faults::default() };
    let caught = (1..=40)
        .filter(|&seed| std::panic::catch_unwind(|| simulate(seed, lies).is_err()).unwrap_or(true))
        .count();
    assert!(caught > 20, "only {caught} of 40 runs noticed that nothing was synced");
}
