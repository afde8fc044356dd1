//! The server as a process: started with a configuration, watched through its log lines, gone with the test.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::client::{Client, Reply, get};

/// How long anything may take before the test has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How a server is to be started.
#[derive(Default)]
pub(crate) struct Setup {
    config: String,
    data: Option<PathBuf>,
    before: Vec<String>,
    /// Beside the configuration file.
    files: Vec<(String, String)>,
    /// Where to listen is said by the configuration.
    listens: bool,
}

pub(crate) struct Server {
    child: Child,
    /// Of the server itself, where something else started it.
    pid: u32,
    pub(crate) address: String,
    pub(crate) data: PathBuf,
    lines: Receiver<String>,
    seen: Vec<String>,
    directory: TempDir,
}

/// A directory on the disk that holds the build: not in memory, as `/tmp` may be.
pub(crate) fn directory() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

impl Setup {
    /// The text of the configuration file.
    pub(crate) fn config(config: &str) -> Setup {
        Setup { config: config.to_owned(), ..Setup::default() }
    }

    pub(crate) fn data(mut self, data: &Path) -> Setup {
        self.data = Some(data.to_owned());
        self
    }

    /// A file beside the configuration's.
    pub(crate) fn file(mut self, name: &str, text: &str) -> Setup {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Listens where the configuration says.
    pub(crate) fn listening(mut self) -> Setup {
        self.listens = true;
        self
    }

    /// What starts the server, as `strace` with its arguments.
    pub(crate) fn under(mut self, before: &[&str]) -> Setup {
        self.before = before.iter().map(|&word| word.to_owned()).collect();
        self
    }

    fn command(&self, directory: &Path, data: &Path) -> Command {
        let file = directory.join("tidegate.yml");
        fs::write(&file, &self.config).unwrap();
        for (name, text) in &self.files {
            fs::write(directory.join(name), text).unwrap();
        }
        let mut words = self.before.clone();
        words.push(env!("CARGO_BIN_EXE_tidegate").to_owned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear().arg("serve");
        if !self.listens {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.arg("--config").arg(file).arg("--data").arg(data);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Starts it and waits until it listens.
    pub(crate) fn start(self) -> Server {
        let directory = directory();
        let data = self.data.clone().unwrap_or_else(|| directory.path().join("data"));
        let mut child = self.command(directory.path(), &data).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let pid = child.id();
        let mut server =
            Server { child, pid, address: String::new(), data, lines, seen: Vec::new(), directory };
        let line = server.line("msg=\"started\"");
        let listen = line.split(' ').find_map(|word| word.strip_prefix("listen=")).unwrap();
        server.address = listen.trim_matches('"').to_owned();
        if !self.before.is_empty() {
            server.pid = only_child_of(pid).unwrap_or(pid);
        }
        server
    }

    /// Runs a server that is not going to start; how it ended, and what it said.
    pub(crate) fn fail(self) -> (ExitStatus, String) {
        let directory = directory();
        let data = self.data.clone().unwrap_or_else(|| directory.path().join("data"));
        let output = self.command(directory.path(), &data).output().unwrap();
        (output.status, String::from_utf8(output.stderr).unwrap())
    }
}

/// `None`: what was started has become the server itself.
fn only_child_of(pid: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.trim().parse().ok()
}

impl Server {
    pub(crate) fn start() -> Server {
        Setup::config("").start()
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.address)
    }

    /// One request on a connection of its own.
    pub(crate) fn ask(&self, request: &[u8]) -> Reply {
        self.client().ask(request)
    }

    /// The next log line that contains `word`.
    pub(crate) fn line(&mut self, word: &str) -> String {
        let until = Instant::now() + PATIENCE;
        while let Ok(line) = self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            self.seen.push(line);
            if self.seen.last().unwrap().contains(word) {
                return self.seen.last().unwrap().clone();
            }
        }
        panic!("no {word:?} in the log:\n{}", self.seen.join("\n"));
    }

    /// A value of `/metrics`, by name and labels as they are printed.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let page = self.ask(&get("/metrics"));
        let value = page.text().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in\n{}", page.text())).parse().unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.pid.to_string()]).status();
        assert!(status.unwrap().success());
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Its configuration file.
    pub(crate) fn config_path(&self) -> PathBuf {
        self.directory.path().join("tidegate.yml")
    }

    /// Ends it as a loss of power to the process would.
    pub(crate) fn kill(mut self) -> PathBuf {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.data.clone()
    }

    /// The exit code, once it has ended by itself.
    pub(crate) fn code(&mut self) -> Option<i32> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < until, "the server does not end:\n{}", self.all_lines());
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Asks it to drain, and asserts that it ends well.
    pub(crate) fn stop(&mut self) {
        self.signal("TERM");
        assert_eq!(self.code(), Some(0), "{}", self.all_lines());
    }

    /// All that it has said so far.
    pub(crate) fn all_lines(&mut self) -> String {
        self.seen.extend(self.lines.try_iter());
        self.seen.join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let ended = self.child.try_wait();
            eprintln!("the server of this test ({ended:?}) said:\n{}", self.all_lines());
        }
        // What is gone already can't be killed, which is as well.
        if self.pid != self.child.id() {
            _ = Command::new("kill").args(["-KILL", &self.pid.to_string()]).stderr(Stdio::null()).status();
        }
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Asks until the answer is yes; fails with `what` if it never is.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut yes: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !yes() {
        assert!(Instant::now() < until, "it never came to be that {what}");
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Between two looks at a condition that nobody can wait for.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Whether a command runs here and succeeds.
pub(crate) fn works(command: &str, arguments: &[&str]) -> bool {
    Command::new(command).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// Whether system calls can be made to fail. Root must be able to; others are told why nothing was tested.
pub(crate) fn has_strace() -> bool {
    let works = works("strace", &["-o", "/dev/null", "true"]);
    assert!(works || !is_root(), "strace is missing or does not work: it is needed where tests run as root");
    if !works {
        println!("not root, and strace does not work here: failing system calls are not tested");
    }
    works
}

pub(crate) fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    uid.is_some_and(|ids| ids.split_whitespace().nth(1) == Some("0"))
}
