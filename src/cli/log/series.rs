//! Labels as a format writes them, kept for the series met of late: rows of a block come series by series or in a round
//! of all, and spelling labels costs more than the rest of a row.

use crate::reader::{Labels, Row};

/// Written labels, a slot for each of [`SLOTS`] remainders of series' numbers.
pub(super) struct Series {
    slots: Vec<Slot>,
    long: Vec<u8>,
}

#[derive(Clone, Default)]
struct Slot {
    /// Worker, segment, number.
    of: Option<(u32, u64, u32)>,
    /// Empty if the format can't express them.
    text: Vec<u8>,
}

impl Default for Series {
    fn default() -> Series {
        Series { slots: vec![Slot::default(); SLOTS], long: Vec::new() }
    }
}

impl Series {
    /// The labels of a row as `write` writes them, which appends nothing if it can't.
    #[inline]
    pub(super) fn labels(&mut self, row: &Row<'_>, write: impl FnOnce(Labels<'_>, &mut Vec<u8>)) -> &[u8] {
        let of = Some((row.arrival.worker, row.segment, row.series));
        let slot = &mut self.slots[row.series as usize % SLOTS];
        if slot.of != of {
            slot.of = None;
            self.long.clear();
            write(row.labels, &mut self.long);
            if self.long.len() > TEXT_BYTES_MAX {
                return &self.long;
            }
            slot.text.clear();
            slot.text.extend_from_slice(&self.long);
            slot.of = of;
        }
        &slot.text
    }
}

/// With [`TEXT_BYTES_MAX`], 16 MiB at most.
const SLOTS: usize = 8192;

/// Longer labels are written anew for each row.
const TEXT_BYTES_MAX: usize = 2048;
