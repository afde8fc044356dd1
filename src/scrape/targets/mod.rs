//! Targets of a job: groups that discovery found in; what is scraped, what was dropped and what can't be used, out.
//!
//! The rules are Prometheus's. Keeps: the same groups always make the same targets, in whatever order they come; a
//! target is there once, however often it was found. Knows nothing of how groups are found, nor of scraping.

mod labels;
pub(in crate::scrape) mod shard;
mod url;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;

use super::{Group, Job, LabelPairs, Target, TargetKey};
use crate::relabel::{self, Step};

pub use labels::{TargetError, discovered_labels};
pub use shard::Shard;

/// What became of all that was found for a job.
#[derive(Clone, PartialEq, Debug)]
pub struct JobTargets {
    /// The job.
    pub job: Arc<Job>,
    /// What this server scrapes.
    pub active: Vec<Arc<Target>>,
    /// The labels, before rules, of what the rules have dropped: as many as `keep_dropped_targets` says.
    pub dropped: Vec<LabelPairs>,
    /// How many the rules have dropped.
    pub dropped_count: usize,
    /// What can't be used; the first [`FAILED_SHOWN_MAX`].
    pub failed: Vec<FailedTarget>,
    /// How many can't be used.
    pub failed_count: usize,
    /// What other servers scrape, by [`Shard`]: as many as `keep_dropped_targets` says.
    pub elsewhere: Vec<Elsewhere>,
    /// How many other servers scrape.
    pub elsewhere_count: usize,
}

/// What was found and is another server's to scrape.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Elsewhere {
    /// Its labels before rules.
    pub discovered: LabelPairs,
    /// The index of that server.
    pub shard: u32,
}

/// What was found and can't be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FailedTarget {
    /// Its labels before rules.
    pub discovered: LabelPairs,
    /// The group that it is of.
    pub source: String,
    /// Why.
    pub error: TargetError,
}

/// Why a target is what it is.
#[derive(Clone, PartialEq, Debug)]
pub struct Explanation {
    /// Its labels before rules, the job's defaults included.
    pub discovered: LabelPairs,
    /// What each of the job's rules did.
    pub steps: Vec<Step>,
    /// The target; none if a rule has dropped it; or why there can be none.
    pub outcome: Result<Option<Box<Target>>, TargetError>,
}

/// Goes the way of a target that is found with these labels step by step.
pub fn explain(job: &Arc<Job>, found: &LabelPairs) -> Explanation {
    let discovered = discovered_labels(job, found, &LabelPairs::new());
    let steps = relabel::trace(&job.relabel, &mut labels::labels_buf(&discovered));
    let outcome = target(job, &mut Variants::default(), &discovered).map(|target| target.map(Box::new));
    Explanation { discovered, steps, outcome }
}

/// How many targets that can't be used are kept to be shown.
pub const FAILED_SHOWN_MAX: usize = 100;

impl JobTargets {
    /// Makes targets of what was found for `job`.
    pub fn new<'a>(job: &Arc<Job>, groups: impl IntoIterator<Item = &'a Group>, shard: Shard) -> JobTargets {
        let mut found = JobTargets {
            job: Arc::clone(job),
            active: Vec::new(),
            dropped: Vec::new(),
            dropped_count: 0,
            failed: Vec::new(),
            failed_count: 0,
            elsewhere: Vec::new(),
            elsewhere_count: 0,
        };
        let mut seen = HashSet::new();
        let mut variants = Variants::default();
        for group in groups {
            for own in &group.targets {
                let discovered = discovered_labels(job, own, &group.labels);
                match target(job, &mut variants, &discovered) {
                    Ok(Some(target)) if !seen.insert(target.key.clone()) => {}
                    Ok(Some(target)) if !shard.has(&target.key) => {
                        found.leave(discovered, shard.of(&target.key));
                    }
                    Ok(Some(target)) => found.active.push(Arc::new(target)),
                    Ok(None) => found.drop(discovered),
                    Err(error) => found.fail(discovered, &group.source, error),
                }
            }
        }
        found
    }

    /// Why none of the targets may be scraped: there are more than `target_limit` allows.
    pub fn over_limit(&self) -> Option<String> {
        let limit = self.job.limits.targets_max;
        let count = self.active.len();
        (limit > 0 && count as u64 > limit)
            .then(|| format!("target_limit exceeded (number of targets: {count}, limit: {limit})"))
    }

    fn drop(&mut self, discovered: LabelPairs) {
        self.dropped_count += 1;
        if self.is_shown(self.dropped.len()) {
            self.dropped.push(discovered);
        }
    }

    fn leave(&mut self, discovered: LabelPairs, shard: u32) {
        self.elsewhere_count += 1;
        if self.is_shown(self.elsewhere.len()) {
            self.elsewhere.push(Elsewhere { discovered, shard });
        }
    }

    /// Whether one more is kept of those that are not scraped here, beside so many.
    fn is_shown(&self, count: usize) -> bool {
        let shown_max = self.job.limits.dropped_shown_max;
        shown_max == 0 || (count as u64) < shown_max
    }

    fn fail(&mut self, discovered: LabelPairs, source: &str, error: TargetError) {
        self.failed_count += 1;
        if self.failed.len() < FAILED_SHOWN_MAX {
            self.failed.push(FailedTarget { discovered, source: source.to_owned(), error });
        }
    }
}

/// The target that is found with these labels; none if a rule drops it.
fn target(
    job: &Arc<Job>,
    variants: &mut Variants,
    discovered: &LabelPairs,
) -> Result<Option<Target>, TargetError> {
    let Some(labels) = labels::relabeled(job, discovered)? else { return Ok(None) };
    let said = labels::described(job, labels)?;
    let path = url::path_and_query(&said.path, &job.params, &said.labels);
    let url = format!("{}://{}{path}", said.scheme.name(), url::host(&said.address));
    let public = said.labels.iter().filter(|(name, _)| !name.starts_with("__")).cloned();
    Ok(Some(Target {
        job: variants.job(job, said.histograms),
        discovered: discovered.clone(),
        labels: public.collect(),
        scheme: said.scheme,
        address: url::with_port(&said.address, said.scheme),
        path,
        interval: said.interval,
        timeout: said.timeout,
        key: TargetKey { job: job.name.clone(), labels: said.labels, url },
    }))
}

/// Jobs that differ in what becomes of histograms, where labels of targets say so: one for each way, not one for each
/// target.
#[derive(Default)]
struct Variants(Vec<Arc<Job>>);

impl Variants {
    fn job(&mut self, job: &Arc<Job>, histograms: super::Histograms) -> Arc<Job> {
        let known = std::iter::once(job).chain(&self.0).find(|known| known.histograms == histograms);
        if let Some(known) = known {
            return Arc::clone(known);
        }
        let variant = Arc::new(Job { histograms, ..Job::clone(job) });
        self.0.push(Arc::clone(&variant));
        variant
    }
}
