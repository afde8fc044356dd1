//! From resource, scope, metric and attributes to a series: its key always, its labels when it is new.
//!
//! `docs/otlp.md` has the names of the labels. What OTLP says beside attributes has names with a prefix, and so have
//! the attributes of resource and scope; an attribute of a point that is called like one of ours gets a prefix, too.
//! So the label's name tells what it was, always.

use crate::bytes::{ProtobufError, ProtobufFields, ProtobufValue, read_varint, write_varint};
use crate::model::{Intake, LabelsBuf, METRIC_NAME, Series};

use super::decoder::{Fault, Signal, Stop};
use super::metric::MetricHead;
use super::schema::{resource, resource_items, scope, scope_items};
use super::value::KeyValue;

/// The messages that a row stands in.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Origin<'b> {
    /// `ResourceMetrics` or `ResourceLogs`.
    pub(super) resource: &'b [u8],
    /// `ScopeMetrics` or `ScopeLogs`.
    pub(super) scope: &'b [u8],
}

/// The key of the present row's series, and the memory for its labels.
#[derive(Default, Debug)]
pub(super) struct SeriesBuf {
    key: Vec<u8>,
    resource_end: usize,
    scope_end: usize,
    metric_end: usize,
    labels: LabelsBuf,
    name: Vec<u8>,
    text: Vec<u8>,
}

impl SeriesBuf {
    /// Rows of another resource follow.
    pub(super) fn enter_resource(&mut self, signal: Signal, message: &[u8]) -> Result<(), ProtobufError> {
        self.key.clear();
        self.key.push(signal as u8);
        self.push_parts(message, resource_items::SCOPES)?;
        self.resource_end = self.key.len();
        Ok(())
    }

    /// Rows of another scope follow.
    pub(super) fn enter_scope(&mut self, message: &[u8]) -> Result<(), ProtobufError> {
        self.key.truncate(self.resource_end);
        self.push_parts(message, scope_items::ITEMS)?;
        self.scope_end = self.key.len();
        self.metric_end = self.scope_end;
        Ok(())
    }

    /// Points of another metric follow.
    pub(super) fn enter_metric(&mut self, metric: &MetricHead<'_>) {
        self.key.truncate(self.scope_end);
        self.push_sized(metric.name);
        self.push_sized(metric.unit);
        // Some enum values that we don't know fit no byte. Their points are refused before a key is asked for.
        let temporality = metric.temporality as u8;
        self.key.extend_from_slice(&[metric.kind as u8, temporality, metric.is_monotonic.into()]);
        self.metric_end = self.key.len();
    }

    /// A point of the same metric follows.
    #[inline]
    pub(super) fn enter_point(&mut self) {
        self.key.truncate(self.metric_end);
    }

    /// The point has this attribute.
    #[inline]
    pub(super) fn push_attribute(&mut self, message: &[u8]) {
        self.push_sized(message);
    }

    /// What follows the present metric in this key: a point's attributes.
    #[inline]
    pub(super) fn attributes_in<'k>(&self, key: &'k [u8]) -> Option<&'k [u8]> {
        key.strip_prefix(&self.key[..self.metric_end])
    }

    /// Whatever a message has beside its items, each part with its number and length before it, and a 0 behind.
    fn push_parts(&mut self, message: &[u8], items: u32) -> Result<(), ProtobufError> {
        for field in ProtobufFields::new(message) {
            let (number, value) = field?;
            if number != items
                && let ProtobufValue::Bytes(bytes) = value
                && let Ok(number @ 1..) = u8::try_from(number)
            {
                self.key.push(number);
                self.push_sized(bytes);
            }
        }
        self.key.push(0);
        Ok(())
    }

    #[inline]
    fn push_sized(&mut self, bytes: &[u8]) {
        write_varint(&mut self.key, bytes.len() as u64);
        self.key.extend_from_slice(bytes);
    }

    /// The series of the present key.
    #[inline]
    pub(super) fn find<I: Intake>(
        &mut self,
        origin: &Origin<'_>,
        metric: Option<&MetricHead<'_>>,
        intake: &mut I,
    ) -> Result<Series, Stop> {
        if intake.predicted() == self.key {
            return Ok(intake.confirm());
        }
        match intake.find(&self.key) {
            Some(series) => Ok(series),
            None => self.define(origin, metric, intake),
        }
    }

    #[cold]
    fn define<I: Intake>(
        &mut self,
        origin: &Origin<'_>,
        metric: Option<&MetricHead<'_>>,
        intake: &mut I,
    ) -> Result<Series, Stop> {
        self.labels.clear();
        self.label_resource(origin.resource)?;
        self.label_scope(origin.scope)?;
        match metric {
            Some(metric) => self.label_metric(metric)?,
            None => self.labels.push(METRIC_NAME, LOG_RECORD_NAME),
        }
        intake.define(&self.key, &mut self.labels).map_err(|refusal| Stop::Fault(Fault::Refused(refusal)))
    }

    fn label_resource(&mut self, message: &[u8]) -> Result<(), ProtobufError> {
        // Of a field that is there twice the last one counts, as everywhere in protobuf.
        let (mut dropped, mut schema_url) = (0, &[][..]);
        for field in ProtobufFields::new(message) {
            match field? {
                (resource_items::RESOURCE, value) => {
                    for field in value.message()? {
                        match field? {
                            (resource::ATTRIBUTES, value) => {
                                self.label_attribute(b"resource.", KeyValue::read(value.bytes()?)?)?;
                            }
                            (resource::DROPPED, value) => dropped = value.varint()?,
                            _ => {}
                        }
                    }
                }
                (resource_items::SCHEMA_URL, value) => schema_url = value.bytes()?,
                _ => {}
            }
        }
        self.label_count(b"otlp.resource.dropped_attributes_count", dropped);
        self.label_text(b"otlp.resource.schema_url", schema_url);
        Ok(())
    }

    fn label_scope(&mut self, message: &[u8]) -> Result<(), ProtobufError> {
        let (mut name, mut version, mut dropped, mut schema_url) = (&[][..], &[][..], 0, &[][..]);
        for field in ProtobufFields::new(message) {
            match field? {
                (scope_items::SCOPE, value) => {
                    for field in value.message()? {
                        match field? {
                            (scope::NAME, value) => name = value.bytes()?,
                            (scope::VERSION, value) => version = value.bytes()?,
                            (scope::ATTRIBUTES, value) => {
                                self.label_attribute(b"scope.attributes.", KeyValue::read(value.bytes()?)?)?;
                            }
                            (scope::DROPPED, value) => dropped = value.varint()?,
                            _ => {}
                        }
                    }
                }
                (scope_items::SCHEMA_URL, value) => schema_url = value.bytes()?,
                _ => {}
            }
        }
        self.label_text(b"scope.name", name);
        self.label_text(b"scope.version", version);
        self.label_count(b"scope.dropped_attributes_count", dropped);
        self.label_text(b"scope.schema_url", schema_url);
        Ok(())
    }

    fn label_metric(&mut self, metric: &MetricHead<'_>) -> Result<(), ProtobufError> {
        self.labels.push(METRIC_NAME, metric.name);
        self.labels.push(b"otlp.type", metric.kind.name());
        self.label_text(b"otlp.unit", metric.unit);
        if let Some(temporality) = metric.temporality_name() {
            self.labels.push(b"otlp.temporality", temporality);
        }
        if let Some(monotonic) = metric.monotonic_name() {
            self.labels.push(b"otlp.monotonic", monotonic);
        }
        let key = std::mem::take(&mut self.key);
        let mut rest = &key[self.metric_end..];
        let mut labelled = Ok(());
        while let Some(len) = read_varint(&mut rest) {
            let (message, behind) = rest.split_at(len as usize);
            rest = behind;
            labelled = labelled.and_then(|()| {
                let attribute = KeyValue::read(message)?;
                let prefix: &[u8] = if is_reserved(attribute.key) { ATTRIBUTES_PREFIX } else { b"" };
                self.label_attribute(prefix, attribute)
            });
        }
        self.key = key;
        labelled
    }

    fn label_attribute(&mut self, prefix: &[u8], attribute: KeyValue<'_>) -> Result<(), ProtobufError> {
        self.name.clear();
        self.name.extend_from_slice(prefix);
        self.name.extend_from_slice(attribute.key);
        self.text.clear();
        attribute.value.write_text(&mut self.text)?;
        self.labels.push(&self.name, &self.text);
        Ok(())
    }

    /// Labels what is there; text that is empty is not there, in protobuf.
    fn label_text(&mut self, name: &[u8], text: &[u8]) {
        if !text.is_empty() {
            self.labels.push(name, text);
        }
    }

    fn label_count(&mut self, name: &[u8], count: u64) {
        if count > 0 {
            self.labels.push(name, count.to_string().as_bytes());
        }
    }
}

/// Whether the key of a point's attribute is taken for labels of ours.
fn is_reserved(key: &[u8]) -> bool {
    let prefixes: [&[u8]; 4] = [b"resource.", b"scope.", b"otlp.", ATTRIBUTES_PREFIX];
    key.is_empty() || key == METRIC_NAME || prefixes.iter().any(|prefix| key.starts_with(prefix))
}

/// Stands before a key that would be taken for something else, and before the keys of a log record's attributes.
pub(super) const ATTRIBUTES_PREFIX: &[u8] = b"attributes.";

/// The name of all log records.
const LOG_RECORD_NAME: &[u8] = b"otlp_log";
