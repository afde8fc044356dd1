//! One worker's rounds: its share of the targets, each asked in its slot, its rows and the word of how it went pushed.
//!
//! Everything happens on the worker's thread and poll. Comes in: orders from the [`Control`], what the poll says of
//! sockets, the clock. Goes out: rows into the engine. Keeps: a target that hangs, drips or floods holds up no other
//! one and is given up at its time limit; where the engine has no room, bodies wait, each paid for, and targets whose
//! last body waits are not asked again; what is no more gets stale markers before it is forgotten.

mod turnover;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use mio::event::Event;
use mio::{Registry, Token};

use crate::engine::{MemoryBudget, Worker};
use crate::http::body::DecoderPool;
use crate::ingest::ContextId;
use crate::model::{Full, WriteResult};
use crate::telemetry::{Protocol, WorkerCounters};
use crate::wire::exposition::Scraper;

use super::client::{Answer, Ask, Client, Failure, Means, Purse, Spares, Step};
use super::control::{Control, Shared};
use super::negotiate;
use super::report::Told;
use super::schedule::Agenda;
use super::subject::{
    After, Arrival, Moment, News, ReportSeries, Scrape, Stage, Subject, Taking, TargetSeries, count_taken,
    read_options,
};
use super::target::TargetKey;
use super::tls::TlsConfigs;

/// How long a step goes on with bodies before others have their turn.
const STEP_NS_MAX: u64 = 5_000_000;

/// How late a target may be asked since its last scrape is not over; then its slot is missed.
const BUSY_NS_MAX: u64 = 50_000_000;

/// How soon it is looked at again meanwhile.
const BUSY_PAUSE_NS: u64 = 1_000_000;

/// How soon those are gone on with that wait for memory.
const SHORT_PAUSE_NS: u64 = 10_000_000;

/// So many of them at once.
const SHORT_AT_ONCE_MAX: usize = 64;

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
    /// Those that are gone, until their series are ended.
    gone: HashMap<TargetKey, usize>,
    /// Those of them that were asked before they were gone, until their scrapes are over.
    finishing: HashSet<usize>,
    agenda: Agenda,
    /// To be gone on with at once.
    again: VecDeque<usize>,
    /// Whose names are being looked up, or tokens fetched.
    finding: Vec<usize>,
    /// Who waits for memory, and when they are gone on with.
    short: VecDeque<usize>,
    short_due_ns: u64,
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
    spares: Spares,
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
            gone: HashMap::new(),
            finishing: HashSet::new(),
            agenda: Agenda::default(),
            again: VecDeque::new(),
            finding: Vec::new(),
            short: VecDeque::new(),
            short_due_ns: 0,
            answers: 0,
            arrived: VecDeque::new(),
            reader: Scraper::new(),
            full: false,
            drains: false,
            tls: TlsConfigs::default(),
            decoders: DecoderPool::new(),
            spares: Spares::default(),
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
        self.relieve(now_ns, ground);
        self.take_bodies(now_ns + STEP_NS_MAX, ground);
    }

    /// Goes on with some of those that wait for memory: there may be some now.
    fn relieve(&mut self, now_ns: u64, ground: &mut Ground<'_>) {
        if now_ns < self.short_due_ns {
            return;
        }
        self.short_due_ns = now_ns + SHORT_PAUSE_NS;
        for _ in 0..self.short.len().min(SHORT_AT_ONCE_MAX) {
            let Some(id) = self.short.pop_front() else { break };
            if let Some(subject) = &mut self.subjects[id] {
                subject.is_short = false;
                self.advance(id, ground);
            }
        }
    }

    /// When it wants its next turn.
    pub fn due_ns(&self) -> Option<u64> {
        let at_once = !self.again.is_empty() || !self.full && !self.arrived.is_empty();
        if at_once {
            return Some(0);
        }
        let short_ns = (!self.short.is_empty()).then_some(self.short_due_ns);
        self.agenda.next_ns().into_iter().chain(short_ns).min()
    }

    /// Whether it waits for room in the engine.
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// While draining: whether all series are ended.
    pub fn is_settled(&self) -> bool {
        self.drains && self.by_key.is_empty() && self.gone.is_empty()
    }

    /// Bytes held, bodies under way left out: they are paid for.
    pub fn memory_bytes(&self) -> u64 {
        let subjects: usize = self.subjects.iter().flatten().map(|subject| subject.memory_bytes()).sum();
        let own = self.agenda.memory_bytes() + self.reader.memory_bytes() + self.spares.memory_bytes();
        (subjects + own) as u64
    }

    fn queue(&mut self, id: usize) {
        if let Some(Some(subject)) = self.subjects.get_mut(id)
            && !std::mem::replace(&mut subject.queued, true)
        {
            self.again.push_back(id);
        }
    }

    /// What is due of a target.
    fn look(&mut self, id: usize, now_ns: u64, ground: &mut Ground<'_>) {
        let Some(subject) = &mut self.subjects[id] else { return };
        if let Scrape::Asked(moment) = subject.scrape {
            if now_ns >= moment.deadline_ns {
                let (reading, is_short) = (subject.client.waits_for(), subject.client.is_short());
                subject.client.abort(&mut self.decoders);
                let why = match reading {
                    _ if is_short => Failure::NoMemory,
                    "reading body" => Failure::Answer("context deadline exceeded".to_owned()),
                    stage => Failure::Transport(format!("context deadline exceeded ({stage})")),
                };
                self.arrive(id, moment, Err(why), ground);
            } else {
                self.queue(id);
            }
        }
        let Some(subject) = &mut self.subjects[id] else { return };
        if let Some(absence) = subject.absence {
            if now_ns >= absence.until_ns && matches!(subject.after, After::Nothing) {
                self.end(id, ground);
            }
            return;
        }
        if now_ns < subject.slots.next_ns() || matches!(subject.after, After::Leave | After::End(_)) {
            return;
        }
        let counters = ground.engine.counters();
        if matches!(subject.scrape, Scrape::Idle) {
            // Those of one slot begin one after the other.
            let now_ns = ground.engine.monotonic_ns();
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
            tokens: &self.shared.tokens,
            tls: &mut self.tls,
            proxies: &self.shared.proxies,
            decoders: &mut self.decoders,
            spares: &mut self.spares,
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
            Step::NoMemory => {
                if !std::mem::replace(&mut subject.is_short, true) {
                    self.short.push_back(id);
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
                    // As in Prometheus: no parser is asked, so neither a type nor an `# EOF` is missing.
                    _ if answer.body.is_empty() => News::Nothing,
                    Ok(format) => News::Body(Arrival { body: answer.body, format, _paid: answer.paid }),
                    Err(why) => News::Failure(why),
                }
            }
            Err(failure) => {
                if let Failure::BodyTooLarge(_) = failure {
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
                    // A failed scrape is an empty one, as is one that says nothing: what the target said is no more.
                    News::Nothing | News::Failure(_) | News::End => {
                        self.reader.begin_end(moment.stamp_ns, &options);
                    }
                }
                Scrape::Taking(Taking::new(moment, news, told))
            }
            other => other,
        };
        let Scrape::Taking(taking) = &mut subject.scrape else { return Turn::Done };
        let stamp_ns = taking.moment.stamp_ns;
        let reported = loop {
            match &mut taking.stage {
                Stage::Read => {
                    let TargetSeries { page, stream, labels } = &mut subject.series;
                    let began_ns = ground.engine.monotonic_ns();
                    let mut intake = ground.engine.writer(stream).rewriting(Some(&**labels));
                    let mut none = Vec::new();
                    let body = taking.arrival.as_mut().map_or(&mut none, |arrival| &mut arrival.body);
                    let read = self.reader.step(page, body, &mut intake);
                    taking.told.duration_ns += ground.engine.monotonic_ns() - began_ns;
                    match read {
                        Ok(None) => {}
                        Ok(Some(counts)) => self.spares.put(taking.end_reading(&counts)),
                        Err(failure) => {
                            taking.count(&failure.counts);
                            taking.fail(failure.why.to_string());
                            self.reader.begin_end(stamp_ns, &options);
                        }
                    }
                }
                Stage::Rows => {
                    match subject.series.push_step(&mut self.reader, ground.engine, &mut self.result) {
                        Ok(false) => {}
                        Ok(true) => {
                            taking.stage = match &mut subject.before {
                                Some(before) => {
                                    let now = &subject.series.page;
                                    before.end_but(now, stamp_ns, &mut self.reader, ground.engine);
                                    Stage::Former
                                }
                                None => taking.report(&subject.wanted.target, subject.report.told),
                            };
                        }
                        Err(Full) => return Turn::Full,
                    }
                }
                Stage::Former => {
                    let former = subject.before.as_mut().map_or(Ok(true), |before| {
                        before.series.push_step(&mut self.reader, ground.engine, &mut self.result)
                    });
                    match former {
                        Ok(false) => {}
                        Ok(true) => {
                            subject.before = None;
                            taking.stage = taking.report(&subject.wanted.target, subject.report.told);
                        }
                        Err(Full) => return Turn::Full,
                    }
                }
                Stage::Report(report, from) => {
                    let ReportSeries { stream, labels, .. } = &mut subject.report;
                    let mut intake = ground.engine.writer(stream).rewriting(Some(labels));
                    let pushed = report.push(*from, stamp_ns, &mut intake, &mut self.result);
                    count_taken(&mut self.result, ground.engine);
                    match pushed {
                        Ok(()) => break report.told(),
                        Err(at) => *from = at,
                    }
                    if !ground.engine.make_room() {
                        return Turn::Full;
                    }
                }
            }
            if !matches!(taking.stage, Stage::Report(..)) && ground.engine.monotonic_ns() >= until_ns {
                return Turn::Later;
            }
        };
        subject.report.told = reported;
        subject.last_stamp_ns = stamp_ns;
        if !taking.ends {
            let outcome = taking.failure.as_deref().map_or(Ok(()), Err);
            subject.status.report(stamp_ns, taking.told.duration_ns, outcome);
            ground.engine.counters().scrapes_failed.add(u64::from(outcome.is_err()));
        }
        subject.scrape = Scrape::Idle;
        count(&mut self.result, ground.engine.counters());
        Turn::Done
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

/// Counts rows that were not taken, and begins anew.
fn count(result: &mut WriteResult, counters: &WorkerCounters) {
    for &(reason, rows) in &result.reasons {
        counters.count_rejected(Protocol::Scrape, reason, rows);
    }
    result.clear();
}
