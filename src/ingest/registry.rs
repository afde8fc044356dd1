//! Series registered by their labels, once for an engine: handles that all its packers understand.
//!
//! In: labels. Out: a [`SeriesHandle`], and from it the labels again, for a packer that meets the handle for the first
//! time or under a new table. Kept: a handle means one series until it has been released as often as it was registered,
//! and nothing after that, whoever gets its number next; a registered series has a place among those that the engine
//! may have, and needs no other one in a worker's table. Rows do not come by here: each packer remembers what it
//! learned, and looks only at [`released`](Registry::released), a count that changes when it may have to forget.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{LabelsBuf, Refusal};
use crate::sync::SharedCount;

use super::budget::SeriesBudget;
use super::keys::KEY_BYTES_MAX;
use super::parcel::write_sized;
use super::table::KEY_TOO_LONG;

/// A registered series, good for every writer of the engine that gave it.
///
/// One number: the lower half counts series, the upper half is a tag that is never 0, tells the users of one lower half
/// apart, and one engine's handles from another's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(transparent)]
pub struct SeriesHandle(u64);

/// The registered series of an engine.
#[derive(Debug)]
pub struct Registry {
    inner: Mutex<Inner>,
    released: SharedCount,
    budget: SeriesBudget,
}

#[derive(Debug)]
struct Inner {
    entries: Vec<Entry>,
    by_labels: HashMap<Arc<[u8]>, u32>,
    free: Vec<u32>,
    next_tag: u32,
    /// The numbers of the series that went last, the latest at the back.
    gone: VecDeque<u32>,
    scratch: Vec<u8>,
}

#[derive(Debug)]
struct Entry {
    /// As a packer's keys spell them; none while the number is free.
    labels: Option<Arc<[u8]>>,
    tag: u32,
    users: u64,
    /// Workers' tables that have the series, and took no place for it.
    tables: u64,
}

/// Of so many series that went a packer learns the numbers; one that comes later forgets all it remembers.
const GONE_KEPT_MAX: usize = 4_096;

impl SeriesHandle {
    fn new(number: u32, tag: u32) -> SeriesHandle {
        SeriesHandle(u64::from(tag) << 32 | u64::from(number))
    }

    /// The handle as a number, never 0.
    #[inline]
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// The handle of a number that [`to_bits`](SeriesHandle::to_bits) gave. Any other number is the handle of no
    /// series.
    #[inline]
    pub fn from_bits(bits: u64) -> SeriesHandle {
        SeriesHandle(bits)
    }

    #[inline]
    pub(super) fn number(self) -> usize {
        self.0 as u32 as usize
    }

    #[inline]
    pub(super) fn tag(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

impl Registry {
    /// An empty registry. `seed` should differ between engines: it tells their handles apart.
    pub fn new(budget: &SeriesBudget, seed: u64) -> Registry {
        Registry {
            inner: Mutex::new(Inner {
                entries: Vec::new(),
                by_labels: HashMap::new(),
                free: Vec::new(),
                next_tag: seed as u32,
                gone: VecDeque::new(),
                scratch: Vec::new(),
            }),
            released: SharedCount::default(),
            budget: budget.for_registry(),
        }
    }

    /// Makes a series known by its labels, in any order; one without a value is none, as in Prometheus. The same labels
    /// give the same handle, until that is released.
    ///
    /// # Errors
    /// [`Refusal`]: two labels of one name, a bound, or too many series.
    pub fn register(&self, labels: &mut LabelsBuf) -> Result<SeriesHandle, Refusal> {
        labels.canonicalize().map_err(Refusal::Labels)?;
        labels.retain(|_, value| !value.is_empty());
        let inner = &mut *self.lock();
        inner.scratch.clear();
        for (name, value) in labels.iter() {
            write_sized(&mut inner.scratch, name);
            write_sized(&mut inner.scratch, value);
        }
        if let Some(&number) = inner.by_labels.get(&inner.scratch[..]) {
            let entry = &mut inner.entries[number as usize];
            entry.users += 1;
            return Ok(SeriesHandle::new(number, entry.tag));
        }
        if inner.scratch.len() > KEY_BYTES_MAX {
            return Err(KEY_TOO_LONG);
        }
        if self.budget.left() == 0 || inner.by_labels.len() as u64 >= NUMBERS_MAX {
            return Err(self.budget.refusal());
        }
        self.budget.used.add(1);
        let labels: Arc<[u8]> = inner.scratch[..].into();
        let tag = inner.take_tag();
        let entry = Entry { labels: Some(Arc::clone(&labels)), tag, users: 1, tables: 0 };
        let number = match inner.free.pop() {
            Some(number) => {
                inner.entries[number as usize] = entry;
                number
            }
            None => {
                inner.entries.push(entry);
                (inner.entries.len() - 1) as u32
            }
        };
        inner.by_labels.insert(labels, number);
        Ok(SeriesHandle::new(number, tag))
    }

    /// Takes a registration back; with the last one the handle ends. `false` if it means no series.
    pub fn release(&self, handle: SeriesHandle) -> bool {
        let inner = &mut *self.lock();
        let Some(entry) = inner.entry(handle) else { return false };
        entry.users -= 1;
        if entry.users > 0 {
            return true;
        }
        // From now on each table has its own place.
        self.budget.used.add(entry.tables);
        self.budget.used.subtract(1);
        if let Some(labels) = entry.labels.take() {
            inner.by_labels.remove(&labels);
        }
        inner.free.push(handle.number() as u32);
        if inner.gone.len() == GONE_KEPT_MAX {
            inner.gone.pop_front();
        }
        inner.gone.push_back(handle.number() as u32);
        self.released.add(1);
        true
    }

    /// The labels of a handle, as a packer's keys spell them; `None` if it means no series.
    pub(super) fn labels(&self, handle: SeriesHandle) -> Option<Arc<[u8]>> {
        self.lock().entry(handle).and_then(|entry| entry.labels.clone())
    }

    /// A table has got the series of these labels, spelled as a packer's keys are. If it is registered gives its
    /// handle, with which to [`leave`](Registry::leave): until then the table needs no place for it.
    pub(super) fn join(&self, key: &[u8]) -> Option<SeriesHandle> {
        let inner = &mut *self.lock();
        let number = *inner.by_labels.get(key)?;
        let entry = &mut inner.entries[number as usize];
        entry.tables += 1;
        Some(SeriesHandle::new(number, entry.tag))
    }

    /// A table that has joined a series is no more.
    pub(super) fn leave(&self, handle: SeriesHandle) {
        match self.lock().entry(handle) {
            Some(entry) => entry.tables -= 1,
            // It was released, and the table's place was taken then.
            None => self.budget.used.subtract(1),
        }
    }

    /// How many series have gone so far.
    #[inline]
    pub(super) fn released(&self) -> u64 {
        self.released.value()
    }

    /// Tells the numbers of the series that went after the first `seen`, and gives how many have gone by now. `Err` if
    /// those are no longer known one by one.
    pub(super) fn released_since(&self, seen: u64, mut tell: impl FnMut(usize)) -> Result<u64, u64> {
        let inner = self.lock();
        // Under the lock, so that number and queue agree.
        let released = self.released.value();
        let new = usize::try_from(released - seen).unwrap_or(usize::MAX);
        let Some(known) = inner.gone.len().checked_sub(new) else { return Err(released) };
        inner.gone.range(known..).for_each(|&number| tell(number as usize));
        Ok(released)
    }

    /// Series that are registered.
    pub fn series(&self) -> usize {
        self.lock().by_labels.len()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn entry(&mut self, handle: SeriesHandle) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(handle.number())?;
        (entry.tag == handle.tag() && entry.labels.is_some()).then_some(entry)
    }

    fn take_tag(&mut self) -> u32 {
        self.next_tag = self.next_tag.wrapping_add(1).max(1);
        self.next_tag
    }
}

/// Numbers of handles, whatever the limit on series is.
const NUMBERS_MAX: u64 = u32::MAX as u64;

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> LabelsBuf {
        let mut labels = LabelsBuf::default();
        pairs.iter().for_each(|(name, value)| labels.push(name.as_bytes(), value.as_bytes()));
        labels
    }

    fn registry(series_max: u64) -> Registry {
        Registry::new(&SeriesBudget::new(series_max), 7)
    }

    #[test]
    fn the_same_labels_are_one_handle_until_it_was_released_as_often() {
        let registry = registry(10);
        let a = registry.register(&mut labels(&[("__name__", "m"), ("k", "a")])).unwrap();
        let b = registry.register(&mut labels(&[("k", "a"), ("__name__", "m")])).unwrap();
        assert_eq!(a, b);
        assert_eq!(SeriesHandle::from_bits(a.to_bits()), a);
        assert!(registry.release(a) && registry.labels(b).is_some());
        assert!(registry.release(b) && registry.labels(a).is_none());
        assert!(!registry.release(a), "it was released twice, and registered twice");
        let c = registry.register(&mut labels(&[("k", "c")])).unwrap();
        assert_eq!((c.number(), registry.series()), (a.number(), 1), "the number is used again");
        assert!(c != a && !registry.release(a), "and the old handle still means nothing");
    }

    #[test]
    fn what_is_no_handle_means_no_series() {
        let registry = registry(10);
        let a = registry.register(&mut labels(&[("k", "a")])).unwrap();
        for bits in [0, 1, u64::MAX, a.to_bits() + 1, a.to_bits() ^ 1 << 40, a.number() as u64] {
            let stranger = SeriesHandle::from_bits(bits);
            assert!(registry.labels(stranger).is_none() && !registry.release(stranger), "{bits:x}");
        }
        assert!(matches!(registry.register(&mut labels(&[("k", "a"), ("k", "b")])), Err(Refusal::Labels(_))));
    }

    #[test]
    fn the_limit_counts_what_is_registered_now() {
        let registry = registry(2);
        let register = |k: &str| registry.register(&mut labels(&[("k", k)]));
        let a = register("a").unwrap();
        register("b").unwrap();
        assert_eq!(register("c"), Err(Refusal::SeriesLimit { limit: 2 }));
        assert_eq!(register("a"), Ok(a), "a known one goes on");
        registry.release(a);
        registry.release(a);
        assert!(register("c").is_ok());
    }

    #[test]
    fn a_place_goes_from_the_registration_to_the_tables_that_have_the_series() {
        let registry = registry(4);
        let used = || registry.budget.used.value();
        let a = registry.register(&mut labels(&[("k", "a")])).unwrap();
        let key = registry.labels(a).unwrap();
        assert_eq!((registry.join(&key), registry.join(&key), used()), (Some(a), Some(a), 1));
        assert_eq!(registry.join(b"unknown"), None);
        registry.leave(a);
        registry.release(a);
        assert_eq!((registry.join(&key), used()), (None, 1), "one table has it, and its place");
        let again = registry.register(&mut labels(&[("k", "a")])).unwrap();
        assert_eq!(used(), 2, "the table has not joined this one");
        registry.leave(a);
        assert_eq!(used(), 1);
        registry.release(again);
        assert_eq!(used(), 0);
    }

    #[test]
    fn who_was_away_for_long_is_told_to_forget_all() {
        let registry = registry(10);
        let churn = |times: usize| {
            for _ in 0..times {
                let handle = registry.register(&mut labels(&[("k", "a")])).unwrap();
                registry.release(handle);
            }
        };
        churn(3);
        let mut told = Vec::new();
        assert_eq!(registry.released_since(1, |number| told.push(number)), Ok(3));
        assert_eq!(told, [0, 0]);
        churn(GONE_KEPT_MAX);
        let all = 3 + GONE_KEPT_MAX as u64;
        assert_eq!(registry.released_since(2, |_| panic!("not known")), Err(all));
        assert_eq!(registry.released_since(3, |_| {}), Ok(all));
        assert_eq!(registry.released_since(all, |_| panic!("nothing new")), Ok(all));
    }
}
