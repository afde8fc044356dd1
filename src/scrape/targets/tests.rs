use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::relabel::{NameValidation, Rule, RuleText, Rules};
use crate::scrape::{BodyLimits, Histograms, Scheme};

fn pairs(list: &[(&str, &str)]) -> LabelPairs {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn group(source: &str, labels: &[(&str, &str)], targets: &[&[(&str, &str)]]) -> Group {
    let targets = targets.iter().map(|labels| pairs(labels)).collect();
    Group { source: source.to_owned(), targets, labels: pairs(labels) }
}

fn rule(source: &str, regex: &str, target: &str, replacement: &str, action: &str) -> Rule {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let text = RuleText {
        source_labels: (!source.is_empty()).then(|| source.split(',').map(str::to_owned).collect()),
        regex: some(regex),
        target_label: some(target),
        replacement: Some(replacement.to_owned()).filter(|_| !target.is_empty() && action == "replace"),
        action: some(action),
        ..RuleText::default()
    };
    Rule::new(&text, NameValidation::Utf8).unwrap()
}

fn job(rules: Vec<Rule>) -> Job {
    let relabel = Arc::new(Rules::new(rules));
    Job { interval: Duration::from_secs(1), timeout: Duration::from_secs(1), relabel, ..Job::new("some_job") }
}

fn made(job: Job, groups: &[Group]) -> JobTargets {
    JobTargets::new(&Arc::new(job), groups, Shard::default())
}

/// What becomes of one target's labels.
fn one(job: Job, labels: &[(&str, &str)]) -> Result<Option<Target>, String> {
    let found = made(job, &[group("g", &[], &[labels])]);
    match (&found.active[..], &found.failed[..]) {
        ([target], []) => Ok(Some(Target::clone(target))),
        ([], [failed]) => Err(failed.error.to_string()),
        ([], []) => Ok(None),
        _ => panic!("{found:?}"),
    }
}

#[test]
fn a_target_gets_the_jobs_defaults() {
    let target = one(job(Vec::new()), &[("__address__", "1.2.3.4:1000"), ("custom", "value")]);
    let target = target.unwrap().unwrap();
    let discovered = [
        ("__address__", "1.2.3.4:1000"),
        ("__always_scrape_classic_histograms__", "false"),
        ("__convert_classic_histograms_to_nhcb__", "false"),
        ("__metrics_path__", "/metrics"),
        ("__scheme__", "http"),
        ("__scrape_interval__", "1s"),
        ("__scrape_native_histograms__", "false"),
        ("__scrape_timeout__", "1s"),
        ("custom", "value"),
        ("job", "some_job"),
    ];
    assert_eq!(target.discovered, pairs(&discovered));
    assert_eq!(
        target.labels,
        pairs(&[("custom", "value"), ("instance", "1.2.3.4:1000"), ("job", "some_job")])
    );
    assert_eq!(target.key.url, "http://1.2.3.4:1000/metrics");
    assert_eq!((target.address.as_str(), target.path.as_str()), ("1.2.3.4:1000", "/metrics"));
    let mut all = pairs(&discovered);
    all.insert(9, ("instance".into(), "1.2.3.4:1000".into()));
    assert_eq!(target.key.labels, all);
}

#[test]
fn what_discovery_says_goes_before_the_jobs_defaults() {
    let job = Job {
        params: vec![("module".into(), vec!["a".into(), "b".into()]), ("x".into(), vec!["y".into()])],
        ..job(Vec::new())
    };
    let labels = [
        ("__address__", "[::1]"),
        ("__scheme__", "https"),
        ("__metrics_path__", "/custom"),
        ("__param_module", "z"),
        ("__scrape_interval__", "2m"),
        ("__scrape_timeout__", "90s"),
        ("__meta_a", "1"),
        ("__other", "2"),
        ("job", "own"),
        ("instance", "name"),
    ];
    let target = one(job, &labels).unwrap().unwrap();
    assert_eq!(target.labels, pairs(&[("instance", "name"), ("job", "own")]));
    assert_eq!(target.key.url, "https://[::1]/custom?module=z&module=b&x=y");
    assert_eq!((target.scheme, target.address.as_str()), (Scheme::Https, "[::1]:443"));
    assert_eq!((target.interval, target.timeout), (Duration::from_secs(120), Duration::from_secs(90)));
    assert!(target.key.labels.contains(&("__other".into(), "2".into())));
    assert!(!target.key.labels.iter().any(|(name, _)| name == "__meta_a"));
    assert_eq!(target.key.job, "some_job", "the job that it is of, not the one it calls itself");
}

#[test]
fn a_targets_own_label_hides_its_groups_even_if_it_is_empty() {
    let groups = [group(
        "g",
        &[("a", "group"), ("b", "group"), ("job", "group")],
        &[&[("__address__", "x"), ("a", "own"), ("b", "")]],
    )];
    let found = made(job(Vec::new()), &groups);
    assert_eq!(found.active[0].labels, pairs(&[("a", "own"), ("instance", "x"), ("job", "group")]));
}

#[test]
fn rules_see_meta_labels_and_may_drop() {
    let rules = || {
        vec![
            rule("__meta_role", "front", "", "", "drop"),
            rule("__meta_host,__meta_port", "(.*);(.*)", "__address__", "$1:$2", "replace"),
            rule("__meta_host", "(.+)", "instance", "the-$1", "replace"),
        ]
    };
    assert_eq!(one(job(rules()), &[("__address__", "a"), ("__meta_role", "front")]), Ok(None));
    let target = one(job(rules()), &[("__meta_host", "h"), ("__meta_port", "9")]).unwrap().unwrap();
    assert_eq!(target.key.url, "http://h:9/metrics");
    assert_eq!(target.labels, pairs(&[("instance", "the-h"), ("job", "some_job")]));
}

#[test]
fn what_makes_no_target_says_why() {
    for (labels, why) in [
        (&[("custom", "value")][..], "no address"),
        (&[("__address__", "1.2.3.4:1000/path")][..], "\"1.2.3.4:1000/path\" is not a valid hostname"),
        (
            &[("__address__", "a"), ("__scrape_interval__", "2notseconds")][..],
            "error parsing scrape interval: \"2notseconds\": not a duration such as 15d, 1h30m or 500ms",
        ),
        (
            &[("__address__", "a"), ("__scrape_timeout__", "x")][..],
            "error parsing scrape timeout: \"x\": not a duration such as 15d, 1h30m or 500ms",
        ),
        (&[("__address__", "a"), ("__scrape_interval__", "0s")][..], "scrape interval cannot be 0"),
        (&[("__address__", "a"), ("__scrape_timeout__", "0")][..], "scrape timeout cannot be 0"),
        (
            &[("__address__", "a"), ("__scrape_interval__", "1s"), ("__scrape_timeout__", "2s")][..],
            "scrape timeout cannot be greater than scrape interval (\"2s\" > \"1s\")",
        ),
        (
            &[("__address__", "a"), ("__scrape_native_histograms__", "maybe")][..],
            "error parsing scrape native histograms: \"maybe\" is not true or false",
        ),
        (&[("__address__", "a"), ("__scheme__", "ftp")][..], "invalid scheme: \"ftp\""),
        // Passwords are not shown, wherever they were put.
        (&[("__address__", "http://u:S3CRET@h/x")][..], "\"http://u:xxxxx@h/x\" is not a valid hostname"),
        (
            &[("__address__", "a"), ("__scheme__", "http://u:S3CRET@h")][..],
            "invalid scheme: \"http://u:xxxxx@h\"",
        ),
        (
            &[("__address__", "a"), ("__scrape_interval__", "u:S3CRET@h")][..],
            "error parsing scrape interval: \"u:xxxxx@h\": not a duration such as 15d, 1h30m or 500ms",
        ),
    ] {
        assert_eq!(one(job(Vec::new()), labels), Err(why.to_owned()), "{labels:?}");
    }
}

#[test]
fn a_scheme_may_be_in_capitals() {
    let groups = [group("g", &[], &[&[("__address__", "a"), ("__scheme__", "HTTPS")]])];
    let found = made(job(Vec::new()), &groups);
    assert_eq!(found.active[0].scheme, Scheme::Https);
}

#[test]
fn labels_of_a_target_may_change_what_becomes_of_its_histograms() {
    let groups = [group(
        "g",
        &[],
        &[
            &[("__address__", "a"), ("__scrape_native_histograms__", "T")],
            &[("__address__", "b"), ("__scrape_native_histograms__", "1")],
            &[("__address__", "c")],
        ],
    )];
    let found = made(job(Vec::new()), &groups);
    let native = |n: usize| found.active[n].job.histograms.native;
    assert_eq!((native(0), native(1), native(2)), (true, true, false));
    assert!(Arc::ptr_eq(&found.active[0].job, &found.active[1].job), "one job for each way");
    assert!(Arc::ptr_eq(&found.active[2].job, &found.job));
    assert_eq!(Histograms { native: false, ..found.active[0].job.histograms }, found.job.histograms);
}

#[test]
fn limits_on_what_is_shown_and_scraped() {
    let limits = BodyLimits { targets_max: 1, dropped_shown_max: 2, ..BodyLimits::default() };
    let job = Job { limits, ..job(vec![rule("__address__", "d.*", "", "", "drop")]) };
    let addresses = ["a", "b", "a", "d1", "d2", "d3"];
    let targets = addresses.map(|address| vec![("__address__", address)]);
    let targets: Vec<&[(&str, &str)]> = targets.iter().map(Vec::as_slice).collect();
    let found = made(job, &[group("g", &[], &targets)]);
    assert_eq!((found.active.len(), found.dropped.len(), found.dropped_count), (2, 2, 3));
    // Those of other servers are shown within the same bound.
    let names: Vec<String> = (0..20).map(|n| format!("host-{n}")).collect();
    let many: Vec<[(&str, &str); 1]> = names.iter().map(|name| [("__address__", name.as_str())]).collect();
    let many: Vec<&[(&str, &str)]> = many.iter().map(<[_; 1]>::as_slice).collect();
    let shard = Shard { index: 0, count: 4 };
    let shared = JobTargets::new(&found.job, &[group("g", &[], &many)], shard);
    assert_eq!((shared.elsewhere.len(), shared.elsewhere_count), (2, 20 - shared.active.len()));
    assert!(shared.elsewhere.iter().all(|other| (1..4).contains(&other.shard)), "{:?}", shared.elsewhere);
    let why = "target_limit exceeded (number of targets: 2, limit: 1)";
    assert_eq!(found.over_limit().as_deref(), Some(why));
}

proptest! {
    #[test]
    fn the_same_targets_whatever_the_order_of_groups(
        hosts in prop::collection::vec("[a-c]{1,2}", 1..12),
        cut in 0..12usize,
        count in 1..4u32,
    ) {
        let targets: Vec<Vec<(&str, &str)>> = hosts.iter().map(|h| vec![("__address__", h.as_str())]).collect();
        let targets: Vec<&[(&str, &str)]> = targets.iter().map(Vec::as_slice).collect();
        let (front, back) = targets.split_at(cut.min(targets.len()));
        let (front, back) = (group("1", &[], front), group("2", &[], back));
        let job = Arc::new(job(Vec::new()));
        let keys = |groups: [&Group; 2], shard| {
            let found = JobTargets::new(&job, groups, shard);
            let mut keys: Vec<TargetKey> = found.active.iter().map(|t| t.key.clone()).collect();
            keys.sort();
            keys
        };
        let all = keys([&front, &back], Shard::default());
        let distinct: std::collections::BTreeSet<&String> = hosts.iter().collect();
        prop_assert_eq!(all.len(), distinct.len());
        let mut shared = Vec::new();
        for index in 0..count {
            let share = keys([&front, &back], Shard { index, count });
            prop_assert_eq!(&share, &keys([&back, &front], Shard { index, count }));
            shared.extend(share);
        }
        shared.sort();
        prop_assert_eq!(shared, all);
    }
}
