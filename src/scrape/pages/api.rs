//! Prometheus's API about targets.

use jiff::Timestamp;
use serde_json::{Value as Json, json};
use url::Url;

use crate::relabel::{RuleText, Step};
use crate::scrape::Target;
use crate::scrape::targets::JobTargets;

use super::labels::labels_of;
use super::query::Query;
use super::text::object_of;
use super::{Page, View};

/// `/api/v1/targets`
pub(super) fn targets(query: &Query, view: &View<'_>) -> Page {
    let (pool, state) = (query.value("scrapePool"), query.value("state").to_lowercase());
    let asked = |kind: &str| matches!(state.as_str(), "" | "any") || state == kind;
    let mut pools: Vec<&JobTargets> = view.found.jobs.iter().map(|job| &**job).collect();
    pools.sort_by(|a, b| a.job.name.cmp(&b.job.name));
    let chosen = || pools.iter().filter(|job| pool.is_empty() || job.job.name == pool);
    let mut active: Vec<Json> = Vec::new();
    let mut dropped: Vec<Json> = Vec::new();
    let mut counts = Json::Null;
    if asked("active") {
        active.extend(chosen().flat_map(|job| &job.active).map(|target| shown(target, view)));
    }
    if asked("dropped") {
        counts = pools.iter().map(|job| (job.job.name.clone(), Json::from(job.dropped_count))).collect();
        for job in chosen() {
            let found = |labels| json!({"discoveredLabels": object_of(labels), "scrapePool": job.job.name});
            dropped.extend(job.dropped.iter().map(found));
        }
    }
    success(&json!({"activeTargets": active, "droppedTargets": dropped, "droppedTargetCounts": counts}))
}

/// `/api/v1/scrape_pools`
pub(super) fn scrape_pools(view: &View<'_>) -> Page {
    let mut names: Vec<&str> = view.found.jobs.iter().map(|job| job.job.name.as_str()).collect();
    names.sort_unstable();
    success(&json!({"scrapePools": names}))
}

/// `/api/v1/targets/relabel_steps`
pub(super) fn relabel_steps(query: &Query, view: &View<'_>) -> Page {
    let (pool, labels) = (query.value("scrapePool"), query.value("labels"));
    if pool.is_empty() {
        return bad_data("no scrapePool parameter provided");
    }
    if labels.is_empty() {
        return bad_data("no labels parameter provided");
    }
    let labels = match labels_of(labels) {
        Ok(labels) => labels,
        Err(why) => return bad_data(&format!("error parsing labels: {why}")),
    };
    let Some(job) = view.job(pool) else {
        return bad_data(&format!("error retrieving scrape config: scrape pool {pool:?} not found"));
    };
    let mut traced = crate::model::LabelsBuf::default();
    labels.iter().for_each(|(name, value)| traced.push(name.as_bytes(), value.as_bytes()));
    let steps = crate::relabel::trace(&job.relabel, &mut traced);
    let mut steps: Vec<Json> = steps.iter().map(step).collect();
    // Those behind the rule that drops are listed, too, and drop.
    let untouched = job.relabel.rules().iter().skip(steps.len());
    steps.extend(untouched.map(|rule| json!({"rule": rule_json(&rule.text()), "output": {}, "keep": false})));
    success(&json!({"steps": steps}))
}

fn step(step: &Step) -> Json {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let labels = step.labels.iter().filter(|_| step.kept);
    let output: Json = labels.map(|(name, value)| (text(name), Json::from(text(value)))).collect();
    json!({"rule": rule_json(&step.rule), "output": output, "keep": step.kept})
}

/// A rule with the keys that Prometheus writes: some are left out where they are empty.
fn rule_json(rule: &RuleText) -> Json {
    let mut keys = json!({
        "separator": rule.separator.as_deref().unwrap_or(";"),
        "regex": rule.regex.as_deref().unwrap_or("(.*)"),
        "replacement": rule.replacement.as_deref().unwrap_or("$1"),
        "action": rule.action,
    });
    if let Some(names) = rule.source_labels.as_ref().filter(|names| !names.is_empty()) {
        keys["source_labels"] = json!(names);
    }
    if let Some(label) = &rule.target_label {
        keys["target_label"] = json!(label);
    }
    if let Some(modulus) = rule.modulus {
        keys["modulus"] = json!(modulus);
    }
    keys
}

fn shown(target: &Target, view: &View<'_>) -> Json {
    let last = view.board.last(&target.key);
    let start = last.start_ns.and_then(|ns| Timestamp::from_nanosecond(i128::from(ns)).ok());
    let label =
        |name: &str| target.key.labels.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    json!({
        "discoveredLabels": object_of(&target.discovered),
        "labels": object_of(&target.labels),
        "scrapePool": target.key.job,
        "scrapeUrl": target.key.url,
        "globalUrl": global_url(&target.key.url, view.hostname),
        "lastError": last.error,
        // Go's zero time, where there was no scrape.
        "lastScrape": start.map_or("0001-01-01T00:00:00Z".to_owned(), |start| start.to_string()),
        "lastScrapeDuration": last.duration_ns as f64 / 1e9,
        "health": last.health.name(),
        "scrapeInterval": label("__scrape_interval__"),
        "scrapeTimeout": label("__scrape_timeout__"),
    })
}

/// A target's URL as it is from elsewhere: this machine has a name there.
fn global_url(url: &str, hostname: &str) -> String {
    let Ok(mut parsed) = Url::parse(url) else { return url.to_owned() };
    let local = matches!(parsed.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    // The URL as it is written, unless it has to be another: a parsed one may be spelled otherwise.
    if local && parsed.set_host(Some(hostname)).is_ok() { parsed.to_string() } else { url.to_owned() }
}

fn success(data: &Json) -> Page {
    let body = json!({"status": "success", "data": data}).to_string();
    Page { status: 200, content_type: "application/json", body }
}

fn bad_data(why: &str) -> Page {
    let body = json!({"status": "error", "errorType": "bad_data", "error": why}).to_string();
    Page { status: 400, content_type: "application/json", body }
}
