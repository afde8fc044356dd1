//! What rows are made of requests; and that encodings, full intakes and hostile bytes make no difference to them.

mod faults;
mod generated;
mod rows;
mod stingy;

use crate::model::WriteResult;
use crate::wire::testing::{ExemplarSeen, MetadataSeen, Row, Rows};
use crate::wire::{Decode, FedState, Malformed};

use super::{Decoder, Encoding, Signal};

const NOW_NS: i64 = 1_700_000_000_000_000_000;

/// All that a request comes to.
#[derive(PartialEq, Debug)]
struct Decoded {
    rows: Vec<Row>,
    exemplars: Vec<ExemplarSeen>,
    metadata: Vec<MetadataSeen>,
    result: WriteResult,
}

fn decode(signal: Signal, encoding: Encoding, body: &[u8]) -> Result<Decoded, Malformed> {
    let mut decoder = Decoder::new(signal, encoding, NOW_NS);
    decoder.check(body)?;
    let (mut rows, mut result) = (Rows::default(), WriteResult::default());
    let fed = decoder.feed(body, true, &mut rows, &mut result);
    assert_eq!((fed.consumed, fed.state), (body.len(), FedState::Done));
    assert_eq!(result.accepted, rows.rows.len() as u64);
    assert_eq!(result.samples, rows.rows.iter().map(|row| row.fields.len() as u64).sum::<u64>());
    Ok(Decoded { rows: rows.rows, exemplars: rows.exemplars, metadata: rows.metadata, result })
}
