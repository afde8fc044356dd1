//! `tls_config`: whom to trust, and who we are.

use super::Remarks;
use super::check::Reference;
use crate::app::config::error::ConfigError;
use crate::app::config::section::Section;
use crate::scrape::{ClientTls, Credential};

/// Reads `tls_config` of `section`.
pub(super) fn read(section: &mut Section<'_>, remarks: &mut Remarks) -> Result<ClientTls, ConfigError> {
    let Some(mut section) = section.section("tls_config")? else { return Ok(ClientTls::default()) };
    no_secret_managers(&mut section, &["ca_ref", "cert_ref", "key_ref"])?;
    let ca = inline_or_file(
        &mut section,
        "ca",
        "ca_file",
        "at most one of ca, ca_file & ca_ref must be configured",
    )?;
    let cert = inline_or_file(
        &mut section,
        "cert",
        "cert_file",
        "at most one of cert, cert_file & cert_ref must be configured",
    )?;
    let key = inline_or_file(
        &mut section,
        "key",
        "key_file",
        "at most one of key and key_file must be configured",
    )?;
    remarks.references.extend(Reference::to_credential(&section, "cert_file", cert.as_ref()));
    remarks.references.extend(Reference::to_credential(&section, "key_file", key.as_ref()));
    let other = match (&cert, &key) {
        (Some(_), None) => {
            Some("exactly one of key or key_file must be configured when a client certificate is")
        }
        (None, Some(_)) => Some("exactly one of cert or cert_file must be configured when a client key is"),
        _ => None,
    };
    if let Some(message) = other {
        return Err(section.refuse(format!("{message} configured")));
    }
    let server_name = section.text("server_name")?.filter(|name| !name.text.is_empty());
    let min = version(&mut section, "min_version")?;
    let max = version(&mut section, "max_version")?;
    if max.is_some_and(|max| max < TLS12) {
        // Taken, since such a file runs elsewhere; the handshake will say who can't speak with whom.
        remarks.unsupported(&section.path_of("max_version"));
    }
    let tls = ClientTls {
        ca,
        cert,
        key,
        server_name: server_name.map(|name| name.text),
        insecure_skip_verify: super::global::flag(&mut section, "insecure_skip_verify", false)?,
        min_tls13: min.is_some_and(|min| min > TLS12),
        max_tls12: max.is_some_and(|max| max <= TLS12),
    };
    section.end()?;
    Ok(tls)
}

/// A secret or a text, written out or in a file.
pub(super) fn inline_or_file(
    section: &mut Section<'_>,
    inline: &'static str,
    file: &'static str,
    both: &str,
) -> Result<Option<Credential>, ConfigError> {
    let inline = section.text(inline)?.filter(|setting| !setting.text.is_empty());
    let file = section.text(file)?.filter(|setting| !setting.text.is_empty());
    match (inline, file) {
        (Some(_), Some(file)) => Err(file.refuse(both)),
        (Some(inline), None) => Ok(Some(Credential::Text(inline.text))),
        (None, Some(file)) => Ok(Some(Credential::File(section.beside(&file.text)))),
        (None, None) => Ok(None),
    }
}

/// Refuses names of secrets that somebody else would have to know.
pub(super) fn no_secret_managers(
    section: &mut Section<'_>,
    keys: &[&'static str],
) -> Result<(), ConfigError> {
    for key in keys {
        if section.text(key)?.is_some_and(|name| !name.text.is_empty()) {
            return Err(section.refuse_key(key, "secret managers are not built into tidegate"));
        }
    }
    Ok(())
}

/// The version's minor number.
fn version(section: &mut Section<'_>, key: &'static str) -> Result<Option<u8>, ConfigError> {
    let Some(setting) = section.setting(key)? else { return Ok(None) };
    let versions = [("TLS13", 3), ("TLS12", TLS12), ("TLS11", 1), ("TLS10", 0)];
    let found = versions.iter().find(|(name, _)| *name == setting.text);
    let unknown = || setting.refuse(format!("unknown TLS version: {}", setting.text));
    found.map(|(_, minor)| Some(*minor)).ok_or_else(unknown)
}

const TLS12: u8 = 2;
