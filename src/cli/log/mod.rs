//! `tidegate log`: looking at a data directory, a live one too.
//!
//! Comes in: a directory. Goes out: its segments, its rows, its damage, its figures, on stdout; messages on stderr.
//! Keeps: nothing is made or changed, not even a missing directory.

mod cat;
mod ndjson;
mod text;

use std::path::Path;

use super::args::LogCommand;
use super::exit::Failure;
use crate::app::config::Environment;
use crate::log::LogError;
use crate::reader::Reader;

pub(super) fn run(command: &LogCommand, environment: Environment<'_>) -> Result<(), Failure> {
    match command {
        LogCommand::Cat(args) => cat::run(args, &open(&args.data.directory(environment))?),
        _ => Err(Failure::Usage("not yet".into())),
    }
}

fn open(directory: &Path) -> Result<Reader, Failure> {
    Ok(Reader::open(directory)?)
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Failure {
        Failure::Failed(error.to_string())
    }
}
