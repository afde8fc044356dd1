//! How many series there may be: places, which all of an engine's workers, packers and registrations share.
//!
//! In: who has a new series, and for how long it keeps its place. Out: how many places are left. Kept: a place that was
//! taken is given back once, by whoever has the series then. It refuses nothing: who asks what is left refuses.

use std::sync::Arc;

use crate::model::Refusal;
use crate::sync::SharedCount;

/// How many series all workers together may have, and have. Each has a table of its own: a series that comes to two of
/// them counts twice.
#[derive(Clone, Debug)]
pub struct SeriesBudget {
    /// `limits.series_max`.
    pub max: Arc<SharedCount>,
    /// Places taken: by series in the workers' present tables, by those in the tables before that may come again, by
    /// registered ones wherever they are, and by new ones on their way to a worker.
    pub used: Arc<SharedCount>,
    /// How many times there was no place.
    pub refused: Arc<SharedCount>,
    place: Place,
    /// Of a worker: places taken for series that are not yet there; workers don't all write to one count for each new
    /// series.
    ahead: u64,
    /// Of a packer: places of new series that no parcel has been told to give back.
    claimed: u64,
}

/// How long a series keeps the place that it takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// As long as the table that it is in: a worker's.
    Table,
    /// Until the parcel that brings it was taken in: a packer's.
    Parcel,
    /// Until it is released: a registered one's.
    Registration,
}

impl SeriesBudget {
    /// A budget of which nothing is used.
    pub fn new(max: u64) -> SeriesBudget {
        let (place, ahead, claimed) = (Place::Table, 0, 0);
        let (used, refused) = (Arc::default(), Arc::default());
        let budget = SeriesBudget { max: Arc::default(), used, refused, place, ahead, claimed };
        budget.max.set(max);
        budget
    }

    /// The same budget for a packer.
    pub(super) fn for_packer(&self) -> SeriesBudget {
        SeriesBudget { place: Place::Parcel, ahead: 0, claimed: 0, ..self.clone() }
    }

    /// The same budget for a registry.
    pub(super) fn for_registry(&self) -> SeriesBudget {
        SeriesBudget { place: Place::Registration, ahead: 0, claimed: 0, ..self.clone() }
    }

    /// The places that new series took since this was last asked, of which somebody else is to give them back.
    pub(super) fn take_claims(&mut self) -> u64 {
        std::mem::take(&mut self.claimed)
    }

    /// Gives back what was taken for series that are not there.
    pub(super) fn end(&mut self) {
        self.end_table(self.ahead);
        self.give_back(self.claimed);
    }

    /// Gives back the places of new series that a parcel has brought: who took it in counts them now.
    pub fn give_back(&self, claims: u64) {
        if claims > 0 {
            self.used.subtract(claims);
        }
    }

    /// How many more there may be.
    pub(super) fn left(&self) -> u64 {
        self.max.value().saturating_sub(self.used.value()) + self.ahead
    }

    /// What is said of one more than there may be.
    pub(super) fn refusal(&self) -> Refusal {
        self.refused.add(1);
        Refusal::SeriesLimit { limit: self.max.value() }
    }

    /// Takes places for new series. They were found to be left, or are needed all the same.
    pub(super) fn add(&mut self, series: u64) {
        if series == 0 {
            return;
        }
        if self.place != Place::Table {
            self.used.add(series);
            self.claimed += series;
            return;
        }
        if self.ahead < series {
            // Far from the limit some more at once; near it one by one, so that it is met exactly.
            let left = self.max.value().saturating_sub(self.used.value());
            let more = series + (left / AHEAD_LEFT_MIN).min(AHEAD_MAX);
            self.used.add(more);
            self.ahead += more;
        }
        self.ahead -= series;
    }

    /// So many series of a table are no more, or have another place.
    pub(super) fn end_table(&self, series: u64) {
        if self.place == Place::Table {
            self.used.subtract(series);
        }
    }
}

/// Series counted ahead at most, and for how many left one is.
const AHEAD_MAX: u64 = 64;
const AHEAD_LEFT_MIN: u64 = 1024;
