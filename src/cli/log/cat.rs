//! `tidegate log cat`: rows on stdout.

use std::io::{self, StdoutLock, Write};

use super::ndjson::Ndjson;
use super::text::Inexpressible;
use crate::cli::args::CatArgs;
use crate::cli::exit::Failure;
use crate::reader::{Query, Reader, Rows};

pub(super) fn run(args: &CatArgs, reader: &Reader) -> Result<(), Failure> {
    let _ = args;
    let mut rows = reader.rows(Query::default())?;
    let mut output = Output::new();
    print_all(&mut rows, &mut output)?;
    output.finish(rows.losses())
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
    format: Ndjson,
    buf: Vec<u8>,
    stdout: StdoutLock<'static>,
    rows_left_out: u64,
}

impl Output {
    fn new() -> Output {
        Output {
            format: Ndjson::default(),
            buf: Vec::with_capacity(BUFFER_BYTES + BUFFER_BYTES / 4),
            stdout: io::stdout().lock(),
            rows_left_out: 0,
        }
    }

    fn row(&mut self, row: &crate::reader::Row<'_>) -> Result<(), Failure> {
        if let Err(Inexpressible::Row) = self.format.row(row, &mut self.buf) {
            self.rows_left_out += 1;
        }
        if self.buf.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let written = self.stdout.write_all(&self.buf).and_then(|()| self.stdout.flush());
        self.buf.clear();
        written.map_err(Failure::of_stdout)
    }

    fn finish(mut self, losses: u64) -> Result<(), Failure> {
        self.flush()?;
        if losses > 0 {
            return Err(Failure::Failed(format!("{losses} damaged places; their rows were left out")));
        }
        if self.rows_left_out > 0 {
            let rows = self.rows_left_out;
            return Err(Failure::Incomplete(format!(
                "{rows} rows were left out: the format can't express them"
            )));
        }
        Ok(())
    }
}

/// Rows are written to stdout in pieces of about this size.
const BUFFER_BYTES: usize = 256 << 10;
