//! What a listener for lines is told.

use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::ingest::ContextId;
use crate::relabel::Rules;
use crate::telemetry::Protocol;
use crate::wire::influx::{Dialect, Precision};
use crate::wire::statsd::TagStyles;

use super::super::door::TlsOptions;
use super::super::format::ONE_DIALECT;

/// Where lines come in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Endpoint {
    /// Connections.
    Tcp(SocketAddr),
    /// Datagrams.
    Udp(SocketAddr),
    /// Connections on a path.
    Unix(PathBuf),
    /// Datagrams on a path.
    Unixgram(PathBuf),
}

/// A listener for lines.
#[derive(Clone, PartialEq, Debug)]
pub struct LineListener {
    /// Where.
    pub endpoint: Endpoint,
    /// What is spoken.
    pub protocol: LineProtocol,
    /// Bytes of datagrams that the kernel is asked to keep for us.
    pub receive_buffer_bytes: u64,
    /// A connection on which nothing came for so long is closed, in nanoseconds; 0 closes none.
    pub idle_ns_max: u64,
    /// Encryption, of connections over TCP.
    pub tls: Option<TlsOptions>,
    /// What is done with the labels of new series.
    pub rules: Rules,
}

/// What is spoken on a listener for lines.
#[derive(Clone, PartialEq, Debug)]
pub enum LineProtocol {
    /// Graphite's plaintext.
    Graphite,
    /// Influx line protocol, version 1's dialect, timestamps in this unit.
    Influx(Precision),
    /// OpenTSDB's `put` lines, as its telnet port takes them: faults are answered.
    OpenTsdb,
    /// StatsD and DogStatsD.
    Statsd(StatsdOptions),
}

/// What a StatsD listener is told.
#[derive(Clone, PartialEq, Debug)]
pub struct StatsdOptions {
    /// How long samples are added up, in nanoseconds.
    pub flush_interval_ns: u64,
    /// Series that may be held.
    pub series_max: usize,
    /// Percentiles of timers, histograms and distributions.
    pub percentiles: Vec<f64>,
    /// A gauge that nobody sent for so long is forgotten, in nanoseconds; 0 forgets none.
    pub gauge_expiry_ns: u64,
    /// Which tags are read.
    pub tags: TagStyles,
}

impl LineProtocol {
    /// Its name in the configuration.
    pub fn name(&self) -> &'static str {
        self.label().name()
    }

    /// The label of its rows in the metrics.
    pub(super) fn label(&self) -> Protocol {
        match self {
            LineProtocol::Graphite => Protocol::Graphite,
            LineProtocol::Influx(_) => Protocol::Influx,
            LineProtocol::OpenTsdb => Protocol::OpenTsdb,
            LineProtocol::Statsd(_) => Protocol::Statsd,
        }
    }

    /// What makes its keys mean what they mean.
    pub(in crate::serve) fn context(&self) -> ContextId {
        match self {
            LineProtocol::Graphite | LineProtocol::OpenTsdb | LineProtocol::Statsd(_) => {
                ContextId(ONE_DIALECT | self.label() as u32)
            }
            // As for a write over HTTP.
            LineProtocol::Influx(_) => ContextId(Dialect::V1 as u32),
        }
    }
}

impl Endpoint {
    /// Whether datagrams come in there.
    pub(super) fn is_datagram(&self) -> bool {
        matches!(self, Endpoint::Udp(_) | Endpoint::Unixgram(_))
    }
}

impl Display for Endpoint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(address) => write!(f, "tcp://{address}"),
            Endpoint::Udp(address) => write!(f, "udp://{address}"),
            Endpoint::Unix(path) => write!(f, "unix://{}", path.display()),
            Endpoint::Unixgram(path) => write!(f, "unixgram://{}", path.display()),
        }
    }
}
