//! The doors of listeners: encryption, who may come in, what becomes of labels.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::ConfigError;
use super::document::{ListenSection, PemSetting, TlsSection};
use super::setting::Setting;
use crate::model::METRIC_NAME;
use crate::serve::{ClientAuth, DoorOptions, PasswordHash, Pem, TlsOptions, TlsPart, TlsVersion, TokenFile};

/// Reads what a listener's section says of its door; files it names are read, too.
pub(super) fn door(path: &Path, section: &ListenSection) -> Result<DoorOptions, ConfigError> {
    let door = Door { path };
    Ok(DoorOptions {
        tls: tls(path, section)?,
        users: users(section)?,
        tokens: section.token_files.iter().map(|file| door.token(file)).collect::<Result<_, _>>()?,
        rules: section.rules.clone(),
        tenant_label: section.tenant_label.as_ref().map(tenant_label).transpose()?,
    })
}

/// Reads a listener's `tls_server_config`, if there is one, and the files that it names.
pub(super) fn tls(path: &Path, section: &ListenSection) -> Result<Option<TlsOptions>, ConfigError> {
    section.tls.as_ref().map(|tls| Door { path }.tls(tls)).transpose()
}

struct Door<'a> {
    path: &'a Path,
}

impl Door<'_> {
    /// A file's path, relative to the configuration's.
    fn file(&self, setting: &Setting) -> Result<PathBuf, ConfigError> {
        if setting.text.is_empty() {
            return Err(setting.refuse("empty"));
        }
        Ok(self.path.parent().unwrap_or(Path::new("")).join(&setting.text))
    }

    fn pem(&self, pem: &PemSetting) -> Result<Pem, ConfigError> {
        Ok(if pem.is_file {
            Pem::File(self.file(&pem.setting)?)
        } else {
            Pem::Text(pem.setting.text.clone())
        })
    }

    fn tls(&self, section: &TlsSection) -> Result<TlsOptions, ConfigError> {
        let (cert, key, ca) = (&section.cert, &section.key, &section.client_ca);
        let mut tls = TlsOptions::new(self.pem(cert)?, self.pem(key)?);
        tls.client_ca = ca.as_ref().map(|ca| self.pem(ca)).transpose()?;
        if let Some(auth) = &section.client_auth_type {
            tls.client_auth = auth.choice(&ClientAuth::ALL)?;
        }
        if let Some(max) = &section.max_version {
            tls.max_version = version(max)?;
        }
        if let Some(min) = &section.min_version {
            tls.min_version = version(min)?;
        }
        if tls.min_version > tls.max_version {
            // The least is TLS 1.2: only who names the greatest can be below it, or names both.
            let at = section.max_version.as_ref().unwrap_or(&cert.setting);
            return Err(at.refuse("below min_version"));
        }
        for suite in &section.cipher_suites {
            let found = TlsOptions::suite(&suite.text);
            let refused =
                || suite.refuse(format!("{:?} is unknown, or too weak to be supported", suite.text));
            tls.cipher_suites.push(found.ok_or_else(refused)?);
        }
        for curve in &section.curve_preferences {
            let refused = || {
                curve.refuse(format!("{:?} is unknown, expected X25519, CurveP256 or CurveP384", curve.text))
            };
            tls.curves.push(TlsOptions::curve(&curve.text).ok_or_else(refused)?);
        }
        if let Some(prefer) = &section.prefer_server_cipher_suites {
            tls.prefer_server_cipher_suites = prefer.flag()?;
        }
        match tls.load() {
            Ok(_) => Ok(tls),
            Err(error) => Err(match error.part {
                TlsPart::Key => key.setting.refuse(error.message),
                TlsPart::ClientCa => ca.as_ref().unwrap_or(cert).setting.refuse(error.message),
                TlsPart::ClientAuth => {
                    section.client_auth_type.as_ref().unwrap_or(&cert.setting).refuse(error.message)
                }
                TlsPart::Certificate | TlsPart::All => cert.setting.refuse(error.message),
            }),
        }
    }

    fn token(&self, setting: &Setting) -> Result<TokenFile, ConfigError> {
        TokenFile::read(self.file(setting)?).map_err(|why| setting.refuse(why))
    }
}

fn users(section: &ListenSection) -> Result<BTreeMap<String, PasswordHash>, ConfigError> {
    let parsed = section.users.iter().map(|(user, hash)| {
        // The text is not repeated: it may be a password that was to be a hash.
        let parsed = hash.text.parse().map_err(|why: String| hash.refuse(why))?;
        match user.text.contains(':') {
            true => Err(user.refuse("a user's name has no colon")),
            false => Ok((user.text.clone(), parsed)),
        }
    });
    parsed.collect()
}

fn tenant_label(setting: &Setting) -> Result<String, ConfigError> {
    if setting.text.is_empty() || setting.text.as_bytes() == METRIC_NAME {
        return Err(setting.refuse(format!("{:?} is no name of a tenant's label", setting.text)));
    }
    Ok(setting.text.clone())
}

fn version(setting: &Setting) -> Result<TlsVersion, ConfigError> {
    if ["TLS10", "TLS11"].contains(&setting.text.as_str()) {
        return Err(setting.refuse(format!("{} is broken, and not supported", setting.text)));
    }
    setting.choice(&[("TLS12", TlsVersion::Tls12), ("TLS13", TlsVersion::Tls13)])
}
