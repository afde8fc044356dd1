//! The command line of the `tidegate` binary.
//!
//! Comes in: arguments and environment, both handed in. Goes out: results on stdout, messages on stderr, an exit code.
//! Keeps: the exit codes of `exit.rs` and no others; a stdout that nobody reads any more ends the command without a
//! word.

mod args;
pub mod bench;
mod check;
mod exit;
mod help;
mod log;
mod moment;
pub mod progress;
mod relabel;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

pub use args::{CatArgs, CatFormat, CheckArgs, Cli, Command, DataArgs, Dedup, LogCommand};
pub use exit::Failure;
pub use moment::Moment;
pub use relabel::RelabelArgs;

use crate::app::{self, ServeError, config::Environment};

/// Does what `arguments` say, the program's name first, and gives the exit code of the process.
pub fn run(arguments: impl IntoIterator<Item = OsString>, environment: Environment<'_>) -> ExitCode {
    let result = match Cli::try_parse_from(arguments) {
        Ok(cli) => command(cli, environment),
        Err(error) => print(&error),
    };
    exit::code(result)
}

fn command(cli: Cli, environment: Environment<'_>) -> Result<(), Failure> {
    match cli.command {
        Command::Serve(flags) => app::serve(&flags, &cli.log, environment).map_err(Failure::from),
        Command::Check(args) => check::run(&args),
        Command::Relabel(args) => relabel::run(&args),
        Command::Bench(args) => bench::run(*args),
        Command::Log { command } => log::run(&command, environment),
    }
}

/// Help and version go to stdout, errors in arguments to stderr.
fn print(error: &clap::Error) -> Result<(), Failure> {
    if error.use_stderr() {
        // There is nowhere left to say that stderr can't be written.
        _ = error.print();
        return Err(Failure::Said);
    }
    error.print().and_then(|()| io::stdout().flush()).map_err(Failure::of_stdout)
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Failure {
        match error {
            ServeError::Config(error) => Failure::Usage(error.to_string()),
            ServeError::Failed(why) => Failure::Failed(why),
        }
    }
}
