//! Elements of `listen` that are for lines: where, what is spoken, and the keys that each protocol and transport has.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use super::document::ListenSection;
use super::door;
use super::setting::{Setting, read};
use super::{Address, ConfigError};
use crate::serve::lines::{Endpoint, LineListener, LineProtocol, StatsdOptions};
use crate::wire::influx::Precision;
use crate::wire::statsd::{PERCENTILES_MAX, TagStyles};

/// One of these elements, and what its values are read with.
pub(super) struct LineSection<'a> {
    pub(super) path: &'a Path,
    pub(super) section: &'a ListenSection,
    pub(super) resolve: &'a dyn Fn(&Address) -> io::Result<SocketAddr>,
}

/// Whether an element is for lines.
pub(super) fn is_lines(section: &ListenSection) -> bool {
    section.protocol.as_ref().is_some_and(|protocol| LINE_PROTOCOLS.contains(&protocol.text.as_str()))
}

/// Whether the system chooses a port that no other listener has.
pub(super) fn has_own_port(endpoint: &Endpoint) -> bool {
    matches!(endpoint, Endpoint::Tcp(address) | Endpoint::Udp(address) if address.port() == 0)
}

impl LineSection<'_> {
    /// Reads it.
    pub(super) fn listener(&self) -> Result<LineListener, ConfigError> {
        let section = self.section;
        let spoken = section.protocol.as_ref().map_or("", |protocol| protocol.text.as_str());
        let endpoint = self.endpoint()?;
        let is_datagram = matches!(endpoint, Endpoint::Udp(_) | Endpoint::Unixgram(_));
        only(&section.receive_buffer, is_datagram, "datagrams")?;
        only(&section.idle_timeout, !is_datagram, "connections")?;
        if let Some(tls) = &section.tls
            && !matches!(endpoint, Endpoint::Tcp(_))
        {
            return Err(tls.cert.setting.refuse("TLS is only for connections over TCP"));
        }
        let protocol = match spoken {
            "graphite" => LineProtocol::Graphite,
            "opentsdb" => LineProtocol::OpenTsdb,
            "influx" => {
                LineProtocol::Influx(read(&section.precision, Precision::Nanos, |s| s.choice(&PRECISIONS))?)
            }
            _ => LineProtocol::Statsd(self.statsd()?),
        };
        let idle_ms_range = 0..=IDLE_MS_MAX;
        let buffer_range = RECEIVE_BUFFER_MIN..=RECEIVE_BUFFER_MAX;
        Ok(LineListener {
            endpoint,
            protocol,
            tls: door::tls(self.path, section)?,
            rules: section.rules.clone(),
            receive_buffer_bytes: read(&section.receive_buffer, RECEIVE_BUFFER_DEFAULT, |s| {
                s.size(buffer_range)
            })?,
            idle_ns_max: nanos(&section.idle_timeout, 0, idle_ms_range)?,
        })
    }

    fn endpoint(&self) -> Result<Endpoint, ConfigError> {
        let setting = &self.section.address;
        let text = setting.text.as_str();
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        if let "unix" | "unixgram" = scheme {
            if rest.is_empty() {
                return Err(setting.refuse(format!("{text:?}: no path")));
            }
            // It is shown in logs and metrics as it is.
            if rest.contains(|c: char| c.is_control() || c == '"' || c == '\\') {
                return Err(setting.refuse(format!("{text:?}: a path without quotes and backslashes")));
            }
            let path = self.path.parent().unwrap_or(Path::new("")).join(rest);
            return Ok(if scheme == "unix" { Endpoint::Unix(path) } else { Endpoint::Unixgram(path) });
        }
        if !["tcp", "udp"].contains(&scheme) {
            return Err(setting.refuse(format!("{text:?}: write tcp://, udp://, unix:// or unixgram://")));
        }
        let address: Address = rest.parse().map_err(|error| setting.refuse(format!("{text:?}: {error}")))?;
        let resolved = (self.resolve)(&address).map_err(|e| setting.refuse(format!("{address}: {e}")))?;
        Ok(if scheme == "udp" { Endpoint::Udp(resolved) } else { Endpoint::Tcp(resolved) })
    }

    fn statsd(&self) -> Result<StatsdOptions, ConfigError> {
        let section = self.section;
        let tags = [("all", TagStyles::All), ("plain", TagStyles::Plain)];
        Ok(StatsdOptions {
            flush_interval_ns: nanos(&section.flush_interval, FLUSH_MS_DEFAULT, FLUSH_MS_MIN..=FLUSH_MS_MAX)?,
            // What is within the bound fits.
            series_max: read(&section.series_max, SERIES_DEFAULT, |s| {
                s.count(1..=SERIES_MAX).map(|series| series as usize)
            })?,
            percentiles: self.percentiles()?,
            gauge_expiry_ns: nanos(&section.gauge_expiry, GAUGE_EXPIRY_MS_DEFAULT, 0..=GAUGE_EXPIRY_MS_MAX)?,
            tags: read(&section.tags, TagStyles::All, |s| s.choice(&tags))?,
        })
    }

    fn percentiles(&self) -> Result<Vec<f64>, ConfigError> {
        let Some(settings) = &self.section.percentiles else { return Ok(PERCENTILES_DEFAULT.to_vec()) };
        let mut percentiles: Vec<f64> = Vec::new();
        for setting in settings {
            let refuse = |why: &str| Err(setting.refuse(format!("{:?}: {why}", setting.text)));
            let percent = setting.text.parse::<f64>().unwrap_or(0.0);
            if !(percent > 0.0 && percent <= 100.0) {
                return refuse("must be above 0 and at most 100");
            }
            if percentiles.contains(&percent) {
                return refuse("given twice");
            }
            if percentiles.len() == PERCENTILES_MAX {
                return Err(setting.refuse(format!("more than {PERCENTILES_MAX}")));
            }
            percentiles.push(percent);
        }
        Ok(percentiles)
    }
}

/// A duration in nanoseconds, within bounds of milliseconds.
fn nanos(
    setting: &Option<Setting>,
    default_ms: u64,
    range_ms: std::ops::RangeInclusive<u64>,
) -> Result<u64, ConfigError> {
    let millis = read(setting, default_ms, |s| {
        s.duration(range_ms).map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
    })?;
    Ok(millis.saturating_mul(NS_PER_MS))
}

/// Refuses a key that does not apply.
fn only(setting: &Option<Setting>, applies: bool, what: &str) -> Result<(), ConfigError> {
    match setting {
        Some(setting) if !applies => Err(setting.refuse(format!("only for {what}"))),
        _ => Ok(()),
    }
}

/// What lines can be.
pub(super) const LINE_PROTOCOLS: [&str; 4] = ["graphite", "statsd", "influx", "opentsdb"];

const PRECISIONS: [(&str, Precision); 7] = [
    ("ns", Precision::Nanos),
    ("us", Precision::Micros),
    ("u", Precision::Micros),
    ("ms", Precision::Millis),
    ("s", Precision::Seconds),
    ("m", Precision::Minutes),
    ("h", Precision::Hours),
];

const NS_PER_MS: u64 = 1_000_000;

const RECEIVE_BUFFER_DEFAULT: u64 = 8 << 20;
const RECEIVE_BUFFER_MIN: u64 = 1 << 10;
const RECEIVE_BUFFER_MAX: u64 = 1 << 30;

const IDLE_MS_MAX: u64 = 30 * 24 * 60 * 60 * 1000;

const FLUSH_MS_DEFAULT: u64 = 10_000;
const FLUSH_MS_MIN: u64 = 100;
const FLUSH_MS_MAX: u64 = 60 * 60 * 1000;

const SERIES_DEFAULT: usize = 100_000;
const SERIES_MAX: u64 = 100_000_000;

const GAUGE_EXPIRY_MS_DEFAULT: u64 = 60 * 60 * 1000;
const GAUGE_EXPIRY_MS_MAX: u64 = 365 * 24 * 60 * 60 * 1000;

const PERCENTILES_DEFAULT: [f64; 4] = [50.0, 90.0, 95.0, 99.0];
