use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::series::SeriesTarget;
use super::text::{json_of, rule_of, series_explained, target_explained};
use super::*;
use crate::relabel::{NameValidation, Rule, RuleText, Rules};
use crate::scrape::targets::{JobTargets, Shard};
use crate::scrape::{Group, LabelPairs};

fn pairs(list: &[(&str, &str)]) -> LabelPairs {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn dropping(label: &str, regex: &str) -> Arc<Rules> {
    let text = RuleText {
        source_labels: Some(vec![label.into()]),
        regex: Some(regex.into()),
        action: Some("drop".into()),
        ..RuleText::default()
    };
    Arc::new(Rules::new(vec![Rule::new(&text, NameValidation::Utf8).unwrap()]))
}

/// Two jobs: one with a target that is up, one dropped, one that can't be used; and one with a hostile name.
fn found() -> Found {
    let job =
        Job { relabel: dropping("__meta_x", "no"), metric_relabel: dropping("le", "1"), ..Job::new("node") };
    let targets = vec![
        pairs(&[("__address__", "localhost:9100"), ("zone", "<b>&\"'")]),
        pairs(&[("__address__", "b:9100"), ("__meta_x", "no")]),
        pairs(&[("__address__", "a/b")]),
    ];
    let group = Group { source: "0".into(), targets, labels: LabelPairs::new() };
    let other = Job::new("<script>alert(1)</script>");
    let of = |job: Job, groups: &[Group]| Arc::new(JobTargets::new(&Arc::new(job), groups, Shard::default()));
    let lone =
        Group { source: "0".into(), targets: vec![pairs(&[("__address__", "c")])], labels: Vec::new() };
    Found { jobs: vec![of(job, &[group]), of(other, &[lone])], ..Found::default() }
}

fn asked(found: &Found, path: &str, query: &str) -> Page {
    let board = StatusBoard::default();
    let key = &found.jobs[0].active[0].key;
    board.enter(key).report(1_700_000_000_500_000_000, 12_500_000, Err("<i>refused</i>"));
    let view = View {
        found,
        troubles: &Troubles::default(),
        board: &board,
        now_ns: 1_700_000_003_500_000_000,
        hostname: "gate",
    };
    answer(path, query, &view).unwrap()
}

fn data(page: &Page) -> Json {
    let body: Json = serde_json::from_str(&page.body).unwrap();
    assert_eq!((page.status, &body["status"]), (200, &json!("success")), "{body}");
    body["data"].clone()
}

#[test]
fn every_path_is_answered_and_everything_is_escaped() {
    let found = found();
    let labels = json_of(&found.jobs[0].active[0].discovered);
    let trace = query::link("", &[("job", "node"), ("labels", &labels)]);
    for path in PATHS {
        for query in ["", &trace[1..], "q=%3Cb%3E%27%22&job=%3Cscript%3E&state=x&page=99"] {
            let page = asked(&found, path, query);
            if page.content_type.starts_with("text/html") {
                for hostile in ["<script", "<b>&", "<i>refused", "<b>'"] {
                    assert!(!page.body.contains(hostile), "{path}?{query} has {hostile}");
                }
            } else {
                assert!(serde_json::from_str::<Json>(&page.body).is_ok());
            }
        }
    }
    let view = View {
        found: &found,
        troubles: &Troubles::default(),
        board: &StatusBoard::default(),
        now_ns: 0,
        hostname: "",
    };
    assert_eq!(answer("/other", "", &view), None);
}

#[test]
fn targets_can_be_narrowed() {
    let found = found();
    let page = asked(&found, "/targets", "");
    assert!(page.body.contains("http://localhost:9100/metrics"));
    assert!(page.body.contains("http://c/metrics"));
    assert!(page.body.contains("&lt;i&gt;refused&lt;/i&gt;"));
    assert!(page.body.contains("<td class=narrow>3.0 s ago<td class=narrow>12 ms"), "{}", page.body);
    let page = asked(&found, "/targets", "state=down&q=LOCALHOST&job=node");
    assert!(page.body.contains("localhost:9100/metrics") && !page.body.contains("http://c/"));
    assert!(asked(&found, "/targets", "state=up").body.contains("There are no such targets"));

    let page = asked(&found, "/service-discovery", "");
    for piece in
        ["1 active, 1 dropped by rules", "not a valid hostname", "class=\"narrow dropped\"", "__meta_x"]
    {
        assert!(page.body.contains(piece), "{piece} in {}", page.body);
    }
    let page = asked(&found, "/service-discovery", "state=dropped");
    assert!(page.body.contains("b:9100") && !page.body.contains("localhost:9100"));
}

/// Jobs of these targets, as one of two servers finds them.
fn shared(index: u32, jobs: &[(&str, &[&str])]) -> Found {
    let shard = Shard { index, count: 2 };
    let made = |(name, addresses): &(&str, &[&str])| {
        let targets = addresses.iter().map(|address| pairs(&[("__address__", address)])).collect();
        let group = Group { source: "0".into(), targets, labels: Vec::new() };
        Arc::new(JobTargets::new(&Arc::new(Job::new(name)), [&group], shard))
    };
    Found { jobs: jobs.iter().map(made).collect(), shard }
}

fn seen(found: &Found, path: &str, query: &str) -> String {
    let (troubles, board) = (Troubles::default(), StatusBoard::default());
    let view = View { found, troubles: &troubles, board: &board, now_ns: 0, hostname: "" };
    answer(path, query, &view).unwrap().body
}

#[test]
fn jobs_without_targets_are_listed_unless_something_else_is_asked_for() {
    let found = shared(0, &[("first", &[]), ("second", &[]), ("third", &[])]);
    for path in ["/targets", "/service-discovery"] {
        let page = seen(&found, path, "");
        let places = ["first", "second", "third"].map(|name| page.find(&format!("<h2>{name}")).unwrap());
        assert!(places.is_sorted() && page.contains("0 shown"), "{page}");
        assert!(!page.contains("<table>") && !page.contains("</table>"), "{page}");
        assert!(seen(&found, path, "job=second").contains("<h2>second"));
        for query in ["job=second&state=up", "job=second&state=dropped", "q=x", "job=other"] {
            assert!(!seen(&found, path, query).contains("<h2>"), "{path}?{query}");
        }
    }
    assert!(seen(&found, "/targets", "").contains("<h2>second (0 targets)</h2>"));
    let page = seen(&found, "/service-discovery", "");
    assert!(page.contains("<h2>third</h2>\n<p class=count>0 active, 0 dropped"), "{page}");
    // Headings count as lines: a page is bounded whatever there is.
    let many: Vec<String> = (0..ROWS_MAX + 1).map(|n| format!("job-{n}")).collect();
    let jobs: Vec<(&str, &[&str])> = many.iter().map(|name| (name.as_str(), &[][..])).collect();
    let found = shared(0, &jobs);
    for path in ["/targets", "/service-discovery"] {
        let headings = |query| seen(&found, path, query).matches("<h2>").count();
        assert_eq!((headings(""), headings("page=2")), (ROWS_MAX, 1));
    }
}

#[test]
fn what_other_servers_scrape_is_listed_with_its_shard() {
    // "y:1" of this job is shard 1's.
    let jobs: [(&str, &[&str]); 2] = [("b", &["y:1"]), ("empty", &[])];
    let (there, here) = (shared(0, &jobs), shared(1, &jobs));
    assert_eq!((there.jobs[0].active.len(), here.jobs[0].active.len()), (0, 1));
    let page = seen(&there, "/targets", "");
    assert!(page.contains("<h2>b (0 targets)</h2>") && page.contains("1 scraped by other servers"), "{page}");
    let page = seen(&there, "/service-discovery", "");
    assert!(page.contains("__address__=\"y:1\""), "{page}");
    assert!(page.contains("<td class=\"narrow elsewhere\">elsewhere<td>scraped by shard 1 of 2"), "{page}");
    assert!(seen(&there, "/service-discovery", "state=elsewhere&q=y").contains("y:1"));
    assert!(!seen(&there, "/service-discovery", "state=active").contains("y:1"));
    assert!(!seen(&here, "/service-discovery", "").contains("scraped by shard"));
    let trace = "job=b&labels=%7B__address__%3D%22y:1%22%7D";
    let said = "The target is scraped at http://y:1/metrics by";
    let not = format!("{said} shard 1 of 2, not by this server, which is shard 0</p>");
    assert!(seen(&there, "/relabel", trace).contains(&not));
    let this = format!("{said} this server, shard 1 of 2</p>");
    assert!(seen(&here, "/relabel", trace).contains(&this));
}

#[test]
fn many_targets_are_shown_in_pages() {
    let count = ROWS_MAX + 7;
    let targets = (0..count).map(|n| pairs(&[("__address__", &format!("host-{n}:1"))])).collect();
    let group = Group { source: "0".into(), targets, labels: Vec::new() };
    let job = Arc::new(JobTargets::new(&Arc::new(Job::new("many")), [&group], Shard::default()));
    let found = Found { jobs: vec![job], ..Found::default() };
    for path in ["/targets", "/service-discovery"] {
        let rows = |query| asked(&found, path, query).body.matches(">why</a>").count();
        assert_eq!((rows(""), rows("page=2"), rows("page=9")), (ROWS_MAX, 7, 7));
        assert!(asked(&found, path, "q=host").body.contains("href=\"?q=host&amp;page=2\">next</a>"));
    }
}

#[test]
fn the_api_answers_as_prometheus_does() {
    let found = found();
    let all = data(&asked(&found, "/api/v1/targets", ""));
    let names: Vec<&Json> =
        all["activeTargets"].as_array().unwrap().iter().map(|target| &target["scrapePool"]).collect();
    assert_eq!(names, [&json!("<script>alert(1)</script>"), &json!("node")]);
    let target = &all["activeTargets"][1];
    for (key, value) in [
        ("labels", json!({"instance": "localhost:9100", "job": "node", "zone": "<b>&\"'"})),
        ("scrapeUrl", json!("http://localhost:9100/metrics")),
        ("globalUrl", json!("http://gate:9100/metrics")),
        ("lastError", json!("<i>refused</i>")),
        ("lastScrape", json!("2023-11-14T22:13:20.5Z")),
        ("lastScrapeDuration", json!(0.0125)),
        ("health", json!("down")),
        ("scrapeInterval", json!("1m")),
        ("scrapeTimeout", json!("10s")),
    ] {
        assert_eq!(target[key], value, "{key}");
    }
    assert_eq!(target["discoveredLabels"]["__address__"], "localhost:9100");
    assert_eq!(all["activeTargets"][0]["lastScrape"], "0001-01-01T00:00:00Z");
    assert_eq!(all["activeTargets"][0]["health"], "unknown");
    assert_eq!(all["droppedTargetCounts"], json!({"node": 1, "<script>alert(1)</script>": 0}));
    assert_eq!(all["droppedTargets"][0]["discoveredLabels"]["__meta_x"], "no");

    let active = data(&asked(&found, "/api/v1/targets", "state=ACTIVE&scrapePool=node"));
    assert_eq!(active["activeTargets"].as_array().unwrap().len(), 1);
    assert_eq!((&active["droppedTargets"], &active["droppedTargetCounts"]), (&json!([]), &Json::Null));
    let dropped = data(&asked(&found, "/api/v1/targets", "state=dropped"));
    assert_eq!(dropped["activeTargets"], json!([]));
    assert_eq!(dropped["droppedTargets"].as_array().unwrap().len(), 1);

    let pools = data(&asked(&found, "/api/v1/scrape_pools", ""));
    assert_eq!(pools, json!({"scrapePools": ["<script>alert(1)</script>", "node"]}));

    let query = query::link("", &[("scrapePool", "node"), ("labels", r#"{"__meta_x": "no"}"#)]);
    let steps = data(&asked(&found, "/api/v1/targets/relabel_steps", &query[1..]));
    let rule = json!({
        "source_labels": ["__meta_x"], "separator": ";", "regex": "no", "replacement": "$1", "action": "drop",
    });
    assert_eq!(steps, json!({"steps": [{"rule": rule, "output": {}, "keep": false}]}));
    for (query, why) in [
        ("", "no scrapePool parameter provided"),
        ("scrapePool=node", "no labels parameter provided"),
        ("scrapePool=x&labels=%7B%7D", "error retrieving scrape config: scrape pool \"x\" not found"),
        ("scrapePool=node&labels=%7Ba!%3D%22b%22%7D", "error parsing labels: column 3: expected \"=\""),
    ] {
        let page = asked(&found, "/api/v1/targets/relabel_steps", query);
        let body: Json = serde_json::from_str(&page.body).unwrap();
        let error = json!({"status": "error", "errorType": "bad_data", "error": why});
        assert_eq!((page.status, body), (400, error), "{query}");
    }
}

#[test]
fn the_page_says_what_the_scraper_does_with_a_series() {
    let found = found();
    let page = |labels: &str, target: &str| {
        let query = [("job", "node"), ("of", "series"), ("labels", labels), ("target", target)];
        asked(&found, "/relabel", &query::link("", &query)[1..])
    };
    let shown = page("up", "{instance=\"<h>\"}").body;
    for piece in ["From a target, as given", "instance=\"&lt;h&gt;\"", "job=\"node\"", "The series is kept."]
    {
        assert!(shown.contains(piece), "{piece}: {shown}");
    }
    let shown = page("{a=\"1\"}", "").body;
    for piece in ["of which nothing but the job is known", "The scrape fails: missing metric name"] {
        assert!(shown.contains(piece), "{piece}: {shown}");
    }
    let refused = page("up", "x{");
    assert!(refused.status == 400 && refused.body.contains("the target&#39;s labels: "), "{}", refused.body);
}

#[test]
fn an_explanation_names_the_rule_that_drops() {
    let found = found();
    let job = &found.jobs[0].job;
    let said = target_explained(job, &pairs(&[("__address__", "x"), ("__meta_x", "no")]), Shard::default());
    let rule = "1. {action: drop, source_labels: [__meta_x], regex: \"no\"}\n   \"no\" matches\n   dropped\n";
    assert!(said.contains(rule), "{said}");
    assert!(said.ends_with("the target is dropped\n"));
    let said = target_explained(job, &pairs(&[("__address__", "x:1")]), Shard::default());
    assert!(said.contains("the target is scraped at http://x:1/metrics\n"), "{said}");
    assert!(said.ends_with("its series get {instance=\"x:1\", job=\"node\"}\n"), "{said}");
    let target = SeriesTarget::new(job, None);
    let said = series_explained(job, target, pairs(&[("__name__", "h_bucket"), ("le", "1")]));
    assert!(said.ends_with("the series is dropped\n"), "{said}");
    let rule = RuleText { separator: Some("-".into()), modulus: Some(3), ..RuleText::default() };
    assert_eq!(rule_of(&rule), "{separator: \"-\", modulus: 3}");
}
