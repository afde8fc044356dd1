//! What the formats share: finding cases, and exceptions that are checked both ways.

use std::collections::BTreeSet;
use std::path::PathBuf;

use base64::Engine;
use serde_json::Value as Json;

/// Judges every case of the folder's suites whose names start with one of `suites`, which are `cases_min` at least.
pub(crate) fn judge_all(
    folder: &str,
    suites: &[&str],
    cases_min: usize,
    judge: impl Fn(&str, &Json) -> Result<(), String>,
) {
    let folder = corpora().join(folder);
    let mut wrong = Vec::new();
    let mut cases = 0;
    let files = std::fs::read_dir(&folder).unwrap_or_else(|e| {
        panic!("{}: {e}; set TIDEGATE_CORPORA to the folder of the corpora", folder.display())
    });
    let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        let suite = file.file_stem().unwrap().to_str().unwrap();
        if !suites.iter().any(|start| suite.starts_with(start)) {
            continue;
        }
        let mut exceptions = exceptions(suite);
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            let case: Json = serde_json::from_str(line).unwrap();
            if case.get("_header").is_some() {
                continue;
            }
            cases += 1;
            let id = case["id"].as_str().unwrap();
            match (judge(suite, &case), exceptions.remove(id)) {
                (Ok(()), false) | (Err(_), true) => {}
                (Ok(()), true) => wrong.push(format!("{id}: listed as an exception, and right")),
                (Err(why), false) => wrong.push(format!("{id}: {why}")),
            }
        }
        wrong.extend(exceptions.iter().map(|id| format!("{id}: an exception of no case")));
    }
    assert!(cases >= cases_min, "only {cases} cases in {}", folder.display());
    assert!(wrong.is_empty(), "{} of {cases} cases:\n{}", wrong.len(), wrong.join("\n"));
}

/// Whether something is as expected.
pub(crate) fn compare<T: PartialEq + std::fmt::Debug>(expected: &T, got: &T) -> Result<(), String> {
    if expected == got { Ok(()) } else { Err(format!("expected {expected:?}, got {got:?}")) }
}

/// A case's input: text, or bytes in base64.
pub(crate) fn input(case: &Json) -> Vec<u8> {
    match case["input"].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => {
            base64::engine::general_purpose::STANDARD.decode(case["input_b64"].as_str().unwrap()).unwrap()
        }
    }
}

fn corpora() -> PathBuf {
    std::env::var_os("TIDEGATE_CORPORA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora"), PathBuf::from)
}

/// The ids of a suite's exceptions.
fn exceptions(suite: &str) -> BTreeSet<String> {
    include_str!("../corpora_exceptions.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once('\t').unwrap_or_else(|| panic!("no tab in exception {line:?}")).0)
        .filter(|id| id.split_once('/').is_some_and(|(of, _)| of == suite))
        .map(str::to_owned)
        .collect()
}
