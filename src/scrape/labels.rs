//! What a target's series get: its labels, and what its job's rules make of them.
//!
//! Runs when a series is new to its target, never for a row.

use std::sync::Arc;

use crate::model::{LabelsBuf, METRIC_NAME, Rewrite, Verdict};
use crate::relabel::NameValidation;

use super::job::{BodyLimits, Job};
use super::target::{LabelPairs, Target};

/// Gives the series of a target their labels.
#[derive(Clone, Debug)]
pub struct TargetLabels(Arc<Target>);

impl TargetLabels {
    /// The labels of this target's series.
    pub fn new(target: &Arc<Target>) -> TargetLabels {
        TargetLabels(Arc::clone(target))
    }
}

/// Gives a series its target's labels. They win, and labels of the series' own of these names are renamed, unless the
/// job honors them: a label that the series has without a value is then taken for one that it does not want.
pub(super) fn join(job: &Job, target: &LabelPairs, labels: &mut LabelsBuf) {
    let mut clashing: Vec<(&str, Vec<u8>)> = Vec::new();
    for (name, value) in target {
        let own = labels.value_of(name.as_bytes());
        if job.honor_labels && own.is_some() {
            continue;
        }
        if let Some(own) = own.filter(|own| !own.is_empty()) {
            clashing.push((name, own.to_vec()));
        }
        labels.set(name.as_bytes(), value.as_bytes());
    }
    // Short names first: one that is renamed may take the place of a longer one.
    clashing.sort_by_key(|(name, _)| name.len());
    for (name, value) in clashing {
        let mut renamed = format!("{EXPORTED}{name}");
        while labels.value_of(renamed.as_bytes()).is_some_and(|value| !value.is_empty()) {
            renamed.insert_str(0, EXPORTED);
        }
        labels.set(renamed.as_bytes(), &value);
    }
    labels.retain(|_, value| !value.is_empty());
}

/// What becomes of a series that has its target's labels: the job's rules, and what it asks of all labels.
pub(super) fn judge(job: &Job, labels: &mut LabelsBuf) -> Verdict {
    let rules = &job.metric_relabel;
    if !rules.is_empty() && rules.rewrite(labels) == Verdict::Drop {
        return Verdict::Drop;
    }
    fault(job, labels).map_or(Verdict::Keep, |why| Verdict::Refuse(why.into()))
}

/// Why a series with these labels fails the scrape, in Prometheus's words.
fn fault(job: &Job, labels: &LabelsBuf) -> Option<String> {
    let Some(metric) = labels.value_of(METRIC_NAME).filter(|name| !name.is_empty()) else {
        return Some("missing metric name (__name__ label)".to_owned());
    };
    let is_valid = |name: &[u8]| match job.names {
        NameValidation::Utf8 => !name.is_empty(),
        legacy @ NameValidation::Legacy => legacy.accepts(name),
    };
    if !is_metric_name(job.names, metric) || !labels.iter().all(|(name, _)| is_valid(name)) {
        return Some(format!("invalid metric name or label names: {}", named(labels)));
    }
    let over = |len: usize, max: u64| max > 0 && len as u64 > max;
    let BodyLimits { labels_max, label_name_bytes_max: name_max, label_value_bytes_max: value_max, .. } =
        job.limits;
    let metric = shown(metric);
    if over(labels.len(), labels_max) {
        let count = labels.len();
        return Some(format!(
            "label_limit exceeded (metric: {metric}, number of labels: {count}, limit: {labels_max})"
        ));
    }
    let is_long = |(name, value): &(&[u8], &[u8])| over(name.len(), name_max) || over(value.len(), value_max);
    let (name, value) = labels.iter().filter(is_long).min()?;
    let (len, label) = (name.len(), shown(name));
    if over(len, name_max) {
        return Some(format!(
            "label_name_length_limit exceeded (metric: {metric}, label name: {label}, length: {len}, limit: \
                 {name_max})"
        ));
    }
    let (len, value) = (value.len(), shown(value));
    Some(format!(
        "label_value_length_limit exceeded (metric: {metric}, label name: {label}, value: {value:?}, length: \
             {len}, limit: {value_max})"
    ))
}

/// As much of a name or value as a message has room for.
fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().take(SHOWN_LETTERS_MAX).collect()
}

/// Labels by name, as many as a message has room for.
fn named(labels: &LabelsBuf) -> String {
    let mut pairs: Vec<(&[u8], &[u8])> = labels.iter().collect();
    pairs.sort_unstable();
    let more = if pairs.len() > SHOWN_LABELS_MAX { ", ..." } else { "" };
    pairs.truncate(SHOWN_LABELS_MAX);
    let pair = |(name, value)| format!("{}={:?}", shown(name), shown(value));
    let pairs: Vec<String> = pairs.into_iter().map(pair).collect();
    format!("{{{}{more}}}", pairs.join(", "))
}

impl Rewrite for TargetLabels {
    fn rewrite(&self, labels: &mut LabelsBuf) -> Verdict {
        join(&self.0.job, &self.0.labels, labels);
        judge(&self.0.job, labels)
    }
}

/// Whether a metric may have this name: one of a label may have no colon.
fn is_metric_name(names: NameValidation, name: &[u8]) -> bool {
    match names {
        NameValidation::Utf8 => true,
        NameValidation::Legacy => {
            let letter = |b: u8| b.is_ascii_alphabetic() || matches!(b, b'_' | b':');
            letter(name[0]) && name.iter().all(|&b| letter(b) || b.is_ascii_digit())
        }
    }
}

/// Letters of a name or value that a message shows, as in Prometheus.
const SHOWN_LETTERS_MAX: usize = 50;

/// Labels that a message shows.
const SHOWN_LABELS_MAX: usize = 20;

/// What stands before a label's name that gave way to the target's.
const EXPORTED: &str = "exported_";

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::super::target::TargetKey;
    use super::*;
    use crate::relabel::{Rule, RuleText, Rules};

    pub(in super::super) fn job() -> Job {
        Job { interval: Duration::from_secs(15), protocols: Vec::new(), ..Job::new("j") }
    }

    fn rewritten(job: Job, target: &[(&str, &str)], own: &[(&str, &str)]) -> Result<String, Verdict> {
        let labels: Vec<(String, String)> =
            target.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let key = TargetKey { job: job.name.clone(), labels: labels.clone(), url: String::new() };
        let (interval, timeout, scheme) = (job.interval, job.timeout, job.scheme);
        let (address, path) = ("a:1".to_owned(), "/metrics".to_owned());
        let job = Arc::new(job);
        let target =
            Target { job, discovered: Vec::new(), labels, scheme, address, path, interval, timeout, key };
        let mut buf = LabelsBuf::default();
        own.iter().for_each(|(name, value)| buf.push(name.as_bytes(), value.as_bytes()));
        match TargetLabels::new(&Arc::new(target)).rewrite(&mut buf) {
            Verdict::Keep => {
                buf.canonicalize().unwrap();
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                let shown: Vec<String> =
                    buf.iter().map(|(n, v)| format!("{}={}", text(n), text(v))).collect();
                Ok(shown.join(","))
            }
            verdict => Err(verdict),
        }
    }

    #[test]
    fn clashing_labels_give_way_or_win() {
        let target = [("instance", "i"), ("job", "j")];
        let clash = [("__name__", "a"), ("job", "own"), ("exported_job", "e"), ("x", "")];
        assert_eq!(
            rewritten(job(), &target, &clash).unwrap(),
            "__name__=a,exported_exported_job=own,exported_job=e,instance=i,job=j"
        );
        let honor = || Job { honor_labels: true, ..job() };
        assert_eq!(
            rewritten(honor(), &target, &clash).unwrap(),
            "__name__=a,exported_job=e,instance=i,job=own"
        );
        assert_eq!(
            rewritten(honor(), &target, &[("__name__", "a"), ("job", "")]).unwrap(),
            "__name__=a,instance=i"
        );
        assert_eq!(
            rewritten(job(), &target, &[("__name__", "a"), ("job", "")]).unwrap(),
            "__name__=a,instance=i,job=j"
        );
        // A target may have the label that another one would be renamed to.
        assert_eq!(
            rewritten(
                job(),
                &[("exported_job", "t"), ("job", "j")],
                &[("__name__", "a"), ("exported_job", "e"), ("job", "own")]
            )
            .unwrap(),
            "__name__=a,exported_exported_exported_job=e,exported_exported_job=own,exported_job=t,job=j"
        );
    }

    #[test]
    fn rules_come_behind_the_targets_labels_and_limits_behind_the_rules() {
        let rule = |text: RuleText| Rules::new(vec![Rule::new(&text, NameValidation::Utf8).unwrap()]);
        let drop = rule(RuleText {
            source_labels: Some(vec!["job".into()]),
            regex: Some("j".into()),
            action: Some("drop".into()),
            ..RuleText::default()
        });
        let job_with = |rules: Rules| Job { metric_relabel: Arc::new(rules), ..job() };
        assert_eq!(rewritten(job_with(drop), &[("job", "j")], &[("__name__", "a")]), Err(Verdict::Drop));
        let nameless = rule(RuleText {
            regex: Some("__name__".into()),
            action: Some("labeldrop".into()),
            ..RuleText::default()
        });
        let refused = |job, own: &[(&str, &str)]| match rewritten(job, &[("job", "j")], own) {
            Err(Verdict::Refuse(why)) => why.into_string(),
            other => panic!("{other:?}"),
        };
        assert!(refused(job_with(nameless), &[("__name__", "a")]).contains("missing metric name"));
        let limited = |limits| Job { limits, ..job() };
        let own = [("__name__", "a"), ("long", "value")];
        let limits = BodyLimits { labels_max: 2, ..BodyLimits::default() };
        assert_eq!(
            refused(limited(limits), &own),
            "label_limit exceeded (metric: a, number of labels: 3, limit: 2)"
        );
        let limits = BodyLimits { label_name_bytes_max: 7, ..BodyLimits::default() };
        assert_eq!(
            refused(limited(limits), &own),
            "label_name_length_limit exceeded (metric: a, label name: __name__, length: 8, limit: 7)"
        );
        let limits = BodyLimits { label_name_bytes_max: 8, label_value_bytes_max: 4, ..limits };
        assert_eq!(
            refused(limited(limits), &own),
            "label_value_length_limit exceeded (metric: a, label name: long, value: \"value\", length: 5, limit: 4)"
        );
        // The first label by name that is at fault, and no more of it than shows which.
        let (long, other) = ("l".repeat(60), "x\n".repeat(30));
        let own = [("__name__", "a"), (&long, "v"), ("b", &other)];
        assert!(
            refused(limited(limits), &own)
                .ends_with(&format!("value: {:?}, length: 60, limit: 4)", &other[..50]))
        );
        let wanted = format!("label name: {}, length: 60, limit: 8)", &long[..50]);
        assert!(refused(limited(limits), &own[..2]).ends_with(&wanted));
        let own = [("__name__", "a"), ("long", "value")];
        let limits =
            BodyLimits { labels_max: 3, label_name_bytes_max: 8, label_value_bytes_max: 5, ..limits };
        assert!(rewritten(limited(limits), &[("job", "j")], &own).is_ok());
    }

    #[test]
    fn labels_without_a_value_are_gone_however_many() {
        let names: Vec<String> = (0..1000).map(|i| format!("l{i}")).collect();
        let mut own: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
        own.push(("__name__", "a"));
        let honor = Job { honor_labels: true, ..job() };
        assert_eq!(rewritten(honor, &[], &own).unwrap(), "__name__=a");
    }

    #[test]
    fn names_are_any_text_or_of_the_old_letters() {
        let legacy = || Job { names: NameValidation::Legacy, ..job() };
        for (own, taken) in [
            (&[("__name__", "a:b")][..], true),
            (&[("__name__", "a.b")], false),
            (&[("__name__", "a"), ("b.c", "x")], false),
            (&[("__name__", "a"), ("b:c", "x")], false),
        ] {
            match rewritten(legacy(), &[], own) {
                Err(Verdict::Refuse(why)) if !taken => {
                    let (name, value) = own[own.len() - 1];
                    assert!(why.contains("label names: {__name__="), "{why}");
                    assert!(why.ends_with(&format!("{name}={value:?}}}")), "{why}");
                }
                got => assert!(got.is_ok() && taken, "{own:?}: {got:?}"),
            }
            assert!(rewritten(job(), &[], own).is_ok());
        }
    }
}
