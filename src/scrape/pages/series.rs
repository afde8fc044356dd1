//! Why a series has its labels, is dropped, or fails its target's scrape: the way that the scraper goes with it.

use std::sync::Arc;

use crate::model::{LabelsBuf, Verdict};
use crate::relabel::{Step, trace};
use crate::scrape::labels::{join, judge};
use crate::scrape::targets::{JobTargets, Shard};
use crate::scrape::{Discovery, Job, LabelPairs};

/// Why a series is what it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SeriesExplanation {
    /// Its labels as the target says them.
    pub scraped: LabelPairs,
    /// What its target adds.
    pub target: SeriesTarget,
    /// Its labels before the rules.
    pub before: LabelPairs,
    /// What each of the job's rules for series did.
    pub steps: Vec<Step>,
    /// What the scraper does with it.
    pub outcome: SeriesOutcome,
}

/// What becomes of a series.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SeriesOutcome {
    /// A rule has dropped it.
    Dropped,
    /// It is stored, with these labels.
    Kept(LabelPairs),
    /// With these labels it fails its target's scrape: why.
    Fails(LabelPairs, String),
}

/// The labels of a series' target, by name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SeriesTarget {
    /// As somebody has said; `job` is the job's name where they did not.
    Given(LabelPairs),
    /// Those of the only target that the job has.
    Only(LabelPairs),
    /// The job's name is all that is known.
    Job(LabelPairs),
}

impl SeriesTarget {
    /// The labels of the target that somebody means who has `given` these labels, or none.
    pub fn new(job: &Arc<Job>, given: Option<LabelPairs>) -> SeriesTarget {
        let name = ("job".to_owned(), job.name.clone());
        if let Some(mut given) = given {
            if !given.iter().any(|(label, _)| *label == name.0) {
                given.push(name);
                given.sort();
            }
            return SeriesTarget::Given(given);
        }
        only_target(job).map_or_else(|| SeriesTarget::Job(vec![name]), SeriesTarget::Only)
    }

    /// The labels.
    pub fn labels(&self) -> &LabelPairs {
        match self {
            SeriesTarget::Given(labels) | SeriesTarget::Only(labels) | SeriesTarget::Job(labels) => labels,
        }
    }

    /// Where they are from, in a few words.
    pub fn source(&self) -> &'static str {
        match self {
            SeriesTarget::Given(_) => "as given",
            SeriesTarget::Only(_) => "the job's only one",
            SeriesTarget::Job(_) => "of which nothing but the job is known",
        }
    }
}

/// The labels of a job's target, if its file names one and nothing else finds any.
fn only_target(job: &Arc<Job>) -> Option<LabelPairs> {
    let [Discovery::Static(groups)] = &job.discovery[..] else { return None };
    if groups.iter().map(|group| group.targets.len()).sum::<usize>() != 1 {
        return None;
    }
    JobTargets::new(job, groups, Shard::default()).active.first().map(|target| target.labels.clone())
}

/// Goes the way of a series that a target of this job says with these labels.
pub fn explain_series(job: &Job, target: SeriesTarget, scraped: LabelPairs) -> SeriesExplanation {
    let mut labels = LabelsBuf::default();
    scraped.iter().for_each(|(name, value)| labels.push(name.as_bytes(), value.as_bytes()));
    join(job, target.labels(), &mut labels);
    let before = pairs(&labels);
    let steps = trace(&job.metric_relabel, &mut labels.clone());
    let outcome = match judge(job, &mut labels) {
        Verdict::Drop => SeriesOutcome::Dropped,
        Verdict::Keep => SeriesOutcome::Kept(pairs(&labels)),
        Verdict::Refuse(why) => SeriesOutcome::Fails(pairs(&labels), why.to_string()),
    };
    SeriesExplanation { scraped, target, before, steps, outcome }
}

fn pairs(labels: &LabelsBuf) -> LabelPairs {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut pairs: LabelPairs = labels.iter().map(|(name, value)| (text(name), text(value))).collect();
    pairs.sort();
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relabel::{NameValidation, Rule, RuleText, Rules};
    use crate::scrape::pages::labels::labels_of;
    use crate::scrape::{BodyLimits, Group};

    fn rule(action: &str, source: &str, regex: &str, target: &str, replacement: &str) -> Rule {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let text = RuleText {
            action: some(action),
            source_labels: some(source).map(|name| vec![name]),
            regex: some(regex),
            target_label: some(target),
            replacement: some(replacement),
            ..RuleText::default()
        };
        Rule::new(&text, NameValidation::Utf8).unwrap()
    }

    fn job(rules: Vec<Rule>) -> Job {
        Job { metric_relabel: Arc::new(Rules::new(rules)), ..Job::new("j") }
    }

    fn explained(job: Job, given: Option<&str>, series: &str) -> SeriesExplanation {
        let job = Arc::new(job);
        let target = SeriesTarget::new(&job, given.map(|text| labels_of(text).unwrap()));
        explain_series(&job, target, labels_of(series).unwrap())
    }

    fn kept(labels: &str) -> SeriesOutcome {
        SeriesOutcome::Kept(labels_of(labels).unwrap())
    }

    #[test]
    fn rules_see_the_labels_of_the_series_target() {
        let drop = || job(vec![rule("drop", "job", "j", "", "")]);
        assert_eq!(explained(drop(), None, "a").outcome, SeriesOutcome::Dropped);
        let own = explained(drop(), None, r#"a{job="own"}"#);
        assert_eq!(own.before, labels_of(r#"a{exported_job="own",job="j"}"#).unwrap());
        assert_eq!(own.outcome, SeriesOutcome::Dropped);
        let honors = Job { honor_labels: true, ..drop() };
        assert_eq!(explained(honors, None, r#"a{job="own"}"#).outcome, kept(r#"a{job="own"}"#));
        let copied = || job(vec![rule("", "instance", "", "host", "")]);
        let given = Some(r#"{instance="h:1",job="other"}"#);
        let outcome = kept(r#"a{host="h:1",instance="h:1",job="other"}"#);
        assert_eq!(explained(copied(), given, "a").outcome, outcome);
        assert_eq!(explained(copied(), None, "a").outcome, kept(r#"a{job="j"}"#));
    }

    #[test]
    fn the_only_target_of_a_file_is_the_series_target() {
        let group = |targets: &[&str]| Group {
            source: "0".into(),
            targets: targets.iter().map(|target| vec![("__address__".into(), (*target).into())]).collect(),
            labels: vec![("env".into(), "prod".into())],
        };
        let target = |discovery| SeriesTarget::new(&Arc::new(Job { discovery, ..Job::new("j") }), None);
        let only = labels_of(r#"{env="prod",instance="h:1",job="j"}"#).unwrap();
        assert_eq!(target(vec![Discovery::Static(vec![group(&["h:1"])])]), SeriesTarget::Only(only));
        let name = SeriesTarget::Job(labels_of(r#"{job="j"}"#).unwrap());
        let refresh = std::time::Duration::from_secs(1);
        let file = || Discovery::File { patterns: Vec::new(), refresh };
        for discovery in [
            vec![Discovery::Static(vec![group(&["h:1"]), group(&["h:2"])])],
            vec![Discovery::Static(vec![group(&["h:1"])]), file()],
            vec![Discovery::Static(vec![group(&["http://h/"])])],
            Vec::new(),
        ] {
            assert_eq!(target(discovery), name);
        }
    }

    #[test]
    fn a_series_that_fails_the_scrape_is_not_said_to_be_kept() {
        let limits = |labels_max, label_name_bytes_max, label_value_bytes_max| BodyLimits {
            labels_max,
            label_name_bytes_max,
            label_value_bytes_max,
            ..BodyLimits::default()
        };
        let spaced = vec![rule("", "", "", "__name__", "a.b c")];
        for (job, expected) in [
            (job(vec![rule("labeldrop", "", "__name__", "", "")]), "missing metric name (__name__ label)"),
            (
                Job { names: NameValidation::Legacy, ..job(spaced.clone()) },
                "invalid metric name or label names: {__name__=\"a.b c\"",
            ),
            (Job { limits: limits(2, 0, 0), ..job(vec![]) }, "label_limit exceeded"),
            (Job { limits: limits(0, 7, 0), ..job(vec![]) }, "label_name_length_limit exceeded"),
            (Job { limits: limits(0, 0, 3), ..job(vec![]) }, "label_value_length_limit exceeded"),
        ] {
            match explained(job, None, r#"name{x="y"}"#).outcome {
                SeriesOutcome::Fails(_, why) => assert!(why.starts_with(expected), "{why}"),
                other => panic!("{expected}: {other:?}"),
            }
        }
        assert_eq!(explained(job(spaced), None, "a").outcome, kept(r#"{"a.b c",job="j"}"#));
        let enough = Job { limits: limits(3, 8, 4), ..job(vec![]) };
        assert_eq!(explained(enough, None, r#"name{x="y"}"#).outcome, kept(r#"name{job="j",x="y"}"#));
    }
}
