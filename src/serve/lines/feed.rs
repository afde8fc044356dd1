//! From bytes to rows: the decoder of a stream, and where its rows go.

use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;
use std::sync::Arc;

use crate::engine::{Worker, random_u64};
use crate::ingest::{Stream, Writer};
use crate::model::{Rewrite, WriteResult};
use crate::telemetry::Protocol;
use crate::wire::influx::Dialect;
use crate::wire::{Decode, FedState, graphite, influx, opentsdb, statsd};

use super::super::door::Context;
use super::options::LineProtocol;

/// The way of one connection's rows, or of all datagrams of a socket, into the engine.
#[derive(Debug)]
pub(super) struct Lane {
    stream: Stream,
    protocol: Protocol,
    /// `None`: rows are taken as they are.
    context: Option<Arc<Context>>,
}

/// The decoder of one connection, or of all datagrams of a socket.
#[derive(Debug)]
pub(super) enum LineDecoder {
    Graphite(graphite::Decoder),
    Influx(Box<influx::Decoder>),
    OpenTsdb(opentsdb::Lines),
    Statsd(statsd::Decoder),
}

/// The sums of a StatsD listener.
#[derive(Debug)]
pub(super) struct Sums {
    pub(super) parser: statsd::Parser,
    pub(super) aggregates: statsd::Aggregates,
    pub(super) lane: Lane,
    pub(super) interval_ns: u64,
    pub(super) next_flush_ns: u64,
}

/// Who sent bytes, where the transport says so.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::serve) struct Sender(pub(in crate::serve) Option<IpAddr>);

impl Display for Sender {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |address| address.to_canonical().fmt(f))
    }
}

/// How much of its input a feed has used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    pub(super) bytes: usize,
    /// The engine has no room: the rest is to be fed when it has.
    pub(super) full: bool,
}

impl Lane {
    pub(super) fn new(protocol: &LineProtocol, context: Option<Arc<Context>>) -> Lane {
        let id = context.as_ref().map_or(protocol.context(), |context| context.id);
        Lane { stream: Stream::new(id), protocol: protocol.label(), context }
    }

    fn writer<'a>(&'a mut self, engine: &'a mut Worker) -> Writer<'a> {
        let rewrite = self.context.as_deref().map(|context| context as &dyn Rewrite);
        engine.writer(&mut self.stream).rewriting(rewrite)
    }

    /// Tells the engine of rows that it was given since the result was `before`, rows and values.
    fn count_taken(&self, engine: &mut Worker, before: (u64, u64), result: &WriteResult) {
        engine.count_rows(self.protocol, result.accepted - before.0, result.samples - before.1);
    }
}

impl LineDecoder {
    /// The decoder of a connection on a path, where DogStatsD's clients send packets.
    pub(super) fn on_path(protocol: &LineProtocol) -> LineDecoder {
        match protocol {
            LineProtocol::Statsd(_) => LineDecoder::Statsd(statsd::Decoder::of_either()),
            _ => LineDecoder::new(protocol),
        }
    }

    pub(super) fn new(protocol: &LineProtocol) -> LineDecoder {
        match protocol {
            LineProtocol::Graphite => LineDecoder::Graphite(graphite::Decoder::new(0)),
            LineProtocol::Influx(precision) => {
                LineDecoder::Influx(Box::new(influx::Decoder::new(Dialect::V1, *precision, 0)))
            }
            LineProtocol::OpenTsdb => LineDecoder::OpenTsdb(opentsdb::Lines::new()),
            LineProtocol::Statsd(_) => LineDecoder::Statsd(statsd::Decoder::default()),
        }
    }

    /// Answers to what was asked, where faults are answered, too.
    pub(super) fn answers(&mut self) -> Option<Vec<u8>> {
        match self {
            LineDecoder::OpenTsdb(decoder) => Some(decoder.answers()),
            _ => None,
        }
    }

    /// Whether nothing can come of the connection any more, or is to.
    pub(super) fn is_over(&self) -> bool {
        match self {
            LineDecoder::OpenTsdb(decoder) => decoder.is_over(),
            LineDecoder::Statsd(decoder) => decoder.is_lost(),
            LineDecoder::Graphite(_) | LineDecoder::Influx(_) => false,
        }
    }

    /// Decodes what it can of `input`, which came just now from `sender`.
    #[allow(clippy::too_many_arguments, reason = "each is another's, and none goes with another")]
    pub(super) fn feed(
        &mut self,
        input: &[u8],
        last: bool,
        sums: Option<&mut Sums>,
        sender: Sender,
        engine: &mut Worker,
        lane: &mut Lane,
        result: &mut WriteResult,
    ) -> Used {
        let now_ns = engine.wall_ns();
        match self {
            LineDecoder::Graphite(decoder) => {
                decoder.set_now(now_ns);
                feed_rows(decoder, input, last, engine, lane, result)
            }
            LineDecoder::Influx(decoder) => {
                decoder.set_default_time(now_ns);
                feed_rows(&mut **decoder, input, last, engine, lane, result)
            }
            LineDecoder::OpenTsdb(decoder) => feed_rows(decoder, input, last, engine, lane, result),
            LineDecoder::Statsd(decoder) => {
                let sums = sums.expect("a listener of StatsD has sums");
                let Sums { parser, aggregates, .. } = sums;
                let to = &mut statsd::Feed { parser, aggregates, sender: &sender, now_ns };
                let bytes = decoder.feed(input, last, to, result).consumed;
                Used { bytes, full: !sums.write(engine, result) }
            }
        }
    }
}

fn feed_rows<D: Decode>(
    decoder: &mut D,
    input: &[u8],
    last: bool,
    engine: &mut Worker,
    lane: &mut Lane,
    result: &mut WriteResult,
) -> Used {
    let mut bytes = 0;
    loop {
        let before = (result.accepted, result.samples);
        let fed = decoder.feed(&input[bytes..], last, &mut lane.writer(engine), result);
        lane.count_taken(engine, before, result);
        bytes += fed.consumed;
        match fed.state {
            FedState::NeedMore | FedState::Done => return Used { bytes, full: false },
            FedState::Full if engine.make_room() => {}
            FedState::Full => return Used { bytes, full: true },
        }
    }
}

impl Sums {
    /// The sums of a listener that begins now, if its protocol has any.
    pub(super) fn new(protocol: &LineProtocol, context: Option<Arc<Context>>) -> Option<Sums> {
        let LineProtocol::Statsd(options) = protocol else { return None };
        let interval_ns = options.flush_interval_ns.max(1);
        let gauge_flushes = options.gauge_expiry_ns.div_ceil(interval_ns);
        Some(Sums {
            parser: statsd::Parser::new(options.tags),
            aggregates: statsd::Aggregates::new(statsd::Options {
                series_max: options.series_max,
                percentiles: options.percentiles.clone(),
                gauge_flushes_max: u32::try_from(gauge_flushes).unwrap_or(u32::MAX),
                seed: random_u64(),
            }),
            lane: Lane::new(protocol, context),
            interval_ns,
            next_flush_ns: 0,
        })
    }

    /// Ends the interval if it is over. Of intervals that were missed one row is enough: flushes keep their beat.
    pub(super) fn flush_if_due(&mut self, monotonic_ns: u64, wall_ns: impl FnOnce() -> i64) {
        if self.next_flush_ns == 0 {
            self.next_flush_ns = monotonic_ns + self.interval_ns;
        }
        if let Some(late_ns) = monotonic_ns.checked_sub(self.next_flush_ns) {
            self.aggregates.flush(wall_ns());
            self.next_flush_ns += (late_ns / self.interval_ns + 1) * self.interval_ns;
        }
    }

    /// Writes the rows that are to be written. `false`: the engine has no room for the rest.
    pub(super) fn write(&mut self, engine: &mut Worker, result: &mut WriteResult) -> bool {
        while self.aggregates.has_rows() {
            let before = (result.accepted, result.samples);
            let written = self.aggregates.write(&mut self.lane.writer(engine), result);
            self.lane.count_taken(engine, before, result);
            if written.is_err() && !engine.make_room() {
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::StatsdOptions;
    use super::*;
    use crate::wire::statsd::TagStyles;
    use crate::wire::testing::Rows;

    const S: u64 = 1_000_000_000;

    fn sums() -> Sums {
        let options = StatsdOptions {
            flush_interval_ns: 10 * S,
            series_max: 10,
            percentiles: Vec::new(),
            gauge_expiry_ns: 25 * S,
            tags: TagStyles::All,
        };
        Sums::new(&LineProtocol::Statsd(options), None).unwrap()
    }

    /// Looks at the sums at this second of a clock that counts from 1,000,000 on the wall; the rows' times and values.
    fn at(sums: &mut Sums, second: u64) -> Vec<(i64, String)> {
        let (mut rows, mut result) = (Rows::default(), WriteResult::default());
        sums.flush_if_due(second * S, || (second + 1_000_000) as i64);
        sums.aggregates.write(&mut rows, &mut result).unwrap();
        rows.rows.iter().map(|row| (row.time_ns, format!("{:?}", row.fields[0].1))).collect()
    }

    fn take(sums: &mut Sums, lines: &str) {
        let Sums { parser, aggregates, .. } = sums;
        let to = &mut statsd::Feed { parser, aggregates, sender: &"", now_ns: 0 };
        statsd::Decoder::default().feed(lines.as_bytes(), true, to, &mut WriteResult::default());
    }

    #[test]
    fn flushes_keep_their_beat_and_missed_ones_are_one() {
        let mut sums = sums();
        let value = |value: f64| format!("F64({})", value.to_bits());
        assert_eq!(at(&mut sums, 7), []);
        take(&mut sums, "a:1|c");
        assert_eq!(at(&mut sums, 16), []);
        take(&mut sums, "a:2|c");
        assert_eq!(at(&mut sums, 17), [(1_000_017, value(3.0))]);
        take(&mut sums, "a:4|c");
        // Two and a half intervals later: one flush, and the next one where it would have been.
        assert_eq!(at(&mut sums, 42), [(1_000_042, value(4.0))]);
        take(&mut sums, "a:5|c");
        assert_eq!(at(&mut sums, 46), []);
        assert_eq!(at(&mut sums, 47), [(1_000_047, value(5.0))]);
    }

    #[test]
    fn a_gauge_expires_by_time() {
        let mut sums = sums();
        at(&mut sums, 1);
        take(&mut sums, "g:1|g");
        let written: Vec<usize> = (1..8).map(|flush| at(&mut sums, 1 + 10 * flush).len()).collect();
        // At the flush of its interval, and at those within 25 s, rounded up to intervals.
        assert_eq!(written, [1, 1, 1, 1, 0, 0, 0]);
    }
}
