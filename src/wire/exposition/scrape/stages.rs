//! The stages in which a body becomes lines, and the lines a page.
//!
//! Each stage goes as far as the step's work does, or is over in one go where it is short beside the reading: sorting
//! the numbers of series, counting lines. What a body may have of anything is bounded here.

use crate::model::Intake;

use super::super::work::{LOOK_WORK, Work};
use super::page::{Line, Page};
use super::{Counts, Failure, Format, HistogramOptions, ScrapeFailure, ScrapeOptions, Scraper};

/// How far a body is made lines of. In the stages between the first and the last the numbers of series must be good.
#[derive(Clone, Copy, Default, Debug)]
pub(super) enum Stage {
    /// The page's series are found again.
    #[default]
    Renew,
    /// The body is read.
    Read,
    /// Which lines come twice.
    Twice,
    /// How many series the page has not.
    Added,
    /// Which series only the page has.
    Gone,
    /// Whether it is taken.
    Count,
    /// The page takes up the text, from this byte on.
    Keep(usize, Counts),
    Done(Counts),
}

impl Scraper {
    /// Goes on with the stage at hand, and into the next one if it is over.
    pub(super) fn advance<I: Intake>(
        &mut self,
        page: &mut Page,
        body: &mut Vec<u8>,
        intake: &mut I,
        work: &mut Work,
    ) -> Result<(), ScrapeFailure> {
        let lines = self.lines.len() + page.lines.len();
        self.stage = match self.stage {
            Stage::Renew => {
                if !page.live && page.epoch != intake.epoch() {
                    // Which series they were is forgotten with their numbers.
                    page.lines = Vec::new();
                }
                if !self.renew(page, intake, work) {
                    return Ok(());
                }
                self.epoch = intake.epoch();
                if self.format.is_some() { Stage::Read } else { Stage::Gone }
            }
            Stage::Read => {
                let read = match self.format {
                    Some(Format::Lines(syntax)) => self.read_lines(page, syntax, body, intake, work),
                    Some(Format::Protobuf) => self.read_protobuf(page, body, intake, work),
                    None => Ok(true),
                };
                if read == Ok(false) {
                    return Ok(());
                }
                self.failure = read.err();
                self.settling.forget_places();
                let same = self.failure.is_none() && self.progress.same;
                if same { Stage::Count } else { Stage::Twice }
            }
            Stage::Twice => {
                self.mark_twice();
                work.spend(lines * LOOK_WORK);
                Stage::Added
            }
            Stage::Added => {
                self.added = self.find_added(page);
                work.spend(lines * LOOK_WORK);
                if self.failure.is_some() { Stage::Count } else { Stage::Gone }
            }
            Stage::Gone => {
                if page.live {
                    self.find_gone(page);
                    work.spend(lines * LOOK_WORK);
                }
                if self.format.is_some() {
                    Stage::Count
                } else {
                    page.die();
                    Stage::Done(Counts::default())
                }
            }
            Stage::Count => {
                let counts = self.count();
                self.judge(counts, page)?;
                let converts = self.options.histograms.convert_classic;
                if converts && self.format != Some(Format::Protobuf) {
                    self.weave(body);
                }
                work.spend(lines);
                Stage::Keep(0, counts)
            }
            Stage::Keep(from, counts) => {
                let converts = self.options.histograms.convert_classic;
                let is_body = matches!(self.format, Some(Format::Lines(_))) && !converts;
                let format = self.format.unwrap_or(page.format);
                let next = match is_body {
                    true if from == 0 && page.exchange(body) => None,
                    _ => {
                        work.spend(PIECE_WORK);
                        page.copy(from, if is_body { body } else { &self.text })
                    }
                };
                match next {
                    Some(next) => Stage::Keep(next, counts),
                    None => {
                        page.settle(format, &self.lines, self.epoch);
                        work.spend(self.lines.len());
                        self.to_push = page.lines.len();
                        Stage::Done(counts)
                    }
                }
            }
            done @ Stage::Done(_) => done,
        };
        Ok(())
    }

    /// Whether what was read is taken.
    fn judge(&mut self, counts: Counts, page: &mut Page) -> Result<(), ScrapeFailure> {
        if self.failure.is_none() {
            self.failure = self.over_limit();
        }
        match self.failure.take() {
            None => Ok(()),
            Some(why) => {
                page.remember_failed(&self.settling.fresh);
                self.forget();
                Err(ScrapeFailure { why, counts })
            }
        }
    }

    /// Which limit of the job's the body is over, all of which was read.
    fn over_limit(&self) -> Option<Failure> {
        let ScrapeOptions { samples_max, histograms: HistogramOptions { buckets_max, .. }, .. } =
            self.options;
        if samples_max == 0 && buckets_max == 0 {
            return None;
        }
        let mut limited = self.lines.iter().filter(|line| line.is_limited());
        let samples = limited.clone().filter(|line| !line.has(Line::OVER)).count() as u64;
        if samples_max > 0 && samples > samples_max {
            return Some(Failure::SampleLimit(samples_max));
        }
        limited.any(|line| line.has(Line::OVER)).then_some(Failure::BucketLimit(buckets_max))
    }

    /// Whether there is not too much of the body already.
    pub(super) fn check_bounds(&self) -> Result<(), Failure> {
        for (what, count, max) in [
            ("lines", self.lines.len(), LINES_MAX),
            ("exemplars", self.exemplars.len(), EXEMPLARS_MAX),
            ("bytes of histograms", self.heap.len(), HEAP_BYTES_MAX),
        ] {
            if count > max {
                return Err(Failure::TooMany { what, max });
            }
        }
        Ok(())
    }
}

/// Lines of a body at most, or samples and families of one in protobuf: 28 bytes each, twice.
const LINES_MAX: usize = 1 << 22;

/// Exemplars of a body at most: 56 bytes each, and their labels.
const EXEMPLARS_MAX: usize = 1 << 20;

/// Bytes of the native histograms of a body at most.
const HEAP_BYTES_MAX: usize = 256 << 20;

/// What it costs to take up a piece of a page's text.
const PIECE_WORK: usize = 1 << 20;
