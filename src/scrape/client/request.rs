//! What is asked of a server: the head of a GET, and who asks.

use std::io::Write;

use crate::scrape::job::{ClientOptions, Credential};
use crate::scrape::secrets::authorization;

use super::proxy::Proxy;
use super::url::{Origin, Url};

/// A scrape's question, the same for each server that it is led to.
#[derive(Clone, Copy, Debug)]
pub(in crate::scrape) struct Ask<'a> {
    /// How the server is spoken to.
    pub(in crate::scrape) client: &'a ClientOptions,
    /// The value of `Accept`.
    pub(in crate::scrape) accept: &'a str,
    /// Whether gzip is asked for.
    pub(in crate::scrape) compression: bool,
    /// How long the scrape may take, in seconds.
    pub(in crate::scrape) timeout_seconds: f64,
    /// Bytes that the body must stay below, decompressed.
    pub(in crate::scrape) body_bytes_max: u64,
    /// About as many as come, where the server does not say.
    pub(in crate::scrape) body_bytes_expected: usize,
}

/// How a head is to be written.
#[derive(Clone, Copy)]
pub(super) struct Addressed<'a> {
    pub(super) url: &'a Url,
    /// The proxy that it is sent to as it stands, without a tunnel.
    pub(super) proxy: Option<&'a Proxy>,
    /// Credentials are meant for this server.
    pub(super) trusted: bool,
    /// The token that was fetched by OAuth 2.
    pub(super) token: Option<&'a str>,
}

/// Who we are, as servers are told.
pub(in crate::scrape) const AGENT: &str = concat!("tidegate/", env!("CARGO_PKG_VERSION"));

/// Headers that a request has, or has not, by itself, whatever is configured.
const OF_REQUESTS: [&str; 5] = ["Host", "User-Agent", "Content-Length", "Transfer-Encoding", "Trailer"];

impl Ask<'_> {
    /// Appends the head.
    ///
    /// # Errors
    /// A file of secrets that cannot be read, or what can be no header.
    pub(super) fn write(&self, to: Addressed<'_>, out: &mut Vec<u8>) -> Result<(), String> {
        out.extend_from_slice(b"GET ");
        if to.proxy.is_some() {
            out.extend_from_slice(format!("http://{}", to.url.origin.authority()).as_bytes());
        }
        write_path(&to.url.path, out);
        out.extend_from_slice(b" HTTP/1.1\r\n");
        header(out, "Host", to.url.origin.authority().as_bytes())?;
        header(out, "User-Agent", AGENT.as_bytes())?;
        header(out, "Accept", self.accept.as_bytes())?;
        header(out, "Accept-Encoding", if self.compression { b"gzip" } else { b"identity" })?;
        header(out, "X-Prometheus-Scrape-Timeout-Seconds", self.timeout_seconds.to_string().as_bytes())?;
        if let Some(proxy) = to.proxy {
            proxy_authorization(proxy, out)?;
        }
        if to.trusted {
            self.write_credentials(to.token, out)?;
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    fn write_credentials(&self, token: Option<&str>, out: &mut Vec<u8>) -> Result<(), String> {
        if let Some(value) = authorization(self.client, token)? {
            header(out, "Authorization", &value)?;
        }
        for (name, values) in &self.client.headers {
            for value in values {
                header(out, name, &value.read_trimmed()?)?;
            }
        }
        Ok(())
    }
}

/// Appends the head that asks a proxy for a tunnel, with the headers that are configured for that.
///
/// As Go's clients have it: the first `User-Agent` that is configured is who we are, and an empty one is nobody; a name
/// and a password in the proxy's URL win over a `Proxy-Authorization`; other headers that the request has by itself
/// are passed over.
///
/// # Errors
/// As for [`Ask::write`].
pub(super) fn write_connect(
    configured: &[(String, Vec<Credential>)],
    proxy: &Proxy,
    to: &Origin,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let authority = to.with_port();
    out.extend_from_slice(format!("CONNECT {authority} HTTP/1.1\r\n").as_bytes());
    header(out, "Host", authority.as_bytes())?;
    let agent = configured.iter().find(|(name, _)| is_one_of(name, &["User-Agent"]));
    let agent =
        agent.and_then(|(_, values)| values.first()).map_or(Ok(AGENT.into()), Credential::read_trimmed)?;
    if !agent.is_empty() {
        header(out, "User-Agent", &agent)?;
    }
    proxy_authorization(proxy, out)?;
    let is_own = |name: &str| {
        is_one_of(name, &OF_REQUESTS) || proxy.user.is_some() && is_one_of(name, &["Proxy-Authorization"])
    };
    for (name, values) in configured.iter().filter(|(name, _)| !is_own(name)) {
        for value in values {
            header(out, name, &value.read_trimmed()?)?;
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

fn proxy_authorization(proxy: &Proxy, out: &mut Vec<u8>) -> Result<(), String> {
    let Some(value) = proxy.authorization() else { return Ok(()) };
    header(out, "Proxy-Authorization", value.as_bytes())
}

/// A path as a request line may have it.
fn write_path(path: &str, out: &mut Vec<u8>) {
    for &byte in path.as_bytes() {
        if byte > b' ' && byte < 0x7f {
            out.push(byte);
        } else {
            // What is written to a Vec is written.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|other| name.eq_ignore_ascii_case(other))
}

fn header(out: &mut Vec<u8>, name: &str, value: &[u8]) -> Result<(), String> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(format!("{name:?} is no name of a header"));
    }
    if value.iter().any(|&b| b < b' ' && b != b'\t' || b == 0x7f) {
        // The value may be a secret.
        return Err(format!("the value of header {name} holds a control character"));
    }
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use crate::scrape::client::proxy::ProxyKind;
    use crate::scrape::job::{Authorization, BasicAuth, Scheme};

    fn head(client: &ClientOptions, to: Addressed<'_>) -> Result<String, String> {
        let mut out = Vec::new();
        let ask = Ask {
            client,
            accept: "text/plain",
            compression: true,
            timeout_seconds: 1.5,
            body_bytes_expected: 0,
            body_bytes_max: 0,
        };
        ask.write(to, &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_head_names_what_prometheus_names() {
        let url = Url::parse("http://a:9100/metrics?x=a b").unwrap();
        let to = Addressed { url: &url, proxy: None, trusted: true, token: None };
        let expected = format!(
            "GET /metrics?x=a%20b HTTP/1.1\r\nHost: a:9100\r\nUser-Agent: {AGENT}\r\nAccept: text/plain\r\n\
             Accept-Encoding: gzip\r\nX-Prometheus-Scrape-Timeout-Seconds: 1.5\r\n\r\n"
        );
        assert_eq!(head(&ClientOptions::default(), to), Ok(expected));
        let user = Some((b"u@x".to_vec(), b"p".to_vec()));
        let proxy = Proxy { kind: ProxyKind::Http, host: "proxy".into(), port: 3128, user };
        let forwarded = head(&ClientOptions::default(), Addressed { proxy: Some(&proxy), ..to }).unwrap();
        assert!(forwarded.starts_with("GET http://a:9100/metrics?x=a%20b HTTP/1.1\r\n"));
        assert!(forwarded.contains(&format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode("u@x:p"))));
    }

    #[test]
    fn credentials_go_to_whom_they_are_meant_for_and_are_read_each_time() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, "one\n").unwrap();
        let mut client = ClientOptions::default();
        let credentials = Some(Credential::File(file.clone()));
        client.authorization = Some(Authorization { kind: "Bearer".into(), credentials });
        client.headers =
            vec![("X-Key".into(), vec![Credential::Text("k1".into()), Credential::Text("k2".into())])];
        let url = Url::parse("http://a/").unwrap();
        let to = Addressed { url: &url, proxy: None, trusted: true, token: None };
        assert!(
            head(&client, to)
                .unwrap()
                .ends_with("Authorization: Bearer one\r\nX-Key: k1\r\nX-Key: k2\r\n\r\n")
        );
        std::fs::write(&file, "two").unwrap();
        assert!(head(&client, to).unwrap().contains("Authorization: Bearer two\r\n"));
        let elsewhere = head(&client, Addressed { trusted: false, ..to }).unwrap();
        assert!(!elsewhere.contains("two") && !elsewhere.contains("k1"));
        std::fs::write(&file, "a\r\nb").unwrap();
        assert!(head(&client, to).unwrap_err().contains("control character"));
        std::fs::remove_file(&file).unwrap();
        assert!(head(&client, to).unwrap_err().contains("unable to read file"));

        client.authorization = None;
        let (username, password) = (Credential::Text("u".into()), Some(Credential::Text("p".into())));
        client.basic_auth = Some(BasicAuth { username, password });
        assert!(
            head(&client, to)
                .unwrap()
                .contains(&format!("Authorization: Basic {}\r\n", STANDARD.encode("u:p")))
        );
    }

    #[test]
    fn headers_of_connect_stand_beside_those_that_it_has_by_itself_only_where_they_may() {
        let to = Origin::parse(Scheme::Https, "[::1%lo]:8443").unwrap();
        let head = |configured: &[(&str, &[&str])], user: Option<&str>| {
            let text = |text: &&str| Credential::Text((*text).to_owned());
            let configured: Vec<_> = configured
                .iter()
                .map(|(name, values)| ((*name).to_owned(), values.iter().map(text).collect()))
                .collect();
            let user = user.map(|name| (name.into(), b"p".to_vec()));
            let proxy = Proxy { kind: ProxyKind::Http, host: "proxy".into(), port: 3128, user };
            let mut out = Vec::new();
            write_connect(&configured, &proxy, &to, &mut out).map(|()| {
                let head = String::from_utf8(out).unwrap();
                let rest = head.strip_prefix("CONNECT [::1]:8443 HTTP/1.1\r\nHost: [::1]:8443\r\n").unwrap();
                rest.strip_suffix("\r\n").unwrap().replace("\r\n", "|")
            })
        };
        let plain = format!("User-Agent: {AGENT}|");
        assert_eq!(head(&[], None).as_deref(), Ok(&*plain));
        for own in ["host", "CONTENT-LENGTH", "Transfer-Encoding", "trailer"] {
            assert_eq!(head(&[(own, &["1"])], None).as_deref(), Ok(&*plain), "{own}");
        }
        for (configured, expected) in [
            (&[("user-agent", &["a/1", "b/2"][..]), ("X", &["1", "2"])][..], "User-Agent: a/1|X: 1|X: 2|"),
            (&[("User-Agent", &[])], &*plain),
            (&[("User-Agent", &[""]), ("X", &[""])], "X: |"),
            (
                &[("User-Agent", &["a"]), ("proxy-authorization", &["Basic 1", "Basic 2"])],
                "User-Agent: a|proxy-authorization: Basic 1|proxy-authorization: Basic 2|",
            ),
        ] {
            assert_eq!(head(configured, None).as_deref(), Ok(expected), "{configured:?}");
        }
        let told = format!("User-Agent: a|Proxy-Authorization: Basic {}|", STANDARD.encode("u:p"));
        let configured: [(&str, &[&str]); 2] =
            [("User-Agent", &["a"]), ("proxy-authorization", &["Basic 1"])];
        assert_eq!(head(&configured, Some("u")).as_deref(), Ok(&*told));
        assert!(head(&[("X", &["a\r\nY: b"])], None).unwrap_err().contains("control character"));
    }
}
