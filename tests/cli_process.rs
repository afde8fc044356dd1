//! The built server's life as a process: start, reload, drain, by signals and log lines.

// Helpers of tests may panic like tests.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

struct Server {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Server {
    fn start(directory: &Path, arguments: &[&str]) -> Server {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .env_clear()
            .current_dir(directory)
            .args(["serve", "--listen", "127.0.0.1:0", "--data", "data"])
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Server { child, lines }
    }

    /// The next log line that contains `word`.
    fn line(&mut self, word: &str) -> String {
        let found = self.lines.by_ref().map(Result::unwrap).find(|line| line.contains(word));
        found.unwrap_or_else(|| panic!("the log ended without {word:?}"))
    }

    fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
    }

    fn code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A test that failed must not leave it running; one that is gone can't be killed, which is as well.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[test]
fn a_signal_to_stop_drains_and_exits_with_0() {
    for signal in ["TERM", "INT"] {
        let directory = tempfile::tempdir().unwrap();
        let mut server = Server::start(directory.path(), &[]);
        let line = server.line("started");
        assert!(
            line.starts_with("ts=2") && line.contains(" level=info ") && line.contains(" data=data "),
            "{line}"
        );
        server.signal(signal);
        server.line("draining");
        assert_eq!(server.code(), Some(0));
    }
}

#[test]
fn a_reload_is_taken_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("t.yml");
    fs::write(&config, "data: {retention: 1d}\n").unwrap();
    let mut server = Server::start(directory.path(), &["--config", "t.yml", "--log-format", "json"]);
    server.line("started");

    fs::write(&config, "data: {retention: 24h} # the same\n").unwrap();
    server.signal("HUP");
    server.line("configuration reloaded");

    fs::write(&config, "data: {retention: 2}\n").unwrap();
    server.signal("HUP");
    let line = server.line("not reloaded");
    assert!(line.contains("t.yml:1:19: data.retention: "), "{line}");

    fs::write(&config, "data: {retention: 1d}\nworkers: 255\n").unwrap();
    server.signal("HUP");
    let line = server.line("not reloaded");
    assert!(line.contains("t.yml:2:10: workers needs a restart\""), "{line}");

    fs::write(&config, "data: {commit_interval: 1s}\n").unwrap();
    server.signal("HUP");
    let line = server.line("not reloaded");
    for refused in
        ["t.yml: data.retention needs a restart", "t.yml:1:25: data.commit_interval needs a restart"]
    {
        assert!(line.contains(refused), "{line}");
    }

    server.signal("TERM");
    assert_eq!(server.code(), Some(0));
}
