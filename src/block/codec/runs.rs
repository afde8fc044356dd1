//! Runs: stretches of a column's values whose rows are of one series.
//!
//! What a run starts with says nothing of the run before; what follows differs little from its neighbour. Both the
//! encoder and the decoder learn from the series numbers of the rows, and from the column's bit map where there is one,
//! where its runs start: nothing is written for it.

use std::cell::OnceCell;

use crate::model::SeriesId;

/// The runs of a column that is read; found when they are first asked for.
pub(in crate::block) struct Runs<'a> {
    series: &'a [SeriesId],
    present: Option<&'a [u8]>,
    starts: OnceCell<Vec<u32>>,
}

impl<'a> Runs<'a> {
    /// Of a column that the rows have whose bit is set in `present`; all have it if there is none.
    pub(in crate::block) fn new(series: &'a [SeriesId], present: Option<&'a [u8]>) -> Runs<'a> {
        Runs { series, present, starts: OnceCell::new() }
    }

    /// Of another column of the same rows.
    pub(in crate::block) fn within(&self, present: &'a [u8]) -> Runs<'a> {
        Runs::new(self.series, Some(present))
    }

    /// The places, among the column's values, at which its runs start. Allocates 4 bytes a value, once.
    pub(in crate::block) fn starts(&self) -> &[u32] {
        self.starts.get_or_init(|| {
            let mut starts = Vec::new();
            match self.present {
                None => find_starts(self.series.iter().map(|s| s.0), self.series.len(), &mut starts),
                Some(bits) => {
                    let count = bits.iter().map(|byte| byte.count_ones() as usize).sum();
                    find_starts(ones(bits).map(|row| self.series[row].0), count, &mut starts);
                }
            }
            starts
        })
    }
}

/// Fills `starts` with the places where the next of `count` series differs from the one before, 0 the first.
pub(in crate::block) fn find_starts(
    mut series: impl Iterator<Item = u32>,
    count: usize,
    starts: &mut Vec<u32>,
) {
    starts.clear();
    let Some(mut before) = series.next() else { return };
    // Written always, kept if it is a start: whether it is one is as good as random to the processor.
    starts.resize(count, 0);
    let mut found = 1;
    for (series, place) in series.zip(1..) {
        starts[found] = place;
        found += usize::from(series != before);
        before = series;
    }
    starts.truncate(found);
}

/// The numbers of the bits that are set.
pub(in crate::block) fn ones(bits: &[u8]) -> impl Iterator<Item = usize> {
    bits.iter().enumerate().flat_map(|(i, &byte)| {
        let mut rest = byte;
        std::iter::from_fn(move || {
            let bit = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
            rest &= rest - 1;
            Some(8 * i + bit)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn runs_start_where_the_series_of_present_rows_changes(
            rows in prop::collection::vec((0u32..4, any::<bool>()), 1..200),
        ) {
            let series: Vec<SeriesId> = rows.iter().map(|r| SeriesId(r.0)).collect();
            let of = |series: &[u32]| {
                let starts = |&i: &usize| i == 0 || series[i] != series[i - 1];
                (0..series.len()).filter(starts).map(|i| i as u32).collect::<Vec<_>>()
            };
            let all: Vec<u32> = rows.iter().map(|r| r.0).collect();
            prop_assert_eq!(Runs::new(&series, None).starts().to_vec(), of(&all));

            let mut bits = vec![0u8; rows.len().div_ceil(8)];
            for (i, _) in rows.iter().enumerate().filter(|(_, row)| row.1) {
                bits[i / 8] |= 1 << (i % 8);
            }
            let present: Vec<u32> = rows.iter().filter(|r| r.1).map(|r| r.0).collect();
            prop_assert_eq!(Runs::new(&series, Some(&bits)).starts().to_vec(), of(&present));
        }
    }
}
