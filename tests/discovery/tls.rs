//! The client against servers that speak TLS, and through a proxy that tunnels.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write, copy};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tidegate::scrape::{ClientOptions, ClientTls, Credential, Discovery, ProxyOptions};

use super::harness::Finding;
use super::http_double::{HttpDouble, json};

const GROUP: &str = r#"[{"targets": ["a:1"]}]"#;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for this name, and its key.
    fn sign(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    /// A server with a certificate for `name` that lets in whom this authority has signed.
    fn serve(&self, name: &str) -> HttpDouble {
        self.serve_showing(&self.sign(name))
    }

    fn serve_showing(&self, (certificate, key): &(String, String)) -> HttpDouble {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.0.pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let known = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(known.build().unwrap())
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap();
        let config = Arc::new(config);
        HttpDouble::start_speaking(
            |_| json(GROUP),
            move |socket| {
                Box::new(StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), socket))
            },
        )
    }
}

fn by(server: SocketAddr, tls: ClientTls, proxy: ProxyOptions) -> Finding {
    let client = ClientOptions { tls, proxy, ..ClientOptions::default() };
    let url = format!("https://{server}/");
    Finding::by(Discovery::Http { url, refresh: Duration::from_secs(2), client })
}

/// What a client shows and trusts, in files.
fn files(folder: &tempfile::TempDir, authority: &Authority) -> ClientTls {
    let (certificate, key) = authority.sign("client");
    let put = |name: &str, text: &str| -> Option<Credential> {
        let path: PathBuf = folder.path().join(name);
        fs::write(&path, text).unwrap();
        Some(Credential::File(path))
    };
    ClientTls {
        ca: put("ca.pem", &authority.0.pem()),
        cert: put("cert.pem", &certificate),
        key: put("key.pem", &key),
        server_name: Some("gate.example".into()),
        ..ClientTls::default()
    }
}

#[test]
fn both_sides_show_who_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let server = authority.serve("gate.example");
    let tls = files(&folder, &authority);
    by(server.address, tls.clone(), ProxyOptions::default()).wait_for(&["a:1"]);

    // Renewed files are read.
    let stranger = Authority::new();
    let mut finding = {
        fs::write(folder.path().join("ca.pem"), stranger.0.pem()).unwrap();
        by(server.address, tls.clone(), ProxyOptions::default())
    };
    finding.wait_for_failures("http", 2);
    fs::write(folder.path().join("ca.pem"), authority.0.pem()).unwrap();
    finding.wait_for(&["a:1"]);

    for bad in [
        ClientTls { server_name: None, ..tls.clone() },
        ClientTls { cert: None, key: None, ..tls.clone() },
        ClientTls { ca: None, ..tls.clone() },
    ] {
        by(server.address, bad, ProxyOptions::default()).wait_for_failures("http", 1);
    }
    let careless = ClientTls { ca: None, server_name: None, insecure_skip_verify: true, ..tls };
    by(server.address, careless, ProxyOptions::default()).wait_for(&["a:1"]);
}

#[test]
fn a_server_may_show_the_very_authority_that_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["gate.example".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let itself = (params.self_signed(&key).unwrap().pem(), key.serialize_pem());
    let server = authority.serve_showing(&itself);
    let tls = ClientTls { ca: Some(Credential::Text(itself.0)), ..files(&folder, &authority) };
    by(server.address, tls.clone(), ProxyOptions::default()).wait_for(&["a:1"]);
    let other_name = ClientTls { server_name: Some("a.example".into()), ..tls };
    by(server.address, other_name, ProxyOptions::default()).wait_for_failures("http", 1);
}

#[test]
fn a_proxy_over_tls_is_asked_in_the_servers_place() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let proxy = authority.serve("gate.example");
    let options =
        ProxyOptions { url: Some(format!("https://u:p@{}", proxy.address)), ..ProxyOptions::default() };
    let client =
        ClientOptions { tls: files(&folder, &authority), proxy: options, ..ClientOptions::default() };
    let url = "http://nowhere.example/sd".into();
    Finding::by(Discovery::Http { url, refresh: Duration::from_secs(2), client }).wait_for(&["a:1"]);
    let request = &proxy.seen()[0];
    assert_eq!(request.target, "http://nowhere.example/sd");
    assert_eq!(request.header("proxy-authorization"), Some("Basic dTpw"));
}

#[test]
fn a_proxy_makes_a_tunnel() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let server = authority.serve("gate.example");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, saw) = std::sync::mpsc::channel();
    // It ends with the test's process.
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut down = BufReader::new(socket.unwrap());
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && down.read_line(&mut head).unwrap_or(0) > 0 {}
            let to = head.split_whitespace().nth(1).unwrap().to_owned();
            _ = asked.send(head);
            let mut up = TcpStream::connect(to).unwrap();
            down.get_mut().write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let (mut up_read, mut down_write) =
                (up.try_clone().unwrap(), down.get_ref().try_clone().unwrap());
            std::thread::spawn(move || _ = copy(&mut up_read, &mut down_write));
            std::thread::spawn(move || _ = copy(&mut down as &mut dyn Read, &mut up));
        }
    });
    let text = |text: &str| Credential::Text(text.into());
    let proxy = ProxyOptions {
        url: Some(format!("http://u:p@{address}")),
        connect_headers: vec![
            ("X-Tunnel".into(), vec![text("1"), text("2")]),
            ("User-Agent".into(), vec![text("gate/1")]),
            ("Host".into(), vec![text("elsewhere.example")]),
            ("Proxy-Authorization".into(), vec![text("Basic eDp5")]),
        ],
        ..ProxyOptions::default()
    };
    by(server.address, files(&folder, &authority), proxy).wait_for(&["a:1"]);
    let head = saw.recv().unwrap().to_lowercase();
    let (server, mut lines) = (server.address, head.trim_end().split("\r\n"));
    assert_eq!(lines.next(), Some(&*format!("connect {server} http/1.1")));
    let mut headers: Vec<&str> = lines.collect();
    headers.sort_unstable();
    let expected =
        format!("host: {server}|proxy-authorization: basic dtpw|user-agent: gate/1|x-tunnel: 1|x-tunnel: 2");
    assert_eq!(headers.join("|"), expected);
}
