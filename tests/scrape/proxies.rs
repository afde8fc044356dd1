//! Targets behind proxies: SOCKS 5, tunnels, TLS to the proxy and TLS within it.

use std::net::SocketAddr;
use std::time::Duration;

use tidegate::scrape::status::Health;
use tidegate::scrape::{ClientOptions, ClientTls, Credential, Job, ProxyEnvironment, ProxyOptions, Scheme};

use super::gateway::{Gateway, job_of, wait_until};
use super::proxy_double::{SocksDouble, in_tls, saying, tunnels};
use super::target::{Stream, Target, answer, text};
use super::tls::{Authority, speaking, target};

/// A job whose only target is behind a proxy.
pub(crate) fn by(name: &str, address: &str, proxy: String) -> Job {
    let proxy = ProxyOptions { url: Some(proxy), ..ProxyOptions::default() };
    Job { client: ClientOptions { proxy, ..ClientOptions::default() }, ..job_of(name, &[address.to_owned()]) }
}

/// The same over TLS, which takes longer where all tests run at once.
pub(crate) fn https_by(name: &str, address: &str, proxy: String, tls: ClientTls) -> Job {
    let job = by(name, address, proxy);
    let second = Duration::from_secs(1);
    let client = ClientOptions { tls, ..job.client };
    Job { scheme: Scheme::Https, client, interval: second, timeout: second, ..job }
}

pub(crate) fn trusting(authority: &Authority) -> ClientTls {
    ClientTls { ca: authority.trusted(), ..ClientTls::default() }
}

#[test]
fn a_plain_target_behind_socks_is_spoken_to_as_if_nothing_were_between() {
    let server = Target::saying("a 1\n");
    let to = server.address;
    let open = SocksDouble::start(None, move |_| Ok(to));
    let guarded = SocksDouble::start(Some(("u@x", "p:w")), move |_| Ok(to));
    let jobs = [
        (by("name", "metrics.invalid:9100", open.url("")), "name metrics.invalid:9100"),
        (by("port", "metrics.invalid", open.url("")), "name metrics.invalid:80"),
        (by("v4", "192.0.2.1:1", open.url("")), "v4 192.0.2.1:1"),
        (by("v6", "[2001:db8::1]:2", open.url("").replace("socks5", "SOCKS5H")), "v6 2001:db8::1:2"),
        (by("useless password", "b.invalid:3", open.url("u:p@")), "name b.invalid:3"),
        (by("password", "c.invalid:4", guarded.url("u%40x:p%3Aw@")), "name c.invalid:4"),
    ];
    let gateway = Gateway::start();
    gateway.scrape(jobs.iter().map(|(job, _)| job.clone()).collect());
    for (job, _) in &jobs {
        gateway.wait_for(job, Health::Up);
    }
    wait_until("each is scraped several times", || server.asked().len() > 6 * jobs.len());
    assert!(
        server
            .asked()
            .iter()
            .all(|asked| { asked.path() == "/metrics" && asked.header("Proxy-Authorization").is_none() })
    );
    let hosts = server.asked();
    assert!(hosts.iter().any(|asked| asked.header("Host") == Some("metrics.invalid:9100")));
    // A connection serves more than one scrape: all of a target's, but for those that come too late.
    assert!(2 * server.connections() < server.asked().len());
    let mut asked = [open.asked(), guarded.asked()].concat();
    let mut expected: Vec<&str> = jobs.iter().map(|(_, asked)| *asked).collect();
    asked.sort();
    asked.dedup();
    expected.sort_unstable();
    assert_eq!(asked, expected);
}

#[test]
fn the_environment_may_name_a_proxy_that_speaks_socks() {
    let server = Target::saying("a 1\n");
    let to = server.address;
    let proxy = SocksDouble::start(None, move |_| Ok(to));
    let environment = ProxyEnvironment { http: proxy.url(""), ..ProxyEnvironment::default() };
    let mut job = by("j", "metrics.invalid:9100", String::new());
    job.client.proxy = ProxyOptions { from_environment: true, ..ProxyOptions::default() };
    let gateway = Gateway::with(1, environment);
    gateway.scrape(vec![job.clone()]);
    gateway.wait_for(&job, Health::Up);
    assert_eq!(proxy.asked(), ["name metrics.invalid:9100"]);
}

#[test]
fn a_redirect_leads_through_socks_to_another_server() {
    let last = Target::saying("a 1\n");
    let location = "Location: http://last.invalid:2/m\r\n";
    let first = Target::start(move |_| answer("302 Found", location, b""));
    let (to_first, to_last) = (first.address, last.address);
    let proxy = SocksDouble::start(None, move |to| Ok(if to.contains("first") { to_first } else { to_last }));
    let job = by("j", "first.invalid:1", proxy.url(""));
    let gateway = Gateway::start();
    gateway.scrape(vec![job.clone()]);
    gateway.wait_for(&job, Health::Up);
    assert_eq!(proxy.asked()[..2], ["name first.invalid:1", "name last.invalid:2"]);
    assert_eq!(last.asked()[0].path(), "/m");
}

#[test]
fn a_target_that_speaks_tls_is_reached_through_socks() {
    let authority = Authority::new();
    let server = target(&authority.sign("metrics.example"), None);
    let to = server.address;
    let proxy = SocksDouble::start(Some(("u", "p")), move |_| Ok(to));
    let good = https_by("good", "metrics.example:8443", proxy.url("u:p@"), trusting(&authority));
    let other = https_by("other", "a.example:8443", proxy.url("u:p@"), trusting(&authority));
    let gateway = Gateway::start();
    gateway.scrape(vec![good.clone(), other.clone()]);
    gateway.wait_for(&good, Health::Up);
    let error = gateway.wait_for(&other, Health::Down);
    assert!(error.contains("not valid for name \"a.example\""), "{error}");
    assert!(proxy.asked().contains(&"name metrics.example:8443".to_owned()));
}

#[test]
fn what_a_socks_proxy_refuses_is_told() {
    let proxy = SocksDouble::start(None, |_| Err(5));
    let guarded = SocksDouble::start(Some(("u", "p")), |_| Err(1));
    let web = saying(b"HTTP/1.1 400 Bad Request\r\n\r\n", |_| ());
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    let refused = format!("socks connect tcp {}->a:1: connection refused", proxy.server.address);
    let jobs = [
        (by("refused", "a:1", proxy.url("")), &*refused),
        (by("none", "a:1", guarded.url("")), "no acceptable authentication methods"),
        (by("wrong", "a:1", guarded.url("u:S3CRET@")), "username/password authentication failed"),
        (by("empty", "a:1", guarded.url(":p@")), "invalid username/password"),
        (by("web", "a:1", format!("socks5://{}", web.address)), "unexpected protocol version 72"),
        (
            by("nobody", "a:1", format!("socks5://{nobody}")),
            "proxyconnect tcp: dial tcp 127.0.0.1:1: connect: connection refused",
        ),
    ];
    let lost = by("lost", "a:1", "socks5://no.such.host.invalid:1080".to_owned());
    let gateway = Gateway::start();
    let all = jobs.iter().map(|(job, _)| job).chain([&lost]);
    gateway.scrape(all.cloned().collect());
    for (job, why) in &jobs {
        let error = gateway.wait_for(job, Health::Down);
        assert!(error.ends_with(why) && !error.contains("S3CRET"), "{}: {error}", job.name);
    }
    let error = gateway.wait_for(&lost, Health::Down);
    assert!(error.contains("proxyconnect tcp: lookup") || error.contains("deadline exceeded"), "{error}");
}

#[test]
fn a_tunnel_leads_through_a_proxy() {
    let authority = Authority::new();
    let server = target(&authority.sign("metrics.example"), None);
    let proxy = tunnels(server.address, |_| true);
    let url = format!("u:p@{}", proxy.address);
    let mut job = https_by("j", "metrics.example:8443", url, trusting(&authority));
    let text = |text: &str| Credential::Text(text.into());
    job.client.proxy.connect_headers = vec![
        ("X-Tunnel".into(), vec![text("1"), text("2")]),
        ("user-agent".into(), vec![text("gate/1")]),
        ("Host".into(), vec![text("elsewhere.example")]),
        ("Proxy-Authorization".into(), vec![text("Basic eDp5")]),
    ];
    let gateway = Gateway::start();
    gateway.scrape(vec![job.clone()]);
    gateway.wait_for(&job, Health::Up);
    let asked = &proxy.asked()[0];
    assert!(asked.head.starts_with("CONNECT metrics.example:8443 HTTP/1.1\n"));
    for (name, values) in [
        ("Host", &["metrics.example:8443"][..]),
        ("User-Agent", &["gate/1"]),
        ("Proxy-Authorization", &["Basic dTpw"]),
        ("X-Tunnel", &["1", "2"]),
    ] {
        assert_eq!(asked.headers(name).collect::<Vec<_>>(), values, "{name}");
    }
}

/// A connection serves more than one scrape.
fn assert_connections_stay(server: &Target) {
    let (connections, asked) = (server.connections(), server.asked().len());
    wait_until("it is asked again", || server.asked().len() > asked + 3);
    assert!(server.connections() < connections + 3);
}

#[test]
fn a_proxy_over_tls_forwards_to_plain_targets() {
    let authority = Authority::new();
    let config = speaking(&authority.sign("127.0.0.1"), None);
    let forwarding = Target::speaking(
        move |socket| -> Box<dyn Stream> {
            let session = rustls::ServerConnection::new(config.clone()).unwrap();
            Box::new(rustls::StreamOwned::new(session, socket))
        },
        |asked| {
            let known = asked.header("Proxy-Authorization") == Some("Basic dTpw");
            if known { text("a 1\n") } else { answer("407 Proxy Authentication Required", "", b"") }
        },
    );
    let with = |name: &str, user: &str, tls: ClientTls| {
        let job = by(name, "metrics.invalid:9100", format!("https://{user}{}", forwarding.address));
        let second = Duration::from_secs(1);
        let client = ClientOptions { tls, ..job.client };
        Job { client, interval: second, timeout: second, ..job }
    };
    let good = with("good", "u:p@", trusting(&authority));
    let named = ClientTls { server_name: Some("metrics.example".into()), ..trusting(&authority) };
    let bad = [
        (with("unknown", "", trusting(&authority)), "407 Proxy Authentication Required"),
        (with("untrusted", "u:p@", ClientTls::default()), "proxyconnect tcp: tls: "),
        // The name is the proxy's, too: Prometheus has one tls_config for both.
        (with("named", "u:p@", named), "certificate not valid for name \"metrics.example\""),
    ];
    let gateway = Gateway::start();
    gateway.scrape(bad.iter().map(|(job, _)| job).chain([&good]).cloned().collect());
    gateway.wait_for(&good, Health::Up);
    for (job, why) in &bad {
        let error = gateway.wait_for(job, Health::Down);
        assert!(error.contains(why), "{}: {error}", job.name);
    }
    let asked = forwarding.asked();
    assert!(asked.iter().all(|asked| asked.path() == "http://metrics.invalid:9100/metrics"));
    gateway.scrape(vec![good.clone()]);
    assert_connections_stay(&forwarding);
}

#[test]
fn a_proxy_over_tls_opens_tunnels_to_targets_that_speak_tls() {
    let authority = Authority::new();
    let server = target(&authority.sign("metrics.example"), None);
    let within = tunnels(server.address, |head| head.contains("Proxy-Authorization: Basic dTpw"));
    let proxy = in_tls(speaking(&authority.sign("127.0.0.1"), None), within.address);
    let with = |name: &str, user: &str, address: &str, tls: ClientTls| {
        https_by(name, address, format!("https://{user}{}", proxy.address), tls)
    };
    let (trusting, name) = (trusting(&authority), "metrics.example:8443");
    let good = [
        with("1.3", "u:p@", name, ClientTls { min_tls13: true, ..trusting.clone() }),
        with("1.2", "u:p@", name, ClientTls { max_tls12: true, ..trusting.clone() }),
    ];
    let bad = [
        (with("other name", "u:p@", "a.example:1", trusting.clone()), "not valid for name \"a.example\""),
        (with("unknown", "", name, trusting.clone()), "proxy: 407 Proxy Authentication Required"),
        (with("untrusted", "u:p@", name, ClientTls::default()), "proxyconnect tcp: tls: "),
    ];
    let gateway = Gateway::start();
    gateway.scrape(bad.iter().map(|(job, _)| job).chain(&good).cloned().collect());
    for job in &good {
        gateway.wait_for(job, Health::Up);
    }
    for (job, why) in &bad {
        let error = gateway.wait_for(job, Health::Down);
        assert!(error.contains(why), "{}: {error}", job.name);
    }
    assert!(within.asked().iter().all(|asked| asked.head.starts_with("CONNECT ")));
    gateway.scrape(vec![good[0].clone()]);
    assert_connections_stay(&server);
}
