//! The write result: what every protocol's answer is made from.

/// How many errors a result describes; further ones are only counted.
pub const ERRORS_KEPT_MAX: usize = 10;

/// One row that was not taken, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RowError {
    /// Where it stood in the request, from 1: the line or the element.
    pub index: u64,
    /// What was wrong, for a person.
    pub error: String,
    /// What was wrong, as a label of `tidegate_rows_rejected_total`.
    pub reason: &'static str,
    /// The start of the offending text, where the protocol's own error quotes it.
    pub original: String,
}

/// What became of a request's rows.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct WriteResult {
    /// Rows taken (rows that relabeling dropped count as taken).
    pub accepted: u64,
    /// Values in the taken rows.
    pub samples: u64,
    /// Rows among the taken ones that are native histograms, where the protocol tells them apart.
    pub histograms: u64,
    /// Exemplars taken.
    pub exemplars: u64,
    /// Metadata taken.
    pub metadata: u64,
    /// Rows refused.
    pub rejected: u64,
    /// The first [`ERRORS_KEPT_MAX`] refusals.
    pub errors: Vec<RowError>,
    /// How many rows each reason refused.
    pub reasons: Vec<(&'static str, u64)>,
}

impl WriteResult {
    /// Counts a refused row and keeps its description if there is room.
    pub fn reject(
        &mut self,
        index: u64,
        reason: &'static str,
        original: &[u8],
        error: impl FnOnce() -> String,
    ) {
        self.count_rejected(reason, 1);
        if self.errors.len() < ERRORS_KEPT_MAX {
            let shown = &original[..original.len().min(ORIGINAL_BYTES_MAX)];
            let original = String::from_utf8_lossy(shown).into_owned();
            self.errors.push(RowError { index, error: error(), reason, original });
        }
    }

    /// Counts refused rows of which nothing is to be said that is not said of another one.
    pub fn count_rejected(&mut self, reason: &'static str, rows: u64) {
        if rows == 0 {
            return;
        }
        self.rejected += rows;
        match self.reasons.iter_mut().find(|(r, _)| *r == reason) {
            Some((_, n)) => *n += rows,
            None => self.reasons.push((reason, rows)),
        }
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.accepted = 0;
        self.samples = 0;
        self.histograms = 0;
        self.exemplars = 0;
        self.metadata = 0;
        self.rejected = 0;
        self.errors.clear();
        self.reasons.clear();
    }
}

const ORIGINAL_BYTES_MAX: usize = 256;
