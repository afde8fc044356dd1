//! TLS of a client: what is configured, made into what rustls needs, again when its files change.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use crate::scrape::{ClientTls, Credential};

use super::ClientError;
use super::secret;

/// Configurations of one client.
#[derive(Debug)]
pub(super) struct Tls {
    options: ClientTls,
    made: Mutex<Option<(Files, Arc<ClientConfig>)>>,
}

/// What the configuration was made of.
#[derive(PartialEq, Eq, Debug)]
struct Files {
    ca: Option<String>,
    cert: Option<String>,
    key: Option<String>,
}

impl Tls {
    pub(super) fn new(options: ClientTls) -> Tls {
        Tls { options, made: Mutex::new(None) }
    }

    /// The configuration as the files are now.
    pub(super) fn config(&self) -> Result<Arc<ClientConfig>, ClientError> {
        let read = |of: &Option<Credential>| of.as_ref().map(secret).transpose();
        let files = Files {
            ca: read(&self.options.ca)?,
            cert: read(&self.options.cert)?,
            key: read(&self.options.key)?,
        };
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, config)) = made.as_ref()
            && *of == files
        {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(self.make(&files)?);
        *made = Some((files, Arc::clone(&config)));
        Ok(config)
    }

    /// The name that the server's certificate must have.
    pub(super) fn server_name(&self, host: &str) -> Result<ServerName<'static>, ClientError> {
        let name = self.options.server_name.as_deref().unwrap_or(host);
        let name = name.trim_start_matches('[').trim_end_matches(']').to_owned();
        ServerName::try_from(name.clone()).map_err(|e| ClientError::Certificates(format!("{name}: {e}")))
    }

    fn make(&self, files: &Files) -> Result<ClientConfig, ClientError> {
        let provider = Arc::new(ring::default_provider());
        let versions = match (self.options.min_tls13, self.options.max_tls12) {
            (true, _) => vec![&rustls::version::TLS13],
            (false, true) => vec![&rustls::version::TLS12],
            (false, false) => vec![&rustls::version::TLS13, &rustls::version::TLS12],
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .map_err(unsound)?;
        let builder = if self.options.insecure_skip_verify {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Credulous(provider)))
        } else {
            builder.with_root_certificates(roots(files.ca.as_deref())?)
        };
        let mut config = match (&files.cert, &files.key) {
            (Some(cert), Some(key)) => {
                let chain = certificates(cert)?;
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(unsound)?;
                builder.with_client_auth_cert(chain, key).map_err(unsound)?
            }
            (None, None) => builder.with_no_client_auth(),
            _ => return Err(ClientError::Certificates("a certificate and its key go together".to_owned())),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// Whom to trust: those named, else those that the system trusts.
fn roots(ca: Option<&str>) -> Result<RootCertStore, ClientError> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(ca) => {
            for certificate in certificates(ca)? {
                roots.add(certificate).map_err(unsound)?;
            }
        }
        None => {
            let system = rustls_native_certs::load_native_certs();
            let (_, _) = roots.add_parsable_certificates(system.certs);
        }
    }
    Ok(roots)
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().map_err(unsound)?;
    if found.is_empty() {
        return Err(ClientError::Certificates("there is no certificate where one should be".to_owned()));
    }
    Ok(found)
}

fn unsound(error: impl std::fmt::Display) -> ClientError {
    ClientError::Certificates(error.to_string())
}

/// Takes any certificate: `insecure_skip_verify`. The handshake must be sound nevertheless.
#[derive(Debug)]
struct Credulous(Arc<CryptoProvider>);

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
