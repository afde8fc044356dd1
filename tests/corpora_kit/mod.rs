//! What the tests of corpora share: finding cases, and exceptions that are checked both ways.

// Helpers of tests may panic like tests.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value as Json;

/// Judges every case of a folder's suites; the number of cases. `suites` are the prefixes of their exceptions' ids.
pub(crate) fn judge_all(
    folder: &str,
    suites: &[&str],
    judge: impl Fn(&str, &Json) -> Result<(), String>,
) -> usize {
    let folder = corpora().join(folder);
    let mut exceptions = exceptions(suites);
    let mut wrong = Vec::new();
    let mut cases = 0;
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| {
            panic!("{}: {e}; set TIDEGATE_CORPORA to the folder of the corpora", folder.display())
        })
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "jsonl"))
        .collect();
    files.sort();
    for file in files {
        let suite = file.file_stem().unwrap().to_str().unwrap().to_owned();
        for line in std::fs::read_to_string(&file).unwrap().lines() {
            let case: Json = serde_json::from_str(line).unwrap();
            if case.get("_header").is_some() {
                continue;
            }
            cases += 1;
            let id = case["id"].as_str().unwrap();
            match (judge(&suite, &case), exceptions.remove(id)) {
                (Ok(()), false) | (Err(_), true) => {}
                (Ok(()), true) => wrong.push(format!("{id}: listed as an exception, and right")),
                (Err(why), false) => wrong.push(format!("{id}: {why}")),
            }
        }
    }
    wrong.extend(exceptions.iter().map(|id| format!("{id}: an exception of no case")));
    assert!(wrong.is_empty(), "{} of {cases} cases:\n{}", wrong.len(), wrong.join("\n"));
    cases
}

/// Whether something is as expected.
pub(crate) fn compare<T: PartialEq + std::fmt::Debug>(expected: &T, got: &T) -> Result<(), String> {
    if expected == got { Ok(()) } else { Err(format!("expected {expected:?}, got {got:?}")) }
}

fn corpora() -> PathBuf {
    std::env::var_os("TIDEGATE_CORPORA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora"), PathBuf::from)
}

fn exceptions(suites: &[&str]) -> BTreeSet<String> {
    include_str!("../corpora_exceptions.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once('\t').unwrap_or_else(|| panic!("no tab in exception {line:?}")).0)
        .filter(|id| suites.iter().any(|suite| id.starts_with(suite)))
        .map(str::to_owned)
        .collect()
}
