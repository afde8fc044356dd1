//! From what discovery found to the labels of one target, as Prometheus goes: defaults of the job, rules, checks,
//! `instance`, meta labels gone.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use crate::model::units::{TimeSpan, UnitError};
use crate::model::{LabelsBuf, Rewrite, Verdict};
use crate::scrape::{Histograms, Job, LabelPairs, Redacted, Scheme};

/// Why labels make no target, although no rule has dropped it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TargetError {
    /// Rules have left no `__address__`.
    NoAddress,
    /// `__address__` is more than host and port.
    Address(String),
    /// `__scheme__` is neither `http` nor `https`.
    Scheme(String),
    /// A label that must be a duration isn't: what it is of, its value.
    Duration(&'static str, String, UnitError),
    /// A duration that must not be 0 is.
    Zero(&'static str),
    /// The timeout is greater than the interval: both as they are written.
    Timeout(String, String),
    /// A label that must be a truth value isn't: what it is about, its value.
    Bool(&'static str, String),
    /// Rules have made a label that is no text.
    Text(String),
}

/// What the labels of a target say about it.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Described {
    /// All that is left after the rules but meta labels.
    pub(super) labels: LabelPairs,
    pub(super) address: String,
    pub(super) scheme: Scheme,
    pub(super) path: String,
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
    pub(super) histograms: Histograms,
}

/// The labels of a target before rules: its own, its group's, and the job's defaults where these say nothing.
pub fn discovered_labels(job: &Job, own: &LabelPairs, group: &LabelPairs) -> LabelPairs {
    // A label without a value is none, but one of the target's own hides the group's.
    let mut labels: BTreeMap<&str, &str> = BTreeMap::new();
    labels.extend(group.iter().chain(own).map(|(name, value)| (name.as_str(), value.as_str())));
    labels.retain(|_, value| !value.is_empty());
    let mut labels: BTreeMap<String, String> =
        labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut default = |name: &str, value: &dyn Display| {
        if !labels.contains_key(name) {
            labels.insert(name.to_owned(), value.to_string());
        }
    };
    default("job", &job.name);
    default(INTERVAL, &span(job.interval));
    default(TIMEOUT, &span(job.timeout));
    default(PATH, &job.metrics_path);
    default(SCHEME, &job.scheme.name());
    default(CONVERT_CLASSIC, &job.histograms.convert_classic);
    default(CLASSIC_TOO, &job.histograms.classic_too);
    default(NATIVE, &job.histograms.native);
    for (name, values) in &job.params {
        if let Some(first) = values.first() {
            default(&format!("__param_{name}"), first);
        }
    }
    labels.retain(|_, value| !value.is_empty());
    labels.into_iter().collect()
}

/// The labels after the job's rules; `None`: they drop the target.
pub(super) fn relabeled(job: &Job, discovered: &LabelPairs) -> Result<Option<LabelPairs>, TargetError> {
    let mut labels = labels_buf(discovered);
    if job.relabel.rewrite(&mut labels) == Verdict::Drop {
        return Ok(None);
    }
    let text = |bytes: &[u8]| {
        String::from_utf8(bytes.to_vec()).map_err(|_| TargetError::Text(bytes.escape_ascii().to_string()))
    };
    let mut pairs = labels
        .iter()
        .map(|(name, value)| Ok((text(name)?, text(value)?)))
        .collect::<Result<LabelPairs, TargetError>>()?;
    pairs.sort();
    Ok(Some(pairs))
}

/// What labels that the rules have left say.
pub(super) fn described(job: &Job, mut labels: LabelPairs) -> Result<Described, TargetError> {
    let address = value(&labels, ADDRESS).to_owned();
    if address.is_empty() {
        return Err(TargetError::NoAddress);
    }
    if address.contains('/') {
        return Err(TargetError::Address(address));
    }
    let interval = duration(&labels, INTERVAL, "interval")?;
    let timeout = duration(&labels, TIMEOUT, "timeout")?;
    if timeout > interval {
        let text = |name| value(&labels, name).to_owned();
        return Err(TargetError::Timeout(text(TIMEOUT), text(INTERVAL)));
    }
    let histograms = Histograms {
        convert_classic: truth(
            &labels,
            CONVERT_CLASSIC,
            "convert classic histograms to nhcb",
            job.histograms.convert_classic,
        )?,
        classic_too: truth(
            &labels,
            CLASSIC_TOO,
            "always scrape classic histograms",
            job.histograms.classic_too,
        )?,
        native: truth(&labels, NATIVE, "scrape native histograms", job.histograms.native)?,
        ..job.histograms
    };
    let scheme = value(&labels, SCHEME);
    let scheme = Scheme::parse(scheme).ok_or_else(|| TargetError::Scheme(scheme.to_owned()))?;
    let path = value(&labels, PATH).to_owned();
    labels.retain(|(name, _)| !name.starts_with("__meta_"));
    if let Err(at) = labels.binary_search_by(|(name, _)| name.as_str().cmp(INSTANCE)) {
        labels.insert(at, (INSTANCE.to_owned(), address.clone()));
    }
    Ok(Described { labels, address, scheme, path, interval, timeout, histograms })
}

/// Labels as rules take them.
pub(super) fn labels_buf(pairs: &LabelPairs) -> LabelsBuf {
    let mut labels = LabelsBuf::default();
    for (name, value) in pairs {
        labels.push(name.as_bytes(), value.as_bytes());
    }
    labels
}

/// The value of a label; a label that isn't there has the empty one.
pub(super) fn value<'a>(labels: &'a LabelPairs, name: &str) -> &'a str {
    labels.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
}

fn span(duration: Duration) -> TimeSpan {
    TimeSpan { ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX) }
}

fn duration(labels: &LabelPairs, name: &str, of: &'static str) -> Result<Duration, TargetError> {
    let text = value(labels, name);
    match text.parse::<TimeSpan>() {
        Ok(TimeSpan { ms: 0 }) => Err(TargetError::Zero(of)),
        Ok(span) => Ok(Duration::from_millis(span.ms)),
        Err(why) => Err(TargetError::Duration(of, text.to_owned(), why)),
    }
}

/// A truth value in any of Go's spellings.
fn truth(labels: &LabelPairs, name: &str, about: &'static str, default: bool) -> Result<bool, TargetError> {
    match value(labels, name) {
        "" => Ok(default),
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        other => Err(TargetError::Bool(about, other.to_owned())),
    }
}

impl Scheme {
    /// Either of them, in letters of any case.
    pub fn parse(text: &str) -> Option<Scheme> {
        [Scheme::Http, Scheme::Https].into_iter().find(|scheme| text.eq_ignore_ascii_case(scheme.name()))
    }

    /// As a URL begins.
    pub fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

impl Display for TargetError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // What is no address or scheme may be a whole URL.
        let quoted = |text: &str| format!("{:?}", Redacted(text).to_string());
        match self {
            TargetError::NoAddress => f.write_str("no address"),
            TargetError::Address(address) => write!(f, "{} is not a valid hostname", quoted(address)),
            TargetError::Scheme(scheme) => write!(f, "invalid scheme: {}", quoted(scheme)),
            TargetError::Duration(of, text, why) => {
                write!(f, "error parsing scrape {of}: {}: {why}", quoted(text))
            }
            TargetError::Zero(of) => write!(f, "scrape {of} cannot be 0"),
            TargetError::Timeout(timeout, interval) => {
                write!(
                    f,
                    "scrape timeout cannot be greater than scrape interval ({timeout:?} > {interval:?})"
                )
            }
            TargetError::Bool(about, text) => {
                write!(f, "error parsing {about}: {} is not true or false", quoted(text))
            }
            TargetError::Text(bytes) => write!(f, "a label that is no text: {bytes}"),
        }
    }
}

impl std::error::Error for TargetError {}

pub(super) const ADDRESS: &str = "__address__";
const SCHEME: &str = "__scheme__";
const PATH: &str = "__metrics_path__";
const INTERVAL: &str = "__scrape_interval__";
const TIMEOUT: &str = "__scrape_timeout__";
const CONVERT_CLASSIC: &str = "__convert_classic_histograms_to_nhcb__";
const CLASSIC_TOO: &str = "__always_scrape_classic_histograms__";
const NATIVE: &str = "__scrape_native_histograms__";
const INSTANCE: &str = "instance";
