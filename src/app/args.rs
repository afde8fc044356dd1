//! The flags that the process itself understands; each can be given as a variable of the environment too.

use std::path::PathBuf;

use clap::Args;

/// The flags of `tidegate serve`.
#[derive(Args, Clone, Default, Debug)]
pub struct ServeArgs {
    /// The configuration file; without it every setting has its default [env: TIDEGATE_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// The data directory, created if it is missing [env: TIDEGATE_DATA] [default: ./tidegate-data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Where to listen for HTTP; replaces the file's list, can be repeated [env: TIDEGATE_LISTEN]
    /// [default: 127.0.0.1:9480]
    ///
    /// HOST:PORT. Without a host it is every address of this machine. Port 0 takes a free one; the log names it.
    #[arg(long, value_name = "ADDR")]
    pub listen: Vec<String>,
}

/// The flags of logging, which every command takes.
#[derive(Args, Clone, Default, Debug)]
pub struct LogArgs {
    /// Log what is at least as grave: error, warn, info, debug, trace [env: TIDEGATE_LOG_LEVEL] [default: info]
    #[arg(long, value_name = "LEVEL", global = true)]
    pub log_level: Option<String>,

    /// The form of log lines: logfmt, json [env: TIDEGATE_LOG_FORMAT] [default: logfmt]
    #[arg(long, value_name = "FORMAT", global = true)]
    pub log_format: Option<String>,
}
