//! What lies in a data directory, as the command line tells it.

use std::path::Path;
use std::process::Command;

use serde_json::Value as Json;

/// All rows, in order of arrival.
#[track_caller]
pub(crate) fn cat(data: &Path) -> Vec<Json> {
    cat_text(data).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What `log cat` prints.
#[track_caller]
pub(crate) fn cat_text(data: &Path) -> String {
    tidegate(&["log", "cat"], data)
}

/// Asserts that every block is sound.
#[track_caller]
pub(crate) fn verify(data: &Path) {
    tidegate(&["log", "verify"], data);
}

/// The segments, one a line.
#[track_caller]
pub(crate) fn ls(data: &Path) -> String {
    tidegate(&["log", "ls"], data)
}

#[track_caller]
fn tidegate(words: &[&str], data: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate")).args(words).arg("--data").arg(data).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{words:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}
