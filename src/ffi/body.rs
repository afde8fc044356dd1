//! Bodies: what a collector received, handed over as it is.

use super::error::{Failure, tdg_error};
use super::status::{TDG_E_INPUT, TDG_E_REJECTED, tdg_status};
use super::text::tdg_str;
use super::writer::{on_writer, tdg_writer};
use crate::clock::{Clock, SystemClock};
use crate::engine::{BodyWritten, RowWriter};
use crate::ingest::ContextId;
use crate::wire::influx::{Dialect, Precision};
use crate::wire::otlp::{Encoding, Signal};
use crate::wire::remote_write::Message;
use crate::wire::{Decode, collectd, exposition, graphite, ndjson, opentsdb, otlp, remote_write, vm_import};

/// Of a body: Influx line protocol, times in nanoseconds.
pub const TDG_INFLUX: i32 = 1;
/// Of a body: Influx line protocol, times in microseconds.
pub const TDG_INFLUX_US: i32 = 2;
/// Of a body: Influx line protocol, times in milliseconds.
pub const TDG_INFLUX_MS: i32 = 3;
/// Of a body: Influx line protocol, times in seconds.
pub const TDG_INFLUX_S: i32 = 4;
/// Of a body: Prometheus' text format, 0.0.4.
pub const TDG_PROMETHEUS_TEXT: i32 = 5;
/// Of a body: OpenMetrics text, up to its `# EOF`.
pub const TDG_OPENMETRICS: i32 = 6;
/// Of a body: Prometheus remote write 1.0, as it is sent: protobuf in a snappy block.
pub const TDG_REMOTE_WRITE: i32 = 7;
/// Of a body: Prometheus remote write 2.0, as it is sent.
pub const TDG_REMOTE_WRITE_2: i32 = 8;
/// Of a body: an OTLP request with metrics, as protobuf.
pub const TDG_OTLP_METRICS: i32 = 9;
/// Of a body: an OTLP request with logs, as protobuf.
pub const TDG_OTLP_LOGS: i32 = 10;
/// Of a body: an OTLP request with metrics, as JSON.
pub const TDG_OTLP_METRICS_JSON: i32 = 11;
/// Of a body: an OTLP request with logs, as JSON.
pub const TDG_OTLP_LOGS_JSON: i32 = 12;
/// Of a body: tidegate's own rows as JSON lines, as `tidegate log cat` prints them.
pub const TDG_NDJSON: i32 = 13;
/// Of a body: VictoriaMetrics' JSON lines.
pub const TDG_VM_IMPORT: i32 = 14;
/// Of a body: OpenTSDB's data points as JSON.
pub const TDG_OPENTSDB: i32 = 15;
/// Of a body: Graphite's plaintext.
pub const TDG_GRAPHITE: i32 = 16;
/// Of a body: what collectd's write_http posts as JSON.
pub const TDG_COLLECTD: i32 = 17;

/// What became of a body.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct tdg_written {
    /// Rows taken.
    pub accepted: u64,
    /// Rows rejected: with `TDG_E_REJECTED` the error names the first of them.
    pub rejected: u64,
    /// Values in the rows taken.
    pub samples: u64,
    /// Exemplars taken.
    pub exemplars: u64,
    /// Metadata taken.
    pub metadata: u64,
    /// Bytes that need not come again: all of them with `TDG_OK` and `TDG_E_REJECTED`.
    pub consumed: usize,
}

/// Writes a body of one of the protocols `TDG_INFLUX` and so on. Rows without a time get the time of the call. Bad rows
/// do not keep the others out. A body that was compressed for its transport (gzip, zstd) is to be undone first; the
/// snappy block of remote write is not.
///
/// `written`, which may be NULL, is written in any case.
///
/// Errors: `TDG_E_REJECTED` if rows were rejected, and the others taken; `TDG_E_INPUT` if the body is not of the
/// protocol, of which nothing was taken then, or there is no such protocol; `TDG_E_FULL` if there was no room for the
/// rest of it: what was taken stays, and how the rest comes depends on the protocol:
///
/// | protocol | after `TDG_E_FULL` |
/// |---|---|
/// | Influx, ndjson, Graphite | go on behind `consumed`: no row comes twice |
/// | VictoriaMetrics' JSON | the same, but values that were taken of the line in which room ended come again |
/// | Prometheus text | the same as Influx, but what `# TYPE` and `# HELP` have said before is not known behind `consumed`: give the lines of the family at hand again before the rest |
/// | OpenMetrics, remote write, OTLP, OpenTSDB, collectd | one message: `consumed` is 0, it comes again whole, and so do the `accepted` rows that were taken of it; a writer that waits for room (`tdg_writer_set_full_wait`) seldom gets there |
///
/// StatsD is not among the protocols since it is made of counts that are summed up over time, OpenTSDB's telnet and
/// Prometheus' protobuf since they belong to a connection and to a scrape.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tdg_writer_write(
    writer: *mut tdg_writer,
    protocol: i32,
    body: tdg_str,
    written: *mut tdg_written,
    error: *mut *mut tdg_error,
) -> tdg_status {
    // SAFETY: the caller's pointers are NULL or valid, and the writer this thread's.
    unsafe {
        if let Some(written) = written.as_mut() {
            *written = tdg_written::default();
        }
        on_writer(writer, error, |rows| {
            let became = write(rows, protocol, body.bytes()?)?;
            if let Some(written) = written.as_mut() {
                *written = tdg_written::of(&became);
            }
            match became {
                BodyWritten { stopped: Some(why), .. } => Err(why.into()),
                BodyWritten { result, .. } if result.rejected > 0 => {
                    let reasons = result.errors.iter().map(|e| format!("{}: {}", e.index, e.error));
                    let told: Vec<String> = reasons.collect();
                    let count = result.rejected;
                    Err(Failure::new(TDG_E_REJECTED, format!("{count} rows rejected; {}", told.join("; "))))
                }
                _ => Ok(()),
            }
        })
    }
}

impl tdg_written {
    fn of(became: &BodyWritten) -> tdg_written {
        let result = &became.result;
        tdg_written {
            accepted: result.accepted,
            rejected: result.rejected,
            samples: result.samples,
            exemplars: result.exemplars,
            metadata: result.metadata,
            consumed: became.consumed,
        }
    }
}

fn write(rows: &mut RowWriter, protocol: i32, body: &[u8]) -> Result<BodyWritten, Failure> {
    let unknown = || Failure::new(TDG_E_INPUT, format!("{protocol} is no protocol"));
    if !(TDG_INFLUX..=TDG_COLLECTD).contains(&protocol) {
        return Err(unknown());
    }
    let now_ns = SystemClock::default().wall_ns();
    // Keys of one protocol's dialect are of one context, as its decoder promises.
    let context = ContextId(CONTEXTS_FROM + protocol as u32);
    let influx = |rows: &mut RowWriter, precision| Ok(rows.write_lines(body, Dialect::V2, precision));
    match protocol {
        TDG_INFLUX => influx(rows, Precision::Nanos),
        TDG_INFLUX_US => influx(rows, Precision::Micros),
        TDG_INFLUX_MS => influx(rows, Precision::Millis),
        TDG_INFLUX_S => influx(rows, Precision::Seconds),
        TDG_PROMETHEUS_TEXT | TDG_OPENMETRICS => {
            let is_text = protocol == TDG_PROMETHEUS_TEXT;
            let syntax = if is_text { exposition::Syntax::Text } else { exposition::Syntax::OpenMetrics };
            let options = exposition::Options {
                syntax,
                faults: exposition::Faults::Line,
                default_time_ns: now_ns,
                labels: Vec::new(),
                keep_created: false,
            };
            checked(rows, body, exposition::Decoder::new(options), context)
        }
        TDG_REMOTE_WRITE | TDG_REMOTE_WRITE_2 => {
            let message = if protocol == TDG_REMOTE_WRITE { Message::V1 } else { Message::V2 };
            checked(rows, &unpacked(body)?, remote_write::Decoder::new(message), context).map(|became| {
                // The caller knows the bytes as they were packed.
                let consumed = if became.stopped.is_none() { body.len() } else { 0 };
                BodyWritten { consumed, ..became }
            })
        }
        TDG_OTLP_METRICS | TDG_OTLP_METRICS_JSON | TDG_OTLP_LOGS | TDG_OTLP_LOGS_JSON => {
            let is_metrics = matches!(protocol, TDG_OTLP_METRICS | TDG_OTLP_METRICS_JSON);
            let is_json = matches!(protocol, TDG_OTLP_METRICS_JSON | TDG_OTLP_LOGS_JSON);
            let signal = if is_metrics { Signal::Metrics } else { Signal::Logs };
            let encoding = if is_json { Encoding::Json } else { Encoding::Protobuf };
            // Its keys say which signal they are of.
            let context = ContextId(CONTEXTS_FROM + TDG_OTLP_METRICS as u32);
            checked(rows, body, otlp::Decoder::new(signal, encoding, now_ns), context)
        }
        TDG_NDJSON => checked(rows, body, ndjson::Decoder::new(), context),
        TDG_VM_IMPORT => {
            checked(rows, body, vm_import::Decoder::new(vm_import::ExtraLabels::default()), context)
        }
        TDG_OPENTSDB => checked(rows, body, opentsdb::Decoder::new(), context),
        TDG_GRAPHITE => checked(rows, body, graphite::Decoder::new(now_ns), context),
        TDG_COLLECTD => {
            checked(rows, body, collectd::Decoder::new(collectd::Counters::AsSent, now_ns), context)
        }
        _ => Err(unknown()),
    }
}

fn checked(
    rows: &mut RowWriter,
    body: &[u8],
    mut decoder: impl Decode,
    context: ContextId,
) -> Result<BodyWritten, Failure> {
    let malformed = |error: crate::wire::Malformed| Failure::new(TDG_E_INPUT, error.to_string());
    decoder.check(body).map_err(malformed)?;
    Ok(rows.write_body(body, &mut decoder, context))
}

/// A snappy block undone.
fn unpacked(block: &[u8]) -> Result<Vec<u8>, Failure> {
    let refuse = |why: &str| Failure::new(TDG_E_INPUT, why);
    let len = snap::raw::decompress_len(block).map_err(|_| refuse("not a snappy block"))?;
    if len > UNPACKED_BYTES_MAX {
        return Err(refuse("the snappy block is over 256MiB when undone"));
    }
    snap::raw::Decoder::new().decompress_vec(block).map_err(|_| refuse("not a snappy block"))
}

/// As `limits.decoded_size_max` has it unless it is set.
const UNPACKED_BYTES_MAX: usize = 256 << 20;

/// Line protocol's contexts are below.
const CONTEXTS_FROM: u32 = 16;
