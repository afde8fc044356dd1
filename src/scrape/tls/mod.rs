//! TLS towards targets and what finds them: what is configured, made into what rustls needs, anew when its files
//! change.

mod terms;
mod verifier;

pub(super) use verifier::spoken;

use std::fs;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use super::job::{ClientTls, Credential};
use verifier::{Anybody, Verifier};

/// What was made of options: few, and asked for at each new connection only.
#[derive(Default, Debug)]
pub(super) struct TlsConfigs(Vec<Made>);

#[derive(Debug)]
struct Made {
    options: ClientTls,
    /// Of each file when it was read.
    stamps: Vec<Option<Stamp>>,
    config: Arc<ClientConfig>,
}

/// What changes when a file does.
type Stamp = (SystemTime, u64);

/// Options that are remembered; past it, which takes as many reloads with other ones, all are made anew.
const MADE_MAX: usize = 256;

impl TlsConfigs {
    /// How a server is spoken to with these options.
    ///
    /// # Errors
    /// A file that cannot be read, or is not what it should be.
    pub(super) fn get(&mut self, options: &ClientTls) -> Result<Arc<ClientConfig>, String> {
        let stamps = stamps(options);
        let known = self.0.iter().position(|made| made.options == *options);
        if let Some(known) = known {
            if self.0[known].stamps == stamps {
                return Ok(Arc::clone(&self.0[known].config));
            }
            self.0.swap_remove(known);
        } else if self.0.len() == MADE_MAX {
            self.0.clear();
        }
        let config = Arc::new(load(options)?);
        self.0.push(Made { options: options.clone(), stamps, config: Arc::clone(&config) });
        Ok(config)
    }
}

/// The name that a server's certificate must have.
///
/// # Errors
/// It can be the name of no server.
pub(super) fn server_name(options: &ClientTls, host: &str) -> Result<ServerName<'static>, String> {
    let name = options.server_name.as_deref().filter(|name| !name.is_empty()).unwrap_or(host);
    ServerName::try_from(name.to_owned()).map_err(|_| format!("tls: {name:?} is no name of a server"))
}

fn stamps(options: &ClientTls) -> Vec<Option<Stamp>> {
    let files = [&options.ca, &options.cert, &options.key].into_iter().filter_map(|part| match part {
        Some(Credential::File(path)) => Some(path),
        _ => None,
    });
    files.map(|path| fs::metadata(path).ok().and_then(|m| Some((m.modified().ok()?, m.len())))).collect()
}

fn load(options: &ClientTls) -> Result<ClientConfig, String> {
    if options.min_tls13 && options.max_tls12 {
        // As Prometheus has it: such a file is loaded, and nobody is spoken to.
        return Err(
            "tls: tls_config.max_version must be greater than or equal to tls_config.min_version".into()
        );
    }
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(options))
        .map_err(|error| format!("tls: {error}"))?;
    let verifier: Arc<dyn ServerCertVerifier> = if options.insecure_skip_verify {
        Arc::new(Anybody(provider))
    } else {
        let (roots, configured) = match &options.ca {
            Some(ca) => {
                let configured = certificates(&read(ca)?, "tls_config.ca")?;
                (Arc::new(roots_of(&configured)?), configured)
            }
            None => (system_roots(), Vec::new()),
        };
        let webpki = WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .map_err(|error| format!("tls: no certificate to trust: {error}"))?;
        Arc::new(Verifier::new(webpki, configured))
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    match (&options.cert, &options.key) {
        (Some(cert), Some(key)) => {
            let chain = certificates(&read(cert)?, "tls_config.cert")?;
            let key = PrivateKeyDer::from_pem_slice(&read(key)?)
                .map_err(|_| "tls: the client's key holds no private key".to_owned())?;
            builder.with_client_auth_cert(chain, key).map_err(|error| format!("tls: {error}"))
        }
        (None, None) => Ok(builder.with_no_client_auth()),
        _ => Err("tls: a certificate and its key go together".to_owned()),
    }
}

fn versions(options: &ClientTls) -> Vec<&'static SupportedProtocolVersion> {
    let mut versions = Vec::new();
    if !options.max_tls12 {
        versions.push(&rustls::version::TLS13);
    }
    if !options.min_tls13 {
        versions.push(&rustls::version::TLS12);
    }
    versions
}

fn roots_of(certificates: &[CertificateDer<'static>]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.clone()).map_err(|error| format!("tls: tls_config.ca: {error}"))?;
    }
    Ok(roots)
}

/// What the system trusts, read once.
fn system_roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let load = || {
        let found = rustls_native_certs::load_native_certs();
        found.errors.iter().for_each(|error| tracing::warn!(%error, "certificates of the system"));
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(found.certs);
        Arc::new(roots)
    };
    Arc::clone(ROOTS.get_or_init(load))
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(format!("tls: {what} holds no certificate")),
    }
}

fn read(part: &Credential) -> Result<Vec<u8>, String> {
    part.read().map_err(|why| format!("tls: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_exclude_each_other_are_named() {
        let options = ClientTls { min_tls13: true, max_tls12: true, ..ClientTls::default() };
        let error = TlsConfigs::default().get(&options).unwrap_err();
        assert!(
            error.contains("tls_config.max_version") && error.contains("tls_config.min_version"),
            "{error}"
        );
    }
}
