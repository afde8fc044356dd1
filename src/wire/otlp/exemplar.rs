//! Exemplars: their value, time and labels.

use crate::bytes::{ProtobufError, ProtobufFields, write_varint};
use crate::model::Exemplar;

use super::schema::exemplar;
use super::series::ATTRIBUTES_PREFIX;
use super::value::{KeyValue, is_id, write_hex};

/// Reads exemplars. Its memory is used again.
#[derive(Default, Debug)]
pub(super) struct ExemplarReader {
    labels: Vec<u8>,
    text: Vec<u8>,
}

impl ExemplarReader {
    /// Reads an exemplar of `field`, whose time is its point's where it has none. `None` if it has no value, or a
    /// time that has no room in the model's.
    pub(super) fn read<'a>(
        &'a mut self,
        message: &[u8],
        field: &'a [u8],
        point_time_ns: i64,
    ) -> Result<Option<Exemplar<'a>>, ProtobufError> {
        let (mut time, mut value_bits, mut span_id, mut trace_id) = (0, None, &[][..], &[][..]);
        let mut count = 0;
        for field in ProtobufFields::new(message) {
            match field? {
                (exemplar::TIME, value) => time = value.fixed64()?,
                (exemplar::AS_DOUBLE, value) => value_bits = Some(value.fixed64()?),
                // The model's exemplars are floats.
                (exemplar::AS_INT, value) => {
                    value_bits = Some((value.fixed64()? as i64 as f64).to_bits());
                }
                (exemplar::SPAN_ID, value) => span_id = value.bytes()?,
                (exemplar::TRACE_ID, value) => trace_id = value.bytes()?,
                (exemplar::ATTRIBUTES, _) => count += 1,
                _ => {}
            }
        }
        let time_ns = if time == 0 { Ok(point_time_ns) } else { i64::try_from(time) };
        let (Ok(time_ns), Some(value_bits)) = (time_ns, value_bits) else { return Ok(None) };
        count += u64::from(is_id(trace_id)) + u64::from(is_id(span_id));
        self.labels.clear();
        write_varint(&mut self.labels, count);
        for (name, id) in [(TRACE_ID, trace_id), (SPAN_ID, span_id)] {
            if is_id(id) {
                self.text.clear();
                write_hex(id, &mut self.text);
                self.push_label(&[], name);
            }
        }
        for field in ProtobufFields::new(message) {
            let (exemplar::ATTRIBUTES, value) = field? else { continue };
            let attribute = KeyValue::read(value.bytes()?)?;
            self.text.clear();
            attribute.value.write_text(&mut self.text)?;
            let is_taken = [TRACE_ID, SPAN_ID].contains(&attribute.key)
                || attribute.key.is_empty()
                || attribute.key.starts_with(ATTRIBUTES_PREFIX);
            self.push_label(if is_taken { ATTRIBUTES_PREFIX } else { &[] }, attribute.key);
        }
        Ok(Some(Exemplar { field, time_ns, value_bits, labels: &self.labels }))
    }

    /// Adds a label; its value is in `text`.
    fn push_label(&mut self, prefix: &[u8], name: &[u8]) {
        write_varint(&mut self.labels, (prefix.len() + name.len()) as u64);
        self.labels.extend_from_slice(prefix);
        self.labels.extend_from_slice(name);
        write_varint(&mut self.labels, self.text.len() as u64);
        self.labels.extend_from_slice(&self.text);
    }
}

const TRACE_ID: &[u8] = b"trace_id";
const SPAN_ID: &[u8] = b"span_id";
