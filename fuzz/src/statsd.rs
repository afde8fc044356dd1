//! StatsD: samples are added up, and become rows at a flush.

use tidegate::model::WriteResult;
use tidegate::wire::FedState;
use tidegate::wire::statsd::{Aggregates, Decoder, Feed, Options, Parser, TagStyles};
use tidegate::wire::testing::{Row, Rows};

use super::way::Way;

const NOW_NS: i64 = 1_700_000_000_123_456_789;

/// Lines, then two flushes: the same rows and faults however the lines were cut and wherever there was no room.
pub fn statsd(data: &[u8]) {
    let (way, body) = Way::read(data);
    let whole = flushed(body, [body.len()].into_iter(), None, way);
    assert_eq!(flushed(body, way.ends(body.len()), Some(way.room), way), whole);
}

fn flushed(
    body: &[u8],
    ends: impl Iterator<Item = usize>,
    room: Option<usize>,
    way: Way,
) -> (Vec<Row>, WriteResult, usize) {
    const PLAIN: u8 = 1;
    const FEW_SERIES: u8 = 2;
    const EITHER: u8 = 4;
    let mut parser = Parser::new(if way.has(PLAIN) { TagStyles::Plain } else { TagStyles::All });
    let series_max = if way.has(FEW_SERIES) { 2 } else { 1000 };
    let mut aggregates = Aggregates::new(Options { series_max, gauge_flushes_max: 1, ..Options::default() });
    let mut decoder = if way.has(EITHER) { Decoder::of_either() } else { Decoder::default() };
    let (mut result, mut at) = (WriteResult::default(), 0);
    for end in ends {
        let mut feed =
            Feed { parser: &mut parser, aggregates: &mut aggregates, sender: &"10.0.0.1", now_ns: NOW_NS };
        let last = end == body.len();
        let fed = decoder.feed(&body[at..end], last, &mut feed, &mut result);
        at += fed.consumed;
        assert_eq!(fed.state, if last { FedState::Done } else { FedState::NeedMore });
    }
    assert_eq!(at, body.len(), "bytes are left over");
    let series = aggregates.series();
    assert!(series <= series_max);
    let mut rows = Rows::default();
    rows.room = room;
    for flush in 0..2 {
        aggregates.flush(NOW_NS + flush);
        while aggregates.write(&mut rows, &mut result).is_err() {
            rows.room = room;
        }
        assert!(!aggregates.has_rows());
    }
    assert_eq!(result.accepted, rows.rows.len() as u64);
    (rows.rows, result, series)
}
