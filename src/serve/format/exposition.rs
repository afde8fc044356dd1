//! `/api/v1/import/prometheus`: exposition text pushed line by line, as VictoriaMetrics and vmagent take it.
//!
//! 204 where every line is taken; else 400, the good lines taken and the bad ones named by number. The body is text
//! 0.0.4 unless its `Content-Type` says OpenMetrics, or protobuf, of which all is taken or nothing.

use crate::wire::exposition::{
    Decoder, Faults, Format as BodyFormat, GivenLabel, HistogramOptions, Options, ProtobufDecoder, Syntax,
};

use super::super::answer::Answer;
use super::{Format, Opened, Reading, Rows};
use crate::http::{Head, Query};

/// Reads the head of an import.
pub(super) fn open(head: &Head<'_>, wall_ns: i64) -> Result<Opened, Answer> {
    let format = Format::Exposition;
    let of_body = body_format(head).map_err(|error| format.refusal(415, error))?;
    let params = Params::parse(head.query, wall_ns).map_err(|error| format.refusal(400, &error))?;
    let encoding = format.encoding(head)?;
    let (reading, rows) = match of_body {
        BodyFormat::Lines(syntax) => {
            let decoder = Decoder::new(Options {
                syntax,
                faults: Faults::Line,
                default_time_ns: params.time_ns,
                labels: params.labels,
                keep_created: false,
            });
            let reading = if decoder.wants_whole() { Reading::Whole } else { Reading::Streamed };
            (reading, Rows::Exposition(Box::new(decoder)))
        }
        BodyFormat::Protobuf => {
            let decoder = ProtobufDecoder::new(HistogramOptions::default(), params.time_ns, params.labels);
            (Reading::Whole, Rows::ExpositionProtobuf(Box::new(decoder)))
        }
    };
    Ok(Opened { format, encoding, reading, rows })
}

/// The format of a body, by its content type: text, unless another one is named.
pub(super) fn body_format(head: &Head<'_>) -> Result<BodyFormat, &'static str> {
    let mut parts = head.headers.content_type.split(|&b| b == b';').map(<[u8]>::trim_ascii);
    let essence = parts.next().unwrap_or_default();
    if essence.eq_ignore_ascii_case(b"application/openmetrics-text") {
        return Ok(BodyFormat::Lines(Syntax::OpenMetrics));
    }
    if !essence.eq_ignore_ascii_case(b"application/vnd.google.protobuf") {
        return Ok(BodyFormat::Lines(Syntax::Text));
    }
    for part in parts {
        let at = part.iter().position(|&b| b == b'=').unwrap_or(part.len());
        let (name, value) = (part[..at].trim_ascii(), part.get(at + 1..).unwrap_or_default().trim_ascii());
        let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
        let is_other = name.eq_ignore_ascii_case(b"proto") && value != b"io.prometheus.client.MetricFamily"
            || name.eq_ignore_ascii_case(b"encoding") && value != b"delimited";
        if is_other {
            return Err(
                "of the protobuf formats only io.prometheus.client.MetricFamily, delimited, is supported",
            );
        }
    }
    Ok(BodyFormat::Protobuf)
}

/// What the query string says.
struct Params {
    labels: Vec<GivenLabel>,
    time_ns: i64,
}

impl Params {
    fn parse(query: &str, wall_ns: i64) -> Result<Params, String> {
        let mut params = Params { labels: Vec::new(), time_ns: wall_ns };
        for pair in Query::new(query) {
            let (name, value) = pair.map_err(|e| e.to_string())?;
            match &*name {
                "extra_label" => match value.split_once('=') {
                    Some((label, value)) if !label.is_empty() => {
                        // Of two for one name the later one counts.
                        params.labels.retain(|known| *known.name != *label.as_bytes());
                        params.labels.push(GivenLabel::new(label.as_bytes(), value.as_bytes()));
                    }
                    _ => return Err(format!("extra_label is name=value, not {value:?}")),
                },
                "timestamp" => {
                    let millis = value.parse::<i64>().ok().and_then(|ms| ms.checked_mul(NANOS_PER_MILLI));
                    params.time_ns =
                        millis.ok_or_else(|| format!("timestamp is milliseconds, not {value:?}"))?;
                }
                _ => {}
            }
        }
        Ok(params)
    }
}

const NANOS_PER_MILLI: i64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Result<(Vec<(String, String)>, i64), String> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let params = Params::parse(query, 7)?;
        Ok((params.labels.iter().map(|l| (text(&l.name), text(&l.value))).collect(), params.time_ns))
    }

    #[test]
    fn labels_and_a_time_come_by_the_query() {
        let pair = |n: &str, v: &str| (n.to_owned(), v.to_owned());
        assert_eq!(params("").unwrap(), (vec![], 7));
        assert_eq!(
            params("extra_label=a=b%3Dc&timestamp=12&extra_label=d=&x=y&extra_label=a%3De").unwrap(),
            (vec![pair("d", ""), pair("a", "e")], 12_000_000)
        );
        for bad in ["extra_label=a", "extra_label==b", "timestamp=x", "timestamp=", "timestamp=9223372036855"]
        {
            assert!(params(bad).is_err(), "{bad}");
        }
    }
}
