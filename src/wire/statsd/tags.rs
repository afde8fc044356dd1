//! Tags in their four styles.

use crate::model::{LabelsBuf, METRIC_NAME};

/// Which tags are read.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum TagStyles {
    /// Those of DogStatsD, InfluxDB, Librato and SignalFx.
    #[default]
    All,
    /// None: tags in names stay in the names, others are left out.
    Plain,
}

/// Adds the tags that a name carries in brackets, or behind its first `#` or `,`. Gives the name without them, in its
/// two parts, and whether any tag was sound.
pub(super) fn name_tags(name: &[u8], mut tag: impl FnMut(&[u8], &[u8])) -> (&[u8], &[u8], bool) {
    let mut any = false;
    let mut add = |text: &[u8]| {
        for pair in text.split(|&b| b == b',') {
            if let Some((name, value)) = sound_pair(pair, b'=') {
                tag(name, value);
                any = true;
            }
        }
    };
    let (open, close) = (memchr::memchr(b'[', name), memchr::memchr(b']', name));
    match (open, close) {
        (Some(open), Some(close)) if open < close => {
            add(&name[open + 1..close]);
            return (&name[..open], &name[close + 1..], any);
        }
        (None, None) => {}
        // A bracket alone is part of the name, and so is what follows it.
        _ => return (name, &[], false),
    }
    match memchr::memchr2(b'#', b',', name) {
        Some(at) => {
            add(&name[at + 1..]);
            (&name[..at], &[], any)
        }
        None => (name, &[], false),
    }
}

/// Adds the tags of a DogStatsD section, its `#` taken off. Those without name or value are left out.
pub(super) fn dog_tags(section: &[u8], labels: &mut Labels) {
    for tag in section.split(|&b| b == b',') {
        if let Some((name, value)) = sound_pair(tag.strip_prefix(b"#").unwrap_or(tag), b':') {
            labels.set_tag(name, value);
        }
    }
}

/// Adds the tags of an event or a service check. Those without a value are `true`.
pub(super) fn notice_tags(section: &[u8], labels: &mut Labels) {
    for tag in section.split(|&b| b == b',') {
        let (name, value) = match memchr::memchr(b':', tag) {
            Some(colon) => (&tag[..colon], &tag[colon + 1..]),
            None => (tag, &b""[..]),
        };
        if !name.is_empty() {
            labels.set_tag(name, if value.is_empty() { b"true" } else { value });
        }
    }
}

fn sound_pair(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(separator, text)?;
    let (name, value) = (&text[..at], &text[at + 1..]);
    (!name.is_empty() && !value.is_empty()).then_some((name, value))
}

/// Labels under construction, and room to make a tag's name sound.
#[derive(Default, Debug)]
pub(super) struct Labels {
    pub(super) buf: LabelsBuf,
    name: Vec<u8>,
}

impl Labels {
    /// Starts with a metric's name, which may be in two parts.
    pub(super) fn start(&mut self, name: &[u8], rest: &[u8]) {
        self.buf.clear();
        self.name.clear();
        self.name.extend_from_slice(name);
        self.name.extend_from_slice(rest);
        self.buf.push(METRIC_NAME, &self.name);
    }

    /// Adds a tag. The last one of a name counts; one by the name of the metric's own label is left out.
    pub(super) fn set_tag(&mut self, name: &[u8], value: &[u8]) {
        self.name.clear();
        if name[0].is_ascii_digit() {
            self.name.push(b'_');
        }
        // A character of several bytes becomes one underscore.
        let starts = name.iter().filter(|&&b| b & 0xc0 != 0x80);
        self.name.extend(starts.map(|&b| if b.is_ascii_alphanumeric() { b } else { b'_' }));
        if self.name != METRIC_NAME {
            self.buf.set(&self.name, value);
        }
    }
}
