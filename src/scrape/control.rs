//! The handle on all workers' rounds: which targets there are, and who scrapes them.
//!
//! Comes in: whole lists of targets, after a reload or when something was discovered. Goes out: to each worker what of
//! its share has changed. Keeps: an unchanged target stays where it is and goes on undisturbed; one whose series
//! another had goes where those are; any other new one goes to the first worker that has not much to scrape yet; and
//! every target is somebody's, or its worker was told that it is gone.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::client::{ProxyEnvironment, Resolver, Tokens};
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
    pub(super) tokens: Tokens,
    desks: Vec<Desk>,
    placed: Mutex<Placement>,
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

/// Who scrapes what.
#[derive(Default)]
struct Placement {
    active: HashMap<TargetKey, Placed>,
    /// Targets that are gone, as long as their workers keep them: they may come back.
    gone: Vec<Gone>,
}

/// A target that is gone.
struct Gone {
    key: TargetKey,
    placed: Placed,
    /// The worker's: it lives as long as the worker knows the target.
    status: Weak<TargetStatus>,
    /// The worker knows.
    told: bool,
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
    /// Scrape it, in place of the one of this key if there is one, gone or not.
    Take(Wanted, Arc<TargetStatus>, TargetKey),
    /// It is gone: unless it comes back soon, say that its series are no more, and forget it.
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
            tokens: Tokens::new(Arc::clone(&resolver)),
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
        let mut placement = shared.placement();
        let Placement { active, gone } = &mut *placement;
        let mut loads = vec![0.0; shared.desks.len()];
        let mut before = std::mem::take(active);
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
                        loads[worker] += load(&wanted.target);
                        if !same_jobs.is_same(&old, &wanted) {
                            let status = shared.board.enter(&target.key);
                            let key = target.key.clone();
                            orders[worker].push(Order::Take(wanted.clone(), status, key));
                        }
                        active.insert(target.key.clone(), Placed { wanted, worker });
                    }
                }
            }
        }
        for (key, placed) in before {
            let status = shared.board.leave(&key);
            let status = status.map_or_else(Weak::new, |status| Arc::downgrade(&status));
            gone.push(Gone { key, placed, status, told: false });
        }
        // A target that is asked in another way is another one, but its series go on: nobody is to tell them stale.
        for (wanted, heir_of) in heirs(new, gone) {
            let key = wanted.target.key.clone();
            let status = shared.board.enter(&key);
            let (instead, worker) = match heir_of {
                Some(Gone { key, placed, .. }) => (key, placed.worker),
                None => (key.clone(), lowest_free(&loads)),
            };
            loads[worker] += load(&wanted.target);
            orders[worker].push(Order::Take(wanted.clone(), status, instead));
            active.insert(key, Placed { wanted, worker });
        }
        for gone in gone.iter_mut().filter(|gone| !gone.told) {
            orders[gone.placed.worker].push(Order::Drop(gone.key.clone()));
            gone.told = true;
        }
        for (desk, orders) in shared.desks.iter().zip(orders).filter(|(_, orders)| !orders.is_empty()) {
            desk.orders.lock().unwrap_or_else(PoisonError::into_inner).extend(orders);
            // Pairs with the swap in `take_orders`; the lock publishes the orders.
            desk.stirred.store(true, Ordering::Release);
        }
        drop(placement);
        (shared.wake)();
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0
    }
}

/// Scrapes a second.
fn load(target: &Target) -> f64 {
    1.0 / target.interval.as_secs_f64()
}

/// The lowest worker that has not much to scrape: what lies together is committed together, and wakes one thread. If
/// there is none, the one with the least.
fn lowest_free(loads: &[f64]) -> usize {
    let workers = 0..loads.len();
    let free = workers.clone().find(|&worker| loads[worker] < SCRAPES_A_SECOND);
    free.or_else(|| workers.min_by(|&a, &b| loads[a].total_cmp(&loads[b]))).unwrap_or_default()
}

/// So many scrapes take a fifth of a core, if they are of 5,000 samples each.
const SCRAPES_A_SECOND: f64 = 200.0;

/// Which of the new targets go on with the series of which that are gone: those that came back, then those at the same
/// place, then any of the same labels. Whoever is not gone on with stays in `gone`, unless its worker has forgotten it.
fn heirs(new: Vec<Wanted>, gone: &mut Vec<Gone>) -> Vec<(Wanted, Option<Gone>)> {
    gone.retain(|gone| gone.status.strong_count() > 0);
    let mut families: HashMap<Family, Vec<Gone>> = HashMap::new();
    if !new.is_empty() {
        for gone in gone.drain(..) {
            families.entry(gone.placed.wanted.family()).or_default().push(gone);
        }
    }
    let mut found: Vec<_> = new.into_iter().map(|wanted| (wanted, None)).collect();
    let same_key = |a: &Target, b: &Target| a.key == b.key;
    let same_place =
        |a: &Target, b: &Target| (a.scheme, &a.address, &a.path) == (b.scheme, &b.address, &b.path);
    for is_it in [same_key, same_place, |_: &Target, _: &Target| true] {
        for (wanted, heir_of) in found.iter_mut().filter(|(_, heir_of)| heir_of.is_none()) {
            let Some(family) = families.get_mut(&wanted.family()) else { continue };
            let at = family.iter().position(|gone| is_it(&gone.placed.wanted.target, &wanted.target));
            *heir_of = at.map(|at| family.swap_remove(at));
        }
    }
    gone.extend(families.into_values().flatten());
    found
}

/// What the series of a target have in common: its job and its labels. Several targets may be of one.
type Family = (String, LabelPairs);

impl Wanted {
    fn family(&self) -> Family {
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
    fn placement(&self) -> MutexGuard<'_, Placement> {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::targets::Shard;
    use super::super::{Group, Job};
    use super::*;

    fn control() -> Control {
        let wake = Arc::new(|| {});
        Control::new(ScrapeOptions { workers: 2, seed: 0, proxies: ProxyEnvironment::default(), wake })
    }

    /// Targets of the same labels, at these paths. One that is scraped every millisecond is enough for a worker.
    fn twins(interval_ms: u64, paths: &[&str]) -> Arc<JobTargets> {
        let interval = Duration::from_millis(interval_ms);
        let job = Arc::new(Job { interval, timeout: interval, ..Job::new("twins") });
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let target = |path: &&str| vec![pair("__address__", "a:1"), pair("__metrics_path__", path)];
        let targets = paths.iter().map(target).collect();
        let group = Group { source: String::new(), targets, labels: Vec::new() };
        Arc::new(JobTargets::new(&job, [&group], Shard::default()))
    }

    /// The orders for all workers, in words; those that keep targets are kept.
    fn said(control: &Control, kept: &mut Vec<Arc<TargetStatus>>) -> Vec<String> {
        let path = |key: &TargetKey| key.url.rsplit_once('/').unwrap().1.to_owned();
        let mut said = Vec::new();
        for worker in 0..2 {
            for order in control.shared().take_orders(worker) {
                said.push(match order {
                    Order::Take(wanted, status, instead) => {
                        kept.push(status);
                        format!("{worker} takes {} for {}", path(&wanted.target.key), path(&instead))
                    }
                    Order::Drop(key) => format!("{worker} drops {}", path(&key)),
                });
            }
        }
        said.sort();
        said
    }

    #[test]
    fn targets_gather_on_the_first_worker_until_it_has_enough() {
        assert_eq!(lowest_free(&[0.0, 0.0]), 0);
        assert_eq!(lowest_free(&[199.0, 0.0, 0.0]), 0);
        assert_eq!(lowest_free(&[200.0, 199.0, 0.0]), 1);
        assert_eq!(lowest_free(&[600.0, 200.0, 400.0]), 1);
    }

    #[test]
    fn each_of_the_targets_of_the_same_labels_goes_on_as_itself_or_is_dropped() {
        let (control, mut kept) = (control(), Vec::new());
        control.apply(&[twins(1, &["one", "two"])]);
        assert_eq!(said(&control, &mut kept), ["0 takes one for one", "1 takes two for two"]);
        control.apply(&[twins(1, &["one", "two"])]);
        assert!(said(&control, &mut kept).is_empty(), "nothing has changed");
        control.apply(&[twins(2, &["two", "one"])]);
        assert_eq!(said(&control, &mut kept), ["0 takes one for one", "1 takes two for two"]);
        // The first place that is free is not another's.
        control.apply(&[twins(1, &["three", "two"])]);
        assert_eq!(said(&control, &mut kept), ["0 takes three for one", "1 takes two for two"]);
        control.apply(&[]);
        assert_eq!(said(&control, &mut kept), ["0 drops three", "1 drops two"]);
    }

    #[test]
    fn a_target_that_comes_back_is_the_one_that_its_worker_keeps_or_a_new_one() {
        let (control, mut kept) = (control(), Vec::new());
        control.apply(&[twins(1, &["one", "two"])]);
        said(&control, &mut kept);
        control.apply(&[twins(1, &["one"])]);
        assert_eq!(said(&control, &mut kept), ["1 drops two"]);
        control.apply(&[twins(1, &["one"])]);
        assert!(said(&control, &mut kept).is_empty(), "it is dropped once");
        control.apply(&[twins(1, &["one", "two"])]);
        assert_eq!(said(&control, &mut kept), ["1 takes two for two"]);
        control.apply(&[]);
        assert_eq!(said(&control, &mut kept), ["0 drops one", "1 drops two"]);
        // Their series are ended.
        kept.clear();
        control.apply(&[twins(1, &["two"])]);
        assert_eq!(said(&control, &mut kept), ["0 takes two for two"]);
        assert!(control.shared().placement().gone.is_empty());
    }
}
