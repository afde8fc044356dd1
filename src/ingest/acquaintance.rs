//! What a packer remembers of the handles it has met: which series of its own table they are.
//!
//! In: handles, and the registry's word of what was released. Out: the packer's number of the series. Kept: what is
//! remembered is of the table's present generation, and of a handle that was not released when the packer last looked.
//! It knows no labels.

use crate::model::SeriesId;

use super::registry::{Registry, SeriesHandle};

/// Handles met, by their numbers.
#[derive(Default, Debug)]
pub(super) struct Acquaintance {
    met: Vec<Met>,
    /// Of the series that were released since the beginning, so many are known here to be gone.
    released_seen: u64,
    /// Handles met in this generation and not released since...
    present: u64,
    /// ...and those that were: dead weight in the table.
    gone: u64,
}

/// A handle that was met.
#[derive(Clone, Copy, Debug)]
pub(super) struct Met {
    /// The handle's; 0 where nothing is remembered.
    tag: u32,
    pub(super) series: SeriesId,
    /// Its key in the packer's table.
    pub(super) key: u32,
}

const NOBODY: Met = Met { tag: 0, series: SeriesId(0), key: 0 };

impl Met {
    pub(super) fn new(handle: SeriesHandle, series: SeriesId, key: u32) -> Met {
        Met { tag: handle.tag(), series, key }
    }
}

impl Acquaintance {
    /// What is remembered of a handle.
    #[inline]
    pub(super) fn of(&self, handle: SeriesHandle) -> Option<Met> {
        let met = self.met.get(handle.number()).copied()?;
        (met.tag == handle.tag() && met.tag != NOBODY.tag).then_some(met)
    }

    /// Remembers a handle, in the place of another one that had its number.
    pub(super) fn remember(&mut self, handle: SeriesHandle, series: SeriesId, key: u32) {
        let number = handle.number();
        if number >= self.met.len() {
            self.met.resize(number + 1, NOBODY);
        }
        self.met[number] = Met::new(handle, series, key);
        self.present += 1;
    }

    /// Forgets what was released since this was last asked. Costs a load if nothing was.
    #[inline]
    pub(super) fn follow(&mut self, registry: &Registry) {
        if registry.released() != self.released_seen {
            self.catch_up(registry);
        }
    }

    #[cold]
    fn catch_up(&mut self, registry: &Registry) {
        let Acquaintance { met, gone, present, .. } = self;
        let caught_up = registry.released_since(self.released_seen, |number| {
            if let Some(met) = met.get_mut(number).filter(|met| met.tag != NOBODY.tag) {
                *met = NOBODY;
                *gone += 1;
                *present -= 1;
            }
        });
        self.released_seen = caught_up.unwrap_or_else(|released| {
            // Who is still there is found again where it is.
            self.met.clear();
            self.gone += self.present;
            self.present = 0;
            released
        });
    }

    /// The packer's table is another one: nothing of the old one means anything.
    pub(super) fn forget(&mut self) {
        self.met.clear();
        (self.present, self.gone) = (0, 0);
    }

    /// Handles of this generation that were not released.
    pub(super) fn present(&self) -> u64 {
        self.present
    }

    /// Handles of this generation that were released.
    pub(super) fn gone(&self) -> u64 {
        self.gone
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.met.capacity() * size_of::<Met>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::SeriesBudget;
    use crate::model::LabelsBuf;

    fn register(registry: &Registry, name: &str) -> SeriesHandle {
        let mut labels = LabelsBuf::default();
        labels.push(b"__name__", name.as_bytes());
        registry.register(&mut labels).unwrap()
    }

    #[test]
    fn what_was_released_is_forgotten_and_nothing_else() {
        let registry = Registry::new(&SeriesBudget::new(10), 1);
        let handles = ["a", "b", "c"].map(|name| register(&registry, name));
        let mut met = Acquaintance::default();
        handles.iter().zip(5..).for_each(|(h, series)| met.remember(*h, SeriesId(series), 0));
        met.follow(&registry);
        registry.release(handles[1]);
        assert!(met.of(handles[1]).is_some(), "it was not asked yet");
        met.follow(&registry);
        assert_eq!(handles.map(|h| met.of(h).map(|met| met.series.0)), [Some(5), None, Some(7)]);
        assert_eq!((met.present(), met.gone()), (2, 1));
        let next = register(&registry, "d");
        assert_eq!((next.number(), met.of(next).is_none()), (1, true), "another series under the number");
    }

    #[test]
    fn no_number_is_taken_for_a_handle_that_was_not_met() {
        let met = Acquaintance { met: vec![NOBODY], ..Acquaintance::default() };
        assert!(met.of(SeriesHandle::from_bits(0)).is_none());
    }
}
