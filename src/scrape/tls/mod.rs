//! TLS towards targets and what finds them: what is configured, made into what rustls needs, anew when its files
//! change.
//!
//! Keeps: what is said of a part that is unsound names its key as it is written in the configuration, and its file.

mod terms;
mod verifier;

pub(super) use verifier::spoken;

use std::fmt::{self, Display, Formatter};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::ring;
use rustls::{ClientConfig, InconsistentKeys, RootCertStore, SupportedProtocolVersion};
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
    /// Of the files when they were read.
    stamps: FileStamps,
    config: Arc<ClientConfig>,
}

/// The files of some options, as the system described them at a moment: other files have another stamp.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct FileStamps([Option<Stamp>; 3]);

/// What changes when a file does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    modified: (i64, i64),
    inode: u64,
    len_bytes: u64,
}

/// Options that are remembered; past it, which takes as many reloads with other ones, all are made anew.
const MADE_MAX: usize = 256;

impl TlsConfigs {
    /// How a server is spoken to with these options.
    ///
    /// # Errors
    /// A file that cannot be read, or is not what it should be.
    pub(super) fn get(&mut self, options: &ClientTls) -> Result<Arc<ClientConfig>, String> {
        // Looked at before they are read: what is written meanwhile is read the next time.
        let stamps = FileStamps::of(options);
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

impl FileStamps {
    /// Looks at the files, which costs about a microsecond each; where there are none, nothing.
    pub(super) fn of(options: &ClientTls) -> FileStamps {
        FileStamps([&options.ca, &options.cert, &options.key].map(|part| match part {
            Some(Credential::File(path)) => fs::metadata(path).ok().map(|metadata| Stamp {
                modified: (metadata.mtime(), metadata.mtime_nsec()),
                inode: metadata.ino(),
                len_bytes: metadata.len(),
            }),
            _ => None,
        }))
    }
}

/// A part of the options, as whoever wrote it knows it: `ca`, or `ca_file` and the file's name.
struct Part<'a>(&'static str, &'a Credential);

impl Display for Part<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key())?;
        match self.1 {
            Credential::Text(_) => Ok(()),
            Credential::File(path) => write!(f, " {}", path.display()),
        }
    }
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
                let part = Part("ca", ca);
                let configured = part.certificates()?;
                (Arc::new(roots_of(&configured, &part)?), configured)
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
            let (cert, key) = (Part("cert", cert), Part("key", key));
            let chain = cert.certificates()?;
            let private = PrivateKeyDer::from_pem_slice(&key.read()?)
                .map_err(|_| format!("tls: {key} holds no private key"))?;
            builder.with_client_auth_cert(chain, private).map_err(|error| match error {
                rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                    format!("tls: {key} is not the key of the certificate in {cert}")
                }
                error => format!("tls: {cert}, {key}: {error}"),
            })
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

fn roots_of(certificates: &[CertificateDer<'static>], part: &Part<'_>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.clone()).map_err(|error| format!("tls: {part}: {error}"))?;
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

impl Part<'_> {
    fn read(&self) -> Result<Vec<u8>, String> {
        // Of a file that can't be read the name is said there.
        self.1.read().map_err(|why| format!("tls: {}: {why}", self.key()))
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.read()?).collect();
        match found {
            Ok(found) if !found.is_empty() => Ok(found),
            _ => Err(format!("tls: {self} holds no certificate")),
        }
    }

    /// The key that it is written under.
    fn key(&self) -> String {
        let file = if matches!(self.1, Credential::File(_)) { "_file" } else { "" };
        format!("{}{file}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate and its key.
    fn pair() -> (String, String) {
        let signed = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        (signed.cert.pem(), signed.signing_key.serialize_pem())
    }

    #[test]
    fn what_is_wrong_with_a_file_names_its_key_and_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let file = |name: &str, text: &str| {
            std::fs::write(path(name), text).unwrap();
            Some(Credential::File(path(name).into()))
        };
        let text = |text: &str| Some(Credential::Text(text.into()));
        let ((cert, key), (other, _)) = (pair(), pair());
        let (no_ca, no_pem) = (file("ca.pem", "not PEM"), file("n.pem", "not PEM"));
        let (cert_file, key_file, other_file) =
            (file("c.pem", &cert), file("k.pem", &key), file("o.pem", &other));
        let none = Some(Credential::File(path("none").into()));
        let (k, o, n) = (path("k.pem"), path("o.pem"), path("n.pem"));
        for (ca, cert, key, why) in [
            (no_ca, None, None, format!("tls: ca_file {} holds no certificate", path("ca.pem"))),
            (text("x"), None, None, "tls: ca holds no certificate".to_owned()),
            (None, no_pem.clone(), key_file.clone(), format!("tls: cert_file {n} holds no certificate")),
            (None, cert_file.clone(), no_pem, format!("tls: key_file {n} holds no private key")),
            (
                None,
                other_file,
                key_file.clone(),
                format!("tls: key_file {k} is not the key of the certificate in cert_file {o}"),
            ),
            (None, text(&other), text(&key), "tls: key is not the key of the certificate in cert".to_owned()),
            (
                None,
                none,
                key_file,
                format!(
                    "tls: cert_file: unable to read file {}: No such file or directory (os error 2)",
                    path("none")
                ),
            ),
            (
                None,
                cert_file,
                file("k2.pem", &cert),
                format!("tls: key_file {} holds no private key", path("k2.pem")),
            ),
        ] {
            let options = ClientTls { ca, cert, key, ..ClientTls::default() };
            assert_eq!(TlsConfigs::default().get(&options).unwrap_err(), why);
        }
    }

    #[test]
    fn files_that_change_have_another_stamp_whatever_their_times_say() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let options = ClientTls { ca: Some(Credential::File(path.clone())), ..ClientTls::default() };
        let none = FileStamps::of(&options);
        std::fs::write(&path, "one").unwrap();
        let first = FileStamps::of(&options);
        assert_ne!(first, none);
        assert_eq!(first, FileStamps::of(&options));
        // Another file of the same length and times takes its place, as with `cp -p` and `mv`.
        let (next, modified) = (folder.path().join("next"), path.metadata().unwrap().modified().unwrap());
        std::fs::write(&next, "two").unwrap();
        std::fs::File::options().write(true).open(&next).unwrap().set_modified(modified).unwrap();
        std::fs::rename(&next, &path).unwrap();
        assert_ne!(first, FileStamps::of(&options));
        let text = ClientTls { ca: Some(Credential::Text("x".into())), ..ClientTls::default() };
        assert_eq!(FileStamps::of(&text), FileStamps::default());
    }

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
