//! Signals, turned into calls on a thread of their own.
//!
//! Comes in: SIGTERM, SIGINT and SIGHUP of the process. Goes out: [`Signal`]s to a callback. Keeps: the second request
//! to stop ends the process at once, whatever the callback is doing, with 128 plus the signal's number, as shells
//! count it.
//!
//! The handler, which only writes to a pipe, runs on the main thread: the engine's threads block all signals, so that
//! no call of theirs is interrupted. SIGPIPE is ignored by the runtime: writing to what is closed is an error like
//! others.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use crate::engine;

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
/// `on` should return soon: a signal that arrives while it runs waits for it, but for the second request to stop.
///
/// # Errors
/// A handler or the thread can't be made.
pub fn listen(on: impl Fn(Signal) + Send + 'static) -> io::Result<()> {
    // Within the handler, so that nothing that hangs is in the way. A signal finds the flag as those before it left it.
    let stopping = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stopping))?;
        flag::register(signal, Arc::clone(&stopping))?;
    }
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let attend = move || {
        for signal in signals.forever() {
            on(if signal == SIGHUP { Signal::Reload } else { Signal::Drain });
        }
    };
    engine::spawn("signals", Box::new(attend)).map(drop)
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
        let hang = move |signal| {
            sender.send(signal).unwrap();
            if signal == Signal::Drain {
                loop {
                    std::thread::park();
                }
            }
        };
        listen(hang).unwrap();
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
            // The callback hangs now.
            send(&child, "HUP");
            send(&child, second);
            assert_eq!(child.wait().unwrap().code(), Some(code));
        }
    }
}
