//! `tidegate bench`: measures how servers take samples.
//!
//! Comes in: the options. Goes out: a table or JSON with rate, latency, CPU time, memory and bytes of each server.
//! Keeps: every server gets the same requests, made before the clock starts; servers take turns, so that a noisy
//! minute of the machine hits all of them; what a server says it took is held against what it acknowledged. Refuses to
//! know: anything of tidegate but what any client sees. It measures the others with the same code.

mod args;
mod bodies;
mod disk;
#[cfg(test)]
mod fake;
mod histogram;
mod http;
mod load;
mod machine;
mod peer;
mod process;
mod random;
mod report;
mod run;
mod target;
mod workload;

pub use args::{BenchArgs, Encoding, Order, Output, Protocol, Values, Workload};
pub use target::Target;

use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;

use crate::cli::Failure;
use crate::cli::progress::Progress;
use crate::clock::{Clock, SystemClock};
use bodies::{BODIES_BYTES_MAX, Bodies};
use report::Report;
use run::Contender;

/// Runs the measurement and prints it to stdout.
///
/// # Errors
/// Options that can't be met; a server that can't be reached, that was lost, that took nothing, or that counted other
/// samples than it acknowledged.
pub(super) fn run(args: BenchArgs) -> Result<(), Failure> {
    let report = measure(&args).map_err(|error| match error {
        BenchError::Usage(_) => Failure::Usage(error.to_string()),
        _ => Failure::Failed(error.to_string()),
    })?;
    for warning in report.warnings() {
        eprintln!("tidegate bench: {warning}");
    }
    print(&report, args.output).map_err(Failure::of_stdout)?;
    report.failure().map_or(Ok(()), |why| Err(Failure::Failed(why)))
}

/// Why there is no measurement.
#[derive(Debug)]
pub(crate) enum BenchError {
    /// The options can't be met.
    Usage(String),
    /// A server can't be reached, or was lost.
    Server { target: String, source: io::Error },
    /// A server's process can't be looked at.
    Process { pid: u32, source: io::Error },
    /// A server's directory can't be looked at.
    Directory { path: PathBuf, source: io::Error },
    /// A body could not be compressed.
    Compress(io::Error),
}

impl fmt::Display for BenchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BenchError::Usage(text) => f.write_str(text),
            BenchError::Server { target, source } => write!(f, "{target}: {source}"),
            BenchError::Process { pid, source } => write!(f, "process {pid}: {source}"),
            BenchError::Directory { path, source } => write!(f, "{}: {source}", path.display()),
            BenchError::Compress(source) => write!(f, "compressing: {source}"),
        }
    }
}

impl std::error::Error for BenchError {}

/// Meets the servers first, so that a wrong address costs nobody the time of making bodies.
fn measure(args: &BenchArgs) -> Result<Report, BenchError> {
    args.check()?;
    let mut contenders =
        args.to.iter().map(|target| Contender::meet(target, args.protocol)).collect::<Result<Vec<_>, _>>()?;
    let bodies = {
        let progress = Progress::of(BODIES_BYTES_MAX as u64, "bytes of bodies");
        progress.step("preparing");
        Bodies::build(args, start_of_times_ns(), BODIES_BYTES_MAX, |bytes| progress.done(bytes))?
    };
    for run in 1..=args.runs.get() {
        // One that is lost costs nobody else a result.
        for contender in contenders.iter_mut().filter(|contender| contender.failure.is_none()) {
            contender.failure = contender.run(args, &bodies, run).err();
        }
    }
    if contenders.iter().all(|contender| contender.runs.is_empty())
        && let Some(failure) = contenders.iter_mut().find_map(|contender| contender.failure.take())
    {
        return Err(failure);
    }
    Ok(Report::new(args, &bodies, contenders))
}

/// Midnight UTC a week ago: the same times all day, none in the future, none so old that a server drops them.
fn start_of_times_ns() -> i64 {
    let now_ns = SystemClock::default().wall_ns();
    (now_ns - now_ns.rem_euclid(DAY_NS) - 7 * DAY_NS).max(TIMES_START_MIN_NS)
}

fn print(report: &Report, output: Output) -> io::Result<()> {
    let text = match output {
        Output::Table => report.table(),
        Output::Json => format!("{:#}\n", report.json()),
    };
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

const DAY_NS: i64 = 86_400_000_000_000;
/// Times have 19 digits from here on.
const TIMES_START_MIN_NS: i64 = 1_000_000_000_000_000_000;

#[cfg(test)]
mod tests;
