//! The handle on all workers' rounds: which targets there are, and who scrapes them.
//!
//! Comes in: whole lists of targets, after a reload or when something was discovered. Goes out: to each worker what of
//! its share has changed. Keeps: an unchanged target stays where it is and goes on undisturbed; a new one goes to the
//! worker with the fewest.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::client::{ProxyEnvironment, Resolver};
use super::job::Job;
use super::status::{StatusBoard, TargetStatus};
use super::target::{LabelPairs, Target, TargetKey};
use super::targets::JobTargets;

/// What scraping is told once.
pub struct ScrapeOptions {
    /// Worker threads.
    pub workers: usize,
    /// Moves the slots of all targets: servers that scrape the same targets should differ in it, and each should keep
    /// its own over restarts.
    pub seed: u64,
    /// What the environment says of proxies.
    pub proxies: ProxyEnvironment,
    /// Wakes all workers' polls.
    pub wake: Arc<dyn Fn() + Send + Sync>,
}

/// Steers the rounds of all workers. Clones are the same.
#[derive(Clone)]
pub struct Control(Arc<Shared>);

/// What workers share.
pub(super) struct Shared {
    pub(super) seed: u64,
    pub(super) proxies: ProxyEnvironment,
    pub(super) resolver: Arc<Resolver>,
    desks: Vec<Desk>,
    placed: Mutex<HashMap<TargetKey, Placed>>,
    board: Arc<StatusBoard>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

/// What lies ready for a worker.
#[derive(Default)]
struct Desk {
    stirred: AtomicBool,
    /// At most one for each target and list.
    orders: Mutex<Vec<Order>>,
}

/// A target, and its worker.
struct Placed {
    wanted: Wanted,
    worker: usize,
}

/// A target that is to be scraped.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) target: Arc<Target>,
    /// Why all of its scrapes fail, without that anybody is asked.
    pub(super) forbidden: Option<Arc<str>>,
}

/// What a worker is to do.
pub(super) enum Order {
    /// Scrape it, in place of the one of this key if there is one.
    Take(Wanted, Arc<TargetStatus>, TargetKey),
    /// Say that its series are no more, and forget it.
    Drop(TargetKey),
}

impl Control {
    /// Scraping with no targets yet.
    pub fn new(options: ScrapeOptions) -> Control {
        let ScrapeOptions { workers, seed, proxies, wake } = options;
        let waking = Arc::clone(&wake);
        let resolver = Arc::new(Resolver::new(Box::new(move || waking())));
        Control(Arc::new(Shared {
            seed,
            proxies,
            resolver,
            desks: (0..workers).map(|_| Desk::default()).collect(),
            placed: Mutex::default(),
            board: Arc::default(),
            wake,
        }))
    }

    /// How the last scrape of each target went.
    pub fn board(&self) -> &Arc<StatusBoard> {
        &self.0.board
    }

    /// Scrapes these targets from now on, and no others.
    pub fn apply(&self, jobs: &[Arc<JobTargets>]) {
        let shared = &*self.0;
        let mut placed = shared.placed();
        let mut counts = vec![0usize; shared.desks.len()];
        let mut before = std::mem::take(&mut *placed);
        let mut orders: Vec<Vec<Order>> = shared.desks.iter().map(|_| Vec::new()).collect();
        let mut same_jobs = SameJobs::default();
        let mut new = Vec::new();
        for job in jobs {
            let forbidden: Option<Arc<str>> = job.over_limit().map(Into::into);
            for target in &job.active {
                let wanted = Wanted { target: Arc::clone(target), forbidden: forbidden.clone() };
                match before.remove(&target.key) {
                    // Two jobs cannot have one key, and a job has each key once.
                    None => new.push(wanted),
                    Some(Placed { wanted: old, worker }) => {
                        counts[worker] += 1;
                        if !same_jobs.is_same(&old, &wanted) {
                            let status = shared.board.enter(&target.key);
                            let key = target.key.clone();
                            orders[worker].push(Order::Take(wanted.clone(), status, key));
                        }
                        placed.insert(target.key.clone(), Placed { wanted, worker });
                    }
                }
            }
        }
        // A target that is asked in another way is another one, but its series go on: nobody is to tell them stale.
        let mut heirs: HashMap<_, _> =
            before.into_iter().map(|(key, gone)| (gone.wanted.family(), (key, gone))).collect();
        for wanted in new {
            let key = wanted.target.key.clone();
            let status = shared.board.enter(&key);
            let (instead, worker) = match heirs.remove(&wanted.family()) {
                Some((before, gone)) => {
                    shared.board.leave(&before);
                    (before, gone.worker)
                }
                None => (key.clone(), fewest(&counts)),
            };
            counts[worker] += 1;
            orders[worker].push(Order::Take(wanted.clone(), status, instead));
            placed.insert(key, Placed { wanted, worker });
        }
        for (key, gone) in heirs.into_values() {
            shared.board.leave(&key);
            orders[gone.worker].push(Order::Drop(key));
        }
        for (desk, orders) in shared.desks.iter().zip(orders).filter(|(_, orders)| !orders.is_empty()) {
            desk.orders.lock().unwrap_or_else(PoisonError::into_inner).extend(orders);
            // Pairs with the swap in `take_orders`; the lock publishes the orders.
            desk.stirred.store(true, Ordering::Release);
        }
        drop(placed);
        (shared.wake)();
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
}

/// The worker with the fewest targets.
fn fewest(counts: &[usize]) -> usize {
    (0..counts.len()).min_by_key(|&worker| counts[worker]).unwrap_or_default()
}

impl Wanted {
    /// What its series have in common, and in no other target's.
    fn family(&self) -> (String, LabelPairs) {
        (self.target.key.job.clone(), self.target.labels.clone())
    }
}

impl Shared {
    /// What a worker is to do, in the order in which it was said.
    pub(super) fn take_orders(&self, worker: usize) -> Vec<Order> {
        let desk = &self.desks[worker];
        if !desk.stirred.load(Ordering::Relaxed) || !desk.stirred.swap(false, Ordering::Acquire) {
            return Vec::new();
        }
        std::mem::take(&mut *desk.orders.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// No code that could panic runs under the lock: what a poisoned one holds is sound.
    fn placed(&self) -> MutexGuard<'_, HashMap<TargetKey, Placed>> {
        self.placed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which jobs were found to be the same: a job has many targets, and is compared once.
#[derive(Default)]
struct SameJobs(HashMap<(*const Job, *const Job), bool>);

impl SameJobs {
    /// Whether a target may go on as it was. What discovery said of it before rules does not matter.
    fn is_same(&mut self, old: &Wanted, new: &Wanted) -> bool {
        let (a, b) = (&old.target, &new.target);
        let jobs = (Arc::as_ptr(&a.job), Arc::as_ptr(&b.job));
        old.forbidden == new.forbidden
            && (&a.labels, a.scheme, &a.address, &a.path) == (&b.labels, b.scheme, &b.address, &b.path)
            && (a.interval, a.timeout) == (b.interval, b.timeout)
            && (jobs.0 == jobs.1 || *self.0.entry(jobs).or_insert_with(|| is_same_job(&a.job, &b.job)))
    }
}

/// Whether two jobs scrape in the same way: where they find their targets does not matter.
fn is_same_job(a: &Job, b: &Job) -> bool {
    let without = |job: &Job| Job { discovery: Vec::new(), relabel: Arc::default(), ..job.clone() };
    without(a) == without(b)
}
