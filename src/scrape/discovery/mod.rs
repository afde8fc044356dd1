//! What finds targets: a job's ways of discovery in, groups out, as Prometheus finds and labels them.
//!
//! Comes in: jobs, again at every reload. Goes out: [`Found`], whole, whenever something has changed and a pause has
//! passed since it last went out. One thread with one small runtime does all of it, beside the workers: nothing here
//! can hold up a row. Keeps: a way of discovery that two jobs share is followed once, and one that a reload leaves as
//! it is goes on undisturbed; whatever fails keeps what it found last, and counts. Knows nothing of scraping.

pub mod client;
mod counts;
mod desk;
pub mod dns;
mod file;
mod group;
pub mod http;
pub mod kubernetes;
mod pace;
mod refresh;
mod standing;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::Notify;

use crate::engine;

use super::targets::{JobTargets, Shard};
use super::{Job, Target};

pub use counts::{Counts, KindCounts};
pub use group::{GroupError, groups_from_json, groups_from_yaml};
pub use standing::{Trouble, Troubles};

/// All that discovery knows now.
#[derive(Clone, Default, Debug)]
pub struct Found {
    /// Each job's, in the configuration's order.
    pub jobs: Vec<Arc<JobTargets>>,
    /// Which of their targets are ours.
    pub shard: Shard,
}

/// Takes what was found, on the finder's thread; it must not wait for long.
pub type Deliver = Box<dyn FnMut(&Arc<Found>) + Send>;

/// Finds targets until it is dropped.
#[derive(Debug)]
pub struct Finder {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the finder's thread and its handle share.
#[derive(Debug)]
struct Shared {
    orders: Mutex<Orders>,
    /// There are orders.
    ordered: Notify,
    found: Mutex<Arc<Found>>,
    counts: Arc<Counts>,
    troubles: Arc<Troubles>,
}

/// What the thread is to do next. The last order counts.
#[derive(Default, Debug)]
struct Orders {
    jobs: Option<(Vec<Arc<Job>>, Shard)>,
    stop: bool,
}

impl Found {
    /// All targets that this server scrapes.
    pub fn targets(&self) -> Vec<Arc<Target>> {
        self.jobs.iter().flat_map(|job| &job.active).map(Arc::clone).collect()
    }
}

impl Finder {
    /// Starts to find the targets of `jobs`, and gives them to `deliver`.
    ///
    /// # Errors
    /// The operating system's, when it refuses a thread or what the runtime needs.
    pub fn start(jobs: Vec<Arc<Job>>, shard: Shard, deliver: Deliver) -> io::Result<Finder> {
        let shared = Arc::new(Shared {
            orders: Mutex::new(Orders { jobs: Some((jobs, shard)), stop: false }),
            ordered: Notify::new(),
            found: Mutex::default(),
            counts: Arc::default(),
            troubles: Arc::default(),
        });
        shared.ordered.notify_one();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .build()?;
        let local = Arc::clone(&shared);
        let run = move || {
            tokio::task::LocalSet::new().block_on(&runtime, desk::run(&local, deliver));
            // A look-up of a host name can't be broken off: nobody waits for its end.
            runtime.shutdown_background();
        };
        let thread = engine::spawn("discovery", Box::new(run))?;
        Ok(Finder { shared, thread: Some(thread) })
    }

    /// Goes on with these jobs. What was found in ways that stay is kept.
    pub fn set_jobs(&self, jobs: Vec<Arc<Job>>, shard: Shard) {
        lock(&self.shared.orders).jobs = Some((jobs, shard));
        self.shared.ordered.notify_one();
    }

    /// What was delivered last.
    pub fn found(&self) -> Arc<Found> {
        Arc::clone(&lock(&self.shared.found))
    }

    /// How often discovery was tried and failed.
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.shared.counts)
    }

    /// What fails now, and since when.
    pub fn troubles(&self) -> Arc<Troubles> {
        Arc::clone(&self.shared.troubles)
    }
}

impl Drop for Finder {
    fn drop(&mut self) {
        lock(&self.shared.orders).stop = true;
        self.shared.ordered.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic in it was printed when it happened; there is nothing more to find.
            let _ = thread.join();
        }
    }
}

/// No code that could panic runs under these locks: what a poisoned one holds is sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Threads for the one thing that the system only does by waiting: looking up host names.
const BLOCKING_THREADS_MAX: usize = 4;
