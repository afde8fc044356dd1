//! logfmt: `key=value` pairs with a space between; values in quotes where they need them.

use std::fmt::{self, Write};

use jiff::Timestamp;
use tracing::Event;
use tracing::field::{Field, Visit};

use super::{MESSAGE, level_name};

/// Appends the event as one line.
pub(super) fn write(line: &mut String, time: Timestamp, event: &Event<'_>) {
    let metadata = event.metadata();
    put(line, format_args!("ts={time:.3} level={} target=", level_name(*metadata.level())));
    value(line, metadata.target());
    let mut message = Message(None);
    event.record(&mut message);
    if let Some(text) = message.0 {
        line.push_str(" msg=");
        quoted(line, &text);
    }
    event.record(&mut Fields(line));
    line.push('\n');
}

/// The event's message.
struct Message(Option<String>);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == MESSAGE {
            self.0 = Some(format!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == MESSAGE {
            self.0 = Some(value.into());
        }
    }
}

/// Every field but the message.
struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, text: &str) {
        if field.name() != MESSAGE {
            self.0.push(' ');
            key(self.0, field.name());
            self.0.push('=');
            value(self.0, text);
        }
    }
}

/// A name; what would end it early becomes `_`.
fn key(line: &mut String, name: &str) {
    line.extend(name.chars().map(|c| if needs_quotes(c) { '_' } else { c }));
}

/// A value, in quotes only where it needs them.
fn value(line: &mut String, text: &str) {
    if text.is_empty() || text.chars().any(needs_quotes) {
        quoted(line, text);
    } else {
        line.push_str(text);
    }
}

fn needs_quotes(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '=' | '"' | '\\')
}

/// Text in quotes, escaped as JSON does it, so that every reader of logfmt understands it.
fn quoted(line: &mut String, text: &str) {
    line.push('"');
    for c in text.chars() {
        match c {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            // The line separators would break a line in some viewers, the others are control characters.
            '\u{2028}' | '\u{2029}' => put(line, format_args!("\\u{:04x}", c as u32)),
            c if c.is_control() => put(line, format_args!("\\u{:04x}", c as u32)),
            c => line.push(c),
        }
    }
    line.push('"');
}

fn put(line: &mut String, text: fmt::Arguments<'_>) {
    line.write_fmt(text).expect("a String takes everything");
}
