//! What is scraped: found as groups, made into targets by a job's rules.

use std::sync::Arc;
use std::time::Duration;

use super::job::{Job, Scheme};

/// Labels sorted by name, no name twice.
pub type LabelPairs = Vec<(String, String)>;

/// Targets that one source tells of together. A group replaces the one that had its source before; an empty one takes
/// it away.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// Where in its discovery it comes from.
    pub source: String,
    /// Each target's own labels, `__address__` among them.
    pub targets: Vec<LabelPairs>,
    /// Labels of all of them, where a target has none of that name.
    pub labels: LabelPairs,
}

/// What makes two targets the same: state lives on over reloads for those that are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TargetKey {
    /// The job's name.
    pub job: String,
    /// The labels after the rules, those with `__` among them.
    pub labels: LabelPairs,
    /// The URL.
    pub url: String,
}

/// An endpoint that is scraped.
#[derive(Clone, PartialEq, Debug)]
pub struct Target {
    /// How: limits, credentials, rules of its series.
    pub job: Arc<Job>,
    /// What discovery and the job said, before rules.
    pub discovered: LabelPairs,
    /// What its series get: no names with `__`, `job` and `instance` among them.
    pub labels: LabelPairs,
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Host and port: `__address__`, its port never left out.
    pub address: String,
    /// Path and query, as in the request.
    pub path: String,
    /// Between two scrapes: the job's, or `__scrape_interval__`.
    pub interval: Duration,
    /// How long a scrape may take: the job's, or `__scrape_timeout__`.
    pub timeout: Duration,
    /// Same key, same target.
    pub key: TargetKey,
}
