//! The formats of rows, one target each.

use tidegate::model::WriteResult;
use tidegate::wire::exposition::{
    Faults, Format, GivenLabel, HistogramOptions, Options, Page, Push, PushOptions, RowBeside, ScrapeOptions,
    Scraper, SeriesKey, Syntax,
};
use tidegate::wire::influx::{Dialect, Precision};
use tidegate::wire::otlp::{Encoding, Signal};
use tidegate::wire::remote_write::Message;
use tidegate::wire::testing::{Row, Rows};
use tidegate::wire::vm_import::ExtraLabels;
use tidegate::wire::{
    Decode, collectd as posted, exposition as text, graphite as carbon, influx as lines, ndjson as json_lines,
};
use tidegate::wire::{opentsdb as tsdb, otlp, remote_write as write, vm_import as import};

use super::bodies::{checked, in_pieces, take};
use super::way::Way;

/// Of what has no time of its own.
const NOW_NS: i64 = 1_700_000_000_123_456_789;

/// Line protocol: flags choose dialect and precision, and whether the body comes twice, so that predictions come true.
/// With vector instructions and without them it is the same.
pub fn influx(data: &[u8]) {
    const TWICE: u8 = 0x80;
    let (way, body) = Way::read(data);
    let dialect = [Dialect::V1, Dialect::V2, Dialect::V3][usize::from(way.flags % 4) % 3];
    let precision = ["ns", "us", "ms", "s"][usize::from(way.flags >> 2) % 4];
    let precision = Precision::parse(dialect, precision).expect("every dialect has these");
    let twice = if way.has(TWICE) { [body, b"\n", body].concat() } else { body.to_vec() };
    let new = || lines::Decoder::new(dialect, precision, NOW_NS);
    let whole = in_pieces(new, &twice, way);
    whole.is_within_lines(&twice);
    let mut scalar = new();
    let without = take(&twice, way.ends(twice.len()), Some(way.room), |input, last, rows, result| {
        scalar.feed_scalar(input, last, rows, result)
    });
    assert_eq!(without, whole, "without vector instructions, and with them");
}

/// Graphite's plain text.
pub fn graphite(data: &[u8]) {
    let (way, body) = Way::read(data);
    in_pieces(|| carbon::Decoder::new(NOW_NS), body, way).is_within_lines(body);
}

/// Rows as `log cat` prints them.
pub fn ndjson(data: &[u8]) {
    let (way, body) = Way::read(data);
    in_pieces(json_lines::Decoder::new, body, way).is_within_lines(body);
}

/// VictoriaMetrics's import format, with and without labels that all series get.
pub fn vm_import(data: &[u8]) {
    const EXTRA: u8 = 1;
    let (way, body) = Way::read(data);
    let new = || {
        let mut extra = ExtraLabels::default();
        if way.has(EXTRA) {
            extra.push(b"job", b"import");
            extra.push(b"host", b"");
        }
        import::Decoder::new(extra)
    };
    in_pieces(new, body, way);
}

/// OpenTSDB: `put` lines, or JSON over HTTP.
pub fn opentsdb(data: &[u8]) {
    const JSON: u8 = 1;
    let (way, body) = Way::read(data);
    if way.has(JSON) {
        checked(tsdb::Decoder::new, body, way);
    } else {
        in_pieces(tsdb::Lines::new, body, way).is_within_lines(body);
    }
}

/// collectd's JSON: a flag says that counters are rates.
pub fn collectd(data: &[u8]) {
    const RATES: u8 = 1;
    let (way, body) = Way::read(data);
    let counters = if way.has(RATES) { posted::Counters::Rates } else { posted::Counters::AsSent };
    checked(|| posted::Decoder::new(counters, NOW_NS), body, way);
}

/// Remote write, 1.0 and 2.0, out of its snappy block.
pub fn remote_write(data: &[u8]) {
    const V2: u8 = 1;
    let (way, body) = Way::read(data);
    let message = if way.has(V2) { Message::V2 } else { Message::V1 };
    if let Some(taken) = checked(|| write::Decoder::new(message), body, way) {
        taken.side_records_add_up();
    }
}

/// OTLP in protobuf.
pub fn otlp_protobuf(data: &[u8]) {
    otlp(data, Encoding::Protobuf);
}

/// OTLP in JSON.
pub fn otlp_json(data: &[u8]) {
    otlp(data, Encoding::Json);
}

fn otlp(data: &[u8], encoding: Encoding) {
    const LOGS: u8 = 1;
    let (way, body) = Way::read(data);
    let signal = if way.has(LOGS) { Signal::Logs } else { Signal::Metrics };
    checked(|| otlp::Decoder::new(signal, encoding, NOW_NS), body, way);
}

/// The text formats of Prometheus: flags choose syntax, what a bad line costs, and labels that all series get.
pub fn exposition(data: &[u8]) {
    const OPEN_METRICS: u8 = 1;
    const BODY: u8 = 2;
    const GIVEN: u8 = 4;
    let (way, body) = Way::read(data);
    let options = Options {
        syntax: if way.has(OPEN_METRICS) { Syntax::OpenMetrics } else { Syntax::Text },
        faults: if way.has(BODY) { Faults::Body } else { Faults::Line },
        default_time_ns: NOW_NS,
        labels: if way.has(GIVEN) { given() } else { Vec::new() },
        keep_created: false,
    };
    let new = || text::Decoder::new(options.clone());
    if new().wants_whole() {
        checked(new, body, way);
    } else {
        in_pieces(new, body, way);
    }
}

/// A target that says one body after the other, each twice: what becomes of it is the same whatever it said before.
pub fn scrape(data: &[u8]) {
    const OPEN_METRICS: u8 = 1;
    const PROTOBUF: u8 = 2;
    const CONVERTS: u8 = 4;
    const TIMED: u8 = 8;
    // In no text, and behind no protobuf.
    const BETWEEN: [u8; 4] = [0xff; 4];
    let (way, input) = Way::read(data);
    let format = match (way.has(PROTOBUF), way.has(OPEN_METRICS)) {
        (true, _) => Format::Protobuf,
        (_, true) => Format::Lines(Syntax::OpenMetrics),
        _ => Format::Lines(Syntax::Text),
    };
    let options = ScrapeOptions {
        honor_timestamps: way.has(TIMED),
        histograms: HistogramOptions { convert_classic: way.has(CONVERTS), ..HistogramOptions::default() },
        ..ScrapeOptions::default()
    };
    let (mut scraper, mut page, mut rows) = (Scraper::new(), Page::new(), Rows::default());
    let mut rest = Some(input);
    while let Some(now) = rest {
        let end = now.windows(BETWEEN.len()).position(|bytes| bytes == BETWEEN);
        let (body, behind) = now.split_at(end.unwrap_or(now.len()));
        rest = end.map(|_| &behind[BETWEEN.len()..]);
        let alone =
            scraped(&mut Scraper::new(), &mut Page::new(), format, body, &options, &mut Rows::default());
        for _ in 0..2 {
            let along = scraped(&mut scraper, &mut page, format, body, &options, &mut rows);
            assert_eq!(along, alone, "along the page, and without one");
        }
    }
}

/// What a scrape brings that does not depend on earlier ones: its rows, but for stale markers, and how many samples it
/// had and kept; none if it fails.
fn scraped(
    scraper: &mut Scraper,
    page: &mut Page,
    format: Format,
    body: &[u8],
    options: &ScrapeOptions,
    rows: &mut Rows,
) -> Option<(u64, u64, Vec<Row>)> {
    let counts = scraper.read(page, format, body, NOW_NS, options, rows);
    rows.rows.clear();
    scraper.push(page, rows, &mut WriteResult::default()).expect("there is no bound");
    let counts = counts.ok()?;
    let taken = (counts.kept - counts.twice - counts.ahead - counts.refused) as usize;
    // Stale markers come behind.
    rows.rows.truncate(taken);
    Some((counts.scraped, counts.kept, rows.rows.drain(..).collect()))
}

/// A push to a group: the body's series, and rows beside them.
pub fn push(data: &[u8]) {
    const OPEN_METRICS: u8 = 1;
    const BESIDE: u8 = 2;
    let (way, body) = Way::read(data);
    let options = PushOptions {
        format: Format::Lines(if way.has(OPEN_METRICS) { Syntax::OpenMetrics } else { Syntax::Text }),
        time_ns: NOW_NS,
        group: given(),
    };
    let mut first = Push::new(options.clone());
    if first.check(body).is_err() {
        checked(|| Push::new(options.clone()), body, way);
        return;
    }
    // As if the group had had the same series before: each ends, and comes again.
    let beside = |SeriesKey { labels, .. }: &SeriesKey| RowBeside { labels: labels.clone(), value_bits: 7 };
    let beside: Vec<RowBeside> = first.series().iter().filter(|_| way.has(BESIDE)).map(beside).collect();
    let new = || {
        let mut push = Push::new(options.clone());
        push.settle(beside.clone());
        push
    };
    let taken = checked(new, body, way).expect("taken before");
    if first.is_refused() {
        assert_eq!(taken.result.accepted, 0, "all or nothing");
    }
}

fn given() -> Vec<GivenLabel> {
    vec![GivenLabel::new(b"job", b"fuzz"), GivenLabel::new(b"instance", b"")]
}
