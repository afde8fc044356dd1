use std::time::Duration;

use tidegate::scrape::targets::Shard;
use tidegate::scrape::{ClientOptions, Discovery, Group};

use super::harness::{Finding, job};
use super::http_double::{HttpDouble, json};

fn fixed(address: &str) -> Discovery {
    let targets = vec![vec![("__address__".to_owned(), address.to_owned())]];
    Discovery::Static(vec![Group { source: "0".into(), targets, labels: Vec::new() }])
}

#[test]
fn what_a_reload_leaves_as_it_is_goes_on_undisturbed() {
    let server = HttpDouble::start(|_| json(r#"[{"targets": ["http:1"]}]"#));
    let http = Discovery::Http {
        url: server.url("/"),
        refresh: Duration::from_secs(3600),
        client: ClientOptions::default(),
    };
    let mut finding = Finding::start(vec![job("a", vec![http.clone(), fixed("a:1")])]);
    finding.wait_for(&["a:1", "http:1"]);

    // Two jobs share the server; one of them is new.
    let jobs = vec![job("a", vec![http.clone(), fixed("b:2")]), job("b", vec![http.clone()])];
    finding.finder.set_jobs(jobs, Shard::default());
    finding.wait_for(&["b:2", "http:1", "http:1"]);
    assert_eq!(server.seen().len(), 1, "it was asked by the first job, and never again");
    let names: Vec<String> = finding.targets().iter().map(|target| target.key.job.clone()).collect();
    assert_eq!(names, ["a", "a", "b"]);

    finding.finder.set_jobs(vec![job("b", vec![fixed("c:3")])], Shard::default());
    finding.wait_for(&["c:3"]);
}

#[test]
fn a_reload_waits_a_moment_for_sources_that_are_new() {
    let server = HttpDouble::start(|request| {
        // Slow, as such servers are.
        std::thread::sleep(Duration::from_millis(300));
        json(&format!(r#"[{{"targets": ["{}:1"]}}]"#, &request.target[1..]))
    });
    let http = |path: &str| Discovery::Http {
        url: server.url(path),
        refresh: Duration::from_secs(3600),
        client: ClientOptions::default(),
    };
    let mut finding = Finding::start(vec![job("a", vec![http("/x")])]);
    finding.wait_for(&["x:1"]);
    finding.finder.set_jobs(vec![job("a", vec![http("/y"), fixed("z:1")])], Shard::default());
    let next = finding.next();
    assert_eq!(next.targets().len(), 2, "there is no moment at which the job has fewer targets");
}

#[test]
fn servers_share_the_targets() {
    let addresses: Vec<String> = (0..40).map(|n| format!("host-{n}:1")).collect();
    let targets = addresses.iter().map(|a| vec![("__address__".to_owned(), a.clone())]).collect();
    let group = Discovery::Static(vec![Group { source: "0".into(), targets, labels: Vec::new() }]);
    let mut finding = Finding::start(vec![job("a", vec![group.clone()])]);
    let mut shared = Vec::new();
    for index in 0..3 {
        finding.next();
        finding.finder.set_jobs(vec![job("a", vec![group.clone()])], Shard { index, count: 3 });
        let share: Vec<String> = finding.next().targets().iter().map(|t| t.address.clone()).collect();
        assert!((3..30).contains(&share.len()), "{share:?}");
        shared.extend(share);
        finding.finder.set_jobs(vec![job("a", vec![group.clone()])], Shard::default());
    }
    shared.sort();
    let mut all = addresses;
    all.sort();
    assert_eq!(shared, all);
}
