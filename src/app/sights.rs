//! What the server shows of targets: scraping's pages, given to the server as its panels.

use std::fmt::Write;
use std::fs;
use std::sync::{Arc, OnceLock};

use crate::clock::{Clock, SystemClock};
use crate::scrape::discovery::{Finder, Found};
use crate::scrape::pages::{self, Page, View};
use crate::scrape::status::{Health, StatusBoard};
use crate::serve::{Panel, Panels, PanelsHook};

/// Shows what a finder has found, and how scrapes went. Clones are the same.
#[derive(Clone)]
pub struct Sights(Arc<Shown>);

struct Shown {
    /// There is none before the server has started.
    finder: OnceLock<Arc<Finder>>,
    board: Arc<StatusBoard>,
    hostname: String,
    clock: SystemClock,
}

impl Sights {
    /// Pages about targets whose scrapes are reported on `board`.
    pub fn new(board: Arc<StatusBoard>) -> Sights {
        let hostname = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let hostname = Some(hostname.trim().to_owned()).filter(|name| !name.is_empty());
        let hostname = hostname.unwrap_or_else(|| "localhost".to_owned());
        Sights(Arc::new(Shown { finder: OnceLock::new(), board, hostname, clock: SystemClock::default() }))
    }

    /// Shows what this finder finds from now on.
    pub fn show(&self, finder: Arc<Finder>) {
        // A process has one.
        let _ = self.0.finder.set(finder);
    }

    /// What the server is to show.
    pub fn hook(&self) -> PanelsHook {
        PanelsHook(Arc::new(self.clone()))
    }

    fn found(&self) -> Arc<Found> {
        self.0.finder.get().map(|finder| finder.found()).unwrap_or_default()
    }
}

impl Panels for Sights {
    fn panel(&self, path: &str, query: &str) -> Option<Panel> {
        let (found, finder) = (self.found(), self.0.finder.get());
        let view = View {
            found: &found,
            troubles: &finder.map(|finder| finder.troubles()).unwrap_or_default(),
            board: &self.0.board,
            now_ns: self.0.clock.wall_ns(),
            hostname: &self.0.hostname,
        };
        let Page { status, content_type, body } = pages::answer(path, query, &view)?;
        Some(Panel { status, content_type, body })
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        let mut family = |name: &str, kind: &str, help: &str, samples: Vec<(String, u64)>| {
            _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
            for (labels, value) in samples {
                _ = writeln!(text, "{name}{{{labels}}} {value}");
            }
        };
        let counts = self.0.finder.get().map(|finder| finder.counts()).unwrap_or_default();
        let kinds = || counts.all().into_iter().map(|(kind, counts)| (format!("kind=\"{kind}\""), counts));
        family(
            "tidegate_discovery_tries_total",
            "counter",
            "Reads, requests and look-ups that ask for targets.",
            kinds().map(|(labels, counts)| (labels, counts.tries.value())).collect(),
        );
        family(
            "tidegate_discovery_failures_total",
            "counter",
            "Those that failed: the targets found before stay.",
            kinds().map(|(labels, counts)| (labels, counts.failures.value())).collect(),
        );
        let found = self.found();
        let mut samples = Vec::new();
        for job in &found.jobs {
            let name = escaped(&job.job.name);
            let mut states = [Health::Up, Health::Down, Health::Unknown].map(|health| (health.name(), 0));
            for target in &job.active {
                let health = self.0.board.last(&target.key).health.name();
                states.iter_mut().filter(|(name, _)| *name == health).for_each(|(_, count)| *count += 1);
            }
            let others = [("dropped", job.dropped_count), ("failed", job.failed_count)];
            for (state, count) in states.into_iter().chain(others) {
                samples.push((format!("job=\"{name}\",state=\"{state}\""), count as u64));
            }
        }
        family(
            "tidegate_targets",
            "gauge",
            "Targets of each job, by how the last scrape went, or by why there is none.",
            samples,
        );
        text
    }
}

/// A label's value as the text format has it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
