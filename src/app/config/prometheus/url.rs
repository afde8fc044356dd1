//! URLs, as far as a configuration is checked: what Go's `net/url` would refuse is refused.

/// The parts of a URL that are asked about.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url<'a> {
    /// In lower case; empty where there is none.
    pub(super) scheme: String,
    /// Host and port, without who asks.
    pub(super) host: &'a str,
}

/// Takes a URL apart.
///
/// # Errors
/// What is wrong with it, without its text: there may be a password in it.
pub(super) fn parse(text: &str) -> Result<Url<'_>, &'static str> {
    if text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
        return Err("invalid control character in URL");
    }
    let text = text.split('#').next().unwrap_or_default();
    let (scheme, rest) = scheme(text)?;
    let Some(rest) = rest.strip_prefix("//") else {
        let path = rest.split('?').next().unwrap_or_default();
        let first = path.split('/').next().unwrap_or_default();
        if scheme.is_empty() && first.contains(':') {
            return Err("first path segment in URL cannot contain colon");
        }
        // With a scheme and no slash it is opaque, and nothing more is asked.
        let is_opaque = !scheme.is_empty() && !rest.starts_with('/');
        return if is_opaque || escapes_are_sound(path) { Ok(Url { scheme, host: "" }) } else { Err(ESCAPE) };
    };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let name = match host.strip_prefix('[') {
        Some(inner) => {
            let (_, port) = inner.rsplit_once(']').ok_or("missing ']' in host")?;
            if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
                return Err("invalid port after host");
            }
            ""
        }
        None => match host.rsplit_once(':') {
            Some((_, port)) if !is_port(port) => return Err("invalid port after host"),
            Some((name, _)) => name,
            None => host,
        },
    };
    if name.bytes().any(|b| b" \"<>\\^`{|}".contains(&b)) {
        return Err("invalid character in host name");
    }
    if !escapes_are_sound(host) || !escapes_are_sound(path.split('?').next().unwrap_or_default()) {
        return Err(ESCAPE);
    }
    Ok(Url { scheme, host })
}

/// What stands before the first colon, if it can be a scheme, and the rest.
fn scheme(text: &str) -> Result<(String, &str), &'static str> {
    let end = text.bytes().position(|b| !(b.is_ascii_alphanumeric() || b"+-.".contains(&b)));
    match end {
        Some(0) if text.starts_with(':') => Err("missing protocol scheme"),
        Some(end) if text.as_bytes()[end] == b':' && text.as_bytes()[0].is_ascii_alphabetic() => {
            Ok((text[..end].to_ascii_lowercase(), &text[end + 1..]))
        }
        _ => Ok((String::new(), text)),
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

fn escapes_are_sound(text: &str) -> bool {
    let digits = |s: &str| s.len() >= 2 && s.bytes().take(2).all(|b| b.is_ascii_hexdigit());
    text.split('%').skip(1).all(digits)
}

const ESCAPE: &str = "invalid URL escape";

#[cfg(test)]
mod tests {
    use super::{Url, parse};

    #[test]
    fn urls_are_taken_apart() {
        for (text, scheme, host) in [
            ("http://a/b", "http", "a"),
            ("HTTPS://u:p@a:1?q=%", "https", "a:1"),
            ("http://[::1]:9090/x", "http", "[::1]:9090"),
            ("http://", "http", ""),
            ("localhost:9090", "localhost", ""),
            ("kubernetes:443", "kubernetes", ""),
            ("/path/a:b", "", ""),
            ("invalid", "", ""),
            ("", "", ""),
        ] {
            assert_eq!(parse(text), Ok(Url { scheme: scheme.into(), host }), "{text}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for text in [
            ":8080",
            "1.2.3.4:9090",
            "http://a:b/",
            "http://[::1",
            "http://[::1]x",
            "http://a b/",
            "http://a/%zz",
            "http://a\n",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
