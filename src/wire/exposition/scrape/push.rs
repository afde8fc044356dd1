//! What was read goes to the intake: metadata where it is new, rows, exemplars, stale markers.

use crate::model::{
    Exemplar, FieldText, FieldType, Full, HistogramBuf, Intake, NAN_STALE_BITS, Series, ShapeId, ValueRow,
    WriteResult, heap_place, heap_word,
};

use super::super::Syntax;
use super::super::line::{self, Content};
use super::super::series::{NATIVE, NATIVE_STARTED, PLAIN, STARTED, VALUE};
use super::super::work::{LOOK_WORK, SAMPLE_WORK, Work};
use super::page::{Line, NO_KEY, Page, spelled};
use super::{Format, Scraper};

impl Scraper {
    /// Pushes what was read, or goes on where the intake was full. Rows count in `result`, stale markers among them.
    ///
    /// # Errors
    /// [`Full`]: come again after the next commit.
    pub fn push<I: Intake>(
        &mut self,
        page: &mut Page,
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Result<(), Full> {
        while !self.push_step(page, intake, result)? {}
        Ok(())
    }

    /// As [`push`](Scraper::push), one step of bounded work; whether all is pushed.
    ///
    /// # Errors
    /// [`Full`]: come again after the next commit.
    pub fn push_step<I: Intake>(
        &mut self,
        page: &mut Page,
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Result<bool, Full> {
        let mut work = self.step_work;
        if self.to_push > 0 && !self.renew(page, intake, &mut work) {
            return Ok(false);
        }
        let mut gone = std::mem::take(&mut self.gone);
        let pushed = match self.renew(&mut gone, intake, &mut work) {
            true => self.push_all(page, &gone, intake, result, &mut work),
            false => Ok(false),
        };
        self.gone = gone;
        if pushed == Ok(true) {
            self.forget();
        }
        pushed
    }

    fn push_all<I: Intake>(
        &mut self,
        page: &mut Page,
        gone: &Page,
        intake: &mut I,
        result: &mut WriteResult,
        work: &mut Work,
    ) -> Result<bool, Full> {
        Ok(self.push_lines(page, intake, result, work)? && self.push_gone(gone, intake, result)?)
    }

    fn push_lines<I: Intake>(
        &mut self,
        page: &mut Page,
        intake: &mut I,
        result: &mut WriteResult,
        work: &mut Work,
    ) -> Result<bool, Full> {
        let tell_all = page.told != page.epoch;
        let mut plain = ShapeId::NONE;
        // Until a line has more than a value, which few have.
        let mut beside = self.line_beside();
        let upto = self.to_push.min(self.pushed + PUSHED_LINES_MAX);
        while self.pushed < upto && !work.is_spent() {
            if plain != ShapeId::NONE {
                let bound = upto.min(beside as usize);
                self.push_values(&page.lines[..bound], tell_all, plain, intake, result)?;
                if self.pushed == upto {
                    break;
                }
            }
            let line = page.lines[self.pushed];
            if !line.has(Line::SAMPLE) {
                if line.is_header() && (tell_all || line.value_bits != 0) {
                    work.spend(page.bytes(self.pushed).len());
                    self.tell(page, self.pushed, intake)?;
                }
            } else if line.key == NO_KEY {
                let text = page.bytes(self.pushed);
                result.reject(0, "series_limit", text, || "there is no room for the series".to_owned());
            } else if !line.has(Line::TWICE) {
                let series = Series { key: line.key, shape: plain };
                if plain == ShapeId::NONE {
                    plain = one_valued(&PLAIN, series, intake);
                }
                if self.pushed as u32 == beside || line.has(Line::NATIVE) {
                    self.push_beside(&line, page.bytes(self.pushed), plain, intake, result)?;
                } else {
                    intake.push(series, plain, self.time_ns, &[line.value_bits], &[])?;
                    result.accepted += 1;
                    result.samples += 1;
                }
            }
            if self.pushed as u32 == beside {
                self.pass_beside();
                beside = self.line_beside();
            }
            self.pushed += 1;
        }
        let is_done = self.pushed == self.to_push;
        if is_done && self.to_push > 0 && tell_all {
            page.told = page.epoch;
        }
        Ok(is_done)
    }

    /// Pushes the rows that come next and have nothing but a value, up to a line that is more or is to be told.
    fn push_values<I: Intake>(
        &mut self,
        lines: &[Line],
        tell_all: bool,
        plain: ShapeId,
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Result<(), Full> {
        let mut is_next = true;
        while is_next {
            let mut at = self.pushed;
            self.rows.clear();
            while let Some(line) = lines.get(at).filter(|_| self.rows.len() < ROWS_AT_ONCE_MAX) {
                if line.is_value() {
                    let &Line { key, series, value_bits, .. } = line;
                    self.rows.push(ValueRow { key, identity: series, value_bits });
                } else if !(line.has(Line::TWICE) || line.is_header() && !tell_all && line.value_bits == 0) {
                    is_next = false;
                    break;
                }
                at += 1;
            }
            is_next &= at < lines.len();
            let taken = intake.push_values(plain, self.time_ns, &self.rows);
            result.accepted += taken as u64;
            result.samples += taken as u64;
            if taken < self.rows.len() {
                let mut rows = lines[self.pushed..].iter().enumerate().filter(|(_, line)| line.is_value());
                self.pushed += rows.nth(taken).map_or(0, |(passed, _)| passed);
                return Err(Full);
            }
            self.pushed = at;
        }
        Ok(())
    }

    /// The next line that has a time, a start time or exemplars.
    fn line_beside(&self) -> u32 {
        let time = self.times.get(self.side.times).map(|time| time.line);
        let start = self.starts_ns.get(self.side.starts).map(|start| start.0);
        let exemplar = self.exemplars.get(self.side.exemplars).map(|exemplar| exemplar.line);
        [time, start, exemplar].into_iter().flatten().min().unwrap_or(u32::MAX)
    }

    /// The line at hand is done with.
    fn pass_beside(&mut self) {
        let line = self.pushed as u32;
        self.side.times += usize::from(self.times.get(self.side.times).is_some_and(|t| t.line == line));
        self.side.starts += usize::from(self.starts_ns.get(self.side.starts).is_some_and(|s| s.0 == line));
        while self.exemplars.get(self.side.exemplars).is_some_and(|e| e.line == line) {
            self.side.exemplars += 1;
        }
    }

    /// Pushes a row of which there is more than a value.
    #[cold]
    fn push_beside<I: Intake>(
        &mut self,
        line: &Line,
        text: &[u8],
        plain: ShapeId,
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Result<(), Full> {
        let at = self.pushed as u32;
        let series = Series { key: line.key, shape: plain };
        let own = self.times.get(self.side.times).filter(|time| time.line == at);
        let time_ns = own.map_or(Some(self.time_ns), |time| time.time_ns);
        let start = self.starts_ns.get(self.side.starts).filter(|start| start.0 == at).map(|start| start.1);
        let Some(time_ns) = time_ns else {
            result.reject(0, "timestamp", text, || "the time is too far ahead, or out of range".to_owned());
            return Ok(());
        };
        if !self.row_taken {
            let (start, heap) = place_of(start, line, &self.heap);
            let words = [
                if heap.is_empty() { line.value_bits } else { heap_word(0, heap.len()) },
                start.unwrap_or(0),
            ];
            let shape = match (heap.is_empty(), start.is_some()) {
                (true, false) => plain,
                (true, true) => one_valued(&STARTED, series, intake),
                (false, false) => one_valued(&NATIVE, series, intake),
                (false, true) => one_valued(&NATIVE_STARTED, series, intake),
            };
            intake.push(series, shape, time_ns, &words[..1 + usize::from(start.is_some())], heap)?;
            result.histograms += u64::from(line.has(Line::NATIVE));
            result.accepted += 1;
            result.samples += 1;
            self.row_taken = true;
        }
        while let Some(held) = self.exemplars.get(self.side.exemplars).filter(|held| held.line == at) {
            let labels = &self.exemplar_labels[held.labels.clone()];
            let (time_ns, value_bits) = (held.time_ns, held.value_bits);
            intake.exemplar(series, &Exemplar { field: VALUE, time_ns, value_bits, labels })?;
            self.side.exemplars += 1;
        }
        self.row_taken = false;
        Ok(())
    }

    fn push_gone<I: Intake>(
        &mut self,
        gone: &Page,
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Result<bool, Full> {
        let mut plain = ShapeId::NONE;
        let upto = gone.lines.len().min(self.pushed_gone + PUSHED_LINES_MAX);
        while self.pushed_gone < upto {
            let line = &gone.lines[self.pushed_gone];
            if line.key != NO_KEY {
                let series = Series { key: line.key, shape: plain };
                if plain == ShapeId::NONE {
                    plain = one_valued(&PLAIN, series, intake);
                }
                if line.has(Line::NATIVE) {
                    let shape = one_valued(&NATIVE, series, intake);
                    self.key.clear();
                    let sum = f64::from_bits(NAN_STALE_BITS);
                    let marker = HistogramBuf { sum, ..HistogramBuf::default() }.encode(&mut self.key);
                    marker.expect("a histogram without buckets is one");
                    let word = heap_word(0, self.key.len());
                    intake.push(series, shape, self.time_ns, &[word], &self.key)?;
                } else {
                    intake.push(series, plain, self.time_ns, &[NAN_STALE_BITS], &[])?;
                }
                result.accepted += 1;
                result.samples += 1;
            }
            self.pushed_gone += 1;
        }
        Ok(self.pushed_gone == gone.lines.len())
    }

    /// Tells the intake what a stretch of metadata says. What was said before belongs to it if it is of the same
    /// metric.
    #[cold]
    fn tell<I: Intake>(&mut self, page: &Page, upto: usize, intake: &mut I) -> Result<(), Full> {
        let Format::Lines(syntax) = page.format else {
            return super::protobuf::tell_metadata(page.bytes(upto), intake);
        };
        while self.heard <= upto {
            if page.lines[self.heard].is_header() {
                let mut rest = page.bytes(self.heard);
                while let Ok(line) = line::read(syntax, rest, true, &mut self.tokens) {
                    if let Content::Metadata(metadata) = line.content {
                        if self.spoken.is_untold() && self.spoken.differs(rest, &metadata) {
                            self.tell_spoken(upto, intake)?;
                        }
                        self.spoken.hear(syntax, rest, &metadata);
                    }
                    rest = &rest[line.next..];
                    if rest.is_empty() {
                        break;
                    }
                }
                self.tell_spoken(upto, intake)?;
            }
            self.heard += 1;
        }
        Ok(())
    }

    /// Tells what was heard, if it was heard in the line at hand: what stands before it is told already.
    fn tell_spoken<I: Intake>(&mut self, upto: usize, intake: &mut I) -> Result<(), Full> {
        if self.heard < upto {
            self.spoken.keep_quiet();
        }
        self.spoken.tell(intake)
    }

    /// Finds the page's series again if their numbers are of another epoch, as far as the step's work goes; whether it
    /// has come to the end.
    pub(super) fn renew<I: Intake>(&mut self, page: &mut Page, intake: &mut I, work: &mut Work) -> bool {
        let epoch = intake.epoch();
        if page.epoch == epoch {
            return true;
        }
        page.failed.clear();
        if self.renewed.0 != epoch {
            self.renewed = (epoch, 0);
        }
        let kind = self.kind;
        while self.renewed.1 < page.lines.len() {
            if work.is_spent() {
                self.set_kind(kind);
                return false;
            }
            let at = self.renewed.1;
            self.renewed.1 += 1;
            let line = page.lines[at];
            if !line.has(Line::SAMPLE) || line.key == NO_KEY {
                work.spend(LOOK_WORK);
                continue;
            }
            self.set_kind(line.kind);
            work.spend(SAMPLE_WORK + page.bytes(at).len());
            let found = match page.format {
                Format::Lines(syntax) => self.find_again(syntax, page.bytes(at), &line, intake),
                Format::Protobuf => {
                    let mut key = std::mem::take(&mut self.key);
                    page.write_key(at, &mut key);
                    work.spend(key.len());
                    let found = self.find_keyed(&key, intake);
                    self.key = key;
                    found
                }
            };
            let line = &mut page.lines[at];
            line.key = found.unwrap_or(NO_KEY);
            line.series = spelled(line.key, intake);
            line.flags |= if found.is_none() { Line::ANEW } else { 0 };
        }
        self.set_kind(kind);
        page.epoch = epoch;
        self.renewed.1 = 0;
        true
    }

    /// The key of a line that was taken before. One for which there is no room any more has none.
    fn find_again<I: Intake>(
        &mut self,
        syntax: Syntax,
        text: &[u8],
        line: &Line,
        intake: &mut I,
    ) -> Option<u32> {
        if line.has(Line::KEYED) {
            return self.find_keyed(text, intake);
        }
        if line.has(Line::PLAIN) {
            let key = self.prefix.key(&text[..line.key_len as usize], &mut self.key);
            if let Some(series) = intake.find(key) {
                return Some(series.key);
            }
        }
        let Ok(line::Line { content: Content::Sample(sample), .. }) =
            line::read(syntax, text, true, &mut self.tokens)
        else {
            return None;
        };
        let raw = sample.key.of(text);
        let key = match memchr::memchr(b'\n', raw) {
            Some(_) => self.prefix.key_of_lines(raw, &mut self.key),
            None => self.prefix.key(raw, &mut self.key),
        };
        if let Some(series) = intake.find(key) {
            return Some(series.key);
        }
        self.names.scraped(text, &self.tokens, self.kind, self.with_empty, &mut self.labels);
        intake.define(key, &mut self.labels).ok().map(|series| series.key)
    }
}

/// The word of a start time, and the bytes of a line's native histogram.
fn place_of<'a>(start: Option<i64>, line: &Line, heap: &'a [u8]) -> (Option<u64>, &'a [u8]) {
    let bytes = match line.has(Line::NATIVE) {
        true => {
            let (start, len) = heap_place(line.value_bits);
            &heap[start..start + len]
        }
        false => &[],
    };
    (start.map(|ns| ns as u64), bytes)
}

/// The shape of rows with these fields: the same for all series of a context, since they have one value.
fn one_valued<I: Intake>(fields: &[FieldText<'_>], series: Series, intake: &mut I) -> ShapeId {
    debug_assert!(fields.iter().filter(|field| field.kind != FieldType::StartTime).count() == 1);
    intake.define_shape(series, fields).expect("one field of a short name is within every bound")
}

/// Rows that the intake is given at once: as many as stay near until it takes them.
const ROWS_AT_ONCE_MAX: usize = 256;

/// Lines that a step pushes at most.
const PUSHED_LINES_MAX: usize = 1 << 15;
