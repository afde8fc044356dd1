//! One server's runs, and what was measured around each.
//!
//! Comes in: a target and the bodies. Goes out: a [`Run`] per turn. Keeps: what is measured before and after a run
//! brackets all of its work and nothing of another server's; a figure that was not asked for or could not be had is
//! absent, not zero.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::BenchError;
use super::args::{BenchArgs, Protocol};
use super::bodies::Bodies;
use super::disk::{Size, directory_size, file_system, sync_probe_ns};
use super::http::Server;
use super::load::{Limit, Load, Outcome, Way};
use super::peer::{Kind, Peer, Taken};
use super::process::{Idle, Process};
use super::target::Target;
use crate::cli::progress::Progress;

/// A server that is measured.
pub(super) struct Contender {
    pub(super) target: Target,
    pub(super) peer: Peer,
    /// Path and query of the write.
    pub(super) path: String,
    pub(super) runs: Vec<Run>,
    /// What ended its runs before their number was full.
    pub(super) failure: Option<BenchError>,
    server: Server,
    /// Where it takes datagrams, if it is sent any.
    datagrams: Option<SocketAddr>,
    process: Option<Process>,
    request_next: u64,
}

/// What one run measured. Per-sample figures are per acknowledged sample.
#[derive(Clone, Debug, Default)]
pub(super) struct Run {
    pub(super) seconds: f64,
    pub(super) samples_per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
    /// The median 64 KiB write + fdatasync just before the run.
    pub(super) disk_probe_ms: Option<f64>,
    pub(super) samples_accepted: u64,
    pub(super) samples_rejected: u64,
    /// By the server's own count.
    pub(super) samples_counted: Option<u64>,
    pub(super) statuses: BTreeMap<u16, u64>,
    pub(super) first_refusal: Option<String>,
    pub(super) cpu_seconds_per_million: Option<f64>,
    /// Whether the server was idle when its CPU time was read.
    pub(super) idle_reached: Option<bool>,
    pub(super) memory_peak_bytes: Option<f64>,
    pub(super) bytes_per_sample_allocated: Option<f64>,
    pub(super) bytes_per_sample_length: Option<f64>,
    pub(super) bytes_per_sample_live: Option<f64>,
    /// What the load generator itself took.
    pub(super) generator_cpu_seconds_per_million: Option<f64>,
    pub(super) times_repeated: bool,
}

/// Readings before a run.
struct Before {
    disk_probe_ms: Option<f64>,
    taken: Option<Taken>,
    cpu_seconds: Option<f64>,
    memory_reset: bool,
    size: Option<Size>,
    live_bytes: Option<f64>,
    generator_cpu_seconds: Option<f64>,
}

impl Contender {
    /// Finds a server, asks it who it is, and looks at its process and directory.
    ///
    /// # Errors
    /// One of them is not there.
    pub(super) fn meet(target: &Target, protocol: Protocol) -> Result<Contender, BenchError> {
        let lost = |source| BenchError::Server { target: target.authority().to_owned(), source };
        let server = Server::resolve(target.authority()).map_err(lost)?;
        let peer = Peer::detect(&server, protocol).map_err(lost)?;
        peer.prepare(&server).map_err(lost)?;
        let process = match target.pid {
            Some(pid) => Some(Process::new(pid).map_err(|source| BenchError::Process { pid, source })?),
            None => None,
        };
        if let Some(path) = &target.data {
            sized(path)?;
        }
        let datagrams = match &target.udp {
            Some(udp) if protocol == Protocol::Statsd => udp.to_socket_addrs().map_err(lost)?.next(),
            _ => None,
        };
        let path = target.path.clone().unwrap_or_else(|| peer.write_path().to_owned());
        Ok(Contender {
            target: target.clone(),
            peer,
            path,
            runs: Vec::new(),
            failure: None,
            server,
            datagrams,
            process,
            request_next: 0,
        })
    }

    /// The name in results: what it says it is, else where it is.
    pub(super) fn name(&self) -> String {
        match self.peer.kind {
            Kind::Unknown => self.target.authority().to_owned(),
            kind => format!("{} {}", kind.name(), self.peer.version).trim_end().to_owned(),
        }
    }

    /// The file system that its data is on; without a directory, the one of temporary files, which is then probed.
    pub(super) fn file_system(&self) -> Option<String> {
        file_system(&self.probe_directory())
    }

    /// Does one run.
    ///
    /// # Errors
    /// The server, its process or its directory went away.
    pub(super) fn run(&mut self, args: &BenchArgs, bodies: &Bodies, number: u32) -> Result<(), BenchError> {
        let limit = match args.samples {
            Some(samples) => Limit::Samples(samples.get()),
            None => Limit::Duration(args.duration.unwrap_or(DURATION_DEFAULT)),
        };
        let progress = match limit {
            Limit::Samples(samples) => Progress::of(samples, "samples"),
            Limit::Duration(_) => Progress::counted("samples"),
        };
        let step = |name: &str| progress.step(&format!("{}, run {number}: {name}", self.name()));
        step("waiting until idle");
        let before = self.before()?;
        step("sending");
        let headers = args.protocol.headers(args.encoding);
        let way = match self.datagrams {
            Some(address) => Way::Datagrams(address),
            None => Way::Http { server: &self.server, path: &self.path, headers: &headers },
        };
        let load = Load {
            bodies,
            way,
            connections: args.connections,
            limit,
            rate: args.rate.map(std::num::NonZeroU64::get),
        };
        let mut outcome = load.run(self.request_next, &progress).map_err(|source| self.lost(source))?;
        step("waiting until idle");
        let run = self.after(&before, &mut outcome, bodies)?;
        self.request_next = outcome.request_next;
        self.runs.push(run);
        Ok(())
    }

    /// Reads what there is to read, and the CPU time last: what asking costs the server is not the run's, nor is what
    /// an earlier run left behind to do.
    fn before(&self) -> Result<Before, BenchError> {
        let disk_probe_ms = sync_probe_ns(&self.probe_directory()).ok().map(|ns| ns as f64 / NS_PER_MS);
        let (taken, live_bytes) = self.told()?;
        let size = self.size()?;
        let idle = self.wait_until_idle(Duration::ZERO)?;
        Ok(Before {
            disk_probe_ms,
            taken,
            live_bytes,
            size,
            memory_reset: self.process.is_some_and(Process::reset_memory_peak),
            cpu_seconds: idle.map(|idle| idle.cpu_seconds),
            generator_cpu_seconds: Process::own().cpu_seconds().ok(),
        })
    }

    /// The other readings, CPU time first.
    fn after(&self, before: &Before, outcome: &mut Outcome, bodies: &Bodies) -> Result<Run, BenchError> {
        let generator_cpu_seconds = Process::own().cpu_seconds().ok();
        let idle = self.wait_until_idle(SETTLE)?;
        let memory_peak_bytes = self.memory_peak_bytes(before)?;
        let (taken, live_bytes) = self.told()?;
        let size = self.size()?.zip(before.size);
        let mut counted = taken
            .zip(before.taken)
            .and_then(|(after, before)| after.samples_since(before, bodies.samples_per_line()));
        if self.datagrams.is_some() {
            // What was not read was lost; there is no second count to hold the server's against.
            let read = counted.take().map(|datagrams| datagrams * bodies.place(0).samples);
            outcome.lose_all_but(read.unwrap_or(outcome.samples_accepted));
        }

        let samples = outcome.samples_accepted as f64;
        let per_sample = |after: f64, before: f64| (samples > 0.0).then(|| (after - before) / samples);
        let per_million = |after: Option<f64>, before: Option<f64>| {
            after
                .zip(before)
                .and_then(|(after, before)| per_sample(after, before))
                .map(|per_sample| per_sample * 1e6)
        };
        let grown = |bytes: fn(Size) -> u64| {
            size.and_then(|(after, before)| per_sample(bytes(after) as f64, bytes(before) as f64))
        };
        let seconds = outcome.elapsed_ns as f64 / 1e9;
        Ok(Run {
            seconds,
            samples_per_second: if seconds > 0.0 { samples / seconds } else { 0.0 },
            p50_ms: outcome.latency_ns.percentile(0.50) as f64 / NS_PER_MS,
            p99_ms: outcome.latency_ns.percentile(0.99) as f64 / NS_PER_MS,
            max_ms: outcome.latency_ns.max() as f64 / NS_PER_MS,
            disk_probe_ms: before.disk_probe_ms,
            samples_accepted: outcome.samples_accepted,
            samples_rejected: outcome.samples_rejected,
            samples_counted: counted,
            statuses: outcome.statuses.clone(),
            first_refusal: outcome.first_refusal.clone(),
            cpu_seconds_per_million: per_million(idle.map(|idle| idle.cpu_seconds), before.cpu_seconds),
            idle_reached: idle.map(|idle| idle.reached),
            memory_peak_bytes,
            bytes_per_sample_allocated: grown(|size| size.allocated),
            bytes_per_sample_length: grown(|size| size.length),
            bytes_per_sample_live: live_bytes
                .zip(before.live_bytes)
                .and_then(|(after, before)| per_sample(after, before)),
            generator_cpu_seconds_per_million: per_million(
                generator_cpu_seconds,
                before.generator_cpu_seconds,
            ),
            times_repeated: bodies.has_repeated_times(outcome.request_next),
        })
    }

    /// What the server says it took, and how many bytes that is.
    fn told(&self) -> Result<(Option<Taken>, Option<f64>), BenchError> {
        let taken = self.peer.taken(&self.server).map_err(|source| self.lost(source))?;
        let live_bytes = self.peer.live_bytes(&self.server).map_err(|source| self.lost(source))?;
        Ok((taken, live_bytes))
    }

    fn wait_until_idle(&self, settle: Duration) -> Result<Option<Idle>, BenchError> {
        match self.process {
            Some(process) => process.wait_until_idle(settle).map(Some).map_err(|source| self.gone(source)),
            None => {
                if self.target.data.is_some() {
                    std::thread::sleep(settle);
                }
                Ok(None)
            }
        }
    }

    /// Without a reset the peak is the process's whole life's, which in a first run is still an upper bound.
    fn memory_peak_bytes(&self, before: &Before) -> Result<Option<f64>, BenchError> {
        let process = self.process.filter(|_| before.memory_reset || self.runs.is_empty());
        let peak = process.map(Process::memory_peak_bytes).transpose().map_err(|source| self.gone(source))?;
        Ok(peak.map(|bytes| bytes as f64))
    }

    fn size(&self) -> Result<Option<Size>, BenchError> {
        self.target.data.as_deref().map(sized).transpose()
    }

    fn probe_directory(&self) -> PathBuf {
        self.target.data.clone().unwrap_or_else(std::env::temp_dir)
    }

    fn lost(&self, source: io::Error) -> BenchError {
        BenchError::Server { target: self.target.authority().to_owned(), source }
    }

    fn gone(&self, source: io::Error) -> BenchError {
        BenchError::Process { pid: self.target.pid.unwrap_or_default(), source }
    }
}

fn sized(path: &Path) -> Result<Size, BenchError> {
    directory_size(path).map_err(|source| BenchError::Directory { path: path.to_owned(), source })
}

/// Servers that acknowledge from memory write a little later: VictoriaMetrics 5 s. Counted for everybody alike.
const SETTLE: Duration = Duration::from_secs(6);
const DURATION_DEFAULT: Duration = Duration::from_secs(10);
const NS_PER_MS: f64 = 1e6;
