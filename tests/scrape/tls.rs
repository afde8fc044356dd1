//! Targets that speak TLS: whom to trust, and who we are.

use std::net::SocketAddr;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tidegate::scrape::status::Health;
use tidegate::scrape::{ClientOptions, ClientTls, Credential, Job, Scheme};

use super::gateway::{Gateway, job};
use super::target::{Target, text};

pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, PEM.
pub(crate) struct Identity {
    certificate: String,
    key: String,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn sign(&self, name: &str) -> Identity {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// Itself, as a server may show it: `openssl req -x509` makes such ones.
    fn showing_itself(name: &str, to_year: i32) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = date_time_ymd(to_year, 1, 1);
        let certificate = params.self_signed(&key).unwrap();
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    pub(crate) fn trusted(&self) -> Option<Credential> {
        Some(Credential::Text(self.0.pem()))
    }
}

/// How a server speaks TLS with this certificate, which asks for one that `clients` has signed.
pub(crate) fn speaking(identity: &Identity, clients: Option<&Authority>) -> Arc<ServerConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(authority.0.pem().as_bytes()).unwrap()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
    };
    let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    Arc::new(builder.with_single_cert(chain, key).unwrap())
}

/// A target with this certificate, which asks for one that `clients` has signed.
pub(crate) fn target(identity: &Identity, clients: Option<&Authority>) -> Target {
    let config = speaking(identity, clients);
    let body: String = (0..2000).map(|n| format!("a{{n=\"{n}\"}} {n}\n")).collect();
    let answer = text(&body);
    Target::speaking(
        move |socket| {
            let session = ServerConnection::new(Arc::clone(&config)).unwrap();
            Box::new(StreamOwned::new(session, socket))
        },
        move |_| answer.clone(),
    )
}

fn https(name: &str, address: SocketAddr, tls: ClientTls) -> Job {
    let interval = std::time::Duration::from_secs(1);
    let client = ClientOptions { tls, ..ClientOptions::default() };
    Job { scheme: Scheme::Https, client, interval, timeout: interval, ..job(name, address) }
}

#[test]
fn a_target_is_trusted_by_its_authority_and_name() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let by_address = target(&authority.sign("127.0.0.1"), None);
    let by_name = target(&authority.sign("metrics.example"), None);
    let trusting = |authority: &Authority| ClientTls { ca: authority.trusted(), ..ClientTls::default() };
    let named = ClientTls { server_name: Some("metrics.example".into()), ..trusting(&authority) };
    let skip = ClientTls { insecure_skip_verify: true, ..ClientTls::default() };
    let good = [
        https("address", by_address.address, trusting(&authority)),
        https("tls 1.2", by_address.address, ClientTls { max_tls12: true, ..trusting(&authority) }),
        https("tls 1.3", by_address.address, ClientTls { min_tls13: true, ..trusting(&authority) }),
        https("name", by_name.address, named),
        https("unverified", by_name.address, skip),
    ];
    let bad = [
        https("stranger", by_address.address, trusting(&stranger)),
        https("other name", by_name.address, trusting(&authority)),
        https("system", by_address.address, ClientTls::default()),
    ];
    let gateway = Gateway::start();
    gateway.scrape(good.iter().chain(&bad).cloned().collect());
    for job in &good {
        gateway.wait_for(job, Health::Up);
    }
    for job in &bad {
        let error = gateway.wait_for(job, Health::Down);
        assert!(error.contains("tls: "), "{}: {error}", job.name);
    }
}

#[test]
fn a_target_may_show_the_very_authority_that_is_trusted() {
    let itself = Authority::showing_itself("metrics.example", 2100);
    let (expired, stranger) = (
        Authority::showing_itself("metrics.example", 2000),
        Authority::showing_itself("metrics.example", 2100),
    );
    let trusting = |name: &str| ClientTls {
        ca: Some(Credential::Text(format!("{}{}", itself.certificate, expired.certificate))),
        server_name: Some(name.into()),
        ..ClientTls::default()
    };
    let (target_itself, target_expired, target_stranger) =
        (target(&itself, None), target(&expired, None), target(&stranger, None));
    let good = [
        https("1.3", target_itself.address, trusting("metrics.example")),
        https("1.2", target_itself.address, ClientTls { max_tls12: true, ..trusting("metrics.example") }),
    ];
    let bad = [
        (https("name", target_itself.address, trusting("a.example")), "not valid for name \"a.example\""),
        (https("expired", target_expired.address, trusting("metrics.example")), "certificate expired"),
        (
            https("stranger", target_stranger.address, trusting("metrics.example")),
            "not itself one of those in",
        ),
    ];
    let gateway = Gateway::start();
    gateway.scrape(good.iter().chain(bad.iter().map(|(job, _)| job)).cloned().collect());
    for job in &good {
        gateway.wait_for(job, Health::Up);
    }
    for (job, why) in &bad {
        let error = gateway.wait_for(job, Health::Down);
        assert!(error.contains(why) && !error.contains("OtherError"), "{}: {error}", job.name);
    }
}

#[test]
fn a_client_shows_its_certificate_and_files_are_read_again() {
    let (authority, ours) = (Authority::new(), Authority::new());
    let guarded = target(&authority.sign("127.0.0.1"), Some(&ours));
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        Some(Credential::File(path))
    };
    // First one that the target does not know.
    let (wrong, right) = (Authority::new().sign("client"), ours.sign("client"));
    let tls = ClientTls {
        ca: file("ca", &authority.0.pem()),
        cert: file("cert", &wrong.certificate),
        key: file("key", &wrong.key),
        ..ClientTls::default()
    };
    let gateway = Gateway::start();
    let job = https("j", guarded.address, tls);
    gateway.scrape(vec![job.clone()]);
    gateway.wait_for(&job, Health::Down);
    file("cert", &format!("{}\n", right.certificate));
    file("key", &format!("{}\n", right.key));
    gateway.wait_for(&job, Health::Up);
    assert_eq!(gateway.metric("tidegate_scrape_targets"), 1.0);
}

/// What a worker's connection was made of may change while the target keeps it: the next scrape asks the files.
#[test]
fn a_connection_does_not_outlive_the_files_it_was_made_of() {
    let (authority, stranger, ours) = (Authority::new(), Authority::new(), Authority::new());
    let guarded = target(&authority.sign("127.0.0.1"), Some(&ours));
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    // In place of the old one, as whoever renews certificates does it.
    let renew = |name: &str, text: &str| {
        std::fs::write(path("next"), text).unwrap();
        std::fs::rename(path("next"), path(name)).unwrap();
        Some(Credential::File(path(name)))
    };
    let (client, unknown) = (ours.sign("client"), stranger.sign("client"));
    let tls = ClientTls {
        ca: renew("ca.pem", &authority.0.pem()),
        cert: renew("cert.pem", &client.certificate),
        key: renew("key.pem", &client.key),
        ..ClientTls::default()
    };
    let gateway = Gateway::start();
    let job = https("j", guarded.address, tls);
    gateway.scrape(vec![job.clone()]);
    gateway.wait_for(&job, Health::Up);
    guarded.watch().wait_for(2);
    assert_eq!(guarded.connections(), 1, "what has not changed keeps the connection");

    renew("ca.pem", &stranger.0.pem());
    let error = gateway.wait_for(&job, Health::Down);
    assert!(error.contains("tls: "), "{error}");
    renew("ca.pem", &authority.0.pem());
    gateway.wait_for(&job, Health::Up);

    // One that the target does not know, while the connection it was shown the other on still lives.
    renew("key.pem", &unknown.key);
    renew("cert.pem", &unknown.certificate);
    gateway.wait_for(&job, Health::Down);
    renew("key.pem", &client.key);
    renew("cert.pem", &client.certificate);
    gateway.wait_for(&job, Health::Up);
    std::fs::remove_file(path("ca.pem")).unwrap();
    let error = gateway.wait_for(&job, Health::Down);
    assert!(error.contains("tls: ca_file: unable to read file"), "{error}");
}
