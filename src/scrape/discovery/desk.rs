//! Where all sources report: who is asked, what each has said, and when it goes out.
//!
//! Each distinct way of discovery is a task that says all that it knows whenever that changes. The desk keeps the last
//! word of each and makes targets of it when a delivery is due.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tracing::info;

use crate::scrape::targets::{JobTargets, Shard};
use crate::scrape::{Discovery, Group, Job};

use super::dns::{Dns, Servers};
use super::http::Http;
use super::pace::Pace;
use super::standing::{Account, Standing, Troubles};
use super::{Counts, Deliver, Found, Shared, file, kubernetes, lock, refresh};

/// Says what a source knows.
pub(super) struct Publisher {
    number: u64,
    words: mpsc::Sender<Word>,
    counts: Arc<Counts>,
    discovery: Arc<Discovery>,
    standing: Arc<Standing>,
}

/// All the groups that a source knows now.
struct Word {
    number: u64,
    groups: Vec<Group>,
}

/// A way of discovery that is followed.
struct Source {
    number: u64,
    discovery: Arc<Discovery>,
    /// Its last word.
    groups: Option<Vec<Group>>,
    standing: Arc<Standing>,
    task: AbortHandle,
}

/// A job and whom it hears.
struct Post {
    job: Arc<Job>,
    sources: Vec<u64>,
    /// What was made of the last words; none if one of them is newer.
    found: Option<Arc<JobTargets>>,
}

struct Desk {
    sources: Vec<Source>,
    posts: Vec<Post>,
    shard: Shard,
    pace: Pace,
    /// Until when a delivery waits for sources that a reload has brought, and that have said nothing yet: else their
    /// targets would go and come again.
    patient_until: Instant,
    words: mpsc::Sender<Word>,
    counts: Arc<Counts>,
    troubles: Arc<Troubles>,
    next_number: u64,
}

/// Runs until it is told to stop.
pub(super) async fn run(shared: &Shared, mut deliver: Deliver) {
    let (words, mut heard) = mpsc::channel(WORDS_MAX);
    let mut desk = Desk {
        sources: Vec::new(),
        posts: Vec::new(),
        shard: Shard::default(),
        pace: Pace::new(),
        patient_until: Instant::now(),
        words,
        counts: Arc::clone(&shared.counts),
        troubles: Arc::clone(&shared.troubles),
        next_number: 0,
    };
    let mut begun = false;
    loop {
        let due = desk.due();
        let wait = due.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        tokio::select! {
            () = shared.ordered.notified() => {
                let (jobs, stop) = {
                    let mut orders = lock(&shared.orders);
                    (orders.jobs.take(), orders.stop)
                };
                if stop {
                    return desk.stop();
                }
                if let Some((jobs, shard)) = jobs {
                    if begun {
                        desk.patient_until = Instant::now() + PATIENCE;
                    }
                    begun = true;
                    desk.take_up(jobs, shard);
                }
            }
            Some(word) = heard.recv() => desk.hear(word),
            () = tokio::time::sleep_until(wait.into()), if due.is_some() => {
                let found = Arc::new(desk.found());
                *lock(&shared.found) = Arc::clone(&found);
                deliver(&found);
                desk.pace.delivered(Instant::now());
            }
        }
    }
}

impl Desk {
    /// When something is to be delivered.
    fn due(&self) -> Option<Instant> {
        let silent = self.sources.iter().any(|source| source.groups.is_none());
        let due = self.pace.due()?;
        Some(if silent { due.max(self.patient_until) } else { due })
    }

    /// Goes over to other jobs: sources that are still wanted go on.
    fn take_up(&mut self, jobs: Vec<Arc<Job>>, shard: Shard) {
        let mut before = std::mem::take(&mut self.sources);
        self.shard = shard;
        self.posts.clear();
        for job in jobs {
            let sources = job.discovery.iter().map(|way| self.source(way, &mut before)).collect();
            self.posts.push(Post { job, sources, found: None });
        }
        before.iter().for_each(|source| source.task.abort());
        for source in &self.sources {
            let posts = self.posts.iter().filter(|post| post.sources.contains(&source.number));
            source.standing.set_jobs(posts.map(|post| post.job.name.clone()).collect());
        }
        self.troubles.set(self.sources.iter().map(|source| Arc::clone(&source.standing)).collect());
        self.pace.changed(Instant::now());
    }

    /// The source for a way of discovery: one that is followed already, or a new one.
    fn source(&mut self, way: &Discovery, before: &mut Vec<Source>) -> u64 {
        if let Some(known) = self.sources.iter().find(|source| *source.discovery == *way) {
            return known.number;
        }
        if let Some(at) = before.iter().position(|source| *source.discovery == *way) {
            let source = before.swap_remove(at);
            let number = source.number;
            self.sources.push(source);
            return number;
        }
        let number = self.next_number;
        self.next_number += 1;
        let (discovery, standing) = (Arc::new(way.clone()), Arc::default());
        let publisher = Publisher {
            number,
            words: self.words.clone(),
            counts: Arc::clone(&self.counts),
            discovery: Arc::clone(&discovery),
            standing: Arc::clone(&standing),
        };
        let task = tokio::task::spawn_local(follow(Arc::clone(&discovery), publisher)).abort_handle();
        self.sources.push(Source { number, discovery, groups: None, standing, task });
        number
    }

    fn hear(&mut self, word: Word) {
        // One that a reload has sent away may have spoken before it went.
        let Some(source) = self.sources.iter_mut().find(|source| source.number == word.number) else {
            return;
        };
        if source.groups.as_ref() == Some(&word.groups) {
            return;
        }
        source.groups = Some(word.groups);
        for post in self.posts.iter_mut().filter(|post| post.sources.contains(&word.number)) {
            post.found = None;
        }
        self.pace.changed(Instant::now());
    }

    /// Makes targets of what is known.
    fn found(&mut self) -> Found {
        let (sources, shard) = (&self.sources, self.shard);
        let jobs = self.posts.iter_mut().map(|post| {
            let heard = sources.iter().filter(|source| post.sources.contains(&source.number));
            let groups = heard.flat_map(|source| source.groups.iter().flatten());
            let found = post.found.take().unwrap_or_else(|| made(&post.job, groups, shard));
            post.found = Some(Arc::clone(&found));
            found
        });
        Found { jobs: jobs.collect(), shard }
    }

    fn stop(&self) {
        self.sources.iter().for_each(|source| source.task.abort());
    }
}

fn made<'a>(job: &Arc<Job>, groups: impl IntoIterator<Item = &'a Group>, shard: Shard) -> Arc<JobTargets> {
    let found = JobTargets::new(job, groups, shard);
    info!(
        job = job.name,
        active = found.active.len(),
        dropped = found.dropped_count,
        failed = found.failed_count,
        "targets found"
    );
    Arc::new(found)
}

/// Follows one way of discovery until the task is aborted.
async fn follow(discovery: Arc<Discovery>, publisher: Publisher) {
    match &*discovery {
        Discovery::Static(groups) => publisher.publish(groups.clone()).await,
        Discovery::File { patterns, refresh } => file::follow(patterns, *refresh, &publisher).await,
        Discovery::Http { url, refresh: interval, client } => {
            refresh::follow(Http::new(url, *interval, client.clone()), *interval, &publisher).await;
        }
        Discovery::Dns { names, record, port, refresh: interval } => {
            let dns = Dns::new(names, *record, *port, Servers::System);
            refresh::follow(dns, *interval, &publisher).await;
        }
        Discovery::Kubernetes(options) => kubernetes::follow(options, &publisher).await,
    }
}

impl Publisher {
    /// Says all that the source knows now.
    pub(super) async fn publish(&self, groups: Vec<Group>) {
        // The desk is gone only when all is.
        let _ = self.words.send(Word { number: self.number, groups }).await;
    }

    /// Where the source tells how it fares.
    pub(super) fn account(&self) -> Account<'_> {
        let counts = self.counts.of(&self.discovery).expect("a source that can fail is counted");
        Account { counts, standing: &self.standing }
    }
}

/// Words on their way to the desk; with more, sources wait.
const WORDS_MAX: usize = 64;

/// How long a reload may be held back by a source that says nothing.
const PATIENCE: Duration = Duration::from_secs(5);
