//! `tidegate log`: looking at a data directory, a live one too.
//!
//! Comes in: a directory. Goes out: its segments, its rows, its damage, its figures, on stdout; messages on stderr.
//! Keeps: nothing is made or changed, not even a missing directory.

mod cat;
mod influx;
mod left_out;
mod ls;
mod ndjson;
mod pipe;
mod selector;
mod series;
mod stats;
mod verify;

use std::io::{self, Write};

use super::args::{DataArgs, LogCommand};
use super::exit::Failure;
use crate::app::config::Environment;
use crate::log::{LogError, Survey};
use crate::reader::{Finding, Reader};

pub(super) fn run(command: &LogCommand, environment: Environment<'_>) -> Result<(), Failure> {
    let open = |data: &DataArgs| Reader::open(&data.directory(environment)).map_err(Failure::from);
    match command {
        LogCommand::Ls(data) => ls::run(&open(data)?),
        LogCommand::Cat(args) => {
            // Arguments that can't be used are said before a directory that can't be read.
            let query = cat::query(args)?;
            cat::run(args, query, &open(&args.data)?)
        }
        LogCommand::Verify(data) => verify::run(&open(data)?),
        LogCommand::Stats(data) => stats::run(&open(data)?),
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Failure {
        Failure::Failed(error.to_string())
    }
}

/// Names segments that are lost as a whole on stderr, and gives how many places that is.
fn tell_lost_segments(survey: &Survey) -> u64 {
    let tell = |finding| {
        // There is nowhere left to say that stderr can't be written.
        _ = writeln!(io::stderr(), "tidegate: {finding}");
    };
    Finding::of_survey(survey).map(tell).count() as u64
}

/// What a command comes to that read all there is, with so many places lost.
fn judge(places_lost: u64) -> Result<(), Failure> {
    match places_lost {
        0 => Ok(()),
        places => Err(Failure::Failed(counted(places, "damaged place"))),
    }
}

/// So many of something, in words.
fn counted(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Writes to stdout.
fn say(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(Failure::of_stdout)
}

/// A time for people: RFC 3339, UTC.
fn instant(ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(ns.into()).map_or_else(|_| ns.to_string(), |time| time.to_string())
}
