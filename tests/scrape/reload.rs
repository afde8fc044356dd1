//! Another list of targets: who stays is not disturbed, who changes is another one, who goes is gone.

use std::time::Duration;

use serde_json::json;
use tidegate::scrape::status::Health;
use tidegate::scrape::{Discovery, Group, Job};

use super::gateway::{Gateway, job, values};
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
    for gone in 0..4 {
        assert_eq!(values(&rows, &n(gone)).last(), Some(&json!("stale")), "{gone}");
    }
    assert_ne!(values(&rows, &n(4)).last(), Some(&json!("stale")));
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
    let rows =
        gateway.wait_for_rows("the labels are the target's own", |rows| !values(rows, &new).is_empty());
    assert_eq!(values(&rows, &old).last(), Some(&json!("stale")));
    assert_eq!(values(&rows, &old).iter().filter(|v| **v == "stale").count(), 1);
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
