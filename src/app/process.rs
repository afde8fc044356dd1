//! The life of the server's process: configuration, logging, signals, start, reload, drain.
//!
//! Comes in: the flags of `serve` and the environment. Goes out: how it ended. Keeps: nothing is opened before the
//! configuration is known to be sound; a reload is taken whole or not at all.

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info};

use super::args::{LogArgs, ServeArgs};
use super::config::{Config, ConfigError, Environment};
use super::host::Host;
use super::logging::LogOptions;
use super::requests::{Request, Requests};
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
    let requests = Arc::new(Requests::default());
    let asking = Arc::clone(&requests);
    signals::listen(move |signal| asking.ask(signal.into()))
        .map_err(|error| ServeError::Failed(format!("signals: {error}")))?;
    run(config, &requests, &load)
}

/// From start to stop with a sound configuration.
fn run(
    mut config: Config,
    requests: &Requests,
    load: &dyn Fn() -> Result<Config, ConfigError>,
) -> Result<(), ServeError> {
    info!(data = %config.data.directory.display(), workers = config.workers, "started");
    loop {
        match requests.wait(TURN) {
            None => {}
            Some(Request::Reload) => match reload(&config, load) {
                Ok(next) => {
                    config = next;
                    info!("configuration reloaded");
                }
                Err(why) => error!(error = why, "configuration not reloaded: the one before stays"),
            },
            Some(Request::Drain) => {
                info!("draining");
                break;
            }
            Some(Request::Fail(why)) => return Err(ServeError::Failed(why)),
        }
    }
    info!("stopped");
    Ok(())
}

/// The next configuration, if it can be taken over whole while the server runs.
fn reload(now: &Config, load: &dyn Fn() -> Result<Config, ConfigError>) -> Result<Config, String> {
    let next = load().map_err(|error| error.to_string())?;
    match now.fixed_changes(&next).as_slice() {
        [] => Ok(next),
        keys => Err(format!("only a restart changes {}", keys.join(", "))),
    }
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

/// How long to wait for a request at one time.
const TURN: Duration = Duration::from_secs(1);
