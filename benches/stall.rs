//! The longest that a single row waits in a worker at a million series, and for what.
//!
//! One worker on a directory in memory, rows pushed one by one as the server's decoder does: series that are new, while
//! the table grows; the same series again; and again after the segment was ended, when each is promoted from the frozen
//! table. Each push, and each turn of the worker, is timed by the thread's own CPU time: what the machine does with
//! others meanwhile is left out, page faults are not. A turn that seals a batch encodes up to 65,536 rows, which is
//! the work of all of them and no stall; turns that begin or finish a rotation are named apart.
//!
//! A virtual machine's own interruptions count as a thread's CPU time. They come anywhere, where a stall comes with its
//! row: everything is done several times, in the same order, and at the end stands the worst of what each row took in
//! its best run.
//!
//! `cargo bench --bench stall [-- series=N] [runs=N]`

#![allow(missing_docs, reason = "a program")]
// Invariants: (1) `clock_gettime` writes the time that it is given room for.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::fmt::Write as _;
use std::path::Path;
use std::rc::Rc;

use tidegate::bytes::SlabStock;
use tidegate::clock::Clock;
use tidegate::engine::{Arrivals, CommitPolicy, Event, Options, Worker, spawn};
use tidegate::ingest::{ContextId, Stream};
use tidegate::log::disk::{Backend, SystemDisk};
use tidegate::log::{Directory, WorkerOptions};
use tidegate::model::{LogId, WriteResult};
use tidegate::wire::influx::{Decoder, Dialect, Precision};
use tidegate::wire::{Decode, FedState};

/// Rows between two turns, about as many as a read of the server's holds.
const ROWS_A_TURN: usize = 4096;

const SERIES: usize = 1_000_000;

const SEGMENT_BYTES: u64 = 64 << 20;

/// Older than any segment may become: the default retention.
const AGE_NS: u64 = 15 * 86_400 * 1_000_000_000;

const RUNS: usize = 3;

fn main() {
    let number = |name: &str| {
        let given = std::env::args().find_map(|arg| arg.strip_prefix(name).map(str::to_owned));
        given.map(|number| number.parse().expect("a number"))
    };
    let (series, runs) = (number("series=").unwrap_or(SERIES), number("runs=").unwrap_or(RUNS));
    // As a worker's thread has one.
    let _stock = SlabStock::open(|run| spawn("stall-slabs", run)).expect("a thread");
    println!("{series} series, one row each, in each phase; milliseconds of CPU");
    let mut least: Vec<Phase> = Vec::new();
    for n in 1..=runs {
        println!("\n{:<44} {:>9} {:>10} {:>10}", format!("run {n} of {runs}"), "times", "worst", "all");
        let phases = run_all(series);
        match n {
            1 => least = phases,
            _ => least.iter_mut().zip(&phases).for_each(|(least, phase)| least.keep_least(phase)),
        }
    }
    println!("\n{:<44} {:>9} {:>10}", format!("a row's best of {runs} runs"), "rows", "worst");
    for Phase { name, row_ns } in &least {
        let worst = row_ns.iter().copied().max().unwrap_or(0);
        println!("{name:<44} {:>9} {:>10.3}", row_ns.len(), f64::from(worst) / 1e6);
    }
}

/// All phases, from an empty directory.
fn run_all(series: usize) -> Vec<Phase> {
    let memory = Path::new("/dev/shm");
    let root = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let directory = tempfile::tempdir_in(root).expect("a directory");
    let mut run = Run::new(directory.path(), series);
    run.phase("new");
    run.phase("known");
    run.shuffle();
    run.phase("known, in random order");
    for order in ["in the old table's order", "in random order"] {
        run.rotate(order);
        if order == "in random order" {
            run.shuffle();
        }
        run.phase(&format!("promoted, {order}"));
        run.phase("known");
    }
    let worker = run.worker;
    assert_eq!(worker.table().series_count(), series as u64, "all series are in the last table");
    worker.close(&mut run.events).expect("a sound disk");
    run.phases
}

/// What each row of a phase took.
struct Phase {
    name: String,
    row_ns: Vec<u32>,
}

impl Phase {
    /// Of each row, what it took in the better of two runs.
    fn keep_least(&mut self, other: &Phase) {
        self.row_ns.iter_mut().zip(&other.row_ns).for_each(|(least, &ns)| *least = ns.min(*least));
    }
}

/// A clock that stands still until it is set forward.
#[derive(Clone)]
struct SteppedClock(Rc<Cell<u64>>);

impl Clock for SteppedClock {
    fn wall_ns(&self) -> i64 {
        1_700_000_000_000_000_000
    }

    fn monotonic_ns(&self) -> u64 {
        self.0.get()
    }
}

/// A worker, and rows for it.
struct Run {
    worker: Worker<SystemDisk, SteppedClock>,
    clock: SteppedClock,
    stream: Stream,
    decoder: Decoder,
    /// Lines, each of a series of its own, and where they end.
    lines: Rc<str>,
    ends: Vec<usize>,
    order: Vec<u32>,
    events: Vec<Event>,
    phases: Vec<Phase>,
}

/// What a phase's pushes or turns took.
#[derive(Default)]
struct Times {
    times: u64,
    worst_ns: u64,
    all_ns: u64,
}

/// What turns took, by what they did.
#[derive(Default)]
struct Turns {
    idle: Times,
    sealing: Times,
    ending: Times,
    beginning: Times,
}

impl Times {
    fn add(&mut self, ns: u64) {
        self.times += 1;
        self.worst_ns = self.worst_ns.max(ns);
        self.all_ns += ns;
    }

    fn show(&self, what: &str) {
        if self.times > 0 {
            let millis = |ns: u64| ns as f64 / 1e6;
            println!(
                "{what:<44} {:>9} {:>10.3} {:>10.1}",
                self.times,
                millis(self.worst_ns),
                millis(self.all_ns)
            );
        }
    }
}

/// Nanoseconds of CPU that this thread has used.
fn cpu_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: (1).
    let done = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(done, 0, "every system has this clock");
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn timed<R>(work: impl FnOnce() -> R) -> (R, u64) {
    let before = cpu_ns();
    let result = work();
    (result, cpu_ns() - before)
}

impl Run {
    fn new(path: &Path, series: usize) -> Run {
        let directory = Directory::open(path, LogId(*b"tidegate-stalls-")).expect("an empty directory");
        let disk = SystemDisk::open(directory.files().clone(), Backend::Threads, "stall", &spawn);
        let log = WorkerOptions {
            log: directory.log(),
            worker: 0,
            segment_bytes_min: SEGMENT_BYTES,
            segment_bytes_max: SEGMENT_BYTES,
            seed: 1,
            live: None,
        };
        let clock = SteppedClock(Rc::new(Cell::new(1)));
        let commit = CommitPolicy { linger_ns: 0, interval_ns: 3_600_000_000_000 };
        let options = Options { commit, ..Options::new(path) };
        let opened = Worker::open_on(disk.expect("threads"), clock.clone(), options, log, 1);
        let (mut lines, mut ends) = (String::new(), Vec::new());
        for i in 0..series {
            let host = i % 4001;
            writeln!(lines, "cpu,host=host_{host},region=eu-{},unit=u{i} value={i}i", host % 9)
                .expect("a String");
            ends.push(lines.len());
        }
        Run {
            worker: opened.expect("an empty directory").0,
            clock,
            stream: Stream::new(ContextId(0)),
            decoder: Decoder::new(Dialect::V1, Precision::Nanos, 1_700_000_000_000_000_000),
            lines: lines.into(),
            ends,
            order: (0..series as u32).collect(),
            events: Vec::new(),
            phases: Vec::new(),
        }
    }

    /// Puts the rows in an order that no prediction follows, the same at each run.
    fn shuffle(&mut self) {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        for i in (1..self.order.len()).rev() {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            self.order.swap(i, (state % (i as u64 + 1)) as usize);
        }
    }

    /// Pushes a row of each series.
    fn phase(&mut self, name: &str) {
        let (mut rows, mut growing, mut turns) = (Times::default(), Times::default(), Turns::default());
        let lines = Rc::clone(&self.lines);
        let mut row_ns = Vec::with_capacity(self.order.len());
        for at in 0..self.order.len() {
            let row = self.order[at] as usize;
            let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
            let line = &lines.as_bytes()[start..self.ends[row]];
            let mut result = WriteResult::default();
            loop {
                let bytes = self.worker.table().memory_bytes();
                let (worker, stream, decoder) = (&mut self.worker, &mut self.stream, &mut self.decoder);
                decoder.rewind();
                let (fed, ns) = timed(|| decoder.feed(line, true, &mut worker.writer(stream), &mut result));
                if fed.state == FedState::Done {
                    row_ns.push(u32::try_from(ns).unwrap_or(u32::MAX));
                    let grown = self.worker.table().memory_bytes() > bytes;
                    if grown {
                        growing.add(ns);
                    } else {
                        rows.add(ns);
                    }
                    break;
                }
                self.make_room(&mut turns);
            }
            assert_eq!((result.accepted, result.rejected), (1, 0));
            if at % ROWS_A_TURN == 0 {
                self.turn(&mut turns);
            }
        }
        println!("{name}");
        rows.show("  a row");
        growing.show("  a row for which the table took memory");
        turns.show();
        self.phases.push(Phase { name: name.to_owned(), row_ns });
    }

    /// Ends the segment between two batches, which shows what that alone costs.
    fn rotate(&mut self, order: &str) {
        let mut turns = Turns::default();
        while !self.is_empty() {
            self.make_room(&mut turns);
        }
        while self.worker.durable() < self.worker.last_filled() {
            self.turn(&mut turns);
            std::thread::yield_now();
        }
        let generation = self.worker.table().generation();
        let mut turns = Turns::default();
        while self.worker.table().generation() == generation || self.worker.is_relieving() {
            // The segment has become old: it ends as soon as there is a next one.
            self.clock.0.set(self.clock.0.get() + AGE_NS);
            self.turn(&mut turns);
        }
        println!("a rotation between batches, before rows {order}");
        turns.show();
    }

    /// Whether no row waits for a block.
    fn is_empty(&self) -> bool {
        self.worker.last_filled() < self.worker.filling()
    }

    fn make_room(&mut self, turns: &mut Turns) {
        let before = self.signs();
        let (_, ns) = timed(|| self.worker.make_room());
        turns.add(ns, before, self.signs());
        if self.signs() == before {
            self.turn(turns);
            std::thread::yield_now();
        }
    }

    fn turn(&mut self, turns: &mut Turns) {
        let before = self.signs();
        let (worker, events) = (&mut self.worker, &mut self.events);
        let (_, ns) = timed(|| worker.turn(Arrivals::None, events));
        let failed = events.drain(..).find(|event| matches!(event, Event::Failed { .. }));
        assert_eq!(failed, None);
        turns.add(ns, before, self.signs());
    }

    fn signs(&self) -> Signs {
        let worker = &self.worker;
        let segment = worker.counters().segment_number.value();
        Signs { filling: worker.filling(), generation: worker.table().generation(), segment }
    }
}

/// What tells one turn from another.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Signs {
    filling: u64,
    generation: u32,
    segment: u64,
}

impl Turns {
    fn add(&mut self, ns: u64, before: Signs, after: Signs) {
        let times = match () {
            () if after.generation != before.generation => &mut self.ending,
            () if after.segment != before.segment => &mut self.beginning,
            () if after.filling != before.filling => &mut self.sealing,
            () => &mut self.idle,
        };
        times.add(ns);
    }

    fn show(&self) {
        self.idle.show("  a turn");
        self.sealing.show("  a turn that seals a batch");
        self.ending.show("  a turn that ends the segment");
        self.beginning.show("  a turn that begins the next segment");
    }
}
