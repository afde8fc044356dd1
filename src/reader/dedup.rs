//! Finding rows that came more than once, in bounded memory and without writing anything.
//!
//! Before rows are handed over they are read once or more: each pass looks at those whose hash falls to it, as many
//! as fit a table of fixed size, and marks in a bit map for each block the rows that are to be left out.
//!
//! ```text
//! passes = rows / PASS_ROWS, rounded up
//! for each pass, for each row of it in order of arrival:
//!     seen before?  exact: mark this row   last: mark the one seen, and keep this one's place
//! ```
//!
//! Rows are told apart by 128 bits of hash, seeded anew for each reader: two that differ are taken for one with a
//! chance of 2^-128. Memory: about 220 MB for the table, and for each block that loses rows a bit for each of its
//! rows. Segments that retention takes away between two passes are not read further.

use std::hash::{BuildHasher, Hasher, RandomState};

use hashbrown::HashMap;
use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

use super::Labels;
use super::query::Dedup;
use super::row::{Arrival, Row};
use crate::block::Value;
use crate::bytes::write_varint;

/// Rows to be left out: a bit for each row of a block, by worker and sequence.
#[derive(Default, Debug)]
pub(super) struct Dropped {
    blocks: HashMap<(u32, u64), Vec<u64>, RandomState>,
}

/// Half of the hash each.
pub(super) type Hash = [u64; 2];

/// Hashes series and rows.
pub(super) struct RowHasher {
    secrets: [RapidSecrets; 2],
    buf: Vec<u8>,
}

impl Dropped {
    /// Finds the rows to be left out. `read` hands over hash and place of each row, in order of arrival and the same
    /// ones each time; there are at most `rows_max`.
    ///
    /// # Errors
    /// What `read` says.
    pub(super) fn find<E>(
        dedup: Dedup,
        rows_max: u64,
        pass_rows: u64,
        mut read: impl FnMut(&mut dyn FnMut(Hash, Arrival)) -> Result<(), E>,
    ) -> Result<Dropped, E> {
        let passes = rows_max.div_ceil(pass_rows).max(1);
        let mut dropped = Dropped::default();
        // Room for all at once: a table that doubles would for a while be there twice.
        let room = (rows_max / passes + rows_max / passes / 8) as usize;
        let mut seen: HashMap<Hash, Place, RandomState> =
            HashMap::with_capacity_and_hasher(room, RandomState::new());
        for pass in 0..passes {
            seen.clear();
            let mut blocks = Blocks::default();
            read(&mut |hash, arrival| {
                if hash[0] % passes != pass {
                    return;
                }
                let place = blocks.place(arrival);
                match (dedup, seen.get_mut(&hash)) {
                    (_, None) => _ = seen.insert(hash, place),
                    (Dedup::Exact, Some(_)) => dropped.mark(blocks.block(place), place.position),
                    (Dedup::Last, Some(last)) => {
                        dropped.mark(blocks.block(*last), last.position);
                        *last = place;
                    }
                }
            })?;
        }
        Ok(dropped)
    }

    /// The bits of a block; `None` if all its rows stay. A row behind the last bit stays.
    pub(super) fn of(&self, worker: u32, sequence: u64) -> Option<&[u64]> {
        self.blocks.get(&(worker, sequence)).map(Vec::as_slice)
    }

    /// Whether a row of a block with these bits is left out.
    #[inline]
    pub(super) fn has(bits: &[u64], position: u32) -> bool {
        bits.get(position as usize / 64).is_some_and(|word| word >> (position % 64) & 1 != 0)
    }

    fn mark(&mut self, block: (u32, u64), position: u32) {
        let bits = self.blocks.entry(block).or_default();
        let word = position as usize / 64;
        if word >= bits.len() {
            bits.resize(word + 1, 0);
        }
        bits[word] |= 1 << (position % 64);
    }
}

/// Where a row is.
#[derive(Clone, Copy)]
struct Place {
    block: u32,
    position: u32,
}

/// The blocks of a pass, so that a place need not spell them out.
#[derive(Default)]
struct Blocks(Vec<(u32, u64)>);

impl Blocks {
    fn place(&mut self, arrival: Arrival) -> Place {
        let block = (arrival.worker, arrival.sequence);
        if self.0.last() != Some(&block) {
            self.0.push(block);
        }
        Place { block: self.0.len() as u32 - 1, position: arrival.position }
    }

    fn block(&self, place: Place) -> (u32, u64) {
        self.0[place.block as usize]
    }
}

impl RowHasher {
    pub(super) fn new() -> RowHasher {
        let secrets = || RapidSecrets::seed(RandomState::new().build_hasher().finish());
        RowHasher { secrets: [secrets(), secrets()], buf: Vec::new() }
    }

    /// The hash of a series.
    pub(super) fn series(&mut self, labels: Labels<'_>) -> Hash {
        self.buf.clear();
        self.put_labels(labels);
        self.finish()
    }

    /// The hash of what makes a row the same as another.
    pub(super) fn row(&mut self, row: &Row<'_>, dedup: Dedup) -> Hash {
        self.buf.clear();
        self.put_labels(row.labels);
        self.buf.extend_from_slice(&row.tenant.to_le_bytes());
        self.buf.extend_from_slice(&row.time_ns.to_le_bytes());
        if dedup == Dedup::Exact {
            self.buf.push(u8::from(row.start_time_ns().is_some()));
            self.buf.extend(row.start_time_ns().into_iter().flat_map(i64::to_le_bytes));
            for (name, value) in row.fields() {
                self.put_bytes(name);
                self.put_value(value);
            }
        }
        self.finish()
    }

    fn put_labels(&mut self, labels: Labels<'_>) {
        for (name, value) in labels.iter() {
            self.put_bytes(name);
            self.put_bytes(value);
        }
        // No label has an empty name: what follows is not one.
        self.buf.push(0);
    }

    fn put_bytes(&mut self, bytes: &[u8]) {
        write_varint(&mut self.buf, bytes.len() as u64);
        self.buf.extend_from_slice(bytes);
    }

    fn put_value(&mut self, value: Value<'_>) {
        let (kind, word) = match value {
            Value::F64(v) => (1, v.to_bits()),
            Value::I64(v) => (2, v as u64),
            Value::U64(v) => (3, v),
            Value::Bool(v) => (4, u64::from(v)),
            Value::Null => (7, 0),
            Value::String(bytes) => return self.put_text(5, bytes),
            Value::Bytes(bytes) => return self.put_text(6, bytes),
            Value::Nested(bytes) => return self.put_text(8, bytes),
            Value::Histogram(bytes) => return self.put_text(9, bytes),
        };
        self.buf.push(kind);
        self.buf.extend_from_slice(&word.to_le_bytes());
    }

    fn put_text(&mut self, kind: u8, bytes: &[u8]) {
        self.buf.push(kind);
        self.put_bytes(bytes);
    }

    fn finish(&self) -> Hash {
        [rapidhash_v3_seeded(&self.buf, &self.secrets[0]), rapidhash_v3_seeded(&self.buf, &self.secrets[1])]
    }
}

/// Rows whose hashes are in memory at once: seven eighths of 2^23 places of 25 bytes, less what chance may add.
pub(super) const PASS_ROWS: u64 = 6_500_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Naive: a row stays if no other one of its hash came before (exact) or comes after it (last).
        #[test]
        fn the_right_rows_are_left_out_in_any_number_of_passes(
            hashes in proptest::collection::vec(0u64..20, 0..300),
            block_rows in 1u32..80,
            pass_rows in 1u64..400,
        ) {
            let row = |(i, &hash): (usize, &u64)| {
                let (sequence, position) = (u64::from(i as u32 / block_rows), i as u32 % block_rows);
                ([hash, 7], Arrival { stamp_ns: 0, worker: sequence as u32 % 2, sequence, position })
            };
            let rows: Vec<(Hash, Arrival)> = hashes.iter().enumerate().map(row).collect();
            for dedup in [Dedup::Exact, Dedup::Last] {
                let dropped = Dropped::find(dedup, rows.len() as u64, pass_rows, |take| {
                    rows.iter().for_each(|&(hash, arrival)| take(hash, arrival));
                    Ok::<_, ()>(())
                }).unwrap();
                for (i, &(_, arrival)) in rows.iter().enumerate() {
                    let others = if dedup == Dedup::Exact { &hashes[..i] } else { &hashes[i + 1..] };
                    let bits = dropped.of(arrival.worker, arrival.sequence).unwrap_or(&[]);
                    prop_assert_eq!(Dropped::has(bits, arrival.position), others.contains(&hashes[i]));
                }
            }
        }
    }
}
