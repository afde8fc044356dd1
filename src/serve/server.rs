//! The server: its threads, its door, and what its workers share.

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, channel, sync_channel};
use std::thread::JoinHandle;

use mio::net::{TcpListener, TcpStream};
use mio::{Poll, Waker};

use crate::clock::{Clock, SystemClock};
use crate::engine::{self, Engine, MemoryBudget};
use crate::log::LogError;
use crate::sync::SharedCount;
use crate::telemetry::WorkerCounters;

use super::companion::CompanionHook;
use super::connection::Connection;
use super::door::{Context, Contexts, Handshakes, Labeling, Passage, Verifier};
use super::gathering::{self, Gathering, Load};
use super::groups::Groups;
use super::lines::{self, DatagramCounts, Endpoint, Gate, LineListener};
use super::listen;
use super::live::{Live, Present, ReloadHook, Reloads, Settings};
use super::metrics::Facts;
use super::panels::PanelsHook;
use super::survey::SurveyBoard;
use super::worker::{Worker, waker};

/// What a server is told once.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Where it listens for HTTP.
    pub listen: Vec<SocketAddr>,
    /// What may be changed later.
    pub settings: Settings,
    /// Who is told that `/-/reload` was asked for; without it there is no such path.
    pub reload: Option<ReloadHook>,
    /// Who makes the pages that the server shows and does not make itself.
    pub panels: Option<PanelsHook>,
    /// Where it listens for lines.
    pub lines: Vec<LineListener>,
    /// What each worker drives beside its doors.
    pub companion: Option<CompanionHook>,
    /// How long a drain may take, in nanoseconds.
    pub drain_ns_max: u64,
    /// When workers pass connections on to each other.
    pub gathering: Gathering,
}

impl Default for ServeOptions {
    fn default() -> ServeOptions {
        ServeOptions {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 9480))],
            settings: Settings::default(),
            reload: None,
            panels: None,
            lines: Vec::new(),
            companion: None,
            drain_ns_max: 25_000_000_000,
            gathering: Gathering::default(),
        }
    }
}

/// A running server.
pub struct Server {
    addresses: Vec<SocketAddr>,
    backend_name: &'static str,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    failures: Receiver<Result<(), String>>,
}

/// What workers share: none of it on the way of a row.
pub(super) struct Shared {
    pub(super) options: ServeOptions,
    pub(super) counters: Vec<Arc<WorkerCounters>>,
    pub(super) memory: MemoryBudget,
    pub(super) surveys: SurveyBoard,
    pub(super) present: Present,
    pub(super) contexts: Contexts,
    pub(super) reloads: Reloads,
    /// What the Pushgateway's groups hold.
    pub(super) groups: Arc<Groups>,
    /// What the keys of each listener for lines are read in; none where that is the format's own.
    pub(super) line_contexts: Vec<Option<Arc<Context>>>,
    /// Where lines come in, with the ports that were given for 0.
    pub(super) line_addresses: Vec<Endpoint>,
    /// Counts of the sockets for datagrams.
    pub(super) datagrams: Vec<Arc<DatagramCounts>>,
    /// How TLS begins at each of HTTP's listeners, where it is spoken.
    pub(super) handshakes: Vec<Arc<Handshakes>>,
    /// The same of the listeners for lines that speak it.
    line_handshakes: Vec<Arc<Handshakes>>,
    engine: Engine,
    seats: Vec<Seat>,
    draining: AtomicBool,
    reload_successful: AtomicBool,
    /// When the server started, in milliseconds since the Unix epoch.
    pub(super) started_ms: u64,
    /// When the configuration was last loaded, in milliseconds since the Unix epoch.
    reloaded_ms: SharedCount,
    /// The round of relief that was asked for last.
    relief_round: AtomicU64,
}

/// One worker, as the others see it.
struct Seat {
    connections: AtomicUsize,
    load: Load,
    /// While draining: nobody waits for an answer of it.
    settled: AtomicBool,
    /// The last round of relief that it has been through.
    relieved: AtomicU64,
    inbox: SyncSender<Arrival>,
    line_inbox: SyncSender<lines::Arrival>,
    waker: Waker,
}

/// A connection on its way to its worker.
pub(super) enum Arrival {
    /// From the door.
    New {
        socket: TcpStream,
        /// The listener that it came to.
        listener: usize,
    },
    /// From another worker, between two requests.
    PassedOn(Box<Connection>),
}

/// Connections that may be on their way to a worker; further ones go to others, or stay where they are.
const INBOX_MAX: usize = 1024;

impl Server {
    /// Binds, opens the engine and its workers, and starts to serve. Where it cannot listen, nothing is opened.
    ///
    /// # Errors
    /// An address that cannot be bound, a log that cannot be opened, threads that cannot be started.
    pub fn start(
        open: impl FnOnce() -> Result<Engine, LogError>,
        options: ServeOptions,
    ) -> io::Result<Server> {
        let Assembly { addresses, backend_name, shared, workers } = assemble(open, options, INBOX_MAX)?;
        let (failed, failures) = channel();
        let mut threads = Vec::with_capacity(workers.len());
        for (number, worker) in workers.into_iter().enumerate() {
            let failed = failed.clone();
            let run = move || {
                let ended = catch_unwind(AssertUnwindSafe(|| worker.run()));
                let outcome = match ended {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(e)) => Err(format!("worker {number} failed: {e}")),
                    Err(_) => Err(format!("worker {number} panicked")),
                };
                // Nobody listening means that the process is past caring.
                let _ = failed.send(outcome);
            };
            threads.push(engine::spawn(&format!("worker-{number}"), Box::new(run))?);
        }
        Ok(Server { addresses, backend_name, shared, threads, failures })
    }

    /// Where it listens, with the ports that were given for 0.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where it listens for lines, with the ports that were given for 0, in the order of
    /// [`ServeOptions::lines`].
    pub fn line_addresses(&self) -> &[Endpoint] {
        &self.shared.line_addresses
    }

    /// What the disk is.
    pub fn backend_name(&self) -> &'static str {
        self.backend_name
    }

    /// A handle that steers the server from another thread.
    pub fn control(&self) -> Control {
        Control(Arc::clone(&self.shared))
    }

    /// Waits until the server has drained.
    ///
    /// # Errors
    /// What made a worker stop before it was asked to; the others are left as they are, and the log is sound.
    pub fn join(self) -> Result<(), String> {
        for _ in &self.threads {
            match self.failures.recv() {
                Ok(Ok(())) => {}
                Ok(Err(failure)) => return Err(failure),
                Err(_) => return Err("a worker went without a word".to_owned()),
            }
        }
        for thread in self.threads {
            // It has said how it ended.
            let _ = thread.join();
        }
        Ok(())
    }
}

/// A server whose threads are still to be started.
pub(super) struct Assembly {
    pub(super) addresses: Vec<SocketAddr>,
    backend_name: &'static str,
    pub(super) shared: Arc<Shared>,
    pub(super) workers: Vec<Worker>,
}

/// Binds, opens the engine, and makes the workers.
pub(super) fn assemble(
    open: impl FnOnce() -> Result<Engine, LogError>,
    options: ServeOptions,
    inbox_max: usize,
) -> io::Result<Assembly> {
    let listeners: Vec<TcpListener> =
        options.listen.iter().map(|&address| bind(address)).collect::<io::Result<_>>()?;
    let addresses: Vec<SocketAddr> =
        listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>()?;
    let mut gates: Vec<Gate> = options.lines.iter().map(Gate::bind).collect::<io::Result<_>>()?;
    let engine = open().map_err(io::Error::other)?;
    let workers = engine.options().workers as usize;
    let engines: Vec<engine::Worker> = (0..engine.options().workers)
        .map(|n| engine.worker(n).map_err(|e| io::Error::other(e.to_string())))
        .collect::<io::Result<_>>()?;
    let backend_name = engines.first().map_or("none", engine::Worker::backend_name);

    let mut polls = Vec::with_capacity(workers);
    let mut seats = Vec::with_capacity(workers);
    for _ in 0..workers {
        let poll = Poll::new()?;
        let (inbox, arriving) = sync_channel(inbox_max);
        let (line_inbox, lines_arriving) = sync_channel(inbox_max);
        seats.push(Seat {
            connections: AtomicUsize::new(0),
            load: Load::default(),
            settled: AtomicBool::new(false),
            relieved: AtomicU64::new(0),
            inbox,
            line_inbox,
            waker: waker(&poll)?,
        });
        polls.push((poll, arriving, lines_arriving));
    }
    let contexts = Contexts::new(engine.counters());
    let live = Live::new(&options.settings, listeners.len(), None, &contexts);
    let live = live.map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e.message))?;
    let line_contexts = line_contexts(&options.lines, &contexts)?;
    for ((gate, listener), context) in gates.iter_mut().zip(&options.lines).zip(&line_contexts) {
        if let Some(context) = context {
            gate.label(&listener.protocol, context);
        }
    }
    let shared = Arc::new(Shared {
        line_contexts,
        counters: engine.counters().to_vec(),
        memory: MemoryBudget::new(options.settings.memory_bytes_max),
        surveys: SurveyBoard::new(workers),
        present: Present::new(live),
        contexts,
        reloads: Reloads::default(),
        groups: Arc::default(),
        line_addresses: gates.iter().map(|gate| gate.endpoint.clone()).collect(),
        datagrams: gates.iter().filter_map(|gate| gate.counts.clone()).collect(),
        handshakes: addresses.iter().map(|at| Arc::new(Handshakes::new(at.to_string()))).collect(),
        line_handshakes: gates
            .iter()
            .filter(|gate| gate.is_encrypted())
            .map(|gate| Arc::clone(&gate.handshakes))
            .collect(),
        options,
        engine,
        seats,
        draining: AtomicBool::new(false),
        reload_successful: AtomicBool::new(true),
        started_ms: now_ms(),
        reloaded_ms: SharedCount::default(),
        relief_round: AtomicU64::new(0),
    });
    shared.reloaded_ms.set(now_ms());
    let waking = Arc::downgrade(&shared);
    let wake = move || {
        if let Some(shared) = waking.upgrade() {
            shared.wake_all();
        }
    };
    let verifier = Arc::new(Verifier::new(Box::new(wake)));
    let mut listeners = Some(listeners);
    let mut assembled = Vec::with_capacity(workers);
    let mut gates = spread(gates, workers).into_iter();
    for (number, ((poll, arriving, lines_arriving), engine)) in polls.into_iter().zip(engines).enumerate() {
        // The first worker has the door, and takes in what it has time for.
        let http = (listeners.take().unwrap_or_default(), arriving);
        let lines = (gates.next().unwrap_or_default(), lines_arriving);
        let verifier = Arc::clone(&verifier);
        assembled.push(Worker::new(number, poll, Arc::clone(&shared), engine, http, lines, verifier)?);
    }
    Ok(Assembly { addresses, backend_name, shared, workers: assembled })
}

/// Steers a server from another thread.
#[derive(Clone)]
pub struct Control(Arc<Shared>);

impl Control {
    /// A reload of the configuration begins: before the file is read. Gives what to call
    /// [`reloaded`](Control::reloaded) with.
    pub fn reload_begins(&self) -> u64 {
        self.0.reloads.begin()
    }

    /// Changes the settings, and the engine's limit on series: all, or nothing. Requests that begin from now on meet
    /// the new ones.
    ///
    /// # Errors
    /// A file that a door needs cannot be used.
    pub fn apply(&self, settings: &Settings, series_max: u64) -> Result<(), String> {
        let shared = &*self.0;
        let before = shared.present.get();
        let live = Live::new(settings, before.doors.len(), Some(&before), &shared.contexts);
        let live = live.map_err(|e| e.message)?;
        let doors = live.doors.iter().filter_map(|door| door.labeling.as_ref());
        let lines = shared.line_contexts.iter().flatten().map(|context| context.labeling());
        let labelings: Vec<Labeling> = doors.chain(lines).cloned().collect();
        shared.memory.set_max(live.memory_bytes_max);
        shared.engine.set_series_max(series_max);
        shared.present.set(live);
        shared.contexts.keep(labelings.iter());
        shared.wake_all();
        Ok(())
    }

    /// Says how a reload went, to the metrics and to whoever asked for it.
    pub fn reloaded(&self, round: u64, outcome: Result<(), &str>) {
        self.0.reload_successful.store(outcome.is_ok(), Ordering::Relaxed);
        if outcome.is_ok() {
            self.0.reloaded_ms.set(now_ms());
        }
        self.0.reloads.complete(round, outcome.err());
        self.0.wake_all();
    }

    /// Wakes all workers: there is something for their companions to do.
    pub fn wake(&self) {
        self.0.wake_all();
    }

    /// Stops taking writes, answers what is under way, commits, and lets [`Server::join`] return.
    pub fn drain(&self) {
        self.0.drain();
    }
}

impl Shared {
    /// See [`Control::drain`].
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.wake_all();
    }

    /// Whether the server is stopping.
    pub(super) fn draining(&self) -> bool {
        // Pairs with the store in `drain`; nothing else is published by it.
        self.draining.load(Ordering::Acquire)
    }

    /// While draining: whether nobody waits for an answer of any worker but this. What these have given away before is
    /// in the inboxes.
    pub(super) fn others_are_settled(&self, number: usize) -> bool {
        // Pairs with the store in `settle`.
        self.seats.iter().enumerate().all(|(n, seat)| n == number || seat.settled.load(Ordering::Acquire))
    }

    /// While draining: says whether a worker is settled. The others look again if that is news.
    pub(super) fn settle(&self, number: usize, settled: bool) {
        // Pairs with the load in `others_are_settled`: this worker's sends come before it.
        let before = self.seats[number].settled.swap(settled, Ordering::Release);
        if settled && !before {
            self.wake_all();
        }
    }

    /// Memory is short: has all workers let go of what they can, unless they are still at it. `held` is what tables and
    /// batches hold: if that is little, bodies and connections are the cause, and go by themselves.
    pub(super) fn want_relief(&self, held: u64) {
        if held < self.memory.max() / 2 {
            return;
        }
        let round = self.relief_round.load(Ordering::Relaxed);
        if self.seats.iter().any(|s| s.relieved.load(Ordering::Relaxed) < round) {
            return;
        }
        let next = self.relief_round.compare_exchange(round, round + 1, Ordering::Relaxed, Ordering::Relaxed);
        if next.is_ok() {
            self.wake_all();
        }
    }

    /// The round of relief that is under way, or was last.
    pub(super) fn relief_round(&self) -> u64 {
        self.relief_round.load(Ordering::Relaxed)
    }

    /// A worker has been through this round of relief.
    pub(super) fn relieved(&self, number: usize, round: u64) {
        self.seats[number].relieved.store(round, Ordering::Relaxed);
    }

    /// The worker that the next connection goes to: see [`gathering`].
    pub(super) fn place(&self, now_ns: u64) -> usize {
        let rules = &self.options.gathering;
        gathering::place(self.loads().map(|load| load.permille(now_ns, rules)), rules)
    }

    /// How busy a worker was of late, in thousandths.
    pub(super) fn load(&self, number: usize, now_ns: u64) -> u32 {
        self.seats[number].load.permille(now_ns, &self.options.gathering)
    }

    /// A worker's own word on how busy it is.
    pub(super) fn own_load(&self, number: usize) -> &Load {
        &self.seats[number].load
    }

    /// A worker is given so much to do.
    pub(super) fn expect_load(&self, number: usize, now_ns: u64, permille: u32) {
        self.seats[number].load.expect(now_ns, &self.options.gathering, permille);
    }

    /// How busy each worker is.
    pub(super) fn loads(&self) -> impl ExactSizeIterator<Item = &Load> + Clone {
        self.seats.iter().map(|seat| &seat.load)
    }

    /// The worker that the next connection of lines goes to, where it will stay: the one with the fewest.
    pub(super) fn place_lines(&self) -> usize {
        let fewest = self.seats.iter().enumerate().min_by_key(|(_, s)| s.connections.load(Ordering::Relaxed));
        fewest.map_or(0, |(number, _)| number)
    }

    /// A worker has a connection more.
    pub(super) fn arrived(&self, number: usize) {
        self.seats[number].connections.fetch_add(1, Ordering::Relaxed);
    }

    /// How many workers there are.
    pub(super) fn workers(&self) -> usize {
        self.seats.len()
    }

    /// Gives a connection of lines to a worker, which counts it from now on.
    ///
    /// # Errors
    /// That has no room for it, or is gone: here it is again.
    pub(super) fn hand_over_lines(&self, to: usize, arrival: lines::Arrival) -> Result<(), lines::Arrival> {
        self.send(to, &self.seats[to].line_inbox, arrival)
    }

    /// Gives a connection to a worker, which counts it from now on.
    ///
    /// # Errors
    /// That has no room for it, or is gone: here it is again.
    pub(super) fn hand_over(&self, to: usize, arrival: Arrival) -> Result<(), Arrival> {
        self.send(to, &self.seats[to].inbox, arrival)
    }

    fn send<T>(&self, to: usize, inbox: &SyncSender<T>, arrival: T) -> Result<(), T> {
        self.arrived(to);
        match inbox.try_send(arrival) {
            Ok(()) => {
                self.wake(to);
                Ok(())
            }
            Err(TrySendError::Full(arrival) | TrySendError::Disconnected(arrival)) => {
                self.left(to);
                Err(arrival)
            }
        }
    }

    /// A connection of this worker is gone.
    pub(super) fn left(&self, number: usize) {
        self.seats[number].connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether there may be more connections.
    pub(super) fn has_room(&self, connections_max: usize) -> bool {
        let open: usize = self.seats.iter().map(|s| s.connections.load(Ordering::Relaxed)).sum();
        open < connections_max
    }

    /// Wakes all workers.
    pub(super) fn wake_all(&self) {
        (0..self.seats.len()).for_each(|n| self.wake(n));
    }

    /// What the counters do not know.
    pub(super) fn facts(&self, disk_backend: &'static str) -> Facts {
        let usage = self.engine.usage();
        let live = self.present.get();
        let spoken = self.handshakes.iter().zip(&live.doors).filter(|(_, door)| door.tls.is_some());
        let handshakes = spoken.map(|(handshakes, _)| handshakes).chain(&self.line_handshakes);
        Facts {
            disk_backend,
            log_bytes: usage.live_bytes,
            log_allocated_bytes: usage.allocated_bytes,
            blocks_damaged: self.engine.blocks_damaged(),
            memory_limit_bytes: self.memory.max(),
            reload_successful: self.reload_successful.load(Ordering::Relaxed),
            reloaded_ms: self.reloaded_ms.value(),
            datagrams: self.datagrams.clone(),
            handshakes: handshakes.cloned().collect(),
            unsupported: live.unsupported.clone(),
        }
    }

    fn wake(&self, number: usize) {
        if let Err(e) = self.seats[number].waker.wake() {
            tracing::error!(worker = number, error = %e, "a worker could not be woken");
        }
    }
}

fn now_ms() -> u64 {
    SystemClock::default().wall_ns().max(0) as u64 / 1_000_000
}

/// What the keys of each listener for lines are read in, where that isn't its format's own.
fn line_contexts(lines: &[LineListener], contexts: &Contexts) -> io::Result<Vec<Option<Arc<Context>>>> {
    let context = |listener: &LineListener| {
        if listener.rules.is_empty() {
            return Ok(None);
        }
        let labeling = contexts.labeling(&listener.rules, None);
        let entered = contexts.enter(&mut Passage::default(), listener.protocol.context(), &labeling, None);
        entered.map(Some).map_err(|_| io::Error::other("too many listeners with rules"))
    };
    lines.iter().map(context).collect()
}

/// Gives each listener for lines to one worker, the last workers first: the first one has HTTP's door. Each gets a list
/// in which all listeners have their place.
fn spread(gates: Vec<Gate>, workers: usize) -> Vec<Vec<Option<Gate>>> {
    let mut spread: Vec<Vec<Option<Gate>>> =
        (0..workers).map(|_| gates.iter().map(|_| None).collect()).collect();
    for (i, gate) in gates.into_iter().enumerate() {
        spread[workers - 1 - i % workers][i] = Some(gate);
    }
    spread
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    listen::tcp(address).map_err(|e| io::Error::new(e.kind(), format!("cannot listen on {address}: {e}")))
}
