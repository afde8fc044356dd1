//! Exemplars: which of them a series did not have the last time.
//!
//! One stands beside its counter until there is another, while the counter goes on, and is to be stored once. What
//! tells is its bytes, time and all: those of the series' line in the page, or, in protobuf, those that stand behind
//! its key there. One that has no time of its own is thus the same whenever it is scraped, as in Prometheus.

use crate::bytes::read_varint;

use super::super::line;
use super::page::{Line, NO_KEY};
use super::settle::Trail;
use super::{HeldExemplar, Scraper};

impl Scraper {
    /// The exemplar of the line at hand. One without a time has that of its row, as in the server, and is none where
    /// rows have no such; one whose time is out of range is left out.
    pub(super) fn new_exemplar(
        &mut self,
        text: &[u8],
        exemplar: &line::Exemplar,
        line: u32,
        row_ns: Option<i64>,
    ) -> Option<HeldExemplar> {
        let time_ns = match exemplar.time_ms {
            Some(ms) => ms.checked_mul(NANOS_PER_MILLI)?,
            None => row_ns?,
        };
        let begin = self.exemplar_labels.len();
        self.names.exemplar(text, &self.tokens.exemplar_labels, &mut self.exemplar_labels);
        let labels = begin..self.exemplar_labels.len();
        Some(HeldExemplar { line, time_ns, value_bits: exemplar.value_bits, labels })
    }
}

impl<'a> Trail<'a> {
    /// The page's line of the sample that was read last, if there is one whose exemplars were taken.
    fn found(&self, key: u32) -> Option<usize> {
        let at = self.next.checked_sub(1)?;
        let line = self.old.lines.get(at)?;
        let is_it = line.has(Line::SAMPLE) && line.key == key && key != NO_KEY;
        (is_it && !line.has(Line::TWICE | Line::AHEAD)).then_some(at)
    }

    /// Whether the sample that was read last, of this key, had this exemplar in the page.
    pub(super) fn had(&self, key: u32, exemplar: &[u8]) -> bool {
        self.found(key).is_some_and(|at| ends_in(self.old.bytes(at), exemplar))
    }

    /// Whether the page's next line is of this name and these labels and has this exemplar.
    pub(super) fn next_had(&self, key: &[u8], exemplar: &[u8]) -> bool {
        let next = self.old.lines.get(self.next).map(|_| self.old.bytes(self.next));
        next.is_some_and(|text| text.starts_with(key) && ends_in(text, exemplar))
    }

    /// Goes on behind the exemplars of the sample in protobuf that was read last, of this key: these it had.
    pub(super) fn pass_exemplars(&mut self, key: u32) -> &'a [u8] {
        let had = self.found(key).is_some();
        if !self.old.lines.get(self.next).is_some_and(|line| line.has(Line::EXEMPLARS)) {
            return &[];
        }
        let old = self.old;
        self.next += 1;
        if had { old.bytes(self.next - 1) } else { &[] }
    }
}

/// Whether a line has this exemplar. An exemplar's quotes come in pairs, so what ends in it does not have it within
/// the value of a label.
fn ends_in(line: &[u8], exemplar: &[u8]) -> bool {
    line.strip_suffix(b"\n").unwrap_or(line).ends_with(exemplar)
}

/// Whether one of the exemplars that come next in `before` is this one; then it goes on behind that. They are in one
/// order from scrape to scrape, and few are new.
pub(super) fn pass_equal(before: &mut &[u8], exemplar: &[u8]) -> bool {
    let mut rest = *before;
    for _ in 0..NEAR_EXEMPLARS {
        let Some(len) = read_varint(&mut rest) else { return false };
        let Some((next, behind)) = rest.split_at_checked(len as usize) else { return false };
        rest = behind;
        if next == exemplar {
            *before = rest;
            return true;
        }
    }
    false
}

/// Exemplars of the page that are looked at for one of a sample: client libraries keep ten of a native histogram.
const NEAR_EXEMPLARS: usize = 16;

const NANOS_PER_MILLI: i64 = 1_000_000;
