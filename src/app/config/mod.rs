//! What the process was told to do: flags, environment, one YAML file and defaults, made into one [`Config`].
//!
//! Comes in: [`ServeArgs`], a function that answers for the environment, what the [`Host`] has. Goes out: plain values
//! in which nothing is left to look up, or the first [`ConfigError`]. Keeps: flag before variable before file before
//! default; the same input gives the same result, so that a reload can be compared; a key that is not understood is
//! an error. Refuses to know what the values are for: the engine and the server are given what they need of them.

mod address;
mod document;
mod door;
mod error;
mod lines;
mod number;
mod origin;
pub mod prometheus;
mod relabel;
mod section;
mod setting;
mod sources;
#[cfg(test)]
mod tests;
mod yaml;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use address::Address;
pub use error::{ConfigError, Place};
pub use origin::Origins;
pub use prometheus::RemoteWrite;
pub use sources::{DIRECTORY_DEFAULT, LISTEN_DEFAULT};

use super::args::ServeArgs;
use super::host::Host;
use crate::scrape::Job;
use crate::serve::DoorOptions;
use crate::serve::lines::LineListener;
use document::Document;
use sources::{Sources, variable};

/// Everything that can be set.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// The file it was read from.
    pub file: Option<PathBuf>,
    /// Where to listen for HTTP; at least one, unless the file names addresses for lines alone.
    pub listen: Vec<Listener>,
    /// Where to listen for lines.
    pub lines: Vec<LineListener>,
    /// Where and how rows are kept.
    pub data: Data,
    /// What is taken at most.
    pub limits: Limits,
    /// Worker threads, at least one.
    pub workers: u32,
    /// What is scraped, in the file's order.
    pub jobs: Vec<Arc<Job>>,
    /// Which targets are this process's.
    pub shard: Shard,
    /// Labels that are added on the way out, by name; never stored.
    pub external_labels: Vec<(String, String)>,
    /// Where samples are to go.
    pub remote_write: Vec<RemoteWrite>,
    /// Keys of the file that are sound and do nothing yet; sorted.
    pub unsupported: Vec<String>,
    /// What is worth to be said of the file.
    pub warnings: Vec<String>,
    /// Where the file says what only a start takes over.
    pub origins: Origins,
}

/// `shard`: targets are spread over so many processes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shard {
    /// This process's number, below `count`.
    pub index: u32,
    /// How many processes there are; with one, all targets are its own.
    pub count: u32,
}

/// An address to listen on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listener {
    /// The address, looked up.
    pub address: SocketAddr,
    /// What is spoken there.
    pub protocol: Protocol,
    /// What is asked of who comes in there, and done with what they bring.
    pub door: DoorOptions,
}

/// What is spoken on a listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP/1.1, every path of every protocol over HTTP.
    Http,
}

/// `data`: where and how rows are kept.
#[derive(Clone, PartialEq, Debug)]
pub struct Data {
    /// The data directory, as written where it came from a flag or variable, else absolute or relative to the file's.
    pub directory: PathBuf,
    /// How long rows are kept after they arrived; `None` keeps them for ever.
    pub retention: Option<Duration>,
    /// How many bytes of log are kept; `None` is any number.
    pub retention_bytes: Option<u64>,
    /// The percentage of the file system that is kept free; the oldest rows go when there is less.
    pub free_space_min_percent: u8,
    /// How many bytes are kept beyond that because a cursor has not passed them.
    pub cursor_bytes_max: u64,
    /// The longest that a request's rows wait for others to share their commit.
    pub commit_linger: Duration,
    /// The longest that rows wait which nobody waits for.
    pub commit_interval: Duration,
    /// Commits in a second by all workers; 0 is any number.
    pub commits_per_second_max: u64,
    /// How the disk is driven.
    pub disk: Disk,
}

/// How the disk is driven.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disk {
    /// By io_uring where the system allows it, else by threads.
    Auto,
    /// By io_uring; not to start is better than to do without.
    IoUring,
    /// By threads.
    Threads,
}

/// `limits`: what is taken at most.
#[derive(Clone, PartialEq, Debug)]
pub struct Limits {
    /// Memory for tables, batches, bodies and connections, in bytes.
    pub memory_bytes: u64,
    /// Series at one time.
    pub series_max: u64,
    /// A request's body as it comes in, in bytes.
    pub body_bytes_max: u64,
    /// A request's body after decompression, in bytes.
    pub decoded_bytes_max: u64,
    /// Connections at one time.
    pub connections_max: u64,
    /// How long a request's head may take.
    pub header_timeout: Duration,
    /// How long a body may stand still.
    pub body_idle_timeout: Duration,
    /// How long a connection may have no request.
    pub idle_timeout: Duration,
}

/// Answers for the environment's variables, so that nothing here reads the process's own.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

impl Config {
    /// The configuration that flags, environment and file make together.
    ///
    /// # Errors
    /// The first setting that can't be used, with its place: a file that can't be read, a key or value that isn't
    /// understood, a host name that doesn't resolve.
    pub fn load(flags: &ServeArgs, environment: Environment<'_>, host: Host) -> Result<Config, ConfigError> {
        let file = match &flags.config {
            Some(path) => Some((path.clone(), "--config")),
            None => variable(environment, "TIDEGATE_CONFIG").map(|path| (path.into(), "TIDEGATE_CONFIG")),
        };
        let (path, document) = match file {
            Some((path, name)) => {
                let document = read_file(&path, Place::Name(name), environment)?;
                (Some(path), document)
            }
            None => (None, Document::default()),
        };
        let sources = Sources { path, document, flags, environment, host, resolve: &Address::resolve };
        sources.config()
    }

    /// The keys in which `next` differs.
    pub fn changes(&self, next: &Config) -> Vec<&'static str> {
        let bound = |listener: &Listener| (listener.address, listener.protocol);
        let (data, limits) = (&self.data, &self.limits);
        let compared = [
            (
                "listen",
                !self.listen.iter().map(bound).eq(next.listen.iter().map(bound)) || self.lines != next.lines,
            ),
            ("listen.*", !self.listen.iter().map(|l| &l.door).eq(next.listen.iter().map(|l| &l.door))),
            ("data.directory", data.directory != next.data.directory),
            ("data.retention", data.retention != next.data.retention),
            ("data.retention_size", data.retention_bytes != next.data.retention_bytes),
            ("data.free_space_min", data.free_space_min_percent != next.data.free_space_min_percent),
            ("data.cursor_size_max", data.cursor_bytes_max != next.data.cursor_bytes_max),
            ("data.commit_linger", data.commit_linger != next.data.commit_linger),
            ("data.commit_interval", data.commit_interval != next.data.commit_interval),
            ("data.commits_per_second_max", data.commits_per_second_max != next.data.commits_per_second_max),
            ("data.disk", data.disk != next.data.disk),
            ("limits.memory", limits.memory_bytes != next.limits.memory_bytes),
            ("limits.series_max", limits.series_max != next.limits.series_max),
            ("limits.body_size_max", limits.body_bytes_max != next.limits.body_bytes_max),
            ("limits.decoded_size_max", limits.decoded_bytes_max != next.limits.decoded_bytes_max),
            ("limits.connections_max", limits.connections_max != next.limits.connections_max),
            ("limits.header_timeout", limits.header_timeout != next.limits.header_timeout),
            ("limits.body_idle_timeout", limits.body_idle_timeout != next.limits.body_idle_timeout),
            ("limits.idle_timeout", limits.idle_timeout != next.limits.idle_timeout),
            ("workers", self.workers != next.workers),
            ("scrape_configs", self.jobs != next.jobs),
            ("shard", self.shard != next.shard),
            ("global.external_labels", self.external_labels != next.external_labels),
            ("remote_write", self.remote_write != next.remote_write),
        ];
        compared.iter().filter(|(_, differs)| *differs).map(|(key, _)| *key).collect()
    }

    /// Reads the file at `path` alone and checks what can be checked without the network: host names are not looked
    /// up, files that it names are. Gives warnings.
    ///
    /// # Errors
    /// As of [`Config::load`], and a file that is named and not there.
    pub fn check(path: &Path, host: Host) -> Result<Vec<String>, ConfigError> {
        let environment = &|_: &str| None;
        let document = read_file(path, Place::File(path.into()), environment)?;
        let mut warnings = document.prometheus.check()?;
        // A name stands for any address: with port 0 it is never taken for one that is listened on already.
        let resolve = |address: &Address| match address.host.parse::<IpAddr>() {
            Err(_) if !address.host.is_empty() => Ok((Ipv4Addr::UNSPECIFIED, 0).into()),
            _ => address.resolve(),
        };
        let flags = &ServeArgs::default();
        let sources =
            Sources { path: Some(path.into()), document, flags, environment, host, resolve: &resolve };
        let unsupported = sources.config()?.unsupported;
        warnings.extend(unsupported.iter().map(|key| format!("{}: {key}: {UNSUPPORTED}", path.display())));
        Ok(warnings)
    }

    /// Reads the jobs of the file at `path` alone, and which of their targets are this process's.
    ///
    /// # Errors
    /// What of the file can't be read.
    pub fn jobs(path: &Path) -> Result<(Vec<Arc<Job>>, Shard), ConfigError> {
        let document = read_file(path, Place::File(path.into()), &|_: &str| None)?;
        let shard = sources::shard(&document)?;
        Ok((document.prometheus.jobs, shard))
    }
}

/// What is said of a key that is read and does nothing.
pub const UNSUPPORTED: &str = "not supported by this version: it does nothing yet";

fn read_file(path: &Path, place: Place, environment: Environment<'_>) -> Result<Document, ConfigError> {
    let text = read_text(path).map_err(|error| {
        // A flag or variable is named for what it holds: say that too.
        let message = match place {
            Place::Name(_) => format!("{}: {error}", path.display()),
            _ => error.to_string(),
        };
        ConfigError { place, key: String::new(), message }
    })?;
    Document::read(path, &text, environment)
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 16 MiB"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let sound = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = sound.iter().filter(|&&byte| byte == b'\n').count() + 1;
        io::Error::new(io::ErrorKind::InvalidData, format!("invalid UTF-8 in line {line}"))
    })
}

const FILE_BYTES_MAX: u64 = 16 << 20;
