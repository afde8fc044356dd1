//! The doors of listeners: encryption, who may come in, what becomes of labels.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::document::{ListenSection, RelabelSection, Text, TlsSection};
use super::setting::Setting;
use super::{ConfigError, Place};
use crate::model::METRIC_NAME;
use crate::relabel::{NameValidation, Rule, RuleKey, RuleText, Rules};
use crate::serve::{ClientAuth, DoorOptions, PasswordHash, Secret, TlsOptions, TlsPart, TlsVersion};

/// Reads what a listener's section says of its door; files it names are read, too.
pub(super) fn door(path: &Path, section: &ListenSection) -> Result<DoorOptions, ConfigError> {
    let door = Door { path };
    Ok(DoorOptions {
        tls: section.tls_server_config.as_ref().map(|tls| door.tls(tls)).transpose()?,
        users: door.users(section)?,
        tokens: door.tokens(section)?,
        rules: door.rules(section)?,
        tenant_label: section.tenant_label.as_ref().map(|label| door.tenant_label(label)).transpose()?,
    })
}

struct Door<'a> {
    path: &'a Path,
}

impl Door<'_> {
    fn setting(&self, key: &str, text: &Text) -> Setting {
        Setting::of_file(self.path, &format!("listen.{key}"), text)
    }

    /// A file's path, relative to the configuration's.
    fn file(&self, setting: &Setting) -> Result<PathBuf, ConfigError> {
        if setting.text.is_empty() {
            return Err(setting.refuse("empty"));
        }
        Ok(self.path.parent().unwrap_or(Path::new("")).join(&setting.text))
    }

    fn tls(&self, section: &TlsSection) -> Result<TlsOptions, ConfigError> {
        let named = |key: &str, text: &Text| self.setting(&format!("tls_server_config.{key}"), text);
        let setting = |key: &str, text: &Option<Text>| text.as_ref().map(|text| named(key, text));
        let cert = named("cert_file", &section.cert_file);
        let key = named("key_file", &section.key_file);
        let mut tls = TlsOptions::new(self.file(&cert)?, self.file(&key)?);
        let ca = setting("client_ca_file", &section.client_ca_file);
        tls.client_ca_file = ca.as_ref().map(|file| self.file(file)).transpose()?;
        if let Some(auth) = setting("client_auth_type", &section.client_auth_type) {
            tls.client_auth = auth.choice(&ClientAuth::ALL)?;
        }
        let max = setting("max_version", &section.max_version);
        if let Some(max) = &max {
            tls.max_version = version(max)?;
        }
        if let Some(min) = setting("min_version", &section.min_version) {
            tls.min_version = version(&min)?;
        }
        if tls.min_version > tls.max_version {
            // The least is TLS 1.2: only who names the greatest can be below it, or names both.
            let at = max.as_ref().unwrap_or(&cert);
            return Err(at.refuse("below min_version"));
        }
        for text in section.cipher_suites.iter().flatten() {
            let suite = named("cipher_suites", text);
            let found = TlsOptions::suite(&suite.text);
            let refused =
                || suite.refuse(format!("{:?} is unknown, or too weak to be supported", suite.text));
            tls.cipher_suites.push(found.ok_or_else(refused)?);
        }
        for text in section.curve_preferences.iter().flatten() {
            let curve = named("curve_preferences", text);
            let refused = || {
                curve.refuse(format!("{:?} is unknown, expected X25519, CurveP256 or CurveP384", curve.text))
            };
            tls.curves.push(TlsOptions::curve(&curve.text).ok_or_else(refused)?);
        }
        if let Some(prefer) = setting("prefer_server_cipher_suites", &section.prefer_server_cipher_suites) {
            tls.prefer_server_cipher_suites = prefer.choice(&[("true", true), ("false", false)])?;
        }
        match tls.load() {
            Ok(_) => Ok(tls),
            Err(error) => Err(match error.part {
                TlsPart::Key => key.refuse(error.message),
                TlsPart::ClientCa => ca.unwrap_or(cert).refuse(error.message),
                TlsPart::Certificate | TlsPart::All => cert.refuse(error.message),
            }),
        }
    }

    fn users(&self, section: &ListenSection) -> Result<BTreeMap<String, PasswordHash>, ConfigError> {
        let users = section.basic_auth_users.iter().flatten();
        let parsed = users.map(|(user, hash)| {
            let setting = self.setting(&format!("basic_auth_users.{user}"), hash);
            // The text is not repeated: it may be a password that was to be a hash.
            let hash = setting.text.parse().map_err(|why: String| setting.refuse(why))?;
            match user.contains(':') {
                true => Err(setting.refuse("a user's name has no colon")),
                false => Ok((user.clone(), hash)),
            }
        });
        parsed.collect()
    }

    fn tokens(&self, section: &ListenSection) -> Result<Vec<Secret>, ConfigError> {
        let files = section.bearer_token_files.iter().flatten();
        let read = files.map(|text| {
            let setting = self.setting("bearer_token_files", text);
            let file = self.file(&setting)?;
            let token = fs::read_to_string(&file)
                .map_err(|error| setting.refuse(format!("{}: {error}", file.display())))?;
            let token = token.trim();
            if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(setting.refuse(format!("{} holds no token", file.display())));
            }
            Ok(Secret(token.to_owned()))
        });
        read.collect()
    }

    fn tenant_label(&self, text: &Text) -> Result<String, ConfigError> {
        let setting = self.setting("tenant_label", text);
        if setting.text.is_empty() || setting.text.as_bytes() == METRIC_NAME {
            return Err(setting.refuse(format!("{:?} is no name of a tenant's label", setting.text)));
        }
        Ok(setting.text)
    }

    fn rules(&self, section: &ListenSection) -> Result<Rules, ConfigError> {
        let rules = section.metric_relabel_configs.iter().flatten();
        rules.map(|rule| self.rule(&rule.value, rule.referenced)).collect::<Result<_, _>>().map(Rules::new)
    }

    fn rule(&self, section: &RelabelSection, at: serde_saphyr::Location) -> Result<Rule, ConfigError> {
        let text = |text: &Option<Text>| text.as_ref().map(|text| text.value.clone());
        let modulus = section
            .modulus
            .as_ref()
            .map(|text| self.setting("metric_relabel_configs.modulus", text).count(0..=u64::MAX));
        let written = RuleText {
            source_labels: section
                .source_labels
                .as_ref()
                .map(|names| names.iter().map(|name| name.value.clone()).collect()),
            separator: text(&section.separator),
            regex: text(&section.regex),
            modulus: modulus.transpose()?,
            target_label: text(&section.target_label),
            replacement: text(&section.replacement),
            action: text(&section.action),
        };
        Rule::new(&written, NameValidation::Utf8).map_err(|error| {
            let named = match error.key {
                RuleKey::SourceLabels => section.source_labels.as_ref().and_then(|names| names.first()),
                RuleKey::Regex => section.regex.as_ref(),
                RuleKey::Modulus => section.modulus.as_ref(),
                RuleKey::TargetLabel => section.target_label.as_ref(),
                RuleKey::Replacement => section.replacement.as_ref(),
                RuleKey::Action => section.action.as_ref(),
            };
            let at = named.map_or(at, |text| text.referenced);
            ConfigError {
                place: Place::At(self.path.into(), at.line(), at.column()),
                key: format!("listen.metric_relabel_configs.{}", error.key.name()),
                message: error.message,
            }
        })
    }
}

fn version(setting: &Setting) -> Result<TlsVersion, ConfigError> {
    if ["TLS10", "TLS11"].contains(&setting.text.as_str()) {
        return Err(setting.refuse(format!("{} is broken, and not supported", setting.text)));
    }
    setting.choice(&[("TLS12", TlsVersion::Tls12), ("TLS13", TlsVersion::Tls13)])
}
