//! The life of the server's process: configuration, logging, signals, start, reload, drain.
//!
//! Comes in: the flags of `serve` and the environment. Goes out: how it ended. Keeps: nothing is opened before the
//! configuration is known to be sound; a reload is taken whole or not at all.

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info, warn};

use crate::engine::{self, CommitPolicy, Engine, Options};
use crate::http::{HttpLimits, Timeouts};
use crate::log::Retention;
use crate::log::disk::Backend;
use crate::scrape::ProxyEnvironment;
use crate::scrape::targets::Shard;
use crate::serve::{ReloadHook, ServeOptions, Server, Settings};

use super::args::{LogArgs, ServeArgs};
use super::config::{Config, ConfigError, Disk, Environment, UNSUPPORTED};
use super::descriptors;
use super::host::Host;
use super::logging::LogOptions;
use super::requests::{Request, Requests};
use super::scraping::Scraping;
use super::sights::Sights;
use super::signals::{self, Signal};

/// Why the server's process ended other than by being asked to.
#[derive(Debug)]
pub enum ServeError {
    /// It was not started: a setting can't be used.
    Config(ConfigError),
    /// It could not start, or could not go on.
    Failed(String),
}

/// Runs the server until it is asked to stop.
///
/// # Errors
/// A setting that can't be used, or whatever kept it from starting or going on.
pub fn serve(flags: &ServeArgs, log: &LogArgs, environment: Environment<'_>) -> Result<(), ServeError> {
    let options = LogOptions::resolve(log, environment).map_err(ServeError::Config)?;
    let load = || Config::load(flags, environment, Host::probe());
    let config = load().map_err(ServeError::Config)?;
    options.start().map_err(|error| ServeError::Failed(error.to_string()))?;
    if let Err(error) = descriptors::raise_limit() {
        warn!(%error, "the limit on open files could not be raised");
    }
    let requests = Arc::new(Requests::default());
    let asking = Arc::clone(&requests);
    signals::listen(move |signal| asking.ask(signal.into()))
        .map_err(|error| ServeError::Failed(format!("signals: {error}")))?;
    // A name or address that is no text is nobody's.
    let proxies = ProxyEnvironment::read(|name| environment(name).and_then(|value| value.into_string().ok()));
    let scraping = Scraping::new(config.workers as usize, proxies);
    let sights = Sights::new(Arc::clone(scraping.control().board()));
    let server = start(&config, &requests, &scraping, &sights)?;
    attend(server, config, &scraping, &sights, &requests, &load)
}

/// Does what is asked of a running server until it has stopped.
fn attend(
    server: Server,
    mut config: Config,
    scraping: &Scraping,
    sights: &Sights,
    requests: &Arc<Requests>,
    load: &dyn Fn() -> Result<Config, ConfigError>,
) -> Result<(), ServeError> {
    let control = server.control();
    scraping.started(control.clone());
    let finder = scraping.find(config.jobs.clone(), shard(&config));
    let finder = Arc::new(finder.map_err(|error| ServeError::Failed(format!("discovery: {error}")))?);
    sights.show(Arc::clone(&finder));
    remark(&config);
    let asking = Arc::clone(requests);
    let watch = move || {
        let ended = server.join();
        asking.ask(ended.map_or_else(Request::Fail, |()| Request::Stopped));
    };
    let watching = engine::spawn("watch", Box::new(watch));
    watching.map_err(|error| ServeError::Failed(format!("thread: {error}")))?;
    loop {
        match requests.wait(TURN) {
            None => {}
            Some(Request::Reload) => {
                let round = control.reload_begins();
                let next = reload(&config, load)
                    .and_then(|next| control.apply(&settings(&next), next.limits.series_max).map(|()| next));
                control.reloaded(round, next.as_ref().map(drop).map_err(String::as_str));
                if let Ok(next) = &next {
                    remark(next);
                    finder.set_jobs(next.jobs.clone(), shard(next));
                }
                // Said when it is so: whoever reads this may count on the metrics saying the same.
                match &next {
                    Ok(_) => info!("configuration reloaded"),
                    Err(why) => error!(error = why, "configuration not reloaded: the one before stays"),
                }
                config = next.unwrap_or(config);
            }
            Some(Request::Drain) => {
                control.drain();
                // Said when it is so: whoever reads this may count on `/ready` answering 503.
                info!("draining");
            }
            Some(Request::Stopped) => break,
            Some(Request::Fail(why)) => return Err(ServeError::Failed(why)),
        }
    }
    info!("stopped");
    Ok(())
}

/// Binds, opens the log, and starts to serve.
fn start(
    config: &Config,
    requests: &Arc<Requests>,
    scraping: &Scraping,
    sights: &Sights,
) -> Result<Server, ServeError> {
    let data = &config.data;
    if data.disk == Disk::IoUring {
        let refused = |error| ServeError::Failed(format!("data.disk: io_uring is refused here: {error}"));
        Backend::Uring.check().map_err(refused)?;
    }
    let options = Options {
        workers: config.workers,
        backend: match data.disk {
            Disk::Auto => None,
            Disk::IoUring => Some(Backend::Uring),
            Disk::Threads => Some(Backend::Threads),
        },
        commit: CommitPolicy {
            linger_ns: data.commit_linger.as_nanos() as u64,
            interval_ns: data.commit_interval.as_nanos() as u64,
        },
        commits_per_second_max: u32::try_from(data.commits_per_second_max).unwrap_or(u32::MAX),
        series_max: config.limits.series_max,
        retention: Retention {
            age_ns: data.retention.map(|age| age.as_nanos() as u64),
            bytes_max: data.retention_bytes,
            free_percent_min: data.free_space_min_percent,
            cursor_bytes_max: data.cursor_bytes_max,
        },
        ..Options::new(&data.directory)
    };
    let asking = Arc::clone(requests);
    let serve = ServeOptions {
        listen: config.listen.iter().map(|l| l.address).collect(),
        settings: settings(config),
        reload: Some(ReloadHook(Arc::new(move || asking.ask(Request::Reload)))),
        lines: config.lines.clone(),
        companion: Some(scraping.hook()),
        panels: Some(sights.hook()),
        ..ServeOptions::default()
    };
    let server = Server::start(|| Engine::open(options), serve)
        .map_err(|error| ServeError::Failed(error.to_string()))?;
    let addresses: Vec<String> = server.addresses().iter().map(ToString::to_string).collect();
    for (listener, at) in config.lines.iter().zip(server.line_addresses()) {
        info!(protocol = listener.protocol.name(), address = %at, "listening for lines");
    }
    info!(
        listen = addresses.join(","),
        data = %data.directory.display(),
        disk = server.backend_name(),
        workers = config.workers,
        "started"
    );
    Ok(server)
}

/// Says what there is to be said of a configuration that was taken.
fn remark(config: &Config) {
    for key in &config.unsupported {
        warn!(key, "{UNSUPPORTED}");
    }
    for warning in &config.warnings {
        warn!("{warning}");
    }
}

/// What of a configuration a running server takes over.
fn settings(config: &Config) -> Settings {
    let limits = &config.limits;
    let millis = |duration: Duration| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
    Settings {
        memory_bytes_max: limits.memory_bytes,
        connections_max: usize::try_from(limits.connections_max).unwrap_or(usize::MAX),
        http: HttpLimits {
            body_bytes_max: limits.body_bytes_max,
            decoded_bytes_max: limits.decoded_bytes_max,
            ..HttpLimits::default()
        },
        timeouts: Timeouts {
            idle_ms: millis(limits.idle_timeout),
            head_ms: millis(limits.header_timeout),
            stall_ms: millis(limits.body_idle_timeout),
            ..Timeouts::default()
        },
        doors: config.listen.iter().map(|listener| listener.door.clone()).collect(),
        unsupported: config.unsupported.clone(),
    }
}

/// Which targets are this process's.
fn shard(config: &Config) -> Shard {
    Shard { index: config.shard.index, count: config.shard.count }
}

/// The next configuration, if it can be taken over whole while the server runs.
fn reload(now: &Config, load: &dyn Fn() -> Result<Config, ConfigError>) -> Result<Config, String> {
    let next = load().map_err(|error| error.to_string())?;
    let mut fixed = now.changes(&next);
    fixed.retain(|key| !LIVE.contains(key));
    if fixed.is_empty() {
        return Ok(next);
    }
    let refused: Vec<String> = fixed.iter().map(|key| now.refuse_change(&next, key).to_string()).collect();
    Err(refused.join("; "))
}

impl From<Signal> for Request {
    fn from(signal: Signal) -> Request {
        match signal {
            Signal::Drain => Request::Drain,
            Signal::Reload => Request::Reload,
        }
    }
}

impl Display for ServeError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            ServeError::Config(error) => error.fmt(f),
            ServeError::Failed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for ServeError {}

/// The keys that a running server takes over: what is asked at a listener, all limits, and what is scraped. To take a
/// file and not do what it says of others would be worse than to refuse it.
const LIVE: [&str; 13] = [
    "listen.*",
    "limits.memory",
    "limits.series_max",
    "limits.body_size_max",
    "limits.decoded_size_max",
    "limits.connections_max",
    "limits.header_timeout",
    "limits.body_idle_timeout",
    "limits.idle_timeout",
    "scrape_configs",
    "shard",
    "global.external_labels",
    "remote_write",
];

/// How long to wait for a request at one time.
const TURN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, SocketAddr, TcpStream};

    use super::*;
    use crate::log::LogError;
    use crate::reader::{Finding, Reader};

    /// Sends a request, and reads until the connection is closed.
    fn ask(address: SocketAddr, request: &str) -> String {
        let mut connection = TcpStream::connect(address).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        connection.write_all(request.as_bytes()).unwrap();
        let mut reply = String::new();
        connection.read_to_string(&mut reply).unwrap();
        reply
    }

    #[test]
    fn a_worker_that_panics_takes_the_process_down_and_the_log_stays_sound() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().to_owned();
        // What a worker calls into is the only way to make one panic from outside.
        let reload = ReloadHook(Arc::new(|| panic!("asked to panic")));
        let serve = ServeOptions {
            listen: vec![(Ipv4Addr::LOCALHOST, 0).into()],
            reload: Some(reload),
            ..ServeOptions::default()
        };
        let options = Options { workers: 2, ..Options::new(&data) };
        let server = Server::start(|| Engine::open(options), serve).unwrap();
        let address = server.addresses()[0];

        let write =
            "POST /write HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 10\r\n\r\ncpu v=1 1\n";
        assert!(ask(address, write).starts_with("HTTP/1.1 204"));
        let crashing = std::thread::spawn(move || {
            let mut connection = TcpStream::connect(address).unwrap();
            connection.write_all(b"POST /-/reload HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        });
        let config = Config::load(&ServeArgs::default(), &|_| None, Host::probe()).unwrap();
        let scraping = Scraping::new(2, ProxyEnvironment::default());
        let sights = Sights::new(Arc::clone(scraping.control().board()));
        let nobody_reloads = || unreachable!("the hook panics first");
        let ended = attend(server, config, &scraping, &sights, &Arc::default(), &nobody_reloads);
        crashing.join().unwrap();

        let Err(ServeError::Failed(why)) = ended else { panic!("{ended:?}") };
        assert!(why.starts_with("worker ") && why.ends_with(" panicked"), "{why}");
        let reader = Reader::open(&data).unwrap();
        let unsound = |finding: Finding| -> Result<(), LogError> { panic!("{finding}") };
        let verified = reader.verify(&reader.survey().unwrap(), unsound, |_| {}).unwrap();
        assert_eq!((verified.rows, verified.damaged), (1, 0), "what was answered is there");
    }
}
