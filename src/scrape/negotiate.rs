//! Which format a target is asked for, and which one its answer is in: as Prometheus asks and understands.

use crate::wire::exposition::{Format, Syntax};

use super::job::{Job, NameEscaping, ScrapeProtocol};

/// The `Accept` header of a job's requests: the first protocol weighs most, and anything is taken.
pub fn accept(job: &Job) -> String {
    let mut header = String::new();
    let mut weight = PROTOCOLS + 1;
    for protocol in &job.protocols {
        header += match protocol {
            ScrapeProtocol::PrometheusProto => {
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
            }
            ScrapeProtocol::PrometheusText0_0_4 => "text/plain;version=0.0.4",
            ScrapeProtocol::PrometheusText1_0_0 => "text/plain;version=1.0.0",
            ScrapeProtocol::OpenMetricsText0_0_1 => "application/openmetrics-text;version=0.0.1",
            ScrapeProtocol::OpenMetricsText1_0_0 => "application/openmetrics-text;version=1.0.0",
        };
        // Older versions of the formats know nothing of it.
        if matches!(protocol, ScrapeProtocol::PrometheusText1_0_0 | ScrapeProtocol::OpenMetricsText1_0_0) {
            header += ";escaping=";
            header += escaping(job.escaping);
        }
        header += &format!(";q=0.{weight},");
        weight -= 1;
    }
    header + &format!("*/*;q=0.{weight}")
}

fn escaping(escaping: NameEscaping) -> &'static str {
    match escaping {
        NameEscaping::AllowUtf8 => "allow-utf-8",
        NameEscaping::Underscores => "underscores",
        NameEscaping::Dots => "dots",
        NameEscaping::Values => "values",
    }
}

/// The format of an answer with this `Content-Type`, or the fallback's if that says none.
///
/// # Errors
/// Why the answer cannot be read.
pub fn format(content_type: &str, fallback: Option<ScrapeProtocol>) -> Result<Format, String> {
    let no_fallback = "no fallback_scrape_protocol specified for target";
    let error = match media_type(content_type) {
        _ if content_type.is_empty() => {
            format!("non-compliant scrape target sending blank Content-Type and {no_fallback}")
        }
        None => format!("cannot parse Content-Type {content_type:?} and {no_fallback}"),
        Some((media_type, version)) => match &*media_type {
            // Prometheus knows it behind a feature flag alone: whole histograms stand in its lines.
            "application/openmetrics-text" if version == OPEN_METRICS_2 => {
                format!("OpenMetrics 2.0 (Content-Type {content_type:?}) is not supported and {no_fallback}")
            }
            "application/openmetrics-text" => return Ok(Format::Lines(Syntax::OpenMetrics)),
            "application/vnd.google.protobuf" => return Ok(Format::Protobuf),
            "text/plain" => return Ok(Format::Lines(Syntax::Text)),
            _ => format!("received unsupported Content-Type {content_type:?} and {no_fallback}"),
        },
    };
    match fallback {
        Some(ScrapeProtocol::PrometheusProto) => Ok(Format::Protobuf),
        Some(ScrapeProtocol::PrometheusText0_0_4 | ScrapeProtocol::PrometheusText1_0_0) => {
            Ok(Format::Lines(Syntax::Text))
        }
        Some(ScrapeProtocol::OpenMetricsText0_0_1 | ScrapeProtocol::OpenMetricsText1_0_0) => {
            Ok(Format::Lines(Syntax::OpenMetrics))
        }
        None => Err(error),
    }
}

/// The type of a media type with well-formed parameters, in small letters, and its version or nothing.
fn media_type(text: &str) -> Option<(String, String)> {
    let (media_type, mut rest) = text.split_once(';').map_or((text, ""), |(essence, rest)| (essence, rest));
    let media_type = media_type.trim().to_ascii_lowercase();
    let (kind, subtype) = media_type.split_once('/').unwrap_or((&media_type, "x"));
    if !is_token(kind) || !is_token(subtype) {
        return None;
    }
    let (mut names, mut version) = (Vec::new(), String::new());
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Some((media_type, version));
        }
        let (name, behind) = rest.split_once('=')?;
        let name = name.trim().to_ascii_lowercase();
        if !is_token(&name) || names.contains(&name) {
            return None;
        }
        let value = behind.trim_start();
        rest = parameter_end(value)?;
        if name == "version" {
            let value = &value[..value.len() - rest.len()];
            version = value.chars().filter(|c| !matches!(c, '"' | '\\')).collect();
        }
        names.push(name);
        rest = rest.trim_start();
        rest = match rest.strip_prefix(';') {
            Some(next) => next,
            None if rest.is_empty() => rest,
            None => return None,
        };
    }
}

/// What stands behind a parameter's value, a word or quoted.
fn parameter_end(text: &str) -> Option<&str> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| !is_token_letter(c)).unwrap_or(text.len());
        return (end > 0).then(|| &text[end..]);
    };
    let mut escaped = false;
    let end = quoted.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    Some(&quoted[end + 1..])
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_token_letter)
}

fn is_token_letter(c: char) -> bool {
    c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?=".contains(c)
}

/// How many protocols there are: the first one's weight is above all.
const PROTOCOLS: usize = 5;

/// A version of OpenMetrics that is not read: as another one it would be half understood.
const OPEN_METRICS_2: &str = "2.0.0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_in_the_format_that_it_says_or_in_the_fallbacks() {
        let (text, open, proto) =
            (Format::Lines(Syntax::Text), Format::Lines(Syntax::OpenMetrics), Format::Protobuf);
        for (content_type, expected) in [
            ("text/plain", text),
            ("text/plain; version=0.0.4; charset=utf-8", text),
            ("TEXT/Plain;version=1.0.0;escaping=allow-utf-8", text),
            ("text/plain;", text),
            ("text/plain; charset=\"a;b\\\"c\"", text),
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", open),
            ("application/openmetrics-text; version=\"0.0.1\"", open),
            ("text/plain; version=2.0.0", text),
            (
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
                proto,
            ),
        ] {
            assert_eq!(format(content_type, None), Ok(expected), "{content_type}");
        }
        for (content_type, expected) in [
            ("", "blank Content-Type"),
            ("text/html", "unsupported Content-Type"),
            ("application/openmetrics-text; version=2.0.0; charset=utf-8", "OpenMetrics 2.0 (Content-Type "),
            ("Application/OpenMetrics-Text;charset=utf-8;Version=\"2.0.0\"", "is not supported"),
            ("text/plain/x", "cannot parse"),
            ("text/plain; version", "cannot parse"),
            ("text/plain; a=1; a=2", "cannot parse"),
            ("text/plain; a=\"1", "cannot parse"),
            ("text /plain", "cannot parse"),
        ] {
            let error = format(content_type, None).unwrap_err();
            assert!(error.contains(expected), "{content_type}: {error}");
            assert_eq!(format(content_type, Some(ScrapeProtocol::PrometheusProto)), Ok(proto));
            assert_eq!(format(content_type, Some(ScrapeProtocol::PrometheusText1_0_0)), Ok(text));
            assert_eq!(format(content_type, Some(ScrapeProtocol::OpenMetricsText0_0_1)), Ok(open));
        }
    }

    #[test]
    fn what_is_asked_for_first_weighs_most() {
        let mut job = super::super::labels::tests::job();
        job.protocols = vec![
            ScrapeProtocol::OpenMetricsText1_0_0,
            ScrapeProtocol::OpenMetricsText0_0_1,
            ScrapeProtocol::PrometheusText1_0_0,
            ScrapeProtocol::PrometheusText0_0_4,
        ];
        assert_eq!(
            accept(&job),
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
             application/openmetrics-text;version=0.0.1;q=0.5,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
        );
        job.protocols = vec![ScrapeProtocol::PrometheusProto, ScrapeProtocol::PrometheusText1_0_0];
        job.escaping = NameEscaping::Underscores;
        assert_eq!(
            accept(&job),
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
             text/plain;version=1.0.0;escaping=underscores;q=0.5,*/*;q=0.4"
        );
    }
}
