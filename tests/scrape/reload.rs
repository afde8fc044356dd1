//! Another list of targets: who stays is not disturbed, who changes is another one, who goes is gone.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tidegate::relabel::{NameValidation, Rule, RuleText, Rules};
use tidegate::scrape::status::Health;
use tidegate::scrape::{Discovery, Group, Job};

use super::gateway::{Gateway, Row, job, times, values, wait_until};
use super::target::Target;

fn labeled(job: Job, name: &str, value: &str) -> Job {
    let discovery = job.discovery.into_iter().map(|discovery| match discovery {
        Discovery::Static(groups) => Discovery::Static(
            groups
                .into_iter()
                .map(|group| Group { labels: vec![(name.into(), value.into())], ..group })
                .collect(),
        ),
        other => other,
    });
    Job { discovery: discovery.collect(), ..job }
}

#[test]
fn an_unchanged_target_keeps_its_connection_and_its_series() {
    let (stays, other) = (Target::saying("a 1\n"), Target::saying("a 1\n"));
    let gateway = Gateway::with(2, Default::default());
    let job_stays = job("stays", stays.address);
    gateway.scrape(vec![job_stays.clone()]);
    gateway.wait_for(&job_stays, Health::Up);
    for n in 0..5 {
        let more = labeled(job("more", other.address), "n", &n.to_string());
        gateway.scrape(vec![more.clone(), job_stays.clone()]);
        gateway.wait_for(&more, Health::Up);
    }
    let of = |name: &str| format!("{name}{{instance=\"{}\",job=\"stays\"}}", stays.address);
    let rows = gateway.wait_for_rows("it goes on", |rows| values(rows, &of("a")).len() > 3);
    assert!(!values(&rows, &of("a")).contains(&json!("stale")));
    assert_eq!(stays.connections(), 1);
    let added = values(&rows, &of("scrape_series_added"));
    assert_eq!(added.iter().filter(|v| **v != 0.0).count(), 1, "its series are known: {added:?}");
    let n = |n: u32| format!("a{{instance=\"{}\",job=\"more\",n=\"{n}\"}}", other.address);
    let ended = |rows: &[Row], at| values(rows, &n(at)).last() == Some(&json!("stale"));
    let rows = gateway.wait_for_rows("those of before end", |rows| (0..4).all(|at| ended(rows, at)));
    assert!(!ended(&rows, 4));
}

#[test]
fn a_target_whose_job_changes_goes_on_in_the_new_way() {
    let target = Target::saying("a{job=\"own\"} 1\n");
    let gateway = Gateway::start();
    let before = job("j", target.address);
    gateway.scrape(vec![before.clone()]);
    gateway.wait_for(&before, Health::Up);
    // The same series: nothing ends.
    let path = Job { timeout: Duration::from_millis(390), ..before.clone() };
    gateway.scrape(vec![path.clone()]);
    gateway.wait_for_rows("the new timeout is told to the target", |_| {
        target.asked().iter().any(|asked| asked.header("X-Prometheus-Scrape-Timeout-Seconds") == Some("0.39"))
    });
    let old = format!("a{{exported_job=\"own\",instance=\"{}\",job=\"j\"}}", target.address);
    let new = format!("a{{instance=\"{}\",job=\"own\"}}", target.address);
    let rows = gateway.wait_for_rows("it goes on", |rows| !values(rows, &old).is_empty());
    assert!(!values(&rows, &old).contains(&json!("stale")));
    // Other series: those of before end.
    gateway.scrape(vec![Job { honor_labels: true, ..path }]);
    let rows = gateway.wait_for_rows("the labels are the target's own", |rows| {
        !values(rows, &new).is_empty() && values(rows, &old).last() == Some(&json!("stale"))
    });
    assert_eq!(values(&rows, &old).iter().filter(|v| **v == "stale").count(), 1);
}

/// Two targets whose labels are the same, as a kubelet and the cAdvisor in it are.
fn twins(address: SocketAddr) -> Job {
    let target = |path: &str| {
        vec![
            ("__address__".to_owned(), address.to_string()),
            ("__metrics_path__".to_owned(), path.to_owned()),
        ]
    };
    let groups =
        vec![Group { source: "0".into(), targets: vec![target("/one"), target("/two")], labels: Vec::new() }];
    Job { discovery: vec![Discovery::Static(groups)], ..job("twins", address) }
}

fn saying_their_paths() -> Target {
    Target::start(|asked| super::target::text(&format!("of{} 1\n", asked.path().replace('/', "_"))))
}

#[test]
fn two_targets_of_the_same_labels_are_both_gone_when_they_go() {
    let (pair, witness) = (saying_their_paths(), Target::saying("a 1\n"));
    let gateway = Gateway::with(2, Default::default());
    let (twins, witness_job) = (twins(pair.address), job("witness", witness.address));
    gateway.scrape(vec![twins, witness_job.clone()]);
    let of = |name: &str| format!("{name}{{instance=\"{}\",job=\"twins\"}}", pair.address);
    let ends = |rows: &[Row], name| values(rows, &of(name)).last() == Some(&json!("stale"));
    gateway.wait_for_rows("both are scraped", |rows| {
        ["of_one", "of_two"].iter().all(|name| !values(rows, &of(name)).is_empty())
    });
    gateway.scrape(vec![witness_job]);
    gateway.wait_for_rows("both are stale", |rows| ends(rows, "of_one") && ends(rows, "of_two"));
    let (asked, of_witness) = (pair.asked().len(), witness.asked().len());
    wait_until("others are scraped three times more", || witness.asked().len() >= of_witness + 3);
    assert_eq!(pair.asked().len(), asked, "nobody asks them any more");
    assert_eq!(gateway.metric("tidegate_scrape_targets"), 1.0);
    let rows = gateway.stop();
    for name in ["of_one", "of_two"] {
        assert_eq!(values(&rows, &of(name)).iter().filter(|v| **v == "stale").count(), 1, "{name}");
    }
}

#[test]
fn two_targets_of_the_same_labels_go_on_as_themselves_at_another_interval() {
    let pair = saying_their_paths();
    let gateway = Gateway::with(2, Default::default());
    let before = twins(pair.address);
    gateway.scrape(vec![before.clone()]);
    let of = |name: &str| format!("{name}{{instance=\"{}\",job=\"twins\"}}", pair.address);
    gateway.wait_for_rows("both are scraped", |rows| {
        ["of_one", "of_two"].iter().all(|name| !values(rows, &of(name)).is_empty())
    });
    let slower = Duration::from_millis(500);
    gateway.scrape(vec![Job { interval: slower, ..before }]);
    let seen = |rows: &[Row], name: &str| values(rows, &of(name)).len();
    let rows = gateway.wait_for_rows("both go on", |_| true);
    let (one, two) = (seen(&rows, "of_one"), seen(&rows, "of_two"));
    let rows = gateway
        .wait_for_rows("both go on", |rows| seen(rows, "of_one") > one + 3 && seen(rows, "of_two") > two + 3);
    assert_eq!(gateway.metric("tidegate_scrape_targets"), 2.0);
    for name in ["of_one", "of_two"] {
        assert!(!values(&rows, &of(name)).contains(&json!("stale")), "{name}");
        let times = times(&rows, &of(name));
        let apart = times[times.len() - 3..].windows(2).map(|pair| pair[1] - pair[0]);
        assert!(apart.clone().all(|ns| ns >= 400_000_000), "each is scraped once: {times:?}");
    }
    assert!(!values(&rows, &of("up")).contains(&json!("stale")));
}

#[test]
fn other_rules_end_only_the_series_that_do_not_come_back() {
    let target = Target::saying("a 1\nb 2\n");
    let gateway = Gateway::start();
    let before = Job { extra_metrics: true, ..job("j", target.address) };
    gateway.scrape(vec![before.clone()]);
    let of = |name: &str| format!("{name}{{instance=\"{}\",job=\"j\"}}", target.address);
    gateway.wait_for_rows("it is scraped", |rows| !values(rows, &of("b")).is_empty());
    let drop_b = RuleText {
        source_labels: Some(vec!["__name__".into()]),
        regex: Some("b".into()),
        action: Some("drop".into()),
        ..RuleText::default()
    };
    let drop_b = Rules::new(vec![Rule::new(&drop_b, NameValidation::Utf8).unwrap()]);
    let without_b = Job { metric_relabel: Arc::new(drop_b), extra_metrics: false, ..before };
    gateway.scrape(vec![without_b]);
    gateway.wait_for_rows("b ends", |rows| values(rows, &of("b")).last() == Some(&json!("stale")));
    let seen = target.asked().len();
    wait_until("it is scraped twice more", || target.asked().len() > seen + 2);
    let (at_a, at_up);
    let rows = {
        let rows = gateway.wait_for_rows("its extra series end", |rows| {
            values(rows, &of("scrape_sample_limit")).last() == Some(&json!("stale"))
        });
        (at_a, at_up) = (times(&rows, &of("a")), times(&rows, &of("up")));
        rows
    };
    for name in ["b", "scrape_sample_limit", "scrape_timeout_seconds", "scrape_body_size_bytes"] {
        assert_eq!(values(&rows, &of(name)).iter().filter(|v| **v == "stale").count(), 1, "{name}");
    }
    let goes_on = ["a", "up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_series_added"];
    for name in goes_on {
        assert!(!values(&rows, &of(name)).contains(&json!("stale")), "{name}");
    }
    assert_eq!(at_a, at_up);
    let ends = times(&rows, &of("b")).pop().unwrap();
    assert!(at_up.contains(&ends), "b ends with the scrape that found it gone");
}

#[test]
fn what_is_said_of_times_counts_for_lines_that_did_not_change() {
    let target = Target::saying("# TYPE a gauge\na 1 1700000000000\nb 2\n");
    let gateway = Gateway::start();
    let ignored = Job { honor_timestamps: false, ..job("j", target.address) };
    let of = |name: &str| format!("{name}{{instance=\"{}\",job=\"j\"}}", target.address);
    let own = 1_700_000_000_000_000_000;
    let owned = |rows: &[Row]| times(rows, &of("a")).iter().filter(|time| **time == own).count();
    gateway.scrape(vec![ignored.clone()]);
    gateway.wait_for_rows("it is scraped twice", |rows| times(rows, &of("a")).len() >= 2);
    gateway.scrape(vec![Job { honor_timestamps: true, ..ignored.clone() }]);
    let rows = gateway.wait_for_rows("its times are taken", |rows| owned(rows) >= 2);
    let (count, owns) = (times(&rows, &of("a")).len(), owned(&rows));
    gateway.scrape(vec![ignored]);
    let rows = gateway.wait_for_rows("they are ignored again", |rows| {
        times(rows, &of("a")).len() - owned(rows) > count - owns + 2
    });
    for name in ["a", "b", "up"] {
        assert!(!values(&rows, &of(name)).contains(&json!("stale")), "{name}");
    }
}

#[test]
fn a_target_that_is_back_within_two_intervals_was_never_gone() {
    let target = Target::saying("a 1\n");
    let gateway = Gateway::with(2, Default::default());
    let interval = Duration::from_secs(4);
    let job = Job { interval, timeout: interval, ..job("j", target.address) };
    gateway.scrape(vec![job.clone()]);
    gateway.wait_for(&job, Health::Up);
    let of = |name: &str| format!("{name}{{instance=\"{}\",job=\"j\"}}", target.address);
    gateway.scrape(vec![]);
    wait_until("it is gone", || gateway.metric("tidegate_scrape_targets") == 0.0);
    gateway.scrape(vec![job]);
    let rows = gateway.wait_for_rows("it is scraped again", |rows| values(rows, &of("a")).len() >= 3);
    for name in ["a", "up"] {
        assert!(!values(&rows, &of(name)).contains(&json!("stale")), "{name}");
    }
    let added = values(&rows, &of("scrape_series_added"));
    assert_eq!(added[1..], [0.0, 0.0], "its series are known");
}

#[test]
fn a_scrape_that_is_under_way_survives_a_reload() {
    let slow = Target::start(|_| {
        std::thread::sleep(Duration::from_millis(300));
        super::target::text("a 1\n")
    });
    let gateway = Gateway::start();
    let interval = Duration::from_secs(1);
    let slow_job = Job { interval, timeout: interval, ..job("slow", slow.address) };
    gateway.scrape(vec![slow_job.clone()]);
    // Asked again and again for the same, while it is waited for.
    gateway.wait_for_rows("it was scraped", |rows| {
        gateway.scrape(vec![slow_job.clone()]);
        rows.iter().any(|row| row.series.starts_with("a{"))
    });
    assert_eq!(slow.connections(), 1);
}

/// A target that answers its first question when it is told to, and says so in a channel of its own.
fn held(body: &'static str) -> (Target, Receiver<()>, Sender<()>) {
    let ((asked, hears), (goes, on)) = (channel(), channel());
    let gate = Mutex::new(Some((asked, on)));
    let target = Target::start(move |_| {
        let first: Option<(Sender<()>, Receiver<()>)> = gate.lock().unwrap().take();
        if let Some((asked, on)) = first {
            asked.send(()).unwrap();
            _ = on.recv();
        }
        super::target::text(body)
    });
    (target, hears, goes)
}

/// A job whose scrapes may take as long as a slow machine needs.
fn patient(job: Job) -> Job {
    let interval = Duration::from_secs(3);
    Job { interval, timeout: interval, ..job }
}

#[test]
fn a_scrape_that_is_under_way_is_finished_under_the_labels_that_a_reload_takes_away() {
    for stays in [true, false] {
        let (target, hears, goes) = held("a 1\n");
        let gateway = Gateway::start();
        let before = patient(job("j", target.address));
        gateway.scrape(vec![labeled(before.clone(), "v", "old")]);
        hears.recv().unwrap();
        let after = labeled(before.clone(), "v", "new");
        // How many there are says that the orders were obeyed.
        let next = if stays { vec![after, patient(job("more", target.address))] } else { Vec::new() };
        let targets = next.len() as f64;
        gateway.scrape(next);
        wait_until("the orders were obeyed", || gateway.metric("tidegate_scrape_targets") == targets);
        goes.send(()).unwrap();
        let of =
            |name: &str, v: &str| format!("{name}{{instance=\"{}\",job=\"j\",v=\"{v}\"}}", target.address);
        let rows = gateway.wait_for_rows("its series end", |rows| {
            values(rows, &of("up", "old")).last() == Some(&json!("stale"))
        });
        assert_eq!(values(&rows, &of("a", "old")), [json!(1.0), json!("stale")]);
        assert_eq!(values(&rows, &of("up", "old")), [json!(1.0), json!("stale")]);
        assert_eq!(values(&rows, &of("a", "new")).is_empty(), !stays);
        assert!(!values(&rows, &of("up", "new")).contains(&json!("stale")));
    }
}

#[test]
fn a_target_that_is_back_before_its_scrape_is_over_goes_on() {
    let (target, hears, goes) = held("a 1\n");
    let gateway = Gateway::start();
    let job = patient(job("j", target.address));
    gateway.scrape(vec![job.clone()]);
    hears.recv().unwrap();
    for jobs in [vec![], vec![job]] {
        let count = jobs.len() as f64;
        gateway.scrape(jobs);
        wait_until("the order was obeyed", || gateway.metric("tidegate_scrape_targets") == count);
    }
    goes.send(()).unwrap();
    let of = |name: &str| format!("{name}{{instance=\"{}\",job=\"j\"}}", target.address);
    let rows = gateway.wait_for_rows("it is scraped again", |rows| values(rows, &of("a")).len() >= 2);
    for name in ["a", "up"] {
        assert!(!values(&rows, &of(name)).contains(&json!("stale")), "{name}");
    }
    assert_eq!(values(&rows, &of("scrape_series_added"))[1], json!(0.0));
    assert_eq!(target.connections(), 1);
}

#[test]
fn a_scrape_of_a_target_that_is_gone_ends_at_its_time_limit() {
    let (target, hears, _goes) = held("a 1\n");
    let gateway = Gateway::start();
    let limit = Duration::from_millis(600);
    let job = Job { interval: limit, timeout: limit, ..job("j", target.address) };
    gateway.scrape(vec![job]);
    hears.recv().unwrap();
    gateway.scrape(vec![]);
    let up = format!("up{{instance=\"{}\",job=\"j\"}}", target.address);
    let rows =
        gateway.wait_for_rows("its report ends", |rows| values(rows, &up).last() == Some(&json!("stale")));
    assert_eq!(values(&rows, &up), [json!(0.0), json!("stale")]);
}
