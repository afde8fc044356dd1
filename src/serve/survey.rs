//! One survey of all workers' series at a time.
//!
//! Whoever wants one starts a round; each worker walks its own table in slices between its events and hands in what it
//! found; when all have, the round's sum is there for everybody who waits for it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::ingest::SurveyCounts;
use crate::sync::SharedCount;

/// Entries of each list that a worker hands in, and that a status can show: what is great in sum may be small in one of
/// many workers.
pub(super) const TOP_PER_WORKER: usize = 1_000;

/// The board on which rounds are written.
#[derive(Debug)]
pub(super) struct SurveyBoard {
    workers: usize,
    /// The latest round that was asked for.
    wanted: SharedCount,
    state: Mutex<State>,
}

#[derive(Default, Debug)]
struct State {
    round: u64,
    found: Vec<SurveyCounts>,
    /// The last round that is complete, and its sum.
    complete: Option<(u64, SurveyCounts)>,
}

impl SurveyBoard {
    pub(super) fn new(workers: usize) -> SurveyBoard {
        SurveyBoard { workers, wanted: SharedCount::default(), state: Mutex::default() }
    }

    /// Joins the round under way, or starts one. The caller wakes the other workers.
    pub(super) fn start(&self) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let under_way = state.complete.as_ref().map_or(0, |(round, _)| *round) < state.round;
        if !under_way {
            state.round += 1;
            state.found.clear();
            self.wanted.set(state.round);
        }
        state.round
    }

    /// The latest round that was asked for; 0 if none was.
    pub(super) fn wanted(&self) -> u64 {
        self.wanted.value()
    }

    /// A worker's counts for a round. `true` if that completes it: the caller wakes the others.
    pub(super) fn hand_in(&self, round: u64, counts: SurveyCounts) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if round != state.round {
            return false;
        }
        state.found.push(counts);
        let complete = state.found.len() == self.workers;
        if complete {
            let sum = sum(&state.found);
            state.found.clear();
            state.complete = Some((round, sum));
        }
        complete
    }

    /// The sum of a round, or of a later one, once it is complete.
    pub(super) fn result(&self, round: u64) -> Option<SurveyCounts> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.complete.as_ref().filter(|(complete, _)| *complete >= round).map(|(_, counts)| counts.clone())
    }
}

fn sum(found: &[SurveyCounts]) -> SurveyCounts {
    let list = |pick: fn(&SurveyCounts) -> &Vec<(String, u64)>| {
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        for (name, count) in found.iter().flat_map(pick) {
            *sums.entry(name).or_default() += count;
        }
        let mut sums: Vec<(String, u64)> = sums.into_iter().map(|(name, n)| (name.to_owned(), n)).collect();
        sums.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        sums.truncate(TOP_PER_WORKER);
        sums
    };
    SurveyCounts {
        series: found.iter().map(|c| c.series).sum(),
        label_pairs: found.iter().map(|c| c.label_pairs).sum(),
        series_by_metric: list(|c| &c.series_by_metric),
        values_by_label: list(|c| &c.values_by_label),
        bytes_by_label: list(|c| &c.bytes_by_label),
        series_by_pair: list(|c| &c.series_by_pair),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(name: &str, series: u64) -> SurveyCounts {
        SurveyCounts { series, series_by_metric: vec![(name.to_owned(), series)], ..SurveyCounts::default() }
    }

    #[test]
    fn a_round_is_complete_when_all_workers_have_handed_in() {
        let board = SurveyBoard::new(2);
        let round = board.start();
        assert_eq!((board.start(), board.wanted()), (round, round), "a second asker joins");
        assert!(!board.hand_in(round, counts("cpu", 3)));
        assert!(board.result(round).is_none());
        assert!(board.hand_in(round, counts("cpu", 4)));
        let sum = board.result(round).unwrap();
        assert_eq!((sum.series, &sum.series_by_metric[..]), (7, &[("cpu".to_owned(), 7)][..]));
        assert_eq!(board.start(), round + 1);
        assert!(!board.hand_in(round, counts("late", 1)), "a worker that was slow does not count twice");
    }
}
