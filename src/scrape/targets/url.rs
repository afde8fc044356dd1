//! URLs of targets, spelled as Go's `net/url` spells them: the URL is part of what makes two targets the same, and is
//! shown beside Prometheus's.

use std::fmt::Write;

use crate::scrape::{LabelPairs, Scheme};

/// Path and query of a request: `path` as `__metrics_path__` has it, the query from the job's `params` with the first
/// value of each name replaced by `__param_<name>`.
pub(super) fn path_and_query(path: &str, params: &[(String, Vec<String>)], labels: &LabelPairs) -> String {
    let mut query: Vec<(&str, Vec<&str>)> = Vec::new();
    for (name, values) in params {
        query.push((name, values.iter().map(String::as_str).collect()));
    }
    for (name, value) in labels {
        let Some(name) = name.strip_prefix("__param_") else { continue };
        match query.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) if !values.is_empty() => values[0] = value,
            Some((_, values)) => values.push(value),
            None => query.push((name, vec![value])),
        }
    }
    query.sort_by(|a, b| a.0.cmp(b.0));
    let mut out = String::new();
    if !path.starts_with('/') {
        out.push('/');
    }
    escape(path, is_plain_in_path, &mut out);
    let mut separator = '?';
    for (name, values) in query {
        for value in values {
            out.push(separator);
            separator = '&';
            escape_query(name, &mut out);
            out.push('=');
            escape_query(value, &mut out);
        }
    }
    out
}

/// An address as it stands in a URL.
pub(super) fn host(address: &str) -> String {
    let mut out = String::with_capacity(address.len());
    escape(address, is_plain_in_host, &mut out);
    out
}

/// Host and port to connect to. An address without a port gets the scheme's; one that is no address stays as it is,
/// and fails when it is connected to.
pub(super) fn with_port(address: &str, scheme: Scheme) -> String {
    let port = match scheme {
        Scheme::Http => "80",
        Scheme::Https => "443",
    };
    let host_end = match address.strip_prefix('[') {
        Some(inside) => inside.find(']').map(|at| at + 2),
        None if address.matches(':').count() > 1 => None,
        None => Some(address.find(':').unwrap_or(address.len())),
    };
    match host_end.map(|end| &address[end..]) {
        Some("") => format!("{address}:{port}"),
        Some(":") => format!("{address}{port}"),
        _ => address.to_owned(),
    }
}

fn escape(text: &str, is_plain: fn(u8) -> bool, out: &mut String) {
    for byte in text.bytes() {
        if is_plain(byte) {
            out.push(char::from(byte));
        } else {
            _ = write!(out, "%{byte:02X}");
        }
    }
}

fn escape_query(text: &str, out: &mut String) {
    for (i, word) in text.split(' ').enumerate() {
        if i > 0 {
            out.push('+');
        }
        escape(word, is_unreserved, out);
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte)
}

fn is_plain_in_path(byte: u8) -> bool {
    is_unreserved(byte) || b"$&+,/:;=@".contains(&byte)
}

fn is_plain_in_host(byte: u8) -> bool {
    is_unreserved(byte) || b"!$&'()*+,;=:[]<>\"".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> LabelPairs {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn paths_and_queries_are_spelled_as_go_spells_them() {
        let params = [
            ("match[]".to_owned(), vec!["{job=\"a b\"}".to_owned(), "up".to_owned()]),
            ("a".to_owned(), vec!["1".to_owned()]),
            ("empty".to_owned(), Vec::new()),
        ];
        let labels = pairs(&[("__param_a", "x&y"), ("__param_b", "\u{e9}"), ("job", "j")]);
        assert_eq!(
            path_and_query("/metrics", &params, &labels),
            "/metrics?a=x%26y&b=%C3%A9&match%5B%5D=%7Bjob%3D%22a+b%22%7D&match%5B%5D=up"
        );
        assert_eq!(path_and_query("/a b?c", &[], &LabelPairs::new()), "/a%20b%3Fc");
        assert_eq!(path_and_query("federate", &[], &LabelPairs::new()), "/federate");
        assert_eq!(path_and_query("", &[], &LabelPairs::new()), "/");
    }

    #[test]
    fn hosts_are_spelled_as_prometheus_spells_them() {
        for (address, spelled) in [
            ("127.0.0.1:9", "127.0.0.1:9"),
            ("a b:1", "a%20b:1"),
            ("a\"<b:1", "a\"<b:1"),
            ("a%20b:1", "a%2520b:1"),
            ("a\\b:1", "a%5Cb:1"),
            ("\u{e9}:1", "%C3%A9:1"),
            ("a|b{}`%:1", "a%7Cb%7B%7D%60%25:1"),
            ("[fe80::1%eth0]:1", "[fe80::1%25eth0]:1"),
            ("a_b!$&()*+,;=~:1", "a_b!$&()*+,;=~:1"),
        ] {
            assert_eq!(host(address), spelled);
        }
    }

    #[test]
    fn a_missing_port_is_the_schemes() {
        for (address, http, https) in [
            ("a:9100", "a:9100", "a:9100"),
            ("a", "a:80", "a:443"),
            ("a:", "a:80", "a:443"),
            ("10.0.0.1", "10.0.0.1:80", "10.0.0.1:443"),
            ("[::1]", "[::1]:80", "[::1]:443"),
            ("[::1]:9100", "[::1]:9100", "[::1]:9100"),
            ("::1", "::1", "::1"),
            ("[::1", "[::1", "[::1"),
            ("[::1]x", "[::1]x", "[::1]x"),
        ] {
            assert_eq!(with_port(address, Scheme::Http), http);
            assert_eq!(with_port(address, Scheme::Https), https);
        }
    }
}
