//! `tidegate log cat`: rows and what was said beside them on stdout.

use std::io::{self, StdoutLock, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use super::influx::Influx;
use super::left_out::LeftOut;
use super::ndjson::Ndjson;
use super::pipe::has_reader;
use super::selector::Selector;
use super::{counted, tell_lost_segments};
use crate::cli::args::{CatArgs, CatFormat, Dedup};
use crate::cli::exit::Failure;
use crate::clock::{Clock, SystemClock};
use crate::reader::{self, MetricFilter, Query, Reader, Record, Records, SeriesFilter};

pub(super) fn run(args: &CatArgs, query: Query, reader: &Reader) -> Result<(), Failure> {
    let lost = tell_lost_segments(&reader.survey()?);
    let mut records = reader.records(query)?;
    let mut output = Output::new(args.format);
    print_all(&mut records, &mut output)?;
    if args.follow {
        follow(&mut records, &mut output)?;
    }
    output.finish(records.losses() + lost)
}

/// Prints what becomes durable, until stdout is closed.
fn follow(records: &mut Records, output: &mut Output) -> Result<(), Failure> {
    loop {
        if records.refresh()? {
            print_all(records, output)?;
        }
        output.wait_while_read(FOLLOW_INTERVAL)?;
    }
}

/// What the arguments ask for.
///
/// # Errors
/// [`Failure::Usage`].
pub(super) fn query(args: &CatArgs) -> Result<Query, Failure> {
    let now_ns = SystemClock::default().wall_ns();
    let (series, metrics) = filters(&args.matches)?.unzip();
    Ok(Query {
        series,
        metrics,
        start_ns: args.start.map(|start| start.ns(now_ns)),
        end_ns: args.end.map(|end| end.ns(now_ns)),
        dedup: args.dedup.map(|dedup| match dedup {
            Dedup::Exact => reader::Dedup::Exact,
            Dedup::Last => reader::Dedup::Last,
        }),
    })
}

/// Takes what any of the selectors takes; without one, everything.
fn filters(texts: &[String]) -> Result<Option<(SeriesFilter, MetricFilter)>, Failure> {
    let parse = |text: &String| {
        Selector::parse(text).map_err(|error| Failure::Usage(format!("--match: \"{text}\": {error}")))
    };
    let selectors = texts.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let by_series: Arc<[Selector]> = selectors.into();
    let by_metric = Arc::clone(&by_series);
    let series = move |labels: reader::Labels<'_>| by_series.iter().any(|selector| selector.takes(labels));
    let metric = move |name: &[u8]| by_metric.iter().any(|selector| selector.takes_metric(name));
    Ok((!texts.is_empty()).then(|| (Arc::new(series) as SeriesFilter, Arc::new(metric) as MetricFilter)))
}

/// Prints what there is now, and what could not be read.
fn print_all(records: &mut Records, output: &mut Output) -> Result<(), Failure> {
    loop {
        let more = records.next_block(|record| output.record(record))?;
        for loss in records.take_losses() {
            // There is nowhere left to say that stderr can't be written.
            _ = writeln!(io::stderr(), "tidegate: {loss}");
        }
        if !more {
            return output.flush();
        }
    }
}

/// Rows on their way to stdout.
struct Output {
    format: Format,
    buf: Vec<u8>,
    stdout: StdoutLock<'static>,
    left_out: LeftOut,
}

enum Format {
    Ndjson(Box<Ndjson>),
    Influx(Box<Influx>),
}

impl Output {
    fn new(format: CatFormat) -> Output {
        Output {
            format: match format {
                CatFormat::Ndjson => Format::Ndjson(Box::default()),
                CatFormat::Influx => Format::Influx(Box::default()),
            },
            buf: Vec::with_capacity(BUFFER_BYTES + BUFFER_BYTES / 4),
            stdout: io::stdout().lock(),
            left_out: LeftOut::default(),
        }
    }

    fn record(&mut self, record: &Record<'_>) -> Result<(), Failure> {
        self.left_out += match &mut self.format {
            Format::Ndjson(format) => format.record(record, &mut self.buf),
            Format::Influx(format) => match record {
                Record::Row(row) => format.row(row, &mut self.buf),
                Record::Exemplar(_) | Record::Metadata(_) => LeftOut::SIDE_RECORD,
            },
        };
        if self.buf.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let written = self.stdout.write_all(&self.buf).and_then(|()| self.stdout.flush());
        self.buf.clear();
        written.map_err(Failure::of_stdout)
    }

    /// Waits, unless nobody reads stdout any more: else that would be found out with the next row, which may never
    /// come.
    fn wait_while_read(&self, timeout: Duration) -> Result<(), Failure> {
        if has_reader(self.stdout.as_fd(), timeout) { Ok(()) } else { Err(Failure::Closed) }
    }

    fn finish(mut self, losses: u64) -> Result<(), Failure> {
        self.flush()?;
        let incomplete = self.left_out != LeftOut::default();
        match losses {
            0 if incomplete => Err(Failure::Incomplete(self.left_out.to_string())),
            0 => Ok(()),
            _ => {
                if incomplete {
                    _ = writeln!(io::stderr(), "tidegate: {}", self.left_out);
                }
                let (places, them) =
                    (counted(losses, "damaged place"), if losses == 1 { "it" } else { "them" });
                Err(Failure::Failed(format!("{places}: what was in {them} is left out")))
            }
        }
    }
}

/// Rows are written to stdout in pieces of about this size.
const BUFFER_BYTES: usize = 256 << 10;

/// How often a directory that is followed is looked at.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(100);
