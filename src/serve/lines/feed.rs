//! From bytes to rows: the decoder of a stream, and where its rows go.

use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;

use crate::engine::Worker;
use crate::ingest::Stream;
use crate::model::WriteResult;
use crate::wire::influx::Dialect;
use crate::wire::{Decode, FedState, graphite, influx, statsd};

use super::options::LineProtocol;

/// The decoder of one connection, or of all datagrams of a socket.
#[derive(Debug)]
pub(super) enum LineDecoder {
    Graphite(graphite::Decoder),
    Influx(Box<influx::Decoder>),
    Statsd(statsd::Decoder),
}

/// The sums of a StatsD listener.
#[derive(Debug)]
pub(super) struct Sums {
    pub(super) parser: statsd::Parser,
    pub(super) aggregates: statsd::Aggregates,
    pub(super) stream: Stream,
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

impl LineDecoder {
    pub(super) fn new(protocol: &LineProtocol) -> LineDecoder {
        match protocol {
            LineProtocol::Graphite => LineDecoder::Graphite(graphite::Decoder::new(0)),
            LineProtocol::Influx(precision) => {
                LineDecoder::Influx(Box::new(influx::Decoder::new(Dialect::V1, *precision, 0)))
            }
            LineProtocol::Statsd(_) => LineDecoder::Statsd(statsd::Decoder::default()),
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
        stream: &mut Stream,
        result: &mut WriteResult,
    ) -> Used {
        let now_ns = engine.wall_ns();
        match self {
            LineDecoder::Graphite(decoder) => {
                decoder.set_now(now_ns);
                feed_rows(decoder, input, last, engine, stream, result)
            }
            LineDecoder::Influx(decoder) => {
                decoder.set_default_time(now_ns);
                feed_rows(&mut **decoder, input, last, engine, stream, result)
            }
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
    stream: &mut Stream,
    result: &mut WriteResult,
) -> Used {
    let mut bytes = 0;
    loop {
        let fed = decoder.feed(&input[bytes..], last, &mut engine.writer(stream), result);
        bytes += fed.consumed;
        match fed.state {
            FedState::NeedMore | FedState::Done => return Used { bytes, full: false },
            FedState::Full if engine.make_room() => {}
            FedState::Full => return Used { bytes, full: true },
        }
    }
}

impl Sums {
    /// Writes the rows that are to be written. `false`: the engine has no room for the rest.
    pub(super) fn write(&mut self, engine: &mut Worker, result: &mut WriteResult) -> bool {
        while self.aggregates.has_rows() {
            let mut writer = engine.writer(&mut self.stream);
            if self.aggregates.write(&mut writer, result).is_err() && !engine.make_room() {
                return false;
            }
        }
        true
    }
}
