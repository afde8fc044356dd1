//! Remote write bodies, as Prometheus's sender writes them: a sample a series, five labels.

use tidegate::bytes::write_varint;
use tidegate::wire::remote_write::Message;

use super::{Class, Format, Order, Random};

pub(super) fn classes() -> Vec<Class> {
    let mut classes = Vec::new();
    for (message, names) in [
        (
            Message::V1,
            ["remote write 1.0", "remote write 1.0, not predicted", "remote write 1.0, new series"],
        ),
        (
            Message::V2,
            ["remote write 2.0", "remote write 2.0, not predicted", "remote write 2.0, new series"],
        ),
    ] {
        for (name, order) in names.into_iter().zip([Order::Predicted, Order::Random, Order::New]) {
            classes.push(class(name, message, order));
        }
    }
    classes
}

fn class(name: &'static str, message: Message, order: Order) -> Class {
    let mut random = Random(10);
    let (mut symbols, mut series, mut words) = (Symbols::default(), Vec::new(), Vec::new());
    symbols.number("");
    for one in 0..SERIES {
        let labels = [
            ("__name__", format!("node_network_receive_bytes_total_{}", one / 64 % 16)),
            ("cluster", "eu-1".to_owned()),
            ("device", format!("dev{}", one % 16)),
            ("instance", format!("10.0.{}.{}:9100", one / 256, one % 256)),
            ("job", "node".to_owned()),
        ];
        let value = random.next() as f64 / u64::MAX as f64 * 100.0;
        let time_ms = 1_700_000_000_000 + one as u64 / 1_000;
        words.extend([time_ms * 1_000_000, value.to_bits()]);
        let mut parts = Vec::new();
        match message {
            Message::V1 => labels.iter().for_each(|(name, value)| {
                bytes(&mut parts, 1, &[sized(1, name.as_bytes()), sized(2, value.as_bytes())].concat());
            }),
            Message::V2 => {
                let mut references = Vec::new();
                for text in labels.iter().flat_map(|(name, value)| [*name, value.as_str()]) {
                    write_varint(&mut references, symbols.number(text));
                }
                bytes(&mut parts, 1, &references);
            }
        }
        let mut sample = vec![1 << 3 | 1];
        sample.extend_from_slice(&value.to_bits().to_le_bytes());
        sample.push(2 << 3);
        write_varint(&mut sample, time_ms);
        bytes(&mut parts, 2, &sample);
        if message == Message::V2 {
            let mut metadata = vec![1 << 3, 1, 3 << 3];
            write_varint(&mut metadata, symbols.number("What is received by a device of the network."));
            bytes(&mut parts, 5, &metadata);
        }
        bytes(&mut series, if message == Message::V1 { 1 } else { 5 }, &parts);
    }
    let body = if message == Message::V1 { series } else { [symbols.written, series].concat() };
    let piece_bytes = body.len();
    Class { name, body, lines: SERIES, words, piece_bytes, order, format: Format::RemoteWrite(message) }
}

#[derive(Default)]
struct Symbols {
    numbers: std::collections::HashMap<String, u64>,
    written: Vec<u8>,
}

impl Symbols {
    fn number(&mut self, text: &str) -> u64 {
        let next = self.numbers.len() as u64;
        let number = *self.numbers.entry(text.to_owned()).or_insert(next);
        if number == next {
            bytes(&mut self.written, 4, text.as_bytes());
        }
        number
    }
}

fn sized(field: u64, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    bytes(&mut out, field, content);
    out
}

fn bytes(out: &mut Vec<u8>, field: u64, content: &[u8]) {
    write_varint(out, field << 3 | 2);
    write_varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

/// A request of Prometheus's sender has at most 2,000.
const SERIES: usize = 2_000;
