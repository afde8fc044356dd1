//! The built binary: exit codes, what goes to stdout and what to stderr.

// Helpers of tests may panic like tests.
#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::process::{Command, Output, Stdio};

fn tidegate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    // Nothing of the machine's own environment decides what happens here.
    command.env_clear().args(arguments);
    command
}

fn output(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = tidegate(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn version_and_help_go_to_stdout_with_0() {
    let (code, out, err) = output(&["--version"]);
    let version = format!("tidegate {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!((code, out.as_str(), err.as_str()), (Some(0), version.as_str(), ""));

    let (code, out, err) = output(&["--help"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    for section in ["Usage:", "Commands:", "EXIT CODES", "ENVIRONMENT", "EXAMPLES"] {
        assert!(out.contains(section), "{section}");
    }

    for command in ["serve", "check"] {
        let (code, out, err) = output(&[command, "--help"]);
        assert_eq!((code, err.as_str()), (Some(0), ""));
        assert!(out.contains("EXAMPLES"), "{command}");
    }
}

#[test]
fn arguments_that_are_not_understood_give_2_and_a_word_on_stderr() {
    for arguments in
        [&[][..], &["swim"], &["serve", "--port", "1"], &["serve", "x"], &["check"], &["check", "a", "b"]]
    {
        let (code, out, err) = output(arguments);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(!err.is_empty(), "{arguments:?}");
    }
}

#[test]
fn check_says_ok_or_where_and_what() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.yml");
    let name = path.to_str().unwrap();

    fs::write(&path, "data:\n  retention: 30d\n").unwrap();
    assert_eq!(output(&["check", name]), (Some(0), format!("{name}: ok\n"), String::new()));

    fs::write(&path, "data:\n  retention: 30\n").unwrap();
    let message = "data.retention: \"30\": not a duration such as 15d, 1h30m or 500ms";
    assert_eq!(output(&["check", name]), (Some(2), String::new(), format!("{name}:2:14: {message}\n")));

    // What does nothing yet is no error; it is said, and secrets are not.
    fs::write(&path, "remote_write: [{url: 'http://a:S3CRET@b/', bearer_token: S3CRET}]").unwrap();
    let warning =
        format!("warning: {name}: remote_write: not supported by this version: it does nothing yet\n");
    assert_eq!(output(&["check", name]), (Some(0), format!("{name}: ok\n"), warning));

    fs::write(&path, "scrape_configs:\n- job_name: a\n  tls_config: {cert_file: c, key_file: k}\n").unwrap();
    let missing = directory.path().join("c");
    let message = format!(
        "{name}:3:27: scrape_configs.tls_config.cert_file: {}: No such file or directory (os error 2)\n",
        missing.display()
    );
    assert_eq!(output(&["check", name]), (Some(2), String::new(), message));

    fs::remove_file(&path).unwrap();
    let message = format!("{name}: No such file or directory (os error 2)\n");
    assert_eq!(output(&["check", name]), (Some(2), String::new(), message));
}

#[test]
fn a_server_that_can_not_be_configured_gives_2_and_makes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    for (arguments, message) in [
        (&["--listen", "x"][..], "--listen: \"x\": no port: write HOST:PORT"),
        (&["--config", "/nonexistent"], "--config: /nonexistent: No such file or directory (os error 2)"),
        (
            &["--log-level", "loud"],
            "--log-level: \"loud\" is unknown, expected one of error, warn, info, debug, trace",
        ),
    ] {
        let all = [&["serve", "--data", data.to_str().unwrap()], arguments].concat();
        assert_eq!(output(&all), (Some(2), String::new(), format!("tidegate: {message}\n")));
    }
    assert!(!data.exists());
}

#[test]
fn a_server_that_can_not_listen_gives_1_and_makes_nothing() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (data, address) = (directory.path().join("data"), taken.local_addr().unwrap().to_string());
    let (code, _, err) = output(&["serve", "--listen", &address, "--data", data.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains(&format!("cannot listen on {address}")), "{err}");
    assert!(!data.exists());
}

#[test]
fn a_stdout_that_nobody_reads_is_silent() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = tidegate(&["--help"]).stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
#[cfg(target_os = "linux")]
fn a_stdout_that_can_not_be_written_gives_1() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = tidegate(&["--version"]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    let message = "tidegate: stdout: No space left on device (os error 28)\n";
    assert_eq!(
        (output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()),
        (Some(1), message)
    );
}

#[test]
#[cfg(target_os = "linux")]
fn a_stderr_that_can_not_be_written_does_not_change_the_code() {
    for arguments in [&["check", "/nonexistent"][..], &["serve", "--listen", "x"], &["swim"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let status = tidegate(arguments).stderr(full).status().unwrap();
        assert_eq!(status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn the_allocator_has_its_settings() {
    let mut command = tidegate(&["--version"]);
    let output = command.env("_RJEM_MALLOC_CONF", "stats_print:true").output().unwrap();
    let report = String::from_utf8(output.stderr).unwrap();
    for setting in ["opt.background_thread: true", "opt.dirty_decay_ms: 1000", "opt.muzzy_decay_ms: 0"] {
        assert!(report.contains(setting), "{setting} in {report}");
    }
}
