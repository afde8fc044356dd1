//! The messages of OTLP's metrics and logs, as far as rows are made of them: what each field is called and how it
//! lies on the wire.
//!
//! One table serves both encodings: [`check`](super::check) holds protobuf bodies against it, and
//! [`json`](super::json) makes protobuf of JSON by it. What is not in it is an unknown field, which is passed over.
//! Field numbers that rows are read by have names here.

/// A message.
pub(super) struct Message {
    /// Its name in the protocol's definition.
    pub(super) name: &'static str,
    /// Whether it is a list or a map: how deep those nest is bounded.
    pub(super) nests: bool,
    pub(super) fields: &'static [Field],
}

/// A field of a message.
pub(super) struct Field {
    pub(super) number: u32,
    /// Its name in JSON.
    pub(super) json: &'static str,
    pub(super) kind: Kind,
    pub(super) repeated: bool,
}

/// What a field holds.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Message(&'static Message),
    String,
    /// Bytes, in JSON as base64.
    Bytes,
    /// So many bytes or none, in JSON as hexadecimal digits: the ids.
    Id(usize),
    Bool,
    Int64,
    Uint64,
    Uint32,
    Sint32,
    Enum(&'static Names),
    Fixed32,
    Fixed64,
    Sfixed64,
    Double,
}

const TRACE_ID_BYTES: usize = 16;
const SPAN_ID_BYTES: usize = 8;

/// The names of an enum's values.
pub(super) type Names = [&'static str];

impl Message {
    /// The message in the field of this number, which is one.
    pub(super) fn inner(&self, number: u32) -> &'static Message {
        match self.field(number).map(|field| field.kind) {
            Some(Kind::Message(message)) => message,
            _ => unreachable!("field {number} of {} is a message", self.name),
        }
    }

    /// The field of this number.
    #[inline]
    pub(super) fn field(&self, number: u32) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.number == number)
    }

    /// The field of this name in JSON; its name in the protocol's definition is taken as well.
    pub(super) fn named(&self, key: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.json == key || is_snake_case_of(key, field.json))
    }
}

/// Whether `snake` is `camel` with an underscore and a small letter for each capital.
fn is_snake_case_of(snake: &str, camel: &str) -> bool {
    let mut rest = snake.bytes();
    let same = camel.bytes().all(|c| match c {
        b'A'..=b'Z' => rest.next() == Some(b'_') && rest.next() == Some(c.to_ascii_lowercase()),
        _ => rest.next() == Some(c),
    });
    same && rest.next().is_none()
}

const fn field(number: u32, json: &'static str, kind: Kind) -> Field {
    Field { number, json, kind, repeated: false }
}

const fn repeated(number: u32, json: &'static str, kind: Kind) -> Field {
    Field { number, json, kind, repeated: true }
}

const fn message(name: &'static str, fields: &'static [Field]) -> Message {
    Message { name, nests: false, fields }
}

/// `ResourceMetrics` in a request for metrics, `ResourceLogs` in one for logs.
pub(super) const REQUEST_RESOURCES: u32 = 1;

pub(super) static METRICS_REQUEST: Message = message(
    "ExportMetricsServiceRequest",
    &[repeated(REQUEST_RESOURCES, "resourceMetrics", Kind::Message(&RESOURCE_METRICS))],
);

pub(super) static LOGS_REQUEST: Message = message(
    "ExportLogsServiceRequest",
    &[repeated(REQUEST_RESOURCES, "resourceLogs", Kind::Message(&RESOURCE_LOGS))],
);

/// `ResourceMetrics` and `ResourceLogs`.
pub(super) mod resource_items {
    pub(in super::super) const RESOURCE: u32 = 1;
    pub(in super::super) const SCOPES: u32 = 2;
    pub(in super::super) const SCHEMA_URL: u32 = 3;
}

pub(super) static RESOURCE_METRICS: Message = message(
    "ResourceMetrics",
    &[
        field(resource_items::RESOURCE, "resource", Kind::Message(&RESOURCE)),
        repeated(resource_items::SCOPES, "scopeMetrics", Kind::Message(&SCOPE_METRICS)),
        field(resource_items::SCHEMA_URL, "schemaUrl", Kind::String),
    ],
);

pub(super) static RESOURCE_LOGS: Message = message(
    "ResourceLogs",
    &[
        field(resource_items::RESOURCE, "resource", Kind::Message(&RESOURCE)),
        repeated(resource_items::SCOPES, "scopeLogs", Kind::Message(&SCOPE_LOGS)),
        field(resource_items::SCHEMA_URL, "schemaUrl", Kind::String),
    ],
);

pub(super) mod resource {
    pub(in super::super) const ATTRIBUTES: u32 = 1;
    pub(in super::super) const DROPPED: u32 = 2;
}

static RESOURCE: Message = message(
    "Resource",
    &[
        repeated(resource::ATTRIBUTES, "attributes", Kind::Message(&KEY_VALUE)),
        field(resource::DROPPED, "droppedAttributesCount", Kind::Uint32),
    ],
);

/// `ScopeMetrics` and `ScopeLogs`.
pub(super) mod scope_items {
    pub(in super::super) const SCOPE: u32 = 1;
    pub(in super::super) const ITEMS: u32 = 2;
    pub(in super::super) const SCHEMA_URL: u32 = 3;
}

pub(super) static SCOPE_METRICS: Message = message(
    "ScopeMetrics",
    &[
        field(scope_items::SCOPE, "scope", Kind::Message(&SCOPE)),
        repeated(scope_items::ITEMS, "metrics", Kind::Message(&METRIC)),
        field(scope_items::SCHEMA_URL, "schemaUrl", Kind::String),
    ],
);

pub(super) static SCOPE_LOGS: Message = message(
    "ScopeLogs",
    &[
        field(scope_items::SCOPE, "scope", Kind::Message(&SCOPE)),
        repeated(scope_items::ITEMS, "logRecords", Kind::Message(&LOG_RECORD)),
        field(scope_items::SCHEMA_URL, "schemaUrl", Kind::String),
    ],
);

pub(super) mod scope {
    pub(in super::super) const NAME: u32 = 1;
    pub(in super::super) const VERSION: u32 = 2;
    pub(in super::super) const ATTRIBUTES: u32 = 3;
    pub(in super::super) const DROPPED: u32 = 4;
}

static SCOPE: Message = message(
    "InstrumentationScope",
    &[
        field(scope::NAME, "name", Kind::String),
        field(scope::VERSION, "version", Kind::String),
        repeated(scope::ATTRIBUTES, "attributes", Kind::Message(&KEY_VALUE)),
        field(scope::DROPPED, "droppedAttributesCount", Kind::Uint32),
    ],
);

pub(super) mod metric {
    pub(in super::super) const NAME: u32 = 1;
    pub(in super::super) const DESCRIPTION: u32 = 2;
    pub(in super::super) const UNIT: u32 = 3;
    pub(in super::super) const GAUGE: u32 = 5;
    pub(in super::super) const SUM: u32 = 7;
    pub(in super::super) const HISTOGRAM: u32 = 9;
    pub(in super::super) const EXPONENTIAL_HISTOGRAM: u32 = 10;
    pub(in super::super) const SUMMARY: u32 = 11;
}

pub(super) static METRIC: Message = message(
    "Metric",
    &[
        field(metric::NAME, "name", Kind::String),
        field(metric::DESCRIPTION, "description", Kind::String),
        field(metric::UNIT, "unit", Kind::String),
        field(metric::GAUGE, "gauge", Kind::Message(&GAUGE)),
        field(metric::SUM, "sum", Kind::Message(&SUM)),
        field(metric::HISTOGRAM, "histogram", Kind::Message(&HISTOGRAM)),
        field(metric::EXPONENTIAL_HISTOGRAM, "exponentialHistogram", Kind::Message(&EXPONENTIAL_HISTOGRAM)),
        field(metric::SUMMARY, "summary", Kind::Message(&SUMMARY)),
    ],
);

/// `Gauge`, `Sum`, `Histogram`, `ExponentialHistogram`, `Summary`.
pub(super) mod data {
    pub(in super::super) const POINTS: u32 = 1;
    pub(in super::super) const TEMPORALITY: u32 = 2;
    pub(in super::super) const MONOTONIC: u32 = 3;
}

static GAUGE: Message =
    message("Gauge", &[repeated(data::POINTS, "dataPoints", Kind::Message(&NUMBER_POINT))]);

static SUM: Message = message(
    "Sum",
    &[
        repeated(data::POINTS, "dataPoints", Kind::Message(&NUMBER_POINT)),
        field(data::TEMPORALITY, "aggregationTemporality", Kind::Enum(&TEMPORALITIES)),
        field(data::MONOTONIC, "isMonotonic", Kind::Bool),
    ],
);

static HISTOGRAM: Message = message(
    "Histogram",
    &[
        repeated(data::POINTS, "dataPoints", Kind::Message(&HISTOGRAM_POINT)),
        field(data::TEMPORALITY, "aggregationTemporality", Kind::Enum(&TEMPORALITIES)),
    ],
);

static EXPONENTIAL_HISTOGRAM: Message = message(
    "ExponentialHistogram",
    &[
        repeated(data::POINTS, "dataPoints", Kind::Message(&EXPONENTIAL_POINT)),
        field(data::TEMPORALITY, "aggregationTemporality", Kind::Enum(&TEMPORALITIES)),
    ],
);

static SUMMARY: Message =
    message("Summary", &[repeated(data::POINTS, "dataPoints", Kind::Message(&SUMMARY_POINT))]);

pub(super) const TEMPORALITY_DELTA: u64 = 1;
pub(super) const TEMPORALITY_CUMULATIVE: u64 = 2;

static TEMPORALITIES: [&str; 3] = [
    "AGGREGATION_TEMPORALITY_UNSPECIFIED",
    "AGGREGATION_TEMPORALITY_DELTA",
    "AGGREGATION_TEMPORALITY_CUMULATIVE",
];

/// What all points of metrics have under the same number.
pub(super) mod point {
    pub(in super::super) const START_TIME: u32 = 2;
    pub(in super::super) const TIME: u32 = 3;
    /// The bit of `flags` which says that there is no value.
    pub(in super::super) const NO_RECORDED_VALUE: u64 = 1;
}

pub(super) mod number {
    pub(in super::super) const AS_DOUBLE: u32 = 4;
    pub(in super::super) const EXEMPLARS: u32 = 5;
    pub(in super::super) const AS_INT: u32 = 6;
    pub(in super::super) const ATTRIBUTES: u32 = 7;
    pub(in super::super) const FLAGS: u32 = 8;
}

static NUMBER_POINT: Message = message(
    "NumberDataPoint",
    &[
        repeated(number::ATTRIBUTES, "attributes", Kind::Message(&KEY_VALUE)),
        field(point::START_TIME, "startTimeUnixNano", Kind::Fixed64),
        field(point::TIME, "timeUnixNano", Kind::Fixed64),
        field(number::AS_DOUBLE, "asDouble", Kind::Double),
        field(number::AS_INT, "asInt", Kind::Sfixed64),
        repeated(number::EXEMPLARS, "exemplars", Kind::Message(&EXEMPLAR)),
        field(number::FLAGS, "flags", Kind::Uint32),
    ],
);

pub(super) mod histogram {
    pub(in super::super) const COUNT: u32 = 4;
    pub(in super::super) const SUM: u32 = 5;
    pub(in super::super) const BUCKET_COUNTS: u32 = 6;
    pub(in super::super) const BOUNDS: u32 = 7;
    pub(in super::super) const EXEMPLARS: u32 = 8;
    pub(in super::super) const ATTRIBUTES: u32 = 9;
    pub(in super::super) const FLAGS: u32 = 10;
    pub(in super::super) const MIN: u32 = 11;
    pub(in super::super) const MAX: u32 = 12;
}

static HISTOGRAM_POINT: Message = message(
    "HistogramDataPoint",
    &[
        repeated(histogram::ATTRIBUTES, "attributes", Kind::Message(&KEY_VALUE)),
        field(point::START_TIME, "startTimeUnixNano", Kind::Fixed64),
        field(point::TIME, "timeUnixNano", Kind::Fixed64),
        field(histogram::COUNT, "count", Kind::Fixed64),
        field(histogram::SUM, "sum", Kind::Double),
        repeated(histogram::BUCKET_COUNTS, "bucketCounts", Kind::Fixed64),
        repeated(histogram::BOUNDS, "explicitBounds", Kind::Double),
        repeated(histogram::EXEMPLARS, "exemplars", Kind::Message(&EXEMPLAR)),
        field(histogram::FLAGS, "flags", Kind::Uint32),
        field(histogram::MIN, "min", Kind::Double),
        field(histogram::MAX, "max", Kind::Double),
    ],
);

pub(super) mod exponential {
    pub(in super::super) const ATTRIBUTES: u32 = 1;
    pub(in super::super) const COUNT: u32 = 4;
    pub(in super::super) const SUM: u32 = 5;
    pub(in super::super) const SCALE: u32 = 6;
    pub(in super::super) const ZERO_COUNT: u32 = 7;
    pub(in super::super) const POSITIVE: u32 = 8;
    pub(in super::super) const NEGATIVE: u32 = 9;
    pub(in super::super) const FLAGS: u32 = 10;
    pub(in super::super) const EXEMPLARS: u32 = 11;
    pub(in super::super) const MIN: u32 = 12;
    pub(in super::super) const MAX: u32 = 13;
    pub(in super::super) const ZERO_THRESHOLD: u32 = 14;
}

static EXPONENTIAL_POINT: Message = message(
    "ExponentialHistogramDataPoint",
    &[
        repeated(exponential::ATTRIBUTES, "attributes", Kind::Message(&KEY_VALUE)),
        field(point::START_TIME, "startTimeUnixNano", Kind::Fixed64),
        field(point::TIME, "timeUnixNano", Kind::Fixed64),
        field(exponential::COUNT, "count", Kind::Fixed64),
        field(exponential::SUM, "sum", Kind::Double),
        field(exponential::SCALE, "scale", Kind::Sint32),
        field(exponential::ZERO_COUNT, "zeroCount", Kind::Fixed64),
        field(exponential::POSITIVE, "positive", Kind::Message(&BUCKETS)),
        field(exponential::NEGATIVE, "negative", Kind::Message(&BUCKETS)),
        field(exponential::FLAGS, "flags", Kind::Uint32),
        repeated(exponential::EXEMPLARS, "exemplars", Kind::Message(&EXEMPLAR)),
        field(exponential::MIN, "min", Kind::Double),
        field(exponential::MAX, "max", Kind::Double),
        field(exponential::ZERO_THRESHOLD, "zeroThreshold", Kind::Double),
    ],
);

pub(super) mod buckets {
    pub(in super::super) const OFFSET: u32 = 1;
    pub(in super::super) const COUNTS: u32 = 2;
}

static BUCKETS: Message = message(
    "Buckets",
    &[
        field(buckets::OFFSET, "offset", Kind::Sint32),
        repeated(buckets::COUNTS, "bucketCounts", Kind::Uint64),
    ],
);

pub(super) mod summary {
    pub(in super::super) const COUNT: u32 = 4;
    pub(in super::super) const SUM: u32 = 5;
    pub(in super::super) const QUANTILES: u32 = 6;
    pub(in super::super) const ATTRIBUTES: u32 = 7;
    pub(in super::super) const FLAGS: u32 = 8;
}

static SUMMARY_POINT: Message = message(
    "SummaryDataPoint",
    &[
        repeated(summary::ATTRIBUTES, "attributes", Kind::Message(&KEY_VALUE)),
        field(point::START_TIME, "startTimeUnixNano", Kind::Fixed64),
        field(point::TIME, "timeUnixNano", Kind::Fixed64),
        field(summary::COUNT, "count", Kind::Fixed64),
        field(summary::SUM, "sum", Kind::Double),
        repeated(summary::QUANTILES, "quantileValues", Kind::Message(&QUANTILE)),
        field(summary::FLAGS, "flags", Kind::Uint32),
    ],
);

pub(super) mod quantile {
    pub(in super::super) const QUANTILE: u32 = 1;
    pub(in super::super) const VALUE: u32 = 2;
}

static QUANTILE: Message = message(
    "ValueAtQuantile",
    &[field(quantile::QUANTILE, "quantile", Kind::Double), field(quantile::VALUE, "value", Kind::Double)],
);

pub(super) mod exemplar {
    pub(in super::super) const TIME: u32 = 2;
    pub(in super::super) const AS_DOUBLE: u32 = 3;
    pub(in super::super) const SPAN_ID: u32 = 4;
    pub(in super::super) const TRACE_ID: u32 = 5;
    pub(in super::super) const AS_INT: u32 = 6;
    pub(in super::super) const ATTRIBUTES: u32 = 7;
}

static EXEMPLAR: Message = message(
    "Exemplar",
    &[
        repeated(exemplar::ATTRIBUTES, "filteredAttributes", Kind::Message(&KEY_VALUE)),
        field(exemplar::TIME, "timeUnixNano", Kind::Fixed64),
        field(exemplar::AS_DOUBLE, "asDouble", Kind::Double),
        field(exemplar::AS_INT, "asInt", Kind::Sfixed64),
        field(exemplar::SPAN_ID, "spanId", Kind::Id(SPAN_ID_BYTES)),
        field(exemplar::TRACE_ID, "traceId", Kind::Id(TRACE_ID_BYTES)),
    ],
);

pub(super) mod log_record {
    pub(in super::super) const TIME: u32 = 1;
    pub(in super::super) const SEVERITY_NUMBER: u32 = 2;
    pub(in super::super) const SEVERITY_TEXT: u32 = 3;
    pub(in super::super) const BODY: u32 = 5;
    pub(in super::super) const ATTRIBUTES: u32 = 6;
    pub(in super::super) const DROPPED: u32 = 7;
    pub(in super::super) const FLAGS: u32 = 8;
    pub(in super::super) const TRACE_ID: u32 = 9;
    pub(in super::super) const SPAN_ID: u32 = 10;
    pub(in super::super) const OBSERVED_TIME: u32 = 11;
    pub(in super::super) const EVENT_NAME: u32 = 12;
}

pub(super) static LOG_RECORD: Message = message(
    "LogRecord",
    &[
        field(log_record::TIME, "timeUnixNano", Kind::Fixed64),
        field(log_record::OBSERVED_TIME, "observedTimeUnixNano", Kind::Fixed64),
        field(log_record::SEVERITY_NUMBER, "severityNumber", Kind::Enum(&SEVERITIES)),
        field(log_record::SEVERITY_TEXT, "severityText", Kind::String),
        field(log_record::BODY, "body", Kind::Message(&ANY_VALUE)),
        repeated(log_record::ATTRIBUTES, "attributes", Kind::Message(&KEY_VALUE)),
        field(log_record::DROPPED, "droppedAttributesCount", Kind::Uint32),
        field(log_record::FLAGS, "flags", Kind::Fixed32),
        field(log_record::TRACE_ID, "traceId", Kind::Id(TRACE_ID_BYTES)),
        field(log_record::SPAN_ID, "spanId", Kind::Id(SPAN_ID_BYTES)),
        field(log_record::EVENT_NAME, "eventName", Kind::String),
    ],
);

static SEVERITIES: [&str; 25] = [
    "SEVERITY_NUMBER_UNSPECIFIED",
    "SEVERITY_NUMBER_TRACE",
    "SEVERITY_NUMBER_TRACE2",
    "SEVERITY_NUMBER_TRACE3",
    "SEVERITY_NUMBER_TRACE4",
    "SEVERITY_NUMBER_DEBUG",
    "SEVERITY_NUMBER_DEBUG2",
    "SEVERITY_NUMBER_DEBUG3",
    "SEVERITY_NUMBER_DEBUG4",
    "SEVERITY_NUMBER_INFO",
    "SEVERITY_NUMBER_INFO2",
    "SEVERITY_NUMBER_INFO3",
    "SEVERITY_NUMBER_INFO4",
    "SEVERITY_NUMBER_WARN",
    "SEVERITY_NUMBER_WARN2",
    "SEVERITY_NUMBER_WARN3",
    "SEVERITY_NUMBER_WARN4",
    "SEVERITY_NUMBER_ERROR",
    "SEVERITY_NUMBER_ERROR2",
    "SEVERITY_NUMBER_ERROR3",
    "SEVERITY_NUMBER_ERROR4",
    "SEVERITY_NUMBER_FATAL",
    "SEVERITY_NUMBER_FATAL2",
    "SEVERITY_NUMBER_FATAL3",
    "SEVERITY_NUMBER_FATAL4",
];

pub(super) mod key_value {
    pub(in super::super) const KEY: u32 = 1;
    pub(in super::super) const VALUE: u32 = 2;
}

static KEY_VALUE: Message = message(
    "KeyValue",
    &[
        field(key_value::KEY, "key", Kind::String),
        field(key_value::VALUE, "value", Kind::Message(&ANY_VALUE)),
    ],
);

pub(super) mod any_value {
    pub(in super::super) const STRING: u32 = 1;
    pub(in super::super) const BOOL: u32 = 2;
    pub(in super::super) const INT: u32 = 3;
    pub(in super::super) const DOUBLE: u32 = 4;
    pub(in super::super) const ARRAY: u32 = 5;
    pub(in super::super) const MAP: u32 = 6;
    pub(in super::super) const BYTES: u32 = 7;
}

static ANY_VALUE: Message = message(
    "AnyValue",
    &[
        field(any_value::STRING, "stringValue", Kind::String),
        field(any_value::BOOL, "boolValue", Kind::Bool),
        field(any_value::INT, "intValue", Kind::Int64),
        field(any_value::DOUBLE, "doubleValue", Kind::Double),
        field(any_value::ARRAY, "arrayValue", Kind::Message(&ARRAY_VALUE)),
        field(any_value::MAP, "kvlistValue", Kind::Message(&KEY_VALUE_LIST)),
        field(any_value::BYTES, "bytesValue", Kind::Bytes),
    ],
);

/// `ArrayValue` and `KeyValueList`.
pub(super) const LIST_VALUES: u32 = 1;

static ARRAY_VALUE: Message = Message {
    name: "ArrayValue",
    nests: true,
    fields: &[repeated(LIST_VALUES, "values", Kind::Message(&ANY_VALUE))],
};

static KEY_VALUE_LIST: Message = Message {
    name: "KeyValueList",
    nests: true,
    fields: &[repeated(LIST_VALUES, "values", Kind::Message(&KEY_VALUE))],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_both_of_their_names() {
        for (key, number) in [
            ("timeUnixNano", Some(point::TIME)),
            ("time_unix_nano", Some(point::TIME)),
            ("asInt", Some(number::AS_INT)),
            ("as_int", Some(number::AS_INT)),
            ("as_int_", None),
            ("asint", None),
            ("", None),
        ] {
            assert_eq!(NUMBER_POINT.named(key).map(|field| field.number), number, "{key}");
        }
    }
}
