//! TLS of a listener: what is configured, made into what rustls needs, read again when its files change.

use std::fmt::{self, Debug, Display, Formatter};
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CipherSuite, DigitallySignedStruct, DistinguishedName, Error, NamedGroup, RootCertStore, ServerConfig,
    SignatureScheme, SupportedCipherSuite, SupportedProtocolVersion,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};

/// TLS as Prometheus's exporter toolkit configures it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsOptions {
    /// The certificate and those that sign it.
    pub cert: Pem,
    /// Its key.
    pub key: Pem,
    /// What is asked of clients.
    pub client_auth: ClientAuth,
    /// Who signs clients' certificates.
    pub client_ca: Option<Pem>,
    /// The oldest version.
    pub min_version: TlsVersion,
    /// The newest version.
    pub max_version: TlsVersion,
    /// Suites of TLS 1.2, in order; empty is all. TLS 1.3 always has all of its own.
    pub cipher_suites: Vec<CipherSuite>,
    /// Key exchange groups, in order; empty is all.
    pub curves: Vec<NamedGroup>,
    /// The server's order of suites counts, not the client's.
    pub prefer_server_cipher_suites: bool,
}

/// Where certificates or a key are, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// In a file, read again when it changes.
    File(PathBuf),
    /// In the configuration. Never printed.
    Text(String),
}

/// What is asked of clients.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum ClientAuth {
    /// Nothing.
    #[default]
    None,
    /// A certificate, if they like; any.
    Request,
    /// Any certificate.
    RequireAny,
    /// A certificate, if they like, that a CA has signed.
    VerifyIfGiven,
    /// A certificate that a CA has signed.
    RequireAndVerify,
}

/// A version of TLS.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TlsVersion {
    /// TLS 1.2
    Tls12,
    /// TLS 1.3
    Tls13,
}

/// Which file of [`TlsOptions`] is at fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TlsPart {
    /// `cert_file` or `cert`
    Certificate,
    /// `key_file` or `key`
    Key,
    /// `client_ca_file` or `client_ca`
    ClientCa,
    /// `client_auth_type`
    ClientAuth,
    /// What is said together.
    All,
}

/// Why TLS cannot be had as configured.
#[derive(Debug)]
pub struct TlsError {
    /// What is at fault.
    pub part: TlsPart,
    /// Why.
    pub message: String,
}

impl ClientAuth {
    /// By the names of Go and of the exporter toolkit.
    pub const ALL: [(&'static str, ClientAuth); 6] = [
        ("NoClientCert", ClientAuth::None),
        ("RequestClientCert", ClientAuth::Request),
        ("RequireAnyClientCert", ClientAuth::RequireAny),
        ("RequireClientCert", ClientAuth::RequireAny),
        ("VerifyClientCertIfGiven", ClientAuth::VerifyIfGiven),
        ("RequireAndVerifyClientCert", ClientAuth::RequireAndVerify),
    ];

    /// Whether a certificate that is shown must be signed by a CA.
    pub(super) fn verifies(self) -> bool {
        matches!(self, ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify)
    }
}

impl TlsOptions {
    /// The defaults of the exporter toolkit.
    pub fn new(cert: Pem, key: Pem) -> TlsOptions {
        TlsOptions {
            cert,
            key,
            client_auth: ClientAuth::None,
            client_ca: None,
            min_version: TlsVersion::Tls12,
            max_version: TlsVersion::Tls13,
            cipher_suites: Vec::new(),
            curves: Vec::new(),
            prefer_server_cipher_suites: true,
        }
    }

    /// The suite of TLS 1.2 or 1.3 that Go calls so, if there is one here. What is not: everything without forward
    /// secrecy and authenticated encryption.
    pub fn suite(name: &str) -> Option<CipherSuite> {
        let mut suites = ring::ALL_CIPHER_SUITES.iter().map(SupportedCipherSuite::suite);
        suites.find(|suite| {
            let ours = format!("{suite:?}");
            // rustls calls the suites of TLS 1.3 TLS13_...; Go has short names for two.
            ours == name
                || ours.replace("TLS13_", "TLS_") == name
                || ours.strip_suffix("_SHA256") == Some(name)
        })
    }

    /// The key exchange group that Go calls so, if it is here.
    pub fn curve(name: &str) -> Option<NamedGroup> {
        match name {
            "X25519" => Some(NamedGroup::X25519),
            "CurveP256" => Some(NamedGroup::secp256r1),
            "CurveP384" => Some(NamedGroup::secp384r1),
            _ => None,
        }
    }

    /// Reads the files.
    ///
    /// # Errors
    /// What cannot be read, is not what it should be, or does not fit together.
    pub fn load(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let provider = Arc::new(self.provider());
        let versions = self.versions();
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .map_err(|e| TlsError { part: TlsPart::All, message: e.to_string() })?;
        let builder = match self.client_verifier(Arc::clone(&provider))? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let certificates = self.cert.certificates(TlsPart::Certificate)?;
        let key = self.private_key()?;
        // Else a key that is too weak would be called the certificate's fault.
        let supported = provider.key_provider.load_private_key(key.clone_key());
        supported.map_err(|_| self.key.bad(TlsPart::Key, UNSUPPORTED_KEY))?;
        let mut config = builder.with_single_cert(certificates, key).map_err(|e| match e {
            Error::InconsistentKeys(_) => self.key.bad(TlsPart::Key, "is not the certificate's key"),
            e => self.cert.bad(TlsPart::Certificate, &e.to_string()),
        })?;
        config.alpn_protocols = vec![b"http/1.1".to_vec(), b"http/1.0".to_vec()];
        config.ignore_client_order = self.prefer_server_cipher_suites;
        Ok(Arc::new(config))
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        let text = self.key.read(TlsPart::Key)?;
        // PKCS #8 says so in its title, the older forms in a header.
        let is_encrypted = ["BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"]
            .iter()
            .any(|mark| memchr::memmem::find(&text, mark.as_bytes()).is_some());
        PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
            let why = if is_encrypted { ENCRYPTED_KEY } else { "has no private key" };
            self.key.bad(TlsPart::Key, why)
        })
    }

    fn versions(&self) -> Vec<&'static SupportedProtocolVersion> {
        let known =
            [(TlsVersion::Tls13, &rustls::version::TLS13), (TlsVersion::Tls12, &rustls::version::TLS12)];
        let wanted = self.min_version..=self.max_version;
        known.into_iter().filter(|(version, _)| wanted.contains(version)).map(|(_, v)| v).collect()
    }

    fn provider(&self) -> CryptoProvider {
        let mut provider = ring::default_provider();
        if !self.cipher_suites.is_empty() {
            let all = std::mem::take(&mut provider.cipher_suites);
            let (newer, older): (Vec<_>, Vec<_>) = all.into_iter().partition(|suite| suite.tls13().is_some());
            let chosen =
                self.cipher_suites.iter().filter_map(|name| older.iter().find(|s| s.suite() == *name));
            provider.cipher_suites = newer.into_iter().chain(chosen.copied()).collect();
        }
        if !self.curves.is_empty() {
            let all = std::mem::take(&mut provider.kx_groups);
            let chosen = self.curves.iter().filter_map(|name| all.iter().find(|group| group.name() == *name));
            provider.kx_groups = chosen.copied().collect();
        }
        provider
    }

    fn client_verifier(
        &self,
        provider: Arc<CryptoProvider>,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
        let together = |message: &str| TlsError { part: TlsPart::ClientCa, message: message.to_owned() };
        let mut roots = RootCertStore::empty();
        match &self.client_ca {
            Some(_) if self.client_auth == ClientAuth::None => {
                return Err(together("client_ca is set, and client_auth_type asks for no certificate"));
            }
            Some(ca) => {
                for certificate in ca.certificates(TlsPart::ClientCa)? {
                    roots.add(certificate).map_err(|e| ca.bad(TlsPart::ClientCa, &e.to_string()))?;
                }
            }
            None if self.client_auth.verifies() => {
                let message = "verifies certificates, and there is no client_ca_file".to_owned();
                return Err(TlsError { part: TlsPart::ClientAuth, message });
            }
            None => {}
        }
        let mandatory = self.client_auth == ClientAuth::RequireAny;
        let any = || -> Arc<dyn ClientCertVerifier> {
            Arc::new(AnyCertificate { provider: Arc::clone(&provider), mandatory })
        };
        let verified = |optional: bool| {
            let builder =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots.clone()), Arc::clone(&provider));
            let builder = if optional { builder.allow_unauthenticated() } else { builder };
            builder.build().map_err(|e| together(&e.to_string()))
        };
        Ok(match self.client_auth {
            ClientAuth::None => None,
            ClientAuth::Request | ClientAuth::RequireAny => Some(any()),
            ClientAuth::VerifyIfGiven => Some(verified(true)?),
            ClientAuth::RequireAndVerify => Some(verified(false)?),
        })
    }

    fn files(&self) -> impl Iterator<Item = &Path> {
        [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()].into_iter().flatten().filter_map(|pem| {
            match pem {
                Pem::File(file) => Some(file.as_path()),
                Pem::Text(_) => None,
            }
        })
    }

    fn stamps(&self) -> Vec<Option<Stamp>> {
        self.files().map(|file| fs::metadata(file).ok().map(|found| Stamp::of(&found))).collect()
    }
}

/// How a file looked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
}

impl Stamp {
    fn of(found: &Metadata) -> Stamp {
        Stamp { modified: found.modified().ok(), bytes: found.len() }
    }
}

/// TLS that follows its files: whoever renews a certificate need not tell anybody.
#[derive(Debug)]
pub(in crate::serve) struct Tls {
    options: TlsOptions,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    config: Arc<ServerConfig>,
    stamps: Vec<Option<Stamp>>,
    looked_ns: u64,
}

/// How often handshakes look whether the files have changed, and requests those of tokens.
pub(super) const LOOK_NS: u64 = 2_000_000_000;

impl Tls {
    pub(in crate::serve) fn new(options: &TlsOptions) -> Result<Tls, TlsError> {
        // Looked at before they are read: a change in between is seen as one later.
        let stamps = options.stamps();
        let config = options.load()?;
        Ok(Tls { options: options.clone(), current: Mutex::new(Current { config, stamps, looked_ns: 0 }) })
    }

    /// What the next handshake is made with.
    pub(in crate::serve) fn config(&self, now_ns: u64) -> Arc<ServerConfig> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if now_ns >= current.looked_ns + LOOK_NS {
            current.looked_ns = now_ns;
            let stamps = self.options.stamps();
            if stamps != current.stamps {
                current.stamps = stamps;
                match self.options.load() {
                    Ok(config) => {
                        current.config = config;
                        tracing::info!(certificate = %self.options.cert, "certificate read again");
                    }
                    // Half renewed, for example: once the other file has changed, too, it is tried again.
                    Err(error) => tracing::warn!(
                        error = error.message,
                        "changed certificate not taken: the one before stays"
                    ),
                }
            }
        }
        Arc::clone(&current.config)
    }
}

impl Pem {
    fn read(&self, part: TlsPart) -> Result<Vec<u8>, TlsError> {
        let file = match self {
            Pem::Text(text) => return Ok(text.as_bytes().to_vec()),
            Pem::File(file) => file,
        };
        let found = fs::metadata(file).and_then(|found| {
            if found.len() > PEM_BYTES_MAX { Err(io::ErrorKind::FileTooLarge.into()) } else { fs::read(file) }
        });
        found.map_err(|e| TlsError { part, message: format!("{self}: {e}") })
    }

    fn certificates(&self, part: TlsPart) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let text = self.read(part)?;
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<_, _>>()
            .map_err(|e| self.bad(part, &format!("is no PEM: {e}")))?;
        if certificates.is_empty() { Err(self.bad(part, "has no certificate")) } else { Ok(certificates) }
    }

    fn bad(&self, part: TlsPart, why: &str) -> TlsError {
        TlsError { part, message: format!("{self} {why}") }
    }
}

impl Display for Pem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Pem::File(file) => write!(f, "{}", file.display()),
            Pem::Text(_) => f.write_str("the text"),
        }
    }
}

impl Debug for Pem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Pem::File(file) => write!(f, "File({file:?})"),
            Pem::Text(_) => f.write_str("<secret>"),
        }
    }
}

/// Takes whatever certificate a client shows, if it has the key: who looks at it is for others.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
    mandatory: bool,
}

impl ClientCertVerifier for AnyCertificate {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl Display for TlsError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TlsError {}

const ENCRYPTED_KEY: &str =
    "is encrypted: it must be readable without a passphrase (openssl pkey -in ... -out ...)";

const UNSUPPORTED_KEY: &str =
    "is of a kind that is not supported: RSA of 2048 to 8192 bits, ECDSA on P-256 or P-384, and Ed25519 are";

const PEM_BYTES_MAX: u64 = 4 << 20;
