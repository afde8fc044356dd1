//! Credentials of clouds: `sigv4`, `azuread` and `google_iam` of `remote_write`. They are checked, and kept by kind
//! until something can use them.

use super::global::flag;
use crate::app::config::error::ConfigError;
use crate::app::config::section::Section;

/// Whose credentials.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloudAuth {
    /// Amazon's.
    SigV4,
    /// Microsoft's.
    AzureAd,
    /// Google's.
    GoogleIam,
}

impl CloudAuth {
    /// The key that says so.
    pub fn key(self) -> &'static str {
        match self {
            CloudAuth::SigV4 => "sigv4",
            CloudAuth::AzureAd => "azuread",
            CloudAuth::GoogleIam => "google_iam",
        }
    }
}

/// Reads them.
pub(super) fn read(section: &mut Section<'_>) -> Result<Option<CloudAuth>, ConfigError> {
    let mut found = Vec::new();
    if let Some(mut sigv4) = section.section(CloudAuth::SigV4.key())? {
        check_sigv4(&mut sigv4)?;
        found.push(CloudAuth::SigV4);
    }
    if let Some(mut azure) = section.section(CloudAuth::AzureAd.key())? {
        check_azure(&mut azure)?;
        found.push(CloudAuth::AzureAd);
    }
    if let Some(mut google) = section.section(CloudAuth::GoogleIam.key())? {
        google.text("credentials_file")?;
        google.end()?;
        found.push(CloudAuth::GoogleIam);
    }
    if found.len() > 1 {
        let keys: Vec<&str> = found.iter().map(|cloud| cloud.key()).collect();
        let message =
            format!("at most one of {ALL} must be configured. Currently configured: [{}]", keys.join(" "));
        return Err(section.refuse_key(keys[1], message));
    }
    Ok(found.first().copied())
}

fn check_sigv4(section: &mut Section<'_>) -> Result<(), ConfigError> {
    let [access, secret, role, external] =
        texts(section, ["access_key", "secret_key", "role_arn", "external_id"])?;
    texts(section, ["region", "profile", "service_name"])?;
    flag(section, "use_fips_sts_endpoint", false)?;
    section.end()?;
    if access.is_empty() != secret.is_empty() {
        return Err(section.refuse(
            "must provide a AWS SigV4 Access key and Secret Key if credentials are specified in the SigV4 config",
        ));
    }
    if !external.is_empty() && role.is_empty() {
        return Err(section.refuse_value("external_id", "external_id can only be used with role_arn"));
    }
    Ok(())
}

fn check_azure(section: &mut Section<'_>) -> Result<(), ConfigError> {
    let [cloud, scope] = texts(section, ["cloud", "scope"])?;
    let kinds = ["managed_identity", "workload_identity", "oauth", "sdk", "certificate"];
    let mut found = Vec::new();
    for kind in kinds {
        if let Some(section) = section.section(kind)? {
            found.push((kind, section));
        }
    }
    section.end()?;
    if !["", "AzureChina", "AzureGovernment", "AzurePublic"].contains(&cloud.as_str()) {
        return Err(section.refuse_value("cloud", "must provide a cloud in the Azure AD config"));
    }
    if found.is_empty() {
        return Err(section.refuse(
            "must provide an Azure Managed Identity, Azure Workload Identity, Azure OAuth, Azure Certificate or Azure \
             SDK in the Azure AD config",
        ));
    }
    if found.len() > 1 {
        let message = "cannot provide multiple authentication methods in the Azure AD config";
        return Err(section.refuse(message));
    }
    for (kind, section) in &mut found {
        check_azure_kind(kind, section)?;
    }
    let is_scope = |c: char| c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || "_:/.-".contains(c);
    if !scope.chars().all(is_scope) {
        return Err(section.refuse_value("scope", "the provided scope contains invalid characters"));
    }
    Ok(())
}

fn check_azure_kind(kind: &str, section: &mut Section<'_>) -> Result<(), ConfigError> {
    let (name, needed): (&str, &[&'static str]) = match kind {
        "managed_identity" => ("Managed Identity", &[]),
        "workload_identity" => ("Workload Identity", &["client_id", "tenant_id"]),
        "oauth" => ("OAuth", &["client_id", "client_secret", "tenant_id"]),
        "sdk" => ("SDK", &[]),
        _ => ("Certificate", &["client_id", "tenant_id", "certificate_path"]),
    };
    for key in needed {
        if section.text_or_empty(key)?.text.is_empty() {
            return Err(section
                .refuse_value(key, format!("must provide an Azure {name} {key} in the Azure AD config")));
        }
    }
    if kind != "sdk" {
        let client = section.text_or_empty("client_id")?;
        if !client.text.is_empty() && !is_uuid(&client.text) {
            return Err(client.refuse(format!("the provided Azure {name} client_id is invalid")));
        }
    }
    if kind != "managed_identity" {
        let tenant = section.text_or_empty("tenant_id")?;
        if kind == "workload_identity" && !is_uuid(&tenant.text) {
            return Err(tenant.refuse(format!("the provided Azure {name} tenant_id is invalid")));
        }
    }
    match kind {
        "workload_identity" => _ = section.text("token_file_path")?,
        "certificate" => {
            texts(section, ["certificate_key_path", "certificate_password"])?;
            flag(section, "send_certificate_chain", false)?;
        }
        _ => {}
    }
    section.end()
}

fn texts<const N: usize>(
    section: &mut Section<'_>,
    keys: [&'static str; N],
) -> Result<[String; N], ConfigError> {
    let mut found = [const { String::new() }; N];
    for (text, key) in found.iter_mut().zip(keys) {
        *text = section.text_or_empty(key)?.text;
    }
    Ok(found)
}

/// 32 digits with or without dashes, in braces, or as a URN.
fn is_uuid(text: &str) -> bool {
    let text = text.strip_prefix("urn:uuid:").unwrap_or(text);
    let text = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
    let parts: Vec<usize> = text.split('-').map(str::len).collect();
    let is_hex = text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    is_hex && (parts == [8, 4, 4, 4, 12] || parts == [32])
}

/// What can prove who sends.
pub(super) const ALL: &str = "basic_auth, authorization, oauth2, sigv4, azuread or google_iam";
