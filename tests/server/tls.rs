//! TLS: handshakes, client certificates, renewed files, and peers that speak something else.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::ring;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::client::{Client, get, post};
use super::harness::{Server, Setup, wait_until};
use super::log::cat;

/// A certificate and its key, PEM.
struct Identity {
    certificate: String,
    key: String,
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// For `localhost`.
    fn sign(&self) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

fn setup(more: &str, identity: &Identity) -> Setup {
    let config = format!(
        "listen:\n  - address: 127.0.0.1:0\n    tls_server_config: {{cert_file: s.pem, key_file: s.key{more}}}\n\
         limits: {{header_timeout: 1s}}\n"
    );
    Setup::config(&config).listening().file("s.pem", &identity.certificate).file("s.key", &identity.key)
}

/// What a client trusts and shows.
fn client_config(
    authority: &Authority,
    shown: Option<&Identity>,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_webpki_verifier(verifier);
    Arc::new(match shown {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    })
}

fn session(socket: TcpStream, config: &Arc<ClientConfig>) -> StreamOwned<ClientConnection, TcpStream> {
    let name = "localhost".try_into().unwrap();
    StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), socket)
}

fn connect(server: &Server, config: &Arc<ClientConfig>) -> Client {
    Client::speaking(&server.address, |socket| Box::new(session(socket, config)))
}

/// Whether a request gets through.
fn is_let_in(server: &Server, config: &Arc<ClientConfig>) -> bool {
    let mut stream = session(TcpStream::connect(&server.address).unwrap(), config);
    let mut byte = [0];
    stream.write_all(&get("/health")).is_ok() && stream.read_exact(&mut byte).is_ok()
}

const BOTH: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

#[test]
fn rows_come_through_either_version_in_bodies_of_any_size() {
    let authority = Authority::new();
    let mut server = setup("", &authority.sign()).start();
    let mut sent = 0;
    for version in BOTH {
        let config = client_config(&authority, None, &[version]);
        let mut client = connect(&server, &config);
        for rows in [1, 100, 40_000] {
            let body: String = (0..rows).map(|i| format!("cpu,host=host_{} v={i}i {i}\n", i % 100)).collect();
            client.ask(&post("/write", body)).expect(204);
            sent += rows;
        }
        // So many answers in a row that the socket does not take them before the first are read.
        let page = client.ask(&get("/metrics"));
        assert!(page.expect(200).body.len() > 4096);
        let pipelined: Vec<u8> = (0..600).flat_map(|_| get("/metrics")).collect();
        client.send(&pipelined);
        (0..600).for_each(|_| _ = client.reply().expect(200));
        client.ask(&post("/nowhere", "")).expect(404);
        // The end is said, so that a client can tell it from a cut.
        client.send(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        client.reply().expect(200);
        client.expect_end();
    }
    server.stop();
    assert_eq!(cat(&server.data).len(), sent);
}

#[test]
fn who_speaks_no_tls_is_told_so_and_who_says_nothing_is_left() {
    let authority = Authority::new();
    let server = setup("", &authority.sign()).start();
    let mut plain = TcpStream::connect(&server.address).unwrap();
    plain.write_all(&post("/write", "m v=1")).unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n");
    for opening in [&b""[..], b"\x16\x03", b"\x16\x03\x01\x40\x00half a hello"] {
        let mut silent = TcpStream::connect(&server.address).unwrap();
        silent.write_all(opening).unwrap();
        let mut rest = Vec::new();
        // The end may be abrupt: it comes, that is what counts.
        let _ = silent.read_to_end(&mut rest);
    }
    let mut garbage = TcpStream::connect(&server.address).unwrap();
    garbage.write_all(&[0xff; 100]).unwrap();
    let _ = garbage.read_to_end(&mut Vec::new());
    assert!(is_let_in(&server, &client_config(&authority, None, &BOTH)));
}

#[test]
fn clients_show_the_certificates_that_are_asked_for() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (known, foreign) = (authority.sign(), other.sign());
    for (auth, none, stranger) in [
        ("RequireAndVerifyClientCert", false, false),
        ("VerifyClientCertIfGiven", true, false),
        ("RequireAnyClientCert", false, true),
        ("RequestClientCert", true, true),
    ] {
        let ca = if auth.contains("Verify") { ", client_ca_file: ca.pem" } else { "" };
        let server = setup(&format!(", client_auth_type: {auth}{ca}"), &authority.sign())
            .file("ca.pem", &authority.pem())
            .start();
        for version in BOTH {
            let let_in = |shown| is_let_in(&server, &client_config(&authority, shown, &[version]));
            assert!(let_in(Some(&known)), "{auth}");
            assert_eq!(let_in(None), none, "{auth} without");
            assert_eq!(let_in(Some(&foreign)), stranger, "{auth} with a stranger's");
        }
    }
}

/// Handshakes that failed at a listener, as a client with this configuration reads them.
fn failed(server: &Server, listener: &str, config: &Arc<ClientConfig>) -> f64 {
    let page = connect(server, config).ask(&get("/metrics"));
    let name = format!("tidegate_tls_handshakes_failed_total{{listener=\"{listener}\"}} ");
    let line = page.expect(200).text().lines().find_map(|line| line.strip_prefix(&name).map(str::to_owned));
    line.unwrap_or_else(|| panic!("no {name}in\n{}", page.text())).parse().unwrap()
}

#[test]
fn handshakes_that_come_to_nothing_are_counted_and_told_with_the_peer_and_the_reason() {
    let (authority, other) = (Authority::new(), Authority::new());
    let more = ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem";
    let mut server = setup(more, &authority.sign()).file("ca.pem", &authority.pem()).start();
    let known = client_config(&authority, Some(&authority.sign()), &BOTH);
    let at = server.address.clone();
    assert_eq!(failed(&server, &at, &known), 0.0);
    let mut expected = 0.0;
    for version in BOTH {
        for shown in [None, Some(other.sign())] {
            assert!(!is_let_in(&server, &client_config(&authority, shown.as_ref(), &[version])));
            expected += 1.0;
        }
        // A client that doesn't know the server's authority says so.
        assert!(!is_let_in(&server, &client_config(&other, None, &[version])));
        expected += 1.0;
    }
    // No TLS, half of it, and neither: who connects and goes has begun nothing.
    for (opening, begun) in [(&post("/write", "m v=1")[..], 1.0), (b"\x16\x03", 1.0), (b"", 0.0)] {
        let mut peer = TcpStream::connect(&server.address).unwrap();
        peer.write_all(opening).unwrap();
        peer.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = peer.read_to_end(&mut Vec::new());
        expected += begun;
    }
    wait_until("all are counted", || failed(&server, &at, &known) == expected);
    let first = server.line("TLS handshake failed");
    assert!(first.contains("level=warn") && first.contains(&at), "{first}");
    assert!(first.contains("peer=127.0.0.1:") && first.contains("peer sent no certificates"), "{first}");
}

#[test]
fn versions_are_those_that_are_configured() {
    let authority = Authority::new();
    let [newer, older] = BOTH.map(|version| client_config(&authority, None, &[version]));
    let server = setup(", min_version: TLS13", &authority.sign()).start();
    assert_eq!((is_let_in(&server, &newer), is_let_in(&server, &older)), (true, false));
    let suites = ", max_version: TLS12, cipher_suites: [TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305], \
                  curve_preferences: [CurveP256]";
    let server = setup(suites, &authority.sign()).start();
    assert_eq!((is_let_in(&server, &newer), is_let_in(&server, &older)), (false, true));
}

#[test]
fn a_renewed_certificate_is_shown_without_a_word_and_a_broken_one_is_not() {
    let (before, after) = (Authority::new(), Authority::new());
    let server = setup("", &before.sign()).start();
    let (old, new) = (client_config(&before, None, &BOTH), client_config(&after, None, &BOTH));
    assert_eq!((is_let_in(&server, &old), is_let_in(&server, &new)), (true, false));
    let mut living = connect(&server, &old);
    living.ask(&get("/health")).expect(200);

    let file = |name| server.config_path().with_file_name(name);
    let renewed = after.sign();
    fs::write(file("s.key"), &renewed.key).unwrap();
    fs::write(file("s.pem"), &renewed.certificate).unwrap();
    wait_until("the new certificate is shown", || is_let_in(&server, &new));
    living.ask(&get("/health")).expect(200);

    fs::write(file("s.pem"), "").unwrap();
    assert_eq!(living.ask(&post("/-/reload", "")).status, 500);
    assert!(is_let_in(&server, &new), "the one before stays");
    assert_eq!(living.ask(&get("/health")).status, 200);

    let again = before.sign();
    fs::write(file("s.key"), &again.key).unwrap();
    fs::write(file("s.pem"), &again.certificate).unwrap();
    living.ask(&post("/-/reload", "")).expect(200);
    assert!(is_let_in(&server, &old), "a reload reads the files at once");
}

#[test]
fn lines_come_in_over_tls_from_those_who_show_a_certificate() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let identity = authority.sign();
    let indented = |pem: &str| pem.trim_end().replace('\n', "\n        ");
    // Certificate and key as texts of the configuration, the CA as a file.
    let config = format!(
        "listen:\n  - address: tcp://127.0.0.1:0\n    protocol: opentsdb\n    tls_server_config:\n      cert: |\n        \
         {}\n      key: |\n        {}\n      client_ca_file: ca.pem\n      client_auth_type: \
         RequireAndVerifyClientCert\n",
        indented(&identity.certificate),
        indented(&identity.key)
    );
    let mut server = Setup::config(&config).file("ca.pem", &authority.pem()).start();
    let lines = server.all_lines();
    let line = lines.lines().find(|line| line.contains("listening for lines")).unwrap();
    let address = line.split(' ').find_map(|word| word.strip_prefix("address=")).unwrap();
    let address = address.trim_matches('"').strip_prefix("tcp://").unwrap().to_owned();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let known = client_config(&authority, Some(&authority.sign()), &[version]);
        let mut client = session(TcpStream::connect(&address).unwrap(), &known);
        // Faults are answered, in the session as without one.
        client.write_all(b"put a 1 1 host=x\nput b\n").unwrap();
        client.flush().unwrap();
        let mut answer = [0; 4];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"put:");
    }
    // Who shows another's certificate, or none, or doesn't speak TLS, is not heard.
    for shown in [Some(stranger.sign()), None] {
        let other = client_config(&authority, shown.as_ref(), &[&rustls::version::TLS13]);
        let mut client = session(TcpStream::connect(&address).unwrap(), &other);
        _ = client.write_all(b"put refused 1 1 host=x\n");
        let mut answer = Vec::new();
        assert!(client.read_to_end(&mut answer).is_err() || answer.is_empty());
    }
    let mut plain = TcpStream::connect(&address).unwrap();
    plain.write_all(b"put refused 1 1 host=x\n").unwrap();
    let mut answer = Vec::new();
    _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"put"), "{answer:?}");
    let counted = format!("tidegate_tls_handshakes_failed_total{{listener=\"tcp://{address}\"}}");
    wait_until("the three are counted", || server.metric(&counted) == 3.0);
    server.stop();
    let names: Vec<_> = cat(&server.data).iter().map(|row| row["labels"]["__name__"].clone()).collect();
    assert_eq!(names, ["a", "a"]);
}
