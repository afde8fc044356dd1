//! From a line's names and labels to a series': unescaped, `le` and `quantile` in one spelling, empty ones left out.

use crate::bytes::write_varint;
use crate::model::{LabelsBuf, METRIC_NAME, MetricType};

use super::cursor::Span;
use super::fault::{Fault, LineFault};
use super::line::Tokens;
use super::number;
use super::{GivenLabel, is_given};

/// Memory for names and values while they are unescaped.
#[derive(Default, Debug)]
pub(super) struct Names {
    name: Vec<u8>,
    value: Vec<u8>,
    bound: Vec<u8>,
    /// For telling duplicates among many.
    all: LabelsBuf,
}

impl Names {
    /// Whether no two labels have one name, and none that of the metric's name.
    pub(super) fn check_unique(&mut self, text: &[u8], labels: &[(Span, Span)]) -> Result<(), LineFault> {
        let duplicate = |name: &[u8], at: &Span| {
            Err(Fault::DuplicateLabel(String::from_utf8_lossy(name).into_owned()).at(at.start as usize))
        };
        let escaped = labels.iter().any(|(name, _)| name.of(text).contains(&b'\\'));
        if labels.len() <= COMPARED_MAX && !escaped {
            for (i, (name, _)) in labels.iter().enumerate() {
                let text_of = name.of(text);
                let twin = labels[..i].iter().any(|(other, _)| other.of(text) == text_of);
                if twin || text_of == METRIC_NAME {
                    return duplicate(text_of, name);
                }
            }
            return Ok(());
        }
        self.all.clear();
        self.all.push(METRIC_NAME, b"");
        for (name, _) in labels {
            self.all.push(unescape(name.of(text), &mut self.name), b"");
        }
        match self.all.canonicalize() {
            Ok(()) => Ok(()),
            Err(crate::model::LabelsError::Duplicate(name)) => duplicate(&name, &labels[0].0),
        }
    }

    /// Fills `labels` with those of a series: its name, its own, and `given` in place of its own of these names.
    pub(super) fn series(
        &mut self,
        text: &[u8],
        tokens: &Tokens,
        kind: MetricType,
        given: &[GivenLabel],
        labels: &mut LabelsBuf,
    ) {
        self.series_labels(text, tokens, kind, given, false, labels);
    }

    /// Fills `labels` with those of a scraped series: its name and its own, with those that have no value if they are
    /// wanted.
    pub(super) fn scraped(
        &mut self,
        text: &[u8],
        tokens: &Tokens,
        kind: MetricType,
        with_empty: bool,
        labels: &mut LabelsBuf,
    ) {
        self.series_labels(text, tokens, kind, &[], with_empty, labels);
    }

    fn series_labels(
        &mut self,
        text: &[u8],
        tokens: &Tokens,
        kind: MetricType,
        given: &[GivenLabel],
        with_empty: bool,
        labels: &mut LabelsBuf,
    ) {
        labels.clear();
        let is_given = |name: &[u8]| is_given(given, name);
        if !is_given(METRIC_NAME) {
            labels.push(METRIC_NAME, unescape(tokens.name.of(text), &mut self.name));
        }
        for (name, value) in &tokens.labels {
            let name = unescape(name.of(text), &mut self.name);
            if is_given(name) || value.start == value.end && !with_empty {
                continue;
            }
            let value = value.of(text);
            let is_bound = match kind {
                MetricType::Histogram => name == b"le",
                MetricType::Summary => name == b"quantile",
                _ => false,
            };
            let mut value = unescape(value, &mut self.value);
            if is_bound {
                self.bound.clear();
                number::append_canonical(value, &mut self.bound);
                value = &self.bound;
            }
            labels.push(name, value);
        }
        for label in given.iter().filter(|label| !label.value.is_empty()) {
            labels.push(&label.name, &label.value);
        }
    }

    /// Appends an exemplar's labels to `out` as [`Exemplar`](crate::model::Exemplar) has them.
    pub(super) fn exemplar(&mut self, text: &[u8], labels: &[(Span, Span)], out: &mut Vec<u8>) {
        write_varint(out, labels.len() as u64);
        for span in labels.iter().flat_map(|(name, value)| [name, value]) {
            let plain = unescape(span.of(text), &mut self.name);
            write_varint(out, plain.len() as u64);
            out.extend_from_slice(plain);
        }
    }
}

/// What a name or value in quotes spells: itself, or `scratch` filled with it. Unknown escapes stand for themselves.
pub(super) fn unescape<'a>(raw: &'a [u8], scratch: &'a mut Vec<u8>) -> &'a [u8] {
    if memchr::memchr(b'\\', raw).is_none() {
        return raw;
    }
    scratch.clear();
    append_unescaped(raw, true, scratch);
    scratch
}

/// Appends what a text with escapes spells. `quotes`: whether `\"` is one of them.
pub(super) fn append_unescaped(raw: &[u8], quotes: bool, out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let spelled = match rest.get(at + 1) {
            Some(b'\\') => Some(b'\\'),
            Some(b'n') => Some(b'\n'),
            Some(b'"') if quotes => Some(b'"'),
            _ => None,
        };
        out.push(spelled.unwrap_or(b'\\'));
        rest = &rest[at + 1 + usize::from(spelled.is_some())..];
    }
    out.extend_from_slice(rest);
}

/// So many labels are compared with each other; more are sorted.
const COMPARED_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_escapes_are_undone_and_others_stay() {
        let plain =
            |raw: &str| String::from_utf8(unescape(raw.as_bytes(), &mut Vec::new()).to_vec()).unwrap();
        assert_eq!(plain(r#"a\"b\\c\nd\te\\n"#), "a\"b\\c\nd\\te\\n");
        assert_eq!(plain(r"end\"), r"end\");
        let mut help = Vec::new();
        append_unescaped(br#"a\"b\\c\nd"#, false, &mut help);
        assert_eq!(help, b"a\\\"b\\c\nd");
    }
}
