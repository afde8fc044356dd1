//! The cases of the shared corpora that are told as HTTP requests, each suite's case against a fresh server.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value as Json;

use super::client::request;
use super::harness::Server;

#[test]
fn every_http_case_of_the_corpora() {
    let folder = corpora().join("influx_http");
    let mut exceptions = exceptions();
    let mut wrong = Vec::new();
    let mut cases = 0;
    let files = std::fs::read_dir(&folder).unwrap_or_else(|e| {
        panic!("{}: {e}; set TIDEGATE_CORPORA to the folder of the corpora", folder.display())
    });
    for file in files.map(|entry| entry.unwrap().path()) {
        for line in std::fs::read_to_string(&file).unwrap().lines() {
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
    assert!(cases >= 14, "only {cases} cases in {}", folder.display());
    assert!(wrong.is_empty(), "{} of {cases} cases:\n{}", wrong.len(), wrong.join("\n"));
}

pub(crate) fn corpora() -> PathBuf {
    std::env::var_os("TIDEGATE_CORPORA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora"), PathBuf::from)
}

/// The ids of these suites among the exceptions.
fn exceptions() -> BTreeSet<String> {
    include_str!("../corpora_exceptions.txt")
        .lines()
        .filter(|line| line.starts_with("influxdb3_server_write/"))
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
