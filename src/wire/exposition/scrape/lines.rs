//! A body of lines, read against the page.
//!
//! ```text
//! until the body's end:
//!     how far is it equal to the page from here?
//!     lines equal to their ends        -> as they were
//!     a line equal up to its value     -> its series, another value
//!     any other                        -> read anew; the page goes on behind the line of the same series
//! ```
//!
//! How far the two are equal is found out a piece at a time and remembered, since a line that is equal may have to be
//! read nevertheless: each byte is compared a few times at most, whatever the lines are.

use crate::bytes::prefetch;
use crate::model::{Intake, MetricType, Series};

use super::super::cursor::{Stop, starts_name};
use super::super::decoder::key_len;
use super::super::fault::Fault;
use super::super::line::{self, Content, Said, Sample};
use super::super::number;
use super::super::starts::{Start, has_start};
use super::super::work::{LOOK_WORK, SAMPLE_WORK, Work};
use super::super::{LINE_BYTES_MAX, Syntax};
use super::compare::common_prefix;
use super::page::{Line, NO_KEY, NO_SERIES, Page, spelled};
use super::settle::Trail;
use super::{AHEAD_NS_MAX, Failure, Format, LABELS_MAX, OwnTime, Progress, ScrapeOptions, Scraper};

/// How far a body was read.
pub(super) struct Reading<'a> {
    pub(super) syntax: Syntax,
    pub(super) options: ScrapeOptions,
    body: &'a [u8],
    pub(super) at: usize,
    /// The page; an empty one if it is of another format.
    pub(super) trail: Trail<'a>,
    /// `# EOF` was read.
    ended: bool,
    equal: Equal,
    fetched: Fetched,
}

/// How far the page was fetched, which was last looked at an interval ago and is in no cache.
#[derive(Clone, Copy, Default, Debug)]
struct Fetched {
    text: usize,
    lines: usize,
}

/// Stretches of the body and of the page that are equal.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Equal {
    /// Where it starts in the body.
    at: usize,
    /// Where it starts in the page's text.
    old_at: usize,
    len: usize,
    /// What follows differs, or one of them ends.
    is_whole: bool,
}

impl Scraper {
    /// Reads a body as far as the step's work goes; whether it has come to the end.
    pub(super) fn read_lines<I: Intake>(
        &mut self,
        page: &Page,
        syntax: Syntax,
        body: &[u8],
        intake: &mut I,
        work: &mut Work,
    ) -> Result<bool, Failure> {
        let nothing = Page::default();
        let is_old = page.live && page.format == Format::Lines(syntax);
        let Progress { at, next, same, ended, equal } = self.progress;
        let trail = Trail { old: if is_old { page } else { &nothing }, next, same: same && is_old };
        let fetched = Fetched::default();
        let mut reading = Reading { syntax, options: self.options, body, at, trail, ended, equal, fetched };
        let done = self.read_on(&mut reading, intake, work);
        let Reading { at, trail: Trail { next, same, .. }, ended, equal, .. } = reading;
        self.progress = Progress { at, next, same, ended, equal };
        done
    }

    fn read_on<I: Intake>(
        &mut self,
        reading: &mut Reading<'_>,
        intake: &mut I,
        work: &mut Work,
    ) -> Result<bool, Failure> {
        let converts = reading.options.histograms.convert_classic;
        while reading.at < reading.body.len() {
            if work.is_spent() {
                return Ok(false);
            }
            let (at, lines) = (reading.at, self.lines.len());
            if !converts && self.reuse(reading) {
                let (bytes, lines) = (reading.at - at, self.lines.len() - lines);
                work.spend(lines * LOOK_WORK + bytes / REUSED_BYTES_A_UNIT);
            } else if self.read_anew(reading, intake, work)? {
                work.spend(SAMPLE_WORK + reading.at.saturating_sub(at));
            }
            self.check_bounds()?;
        }
        self.close_group(reading, intake)?;
        if reading.syntax == Syntax::OpenMetrics && !reading.ended {
            return Err(Failure::Malformed(Fault::NoEof.to_string()));
        }
        reading.trail.same = reading.trail.ends_same();
        Ok(true)
    }

    /// Takes lines that are as they were, and the first one that has another value. Whether there was any.
    #[inline]
    fn reuse(&mut self, reading: &mut Reading<'_>) -> bool {
        let old = reading.trail.old;
        let Some(first) = old.lines.get(reading.trail.next) else { return false };
        if old.kind_before(reading.trail.next) != self.kind || reading.ended {
            return false;
        }
        let from = first.start as usize;
        reading.fetch_ahead(from);
        let common = reading.equal_len(from, old.end(reading.trail.next) - from);
        let (begin, base) = (reading.trail.next, reading.at);
        let mut done = 0;
        while let Some(line) = old.lines.get(reading.trail.next) {
            if !self.starts.are_known() {
                let same = same_samples(&old.lines[reading.trail.next..], from + common);
                if !same.is_empty() {
                    let moved = (base as u32).wrapping_sub(from as u32);
                    let moved =
                        same.iter().map(|line| Line { start: line.start.wrapping_add(moved), ..*line });
                    self.lines.extend(moved);
                    reading.trail.next += same.len();
                    done = old.lines[reading.trail.next].start as usize - from;
                    continue;
                }
            }
            let end = old.end(reading.trail.next) - from;
            // What has no newline may go on.
            if end > common || line.has(Line::ANEW | Line::TIMED) || old.text[from + end - 1] != b'\n' {
                break;
            }
            if line.has(Line::SAMPLE) {
                if self.starts.are_known() {
                    break;
                }
                self.lines.push(Line { start: (base + done) as u32, ..*line });
            } else {
                self.lines.push(Line { start: (base + done) as u32, value_bits: 0, ..*line });
                self.begin_family(line.kind);
                reading.ended |= line.has(Line::EOF);
            }
            done = end;
            reading.trail.next += 1;
        }
        reading.at += done;
        if done > 0 && !reading.equal.is_whole {
            return true;
        }
        let other_value = match old.lines.get(reading.trail.next) {
            Some(line) if common - done > line.key_len as usize => self.reuse_key(reading, line),
            _ => false,
        };
        other_value || reading.trail.next > begin
    }

    /// Takes a line whose key and blank are as they were.
    #[inline]
    fn reuse_key(&mut self, reading: &mut Reading<'_>, line: &Line) -> bool {
        if !line.has(Line::PLAIN) || line.has(Line::ANEW) || self.starts.are_known() {
            return false;
        }
        let value_at = reading.at + line.key_len as usize + 1;
        let Some(end) = number::row_end(reading.body, value_at, reading.syntax) else { return false };
        if end.next - reading.at > LINE_BYTES_MAX {
            return false;
        }
        let mut flags = line.flags & !(Line::TIMED | Line::AHEAD);
        if let Some(ms) = end.time_ms.filter(|_| reading.options.honor_timestamps) {
            flags |= self.hold_time(ms);
        }
        reading.trail.same &= flags == line.flags;
        self.lines.push(Line { start: reading.at as u32, value_bits: end.value_bits, flags, ..*line });
        reading.at = end.next;
        reading.trail.next += 1;
        true
    }

    /// Notes the time of the line that comes next, and gives its flags. As in Prometheus one that no row can have costs
    /// its sample and not the scrape.
    pub(super) fn hold_time(&mut self, time_ms: i64) -> u16 {
        let bound_ns = self.time_ns.saturating_add(AHEAD_NS_MAX);
        let time_ns = time_ms.checked_mul(NANOS_PER_MILLI).filter(|&ns| ns <= bound_ns);
        let line = self.lines.len() as u32;
        self.times.push(OwnTime { line, time_ns });
        Line::TIMED | if time_ns.is_some() { 0 } else { Line::AHEAD }
    }

    /// Reads the line, or the stretch of lines without a sample, that comes next. False if the step's work is spent
    /// before its family is read ahead.
    #[inline(never)]
    fn read_anew<I: Intake>(
        &mut self,
        reading: &mut Reading<'_>,
        intake: &mut I,
        work: &mut Work,
    ) -> Result<bool, Failure> {
        if reading.ended {
            return Err(reading.malformed(Fault::AfterEof.at(0)));
        }
        let first = reading.body[reading.at];
        let is_row = starts_name(first) || first == b'{';
        if reading.syntax == Syntax::OpenMetrics && is_row && !self.survey(reading, work) {
            return Ok(false);
        }
        let converts = reading.options.histograms.convert_classic && self.kind == MetricType::Histogram;
        if !converts && self.read_known(reading, intake).is_some() {
            return Ok(true);
        }
        let text = window(&reading.body[reading.at..]);
        let closed = reading.at + text.len() == reading.body.len();
        let line =
            line::read(reading.syntax, text, closed, &mut self.tokens).map_err(|stop| reading.stop(stop))?;
        match line.content {
            Content::Sample(sample) => self.read_sample(reading, text, &sample, line.next, intake)?,
            Content::Eof => {
                self.close_group(reading, intake)?;
                reading.ended = true;
                self.push_header(reading, reading.at, line.next, Line::EOF);
            }
            Content::Nothing | Content::Metadata(_) => {
                self.close_group(reading, intake)?;
                self.read_header(reading)?;
            }
        }
        Ok(true)
    }

    /// Reads lines up to the next sample, or as many as a stretch may have.
    fn read_header(&mut self, reading: &mut Reading<'_>) -> Result<(), Failure> {
        let begin = reading.at;
        let mut at = begin;
        let mut kind = self.kind;
        while at < reading.body.len() && at - begin < HEADER_BYTES_MAX {
            let text = window(&reading.body[at..]);
            let closed = at + text.len() == reading.body.len();
            let read = line::read(reading.syntax, text, closed, &mut self.tokens);
            let line = match read {
                Ok(line) => line,
                // It is looked at again, and then the fault is its own.
                Err(_) if at > begin => break,
                Err(stop) => return Err(reading.stop(stop)),
            };
            match line.content {
                Content::Sample(_) | Content::Eof => break,
                Content::Metadata(metadata) => {
                    if let Said::Type(said) = metadata.said {
                        kind = said;
                    }
                }
                Content::Nothing => {}
            }
            at += line.next;
        }
        // What stands before it was as it was, and is one with it.
        let start = match self.lines.last() {
            Some(last) if last.is_header() && at - (last.start as usize) < HEADER_BYTES_MAX => {
                let start = last.start as usize;
                self.lines.pop();
                start
            }
            _ => begin,
        };
        reading.at = start;
        if reading.options.histograms.convert_classic {
            self.hear_family(reading, &reading.body[start..at]);
        }
        self.set_kind(kind);
        self.push_header(reading, start, at - start, 0);
        self.begin_family(kind);
        Ok(())
    }

    /// Metadata was read, which is the last line so far: rows of another family may come.
    fn begin_family(&mut self, kind: MetricType) {
        self.set_kind(kind);
        self.starts.begin_family();
        self.family_at = self.lines.len();
    }

    fn push_header(&mut self, reading: &mut Reading<'_>, start: usize, len: usize, flags: u16) {
        self.lines.push(Line {
            start: start as u32,
            key_len: 0,
            key: NO_KEY,
            series: NO_SERIES,
            kind: self.kind,
            flags,
            value_bits: 1,
        });
        reading.at = start + len;
        reading.trail.pass_header();
    }

    /// Reads a plain line of a known key, without looking at its labels.
    fn read_known<I: Intake>(&mut self, reading: &mut Reading<'_>, intake: &mut I) -> Option<()> {
        if self.starts.are_known() {
            return None;
        }
        let rest = &reading.body[reading.at..];
        let len = key_len(rest)?;
        if rest.get(len) != Some(&b' ') {
            return None;
        }
        let end = number::row_end(rest, len + 1, reading.syntax)?;
        if end.next > LINE_BYTES_MAX {
            return None;
        }
        let series = intake.find(self.prefix.key(&rest[..len], &mut self.key))?;
        let time_ms = end.time_ms.filter(|_| reading.options.honor_timestamps);
        let timed = time_ms.map_or(0, |ms| self.hold_time(ms));
        let flags = Line::SAMPLE | Line::PLAIN | timed;
        self.push_sample(reading, (len, flags), Some(series), end.value_bits, end.next, intake);
        Some(())
    }

    fn read_sample<I: Intake>(
        &mut self,
        reading: &mut Reading<'_>,
        text: &[u8],
        sample: &Sample,
        len: usize,
        intake: &mut I,
    ) -> Result<(), Failure> {
        if self.tokens.labels.len() > LABELS_MAX {
            return Err(Failure::labels(self.tokens.name.of(text), self.tokens.labels.len()));
        }
        if let Err(fault) = line::check_names(text, &self.tokens, &mut self.names) {
            let failure = reading.malformed(fault);
            // It counts as one that was read.
            self.push_sample(reading, (0, Line::SAMPLE), None, 0, len, intake);
            return Err(failure);
        }
        let mut start = Start::None;
        if self.starts.are_known() {
            start = self.starts.of_row(text, &self.tokens, self.family_len, self.kind);
        }
        // As in Prometheus a start time is a sample as well.
        if reading.options.histograms.convert_classic
            && start != Start::IsOne
            && self.gather(reading, text, sample, len, start, intake)?
        {
            return Ok(());
        }
        let raw = sample.key.of(text);
        let of_lines = memchr::memchr(b'\n', raw).is_some();
        let key = match of_lines {
            true => self.prefix.key_of_lines(raw, &mut self.key),
            false => self.prefix.key(raw, &mut self.key),
        };
        let mut flags = Line::SAMPLE;
        let series = match intake.find(key) {
            Some(series) => Some(series),
            None => {
                self.names.scraped(text, &self.tokens, self.kind, self.with_empty, &mut self.labels);
                match intake.define(key, &mut self.labels) {
                    Ok(series) => Some(series),
                    Err(refusal) => match Failure::of_refusal(&refusal, raw) {
                        Some(failure) => {
                            // It counts as one that was read.
                            self.push_sample(reading, (0, Line::SAMPLE), None, 0, len, intake);
                            return Err(failure);
                        }
                        None => None,
                    },
                }
            }
        };
        let line = self.lines.len() as u32;
        let mut time_ns = self.time_ns;
        if let Some(ms) = sample.time_ms.filter(|_| reading.options.honor_timestamps) {
            flags |= self.hold_time(ms);
            time_ns = ms.saturating_mul(NANOS_PER_MILLI);
        }
        if let Start::At(start_ns) = start {
            self.starts_ns.push((line, start_ns));
        }
        if self.starts.are_known() || series.is_none() {
            flags |= Line::ANEW;
        } else if sample.key.start == 0 && !of_lines && text.get(raw.len()) == Some(&b' ') {
            flags |= Line::PLAIN;
        }
        let key = series.map_or(NO_KEY, |series| series.key);
        self.push_sample(reading, (raw.len(), flags), series, sample.value_bits, len, intake);
        if let Some(exemplar) = &sample.exemplar
            && !reading.trail.had(key, exemplar.text.of(text))
        {
            let held = self.new_exemplar(text, exemplar, line, Some(time_ns));
            self.exemplars.extend(held);
        }
        Ok(())
    }

    /// Adds the sample that was read from the next `len` bytes. The page goes on behind its line of the same series.
    pub(super) fn push_sample<I: Intake>(
        &mut self,
        reading: &mut Reading<'_>,
        (key_len, mut flags): (usize, u16),
        series: Option<Series>,
        value_bits: u64,
        len: usize,
        intake: &mut I,
    ) {
        let key = series.map_or(NO_KEY, |series| series.key);
        let series = spelled(key, intake);
        if key != NO_KEY && series == NO_SERIES {
            flags |= Line::DROPPED;
        }
        flags |= reading.trail.follow(key, flags, &mut self.settling);
        self.lines.push(Line {
            start: reading.at as u32,
            key_len: key_len as u32,
            key,
            series,
            kind: self.kind,
            flags,
            value_bits,
        });
        reading.at += len;
    }

    /// Looks for start times in the family whose row comes next, as far as the step's work goes; whether all are found.
    /// If it has some, its rows are all read anew.
    fn survey(&mut self, reading: &mut Reading<'_>, work: &mut Work) -> bool {
        if self.starts.is_surveyed() || !has_start(self.kind) {
            return true;
        }
        let first = self.family_at;
        let at = self.lines.get(first).map_or(reading.at, |line| line.start as usize);
        if !self.starts.says_created(reading.body, at) {
            return true;
        }
        self.family_len = self.find_family_len(reading);
        if !self.starts.survey(reading.body, at, self.family_len, self.kind, work) {
            return false;
        }
        if self.starts.are_known() && first < self.lines.len() {
            // They were taken for what they had been.
            self.lines.truncate(first);
            self.times.truncate(self.times.partition_point(|time| (time.line as usize) < first));
            self.exemplars.truncate(self.exemplars.partition_point(|held| (held.line as usize) < first));
            reading.at = at;
            reading.trail.same = false;
        }
        true
    }

    /// The length of the name that was spoken of last.
    fn find_family_len(&mut self, reading: &Reading<'_>) -> usize {
        let Some(header) = self.family_at.checked_sub(1) else { return 0 };
        let end = self.lines.get(header + 1).map_or(reading.at, |line| line.start as usize);
        let mut rest = &reading.body[self.lines[header].start as usize..end];
        let mut len = 0;
        let mut tokens = std::mem::take(&mut self.settling.tokens);
        while let Ok(line) = line::read(reading.syntax, rest, true, &mut tokens) {
            if let Content::Metadata(metadata) = line.content {
                len = metadata.name.of(rest).len();
            }
            rest = &rest[line.next..];
            if rest.is_empty() {
                break;
            }
        }
        self.settling.tokens = tokens;
        len
    }
}

/// The samples at the start of `lines` that end before `upto`; not the last line, which may have no newline.
#[inline]
fn same_samples(lines: &[Line], upto: usize) -> &[Line] {
    let is_same = |line: &Line, next: &Line| {
        let plain = Line::SAMPLE | Line::ANEW | Line::TIMED | Line::NATIVE | Line::KEYED;
        line.flags & plain == Line::SAMPLE && next.start as usize <= upto
    };
    let count = lines.iter().zip(lines.iter().skip(1)).take_while(|(line, next)| is_same(line, next)).count();
    &lines[..count]
}

impl Reading<'_> {
    /// Has the processor fetch what of the page comes next, its text being compared from `old_at` on. It would see by
    /// itself that memory is read in order, were it not for each value that differs.
    #[inline]
    fn fetch_ahead(&mut self, old_at: usize) {
        let Page { text, lines, .. } = self.trail.old;
        let upto = text.len().min(old_at + FETCHED_BYTES);
        for at in (self.fetched.text.max(old_at)..upto).step_by(CACHE_LINE_BYTES) {
            prefetch(&raw const text[at]);
        }
        self.fetched.text = self.fetched.text.max(upto);
        let upto = lines.len().min(self.trail.next + FETCHED_BYTES / size_of::<Line>());
        let stride = CACHE_LINE_BYTES / size_of::<Line>();
        for line in (self.fetched.lines.max(self.trail.next)..upto).step_by(stride) {
            prefetch(&raw const lines[line]);
        }
        self.fetched.lines = self.fetched.lines.max(upto);
    }

    /// How far what comes next is equal to the page's text from `old_at` on, as far as was looked: up to `wanted` bytes
    /// at least.
    #[inline]
    fn equal_len(&mut self, old_at: usize, wanted: usize) -> usize {
        let Reading { at, equal, .. } = self;
        let is_within = equal.at <= *at && *at <= equal.at + equal.len;
        if !is_within || *at - equal.at + equal.old_at != old_at {
            *equal = Equal { at: *at, old_at, len: 0, is_whole: false };
        }
        let passed = *at - equal.at;
        if !equal.is_whole && equal.len - passed < wanted {
            let upto = equal.len + (wanted + passed - equal.len).max(COMPARED_BYTES_MIN);
            let piece = |text: &'_ [u8], at: usize| at + equal.len..text.len().min(at + upto);
            let body = &self.body[piece(self.body, equal.at)];
            let old = &self.trail.old.text[piece(&self.trail.old.text, equal.old_at)];
            let more = common_prefix(body, old);
            equal.len += more;
            equal.is_whole = equal.len < upto;
        }
        equal.len - passed
    }

    fn malformed(&self, fault: super::super::fault::LineFault) -> Failure {
        let line = memchr::memchr_iter(b'\n', &self.body[..self.at]).count() + 1;
        Failure::Malformed(format!("line {line}: {fault}"))
    }

    fn stop(&self, stop: Stop) -> Failure {
        self.malformed(match stop {
            Stop::Fault(fault) => fault,
            Stop::Incomplete => Fault::TooLong.at(0),
        })
    }
}

/// As much as a line may have, and a byte more.
fn window(rest: &[u8]) -> &[u8] {
    &rest[..rest.len().min(LINE_BYTES_MAX + 1)]
}

/// Bytes of the page that are fetched before they are looked at: as many as are compared while memory answers.
const FETCHED_BYTES: usize = 2 << 10;

const CACHE_LINE_BYTES: usize = 64;

/// Bytes that are compared at a time: few, since they may be in vain for a line.
const COMPARED_BYTES_MIN: usize = 8 << 10;

/// Bytes that are as they were cost this much less than others.
const REUSED_BYTES_A_UNIT: usize = 8;

/// Bytes of a stretch without samples, after which another one begins: a step reads it at once, and so does whoever
/// tells of it.
const HEADER_BYTES_MAX: usize = 64 << 10;

const NANOS_PER_MILLI: i64 = 1_000_000;
