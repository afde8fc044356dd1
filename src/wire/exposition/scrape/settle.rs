//! Which series came twice, which are new, which are gone: known at once where nothing changed, else by sorting.

use super::super::line::Tokens;
use super::page::{Line, NO_KEY, NO_SERIES, Page};
use super::{Counts, Scraper};

/// Where in the page the body is that is read along it.
pub(super) struct Trail<'a> {
    /// What the target said last.
    pub(super) old: &'a Page,
    /// The line of it that is expected next.
    pub(super) next: usize,
    /// The series so far are the page's, in its order.
    pub(super) same: bool,
}

impl Trail<'_> {
    /// Goes on behind the page's line of this key, if it has one; what is still true of the line read is what is
    /// given back.
    pub(super) fn follow(&mut self, key: u32, flags: u16, settling: &mut Settling) -> u16 {
        let old = &self.old.lines;
        let is_it = |line: &Line| line.has(Line::SAMPLE) && line.key == key;
        let near = &old[self.next..old.len().min(self.next + NEAR_LINES)];
        let found = match near.iter().position(is_it) {
            Some(skipped) => {
                self.same &= !near[..skipped].iter().any(|line| line.has(Line::SAMPLE));
                Some(self.next + skipped)
            }
            None => {
                self.same = false;
                settling.place(self.old, key)
            }
        };
        let Some(found) = found else { return 0 };
        self.next = found + 1;
        self.same &=
            (flags ^ old[found].flags) & (Line::TIMED | Line::AHEAD | Line::DROPPED | Line::NATIVE) == 0;
        old[found].flags & (Line::TWICE | Line::REPEATED | Line::KNOWN)
    }

    /// A line without a sample was read: it stands for the one that the page has here.
    pub(super) fn pass_header(&mut self) {
        let is_header = |line: &Line| line.is_header() || line.has(Line::EOF);
        self.next += usize::from(self.old.lines.get(self.next).is_some_and(is_header));
    }

    /// Whether the series are the page's, in its order, and all of them.
    pub(super) fn ends_same(&self) -> bool {
        self.same && !self.old.lines[self.next..].iter().any(|line| line.has(Line::SAMPLE))
    }
}

/// Lines of the page that are looked at for one of the same series, before the places of all are noted.
const NEAR_LINES: usize = 16;

/// Memory for settling, used again.
#[derive(Default, Debug)]
pub(super) struct Settling {
    /// The keys of the page's lines above the lines, sorted, once that was asked.
    places: Vec<u64>,
    are_placed: bool,
    /// A series' number above a line's.
    now: Vec<u64>,
    before: Vec<u64>,
    /// The keys that were read and are not the page's, sorted.
    pub(super) fresh: Vec<u64>,
    pub(super) tokens: Tokens,
}

impl Settling {
    /// Where the page has a line of this key.
    pub(super) fn place(&mut self, page: &Page, key: u32) -> Option<usize> {
        if !self.are_placed {
            self.are_placed = true;
            self.places.clear();
            let samples = page.lines.iter().enumerate().filter(|(_, line)| line.has(Line::SAMPLE));
            self.places.extend(samples.map(|(i, line)| u64::from(line.key) << 32 | i as u64));
            self.places.sort_unstable();
        }
        // The last one of several.
        let behind = self.places.partition_point(|&place| place >> 32 <= u64::from(key));
        let place = *self.places.get(behind.checked_sub(1)?)?;
        (place >> 32 == u64::from(key) && key != NO_KEY).then_some(place as u32 as usize)
    }

    /// Bytes of memory held.
    pub(super) fn memory_bytes(&self) -> usize {
        let numbers =
            [&self.places, &self.now, &self.before, &self.fresh].map(Vec::capacity).iter().sum::<usize>();
        numbers * size_of::<u64>()
    }

    /// The places of lines are no longer asked for.
    pub(super) fn forget_places(&mut self) {
        self.are_placed = false;
        super::empty(&mut self.places);
    }

    /// Forgets the page, and lets go of memory that only a large one needs.
    pub(super) fn clear(&mut self) {
        self.forget_places();
        super::empty(&mut self.now);
        super::empty(&mut self.before);
        super::empty(&mut self.fresh);
    }
}

impl Scraper {
    /// Counts what was read.
    pub(super) fn count(&self) -> Counts {
        let mut counts = Counts { added: self.added, ..Counts::default() };
        for line in self.lines.iter().filter(|line| line.has(Line::SAMPLE)) {
            counts.scraped += 1;
            let taken = !line.has(Line::DROPPED) && line.key != NO_KEY;
            counts.kept += u64::from(taken);
            counts.twice += u64::from(taken && line.has(Line::TWICE));
            counts.refused += u64::from(line.key == NO_KEY);
        }
        counts.ahead = self.times.iter().filter(|time| time.time_ns.is_none()).count() as u64;
        counts
    }

    /// Of the lines of one series only the first is taken, unless they have times of their own.
    pub(super) fn mark_twice(&mut self) {
        let Settling { now: numbers, before: keys, .. } = &mut self.settling;
        collect(&self.lines, numbers, |_| true);
        self.lines.iter_mut().for_each(|line| line.flags &= !(Line::TWICE | Line::REPEATED));
        for group in numbers.chunk_by(|a, b| a >> 32 == b >> 32).filter(|group| group.len() > 1) {
            // Prometheus knows a line by its text and a sample by its time: one without a time of its own comes again
            // if its text does, and all but the first do in any case.
            keys.clear();
            keys.extend(group.iter().map(|&number| {
                let line = number as u32;
                u64::from(self.lines[line as usize].key) << 32 | u64::from(line)
            }));
            keys.sort_unstable();
            for pair in keys.windows(2).filter(|pair| pair[0] >> 32 == pair[1] >> 32) {
                let line = &mut self.lines[pair[1] as u32 as usize];
                line.flags |= if line.has(Line::TIMED) { 0 } else { Line::REPEATED };
            }
            let mut is_first = true;
            for &number in group {
                let line = &mut self.lines[number as u32 as usize];
                if !line.has(Line::TIMED) {
                    let is_taken = is_first && !line.has(Line::REPEATED);
                    line.flags |= if is_taken { 0 } else { Line::TWICE };
                    is_first &= !is_taken;
                }
            }
        }
    }

    /// How many keys there are that neither the page has nor a failed body had since. As in Prometheus a key counts,
    /// not what the rewrite makes of it, and none from where there are more samples than there may be.
    pub(super) fn find_added(&mut self, page: &Page) -> u64 {
        let upto = self.end_of_limit();
        let Settling { before, fresh, .. } = &mut self.settling;
        let keys = |lines: &[Line], keys: &mut Vec<u64>| {
            keys.clear();
            keys.extend(lines.iter().filter(|line| line.is_known()).map(|line| u64::from(line.key)));
            keys.sort_unstable();
        };
        keys(&page.lines, before);
        keys(&self.lines[..upto], fresh);
        fresh.dedup();
        let mut known = before.iter().peekable();
        fresh.retain(|key| {
            while known.next_if(|&known| known < key).is_some() {}
            known.peek() != Some(&key)
        });
        let has_failed = |key: u32| page.failed.binary_search(&key).is_ok();
        for line in &mut self.lines {
            line.flags &= !Line::KNOWN;
            let is_known = || before.binary_search(&u64::from(line.key)).is_ok() || has_failed(line.key);
            if line.has(Line::AHEAD) && is_known() {
                line.flags |= Line::KNOWN;
            }
        }
        fresh.iter().filter(|&&key| !has_failed(key as u32)).count() as u64
    }

    /// The line from which on there are more samples than there may be, or more buckets in one.
    fn end_of_limit(&self) -> usize {
        let mut room = match self.options.samples_max {
            0 => u64::MAX,
            samples_max => samples_max,
        };
        let is_over = |line: &Line| {
            let is_over = line.is_limited() && (room == 0 || line.has(Line::OVER));
            room -= u64::from(line.is_limited() && !is_over);
            is_over
        };
        self.lines.iter().position(is_over).unwrap_or(self.lines.len())
    }

    /// Gathers the page's lines whose series are not among those read.
    pub(super) fn find_gone(&mut self, page: &Page) {
        let timed = self.options.track_timestamps_staleness;
        let Settling { now, before, .. } = &mut self.settling;
        collect(&self.lines, now, |line| line.is_tracked(timed));
        collect(&page.lines, before, |line| line.is_tracked(timed));
        self.gone.format = page.format;
        self.gone.epoch = page.epoch;
        let mut now = now.iter().map(|number| number >> 32).peekable();
        let mut last = None;
        for &number in &*before {
            let series = number >> 32;
            while now.next_if(|&n| n < series).is_some() {}
            if now.peek() != Some(&series) && last != Some(series) {
                self.gone.adopt(page, number as u32 as usize);
            }
            last = Some(series);
        }
    }
}

/// Fills `numbers` with the series of lines, and the lines, sorted.
fn collect(lines: &[Line], numbers: &mut Vec<u64>, wanted: impl Fn(&Line) -> bool) {
    let is_of_series = |line: &Line| line.has(Line::SAMPLE) && line.series != NO_SERIES && wanted(line);
    numbers.clear();
    let found = lines.iter().enumerate().filter(|(_, line)| is_of_series(line));
    numbers.extend(found.map(|(i, line)| u64::from(line.series) << 32 | i as u64));
    numbers.sort_unstable();
}
