//! The decoder: a walk over a request that can stop before any row, and goes on there.

use crate::bytes::{ProtobufError, ProtobufFields};
use crate::model::{Full, Intake, Refusal, RowBuf, Series, WriteResult};
use crate::wire::{Decode, Fed, FedState, Malformed};

use super::check::{check, check_around};
use super::exemplar::ExemplarReader;
use super::json::Transcoder;
use super::log_record::LogReader;
use super::metric::MetricHead;
use super::names::NameCheck;
use super::plain::PlainPoint;
use super::point::{PointReader, VALUE, exemplars_number, nanos};
use super::schema::{
    LOG_RECORD, LOGS_REQUEST, METRIC, METRICS_REQUEST, Message, REQUEST_RESOURCES, data, resource_items,
    scope_items,
};
use super::series::{Origin, SeriesBuf};

/// What a request is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Signal {
    /// `ExportMetricsServiceRequest`
    Metrics = b'm',
    /// `ExportLogsServiceRequest`
    Logs = b'l',
}

/// How a request is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// `application/x-protobuf`
    Protobuf,
    /// `application/json`
    Json,
}

/// A decoder of one request at a time.
///
/// ```
/// use tidegate::model::WriteResult;
/// use tidegate::wire::Decode;
/// use tidegate::wire::otlp::{Decoder, Encoding, Signal};
/// use tidegate::wire::testing::Rows;
/// let body = br#"{"resourceMetrics": [{"scopeMetrics": [{"metrics": [
///     {"name": "lag", "unit": "s", "gauge": {"dataPoints": [{"timeUnixNano": "1", "asDouble": 0.5}]}}
/// ]}]}]}"#;
/// let mut decoder = Decoder::new(Signal::Metrics, Encoding::Json, 1_700_000_000_000_000_000);
/// let (mut rows, mut result) = (Rows::default(), WriteResult::default());
/// decoder.check(body).unwrap();
/// decoder.feed(body, true, &mut rows, &mut result);
/// assert_eq!((result.accepted, rows.rows[0].time_ns), (1, 1));
/// ```
#[derive(Debug)]
pub struct Decoder {
    signal: Signal,
    encoding: Encoding,
    default_time_ns: i64,
    json: Transcoder,
    /// The body was checked.
    checked: bool,
    place: Place,
    scratch: Scratch,
}

/// Where the walk stands, to the row.
#[derive(Clone, Copy, Default, Debug)]
struct Place {
    /// On each level, where in its message the item begins that is being walked over.
    offsets: [usize; LEVELS],
    /// Rows done with, taken or not.
    rows: u64,
    /// The present metric's metadata has been taken.
    metadata_taken: bool,
    /// The present point's row has been taken; what is left are exemplars.
    row_taken: bool,
    /// Exemplars of the present point that are done with.
    exemplars: usize,
}

const LEVELS: usize = 5;
const RESOURCE_LEVEL: usize = 0;
const SCOPE_LEVEL: usize = 1;
const ITEM_LEVEL: usize = 2;
const DATA_LEVEL: usize = 3;
const POINT_LEVEL: usize = 4;

/// Memory that is used again for each row.
#[derive(Default, Debug)]
struct Scratch {
    series: SeriesBuf,
    row: RowBuf,
    names: NameCheck,
    points: PointReader,
    logs: LogReader,
    exemplars: ExemplarReader,
}

/// Why a row is not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    NoName,
    Temporality,
    NoValue,
    Buckets,
    Time,
    DuplicateField,
    Refused(Refusal),
}

/// Why the walk stops before a row, or passes over it.
#[derive(Debug)]
pub(super) enum Stop {
    Full,
    Fault(Fault),
    /// The body is no request. Never of one that was checked.
    Malformed,
}

/// A body turned out to be no request.
#[derive(Debug)]
struct Unsound;

impl Decoder {
    /// A decoder for a request about `signal` in `encoding`.
    ///
    /// Rows whose time is unknown get `default_time_ns`: the server's clock, read once for the request.
    pub fn new(signal: Signal, encoding: Encoding, default_time_ns: i64) -> Decoder {
        Decoder {
            signal,
            encoding,
            default_time_ns,
            json: Transcoder::default(),
            checked: false,
            place: Place::default(),
            scratch: Scratch::default(),
        }
    }

    /// Makes the decoder ready for another request and keeps its memory.
    pub fn reset(&mut self, signal: Signal, encoding: Encoding, default_time_ns: i64) {
        self.signal = signal;
        self.encoding = encoding;
        self.default_time_ns = default_time_ns;
        self.checked = false;
        self.place = Place::default();
    }

    fn request(&self) -> &'static Message {
        match self.signal {
            Signal::Metrics => &METRICS_REQUEST,
            Signal::Logs => &LOGS_REQUEST,
        }
    }

    fn walk<I: Intake>(
        &mut self,
        body: &[u8],
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Result<FedState, Unsound> {
        let mut walk = Walk {
            signal: self.signal,
            request: self.request(),
            checked: self.checked,
            default_time_ns: self.default_time_ns,
            place: &mut self.place,
            scratch: &mut self.scratch,
            origin: Origin::default(),
            intake,
            result,
        };
        match walk.each(body, REQUEST_RESOURCES, RESOURCE_LEVEL, Walk::resource) {
            Ok(()) => Ok(FedState::Done),
            Err(Stop::Full) => Ok(FedState::Full),
            Err(Stop::Malformed) => Err(Unsound),
            Err(Stop::Fault(fault)) => unreachable!("a row's fault ends at the row: {fault}"),
        }
    }
}

impl Decode for Decoder {
    fn check(&mut self, body: &[u8]) -> Result<(), Malformed> {
        match self.encoding {
            Encoding::Protobuf => check(self.request(), body)?,
            Encoding::Json => self.json.transcode(self.request(), body)?,
        }
        self.checked = true;
        Ok(())
    }

    fn check_bytes(&self, body: &[u8]) -> u64 {
        match self.encoding {
            Encoding::Protobuf => 0,
            Encoding::Json => Transcoder::memory_bytes_max(body),
        }
    }

    fn rewind(&mut self) {
        self.place = Place::default();
    }

    /// Takes the rows of a body that is there whole. One that was not checked is checked first, and one that is no
    /// request is rejected as one row.
    ///
    /// Rows are counted from 1 over the request: data points, or log records. Of JSON, what counts is the body that was
    /// checked last.
    fn feed<I: Intake>(&mut self, input: &[u8], last: bool, intake: &mut I, result: &mut WriteResult) -> Fed {
        debug_assert!(last, "a request is fed whole");
        if !self.checked
            && let Err(malformed) = self.check(input)
        {
            result.reject(1, "syntax", b"", || malformed.error);
            return Fed { consumed: input.len(), state: FedState::Done };
        }
        let walked = match self.encoding {
            Encoding::Protobuf => self.walk(input, intake, result),
            Encoding::Json => {
                let body = std::mem::take(self.json.protobuf());
                let walked = self.walk(&body, intake, result);
                *self.json.protobuf() = body;
                walked
            }
        };
        fed(walked.expect("the body was checked"), input)
    }

    /// Checks protobuf as it is taken, point by point, but for points that are known already. Where the intake is full
    /// all of it is checked.
    fn feed_unchecked<I: Intake>(
        &mut self,
        body: &[u8],
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Result<Fed, Malformed> {
        if self.encoding == Encoding::Json {
            self.check(body)?;
            return Ok(self.feed(body, true, intake, result));
        }
        match self.walk(body, intake, result) {
            Ok(FedState::Done) => Ok(fed(FedState::Done, body)),
            Ok(state) => {
                self.check(body)?;
                Ok(fed(state, body))
            }
            // The check says what is wrong, and where.
            Err(Unsound) => {
                self.check(body)?;
                Err(Malformed { error: "not a request".to_owned() })
            }
        }
    }
}

fn fed(state: FedState, body: &[u8]) -> Fed {
    Fed { consumed: if state == FedState::Done { body.len() } else { 0 }, state }
}

/// A `feed` under way.
struct Walk<'d, 'b, I> {
    signal: Signal,
    request: &'static Message,
    checked: bool,
    default_time_ns: i64,
    place: &'d mut Place,
    scratch: &'d mut Scratch,
    origin: Origin<'b>,
    intake: &'d mut I,
    result: &'d mut WriteResult,
}

impl<'b, I: Intake> Walk<'_, 'b, I> {
    /// Walks over the items of a message from the one where the walk stands on this level.
    #[inline(always)]
    fn each(
        &mut self,
        message: &'b [u8],
        number: u32,
        level: usize,
        mut take: impl FnMut(&mut Self, &'b [u8]) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let from = message.get(self.place.offsets[level]..).unwrap_or_default();
        let mut fields = ProtobufFields::new(from);
        loop {
            let at = message.len() - fields.rest().len();
            let Some(field) = fields.next() else { break };
            let (found, value) = field?;
            if found == number {
                self.place.offsets[level] = at;
                take(self, value.bytes()?)?;
            }
        }
        self.place.offsets[level] = 0;
        Ok(())
    }

    fn resource(&mut self, message: &'b [u8]) -> Result<(), Stop> {
        self.origin.resource = message;
        let schema = self.request.inner(REQUEST_RESOURCES);
        self.check_around(schema, resource_items::SCOPES, message)?;
        self.scratch.series.enter_resource(self.signal, message)?;
        self.each(message, resource_items::SCOPES, SCOPE_LEVEL, Walk::scope)
    }

    fn scope(&mut self, message: &'b [u8]) -> Result<(), Stop> {
        self.origin.scope = message;
        let schema = self.request.inner(REQUEST_RESOURCES).inner(resource_items::SCOPES);
        self.check_around(schema, scope_items::ITEMS, message)?;
        self.scratch.series.enter_scope(message)?;
        match self.signal {
            Signal::Metrics => self.each(message, scope_items::ITEMS, ITEM_LEVEL, Walk::metric),
            Signal::Logs => self.each(message, scope_items::ITEMS, ITEM_LEVEL, Walk::log_record),
        }
    }

    fn metric(&mut self, message: &'b [u8]) -> Result<(), Stop> {
        let Some(metric) = MetricHead::read(message)? else { return self.check(&METRIC, message) };
        self.check_around(&METRIC, metric.kind as u32, message)?;
        self.scratch.series.enter_metric(&metric);
        self.each(message, metric.kind as u32, DATA_LEVEL, |walk, data| {
            // Others hold nothing but points.
            if metric.kind.has_temporality() {
                walk.check_around(metric.kind.data(), data::POINTS, data)?;
            }
            walk.each(data, data::POINTS, POINT_LEVEL, |walk, point| walk.point(&metric, point))
        })?;
        self.place.metadata_taken = false;
        Ok(())
    }

    fn point(&mut self, metric: &MetricHead<'b>, message: &'b [u8]) -> Result<(), Stop> {
        let taken = self.take_point(metric, message);
        self.settle(metric.name, taken)
    }

    fn log_record(&mut self, message: &'b [u8]) -> Result<(), Stop> {
        self.check(&LOG_RECORD, message)?;
        let taken = self.take_log_record(message);
        self.settle(b"", taken)
    }

    /// The present row is done with, unless the intake is full.
    #[inline]
    fn settle(&mut self, name: &[u8], taken: Result<(), Stop>) -> Result<(), Stop> {
        let place = &mut *self.place;
        match taken {
            Ok(()) => {}
            Err(Stop::Fault(fault)) => {
                self.result.reject(place.rows + 1, fault.reason(), name, || fault.to_string());
            }
            Err(stop) => return Err(stop),
        }
        place.rows += 1;
        (place.row_taken, place.exemplars) = (false, 0);
        Ok(())
    }

    #[inline]
    fn take_point(&mut self, metric: &MetricHead<'b>, message: &'b [u8]) -> Result<(), Stop> {
        if metric.kind.is_number()
            && let Some(attributes) = self.scratch.series.attributes_in(self.intake.predicted())
            && let Some(point) = PlainPoint::read(message, attributes)
        {
            return self.take_plain(metric, &point);
        }
        self.check(metric.kind.data().inner(data::POINTS), message)?;
        metric.check()?;
        let Scratch { series, row, points, .. } = &mut *self.scratch;
        let head = points.read(metric.kind, message, row, series)?;
        let time_ns = if head.time == 0 { self.default_time_ns } else { nanos(head.time)? };
        let series = series.find(&self.origin, Some(metric), self.intake)?;
        self.take_metadata(metric)?;
        self.take_row(series, time_ns)?;
        if head.has_exemplars {
            self.take_exemplars(metric, series, time_ns, message)?;
        }
        Ok(())
    }

    /// Takes a point of the predicted series. That there is one says that the metric can be taken.
    #[inline]
    fn take_plain(&mut self, metric: &MetricHead<'b>, point: &PlainPoint) -> Result<(), Stop> {
        let row = &mut self.scratch.row;
        row.clear();
        row.push(VALUE, point.kind, point.word);
        if point.start_time > 0 {
            row.push_start_time(nanos(point.start_time)?);
        }
        let time_ns = if point.time == 0 { self.default_time_ns } else { nanos(point.time)? };
        let series = self.intake.confirm();
        self.take_metadata(metric)?;
        self.take_row(series, time_ns)
    }

    #[inline]
    fn take_metadata(&mut self, metric: &MetricHead<'b>) -> Result<(), Stop> {
        if !self.place.metadata_taken {
            self.intake.metadata(&metric.metadata())?;
            self.place.metadata_taken = true;
        }
        Ok(())
    }

    /// Checks a message of a body that was not checked.
    fn check(&self, schema: &'static Message, message: &[u8]) -> Result<(), Stop> {
        if self.checked { Ok(()) } else { check(schema, message).map_err(|_| Stop::Malformed) }
    }

    /// The same, but for its items.
    fn check_around(&self, schema: &'static Message, items: u32, message: &[u8]) -> Result<(), Stop> {
        if self.checked { Ok(()) } else { check_around(schema, items, message).map_err(|_| Stop::Malformed) }
    }

    fn take_log_record(&mut self, message: &'b [u8]) -> Result<(), Stop> {
        let Scratch { series, row, logs, .. } = &mut *self.scratch;
        let time = logs.read(message, row)?;
        let time_ns = if time == 0 { self.default_time_ns } else { nanos(time)? };
        let series = series.find(&self.origin, None, self.intake)?;
        self.take_row(series, time_ns)
    }

    #[inline]
    fn take_row(&mut self, series: Series, time_ns: i64) -> Result<(), Stop> {
        if self.place.row_taken {
            return Ok(());
        }
        let Scratch { row, names, .. } = &mut *self.scratch;
        let shape = row.shape(series, self.intake, |fields| names.check(fields))?;
        self.intake.push(series, shape, time_ns, row.words(), &row.heap)?;
        self.place.row_taken = true;
        self.result.accepted += 1;
        self.result.samples += row.samples();
        Ok(())
    }

    fn take_exemplars(
        &mut self,
        metric: &MetricHead<'b>,
        series: Series,
        time_ns: i64,
        message: &'b [u8],
    ) -> Result<(), Stop> {
        let number = exemplars_number(metric.kind);
        let exemplars = ProtobufFields::new(message).filter(|field| match field {
            Ok((found, _)) => *found == number,
            Err(_) => true,
        });
        for field in exemplars.skip(self.place.exemplars) {
            let (_, value) = field?;
            if let Some(exemplar) = self.scratch.exemplars.read(value.bytes()?, VALUE, time_ns)? {
                self.intake.exemplar(series, &exemplar)?;
            }
            self.place.exemplars += 1;
        }
        Ok(())
    }
}

impl Fault {
    /// The fault as a label of `tidegate_rows_rejected_total`.
    fn reason(&self) -> &'static str {
        match self {
            Fault::NoName | Fault::DuplicateField => "name",
            Fault::Temporality => "temporality",
            Fault::NoValue | Fault::Buckets => "value",
            Fault::Time => "timestamp",
            Fault::Refused(refusal) => refusal.reason(),
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Fault::NoName => "the metric has no name",
            Fault::Temporality => "the metric's aggregation temporality is neither delta nor cumulative",
            Fault::NoValue => "the data point has no value",
            Fault::Buckets => "the histogram has more bucket counts than its bounds make buckets",
            Fault::Time => "a time is out of the range of 64 bits of signed nanoseconds",
            Fault::DuplicateField => "two attributes or quantiles have one name",
            Fault::Refused(refusal) => return refusal.fmt(f),
        })
    }
}

impl From<ProtobufError> for Stop {
    fn from(_: ProtobufError) -> Stop {
        Stop::Malformed
    }
}

impl From<Full> for Stop {
    fn from(Full: Full) -> Stop {
        Stop::Full
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Fault(fault)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        Fault::Refused(refusal)
    }
}
