//! What is no more is said to be no more, once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tidegate::scrape::Job;
use tidegate::scrape::status::Health;

use super::gateway::{Gateway, job, times, values};
use super::target::{Target, answer, text};

/// A target that goes on to its next answer when it is told to.
fn stepping(answers: Vec<Vec<u8>>) -> (Target, Arc<AtomicUsize>) {
    let step = Arc::new(AtomicUsize::new(0));
    let now = Arc::clone(&step);
    (Target::start(move |_| answers[now.load(Ordering::SeqCst)].clone()), step)
}

#[test]
fn a_series_that_is_gone_gets_one_marker_and_begins_anew_when_it_comes_back() {
    let (target, step) = stepping(vec![text("a 1\nb 2\n"), text("a 1\n"), text("a 1\nb 3\n")]);
    let gateway = Gateway::start();
    gateway.scrape(vec![job("j", target.address)]);
    let of = |name: &str| format!("{name}{{instance=\"{}\",job=\"j\"}}", target.address);
    gateway.wait_for_rows("b is there", |rows| values(rows, &of("b")).len() >= 2);
    step.store(1, Ordering::SeqCst);
    gateway.wait_for_rows("b is stale", |rows| values(rows, &of("b")).last() == Some(&json!("stale")));
    let before = gateway.wait_for_rows("a goes on", |_| true);
    let seen = values(&before, &of("a")).len();
    gateway.wait_for_rows("a goes on", |rows| values(rows, &of("a")).len() > seen + 2);
    step.store(2, Ordering::SeqCst);
    let rows = gateway.wait_for_rows("b is back", |rows| values(rows, &of("b")).last() == Some(&json!(3.0)));
    assert_eq!(values(&rows, &of("b")).iter().filter(|v| **v == "stale").count(), 1);
    assert!(!values(&rows, &of("a")).contains(&json!("stale")));
    let added = values(&rows, &of("scrape_series_added"));
    assert_eq!(added.iter().filter(|v| **v != 0.0).collect::<Vec<_>>(), [&json!(2.0), &json!(1.0)]);
}

#[test]
fn a_failed_scrape_ends_all_series_and_reports_zeros() {
    let (target, step) = stepping(vec![text("a 1\nb 2\n"), answer("500 Oh", "", b""), text("a 5\nb 6\n")]);
    let gateway = Gateway::start();
    let job = job("j", target.address);
    gateway.scrape(vec![job.clone()]);
    let of = |name: &str| format!("{name}{{instance=\"{}\",job=\"j\"}}", target.address);
    gateway.wait_for(&job, Health::Up);
    step.store(1, Ordering::SeqCst);
    assert_eq!(gateway.wait_for(&job, Health::Down), "server returned HTTP status 500 Oh");
    gateway.wait_for_rows("it is reported twice", |rows| {
        values(rows, &of("up")).iter().filter(|v| **v == 0.0).count() >= 2
    });
    step.store(2, Ordering::SeqCst);
    gateway.wait_for(&job, Health::Up);
    let rows = gateway.wait_for_rows("a is back", |rows| values(rows, &of("a")).last() == Some(&json!(5.0)));
    for name in ["a", "b"] {
        assert_eq!(values(&rows, &of(name)).iter().filter(|v| **v == "stale").count(), 1, "{name}");
    }
    let failed = values(&rows, &of("up")).iter().position(|v| *v == 0.0).unwrap();
    let stale = values(&rows, &of("a")).iter().position(|v| *v == "stale").unwrap();
    assert_eq!(times(&rows, &of("up"))[failed], times(&rows, &of("a"))[stale], "at the time of the scrape");
    for name in ["scrape_samples_scraped", "scrape_samples_post_metric_relabeling", "scrape_series_added"] {
        assert_eq!(values(&rows, &of(name))[failed], 0.0, "{name}");
    }
}

#[test]
fn a_target_that_is_gone_ends_its_report_too_and_so_does_the_end() {
    let (gone, stays) = (Target::saying("a 1\n"), Target::saying("a 1\n"));
    let gateway = Gateway::start();
    let jobs = [job("gone", gone.address), job("stays", stays.address)];
    gateway.scrape(jobs.to_vec());
    jobs.iter().for_each(|job| _ = gateway.wait_for(job, Health::Up));
    gateway.scrape(vec![jobs[1].clone()]);
    let of = |name: &str, job: &str, target: &Target| {
        format!("{name}{{instance=\"{}\",job=\"{job}\"}}", target.address)
    };
    gateway.wait_for_rows("it is stale", |rows| {
        values(rows, &of("up", "gone", &gone)).last() == Some(&json!("stale"))
    });
    let rows = gateway.stop();
    let names = ["a", "up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_series_added"];
    for (job, target) in [("gone", &gone), ("stays", &stays)] {
        for name in names {
            let values = values(&rows, &of(name, job, target));
            assert_eq!(values.iter().filter(|v| **v == "stale").count(), 1, "{name} of {job}");
            assert_eq!(values.last(), Some(&json!("stale")), "{name} of {job}");
            let times = times(&rows, &of(name, job, target));
            assert!(times.is_sorted_by(|a, b| a < b), "{name} of {job}: {times:?}");
        }
    }
}

#[test]
fn times_of_the_targets_own_count_only_where_they_are_honored() {
    let target = Target::saying("a 1 1700000000000\n");
    let gateway = Gateway::start();
    let jobs = [
        job("honored", target.address),
        Job { track_timestamps_staleness: true, ..job("tracked", target.address) },
        Job { honor_timestamps: false, ..job("ignored", target.address) },
    ];
    gateway.scrape(jobs.to_vec());
    jobs.iter().for_each(|job| _ = gateway.wait_for(job, Health::Up));
    let rows = gateway.stop();
    let of = |name: &str, job: &str| format!("{name}{{instance=\"{}\",job=\"{job}\"}}", target.address);
    assert!(times(&rows, &of("a", "honored")).iter().all(|t| *t == 1_700_000_000_000_000_000));
    assert!(!values(&rows, &of("a", "honored")).contains(&json!("stale")));
    assert_eq!(values(&rows, &of("a", "tracked")).last(), Some(&json!("stale")));
    assert_eq!(times(&rows, &of("a", "ignored")), times(&rows, &of("up", "ignored")));
}
