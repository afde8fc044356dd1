//! A decoder written for plainness, that the real one is compared with: a cursor, one byte at a time, whole bodies.

use std::collections::BTreeMap;

use super::super::testing::{Row, Value};
use super::{Dialect, Precision};

/// What a body comes out as.
#[derive(Default, PartialEq, Debug)]
pub(super) struct Outcome {
    pub(super) rows: Vec<Row>,
    /// Line and reason.
    pub(super) faults: Vec<(u64, &'static str)>,
}

pub(super) fn decode(dialect: Dialect, precision: Precision, default_ns: i64, body: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    let mut start = 0;
    let mut number = 0;
    while start < body.len() {
        number += 1;
        let mut cursor = Cursor { dialect, text: body, at: start };
        let split = if dialect == Dialect::V2 { body.len() } else { split_counting(dialect, body, start) };
        cursor.text = &body[..split];
        cursor.skip(|b| dialect.is_indent(b));
        let comment = cursor.peek() == Some(b'#');
        let parsed = if comment {
            cursor.comment()
        } else if cursor.ends_line() {
            Ok(None)
        } else {
            cursor.row(precision, default_ns).map(Some)
        };
        match parsed {
            Ok(Some(row)) => outcome.rows.push(row),
            Ok(None) => {}
            Err(reason) => outcome.faults.push((number, reason)),
        }
        start = if dialect == Dialect::V2 || comment {
            let text = &body[cursor.at.min(body.len())..];
            cursor.at + text.iter().position(|&b| b == b'\n').unwrap_or(text.len()) + 1
        } else {
            split + 1
        };
    }
    outcome
}

/// The end of the line at `start` as v1 and v3 look for it.
fn split_counting(dialect: Dialect, body: &[u8], start: usize) -> usize {
    let mut at = start;
    while at < body.len() && dialect.is_indent(body[at]) {
        at += 1;
    }
    let comment = body.get(at) == Some(&b'#');
    let (mut fields, mut quoted, mut balance) = (false, false, 0);
    while at < body.len() {
        let byte = body[at];
        if comment {
            if byte == b'\n' {
                return at;
            }
            at += 1;
            continue;
        }
        if byte == b'\\' {
            // In a key of v1 the second of two backslashes escapes a space all the same.
            let ends_key = !fields && dialect == Dialect::V1 && body[at + 1..].starts_with(b"\\ ");
            at += 2;
            if ends_key {
                at += 1;
            }
            continue;
        }
        match byte {
            b' ' => fields = true,
            b'=' if fields && !quoted => balance += 1,
            b',' if fields && !quoted => balance -= 1,
            b'"' if fields && (quoted || balance > 0) => quoted = !quoted,
            b'\n' if !quoted => return at,
            _ => {}
        }
        at += 1;
    }
    body.len()
}

struct Cursor<'a> {
    dialect: Dialect,
    text: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip(&mut self, which: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&which) {
            self.at += 1;
        }
    }

    fn ends_line(&self) -> bool {
        match &self.text[self.at.min(self.text.len())..] {
            [] => true,
            // The text of the others is cut where the line ends.
            [b'\n', ..] | [b'\r'] | [b'\r', b'\n', ..] => self.dialect == Dialect::V2,
            _ => false,
        }
    }

    fn comment(&mut self) -> Result<Option<Row>, &'static str> {
        while !self.ends_line() {
            if self.dialect == Dialect::V2 && self.peek().is_some_and(|b| b.is_ascii_control()) {
                return Err("syntax");
            }
            self.at += 1;
        }
        Ok(None)
    }

    /// A name up to one of `stops`.
    fn name(&mut self, stops: &[u8], escapes: &[u8], pairs: bool) -> Result<Vec<u8>, &'static str> {
        let mut name = Vec::new();
        while let Some(byte) = self.peek() {
            let control = self.dialect == Dialect::V2 && byte.is_ascii_control();
            if stops.contains(&byte) || control {
                break;
            }
            self.at += 1;
            name.push(byte);
            if byte != b'\\' {
                continue;
            }
            let Some(next) = self.peek() else { continue };
            if escapes.contains(&next) || (self.dialect == Dialect::V3 && next == b'\\') {
                name.pop();
                name.push(next);
                self.at += 1;
            } else if pairs {
                name.push(next);
                self.at += 1;
            }
        }
        if name.is_empty() || (self.dialect == Dialect::V3 && name.last() == Some(&b'\\')) {
            return Err("syntax");
        }
        Ok(name)
    }

    fn take(&mut self, byte: u8) -> Result<(), &'static str> {
        if self.peek() != Some(byte) {
            return Err("syntax");
        }
        self.at += 1;
        Ok(())
    }

    fn row(&mut self, precision: Precision, default_ns: i64) -> Result<Row, &'static str> {
        let dialect = self.dialect;
        let start = self.at;
        let stops: &[u8] = if dialect == Dialect::V3 { b", \t\n\0" } else { b", " };
        let measurement = self.name(stops, b", ", dialect == Dialect::V3)?;
        let mut labels = vec![(b"__name__".to_vec(), measurement)];
        while self.peek() == Some(b',') {
            self.at += 1;
            let stops: &[u8] = if dialect == Dialect::V3 { b"= \t\n" } else { b"=, " };
            let key = self.name(stops, b",= ", dialect == Dialect::V3)?;
            self.take(b'=')?;
            let mut lead = Vec::new();
            if dialect == Dialect::V1 && self.peek() == Some(b'=') {
                self.at += 1;
                lead.push(b'=');
                if matches!(self.peek(), Some(b',' | b' ') | None) {
                    labels.push((key, lead));
                    continue;
                }
            }
            let stops: &[u8] = if dialect == Dialect::V3 { b", \t\n" } else { b",= " };
            lead.extend(self.name(stops, b",= ", dialect == Dialect::V3)?);
            labels.push((key, lead));
        }
        self.take(b' ')?;
        self.skip(|b| dialect.is_gap(b));
        let fields = self.fields()?;
        let time_ns = self.time(precision, default_ns)?;
        if !self.ends_line() {
            return Err("timestamp");
        }
        let line = &self.text[start..self.at];
        if std::str::from_utf8(line).is_err() {
            return Err("utf8");
        }
        if labels[1..].iter().any(|(name, _)| dialect.reserves_tag(name)) {
            return Err("name");
        }
        // Twice is once too often for InfluxDB 3, and for all of them where the types differ.
        let is_refused = |f: &(Vec<u8>, Value), g: &(Vec<u8>, Value)| {
            dialect == Dialect::V3 || std::mem::discriminant(&f.1) != std::mem::discriminant(&g.1)
        };
        if fields.iter().enumerate().any(|(i, f)| fields[..i].iter().any(|g| g.0 == f.0 && is_refused(f, g)))
        {
            return Err("name");
        }
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let mut sorted = BTreeMap::new();
        for (name, value) in labels {
            if sorted.insert(text(name), text(value)).is_some() {
                return Err("labels");
            }
        }
        let last_of_name = |i: usize| !fields[i + 1..].iter().any(|later| later.0 == fields[i].0);
        let fields = fields.iter().enumerate().filter(|(i, _)| last_of_name(*i)).map(|(_, f)| f.clone());
        let fields = fields.map(|(name, value)| (text(name), value)).collect();
        Ok(Row { labels: sorted.into_iter().collect(), time_ns, start_time_ns: None, fields })
    }

    fn fields(&mut self) -> Result<Vec<(Vec<u8>, Value)>, &'static str> {
        let mut fields = Vec::new();
        loop {
            let stops: &[u8] = if self.dialect == Dialect::V3 { b"= \t\n" } else { b"=, " };
            let mut name = self.name(stops, b",= ", self.dialect != Dialect::V2)?;
            self.take(b'=')?;
            if self.dialect == Dialect::V1 {
                if self.text[self.at - 2] == b'\\' {
                    return Err("syntax");
                }
                let mut from = 0;
                while let Some(at) = name[from..].windows(2).position(|pair| pair == b"\\\"") {
                    name.remove(from + at);
                    from += at + 1;
                }
            }
            let value = if self.peek() == Some(b'"') { self.string()? } else { self.bare()? };
            fields.push((name, value));
            if self.peek() != Some(b',') {
                return Ok(fields);
            }
            self.at += 1;
            let lone = self.dialect == Dialect::V3 && fields.len() == 1;
            if lone && (self.ends_line() || self.peek() == Some(b' ')) {
                return Ok(fields);
            }
        }
    }

    fn string(&mut self) -> Result<Value, &'static str> {
        let opening = self.at;
        self.at += 1;
        let mut string = Vec::new();
        loop {
            let Some(byte) = self.peek() else {
                self.at = opening;
                return Err("syntax");
            };
            self.at += 1;
            match (byte, self.peek()) {
                (b'"', next) => {
                    if next.is_some_and(|b| b != b',' && b != b' ') && !self.ends_line() {
                        return Err("syntax");
                    }
                    return Ok(Value::Bytes(string));
                }
                (b'\\', Some(next @ (b'"' | b'\\'))) => {
                    string.push(next);
                    self.at += 1;
                }
                (b'\\', Some(letter @ (b'n' | b'r' | b't'))) if self.dialect == Dialect::V2 => {
                    string.push(match letter {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        _ => b'\t',
                    });
                    self.at += 1;
                }
                _ => string.push(byte),
            }
        }
    }

    fn bare(&mut self) -> Result<Value, &'static str> {
        let start = self.at;
        while self.peek().is_some_and(|b| b != b',' && b != b' ') && !self.ends_line() {
            self.at += 1;
        }
        let text = std::str::from_utf8(&self.text[start..self.at]).map_err(|_| "value")?;
        let end = std::mem::replace(&mut self.at, start);
        let value = match text {
            "" => return Err("syntax"),
            "t" | "T" | "true" | "True" | "TRUE" => Value::Bool(true),
            "f" | "F" | "false" | "False" | "FALSE" => Value::Bool(false),
            _ if !text.starts_with(|c: char| c == '-' || c == '.' || c.is_ascii_digit()) => {
                return Err("value");
            }
            _ if text.ends_with('i') => Value::I64(text[..text.len() - 1].parse().map_err(|_| "value")?),
            _ if text.ends_with('u') => {
                if text.starts_with('-') {
                    return Err("value");
                }
                Value::U64(text[..text.len() - 1].parse().map_err(|_| "value")?)
            }
            _ => {
                let strict = self.dialect == Dialect::V3;
                let mantissa = text.split(['e', 'E']).next().unwrap().trim_start_matches('-');
                let odd = mantissa.starts_with('.') || mantissa.ends_with('.');
                if strict && odd || text.contains(|c: char| c.is_ascii_alphabetic() && c != 'e' && c != 'E') {
                    return Err("value");
                }
                let value: f64 = text.parse().map_err(|_| "value")?;
                if value.is_infinite() && !strict {
                    return Err("value");
                }
                Value::F64(value.to_bits())
            }
        };
        self.at = end;
        Ok(value)
    }

    fn time(&mut self, precision: Precision, default_ns: i64) -> Result<i64, &'static str> {
        let gap = self.at;
        let dialect = self.dialect;
        self.skip(|b| dialect.is_gap(b));
        if self.ends_line() {
            let spaces_only = dialect == Dialect::V3 && self.at > gap;
            let unit = precision.unit_ns();
            return if spaces_only { Err("syntax") } else { Ok(default_ns.div_euclid(unit) * unit) };
        }
        let start = self.at;
        while self.peek().is_some_and(|b| b != b' ') && !self.ends_line() {
            self.at += 1;
        }
        let text = std::str::from_utf8(&self.text[start..self.at]).map_err(|_| "timestamp")?;
        if text.starts_with('+') {
            return Err("timestamp");
        }
        let ticks: i64 = text.parse().map_err(|_| "timestamp")?;
        self.skip(|b| b == b' ');
        if !self.ends_line() {
            return Err("syntax");
        }
        let ns = i128::from(ticks) * i128::from(precision.unit_ns());
        let ends = if dialect == Dialect::V1 { (i64::MIN + 2, i64::MAX - 1) } else { (i64::MIN, i64::MAX) };
        let ns = i64::try_from(ns).map_err(|_| "timestamp")?;
        if ns < ends.0 || ns > ends.1 { Err("timestamp") } else { Ok(ns) }
    }
}
