//! `tidegate check`: whether a configuration file can be used.

use std::io::{self, Write};

use super::args::CheckArgs;
use super::exit::Failure;
use crate::app::config::Config;
use crate::app::host::Host;

pub(super) fn run(args: &CheckArgs) -> Result<(), Failure> {
    match Config::check(&args.file, Host::probe()) {
        Ok(warnings) => {
            for warning in warnings {
                _ = writeln!(io::stderr(), "warning: {warning}");
            }
            let mut out = io::stdout();
            let written = writeln!(out, "{}: ok", args.file.display()).and_then(|()| out.flush());
            written.map_err(Failure::of_stdout)
        }
        Err(error) => {
            // Editors jump to FILE:LINE:COLUMN at the start of a line: nothing stands before it.
            _ = writeln!(io::stderr(), "{error}");
            Err(Failure::Said)
        }
    }
}
