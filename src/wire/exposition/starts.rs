//! The start times of OpenMetrics: `_created` lines, which belong to the rows of the same labels in their family.
//!
//! A family's lines may come in any order, so that its rows' start times are known only when all of its lines are. When
//! the first row of a family is met, its lines are read ahead once, up to the next line of metadata; a body that
//! says `_created` nowhere costs one search.

use crate::model::MetricType;

use super::cursor::{Span, Stop};
use super::line::{self, Content, Tokens};
use super::work::{SAMPLE_WORK, Work};
use super::{LINE_BYTES_MAX, Syntax};

/// The start times of the family whose rows are being read.
#[derive(Default, Debug)]
pub(super) struct Starts {
    /// How far the family's rows have been read ahead.
    survey: Survey,
    created: Vec<Created>,
    /// The bytes of the groups.
    bytes: Vec<u8>,
    tokens: Tokens,
    scratch: Vec<u8>,
    /// Where the body next says `_created`, as far as that was looked for.
    next_created: Option<Option<usize>>,
}

/// The two passes over a family: which `_created` lines there are, and which of them are of a row. Each with the place
/// in the body from which it goes on, once it has begun.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Survey {
    Gathers(Option<usize>),
    Marks(Option<usize>),
    Done,
}

impl Default for Survey {
    fn default() -> Survey {
        Survey::Gathers(None)
    }
}

/// One `_created` line.
#[derive(Clone, Copy, Debug)]
struct Created {
    group: Span,
    start_ns: i64,
    /// A row has this start time.
    used: bool,
}

/// What a row is, in a family that has `_created` lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Start {
    /// A row without a start time.
    None,
    /// It started so many nanoseconds after the Unix epoch.
    At(i64),
    /// It is the start time of others.
    IsOne,
}

impl Starts {
    /// Forgets the body.
    pub(super) fn clear(&mut self) {
        self.begin_family();
        self.next_created = None;
    }

    /// Metadata was read: other rows come.
    pub(super) fn begin_family(&mut self) {
        self.survey = Survey::default();
        self.created.clear();
    }

    /// Whether rows may have start times, so that their labels must be looked at.
    #[inline]
    pub(super) fn are_known(&self) -> bool {
        !self.created.is_empty()
    }

    /// Reads the family ahead whose first row stands at `at`, unless that was done, as far as the step's work goes.
    /// Whether it is done.
    pub(super) fn survey(
        &mut self,
        body: &[u8],
        at: usize,
        family_len: usize,
        kind: MetricType,
        work: &mut Work,
    ) -> bool {
        if let Survey::Gathers(from) = self.survey {
            if from.is_none() {
                if !has_start(kind) || !self.says_created(body, at) {
                    self.survey = Survey::Done;
                    return true;
                }
                self.bytes.clear();
            }
            let paused = self.gather(body, from.unwrap_or(at), family_len, kind, work);
            self.survey = paused.map_or(Survey::Marks(None), |at| Survey::Gathers(Some(at)));
        }
        if let Survey::Marks(from) = self.survey {
            let paused = self.mark(body, from.unwrap_or(at), family_len, kind, work);
            self.survey = paused.map_or(Survey::Done, |at| Survey::Marks(Some(at)));
        }
        self.survey == Survey::Done
    }

    /// Gathers the family's `_created` lines; where it paused.
    fn gather(
        &mut self,
        body: &[u8],
        from: usize,
        family_len: usize,
        kind: MetricType,
        work: &mut Work,
    ) -> Option<usize> {
        let paused = self.read_family(
            body,
            from,
            |starts, text, sample| {
                let Some(start_ns) = sample.created_ns else { return };
                if starts.created.len() == CREATED_MAX {
                    return;
                }
                let start = starts.bytes.len();
                group(text, &starts.tokens, sample.family_len, kind, &mut starts.bytes);
                let group = Span::new(start, starts.bytes.len());
                starts.created.push(Created { group, start_ns, used: false });
            },
            family_len,
            kind,
            work,
        );
        if paused.is_some() {
            return paused;
        }
        let bytes = &self.bytes;
        // Of two lines for one group the later one counts.
        self.created.reverse();
        self.created.sort_by(|a, b| a.group.of(bytes).cmp(b.group.of(bytes)));
        self.created.dedup_by(|b, a| a.group.of(bytes) == b.group.of(bytes));
        None
    }

    /// Marks those that are of a row; where it paused.
    fn mark(
        &mut self,
        body: &[u8],
        from: usize,
        family_len: usize,
        kind: MetricType,
        work: &mut Work,
    ) -> Option<usize> {
        self.read_family(
            body,
            from,
            |starts, text, sample| {
                if !sample.is_created
                    && let Some(i) = starts.find(text, None, sample.family_len, kind)
                {
                    starts.created[i].used = true;
                }
            },
            family_len,
            kind,
            work,
        )
    }

    /// What the row of these tokens is.
    pub(super) fn of_row(
        &mut self,
        text: &[u8],
        tokens: &Tokens,
        family_len: usize,
        kind: MetricType,
    ) -> Start {
        if let Some(family_len) = created_family_len(tokens.name.of(text), kind) {
            let found = self.find(text, Some(tokens), family_len, kind);
            let used = found.is_some_and(|i| self.created[i].used);
            return if used { Start::IsOne } else { Start::None };
        }
        match self.find(text, Some(tokens), family_len, kind) {
            Some(i) => Start::At(self.created[i].start_ns),
            None => Start::None,
        }
    }

    /// Whether the family's rows have been read ahead.
    pub(super) fn is_surveyed(&self) -> bool {
        self.survey == Survey::Done
    }

    /// Whether the body says `_created` behind `at`.
    pub(super) fn says_created(&mut self, body: &[u8], at: usize) -> bool {
        match self.next_created {
            Some(None) => false,
            Some(Some(next)) if next >= at => true,
            _ => {
                let next = memchr::memmem::find(&body[at..], CREATED).map(|i| at + i);
                self.next_created = Some(next);
                next.is_some()
            }
        }
    }

    /// The created line of the group that these tokens are of; those of the line read last, if none are given.
    fn find(
        &mut self,
        text: &[u8],
        tokens: Option<&Tokens>,
        family_len: usize,
        kind: MetricType,
    ) -> Option<usize> {
        let mut key = std::mem::take(&mut self.scratch);
        key.clear();
        group(text, tokens.unwrap_or(&self.tokens), family_len, kind, &mut key);
        let found = self.created.binary_search_by(|c| c.group.of(&self.bytes).cmp(&key)).ok();
        self.scratch = key;
        found
    }

    /// Calls `visit` for each row up to the next line of metadata, or up to where the step's work is spent: then the
    /// answer is where to go on. Bad lines are passed over.
    fn read_family(
        &mut self,
        body: &[u8],
        from: usize,
        mut visit: impl FnMut(&mut Starts, &[u8], Ahead),
        family_len: usize,
        kind: MetricType,
        work: &mut Work,
    ) -> Option<usize> {
        let mut at = from;
        while at < body.len() {
            if work.is_spent() {
                return Some(at);
            }
            let text = &body[at..body.len().min(at + LINE_BYTES_MAX + 1)];
            match line::read(Syntax::OpenMetrics, text, false, &mut self.tokens) {
                Ok(line) => {
                    at += line.next;
                    work.spend(SAMPLE_WORK + line.next);
                    let Content::Sample(sample) = line.content else { return None };
                    let created = created_family_len(self.tokens.name.of(text), kind);
                    let ahead = Ahead {
                        is_created: created.is_some(),
                        created_ns: created.and_then(|_| start_ns(sample.value_bits)),
                        family_len: created.unwrap_or(family_len),
                    };
                    visit(self, text, ahead);
                }
                Err(Stop::Incomplete) => return None,
                Err(Stop::Fault(_)) => {
                    let len = memchr::memchr(b'\n', text)? + 1;
                    work.spend(SAMPLE_WORK + len);
                    at += len;
                }
            }
        }
        None
    }
}

/// A row that was read ahead.
struct Ahead {
    is_created: bool,
    created_ns: Option<i64>,
    /// Bytes of its name that are the family's.
    family_len: usize,
}

/// Whether rows of such metrics have start times.
pub(super) fn has_start(kind: MetricType) -> bool {
    matches!(kind, MetricType::Counter | MetricType::Summary | MetricType::Histogram)
}

/// How much of the name of a `_created` line is the family's; none if it is no such line.
fn created_family_len(name: &[u8], kind: MetricType) -> Option<usize> {
    if has_start(kind) && name.ends_with(CREATED) { Some(name.len() - CREATED.len()) } else { None }
}

/// The nanoseconds of a start time in seconds: whole milliseconds of them, as of all times in this format. The epoch is
/// none, as in Prometheus.
fn start_ns(value_bits: u64) -> Option<i64> {
    let seconds = f64::from_bits(value_bits);
    let ms = if seconds.is_finite() { (seconds * 1000.0) as i64 } else { 0 };
    ms.checked_mul(1_000_000).filter(|ns| *ns != 0)
}

/// Appends what rows have in common that start together: the family, and all labels but `le` or `quantile`.
fn group(text: &[u8], tokens: &Tokens, family_len: usize, kind: MetricType, out: &mut Vec<u8>) {
    let name = tokens.name.of(text);
    out.extend_from_slice(&name[..family_len.min(name.len())]);
    for (name, value) in &tokens.labels {
        let name = name.of(text);
        let own = match kind {
            MetricType::Summary => name == b"quantile",
            MetricType::Histogram => name == b"le",
            _ => false,
        };
        if !own {
            // A quote ends every name and value, and stands unescaped in none.
            out.push(b'"');
            out.extend_from_slice(name);
            out.push(b'"');
            out.extend_from_slice(value.of(text));
        }
    }
}

const CREATED: &[u8] = b"_created";

/// `_created` lines of a family at most, 24 bytes and their labels each; further ones are rows.
const CREATED_MAX: usize = 1 << 18;
