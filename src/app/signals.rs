//! Signals, turned into calls on a thread of their own.
//!
//! Comes in: SIGTERM, SIGINT and SIGHUP of the process. Goes out: [`Signal`]s to a callback. Keeps: the second request
//! to stop ends the process at once, whatever the callback is doing, with 128 plus the signal's number, as shells
//! count it.
//!
//! Signals are handled where they arrive, on any thread, by a handler that only writes to a pipe: no thread needs to
//! block them. A call that the kernel does not restart after a handler (`epoll_wait`, `poll`, `nanosleep`) may return
//! EINTR on any thread, and event loops go on after it. SIGPIPE is ignored by the runtime: writing to what is closed
//! is an error like others.

use std::io;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

/// What the process is asked to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// SIGTERM or SIGINT, for the first time: answer what was taken, then stop.
    Drain,
    /// SIGHUP: read the configuration again.
    Reload,
}

/// Calls `on` for each signal from here on, on a thread that lasts as long as the process.
///
/// `on` should return soon: a reload asked for while it runs is seen after it. A second request to stop is seen
/// only when it returned, so it must hand work on rather than do it.
///
/// # Errors
/// A handler or the thread can't be made.
pub fn listen(on: impl Fn(Signal) + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let thread = thread::Builder::new().name("signals".into());
    thread.spawn(move || {
        let mut draining = false;
        for signal in signals.forever() {
            if signal == SIGHUP {
                on(Signal::Reload);
            } else if draining {
                low_level::exit(128 + signal);
            } else {
                draining = true;
                on(Signal::Drain);
            }
        }
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Child, Command, Stdio};
    use std::sync::mpsc;

    use super::*;

    /// What the child process below runs: signals can't be tried out in the process of all tests.
    #[test]
    #[ignore = "runs as a child process of the other tests"]
    fn child() {
        let (sender, signals) = mpsc::channel();
        listen(move |signal| sender.send(signal).unwrap()).unwrap();
        let mut out = io::stdout();
        writeln!(out, "ready").unwrap();
        for signal in signals {
            writeln!(out, "{signal:?}").unwrap();
        }
    }

    fn send(child: &Child, signal: &str) {
        let command = format!("kill -{signal} {}", child.id());
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
    }

    #[test]
    fn the_second_request_to_stop_ends_the_process() {
        for (first, second, code) in [("TERM", "INT", 130), ("INT", "TERM", 143)] {
            let mut child = Command::new(env::current_exe().unwrap())
                .args(["--ignored", "--exact", "--nocapture", "app::signals::tests::child"])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
            let mut expect = |word: &str| assert!(lines.by_ref().any(|line| line.ends_with(word)), "{word}");
            expect("ready");
            send(&child, "HUP");
            expect("Reload");
            send(&child, first);
            expect("Drain");
            send(&child, "HUP");
            expect("Reload");
            send(&child, second);
            assert_eq!(child.wait().unwrap().code(), Some(code));
        }
    }
}
