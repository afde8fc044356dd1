//! Which proxy stands before a server, if any: as a job says it, or the environment, by Go's rules.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::scrape::job::{ProxyOptions, Scheme};

use super::url::{Origin, Url};

/// What the environment says of proxies: read once, by who starts the process.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct ProxyEnvironment {
    /// `http_proxy`, or the same in capitals.
    pub http: String,
    /// `https_proxy`
    pub https: String,
    /// `no_proxy`
    pub none: String,
}

impl ProxyEnvironment {
    /// Of the process's variables, by name. Small letters win over capitals.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> ProxyEnvironment {
        let either = |name: &str| {
            let capital = || variable(&name.to_ascii_uppercase());
            variable(name).filter(|value| !value.is_empty()).or_else(capital).unwrap_or_default()
        };
        ProxyEnvironment {
            http: either("http_proxy"),
            https: either("https_proxy"),
            none: either("no_proxy"),
        }
    }
}

/// The proxy for a server.
///
/// # Errors
/// What is said of it is no URL, or of a kind that is not spoken here.
pub(super) fn proxy_for(
    options: &ProxyOptions,
    environment: &ProxyEnvironment,
    origin: &Origin,
) -> Result<Option<Url>, String> {
    let (url, none) = if options.from_environment {
        let url = match origin.scheme {
            Scheme::Http => &environment.http,
            Scheme::Https => &environment.https,
        };
        (url.as_str(), &environment.none)
    } else {
        (options.url.as_deref().unwrap_or_default(), &options.no_proxy)
    };
    // What the environment says is not meant for this machine's own servers.
    let own = options.from_environment && is_own(&origin.host);
    if url.is_empty() || own || is_excepted(none, origin) {
        return Ok(None);
    }
    let whole = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let proxy = Url::parse(&whole).map_err(|why| format!("invalid proxy address: {why}"))?;
    if proxy.origin.scheme == Scheme::Https {
        return Err("a proxy that is spoken to by TLS is not supported".to_owned());
    }
    Ok(Some(proxy))
}

fn is_own(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether a list of names, domains, addresses and networks names a server.
fn is_excepted(list: &str, origin: &Origin) -> bool {
    let address = origin.host.parse::<IpAddr>().ok();
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
                return named == address;
            }
            let Some(named) =
                Origin::parse(origin.scheme, entry.trim_start_matches("*.").trim_start_matches('.'))
            else {
                return false;
            };
            let has_port =
                entry.rsplit_once(':').is_some_and(|(host, _)| !host.contains(':') || host.ends_with(']'));
            if has_port && named.port != origin.port {
                return false;
            }
            // A leading dot names what is below a domain, and no dot the domain, too.
            let below = origin.host.strip_suffix(&named.host).is_some_and(|rest| rest.ends_with('.'));
            let only_below = entry.starts_with('.') || entry.starts_with("*.");
            below || !only_below && named.host == origin.host
        },
    )
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
        ] {
            assert_eq!(is_excepted(list, &origin(host)), expected, "{list:?} {host}");
        }
    }

    #[test]
    fn a_job_says_which_proxy_or_the_environment_does() {
        let variables = [("HTTP_PROXY", "p:3128"), ("https_proxy", "http://q:1"), ("no_proxy", "n")];
        let environment = ProxyEnvironment::read(|name| {
            variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        });
        let options = ProxyOptions { from_environment: true, ..ProxyOptions::default() };
        let of = |options: &ProxyOptions, host: &str| {
            proxy_for(options, &environment, &origin(host)).map(|p| p.map(|p| p.origin.with_port()))
        };
        assert_eq!(of(&options, "a"), Ok(Some("p:3128".to_owned())));
        assert_eq!(
            (of(&options, "n"), of(&options, "localhost"), of(&options, "127.0.0.1:9")),
            (Ok(None), Ok(None), Ok(None))
        );
        assert_eq!(of(&ProxyOptions::default(), "a"), Ok(None));
        let own =
            ProxyOptions { url: Some("http://o".into()), no_proxy: "b".into(), ..ProxyOptions::default() };
        assert_eq!((of(&own, "a"), of(&own, "b")), (Ok(Some("o:80".to_owned())), Ok(None)));
        for bad in ["socks5://s:1", "https://s", "http://"] {
            assert!(
                of(&ProxyOptions { url: Some(bad.into()), ..ProxyOptions::default() }, "a").is_err(),
                "{bad}"
            );
        }
    }
}
