//! A notification, as write_http sends them: an alert in the form that Prometheus's Alertmanager takes.

use super::element::is_null;
use super::fault::{Fault, shown};
use super::fields::{Fields, append};
use super::time::parse_rfc3339;
use crate::bytes::json::{Json, JsonString};
use crate::model::{LabelsBuf, METRIC_NAME};

/// An alert as its element says it.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Alert<'a> {
    /// The texts of the objects.
    pub(super) labels: Option<&'a [u8]>,
    pub(super) annotations: Option<&'a [u8]>,
    pub(super) starts_at: Option<JsonString<'a>>,
}

impl<'a> Alert<'a> {
    /// Writes the key: the labels' text. No list's starts like it.
    pub(super) fn write_key(&self, key: &mut Vec<u8>) -> Result<(), Fault> {
        let labels = self.labels.unwrap_or_default();
        if labels.len() > super::TEXT_BYTES_MAX {
            return Err(Fault::TooLong);
        }
        key.extend_from_slice(labels);
        Ok(())
    }

    /// Fills `labels`; what is empty is none.
    pub(super) fn read_labels(&self, labels: &mut LabelsBuf, scratch: &mut Vec<u8>) -> Result<(), Fault> {
        let mut named = false;
        each_text(self.labels, |name, value| {
            if name.raw() == SEVERITY {
                return Ok(());
            }
            scratch.clear();
            append(name, scratch)?;
            let name_len = scratch.len();
            append(value, scratch)?;
            std::str::from_utf8(scratch).map_err(|_| Fault::NotUtf8)?;
            let (name, value) = scratch.split_at(name_len);
            if value.is_empty() {
                return Ok(());
            }
            let is_name = name == b"alertname";
            named |= is_name;
            labels.push(if is_name { METRIC_NAME } else { name }, value);
            Ok(())
        })?;
        if named { Ok(()) } else { Err(Fault::NoName("alertname")) }
    }

    /// The time, if it says one: nanoseconds since the Unix epoch.
    pub(super) fn time_ns(&self, scratch: &mut Vec<u8>) -> Result<Option<i64>, Fault> {
        let Some(text) = self.starts_at else { return Ok(None) };
        scratch.clear();
        append(text, scratch)?;
        parse_rfc3339(scratch).map(Some).ok_or_else(|| Fault::Time(shown(scratch)))
    }

    /// Fills `row`: a field of text for each annotation, and for the severity, a label in collectd 5.12.
    pub(super) fn read_fields(&self, row: &mut Fields) -> Result<(), Fault> {
        each_text(
            self.labels,
            |name, value| {
                if name.raw() == SEVERITY { row.push_text(name, value) } else { Ok(()) }
            },
        )?;
        each_text(self.annotations, |name, value| row.push_text(name, value))?;
        if row.is_empty() { Err(Fault::NoValues) } else { Ok(()) }
    }
}

/// What changes between the events of one series.
const SEVERITY: &[u8] = b"severity";

/// Calls `take` with each member of an object of strings. Null is what collectd says of a type that it does not know.
fn each_text<'a>(
    object: Option<&'a [u8]>,
    mut take: impl FnMut(JsonString<'a>, JsonString<'a>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let Some(text) = object else { return Ok(()) };
    Json::new(text, 0).object(|json, name| if is_null(json)? { Ok(()) } else { take(name, json.string()?) })
}
