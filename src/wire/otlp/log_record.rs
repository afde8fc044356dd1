//! Log records: each becomes the fields of a row.

use crate::bytes::ProtobufFields;
use crate::model::{FieldType, NestedBuf, RowBuf};

use super::decoder::Stop;
use super::pieces::Pieces;
use super::point::nanos;
use super::schema::log_record;
use super::series::ATTRIBUTES_PREFIX;
use super::value::{AnyValue, KeyValue, is_id, write_hex};

/// Reads log records into rows. Its memory is used again.
#[derive(Default, Debug)]
pub(super) struct LogReader {
    nested: NestedBuf,
    text: Vec<u8>,
}

impl LogReader {
    /// Reads a record's fields to `row`. The answer is its time, or when it was observed; 0 if neither is known.
    pub(super) fn read(&mut self, message: &[u8], row: &mut RowBuf) -> Result<u64, Stop> {
        row.clear();
        let (mut time, mut observed_time, mut severity, mut dropped, mut flags) = (0, 0, 0, 0, 0);
        let (mut severity_text, mut trace_id, mut span_id, mut event_name) =
            (&[][..], &[][..], &[][..], &[][..]);
        let mut body = Pieces::none(log_record::BODY);
        let mut fields = ProtobufFields::new(message);
        while let Some(field) = fields.next() {
            match field? {
                (log_record::TIME, value) => time = value.fixed64()?,
                (log_record::OBSERVED_TIME, value) => observed_time = value.fixed64()?,
                (log_record::SEVERITY_NUMBER, value) => severity = value.varint()?,
                (log_record::SEVERITY_TEXT, value) => severity_text = value.bytes()?,
                (log_record::BODY, value) => body.push(value.bytes()?, fields.rest()),
                (log_record::DROPPED, value) => dropped = value.varint()?,
                (log_record::FLAGS, value) => flags = value.fixed32()?.into(),
                (log_record::TRACE_ID, value) => trace_id = value.bytes()?,
                (log_record::SPAN_ID, value) => span_id = value.bytes()?,
                (log_record::EVENT_NAME, value) => event_name = value.bytes()?,
                _ => {}
            }
        }
        // Always there: a row has a field.
        row.push(b"severity_number", FieldType::I64, severity);
        if observed_time > 0 {
            row.push(b"observed_time", FieldType::I64, nanos(observed_time)? as u64);
        }
        if body.is_there() {
            let (kind, word) = AnyValue::read(body)?.field(&mut self.nested, &mut row.heap)?;
            row.push(b"body", kind, word);
        }
        for (name, text) in [(&b"severity_text"[..], severity_text), (b"event_name", event_name)] {
            if !text.is_empty() {
                row.push_bytes(name, FieldType::String, text);
            }
        }
        for (name, id) in [(&b"trace_id"[..], trace_id), (b"span_id", span_id)] {
            if is_id(id) {
                self.text.clear();
                write_hex(id, &mut self.text);
                row.push_bytes(name, FieldType::String, &self.text);
            }
        }
        for (name, count) in [(&b"flags"[..], flags), (b"dropped_attributes_count", dropped)] {
            if count > 0 {
                row.push(name, FieldType::U64, count);
            }
        }
        for field in ProtobufFields::new(message) {
            let (log_record::ATTRIBUTES, value) = field? else { continue };
            let attribute = KeyValue::read(value.bytes()?)?;
            let (kind, word) = attribute.value.field(&mut self.nested, &mut row.heap)?;
            row.push_prefixed(ATTRIBUTES_PREFIX, attribute.key, kind, word);
        }
        Ok(if time > 0 { time } else { observed_time })
    }
}
