//! One worker's rounds: its share of the targets, each asked in its slot, its rows and the word of how it went pushed.
//!
//! Everything happens on the worker's thread and poll. Comes in: orders from the [`Control`], what the poll says of
//! sockets, the clock. Goes out: rows into the engine. Keeps: a target that hangs, drips or floods holds up no other
//! one and is given up at its time limit; where the engine has no room, bodies wait, each paid for, and targets whose
//! last body waits are not asked again; what is no more gets stale markers before it is forgotten.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use mio::event::Event;
use mio::{Registry, Token};

use crate::engine::{MemoryBudget, Worker};
use crate::http::body::DecoderPool;
use crate::ingest::ContextId;
use crate::model::{Full, WriteResult};
use crate::telemetry::{Protocol, WorkerCounters};
use crate::wire::exposition::{ScrapeOptions as ReadOptions, Scraper};

use super::client::{Answer, Ask, Client, Failure, Means, Purse, Step, TlsConfigs};
use super::control::{Control, Order, Shared, Wanted};
use super::job::Job;
use super::negotiate;
use super::report::{Report, Told};
use super::schedule::{Agenda, Slots};
use super::status::TargetStatus;
use super::subject::{After, Arrival, Moment, News, Scrape, Subject, Taking, TargetSeries};
use super::target::TargetKey;
use super::targets::shard;

/// How long a step goes on with bodies before others have their turn.
const STEP_NS_MAX: u64 = 5_000_000;

/// How late a target may be asked since its last scrape is not over; then its slot is missed.
const BUSY_NS_MAX: u64 = 50_000_000;

/// How soon it is looked at again meanwhile.
const BUSY_PAUSE_NS: u64 = 1_000_000;

/// What a worker lends.
pub struct Ground<'a> {
    /// Where rows go.
    pub engine: &'a mut Worker,
    /// Where memory comes from.
    pub budget: &'a MemoryBudget,
    /// Room to read into; its bytes mean nothing.
    pub buffer: &'a mut [u8],
    /// The server stops: nobody is asked any more, and all series end.
    pub draining: bool,
}

/// One worker's part of the targets.
pub struct Rounds {
    number: usize,
    registry: Registry,
    /// Of the first target's sockets; the others' follow.
    first_token: usize,
    shared: Arc<Shared>,
    subjects: Vec<Option<Box<Subject>>>,
    vacant: Vec<usize>,
    by_key: HashMap<TargetKey, usize>,
    agenda: Agenda,
    /// To be gone on with at once.
    again: VecDeque<usize>,
    /// Whose names are being looked up.
    finding: Vec<usize>,
    /// Answers of the resolver when those were last gone on with.
    answers: u64,
    /// Whose bodies are to be read, in the order in which they came; the first may be half pushed.
    arrived: VecDeque<usize>,
    reader: Scraper,
    /// The engine had no room.
    full: bool,
    drains: bool,
    tls: TlsConfigs,
    decoders: DecoderPool,
    /// Of the next new target; see [`ContextId`].
    next_context: u32,
    result: WriteResult,
}

impl Rounds {
    /// The rounds of worker `number`, whose poll this is the registry of: sockets have tokens from `first_token` on.
    pub fn new(control: &Control, number: usize, registry: Registry, first_token: Token) -> Rounds {
        Rounds {
            number,
            registry,
            first_token: first_token.0,
            shared: Arc::clone(control.shared()),
            subjects: Vec::new(),
            vacant: Vec::new(),
            by_key: HashMap::new(),
            agenda: Agenda::default(),
            again: VecDeque::new(),
            finding: Vec::new(),
            answers: 0,
            arrived: VecDeque::new(),
            reader: Scraper::new(),
            full: false,
            drains: false,
            tls: TlsConfigs::default(),
            decoders: DecoderPool::new(),
            next_context: ContextId::TARGETS + 1,
            result: WriteResult::default(),
        }
    }

    /// Notes what a poll said of one of its tokens.
    pub fn ready(&mut self, event: &Event) {
        let Some(id) = event.token().0.checked_sub(self.first_token) else { return };
        if let Some(Some(_)) = self.subjects.get(id) {
            self.queue(id);
        }
    }

    /// Does what is to be done.
    pub fn step(&mut self, ground: &mut Ground<'_>) {
        for order in self.shared.take_orders(self.number) {
            self.obey(order, ground);
        }
        if ground.draining && !self.drains {
            self.drain(ground);
        }
        self.full = false;
        let now_ns = ground.engine.monotonic_ns();
        while let Some(id) = self.agenda.due(now_ns) {
            self.look(id, now_ns, ground);
        }
        let answers = self.shared.resolver.answers();
        if std::mem::replace(&mut self.answers, answers) != answers {
            for id in std::mem::take(&mut self.finding) {
                self.queue(id);
            }
        }
        for _ in 0..self.again.len() {
            let Some(id) = self.again.pop_front() else { break };
            if let Some(subject) = &mut self.subjects[id] {
                subject.queued = false;
                self.advance(id, ground);
            }
        }
        self.take_bodies(now_ns + STEP_NS_MAX, ground);
    }

    /// When it wants its next turn.
    pub fn due_ns(&self) -> Option<u64> {
        let at_once = !self.again.is_empty() || !self.full && !self.arrived.is_empty();
        if at_once { Some(0) } else { self.agenda.next_ns() }
    }

    /// Whether it waits for room in the engine.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// While draining: whether all series are ended.
    pub fn is_settled(&self) -> bool {
        self.drains && self.by_key.is_empty()
    }

    /// Bytes held, bodies under way left out: they are paid for.
    pub fn memory_bytes(&self) -> u64 {
        let subjects: usize = self.subjects.iter().flatten().map(|subject| subject.memory_bytes()).sum();
        (subjects + self.agenda.memory_bytes() + self.reader.memory_bytes()) as u64
    }

    fn queue(&mut self, id: usize) {
        if let Some(Some(subject)) = self.subjects.get_mut(id)
            && !std::mem::replace(&mut subject.queued, true)
        {
            self.again.push_back(id);
        }
    }

    fn obey(&mut self, order: Order, ground: &mut Ground<'_>) {
        match order {
            Order::Take(..) if self.drains => {}
            Order::Take(wanted, status, instead) => match self.by_key.remove(&instead) {
                Some(id) => {
                    let Some(subject) = &mut self.subjects[id] else { return };
                    subject.keyed = Arc::clone(&wanted.target);
                    self.by_key.insert(wanted.target.key.clone(), id);
                    let ends =
                        matches!(subject.after, After::End(_)) || subject.names_differently(&wanted.target);
                    subject.after = match ends {
                        true => After::End(Some((wanted, status))),
                        false => After::Replace(wanted, status),
                    };
                    self.settle(id, ground);
                }
                None => self.add(wanted, status, ground),
            },
            Order::Drop(key) => {
                if let Some(&id) = self.by_key.get(&key) {
                    self.end(id, ground);
                }
            }
        }
    }

    fn add(&mut self, wanted: Wanted, status: Arc<TargetStatus>, ground: &Ground<'_>) {
        let id = self.vacant.pop().unwrap_or_else(|| {
            self.subjects.push(None);
            self.subjects.len() - 1
        });
        let slots = self.slots(&wanted, ground);
        self.agenda.add(slots.next_ns(), id);
        self.by_key.insert(wanted.target.key.clone(), id);
        let context = self.contexts();
        let token = Token(self.first_token + id);
        self.subjects[id] = Some(Box::new(Subject::new((wanted, status), token, context, slots)));
        ground.engine.counters().scrape_targets.set(self.by_key.len() as u64);
    }

    /// Two contexts that no target has had.
    fn contexts(&mut self) -> u32 {
        let context = self.next_context;
        // Four thousand million of them: a new target every second for over sixty years.
        self.next_context = context.checked_add(2).expect("contexts outlast any process");
        context
    }

    fn slots(&self, wanted: &Wanted, ground: &Ground<'_>) -> Slots {
        let target = &wanted.target;
        let hash = shard::hash(&target.key) ^ self.shared.seed;
        let interval_ns = u64::try_from(target.interval.as_nanos()).unwrap_or(u64::MAX >> 2);
        Slots::new(hash, interval_ns, ground.engine.monotonic_ns(), ground.engine.wall_ns())
    }

    /// Has a target's series ended, once its scrape is over.
    fn end(&mut self, id: usize, ground: &mut Ground<'_>) {
        let Some(subject) = &mut self.subjects[id] else { return };
        subject.after = After::End(None);
        if let Scrape::Asked(_) = subject.scrape {
            // Nobody wants the answer any more.
            subject.client.abort(&mut self.decoders);
            subject.scrape = Scrape::Idle;
        }
        self.settle(id, ground);
    }

    fn drain(&mut self, ground: &mut Ground<'_>) {
        self.drains = true;
        for id in 0..self.subjects.len() {
            self.end(id, ground);
        }
    }

    /// What is due of a target.
    fn look(&mut self, id: usize, now_ns: u64, ground: &mut Ground<'_>) {
        let Some(subject) = &mut self.subjects[id] else { return };
        if let Scrape::Asked(moment) = subject.scrape {
            if now_ns >= moment.deadline_ns {
                let reading = subject.client.waits_for();
                subject.client.abort(&mut self.decoders);
                let why = match reading {
                    "reading body" => Failure::Answer("context deadline exceeded".to_owned()),
                    stage => Failure::Transport(format!("context deadline exceeded ({stage})")),
                };
                self.arrive(id, moment, Err(why), ground);
            } else {
                self.queue(id);
            }
        }
        let Some(subject) = &mut self.subjects[id] else { return };
        if now_ns < subject.slots.next_ns() || matches!(subject.after, After::End(_)) {
            return;
        }
        let counters = ground.engine.counters();
        if matches!(subject.scrape, Scrape::Idle) {
            let slot = subject.slots.take(now_ns, ground.engine.wall_ns());
            counters.scrapes.add(1);
            counters.scrapes_missed.add(slot.missed);
            counters.scrape_delay.observe(slot.delay_ns);
            let timeout_ns = u64::try_from(subject.target().timeout.as_nanos()).unwrap_or(u64::MAX >> 2);
            let deadline_ns = now_ns + timeout_ns;
            let moment = Moment { stamp_ns: slot.stamp_ns, began_ns: now_ns, deadline_ns };
            self.agenda.add(subject.slots.next_ns(), id);
            self.agenda.add(deadline_ns, id);
            self.begin(id, moment, ground);
        } else if now_ns - subject.slots.next_ns() < BUSY_NS_MAX {
            // Its last scrape may be over any moment: its time limit is the next slot at the latest.
            self.agenda.add(now_ns + BUSY_PAUSE_NS, id);
        } else {
            counters.scrapes_missed.add(subject.slots.skip(now_ns));
            self.agenda.add(subject.slots.next_ns(), id);
        }
    }

    fn begin(&mut self, id: usize, moment: Moment, ground: &mut Ground<'_>) {
        let Some(subject) = &mut self.subjects[id] else { return };
        subject.scrape = Scrape::Asked(moment);
        let url = match &subject.wanted.forbidden {
            Some(why) => Err(why.to_string()),
            None => subject.url(),
        };
        match url {
            Ok(url) => {
                self.drive(id, ground, |client, ask, means| {
                    client.begin(url, moment.deadline_ns, ask, means)
                });
            }
            Err(why) => self.arrive(id, moment, Err(Failure::Answer(why)), ground),
        }
    }

    /// Goes on with an exchange, or looks what the poll had to say of an idle connection.
    fn advance(&mut self, id: usize, ground: &mut Ground<'_>) {
        self.drive(id, ground, |client, ask, means| {
            if client.is_busy() {
                client.advance(ask, means)
            } else {
                client.look_at_idle(means);
                Step::Waits { until_ns: None }
            }
        });
    }

    fn drive(
        &mut self,
        id: usize,
        ground: &mut Ground<'_>,
        act: impl FnOnce(&mut Client, &Ask<'_>, &mut Means<'_>) -> Step,
    ) {
        let Some(subject) = &mut self.subjects[id] else { return };
        let purse = Purse { budget: ground.budget, held: ground.engine.memory_held_bytes() };
        let mut means = Means {
            registry: &self.registry,
            resolver: &self.shared.resolver,
            tls: &mut self.tls,
            proxies: &self.shared.proxies,
            decoders: &mut self.decoders,
            buffer: ground.buffer,
            purse,
            now_ns: ground.engine.monotonic_ns(),
        };
        let (client, ask) = subject.asking();
        let step = act(client, &ask, &mut means);
        match step {
            Step::Waits { until_ns } => {
                until_ns.into_iter().for_each(|until_ns| self.agenda.add(until_ns, id));
                if subject.client.is_finding() {
                    self.finding.push(id);
                }
            }
            Step::Again => self.queue(id),
            Step::Ended(ended) => {
                if let Scrape::Asked(moment) = subject.scrape {
                    self.arrive(id, moment, ended, ground);
                }
            }
        }
    }

    /// A scrape has come to its answer, or to none.
    fn arrive(&mut self, id: usize, moment: Moment, ended: Result<Answer, Failure>, ground: &Ground<'_>) {
        let Some(subject) = &mut self.subjects[id] else { return };
        let mut told =
            Told { duration_ns: ground.engine.monotonic_ns() - moment.began_ns, ..Told::default() };
        let news = match ended {
            Ok(answer) => {
                told.body_bytes = answer.body.len() as i64;
                subject.body_bytes = answer.body.len();
                match negotiate::format(&answer.content_type, subject.target().job.fallback_protocol) {
                    Ok(format) => News::Body(Arrival { body: answer.body, format, _paid: answer.paid }),
                    Err(why) => News::Failure(why),
                }
            }
            Err(failure) => {
                if failure == Failure::BodyTooLarge {
                    told.body_bytes = -1;
                }
                News::Failure(subject.describe(&failure))
            }
        };
        subject.scrape = Scrape::Arrived(moment, news, told);
        self.arrived.push_back(id);
    }

    /// Reads and pushes what has arrived, as far as there is room and time.
    fn take_bodies(&mut self, until_ns: u64, ground: &mut Ground<'_>) {
        while let Some(&id) = self.arrived.front() {
            let held = ground.engine.memory_held_bytes();
            let exhausted = ground.budget.exhausted(held);
            if exhausted {
                self.give_up(id);
            }
            if exhausted || ground.engine.accepts().is_err() {
                self.full = true;
                return;
            }
            match self.take_body(id, until_ns, ground) {
                Turn::Done => {}
                Turn::Full => {
                    self.full = true;
                    return;
                }
                Turn::Later => return,
            }
            self.arrived.pop_front();
            self.settle(id, ground);
            if ground.engine.monotonic_ns() >= until_ns {
                return;
            }
        }
    }

    /// Memory is short: a body that is half read may be why, and would wait for itself.
    fn give_up(&mut self, id: usize) {
        let Some(subject) = &mut self.subjects[id] else { return };
        let options = read_options(&subject.wanted.target.job);
        if let Scrape::Taking(taking) = &mut subject.scrape
            && taking.arrival.is_some()
        {
            taking.fail(Failure::NoMemory.to_string());
            self.reader.begin_end(taking.moment.stamp_ns, &options);
        }
    }

    /// Reads what has arrived of a target and makes rows of it, or goes on with that.
    fn take_body(&mut self, id: usize, until_ns: u64, ground: &mut Ground<'_>) -> Turn {
        let Some(subject) = &mut self.subjects[id] else { return Turn::Done };
        let options = read_options(&subject.wanted.target.job);
        subject.scrape = match std::mem::replace(&mut subject.scrape, Scrape::Idle) {
            Scrape::Arrived(moment, news, told) => {
                match &news {
                    News::Body(arrival) => self.reader.begin(arrival.format, moment.stamp_ns, &options),
                    // A failed scrape is an empty one: what the target said is no more.
                    News::Failure(_) | News::End => self.reader.begin_end(moment.stamp_ns, &options),
                }
                Scrape::Taking(Taking::new(moment, news, told))
            }
            other => other,
        };
        let Scrape::Taking(taking) = &mut subject.scrape else { return Turn::Done };
        let (series, target) = (&mut subject.series, &subject.wanted.target);
        while taking.report.is_none() {
            let began_ns = ground.engine.monotonic_ns();
            let mut intake = ground.engine.writer(&mut series.stream).rewriting(Some(&*series.labels));
            let goes_on = if taking.reads {
                let body = taking.arrival.as_ref().map_or(&[][..], |arrival| &arrival.body);
                let read = self.reader.step(&mut series.page, body, &mut intake);
                taking.told.duration_ns += ground.engine.monotonic_ns() - began_ns;
                match read {
                    Ok(None) => true,
                    Ok(Some(counts)) => {
                        taking.reads = false;
                        if taking.arrival.take().is_some() {
                            taking.count(&counts);
                        }
                        false
                    }
                    Err(failure) => {
                        taking.count(&failure.counts);
                        taking.fail(failure.why.to_string());
                        self.reader.begin_end(taking.moment.stamp_ns, &options);
                        true
                    }
                }
            } else {
                match self.reader.push_step(&mut series.page, &mut intake, &mut self.result) {
                    Ok(true) => {
                        let ends = taking.ends;
                        let report =
                            if ends { Report::stale(target) } else { Report::new(target, &taking.told) };
                        taking.report = Some((report, 0));
                        false
                    }
                    Ok(false) => true,
                    Err(Full) if ground.engine.make_room() => true,
                    Err(Full) => return Turn::Full,
                }
            };
            if goes_on && ground.engine.monotonic_ns() >= until_ns {
                return Turn::Later;
            }
        }
        while let Some((report, from)) = &mut taking.report {
            let labels = &series.report_labels;
            let mut intake = ground.engine.writer(&mut series.report_stream).rewriting(Some(labels));
            match report.push(*from, taking.moment.stamp_ns, &mut intake, &mut self.result) {
                Ok(()) => break,
                Err(at) => {
                    *from = at;
                    if !ground.engine.make_room() {
                        return Turn::Full;
                    }
                }
            }
        }
        series.reported = !taking.ends;
        subject.last_stamp_ns = taking.moment.stamp_ns;
        if !taking.ends {
            let outcome = taking.failure.as_deref().map_or(Ok(()), Err);
            subject.status.report(taking.moment.stamp_ns, taking.told.duration_ns, outcome);
            ground.engine.counters().scrapes_failed.add(u64::from(outcome.is_err()));
        }
        subject.scrape = Scrape::Idle;
        count(&mut self.result, ground.engine.counters());
        Turn::Done
    }

    /// A target's scrape may be over: does what was to be done then.
    fn settle(&mut self, id: usize, ground: &mut Ground<'_>) {
        let Some(subject) = &mut self.subjects[id] else { return };
        if !matches!(subject.scrape, Scrape::Idle) {
            return;
        }
        match std::mem::replace(&mut subject.after, After::Nothing) {
            After::Nothing => {}
            After::Replace(wanted, status) => {
                let (now, then) = (&subject.wanted.target, &wanted.target);
                let moved = (now.interval, &now.key) != (then.interval, &then.key);
                subject.become_other(wanted.clone(), status);
                if moved {
                    self.move_slots(id, &wanted, ground);
                }
            }
            After::End(next) if subject.series.reported || subject.series.page.is_live() => {
                let now_ns = ground.engine.monotonic_ns();
                // Not the time of rows that are there already.
                let stamp_ns = whole_ms(ground.engine.wall_ns()).max(subject.last_stamp_ns + NS_PER_MS);
                let moment = Moment { stamp_ns, began_ns: now_ns, deadline_ns: now_ns };
                subject.after = After::End(next);
                subject.scrape = Scrape::Arrived(moment, News::End, Told::default());
                self.arrived.push_back(id);
            }
            After::End(None) => {
                self.by_key.remove(&subject.keyed.key);
                self.subjects[id] = None;
                self.vacant.push(id);
                ground.engine.counters().scrape_targets.set(self.by_key.len() as u64);
            }
            After::End(Some((wanted, status))) => {
                let context = self.contexts();
                let Some(subject) = &mut self.subjects[id] else { return };
                subject.become_other(wanted.clone(), status);
                subject.series = TargetSeries::new(&wanted.target, context);
                self.move_slots(id, &wanted, ground);
            }
        }
    }

    fn move_slots(&mut self, id: usize, wanted: &Wanted, ground: &Ground<'_>) {
        let slots = self.slots(wanted, ground);
        self.agenda.add(slots.next_ns(), id);
        if let Some(subject) = &mut self.subjects[id] {
            subject.slots = slots;
        }
    }
}

/// How far a turn with what has arrived came.
enum Turn {
    /// All of its rows are in the engine.
    Done,
    /// The engine has no room.
    Full,
    /// Others have their turn first.
    Later,
}

/// How a job's bodies are read.
fn read_options(job: &Job) -> ReadOptions {
    ReadOptions {
        honor_timestamps: job.honor_timestamps,
        track_timestamps_staleness: job.track_timestamps_staleness,
        keep_empty_labels: job.honor_labels,
        samples_max: job.limits.samples_max,
        histograms: job.histograms.into(),
    }
}

/// Counts what became of rows, and begins anew.
fn count(result: &mut WriteResult, counters: &WorkerCounters) {
    counters.count_rows(Protocol::Scrape, result.accepted, result.samples);
    for &(reason, rows) in &result.reasons {
        counters.count_rejected(Protocol::Scrape, reason, rows);
    }
    result.clear();
}

fn whole_ms(ns: i64) -> i64 {
    ns.div_euclid(NS_PER_MS) * NS_PER_MS
}

const NS_PER_MS: i64 = 1_000_000;
