//! The options of `tidegate bench`.
//!
//! Comes in: the command line. Goes out: [`BenchArgs`], each option parsed into what it means. Keeps: an enum lists
//! only what works, so the help text promises nothing that is missing.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::target::Target;
use super::{BenchError, workload};

/// Measure how a server takes samples: rate, latency, and with a process or a directory to look at, what it costs.
///
/// It speaks to any server of the protocol, so that several can be compared in one go: name each with --to, and their
/// runs take turns. All are sent the same requests, made from --seed before the clock starts (256 MB at most; then they
/// are sent again with later times). The figure that holds best on a small or shared machine is the server's CPU time
/// per million samples, for which the server's process must be named.
///
/// Exits with 1 where a server can't be reached, is lost or leaves a request unanswered for a minute, takes no sample
/// in a run, or counts other samples than it acknowledged; what was measured of the others is printed nevertheless.
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    /// A server to measure, with its process and data directory if they are on this machine.
    ///
    /// With pid, its CPU time until it is idle again and its peak memory are measured; with data, how many bytes the
    /// directory grew per sample; udp is where statsd is sent. A URL without a path gets the path that the server takes
    /// writes at.
    #[arg(
        long,
        value_name = "URL[,pid=N][,data=DIR][,udp=HOST:PORT]",
        default_value = "http://127.0.0.1:9480"
    )]
    pub to: Vec<Target>,

    /// The shape of what is sent [default: tsbs-cpu; prom with protocols that have one value a sample].
    #[arg(long, value_enum)]
    pub workload: Option<Workload>,

    /// How numbers are written.
    #[arg(long, value_enum, default_value_t = Values::Int)]
    pub values: Values,

    /// The order of the series in each round; in a round each has one line.
    #[arg(long, value_enum, default_value_t = Order::Seq)]
    pub order: Order,

    /// The protocol spoken. All but influx have one value a sample, and take --workload prom or single.
    #[arg(long, value_enum, default_value_t = Protocol::Influx)]
    pub protocol: Protocol,

    /// Samples of a series in each line, one after the other in time; with json and otlp.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=POINTS_MAX))]
    pub points: u32,

    /// Number of series, counted as different sets of tags [default: 4000; 1000000 for single, 40000 for prom, 1000
    /// for wide and events].
    #[arg(long, value_name = "N")]
    pub series: Option<NonZeroU32>,

    /// Send this many samples in each run, rounded up to whole requests.
    #[arg(long, value_name = "N", conflicts_with = "duration")]
    pub samples: Option<NonZeroU64>,

    /// Send for so long in each run, as in 30s or 1m30s [default: 10s].
    #[arg(long, value_name = "D", value_parser = parse_duration)]
    pub duration: Option<Duration>,

    /// Send this many samples a second instead of as many as are taken.
    ///
    /// Requests then have a time at which they are to be sent, whether or not earlier ones have been answered, and
    /// latency counts from that time.
    #[arg(long, value_name = "N")]
    pub rate: Option<NonZeroU64>,

    /// Lines in a request, or series [default: 5000; 1000 with remote write; 64 with statsd, in a datagram; where lines
    /// have several samples, so many that it is 5000 samples].
    #[arg(long, value_name = "N")]
    pub batch: Option<NonZeroU32>,

    /// Connections, each kept alive, with one request at a time. With statsd, sockets.
    #[arg(
        long,
        value_name = "N",
        default_value = "4",
        value_parser = clap::value_parser!(u32).range(1..=CONNECTIONS_MAX)
    )]
    pub connections: u32,

    /// How bodies are compressed. Compressed ones are sent again with the same times: they can't be changed. Remote
    /// write is always compressed, by snappy; statsd is never.
    #[arg(long, value_enum, default_value_t = Encoding::Identity)]
    pub encoding: Encoding,

    /// Runs per server; medians are printed.
    #[arg(long, value_name = "N", default_value = "1")]
    pub runs: NonZeroU32,

    /// The seed of series, values and order.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// The form of the result.
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// The shape of what is sent.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Workload {
    /// Hosts with 10 tags and 10 fields.
    TsbsCpu,
    /// Exporters' samples: many names, 5 tags, one field.
    Prom,
    /// Short lines of one field, a million series.
    Single,
    /// As tsbs-cpu, but every tenth request is all new series.
    Churn,
    /// 200 fields a line.
    Wide,
    /// Strings, integers, floats and booleans in one line.
    Events,
}

/// How numbers are written.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Values {
    /// Integers: 58i.
    Int,
    /// Floats of two decimals: 58.27.
    Dec2,
    /// Floats with every digit they have: 58.26991840212341.
    Full,
}

/// The order of the series in a round.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Order {
    /// The same in each round.
    Seq,
    /// Shuffled anew for each round.
    Random,
}

/// The protocol spoken.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Protocol {
    /// Influx line protocol over HTTP.
    Influx,
    /// Prometheus remote write 1.0: a sample for each of the workload's lines, which have one field.
    RemoteWrite,
    /// Prometheus remote write 2.0.
    #[value(name = "remote-write-2")]
    RemoteWrite2,
    /// Prometheus's exposition text, pushed.
    PromText,
    /// VictoriaMetrics' JSON lines.
    Json,
    /// OTLP over HTTP as protobuf: gauges, and what lies next to each other of one name in one metric of at most 100
    /// points.
    Otlp,
    /// DogStatsD's counters over UDP, as fast as they can be sent unless there is a rate. What arrived is what the
    /// server says it read; the rest was lost, and shows as rejected.
    Statsd,
}

/// How bodies are compressed.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// gzip, level 6.
    Gzip,
    /// zstd, level 1.
    Zstd,
}

/// The form of the result.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Output {
    /// For people.
    Table,
    /// One JSON object, whose keys are stable.
    Json,
}

impl BenchArgs {
    /// The workload asked for, or what the protocol has by default.
    pub(super) fn workload(&self) -> Workload {
        let default = if self.protocol == Protocol::Influx { Workload::TsbsCpu } else { Workload::Prom };
        self.workload.unwrap_or(default)
    }

    /// Series asked for, or what the workload has by default.
    pub(super) fn series(&self) -> u32 {
        self.series.map_or(workload::series_default(self.workload()), NonZeroU32::get)
    }

    /// Lines in a request asked for, or what the protocol has by default.
    pub(super) fn batch(&self) -> u32 {
        let default = match self.protocol {
            Protocol::RemoteWrite | Protocol::RemoteWrite2 => 1_000,
            Protocol::Statsd => 64,
            _ => (5_000 / self.points).max(1),
        };
        self.batch.map_or(default, NonZeroU32::get)
    }

    /// Samples of a series in a line.
    pub(super) fn points(&self) -> u32 {
        self.points
    }

    /// How bodies are compressed, as results name it.
    pub(super) fn encoding_name(&self) -> String {
        if self.protocol.is_remote_write() { "snappy".to_owned() } else { name(self.encoding) }
    }

    /// Finds what options can't have together.
    ///
    /// # Errors
    /// [`BenchError::Usage`].
    pub(super) fn check(&self) -> Result<(), BenchError> {
        let usage = |why: &str| Err(BenchError::Usage(why.to_owned()));
        let (workload, is_plain) = (self.workload(), self.encoding == Encoding::Identity);
        if workload == Workload::Churn && !is_plain {
            return usage("churn makes new series by changing bodies: it needs --encoding identity");
        }
        if self.protocol != Protocol::Influx && !matches!(workload, Workload::Prom | Workload::Single) {
            return usage("this protocol has one value a sample: it needs --workload prom or single");
        }
        if self.protocol.is_remote_write() && !is_plain {
            return usage("remote write is compressed by snappy: it takes no --encoding");
        }
        if self.protocol == Protocol::Statsd && !is_plain {
            return usage("datagrams are not compressed: statsd takes no --encoding");
        }
        if self.points > 1 && !matches!(self.protocol, Protocol::Json | Protocol::Otlp) {
            return usage("--points: only json and otlp have several samples of a series in a line");
        }
        let lacks_udp = |target: &&Target| target.udp.is_none();
        if self.protocol == Protocol::Statsd
            && let Some(target) = self.to.iter().find(lacks_udp)
        {
            let at = target.authority();
            let why = format!("statsd needs the address of a listener: --to http://{at},udp=HOST:PORT");
            return Err(BenchError::Usage(why));
        }
        let series_max = workload::series_max(workload);
        if self.series() > series_max {
            let workload = name(workload);
            return Err(BenchError::Usage(format!("--series: {workload} has at most {series_max}")));
        }
        Ok(())
    }
}

impl Protocol {
    /// Whether it is remote write of either version.
    pub(super) fn is_remote_write(self) -> bool {
        matches!(self, Protocol::RemoteWrite | Protocol::RemoteWrite2)
    }

    /// The headers that say what a body is.
    pub(super) fn headers(self, encoding: Encoding) -> String {
        let kind = match self {
            Protocol::Influx | Protocol::PromText | Protocol::Statsd => "text/plain; charset=utf-8",
            Protocol::Json => "application/json",
            Protocol::Otlp | Protocol::RemoteWrite => "application/x-protobuf",
            Protocol::RemoteWrite2 => "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        };
        let further = match (self, encoding) {
            (Protocol::RemoteWrite, _) => {
                "Content-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\n"
            }
            (Protocol::RemoteWrite2, _) => {
                "Content-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 2.0.0\r\n"
            }
            (_, Encoding::Identity) => "",
            (_, Encoding::Gzip) => "Content-Encoding: gzip\r\n",
            (_, Encoding::Zstd) => "Content-Encoding: zstd\r\n",
        };
        format!("Content-Type: {kind}\r\n{further}")
    }
}

/// An option's value as the user writes it.
pub(super) fn name(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// Durations as Prometheus writes them: numbers with units, great before small, without spaces.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let malformed = || format!("{text:?} is no duration: write it as 10s, 500ms or 1m30s");
    let (mut rest, mut total_ms, mut unit_before) = (text, 0u64, u64::MAX);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(malformed)?;
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let unit_ms = match &tail[..unit_end] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(malformed()),
        };
        if unit_ms >= unit_before {
            return Err(malformed());
        }
        let number: u64 = number.parse().map_err(|_| malformed())?;
        let ms = number.checked_mul(unit_ms).and_then(|ms| total_ms.checked_add(ms));
        (total_ms, unit_before, rest) = (ms.ok_or_else(malformed)?, unit_ms, &tail[unit_end..]);
    }
    if total_ms == 0 || total_ms > DURATION_MAX_MS {
        return Err("a run lasts between 1ms and 1d".to_owned());
    }
    Ok(Duration::from_millis(total_ms))
}

/// A body is made before it is sent, and a line of this many is one of megabytes.
const POINTS_MAX: i64 = 10_000;
/// A thread each; more than this says more about the generator than about the server.
const CONNECTIONS_MAX: i64 = 10_000;
const DURATION_MAX_MS: u64 = 86_400_000;

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        bench: BenchArgs,
    }

    fn parse(args: &[&str]) -> Result<BenchArgs, clap::Error> {
        Cli::try_parse_from([&["bench"], args].concat()).map(|cli| cli.bench)
    }

    #[test]
    fn no_option_is_tsbs_cpu_at_the_default_address() {
        let args = parse(&[]).unwrap();
        assert_eq!(args.to.len(), 1);
        assert_eq!(args.to[0].authority(), "127.0.0.1:9480");
        assert_eq!((args.workload(), args.values, args.order), (Workload::TsbsCpu, Values::Int, Order::Seq));
        assert_eq!((args.batch(), args.connections, args.runs.get()), (5000, 4, 1));
        assert!(args.samples.is_none() && args.duration.is_none() && args.rate.is_none());
    }

    #[test]
    fn targets_repeat_and_options_mean_what_they_say() {
        let line = "--to 10.0.0.1:80,pid=7 --to http://h:1/write?db=x --workload single --values full --order random \
                    --samples 1000000 --rate 5 --batch 100 --connections 64 --encoding zstd --runs 5 --output json";
        let args = parse(&line.split_whitespace().collect::<Vec<_>>()).unwrap();
        assert_eq!(args.to.len(), 2);
        assert_eq!(args.to[0].pid, Some(7));
        assert_eq!(
            (args.workload(), args.values, args.order),
            (Workload::Single, Values::Full, Order::Random)
        );
        assert_eq!((args.encoding, args.output), (Encoding::Zstd, Output::Json));
    }

    #[test]
    fn what_is_not_there_or_contradicts_itself_is_refused() {
        for line in [
            "--protocol grpc",
            "--points 0",
            "--batch 0",
            "--connections 0",
            "--samples 1 --duration 1s",
            "--to https://h",
            "--rate -1",
        ] {
            assert!(parse(&line.split_whitespace().collect::<Vec<_>>()).is_err(), "{line}");
        }
    }

    #[test]
    fn what_no_body_can_do_is_found_before_any_is_made() {
        for (line, fits) in [
            ("--workload churn", true),
            ("--workload churn --encoding gzip", false),
            ("--workload single --series 10000000", true),
            ("--workload wide --series 10000000", false),
            ("--protocol remote-write --workload prom", true),
            ("--protocol remote-write-2 --workload single", true),
            ("--protocol remote-write", true),
            ("--protocol remote-write --workload tsbs-cpu", false),
            ("--protocol prom-text --encoding gzip", true),
            ("--protocol json --points 100", true),
            ("--protocol prom-text --points 100", false),
            ("--protocol otlp --workload single --points 2 --encoding zstd", true),
            ("--protocol statsd", false),
            ("--protocol statsd --to http://h:1,udp=h:8125", true),
            ("--protocol statsd --to http://h:1,udp=h:8125 --encoding zstd", false),
            ("--protocol remote-write-2 --workload prom --encoding gzip", false),
        ] {
            let args = parse(&line.split_whitespace().collect::<Vec<_>>()).unwrap();
            assert_eq!(args.check().is_ok(), fits, "{line}");
        }
    }

    #[test]
    fn what_a_protocol_has_by_default() {
        for (line, workload, batch) in [
            ("", Workload::TsbsCpu, 5_000),
            ("--protocol remote-write-2", Workload::Prom, 1_000),
            ("--protocol json", Workload::Prom, 5_000),
            ("--protocol json --points 100", Workload::Prom, 50),
            ("--protocol otlp --points 10000", Workload::Prom, 1),
            ("--protocol statsd --workload single", Workload::Single, 64),
        ] {
            let args = parse(&line.split_whitespace().collect::<Vec<_>>()).unwrap();
            assert_eq!((args.workload(), args.batch()), (workload, batch), "{line}");
        }
    }

    #[test]
    fn durations_are_prometheus_s() {
        for (text, ms) in [("10s", 10_000), ("1m30s", 90_000), ("500ms", 500), ("1h0m1s", 3_601_000)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "10", "s", "0s", "1s1m", "1.5s", "10 s", "2d", "99999999999999999999s", "1y"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
