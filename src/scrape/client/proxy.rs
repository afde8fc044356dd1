//! Which proxy stands before a server, if any: as a job says it, or the environment, by Go's rules.

use std::fmt::{self, Debug, Formatter};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::scrape::Redacted;
use crate::scrape::job::{ProxyOptions, Scheme};
use crate::scrape::secrets::basic;

use super::url::{Origin, host_and_port};

/// What the environment says of proxies: read once, by who starts the process.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProxyEnvironment {
    /// `HTTP_PROXY`, or the same in small letters.
    pub http: String,
    /// `HTTPS_PROXY`
    pub https: String,
    /// `NO_PROXY`
    pub none: String,
}

impl ProxyEnvironment {
    /// Of the process's variables, by name. Capitals win over small letters.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> ProxyEnvironment {
        let either = |name: &str| {
            let small = || variable(&name.to_ascii_lowercase());
            variable(name).filter(|value| !value.is_empty()).or_else(small).unwrap_or_default()
        };
        ProxyEnvironment {
            http: either("HTTP_PROXY"),
            https: either("HTTPS_PROXY"),
            none: either("NO_PROXY"),
        }
    }
}

impl Debug for ProxyEnvironment {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyEnvironment")
            .field("http", &Redacted(&self.http))
            .field("https", &Redacted(&self.https))
            .field("none", &self.none)
            .finish()
    }
}

/// A proxy.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::scrape) struct Proxy {
    pub(in crate::scrape) kind: ProxyKind,
    /// A name or an address, as an [`Origin`] has it.
    pub(in crate::scrape) host: String,
    pub(in crate::scrape) port: u16,
    /// A name and a password, where it is to be told any.
    pub(in crate::scrape) user: Option<(Vec<u8>, Vec<u8>)>,
}

/// What is spoken to a proxy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::scrape) enum ProxyKind {
    Http,
    /// HTTP over TLS.
    Https,
    /// SOCKS 5.
    Socks,
}

impl Proxy {
    /// Reads a URL, or what stands behind `http://` of one.
    fn parse(text: &str) -> Result<Proxy, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let (kind, port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (ProxyKind::Http, 80),
            "https" => (ProxyKind::Https, 443),
            // Whichever it is, names are looked up by the proxy: as Go's clients have it.
            "socks5" | "socks5h" => (ProxyKind::Socks, 1080),
            _ => return Err(format!("unsupported protocol scheme {scheme:?}")),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user.split_once(':').unwrap_or((user, ""))), host),
            None => (None, authority),
        };
        // A zone stands behind an escaped percent sign.
        let host = if host.starts_with('[') { host.replacen("%25", "%", 1) } else { host.to_owned() };
        let (host, port) = host_and_port(&host, port).ok_or("it names no host and port")?;
        let user = user.map(|(name, password)| (unescaped(name), unescaped(password)));
        Ok(Proxy { kind, host, port, user })
    }

    /// The host, without a zone.
    pub(in crate::scrape) fn name(&self) -> &str {
        self.host.split_once('%').map_or(&self.host, |(host, _)| host)
    }

    /// Host and port.
    pub(super) fn with_port(&self) -> String {
        let name = self.name();
        if name.contains(':') { format!("[{name}]:{}", self.port) } else { format!("{name}:{}", self.port) }
    }

    /// The value of `Proxy-Authorization`, where there is to be one.
    pub(in crate::scrape) fn authorization(&self) -> Option<String> {
        let (name, password) = self.user.as_ref()?;
        Some(basic(name, password))
    }

    /// Whether it wants a request for a server of this scheme as it is, naming the whole URL.
    pub(in crate::scrape) fn forwards(&self, scheme: Scheme) -> bool {
        scheme == Scheme::Http && self.kind != ProxyKind::Socks
    }
}

/// The proxy for a server.
///
/// # Errors
/// What is said of it is no URL, or of a kind that is not spoken here.
pub(in crate::scrape) fn proxy_for(
    options: &ProxyOptions,
    environment: &ProxyEnvironment,
    origin: &Origin,
) -> Result<Option<Proxy>, String> {
    let (url, none) = if options.from_environment {
        let url = match origin.scheme {
            Scheme::Http => &environment.http,
            Scheme::Https => &environment.https,
        };
        (url.as_str(), &environment.none)
    } else {
        (options.url.as_deref().unwrap_or_default(), &options.no_proxy)
    };
    // Who excepts servers, as the environment may always do, excepts this machine's own ones.
    let own = (options.from_environment || !none.is_empty()) && is_own(origin);
    if url.is_empty() || own || is_excepted(none, origin) {
        return Ok(None);
    }
    Proxy::parse(url).map(Some).map_err(|why| format!("invalid proxy address: {why}"))
}

/// A part of a URL, its percent signs undone.
pub(in crate::scrape) fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        let hex = behind.get(..2).filter(|two| two.iter().all(u8::is_ascii_hexdigit));
        let hex = hex.and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        (rest, _) = match hex.filter(|_| byte == b'%') {
            Some(escaped) => (&behind[2..], out.push(escaped)),
            None => (behind, out.push(byte)),
        };
    }
    out
}

fn is_own(origin: &Origin) -> bool {
    origin.host == "localhost" || address_of(origin).is_some_and(|address| address.is_loopback())
}

/// The server's address, if it is named by that.
fn address_of(origin: &Origin) -> Option<IpAddr> {
    origin.name().parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// Whether a list of names, domains, addresses and networks names a server.
fn is_excepted(list: &str, origin: &Origin) -> bool {
    let address = address_of(origin);
    list.split(',').map(|entry| entry.trim().to_ascii_lowercase()).filter(|entry| !entry.is_empty()).any(
        |entry| {
            if entry == "*" {
                return true;
            }
            if let Some((network, bits)) = entry.split_once('/')
                && let (Ok(network), Ok(bits)) = (network.parse(), bits.parse())
            {
                return address.is_some_and(|address| is_within(address, network, bits));
            }
            if let (Ok(named), Some(address)) = (entry.parse::<IpAddr>(), address) {
                return named.to_canonical() == address;
            }
            let (host, port) = split_port(&entry);
            if port.is_some_and(|port| !port.is_empty() && port.parse() != Ok(origin.port)) {
                return false;
            }
            if let Some(address) = address {
                // No domain has an address in it.
                return host.parse::<IpAddr>().is_ok_and(|named| named.to_canonical() == address);
            }
            // A leading dot names what is below a domain, and no dot the domain, too.
            let domain = host.trim_start_matches("*.").trim_start_matches('.');
            let below = origin.host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
            let only_below = host.starts_with('.') || host.starts_with("*.");
            !domain.is_empty() && (below || !only_below && domain == origin.host)
        },
    )
}

/// Host and port of an entry. Brackets go with a port alone.
fn split_port(entry: &str) -> (&str, Option<&str>) {
    let split = match entry.strip_prefix('[') {
        Some(rest) => rest.split_once("]:"),
        None => entry.split_once(':').filter(|(_, port)| !port.contains(':')),
    };
    split.map_or((entry, None), |(host, port)| (host, Some(port)))
}

fn is_within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    let same = |a: u128, b: u128, width: u32| bits <= width && (bits == 0 || (a ^ b) >> (width - bits) == 0);
    let v4 = |a: Ipv4Addr| u128::from(a.to_bits());
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(n)) => same(v4(a), v4(n), 32),
        (IpAddr::V6(a), IpAddr::V6(n)) => same(Ipv6Addr::to_bits(a), Ipv6Addr::to_bits(n), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(authority: &str) -> Origin {
        Origin::parse(Scheme::Http, authority).unwrap()
    }

    #[test]
    fn exceptions_are_names_domains_addresses_and_networks() {
        for (list, host, expected) in [
            ("a", "a", true),
            ("a", "b.a", true),
            ("a", "ba", false),
            (".a", "a", false),
            (".a", "b.a:1", true),
            ("*.a", "b.a", true),
            ("a:8080", "a", false),
            ("a:8080", "a:8080", true),
            ("x, 10.0.0.0/8", "10.1.2.3:1", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("10.1.2.3", "10.1.2.3:9", true),
            ("fd00::/8", "[fd12::1]:9", true),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("*", "anything", true),
            ("", "a", false),
            ("1/2/3,/,:,[", "a", false),
            ("a:", "a:9", true),
            ("fd00::1", "[fd00::1]:9", true),
            ("[FD00:0::1]:9", "[fd00::1]:9", true),
            ("[fd00::1]:8", "[fd00::1]:9", false),
            ("10.0.0.1:9", "10.0.0.1:9", true),
            ("fe80::/10", "[fe80::1%eth0]:9", true),
            ("10.0.0.0/8", "[::ffff:10.0.0.1]:9", true),
            // No domain has an address in it, and brackets go with a port.
            ("0.1,.1", "10.0.0.1", false),
            ("[fd00::1]", "[fd00::1]:9", false),
        ] {
            assert_eq!(is_excepted(list, &origin(host)), expected, "{list:?} {host}");
        }
    }

    #[test]
    fn a_job_says_which_proxy_or_the_environment_does() {
        let variables = [
            ("HTTP_PROXY", "p:3128"),
            ("http_proxy", "small"),
            ("HTTPS_PROXY", ""),
            ("https_proxy", "socks5://q:1"),
            ("no_proxy", "n"),
        ];
        let environment = ProxyEnvironment::read(|name| {
            variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        });
        let options = ProxyOptions { from_environment: true, ..ProxyOptions::default() };
        let of = |options: &ProxyOptions, origin: &Origin| {
            proxy_for(options, &environment, origin)
                .map(|p| p.map(|p| format!("{:?} {}:{}", p.kind, p.host, p.port)))
        };
        let by = |options: &ProxyOptions, host: &str| of(options, &origin(host));
        assert_eq!(by(&options, "a"), Ok(Some("Http p:3128".to_owned())));
        let secure = Origin { scheme: Scheme::Https, ..origin("a") };
        assert_eq!(of(&options, &secure), Ok(Some("Socks q:1".to_owned())));
        assert_eq!(
            (by(&options, "n"), by(&options, "localhost"), by(&options, "127.0.0.1:9")),
            (Ok(None), Ok(None), Ok(None))
        );
        assert_eq!(by(&ProxyOptions::default(), "a"), Ok(None));
        let own = ProxyOptions { url: Some("http://o".into()), ..ProxyOptions::default() };
        assert_eq!(by(&own, "localhost"), Ok(Some("Http o:80".to_owned())));
        let excepting = ProxyOptions { no_proxy: "b".into(), ..own };
        assert_eq!(
            (by(&excepting, "a"), by(&excepting, "b"), by(&excepting, "localhost")),
            (Ok(Some("Http o:80".to_owned())), Ok(None), Ok(None))
        );
        for bad in ["socks4://s:1", "http://", "https://", "socks5://u@", "http://p:x"] {
            let options = ProxyOptions { url: Some(bad.into()), ..ProxyOptions::default() };
            assert!(by(&options, "a").is_err(), "{bad}");
        }
    }

    #[test]
    fn a_proxy_is_read_from_its_url() {
        let user =
            |name: &str, password: &str| Some((name.as_bytes().to_vec(), password.as_bytes().to_vec()));
        for (text, kind, host, port, told) in [
            ("http://P", ProxyKind::Http, "p", 80, None),
            ("p:3128", ProxyKind::Http, "p", 3128, None),
            ("https://u@p/x", ProxyKind::Https, "p", 443, user("u", "")),
            ("socks5://u%40x:p%3a%zz%+5@p", ProxyKind::Socks, "p", 1080, user("u@x", "p:%zz%+5")),
            ("SOCKS5H://@[::1]:9?x", ProxyKind::Socks, "::1", 9, user("", "")),
        ] {
            let proxy = Proxy::parse(text).unwrap();
            assert_eq!(
                (proxy.kind, &*proxy.host, proxy.port, proxy.user),
                (kind, host, port, told),
                "{text}"
            );
        }
    }

    #[test]
    fn a_password_of_the_environment_is_never_shown() {
        let environment =
            ProxyEnvironment { http: "socks5://u:S3CRET@p".into(), ..ProxyEnvironment::default() };
        assert!(!format!("{environment:?}").contains("S3CRET"));
    }
}
