//! Every label case of the shared remote write corpora, in both messages.
//!
//! Labels are good or not as Prometheus says; a case without a metric's name is one of another rule, and gets one. The
//! cases that are HTTP requests are tried on the server.

use serde_json::Value as Json;
use tidegate::model::WriteResult;
use tidegate::wire::remote_write::{Decoder, Message};
use tidegate::wire::testing::Rows;
use tidegate::wire::{Decode, FedState};

use super::kit::{compare, judge_all};

#[test]
fn every_label_case_of_the_corpora() {
    judge_all("remote_write", &["prometheus_validate_labels"], 6, |_, case| {
        let labels = case["input"].as_array().unwrap().iter();
        let labels: Vec<_> = labels.map(|l| (text_of(&l[0]), text_of(&l[1]))).collect();
        [Message::V1, Message::V2].iter().try_for_each(|&message| judge(case, message, &labels))
    });
}

fn judge(case: &Json, message: Message, labels: &[(Vec<u8>, Vec<u8>)]) -> Result<(), String> {
    let (rows, result) = decode(message, labels);
    let good = case["expect"] == "ok";
    if good != (result.rejected == 0) || rows.rows.len() != usize::from(good) {
        return Err(format!("{message:?}: {:?}", result.errors));
    }
    let Some(row) = rows.rows.first() else { return Ok(()) };
    let mut expected = labels.to_vec();
    expected.sort();
    let found = row.labels.iter().map(|(n, v)| (n.clone().into_bytes(), v.clone().into_bytes()));
    compare(&expected, &found.collect())
}

/// One sample of a series with these labels, decoded.
fn decode(message: Message, labels: &[(Vec<u8>, Vec<u8>)]) -> (Rows, WriteResult) {
    let (mut symbols, mut references, mut series) = (bytes(4, b""), Vec::new(), Vec::new());
    for (name, value) in labels {
        references.extend([references.len() as u8 + 1, references.len() as u8 + 2]);
        symbols.extend([bytes(4, name), bytes(4, value)].concat());
        series.extend(bytes(1, &[bytes(1, name), bytes(2, value)].concat()));
    }
    let sample = bytes(2, b"\x09\0\0\0\0\0\0\xf0\x3f\x10\x01");
    let body = match message {
        Message::V1 => bytes(1, &[series, sample].concat()),
        Message::V2 => [symbols, bytes(5, &[bytes(1, &references), sample].concat())].concat(),
    };
    let (mut rows, mut result) = (Rows::default(), WriteResult::default());
    let mut decoder = Decoder::new(message);
    decoder.check(&body).unwrap();
    assert_eq!(decoder.feed(&body, true, &mut rows, &mut result).state, FedState::Done);
    (rows, result)
}

fn bytes(field: u8, content: &[u8]) -> Vec<u8> {
    assert!(content.len() < 0x80);
    [&[field << 3 | 2, content.len() as u8], content].concat()
}

/// A string, or base64 of bytes.
fn text_of(json: &Json) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    if let Some(text) = json.as_str() {
        return text.as_bytes().to_vec();
    }
    let (mut out, mut bits, mut count) = (Vec::new(), 0u32, 0);
    for byte in json["b64"].as_str().unwrap().bytes().filter(|&b| b != b'=') {
        bits = bits << 6 | ALPHABET.iter().position(|&a| a == byte).unwrap() as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out
}
