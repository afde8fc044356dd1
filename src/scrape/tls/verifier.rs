//! Whether a server is who it says it is.
//!
//! Comes in: the certificates that a server shows. Goes out: taken, or why not. webpki decides, with one exception: it
//! refuses a server that shows an authority's certificate, and `openssl req -x509` makes no others. Such a certificate
//! is taken if it stands in the file of authorities itself, byte for byte: whoever put it there meant this server.

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::terms::Terms;

/// Takes what webpki takes, and authorities' certificates that are configured themselves.
#[derive(Debug)]
pub(super) struct Verifier {
    webpki: Arc<WebPkiServerVerifier>,
    /// Those of the configured file; none of the system's.
    configured: Vec<CertificateDer<'static>>,
}

impl Verifier {
    pub(super) fn new(
        webpki: Arc<WebPkiServerVerifier>,
        configured: Vec<CertificateDer<'static>>,
    ) -> Verifier {
        Verifier { webpki, configured }
    }

    /// Whether the certificate of an authority may be this server's. The chain ends with it: its own signature would
    /// say nothing that the comparison does not.
    fn verify_authority(
        &self,
        shown: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        if !self.configured.contains(shown) {
            return Err(refuse(AuthorityRefused::NotConfigured));
        }
        let terms = Terms::read(shown).ok_or(CertificateError::BadEncoding)?;
        let now_s = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if now_s < terms.not_before_s {
            return Err(CertificateError::NotValidYet.into());
        }
        if now_s > terms.not_after_s {
            return Err(CertificateError::Expired.into());
        }
        if !terms.serves {
            return Err(refuse(AuthorityRefused::Purpose));
        }
        verify_server_name(&ParsedCertificate::try_from(shown)?, name)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.webpki.verify_server_cert(shown, between, name, ocsp, now) {
            Err(error) if is_authority(&error) => {
                self.verify_authority(shown, name, now).map(|()| ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

/// Whether the server showed an authority's certificate, and nothing else was found before that.
fn is_authority(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(OtherError(why))) = error else { return false };
    why.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity)
}

/// Why the certificate of an authority is not taken as a server's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum AuthorityRefused {
    NotConfigured,
    Purpose,
}

impl Display for AuthorityRefused {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AuthorityRefused::NotConfigured => {
                "the server's certificate is that of a certificate authority (CA:TRUE), \
                 and not itself one of those in ca or ca_file"
            }
            AuthorityRefused::Purpose => {
                "the certificate's extended key usage does not allow it for a server"
            }
        })
    }
}

impl std::error::Error for AuthorityRefused {}

fn refuse(why: AuthorityRefused) -> Error {
    CertificateError::Other(OtherError(Arc::new(why))).into()
}

/// An error of a session in words, where rustls has names of its own code.
pub(in crate::scrape) fn spoken(error: &Error) -> String {
    let why = match error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(why))) => why.to_string(),
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "certificate signed by unknown authority".to_owned()
        }
        Error::InvalidCertificate(CertificateError::Expired) => "certificate expired".to_owned(),
        Error::InvalidCertificate(CertificateError::NotValidYet) => "certificate not valid yet".to_owned(),
        other => return format!("tls: {other}"),
    };
    format!("tls: invalid peer certificate: {why}")
}

/// Takes whoever answers, as `insecure_skip_verify` asks.
#[derive(Debug)]
pub(super) struct Anybody(pub(super) Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd};
    use rustls::RootCertStore;
    use rustls::crypto::ring;

    /// An authority's certificate for `metrics.example`, from 2000 to 2039.
    fn authority(change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(["metrics.example".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2040, 1, 1);
        change(&mut params);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn trusting(roots: &[CertificateDer<'static>], configured: &[CertificateDer<'static>]) -> Verifier {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots.iter().cloned());
        let provider = Arc::new(ring::default_provider());
        let webpki = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build().unwrap();
        Verifier::new(webpki, configured.to_vec())
    }

    fn verdict(
        verifier: &Verifier,
        shown: &CertificateDer<'_>,
        name: &str,
        now: UnixTime,
    ) -> Result<(), String> {
        let name = ServerName::try_from(name).unwrap();
        match verifier.verify_server_cert(shown, &[], &name, &[], now) {
            Ok(_) => Ok(()),
            Err(error) => Err(spoken(&error)),
        }
    }

    fn at(year: i16) -> UnixTime {
        let date = jiff::civil::date(year, 6, 1).at(0, 0, 0, 0);
        let time = jiff::tz::Offset::UTC.to_timestamp(date).unwrap();
        UnixTime::since_unix_epoch(time.duration_since(jiff::Timestamp::UNIX_EPOCH).unsigned_abs())
    }

    #[test]
    fn an_authority_is_taken_for_a_server_where_it_is_configured_itself() {
        let [ours, other] = [authority(|_| ()), authority(|_| ())];
        let verifier = trusting(&[ours.clone(), other.clone()], &[other.clone(), ours.clone()]);
        for shown in [&ours, &other] {
            assert_eq!(verdict(&verifier, shown, "metrics.example", at(2025)), Ok(()));
        }
        // The system trusts it as an authority, which is less.
        let system = trusting(std::slice::from_ref(&ours), &[]);
        let stranger = trusting(std::slice::from_ref(&other), std::slice::from_ref(&other));
        for verifier in [system, stranger] {
            let why = verdict(&verifier, &ours, "metrics.example", at(2025)).unwrap_err();
            assert!(why.ends_with("not itself one of those in ca or ca_file"), "{why}");
        }
    }

    #[test]
    fn its_name_its_period_and_its_purposes_must_hold() {
        let plain = authority(|_| ());
        let purposes =
            |purpose: ExtendedKeyUsagePurpose| authority(|params| params.extended_key_usages = vec![purpose]);
        let (server, client) =
            (purposes(ExtendedKeyUsagePurpose::ServerAuth), purposes(ExtendedKeyUsagePurpose::ClientAuth));
        let all = [plain.clone(), server.clone(), client.clone()];
        let verifier = trusting(&all, &all);
        assert_eq!(verdict(&verifier, &server, "metrics.example", at(2025)), Ok(()));
        for (shown, name, year, why) in [
            (&plain, "other.example", 2025, "certificate not valid for name \"other.example\""),
            (&plain, "127.0.0.1", 2025, "certificate not valid for name \"127.0.0.1\""),
            (&plain, "metrics.example", 1999, "certificate not valid yet"),
            (&plain, "metrics.example", 2040, "certificate expired"),
            (&client, "metrics.example", 2025, "the certificate's extended key usage does not allow it"),
        ] {
            let said = verdict(&verifier, shown, name, at(year)).unwrap_err();
            assert!(said.starts_with(&format!("tls: invalid peer certificate: {why}")), "{said}");
            // Not only since webpki happens to look at the period first.
            let name = ServerName::try_from(name).unwrap();
            assert!(verifier.verify_authority(shown, &name, at(year)).is_err(), "{why}");
        }
    }
}
