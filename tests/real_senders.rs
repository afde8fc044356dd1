//! Clients as Debian has them send known data to the built server, and every row that `log cat` prints is compared.
//!
//! The scripts stand in tests/senders, with those of further clients, which `make senders` runs. tests/packages.sh
//! installs what these need.

// Helpers of tests may panic like tests.
#![allow(clippy::unwrap_used)]

use std::process::Command;

/// Runs a script with Debian's Python, which has Debian's clients.
fn run(script: &str) {
    let path = format!("{}/tests/senders/{script}.py", env!("CARGO_MANIFEST_DIR"));
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-B", &path]).env("TIDEGATE", env!("CARGO_BIN_EXE_tidegate"));
    let output =
        python.output().unwrap_or_else(|error| panic!("/usr/bin/python3: {error}; see tests/packages.sh"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !said.contains("ModuleNotFoundError"),
        "a client is missing; tests/packages.sh installs it: {said}"
    );
    assert!(output.status.success(), "{said}");
}

#[test]
fn influxdb_by_http_and_udp() {
    run("influxdb_1");
}

#[test]
fn statsd_by_udp_and_tcp() {
    run("statsd_lines");
}

#[test]
fn prometheus_client_pushes_and_imports() {
    run("prometheus_client_push");
}

#[test]
fn prometheus_by_remote_write() {
    run("prometheus_remote");
}
