//! Who makes the series: counts over a table, taken a slice at a time so that no row waits.

use std::collections::HashMap;

use crate::model::{SeriesId, SymbolId};

use super::Table;

/// A walk over the series of a table.
#[derive(Debug)]
pub struct Survey {
    generation: u32,
    next: u32,
    names: HashMap<u32, NameCounts>,
    pairs: HashMap<(u32, u32), u32>,
    metrics: HashMap<u32, u32>,
}

#[derive(Default, Debug)]
struct NameCounts {
    values: u64,
    bytes: u64,
}

/// What a survey found: the greatest of each kind, as Prometheus's TSDB status names them.
#[derive(Clone, Default, Debug)]
pub struct SurveyCounts {
    /// Series.
    pub series: u64,
    /// Distinct label pairs.
    pub label_pairs: u64,
    /// Series by metric name.
    pub series_by_metric: Vec<(String, u64)>,
    /// Distinct values by label name.
    pub values_by_label: Vec<(String, u64)>,
    /// Bytes of the distinct values by label name.
    pub bytes_by_label: Vec<(String, u64)>,
    /// Series by `name=value`.
    pub series_by_pair: Vec<(String, u64)>,
}

/// Series a call of [`Survey::step`] visits: well under a millisecond.
const STEP_SERIES: u32 = 1_000;

/// Distinct label pairs a survey counts; pairs first seen after so many are left out.
const PAIRS_MAX: usize = 2_000_000;

impl Survey {
    /// A walk over this table.
    pub fn new(table: &Table) -> Survey {
        Survey {
            generation: table.generation(),
            next: 0,
            names: HashMap::new(),
            pairs: HashMap::new(),
            metrics: HashMap::new(),
        }
    }

    /// Visits some series. Gives the counts, the greatest `top` of each, once all are visited; starts anew if the table
    /// is another one by now.
    pub fn step(&mut self, table: &Table, top: usize) -> Option<SurveyCounts> {
        if table.generation() != self.generation {
            *self = Survey::new(table);
        }
        let dictionary = table.dictionary();
        let end = dictionary.mark().series.min(self.next.saturating_add(STEP_SERIES));
        for series in self.next..end {
            for (name, value) in dictionary.series_labels(SeriesId(series)) {
                if name == SymbolId(0) {
                    *self.metrics.entry(value.0).or_default() += 1;
                }
                if let Some(count) = self.pairs.get_mut(&(name.0, value.0)) {
                    *count += 1;
                } else if self.pairs.len() < PAIRS_MAX {
                    self.pairs.insert((name.0, value.0), 1);
                    let counts = self.names.entry(name.0).or_default();
                    counts.values += 1;
                    counts.bytes += dictionary.symbol(value).len() as u64;
                }
            }
        }
        self.next = end;
        (end == dictionary.mark().series).then(|| self.counts(table, top))
    }

    fn counts(&self, table: &Table, top: usize) -> SurveyCounts {
        let text = |n: u32| String::from_utf8_lossy(table.dictionary().symbol(SymbolId(n))).into_owned();
        let named = |counts: Vec<(u32, u64)>| {
            greatest(counts, top).into_iter().map(|(n, count)| (text(n), count)).collect::<Vec<_>>()
        };
        let pairs = self.pairs.iter().map(|(&pair, &count)| (pair, u64::from(count))).collect();
        SurveyCounts {
            series: table.series_count(),
            label_pairs: self.pairs.len() as u64,
            series_by_metric: named(self.metrics.iter().map(|(&n, &c)| (n, u64::from(c))).collect()),
            values_by_label: named(self.names.iter().map(|(&n, c)| (n, c.values)).collect()),
            bytes_by_label: named(self.names.iter().map(|(&n, c)| (n, c.bytes)).collect()),
            series_by_pair: greatest(pairs, top)
                .into_iter()
                .map(|((name, value), count)| (format!("{}={}", text(name), text(value)), count))
                .collect(),
        }
    }
}

fn greatest<T: Ord>(mut counts: Vec<(T, u64)>, top: usize) -> Vec<(T, u64)> {
    counts.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts.truncate(top);
    counts
}
