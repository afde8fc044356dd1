//! The background of a worker's log: the next segment, the last one, and a new one after a failure.
//!
//! A segment is half full when its successor is asked for, so that an idle worker holds no more storage than it must;
//! one that is outrun grows until its successor is there.

use std::io;

use super::{Active, DATA_TO_DICTIONARY_MIN, FileOf, Footer, Next, Report, State, WorkerLog};
use crate::log::build::{Ending, Prepared, close, prepare, spare_name};
use crate::log::disk::{Disk, Files, JOBS_MAX, Job};
use crate::log::error::{CommitFailure, LogError};
use crate::log::recovery::{Ended, Recovery, end};
use crate::log::segment::{SEGMENT_PAGE, SegmentHeader, SegmentName, Totals};

impl<D: Disk> WorkerLog<D> {
    /// Opens the first segment of this start, if there is room for one.
    pub(super) fn open_first(&mut self, recovery: &Recovery) -> Result<(), LogError> {
        let header = self.next_header();
        let files = self.disk.files();
        let bytes = self.options.segment_bytes_min;
        let mut prepared = prepare(files, &header, bytes);
        if prepared.as_ref().is_err_and(is_full) {
            // What was prepared and never used takes space; its header is enough to remember the sequence.
            recovery.shrink_unused(files).map_err(LogError::io("shrink", "unused segments"))?;
            prepared = prepare(files, &header, bytes);
        }
        match prepared {
            Ok(segment) => self.activate(segment),
            Err(e) if is_full(&e) => self.last_error = Some(e.to_string()),
            Err(e) => return Err(LogError::io("prepare", header.name.to_string())(e)),
        }
        Ok(())
    }

    pub(super) fn notice(&mut self, report: Report<FileOf<D>>) {
        match report {
            Report::Prepared(Ok(segment)) => self.next = Next::Ready(segment),
            Report::Prepared(Err(e)) => {
                self.last_error = Some(format!("prepare a segment: {e}"));
                self.next = Next::None;
                if let State::Open(active) = &mut self.state {
                    active.prepare_at = active.at + PREPARE_AGAIN_BYTES;
                }
            }
            // Readers at its end are told, so that they let it go.
            Report::Closed(_, Ok(())) => self.publish(),
            Report::Closed(name, Err(e)) => self.last_error = Some(format!("close {name}: {e}")),
            Report::Reopened(reopened, unclosed) => {
                self.unclosed = unclosed;
                match reopened {
                    Ok(segment) => self.activate(segment),
                    Err(e) => {
                        self.last_error = Some(format!("open a new segment: {e}"));
                        self.state = State::Ended(None);
                        // The failed one is closed: its readers are to let it go, so that there may be room.
                        self.publish();
                    }
                }
            }
        }
    }

    /// Whether it is time to [`rotate`](WorkerLog::rotate), given the bytes of the segment's dictionary. Never while
    /// the next segment is not ready: until then the old one grows.
    pub fn wants_rotation(&self, dictionary_bytes: u64) -> bool {
        let (State::Open(active), Next::Ready(_)) = (&self.state, &self.next) else {
            return false;
        };
        let data_bytes = active.at - SEGMENT_PAGE as u64;
        active.at >= active.segment.bytes.min(self.options.segment_bytes_max)
            && data_bytes >= DATA_TO_DICTIONARY_MIN.saturating_mul(dictionary_bytes)
    }

    /// Whether the next segment is ready, for [`rotate`](WorkerLog::rotate) before it is time; if it is not, it is
    /// being prepared from now on.
    pub fn may_rotate(&mut self) -> bool {
        if matches!(self.state, State::Open(_)) && matches!(self.next, Next::None) && self.jobs < JOBS_MAX {
            // One that ends before it is full is followed by one that is no larger.
            self.prepare();
        }
        matches!((&self.state, &self.next), (State::Open(_), Next::Ready(_)))
    }

    /// Ends the segment and opens the prepared next one, with a new epoch. The old one is sealed in the background,
    /// with the payload that `footer` makes; an empty one is none.
    ///
    /// Returns false, and drops `footer`, if commits are under way or the next segment is not ready; it is then being
    /// prepared.
    pub fn rotate(&mut self, footer: Footer) -> bool {
        if !matches!(self.state, State::Open(_)) || !self.in_flight.is_empty() || self.jobs == JOBS_MAX {
            return false;
        }
        match std::mem::replace(&mut self.next, Next::None) {
            Next::Ready(segment) => {
                let old = std::mem::replace(&mut self.state, State::Ended(None));
                self.activate(segment);
                if let State::Open(old) = old {
                    self.seal(old, footer);
                }
                true
            }
            other => {
                self.next = other;
                self.prepare_next();
                false
            }
        }
    }

    fn seal(&mut self, old: Active<FileOf<D>>, footer: Footer) {
        let (file, ending) = self.ending(old);
        let report = self.report.clone();
        self.run(Box::new(move || {
            // An empty segment has nothing to look up.
            let footer = if ending.totals.blocks == 0 { Vec::new() } else { footer() };
            let closed = close(&file, &ending, &footer);
            let _ = report.try_send(Report::Closed(ending.name, closed));
        }));
    }

    pub(super) fn ending(&self, old: Active<FileOf<D>>) -> (FileOf<D>, Ending) {
        let ending = Ending {
            log: self.options.log,
            name: old.segment.name,
            epoch: old.segment.epoch,
            data_end: old.sound_end,
            sequence_floor: self.next_sequence,
            totals: old.totals,
        };
        (old.segment.file, ending)
    }

    /// After a failure: has a new segment opened in the background; returns whether one is open.
    ///
    /// Ask again, with a pause, while it returns false. When it returns true, [`epoch`](WorkerLog::epoch) is new, and
    /// blocks must define again everything they use.
    pub fn try_reopen(&mut self) -> bool {
        match self.state {
            State::Open(_) => return true,
            State::Reopening => return false,
            State::Ended(_) => self.reopen_wanted = true,
        }
        self.start_reopening();
        false
    }

    /// Whether [`try_reopen`](WorkerLog::try_reopen) has started something that has not ended yet.
    pub fn is_reopening(&self) -> bool {
        self.reopen_wanted || matches!(self.state, State::Reopening)
    }

    /// Starts it once nothing is under way any more.
    pub(super) fn start_reopening(&mut self) {
        let busy =
            !self.in_flight.is_empty() || matches!(self.next, Next::Preparing) || self.jobs == JOBS_MAX;
        if !self.reopen_wanted || busy {
            return;
        }
        self.reopen_wanted = false;
        let State::Ended(broken) = &mut self.state else {
            return;
        };
        let broken = broken.take().map(|active| self.ending(active));
        let mut unclosed = std::mem::take(&mut self.unclosed);
        self.state = State::Reopening;
        let files = self.disk.files().clone();
        let report = self.report.clone();
        let header = self.next_header();
        // It has a floor that has been overtaken: used again, it gets a new one.
        let overtaken = match std::mem::replace(&mut self.next, Next::None) {
            Next::Ready(segment) => Some(segment.name),
            _ => None,
        };
        let (bytes, min) = (self.next_bytes, self.options.segment_bytes_min);
        self.run(Box::new(move || {
            if let Some((file, ending)) = broken {
                // First of all, so that what failed does not come back. A disk that refuses this, too, leaves the
                // blocks in doubt in the file, and recovery may find them.
                match end(&file, &ending, &[]) {
                    Ok(Ended::Closed) => {}
                    Ok(Ended::Cut) if unclosed.len() < UNCLOSED_MAX => unclosed.push((file, ending)),
                    Ok(Ended::Cut) => {}
                    Err(error) => {
                        tracing::warn!(segment = %ending.name, %error, "a failed segment could not be cut");
                    }
                }
            }
            // Small, and where they find room retention can make more.
            unclosed.retain(|(file, ending)| matches!(end(file, ending, &[]), Ok(Ended::Cut)));
            let freed = overtaken.map_or(Ok(()), |name| files.rename(&name.to_string(), &spare_name(name)));
            let reopened = freed.and_then(|()| prepare_some(&files, &header, bytes, min));
            let _ = report.try_send(Report::Reopened(reopened, unclosed));
        }));
    }

    fn activate(&mut self, segment: Prepared<FileOf<D>>) {
        let at = SEGMENT_PAGE as u64;
        let totals = Totals::empty(self.next_sequence, segment.created_ns);
        let prepare_at = segment.bytes / 2;
        self.state = State::Open(Active { segment, at, sound_end: at, totals, prepare_at });
        self.publish();
    }

    /// Has a segment prepared for one that fills: twice as large as that.
    pub(super) fn prepare_next(&mut self) {
        if matches!(self.next, Next::None) && self.jobs < JOBS_MAX {
            self.next_bytes = (self.next_bytes * 2).min(self.options.segment_bytes_max);
            self.prepare();
        }
    }

    fn prepare(&mut self) {
        let header = self.next_header();
        let files = self.disk.files().clone();
        let report = self.report.clone();
        let (bytes, min) = (self.next_bytes, self.options.segment_bytes_min);
        self.next = Next::Preparing;
        self.run(Box::new(move || {
            let _ = report.try_send(Report::Prepared(prepare_some(&files, &header, bytes, min)));
        }));
    }

    fn run(&mut self, job: Job) {
        self.jobs += 1;
        self.disk.run(job);
    }

    fn next_header(&mut self) -> SegmentHeader {
        self.last_number += 1;
        SegmentHeader {
            compatible: 0,
            log: self.options.log,
            name: SegmentName { worker: self.options.worker, number: self.last_number },
            epoch: self.random.next().max(1),
            created_ns: self.last_stamp_ns,
            sequence_floor: self.next_sequence,
        }
    }
}

/// Prepares a segment of `bytes` or, if there is no room for that, of `bytes_min`.
fn prepare_some<S: Files>(
    files: &S,
    header: &SegmentHeader,
    bytes: u64,
    bytes_min: u64,
) -> io::Result<Prepared<S::File>> {
    match prepare(files, header, bytes) {
        Err(e) if bytes > bytes_min && is_full(&e) => prepare(files, header, bytes_min),
        prepared => prepared,
    }
}

fn is_full(error: &io::Error) -> bool {
    CommitFailure::from(error) == CommitFailure::NoSpace
}

/// A segment that is longer than it was prepared for asks for its successor again each time it has grown by this.
const PREPARE_AGAIN_BYTES: u64 = 16 << 20;

/// Segments that were cut on a full disk and wait for room for their trailers, at most; further ones are closed by the
/// next start. Retention takes only what is closed.
const UNCLOSED_MAX: usize = 64;
