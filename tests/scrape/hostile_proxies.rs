//! Proxies that hang, drip, flood and lie: each fails at its limit, and other targets go on being scraped.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::cipher::{OutboundChunks, OutboundPlainMessage};
use rustls::{
    ConnectionTrafficSecrets, ContentType, ProtocolVersion, ServerConfig, ServerConnection,
    SupportedCipherSuite,
};
use tidegate::scrape::{ClientTls, Job, Scheme};

use super::gateway::{Gateway, job, wait_until};
use super::proxies::{by, https_by, trusting};
use super::proxy_double::{in_tls, saying, tunnels};
use super::target::{Target, Watch};
use super::tls::{Authority, speaking};

#[test]
fn no_hostile_proxy_passes_its_limits() {
    let flood =
        |piece: &'static [u8]| Target::accepting(move |mut socket| while socket.write_all(piece).is_ok() {});
    let park = |_: &mut TcpStream| std::thread::park();
    let (socks, web) = ("socks5", "http");
    let late = "context deadline exceeded (waiting for its proxy)";
    let hostile = [
        (socks, saying(b"", |_| ()), "EOF"),
        (socks, saying(b"\x05", |_| ()), "EOF"),
        (socks, saying(b"\x05\x00\x05\x00\x00\x03\xff", |socket| _ = socket.read(&mut [0; 99])), "EOF"),
        (socks, saying(b"", park), late),
        (socks, saying(b"\x05\x00\x05\x00\x00\x03\xffab", park), late),
        (
            socks,
            saying(b"\x05\x00\x05\x00\x00\x03\xff", |socket| {
                while socket.write_all(b"a").is_ok() {
                    std::thread::sleep(Duration::from_millis(50));
                }
            }),
            late,
        ),
        (socks, flood(&[5; 4096]), "unsupported authentication method 5"),
        (socks, flood(&[0; 4096]), "unexpected protocol version 0"),
        (web, saying(b"HTTP/1.1 200 OK\r\n", |_| ()), "EOF"),
        (web, saying(b"HTTP/1.1 200 OK\r\nX: y", park), late),
        (web, flood(b"\n"), "malformed HTTP response"),
        (web, flood(&[b'a'; 4096]), "malformed HTTP response: "),
    ];
    let mut jobs: Vec<(Job, &str)> = hostile
        .iter()
        .enumerate()
        .map(|(n, (scheme, proxy, why))| {
            let job = by(&format!("{n} {why}"), "metrics.invalid:1", format!("{scheme}://{}", proxy.address));
            let scheme = if *scheme == socks { Scheme::Http } else { Scheme::Https };
            (Job { scheme, ..job }, *why)
        })
        .collect();
    let authority = Authority::new();
    let (headers, folded) = (endless(b"X-More: and more\r\n"), endless(b" folded\r\n"));
    let config = speaking(&authority.sign("127.0.0.1"), None);
    let empty = secretive(Arc::clone(&config), |socket, record| {
        while socket.write_all(&record(ContentType::ApplicationData, b"")).is_ok() {}
    });
    let over_tls = in_tls(config, headers.address);
    let (many, long) = ("malformed HTTP response: too many headers", "the response's headers are too long");
    for (name, url, why) in [
        ("headers", headers.address.to_string(), many),
        ("folded", folded.address.to_string(), long),
        ("over TLS", format!("https://{}", over_tls.address), many),
        ("empty records", format!("https://{}", empty.address), "proxy: tls: peer misbehaved"),
    ] {
        jobs.push((https_by(name, "metrics.invalid:1", url, trusting(&authority)), why));
    }
    let gateway = Gateway::start();
    gateway.scrape(jobs.iter().map(|(job, _)| job.clone()).collect());
    for (job, why) in &jobs {
        // A loaded machine may be late for its first scrapes.
        wait_until(&format!("{}: {why}", job.name), || gateway.last(job).error.contains(why));
    }
}

/// A proxy whose answer to CONNECT does not end.
fn endless(line: &'static [u8]) -> Target {
    Target::raw(move |socket| {
        _ = socket.write_all(b"HTTP/1.1 200 OK\r\na: b\r\n");
        while socket.write_all(&line.repeat(100)).is_ok() {}
    })
}

/// How often another target is asked while a proxy says one thing.
const SCRAPES: usize = 5;

#[test]
fn while_proxies_drip_another_target_is_scraped() {
    let other = Target::saying("a 1\n");
    let proxy = |words: &'static [u8]| {
        let watch = other.watch();
        Target::accepting(move |socket| drip(socket, words, &watch))
    };
    let (socks, web) = (proxy(b"\x05\x00\x05\x01"), proxy(b"HTTP/1.1 407 No\r\n\r\n"));
    assert_heard(
        &other,
        &[
            (
                https("socks", format!("socks5://{}", socks.address), ClientTls::default()),
                "SOCKS server failure",
            ),
            (https("web", web.address.to_string(), ClientTls::default()), "proxy: 407 No"),
        ],
    );
}

#[test]
fn while_a_proxy_that_speaks_tls_floods_another_target_is_scraped() {
    let authority = Authority::new();
    let config = speaking(&authority.sign("127.0.0.1"), None);
    let other = Target::saying("a 1\n");
    let job = |proxy: &Target| https("flood", format!("https://{}", proxy.address), trusting(&authority));
    let alone = tickets(Arc::clone(&config), other.watch());
    assert_heard(&other, &[(job(&alone), "proxy: 403 Enough")]);
    let within = tickets(speaking(&authority.sign("metrics.example"), None), other.watch());
    let tunnel = tunnels(within.address, |_| true);
    let around = in_tls(config, tunnel.address);
    assert_heard(&other, &[(job(&around), "server returned HTTP status 403 Enough")]);
}

fn https(name: &str, proxy: String, tls: ClientTls) -> Job {
    let patient = Duration::from_secs(8);
    Job { interval: patient, timeout: patient, ..https_by(name, "metrics.example:1", proxy, tls) }
}

/// These jobs' proxies get to the end of their words within a scrape's time: they say them as another target is asked,
/// so that it is not kept waiting.
#[track_caller]
fn assert_heard(other: &Target, hostile: &[(Job, &str)]) {
    let often = Duration::from_millis(50);
    let other = Job { interval: often, timeout: often, ..job("other", other.address) };
    let gateway = Gateway::start();
    gateway.scrape(hostile.iter().map(|(job, _)| job).chain([&other]).cloned().collect());
    for (job, why) in hostile {
        wait_until(&format!("{}: {why}", job.name), || gateway.last(job).error.ends_with(why));
    }
}

/// Says a byte each time that another target has been asked.
fn drip(mut socket: TcpStream, words: &[u8], other: &Watch) {
    for byte in words {
        other.wait_for(1);
        _ = socket.write_all(&[*byte]);
    }
    // Until the other side has gone: it has more to say than was asked.
    _ = socket.read_to_end(&mut Vec::new());
}

/// A server that speaks TLS, and says nothing in it but tickets until another target was asked many times.
fn tickets(config: Arc<ServerConfig>, other: Watch) -> Target {
    secretive(config, move |socket, record| {
        let enough = other.count() + SCRAPES;
        while other.count() < enough {
            let many: Vec<u8> = (0..100).flat_map(|_| record(ContentType::Handshake, TICKET)).collect();
            if socket.write_all(&many).is_err() {
                return;
            }
        }
        let answer = b"HTTP/1.1 403 Enough\r\nContent-Length: 0\r\n\r\n";
        _ = socket.write_all(&record(ContentType::ApplicationData, answer));
    })
}

/// A ticket for a later session: nobody who reads sees anything of it.
const TICKET: &[u8] = b"\x04\x00\x00\x0f\x00\x00\x0e\x10\x00\x00\x00\x00\x01\x00\x00\x01x\x00\x00";

/// Makes a record of a session.
type Record<'a> = &'a mut dyn FnMut(ContentType, &[u8]) -> Vec<u8>;

/// A server that speaks TLS, and does then what `serve` does, with records that rustls would not make.
fn secretive(
    config: Arc<ServerConfig>,
    serve: impl Fn(&mut TcpStream, Record<'_>) + Send + Sync + 'static,
) -> Target {
    let mut config = Arc::unwrap_or_clone(config);
    config.enable_secret_extraction = true;
    let config = Arc::new(config);
    Target::accepting(move |mut socket| {
        let mut session = ServerConnection::new(Arc::clone(&config)).unwrap();
        while session.is_handshaking() {
            if session.complete_io(&mut socket).is_err() {
                return;
            }
        }
        serve(&mut socket, &mut records(session));
        // Until the other side has gone: it has more to say than was asked.
        _ = socket.read_to_end(&mut Vec::new());
    })
}

/// Makes the records of a session that has begun.
fn records(session: ServerConnection) -> impl FnMut(ContentType, &[u8]) -> Vec<u8> {
    let Some(SupportedCipherSuite::Tls13(suite)) = session.negotiated_cipher_suite() else {
        panic!("both know TLS 1.3")
    };
    let (mut sequence, secrets) = session.dangerous_extract_secrets().unwrap().tx;
    let (ConnectionTrafficSecrets::Aes128Gcm { key, iv }
    | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
    | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = secrets
    else {
        panic!("ring has no others")
    };
    let mut encrypter = suite.aead_alg.encrypter(key, iv);
    move |typ, bytes| {
        let payload = OutboundChunks::Single(bytes);
        let version = ProtocolVersion::TLSv1_2;
        let record = encrypter.encrypt(OutboundPlainMessage { typ, version, payload }, sequence).unwrap();
        sequence += 1;
        record.encode()
    }
}
