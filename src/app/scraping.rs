//! Scraping joined to the server: each worker drives its rounds beside its doors.

use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::sync::{Arc, OnceLock};

use mio::event::Event;

use crate::scrape::discovery::Finder;
use crate::scrape::targets::Shard;
use crate::scrape::{self, Ground, Job, ProxyEnvironment, Rounds};
use crate::serve::{self, Companion, CompanionHook, Lent};

/// Scraping, and the server whose workers do it.
#[derive(Clone)]
pub struct Scraping {
    control: scrape::Control,
    server: Arc<OnceLock<serve::Control>>,
}

impl Scraping {
    /// Scraping by so many workers, with no targets yet.
    pub fn new(workers: usize, proxies: ProxyEnvironment) -> Scraping {
        let server: Arc<OnceLock<serve::Control>> = Arc::default();
        let waking = Arc::downgrade(&server);
        let wake = move || {
            if let Some(server) = waking.upgrade() {
                server.get().into_iter().for_each(serve::Control::wake);
            }
        };
        let options = scrape::ScrapeOptions { workers, seed: seed(), proxies, wake: Arc::new(wake) };
        Scraping { control: scrape::Control::new(options), server }
    }

    /// What the server's workers are to drive.
    pub fn hook(&self) -> CompanionHook {
        let control = self.control.clone();
        CompanionHook(Arc::new(move |number, registry, token| {
            Ok(Box::new(Beside(Rounds::new(&control, number, registry, token))) as Box<dyn Companion>)
        }))
    }

    /// The server has started.
    pub fn started(&self, server: serve::Control) {
        // A server starts once.
        let _ = self.server.set(server);
    }

    /// Steers which targets are scraped.
    pub fn control(&self) -> &scrape::Control {
        &self.control
    }

    /// Finds the targets of these jobs from now on, and has them scraped.
    ///
    /// # Errors
    /// As of [`Finder::start`].
    pub fn find(&self, jobs: Vec<Arc<Job>>, shard: Shard) -> io::Result<Finder> {
        let control = self.control.clone();
        Finder::start(jobs, shard, Box::new(move |found| control.apply(&found.jobs)))
    }
}

/// The rounds of a worker.
struct Beside(Rounds);

impl Companion for Beside {
    fn ready(&mut self, event: &Event) {
        self.0.ready(event);
    }

    fn step(&mut self, lent: &mut Lent<'_>) {
        let Lent { engine, budget, buffer, draining } = lent;
        self.0.step(&mut Ground { engine, budget, buffer, draining: *draining });
    }

    fn due_ns(&self) -> Option<u64> {
        self.0.due_ns()
    }

    fn is_full(&self) -> bool {
        self.0.is_full()
    }

    fn is_settled(&self) -> bool {
        self.0.is_settled()
    }

    fn memory_bytes(&self) -> u64 {
        self.0.memory_bytes()
    }
}

/// A number that is this machine's, and stays: the same targets have the same slots after a restart.
fn seed() -> u64 {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    // Without a key of its own, so that it is the same in each process.
    let mut hasher = DefaultHasher::new();
    hasher.write(name.trim().as_bytes());
    hasher.finish()
}
