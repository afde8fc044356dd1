//! What a stream of rows (a connection, a target) expects next.

/// What makes the same bytes mean another series: the dialect, a target's or listener's labels, a tenant, the relabel
/// rules. Interned by whoever makes contexts: formats, doors and the library have the numbers below
/// [`ContextId::TARGETS`], scraped targets those from there on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct ContextId(pub u32);

impl ContextId {
    /// The lowest number of a scraped target.
    pub const TARGETS: u32 = 1 << 16;
}

/// The prediction state of one stream.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    pub(super) context: ContextId,
    /// What makes the wire's text before a value another field: streams of many contexts may share their shapes.
    pub(super) dialect: ContextId,
    /// Of late, how many of the predictions failed, in [`MISS_SCALE`]ths.
    pub(super) misses: u16,
    pub(super) generation: u32,
    /// The key of the last row.
    pub(super) previous: u32,
    /// The key that followed it last time.
    pub(super) expected: u32,
    /// Side records that came by it.
    pub(super) side_records: u64,
}

/// No key.
pub(super) const NO_KEY: u32 = u32::MAX;

const MISS_SCALE: u16 = 256;

impl Stream {
    /// A stream that expects nothing yet.
    pub fn new(context: ContextId) -> Stream {
        Stream::of_dialect(context, context)
    }

    /// A stream whose keys are its context's own, and whose shapes are those of all streams of a dialect.
    pub fn of_dialect(dialect: ContextId, context: ContextId) -> Stream {
        Stream {
            context,
            dialect,
            misses: 0,
            generation: 0,
            previous: NO_KEY,
            expected: NO_KEY,
            side_records: 0,
        }
    }

    /// The stream now speaks another context: predictions start anew if it is another one.
    pub fn set_context(&mut self, context: ContextId) {
        if self.context != context {
            let Stream { misses, side_records, .. } = *self;
            *self = Stream { misses, side_records, ..Stream::new(context) };
        }
    }

    /// Exemplars and metadata that came by this stream so far, those that had been said before included.
    pub fn side_records(&self) -> u64 {
        self.side_records
    }

    #[inline]
    fn hit(&mut self) {
        self.misses -= self.misses / 16;
    }

    #[inline]
    fn miss(&mut self) {
        self.misses += (MISS_SCALE - self.misses) / 16;
    }

    /// More than about two of five predictions failed: looking ahead pays, predicting does not.
    #[inline]
    pub(super) fn unpredictable(&self) -> bool {
        self.misses > MISS_SCALE * 2 / 5
    }

    /// Judges the prediction for a row that turned out to have this key, also where nobody asked for it.
    #[inline]
    pub(super) fn judge(&mut self, key: u32) {
        if self.expected == key { self.hit() } else { self.miss() }
    }
}
