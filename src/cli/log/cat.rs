//! `tidegate log cat`: rows on stdout.

use std::io::{self, StdoutLock, Write};
use std::sync::Arc;
use std::time::Duration;

use super::influx::Influx;
use super::ndjson::Ndjson;
use super::selector::Selector;
use super::text::LeftOut;
use crate::cli::args::{CatArgs, CatFormat, Dedup};
use crate::cli::exit::Failure;
use crate::clock::{Clock, SystemClock};
use crate::reader::{self, Query, Reader, Row, Rows, SeriesFilter};

pub(super) fn run(args: &CatArgs, query: Query, reader: &Reader) -> Result<(), Failure> {
    let mut rows = reader.rows(query)?;
    let mut output = Output::new(args.format);
    print_all(&mut rows, &mut output)?;
    if args.follow {
        follow(&mut rows, &mut output)?;
    }
    output.finish(rows.losses())
}

/// Prints rows as they become durable, until stdout is closed.
fn follow(rows: &mut Rows, output: &mut Output) -> Result<(), Failure> {
    loop {
        if rows.refresh()? {
            print_all(rows, output)?;
        }
        std::thread::sleep(FOLLOW_INTERVAL);
    }
}

/// What the arguments ask for.
///
/// # Errors
/// [`Failure::Usage`].
pub(super) fn query(args: &CatArgs) -> Result<Query, Failure> {
    let now_ns = SystemClock::default().wall_ns();
    Ok(Query {
        series: filter(&args.matches)?,
        start_ns: args.start.map(|start| start.ns(now_ns)),
        end_ns: args.end.map(|end| end.ns(now_ns)),
        dedup: args.dedup.map(|dedup| match dedup {
            Dedup::Exact => reader::Dedup::Exact,
            Dedup::Last => reader::Dedup::Last,
        }),
    })
}

/// Takes what any of the selectors takes; without one, everything.
fn filter(texts: &[String]) -> Result<Option<SeriesFilter>, Failure> {
    let parse = |text: &String| {
        Selector::parse(text).map_err(|error| Failure::Usage(format!("--match: \"{text}\": {error}")))
    };
    let selectors = texts.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let any = move |labels: reader::Labels<'_>| selectors.iter().any(|selector| selector.takes(labels));
    Ok((!texts.is_empty()).then(|| Arc::new(any) as SeriesFilter))
}

/// Prints the rows that there are now, and what could not be read.
fn print_all(rows: &mut Rows, output: &mut Output) -> Result<(), Failure> {
    loop {
        let more = rows.next_block(|row| output.row(row))?;
        for loss in rows.take_losses() {
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

    fn row(&mut self, row: &Row<'_>) -> Result<(), Failure> {
        self.left_out += match &mut self.format {
            Format::Ndjson(format) => format.row(row, &mut self.buf),
            Format::Influx(format) => format.row(row, &mut self.buf),
        };
        if self.buf.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let written = self.stdout.write_all(&self.buf).and_then(|()| self.stdout.flush());
        self.buf.clear();
        written.map_err(Failure::of_stdout)
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
                Err(Failure::Failed(format!("{losses} damaged places: what was in them is left out")))
            }
        }
    }
}

/// Rows are written to stdout in pieces of about this size.
const BUFFER_BYTES: usize = 256 << 10;

/// How often a directory that is followed is looked at.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(100);
