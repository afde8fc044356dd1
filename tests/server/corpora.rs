//! The cases of the shared corpora that are told as HTTP requests, each suite's case against a fresh server.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::client::request;
use super::harness::Server;

#[test]
fn every_http_case_of_the_corpora() {
    let folder = corpora().join("influx_http");
    let files = std::fs::read_dir(&folder).unwrap_or_else(|e| missing(&folder, &e));
    let files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    judge_cases(&files, &["influxdb3_server_write/"], 14, judge);
}

/// Judges each case of these files. The ids of exceptions begin with the name of one of these suites.
#[track_caller]
pub(crate) fn judge_cases(
    files: &[PathBuf],
    suites: &[&str],
    cases_min: usize,
    judge: impl Fn(&Json) -> Result<(), String>,
) {
    let mut exceptions = exceptions(suites);
    let (mut wrong, mut cases) = (Vec::new(), 0);
    for file in files {
        let text = std::fs::read_to_string(file).unwrap_or_else(|e| missing(file, &e));
        for line in text.lines() {
            let case: Json = serde_json::from_str(line).unwrap();
            if case.get("_header").is_some() {
                continue;
            }
            cases += 1;
            let id = case["id"].as_str().unwrap();
            match (judge(&case), exceptions.remove(id)) {
                (Ok(()), false) | (Err(_), true) => {}
                (Ok(()), true) => wrong.push(format!("{id}: listed as an exception, and right")),
                (Err(why), false) => wrong.push(format!("{id}: {why}")),
            }
        }
    }
    wrong.extend(exceptions.iter().map(|id| format!("{id}: an exception of no case")));
    assert!(cases >= cases_min, "only {cases} cases in {files:?}");
    assert!(wrong.is_empty(), "{} of {cases} cases:\n{}", wrong.len(), wrong.join("\n"));
}

fn missing(path: &Path, error: &std::io::Error) -> ! {
    panic!("{}: {error}; set TIDEGATE_CORPORA to the folder of the corpora", path.display())
}

pub(crate) fn corpora() -> PathBuf {
    std::env::var_os("TIDEGATE_CORPORA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora"), PathBuf::from)
}

/// The ids of these suites among the exceptions.
fn exceptions(suites: &[&str]) -> BTreeSet<String> {
    include_str!("../corpora_exceptions.txt")
        .lines()
        .filter(|line| suites.iter().any(|suite| line.starts_with(suite)))
        .map(|line| line.split_once('\t').expect("an id, a tab, a reason").0.to_owned())
        .collect()
}

fn judge(case: &Json) -> Result<(), String> {
    let server = Server::start();
    let mut client = server.client();
    let steps = case["input"]["steps"].as_array().unwrap();
    for (step, expected) in steps.iter().zip(case["expected"].as_array().unwrap()) {
        let text = |key: &str| step[key].as_str().unwrap();
        let query: Vec<String> = step["query"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| format!("{name}={}", value.as_str().unwrap()))
            .collect();
        let target = format!("{}?{}", text("path"), query.join("&"));
        let reply = client.ask(&request(text("method"), &target, &[], text("body").as_bytes()));
        if expected["status"] != reply.status {
            return Err(format!("{} {target}: {} {}", text("method"), reply.status, reply.text()));
        }
        if let Some(body) = expected["body"].as_str()
            && body != reply.text()
        {
            return Err(format!("{target}: {:?}", reply.text()));
        }
        for (key, value) in expected["json"].as_object().into_iter().flatten() {
            let found = &reply.json()[key];
            let right = match value.as_str() {
                Some("<non-empty>") => found.as_str().is_some_and(|text| !text.is_empty()),
                _ => found == value,
            };
            if !right {
                return Err(format!("{target}: {key} is {found}"));
            }
        }
    }
    Ok(())
}
