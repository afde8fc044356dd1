//! A finder and what it delivers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tidegate::scrape::discovery::{Finder, Found};
use tidegate::scrape::targets::Shard;
use tidegate::scrape::{ClientOptions, Discovery, Job, KubernetesOptions, KubernetesRole, Target};

pub(crate) struct Finding {
    pub(crate) finder: Finder,
    delivered: Receiver<Arc<Found>>,
    last: Arc<Found>,
}

/// How long anything may take before the test has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A job that finds its targets in these ways.
pub(crate) fn job(name: &str, discovery: Vec<Discovery>) -> Arc<Job> {
    Arc::new(Job { discovery, ..Job::new(name) })
}

impl Finding {
    pub(crate) fn start(jobs: Vec<Arc<Job>>) -> Finding {
        let (sender, delivered) = channel();
        let deliver = move |found: &Arc<Found>| _ = sender.send(Arc::clone(found));
        let finder = Finder::start(jobs, Shard::default(), Box::new(deliver)).unwrap();
        Finding { finder, delivered, last: Arc::default() }
    }

    pub(crate) fn by(discovery: Discovery) -> Finding {
        Finding::start(vec![job("job", vec![discovery])])
    }

    /// The next delivery.
    #[track_caller]
    pub(crate) fn next(&mut self) -> &Found {
        self.last = self.delivered.recv_timeout(PATIENCE).expect("a delivery");
        &self.last
    }

    /// Waits until the addresses of all targets are these.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, addresses: &[&str]) {
        let until = Instant::now() + PATIENCE;
        while self.addresses() != addresses {
            let left = until.saturating_duration_since(Instant::now());
            match self.delivered.recv_timeout(left) {
                Ok(found) => self.last = found,
                Err(_) => panic!("wanted {addresses:?}, have {:?}", self.addresses()),
            }
        }
    }

    /// Waits until there are so many targets.
    #[track_caller]
    pub(crate) fn wait_for_count(&mut self, count: usize) {
        while self.targets().len() != count {
            self.next();
        }
    }

    /// Waits until the first target that is there has this label.
    #[track_caller]
    pub(crate) fn wait_for_label(&mut self, name: &str, value: &str) {
        let until = Instant::now() + PATIENCE;
        while self.targets().first().and_then(|t| label(t, name)).as_deref() != Some(value) {
            let left = until.saturating_duration_since(Instant::now());
            self.last = self.delivered.recv_timeout(left).unwrap_or_else(|_| panic!("{:?}", self.targets()));
        }
    }

    /// How many deliveries came since the last one that was looked at.
    pub(crate) fn unseen(&mut self) -> usize {
        self.delivered.try_iter().count()
    }

    pub(crate) fn targets(&self) -> Vec<Arc<Target>> {
        self.last.targets()
    }

    fn addresses(&self) -> Vec<String> {
        let mut addresses: Vec<String> = self.targets().iter().map(|t| t.address.clone()).collect();
        addresses.sort();
        addresses
    }

    /// How often a kind of discovery was tried and has failed.
    pub(crate) fn counts(&self, kind: &str) -> (u64, u64) {
        let counts = self.finder.counts();
        let all: BTreeMap<_, _> = counts.all().into_iter().collect();
        (all[kind].tries.value(), all[kind].failures.value())
    }

    /// Waits until a kind of discovery has failed as often as that.
    #[track_caller]
    pub(crate) fn wait_for_failures(&self, kind: &str, failures: u64) {
        wait_until("it fails", || self.counts(kind).1 >= failures);
    }
}

/// A label that a target was found with.
pub(crate) fn label(target: &Target, name: &str) -> Option<String> {
    target.discovered.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

#[track_caller]
pub(crate) fn wait_until(what: &str, mut yes: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !yes() {
        assert!(Instant::now() < until, "it never came to be that {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A role of the API server at `url`, and nothing said of the rest.
pub(crate) fn kubernetes(url: String, role: KubernetesRole) -> KubernetesOptions {
    KubernetesOptions {
        api_server: Some(url),
        role,
        kubeconfig: None,
        namespaces: Vec::new(),
        own_namespace: false,
        selectors: Vec::new(),
        attach_node: false,
        attach_namespace: false,
        client: ClientOptions::default(),
    }
}
