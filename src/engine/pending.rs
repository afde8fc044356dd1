//! Rows that were taken and are not durable yet: they count as accepted when the block is that they went into.
//!
//! In: how many rows of a protocol went into which block, told once for each piece of input; then what became of the
//! blocks. Out: the counters. Rows whose block fails are forgotten here: they are in doubt, and counted as such.

use std::collections::VecDeque;

use crate::telemetry::{Protocol, WorkerCounters};

/// The blocks that are not durable: the one being filled and those being committed, a few hundred bytes each.
#[derive(Default, Debug)]
pub(super) struct Pending(VecDeque<Block>);

#[derive(Debug)]
struct Block {
    sequence: u64,
    /// Rows and samples, by protocol.
    taken: [(u64, u64); Protocol::ALL.len()],
}

impl Pending {
    /// Rows went into the block of this sequence, the last one known or one above it.
    pub(super) fn take(
        &mut self,
        sequence: u64,
        protocol: Protocol,
        (rows, samples): (u64, u64),
        counters: &WorkerCounters,
    ) {
        if self.0.back().is_none_or(|block| block.sequence < sequence) {
            self.0.push_back(Block { sequence, taken: Default::default() });
        }
        let block = self.0.back_mut().expect("there is one now");
        block.taken[protocol as usize].0 += rows;
        block.taken[protocol as usize].1 += samples;
        counters.rows_pending.add(rows);
    }

    /// All blocks up to this sequence are durable.
    pub(super) fn durable(&mut self, upto: u64, counters: &WorkerCounters) {
        while let Some(block) = self.0.pop_front_if(|block| block.sequence <= upto) {
            for (protocol, (rows, samples)) in Protocol::ALL.into_iter().zip(block.taken) {
                if rows > 0 {
                    counters.count_rows(protocol, rows, samples);
                    counters.rows_pending.subtract(rows);
                }
            }
        }
    }

    /// All blocks from this sequence on have failed.
    pub(super) fn failed(&mut self, from: u64, counters: &WorkerCounters) {
        while let Some(block) = self.0.pop_back_if(|block| block.sequence >= from) {
            counters.rows_pending.subtract(block.taken.iter().map(|(rows, _)| rows).sum());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_accepted_when_their_block_is_durable_and_never_when_it_failed() {
        let (mut pending, counters) = (Pending::default(), WorkerCounters::default());
        let told = |counters: &WorkerCounters| {
            let accepted = |protocol| counters.rows_accepted[protocol as usize].value();
            (accepted(Protocol::Influx), accepted(Protocol::Scrape), counters.rows_pending.value())
        };
        for (sequence, protocol, rows) in [
            (1, Protocol::Influx, 1),
            (2, Protocol::Influx, 10),
            (2, Protocol::Scrape, 5),
            (2, Protocol::Influx, 20),
            (3, Protocol::Influx, 100),
            (4, Protocol::Influx, 1000),
        ] {
            pending.take(sequence, protocol, (rows, 2 * rows), &counters);
        }
        pending.durable(0, &counters);
        assert_eq!(told(&counters), (0, 0, 1136));
        pending.durable(2, &counters);
        assert_eq!(told(&counters), (31, 5, 1100));
        assert_eq!(counters.samples_accepted[Protocol::Influx as usize].value(), 62);
        pending.failed(3, &counters);
        assert_eq!(told(&counters), (31, 5, 0));
        // The highest of the sequences that failed is used again.
        pending.take(4, Protocol::Influx, (7, 7), &counters);
        pending.durable(4, &counters);
        assert_eq!(told(&counters), (38, 5, 0));
    }
}
