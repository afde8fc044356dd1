//! JSON lines: the pairs of the logfmt form as one object; numbers and booleans stay what they are.

use std::fmt;

use jiff::Timestamp;
use serde_json::Value;
use tracing::Event;
use tracing::field::{Field, Visit};

use super::{MESSAGE, level_name};

/// Appends the event as one line.
pub(super) fn write(line: &mut String, time: Timestamp, event: &Event<'_>) {
    let metadata = event.metadata();
    let mut fields = Fields { message: None, rest: String::new() };
    event.record(&mut fields);
    line.push('{');
    member(line, "ts", &format!("{time:.3}").into());
    member(line, "level", &level_name(*metadata.level()).into());
    member(line, "target", &metadata.target().into());
    if let Some(message) = &fields.message {
        member(line, "msg", message);
    }
    line.push_str(&fields.rest);
    line.push_str("}\n");
}

/// The event's fields: the message apart, the others as members already.
struct Fields {
    message: Option<Value>,
    rest: String,
}

impl Fields {
    fn take(&mut self, field: &Field, value: Value) {
        match field.name() {
            MESSAGE => self.message = Some(value),
            // An object has no two members of one name.
            name @ ("ts" | "level" | "target" | "msg") => member(&mut self.rest, &format!("{name}_"), &value),
            name => member(&mut self.rest, name, &value),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.take(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.take(field, value.into());
    }

    /// JSON has no NaN and no infinity: they become text.
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.take(field, if value.is_finite() { value.into() } else { value.to_string().into() });
    }
}

/// Appends a member; only the first has no comma before it.
fn member(line: &mut String, name: &str, value: &Value) {
    if line.as_str() != "{" {
        line.push(',');
    }
    line.push_str(&Value::from(name).to_string());
    line.push(':');
    line.push_str(&value.to_string());
}
