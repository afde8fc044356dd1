//! How a command ends: the exit codes, and what is said on stderr.

use std::io::{self, Write};
use std::process::ExitCode;

/// Why a command did not do all that it was asked to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// It failed, or found damage. Exit code 1.
    Failed(String),
    /// The arguments or the configuration can't be used. Exit code 2.
    Usage(String),
    /// As [`Failure::Usage`], and the message has been written already. Exit code 2.
    Said,
    /// It was done, but the output lacks something. Exit code 3.
    Incomplete(String),
    /// Whoever reads stdout has seen enough. Silent, exit code 0.
    Closed,
}

impl Failure {
    /// What a failed write to stdout means.
    pub fn of_stdout(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::Closed,
            _ => Failure::Failed(format!("stdout: {error}")),
        }
    }
}

/// Says on stderr what there is to say, and gives the exit code.
pub(super) fn code(result: Result<(), Failure>) -> ExitCode {
    let (code, message) = match result {
        Ok(()) | Err(Failure::Closed) => (0, None),
        Err(Failure::Failed(message)) => (1, Some(message)),
        Err(Failure::Usage(message)) => (2, Some(message)),
        Err(Failure::Said) => (2, None),
        Err(Failure::Incomplete(message)) => (3, Some(message)),
    };
    if let Some(message) = message {
        // A closed stderr must not turn the exit code into that of a panic.
        _ = writeln!(io::stderr(), "tidegate: {message}");
    }
    ExitCode::from(code)
}
