//! Where each setting is looked for, in which order, within which bounds, and what it is when nobody says.
//!
//! Comes in: the flags, the environment, the parsed file, the host. Goes out: a [`Config`]. Keeps: flag before variable
//! before file before default; every key, bound and default is written here and nowhere else.

use std::ffi::OsString;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::document::{Document, ListenSection};
use super::door::door;
use super::lines::{LINE_PROTOCOLS, LineSection, has_own_port, is_lines};
use super::setting::{Setting, read};
use super::{
    Address, Config, ConfigError, Data, Disk, Environment, Limits, Listener, Origins, Place, Protocol, Shard,
};
use crate::app::args::ServeArgs;
use crate::app::host::Host;
use crate::app::units::{SIZE_BYTES_MAX, SPAN_MS_MAX, Share};
use crate::engine::{CURSOR_BYTES_MAX, WORKERS_MAX};
use crate::serve::DoorOptions;
use crate::serve::lines::LineListener;

/// Everything that settings are looked for in.
pub(super) struct Sources<'a> {
    pub(super) path: Option<PathBuf>,
    pub(super) document: Document,
    pub(super) flags: &'a ServeArgs,
    pub(super) environment: Environment<'a>,
    pub(super) host: Host,
    pub(super) resolve: &'a dyn Fn(&Address) -> io::Result<SocketAddr>,
}

/// `name` of the environment, where it is set to something.
pub(super) fn variable(environment: Environment<'_>, name: &str) -> Option<OsString> {
    environment(name).filter(|value| !value.is_empty())
}

/// `shard` of a file.
pub(super) fn shard(document: &Document) -> Result<Shard, ConfigError> {
    let Some(section) = &document.shard else { return Ok(Shard { index: 0, count: 1 }) };
    let count = section.count.count(1..=SHARDS_MAX)?;
    let index = section.index.count(0..=count - 1)?;
    // What is within the bound fits its type.
    Ok(Shard { index: index as u32, count: count as u32 })
}

impl Sources<'_> {
    pub(super) fn config(&self) -> Result<Config, ConfigError> {
        Ok(Config {
            listen: self.listen()?,
            lines: self.lines()?,
            data: self.data()?,
            limits: self.limits()?,
            workers: self.workers()?,
            file: self.path.clone(),
            jobs: self.document.prometheus.jobs.clone(),
            shard: shard(&self.document)?,
            external_labels: self.document.prometheus.external_labels.clone(),
            remote_write: self.document.prometheus.remote_write.clone(),
            unsupported: self.document.prometheus.remarks.unsupported.clone(),
            warnings: self.document.prometheus.remarks.warnings.clone(),
            origins: Origins::read(&self.document),
        })
    }

    /// Each address as a setting, from the first source that has any, with its section beside it where it is the file.
    fn addresses(&self) -> Vec<(Setting, Option<&ListenSection>)> {
        let plain = |text: &str, place| {
            (Setting { key: "listen".into(), text: text.into(), place, is_quoted: true }, None)
        };
        if !self.flags.listen.is_empty() {
            return self.flags.listen.iter().map(|text| plain(text, Place::Name("--listen"))).collect();
        }
        if let Some(list) = variable(self.environment, "TIDEGATE_LISTEN") {
            let list = list.to_string_lossy();
            return list.split(',').map(|text| plain(text.trim(), Place::Name("TIDEGATE_LISTEN"))).collect();
        }
        let Some(list) = &self.document.listen else {
            return vec![plain(LISTEN_DEFAULT, Place::Default)];
        };
        let http = list.sections.iter().filter(|section| !is_lines(section));
        http.map(|section| (section.address.clone(), Some(section))).collect()
    }

    fn listen(&self) -> Result<Vec<Listener>, ConfigError> {
        let mut listeners: Vec<Listener> = Vec::new();
        for (setting, section) in self.addresses() {
            let protocol = section.and_then(|section| section.protocol.as_ref());
            let protocol = protocol.map_or(Ok(Protocol::Http), spoken)?;
            let address = address_of(&setting, section)?;
            let resolved = (self.resolve)(&address);
            let address = resolved.map_err(|error| setting.refuse(format!("{address}: {error}")))?;
            // With port 0 each gets a port of its own.
            if address.port() != 0 && listeners.iter().any(|listener| listener.address == address) {
                return Err(setting.refuse(format!("{:?} is listened on already", setting.text)));
            }
            if listeners.len() == LISTENERS_MAX {
                return Err(setting.refuse(format!("more than {LISTENERS_MAX} addresses")));
            }
            let door = match (section, &self.path) {
                (Some(section), Some(path)) => door(path, section)?,
                _ => DoorOptions::default(),
            };
            listeners.push(Listener { address, protocol, door });
        }
        if listeners.is_empty() && self.line_sections().next().is_none() {
            return Err(self.refuse_empty_list());
        }
        Ok(listeners)
    }

    /// The elements of the file's list that are for lines. Flag and variable name addresses for HTTP, and stand in the
    /// place of those alone.
    fn line_sections(&self) -> impl Iterator<Item = &ListenSection> {
        let sections = self.document.listen.iter().flat_map(|list| &list.sections);
        sections.filter(|section| is_lines(section))
    }

    fn lines(&self) -> Result<Vec<LineListener>, ConfigError> {
        let Some(path) = &self.path else { return Ok(Vec::new()) };
        let mut listeners: Vec<LineListener> = Vec::new();
        for section in self.line_sections() {
            let listener = LineSection { path, section, resolve: self.resolve }.listener()?;
            let address = &section.address;
            let shared = !has_own_port(&listener.endpoint)
                && listeners.iter().any(|other| other.endpoint == listener.endpoint);
            if shared {
                return Err(address.refuse(format!("{:?} is listened on already", address.text)));
            }
            if listeners.len() == LISTENERS_MAX {
                return Err(address.refuse(format!("more than {LISTENERS_MAX} addresses")));
            }
            listeners.push(listener);
        }
        Ok(listeners)
    }

    /// Only the file can have a list and nothing in it.
    fn refuse_empty_list(&self) -> ConfigError {
        let place = self.document.listen.as_ref().map_or(Place::Default, |list| list.place.clone());
        ConfigError { place, key: "listen".into(), message: "names no address".into() }
    }

    fn directory(&self) -> Result<PathBuf, ConfigError> {
        if let Some(directory) = &self.flags.data {
            return Ok(directory.clone());
        }
        if let Some(directory) = variable(self.environment, "TIDEGATE_DATA") {
            return Ok(directory.into());
        }
        if let Some(setting) = &self.document.data.directory {
            if setting.text.is_empty() {
                return Err(setting.refuse("empty"));
            }
            // Relative to the file, so that it means the same wherever the server is started from.
            let beside = self.path.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
            return Ok(beside.join(&setting.text));
        }
        if let Some(directories) = variable(self.environment, "STATE_DIRECTORY") {
            // systemd separates several by colons.
            return Ok(directories.to_string_lossy().split(':').next().unwrap_or(DIRECTORY_DEFAULT).into());
        }
        Ok(DIRECTORY_DEFAULT.into())
    }

    fn data(&self) -> Result<Data, ConfigError> {
        let data = &self.document.data;
        let disks = [("auto", Disk::Auto), ("io_uring", Disk::IoUring), ("threads", Disk::Threads)];
        let commit_interval = read(&data.commit_interval, Duration::from_millis(200), |s| {
            s.duration(1..=COMMIT_INTERVAL_MS_MAX)
        })?;
        // A request's rows never wait longer than those that nobody waits for.
        let linger_ms_max = commit_interval.as_millis() as u64;
        let linger_default = Duration::from_millis(2).min(commit_interval);
        Ok(Data {
            directory: self.directory()?,
            retention: read(&data.retention, Some(RETENTION_DEFAULT), |s| {
                s.duration(0..=SPAN_MS_MAX).map(|span| Some(span).filter(|span| !span.is_zero()))
            })?,
            retention_bytes: read(&data.retention_size, None, |s| {
                s.size(0..=SIZE_BYTES_MAX).map(|bytes| Some(bytes).filter(|bytes| *bytes > 0))
            })?,
            free_space_min_percent: read(&data.free_space_min, 5, whole_percent)?,
            cursor_bytes_max: read(&data.cursor_size_max, CURSOR_BYTES_MAX, |s| s.size(0..=SIZE_BYTES_MAX))?,
            commit_linger: read(&data.commit_linger, linger_default, |s| s.duration(0..=linger_ms_max))?,
            commit_interval,
            commits_per_second_max: read(&data.commits_per_second_max, 0, |s| {
                s.count(0..=COMMITS_PER_SECOND_MAX)
            })?,
            disk: read(&data.disk, Disk::Auto, |s| s.choice(&disks))?,
        })
    }

    fn limits(&self) -> Result<Limits, ConfigError> {
        let limits = &self.document.limits;
        let body = |text, default| read(text, default, |s| s.size(1024..=BODY_BYTES_MAX));
        let timeout = |text, default_s| {
            read(text, Duration::from_secs(default_s), |s| s.duration(100..=TIMEOUT_MS_MAX))
        };
        Ok(Limits {
            memory_bytes: self.memory(&limits.memory)?,
            series_max: read(&limits.series_max, 10_000_000, |s| s.count(1..=SERIES_MAX))?,
            body_bytes_max: body(&limits.body_size_max, 64 << 20)?,
            decoded_bytes_max: body(&limits.decoded_size_max, 256 << 20)?,
            connections_max: read(&limits.connections_max, 16_384, |s| s.count(1..=CONNECTIONS_MAX))?,
            header_timeout: timeout(&limits.header_timeout, 10)?,
            body_idle_timeout: timeout(&limits.body_idle_timeout, 30)?,
            idle_timeout: timeout(&limits.idle_timeout, 120)?,
        })
    }

    fn workers(&self) -> Result<u32, ConfigError> {
        let default = u32::try_from(self.host.cores).unwrap_or(WORKERS_MAX).min(WORKERS_MAX);
        // What is within the bound fits its type.
        read(&self.document.workers, default, |s| {
            s.count(1..=u64::from(WORKERS_MAX)).map(|workers| workers as u32)
        })
    }

    /// A size, or a share of what the process may use. The default share never goes below the least that works.
    fn memory(&self, text: &Option<Setting>) -> Result<u64, ConfigError> {
        let default = MEMORY_SHARE_DEFAULT.of(self.host.memory_bytes).max(MEMORY_BYTES_MIN);
        read(text, default, |setting| {
            if !setting.text.ends_with('%') {
                return setting.size(MEMORY_BYTES_MIN..=SIZE_BYTES_MAX);
            }
            let bytes = setting.share(100..=9_000)?.of(self.host.memory_bytes);
            if bytes < MEMORY_BYTES_MIN {
                let least = MEMORY_BYTES_MIN >> 20;
                return Err(setting.refuse(format!("{:?} of this machine is under {least}MiB", setting.text)));
            }
            Ok(bytes)
        })
    }
}

/// Free space in whole percent: finer would promise more than a file system's own reserve allows to say.
fn whole_percent(setting: &Setting) -> Result<u8, ConfigError> {
    let share = setting.share(0..=FREE_SPACE_BASIS_POINTS_MAX)?;
    match u8::try_from(share.basis_points / 100) {
        Ok(percent) if share.basis_points.is_multiple_of(100) => Ok(percent),
        _ => Err(setting.refuse(format!("{:?}: must be a whole percentage", setting.text))),
    }
}

/// A host and a port; their scheme may be said.
fn address_of(setting: &Setting, section: Option<&ListenSection>) -> Result<Address, ConfigError> {
    let text = setting.text.as_str();
    let plain = text.strip_prefix("tcp://").unwrap_or(text);
    let is_for_lines = ["udp://", "unix://", "unixgram://"].iter().any(|scheme| text.starts_with(scheme));
    if is_for_lines && section.is_some_and(|section| section.protocol.is_none()) {
        let known = LINE_PROTOCOLS.join(", ");
        return Err(setting.refuse(format!("{text:?} is for lines, and protocol is missing: one of {known}")));
    }
    plain.parse().map_err(|error| setting.refuse(format!("{text:?}: {error}")))
}

fn spoken(protocol: &Setting) -> Result<Protocol, ConfigError> {
    if PROTOCOLS_LATER.contains(&protocol.text.as_str()) {
        return Err(protocol.refuse(format!("{:?} is not supported by this version", protocol.text)));
    }
    // The others are read elsewhere; here they are only to be suggested.
    let known: Vec<(&str, Protocol)> =
        ["http"].iter().chain(&LINE_PROTOCOLS).map(|name| (*name, Protocol::Http)).collect();
    protocol.choice(&known)
}

/// Listened on when nothing else is said.
pub const LISTEN_DEFAULT: &str = "127.0.0.1:9480";

/// Kept in when nothing else is said.
pub const DIRECTORY_DEFAULT: &str = "./tidegate-data";

/// Protocols that a later version will speak on listeners of their own.
const PROTOCOLS_LATER: [&str; 1] = ["otlp-grpc"];

const RETENTION_DEFAULT: Duration = Duration::from_secs(15 * 24 * 60 * 60);
const MEMORY_SHARE_DEFAULT: Share = Share { basis_points: 2_500 };

const SHARDS_MAX: u64 = 10_000;
const LISTENERS_MAX: usize = 64;
const COMMIT_INTERVAL_MS_MAX: u64 = 60 * 1000;
const COMMITS_PER_SECOND_MAX: u64 = 1_000_000;
const FREE_SPACE_BASIS_POINTS_MAX: u32 = 9_000;
const SERIES_MAX: u64 = 4_000_000_000;
const CONNECTIONS_MAX: u64 = 1_000_000;
const TIMEOUT_MS_MAX: u64 = 60 * 60 * 1000;

/// A body is at most so large, whatever is configured: offsets into it fit 32 bits with their sign.
const BODY_BYTES_MAX: u64 = 2 << 30;

/// The least budget: a batch of 8 MiB filling, one in flight, and as much for tables and bodies.
const MEMORY_BYTES_MIN: u64 = 32 << 20;
