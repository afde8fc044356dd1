//! The seam between decoders and the core: a decoder pushes rows into an [`Intake`].

use super::{FieldType, Full, LabelsBuf, Shape, ShapeId};

/// A series that an intake knows, as a decoder holds it between asking and pushing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Series {
    /// The intake's number for the key that found it.
    pub key: u32,
    /// The shape of the last row pushed for it, or [`ShapeId::NONE`].
    pub shape: ShapeId,
}

/// A row of one float, of a series that is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ValueRow {
    /// The number of the series' key.
    pub key: u32,
    /// What it spells: see [`Intake::identity`]. Rows that are dropped have none.
    pub identity: u32,
    /// The bits of its value.
    pub value_bits: u64,
}

/// Why an intake will not have a series or a shape. The row is rejected; rows of known series go on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Labels with no canonical form.
    Labels(super::LabelsError),
    /// `limits.series_max` is reached.
    SeriesLimit {
        /// The limit that was reached.
        limit: u64,
    },
    /// A key, a name or the number of fields is over the format's bound.
    TooLarge {
        /// What was too large.
        what: &'static str,
        /// The bound.
        max: u64,
    },
    /// The context's [`Rewrite`] refuses it, for this reason, which says what of it is at fault.
    Unfit(Box<str>),
}

/// Changes the labels of a context's series when they are new: relabel rules, labels of the way they came.
///
/// What it makes of the same labels must always be the same: the answer is kept with the series' key, and rows of known
/// keys do not come by here.
pub trait Rewrite: Send + Sync + std::fmt::Debug {
    /// Changes `labels`, which are sorted and have no name twice, and says what becomes of their rows. The order of
    /// what it leaves does not matter.
    fn rewrite(&self, labels: &mut LabelsBuf) -> Verdict;
}

/// What becomes of the rows of a series.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// They are taken.
    Keep,
    /// They count as taken and go nowhere.
    Drop,
    /// The series is refused, for this reason: see [`Refusal::Unfit`].
    Refuse(Box<str>),
}

/// Takes rows from a decoder.
///
/// One intake serves one stream of rows (a connection, a target): that is what its predictions are about. The ladder
/// for a row's series: [`predicted`](Intake::predicted) and [`confirm`](Intake::confirm) when the row starts with
/// those bytes, else [`find`](Intake::find), else parse the labels and [`define`](Intake::define). The key is the
/// bytes as received; a decoder must choose them so that, within its dialect, equal bytes always mean equal labels.
///
/// The fields of a row are a [`Shape`]: the one of the series' previous row is in [`Series::shape`]; if the row does
/// not match it, [`define_shape`](Intake::define_shape).
pub trait Intake {
    /// Changes when keys and shapes lose their numbers. Never changes between two calls made inside one `feed`.
    fn epoch(&self) -> u64;

    /// The raw key that the next row is expected to have; empty if nothing is expected.
    fn predicted(&self) -> &[u8];

    /// The next row has the predicted key.
    fn confirm(&mut self) -> Series;

    /// Says that `key` will be looked up soon, so that its memory can be fetched. Keys are asked for in the order
    /// announced; more than the intake cares to remember are forgotten.
    fn announce(&mut self, key: &[u8]);

    /// Whether announcing pays: predictions have failed of late.
    fn wants_announcements(&self) -> bool;

    /// The series that has this key, if it is known.
    fn find(&mut self, key: &[u8]) -> Option<Series>;

    /// Makes a key known; brings `labels` into canonical form.
    ///
    /// # Errors
    /// [`Refusal`]: the row is to be rejected.
    fn define(&mut self, key: &[u8], labels: &mut LabelsBuf) -> Result<Series, Refusal>;

    /// The number of what a key spells, which other keys may spell, too: good for one epoch. None if its rows are
    /// dropped.
    fn identity(&self, series: Series) -> Option<u32>;

    /// A shape by its number.
    fn shape(&self, id: ShapeId) -> &Shape;

    /// The number of the shape of these fields: wire text, canonical name and type of each, in order. No two may
    /// have the same name and type.
    ///
    /// # Errors
    /// [`Refusal::TooLarge`].
    fn define_shape(&mut self, series: Series, fields: &[FieldText<'_>]) -> Result<ShapeId, Refusal>;

    /// The shape for `series` that has the same fields as `like`, if the intake can tell at once: for a new series
    /// whose first row looks like the last row of another.
    fn adopt_shape(&mut self, series: Series, like: ShapeId) -> Option<ShapeId> {
        let _ = (series, like);
        None
    }

    /// Takes a row. `values` has a word for each field of the shape: f64 as its bits, i64 and u64 as they are, bool
    /// as 0 or 1, null as 0, a start time as it is, and types on the heap as [`heap_word`] of their place in `heap`.
    /// The row has [`Shape::samples`] values.
    ///
    /// # Errors
    /// [`Full`]: nothing was taken; the decoder stops before this row and is fed it again later.
    fn push(
        &mut self,
        series: Series,
        shape: ShapeId,
        time_ns: i64,
        values: &[u64],
        heap: &[u8],
    ) -> Result<(), Full>;

    /// Takes a row of one float of the predicted series, as [`confirm`](Intake::confirm) and [`push`](Intake::push) do,
    /// if the last row of that series had this shape and the intake has a shorter way. None: nothing was done.
    fn push_predicted(&mut self, shape: ShapeId, time_ns: i64, value_bits: u64) -> Option<Result<(), Full>> {
        let _ = (shape, time_ns, value_bits);
        None
    }

    /// Takes rows of one series and one word each, in the shape of which rows are such: as [`push`](Intake::push) does,
    /// one after the other. There are as many times and words. How many were taken: all, unless the intake is full.
    fn push_column(&mut self, series: Series, shape: ShapeId, times_ns: &[i64], words: &[u64]) -> usize {
        let push = |(&time_ns, &word): (&i64, &u64)| self.push(series, shape, time_ns, &[word], &[]).is_ok();
        times_ns.iter().zip(words).map(push).take_while(|&taken| taken).count()
    }

    /// Takes rows of one float each and the same time: as [`push`](Intake::push) does, one after the other, but for
    /// what it learns of the order of keys and of their shapes. How many were taken: all, unless the intake is full.
    fn push_values(&mut self, shape: ShapeId, time_ns: i64, rows: &[ValueRow]) -> usize {
        let push = |row: &ValueRow| {
            let series = Series { key: row.key, shape };
            self.push(series, shape, time_ns, &[row.value_bits], &[]).is_ok()
        };
        rows.iter().map(push).take_while(|&taken| taken).count()
    }

    /// Takes an exemplar of a series: a value that was seen in it, with labels of its own. One whose texts are over
    /// [`SIDE_TEXT_BYTES_MAX`](super::SIDE_TEXT_BYTES_MAX) is left out, and told in the log.
    ///
    /// # Errors
    /// [`Full`], as for [`push`](Intake::push).
    fn exemplar(&mut self, series: Series, exemplar: &Exemplar<'_>) -> Result<(), Full>;

    /// Takes what is said of a metric. What was said before is not kept twice; too long texts are left out, as for
    /// [`exemplar`](Intake::exemplar).
    ///
    /// # Errors
    /// [`Full`], as for [`push`](Intake::push).
    fn metadata(&mut self, metadata: &Metadata<'_>) -> Result<(), Full>;
}

/// An example of what a series counts.
#[derive(Clone, Copy, Debug)]
pub struct Exemplar<'a> {
    /// The field of the series that it belongs to.
    pub field: &'a [u8],
    /// Nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// The bits of its value.
    pub value_bits: u64,
    /// Its labels in their order: `count varint, (length varint, name, length varint, value) * count`.
    pub labels: &'a [u8],
}

/// What a metric is, counts and means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Metadata<'a> {
    /// The metric's name.
    pub name: &'a [u8],
    /// What it is.
    pub kind: MetricType,
    /// What it counts; empty if unknown.
    pub unit: &'a [u8],
    /// What it means.
    pub help: &'a [u8],
}

/// What a metric is. The numbers are part of block format 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
#[repr(u8)]
pub enum MetricType {
    /// Nobody said.
    #[default]
    Unknown = 0,
    /// A running total.
    Counter = 1,
    /// A value that goes up and down.
    Gauge = 2,
    /// Quantiles.
    Summary = 3,
    /// Counts by bucket.
    Histogram = 4,
    /// Counts by bucket that go up and down.
    GaugeHistogram = 5,
    /// One of several states.
    StateSet = 6,
    /// Labels, and the value 1.
    Info = 7,
}

impl MetricType {
    /// The type of this number on disk, if format 1 knows it.
    pub fn from_number(number: u64) -> Option<MetricType> {
        Some(match number {
            0 => MetricType::Unknown,
            1 => MetricType::Counter,
            2 => MetricType::Gauge,
            3 => MetricType::Summary,
            4 => MetricType::Histogram,
            5 => MetricType::GaugeHistogram,
            6 => MetricType::StateSet,
            7 => MetricType::Info,
            _ => return None,
        })
    }
}

/// A field as a decoder met it.
#[derive(Clone, Copy, Debug)]
pub struct FieldText<'a> {
    /// What the wire says before the value, separator included.
    pub text: &'a [u8],
    /// The canonical name.
    pub name: &'a [u8],
    /// The type.
    pub kind: FieldType,
}

impl FieldText<'_> {
    /// The same memory for other borrows: collecting an empty vector of the same layout allocates nothing.
    #[inline]
    pub(crate) fn recycle<'a>(mut texts: Vec<FieldText<'_>>) -> Vec<FieldText<'a>> {
        texts.clear();
        texts.into_iter().map(|_| unreachable!("the vector is empty")).collect()
    }
}

/// Packs the place of a value on a row's heap into a word.
#[inline]
pub fn heap_word(start: usize, len: usize) -> u64 {
    (start as u64) << 32 | len as u64
}

/// The place that [`heap_word`] packed: start and length.
#[inline]
pub fn heap_place(word: u64) -> (usize, usize) {
    ((word >> 32) as usize, (word & 0xffff_ffff) as usize)
}

impl Refusal {
    /// The refusal as a label of `tidegate_rows_rejected_total`.
    pub fn reason(&self) -> &'static str {
        match self {
            Refusal::Labels(_) | Refusal::Unfit(_) => "labels",
            Refusal::SeriesLimit { .. } => "series_limit",
            Refusal::TooLarge { .. } => "too_large",
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::Labels(e) => e.fmt(f),
            Refusal::SeriesLimit { limit } => write!(f, "series limit reached: limits.series_max is {limit}"),
            Refusal::TooLarge { what, max } => write!(f, "{what} is over {max}"),
            Refusal::Unfit(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Refusal {}
