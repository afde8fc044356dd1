//! The commands and their flags, each written once: parsing and help are made from it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::bench::BenchArgs;
use super::help;
use super::moment::Moment;
use super::relabel::RelabelArgs;
use crate::app::args::{LogArgs, ServeArgs};
use crate::app::config::{DIRECTORY_DEFAULT, Environment};

/// One door for metrics and events
///
/// tidegate takes metrics and events by push or pull, has them on disk, in compressed columnar blocks, before it says
/// so, and hands them on.
#[derive(Parser, Debug)]
#[command(name = "tidegate", version, arg_required_else_help = true)]
#[command(after_help = help::AFTER, after_long_help = help::AFTER_LONG)]
pub struct Cli {
    /// What and how to log.
    #[command(flatten, next_help_heading = "Logging")]
    pub log: LogArgs,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the binary can do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run the server
    ///
    /// A write is answered with 2xx when its rows are on disk. SIGTERM and SIGINT stop it: it answers what it has
    /// taken, for 25 seconds at most, and exits with 0; a second one ends it at once, with 128 plus the signal's
    /// number. SIGHUP reads the configuration again; if anything in it can't be used, the one before stays.
    #[command(after_long_help = help::SERVE)]
    Serve(ServeArgs),

    /// Check a configuration file
    ///
    /// Prints FILE: ok, or where and what is wrong as FILE:LINE:COLUMN: KEY: MESSAGE on stderr, with exit code 2. Host
    /// names are not looked up.
    #[command(after_long_help = help::CHECK)]
    Check(CheckArgs),

    /// Explain what a job's rules make of labels
    ///
    /// Goes through the rules of relabel_configs, or of metric_relabel_configs, one by one: what each looks at, whether
    /// it matches, what it changes, and which of them drops.
    #[command(after_long_help = help::RELABEL)]
    Relabel(RelabelArgs),

    /// Measure ingest rates, ours and others'
    Bench(Box<BenchArgs>),

    /// Look at a data directory, a live one too
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Log {
        /// What to look at.
        #[command(subcommand)]
        command: LogCommand,
    },
}

/// The arguments of `tidegate check`.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// The file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// The commands of `tidegate log`, which look at a data directory, a server's live one too.
#[derive(Subcommand, Clone, Debug)]
pub enum LogCommand {
    /// List the segments
    ///
    /// Exits with 1 where whole segments are lost; what is damaged within them is for verify to find.
    Ls(DataArgs),

    /// Print the rows
    ///
    /// In order of arrival. Of a live directory, all that was durable when it was asked, or with --follow what comes as
    /// well. What the format can't express is left out, counted on stderr, and makes the exit code 3. Damage costs what
    /// was damaged, is named on stderr, and makes the exit code 1.
    #[command(after_long_help = help::CAT)]
    Cat(CatArgs),

    /// Check every block, and say exactly what is lost
    ///
    /// Exits with 1 where there is damage.
    Verify(DataArgs),

    /// Count rows, samples, series and bytes
    ///
    /// By what the headers of blocks say, whether their rows can be read or not: that is for verify to find. Exits with
    /// 1 where whole segments are lost.
    Stats(DataArgs),
}

/// Which data directory.
#[derive(Args, Clone, Default, Debug)]
pub struct DataArgs {
    /// The data directory; it is never created [env: TIDEGATE_DATA] [default: ./tidegate-data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

impl DataArgs {
    /// The directory: of the flag, else of the environment, else the default.
    pub fn directory(&self, environment: Environment<'_>) -> PathBuf {
        let set = |value: &OsString| !value.is_empty();
        let variable = || environment("TIDEGATE_DATA").filter(set).map(PathBuf::from);
        self.data.clone().or_else(variable).unwrap_or_else(|| DIRECTORY_DEFAULT.into())
    }
}

/// The arguments of `tidegate log cat`.
#[derive(Args, Clone, Debug)]
pub struct CatArgs {
    /// Where.
    #[command(flatten)]
    pub data: DataArgs,

    /// The form of a row
    #[arg(long, value_enum, default_value_t = CatFormat::Ndjson)]
    pub format: CatFormat,

    /// Only series that a selector of PromQL takes, as in cpu{host=~"a.*"}; several widen
    #[arg(long = "match", value_name = "SELECTOR")]
    pub matches: Vec<String>,

    /// Only rows and exemplars of this time or later, no metadata
    ///
    /// RFC 3339 with a zone, now, a duration back from now as in -1h, or a whole number, which by its size is taken as
    /// seconds, milliseconds, microseconds or nanoseconds since 1970.
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub start: Option<Moment>,

    /// Only rows and exemplars before this time, no metadata
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub end: Option<Moment>,

    /// Print a row once: of those alike in everything, or of those of one series and time the last to arrive
    #[arg(long, value_enum)]
    pub dedup: Option<Dedup>,

    /// Go on with rows as they become durable; not with --dedup
    #[arg(long, conflicts_with = "dedup")]
    pub follow: bool,
}

/// The form of a printed row.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum CatFormat {
    /// A JSON object a line; every type keeps every bit.
    Ndjson,
    /// Line protocol; it has no form for some types.
    Influx,
}

/// Which of several rows is printed.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dedup {
    /// One of those alike in everything.
    Exact,
    /// The last to arrive of those of one series and time.
    Last,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[derive(Parser)]
    struct Log {
        #[command(subcommand)]
        command: LogCommand,
    }

    fn cat(arguments: &[&str]) -> Result<CatArgs, String> {
        let all = ["log", "cat"].iter().chain(arguments);
        match Log::try_parse_from(all).map(|log| log.command) {
            Ok(LogCommand::Cat(args)) => Ok(args),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
        Log::command().debug_assert();
    }

    #[test]
    fn cat_takes_what_is_documented() {
        let args = cat(&[
            "--data",
            "d",
            "--format",
            "influx",
            "--match",
            "a",
            "--match",
            "b{c=\"d\"}",
            "--start",
            "-1h",
            "--end",
            "-5",
            "--follow",
        ]);
        let args = args.unwrap();
        assert_eq!(args.data.data, Some("d".into()));
        assert_eq!((args.format, args.dedup, args.follow), (CatFormat::Influx, None, true));
        assert_eq!(args.matches, ["a", "b{c=\"d\"}"]);
        assert_eq!(args.start, Some(Moment::Ago(3_600_000_000_000)));
        assert_eq!(args.end, Some(Moment::At(-5_000_000_000)));

        let args = cat(&[]).unwrap();
        assert_eq!((args.format, args.dedup, args.follow), (CatFormat::Ndjson, None, false));
        assert_eq!(cat(&["--dedup", "last"]).unwrap().dedup, Some(Dedup::Last));
        assert!(cat(&["--dedup", "exact", "--follow"]).unwrap_err().contains("cannot be used with"));
        assert!(cat(&["--start", "soon"]).unwrap_err().contains("expected RFC 3339"));
    }

    #[test]
    fn a_data_directory_comes_from_flag_variable_or_default() {
        let set = |_: &str| Some(OsString::from("variable"));
        let flag = DataArgs { data: Some("flag".into()) };
        assert_eq!(flag.directory(&set), PathBuf::from("flag"));
        assert_eq!(DataArgs::default().directory(&set), PathBuf::from("variable"));
        assert_eq!(DataArgs::default().directory(&|_| Some("".into())), PathBuf::from("./tidegate-data"));
    }
}
