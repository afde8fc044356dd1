//! Rules as text, and what rules do as text: for links, and for the command line.

use std::fmt::Write;
use std::sync::Arc;

use crate::relabel::{RuleText, Step};
use crate::scrape::targets::{Shard, explain};
use crate::scrape::{Job, LabelPairs, Target};

use super::series::{SeriesOutcome, SeriesTarget, explain_series};

/// Labels as a JSON object.
pub fn json_of(labels: &LabelPairs) -> String {
    object_of(labels).to_string()
}

pub(super) fn object_of(labels: &LabelPairs) -> serde_json::Value {
    labels.iter().map(|(name, value)| (name.clone(), serde_json::Value::from(value.as_str()))).collect()
}

/// A rule in one line, as YAML has it between braces.
pub fn rule_of(rule: &RuleText) -> String {
    let quote = |text: &str| serde_json::Value::from(text).to_string();
    let list = |names: &Vec<String>| format!("[{}]", names.join(", "));
    let keys = [
        ("action", rule.action.clone()),
        ("source_labels", rule.source_labels.as_ref().filter(|names| !names.is_empty()).map(list)),
        ("separator", rule.separator.as_deref().filter(|text| *text != ";").map(quote)),
        ("regex", rule.regex.as_deref().map(quote)),
        ("modulus", rule.modulus.map(|modulus| modulus.to_string())),
        ("target_label", rule.target_label.clone()),
        ("replacement", rule.replacement.as_deref().map(quote)),
    ];
    let keys = keys.into_iter().filter_map(|(key, value)| Some(format!("{key}: {}", value?)));
    format!("{{{}}}", keys.collect::<Vec<_>>().join(", "))
}

/// What a job's rules make of a target that is found with these labels, as text: for a server that has this share of
/// the targets.
pub fn target_explained(job: &Arc<Job>, labels: &LabelPairs, shard: Shard) -> String {
    let explained = explain(job, labels);
    let mut out = format!("found {}\n", shown(&explained.discovered));
    steps_explained(&mut out, &explained.steps);
    match &explained.outcome {
        Ok(None) => out += "the target is dropped\n",
        Ok(Some(target)) => {
            _ = writeln!(out, "the target is scraped at {}{}", target.key.url, by_whom(target, shard));
            _ = writeln!(out, "its series get {}", shown(&target.labels));
        }
        Err(why) => _ = writeln!(out, "the target can't be used: {why}"),
    }
    out
}

/// Which of several servers scrapes a target; nothing where there is one.
pub(super) fn by_whom(target: &Target, shard: Shard) -> String {
    if shard.count < 2 {
        return String::new();
    }
    let (index, count) = (shard.index, shard.count);
    match shard.of(&target.key) {
        of if of == index => format!(" by this server, shard {index} of {count}"),
        of => format!(" by shard {of} of {count}, not by this server, which is shard {index}"),
    }
}

/// What becomes of a series that a target of this job says with these labels, as text.
pub fn series_explained(job: &Job, target: SeriesTarget, labels: LabelPairs) -> String {
    let explained = explain_series(job, target, labels);
    let (target, source) = (shown(explained.target.labels()), explained.target.source());
    let mut out = format!("scraped {}\n", shown(&explained.scraped));
    _ = writeln!(out, "from a target with {target}, {source}");
    _ = writeln!(out, "which makes it {}", shown(&explained.before));
    steps_explained(&mut out, &explained.steps);
    match &explained.outcome {
        SeriesOutcome::Dropped => out += "the series is dropped\n",
        SeriesOutcome::Kept(labels) => _ = writeln!(out, "the series is kept as {}", shown(labels)),
        SeriesOutcome::Fails(labels, why) => {
            _ = writeln!(out, "the series is left as {}, and the scrape fails: {why}", shown(labels));
        }
    }
    out
}

fn steps_explained(out: &mut String, steps: &[Step]) {
    for (number, step) in steps.iter().enumerate() {
        _ = writeln!(out, "{}. {}", number + 1, rule_of(&step.rule));
        if let Some(value) = &step.value {
            let matches = match step.matches {
                Some(true) => " matches",
                Some(false) => " does not match",
                None => "",
            };
            _ = writeln!(out, "   {:?}{matches}", String::from_utf8_lossy(value));
        }
        _ = writeln!(out, "   {}", step.says());
        for change in &step.changes {
            let name = String::from_utf8_lossy(&change.name);
            for (sign, value) in [('-', &change.before), ('+', &change.after)] {
                if let Some(value) = value {
                    _ = writeln!(out, "   {sign} {name}={:?}", String::from_utf8_lossy(value));
                }
            }
        }
    }
}

/// Labels in one line.
fn shown(labels: &LabelPairs) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}
