//! How an HTTP server is spoken to: the keys that a job, `http_sd_configs`, `kubernetes_sd_configs` and `remote_write`
//! have beside their own.

use super::check::Reference;
use super::global::flag;
use super::tls::{self, inline_or_file, no_secret_managers};
use super::{Remarks, url};
use crate::app::config::error::ConfigError;
use crate::app::config::section::{Item, Section};
use crate::app::config::setting::Setting;
use crate::scrape::{Authorization, BasicAuth, ClientOptions, Credential, OAuth2, ProxyOptions};

/// Options of a client, and whether any of them is other than its default.
pub(super) struct Client {
    pub(super) options: ClientOptions,
    pub(super) is_custom: bool,
}

/// Reads them. HTTP/2 is taken for a wish: whether it is allowed changes nothing here.
pub(super) fn read(
    section: &mut Section<'_>,
    http2_default: bool,
    remarks: &mut Remarks,
) -> Result<Client, ConfigError> {
    let bearer = inline_or_file(
        section,
        "bearer_token",
        "bearer_token_file",
        "at most one of bearer_token & bearer_token_file must be configured",
    )?;
    remarks.references.extend(Reference::to_credential(section, "bearer_token_file", bearer.as_ref()));
    let basic = section.section("basic_auth")?;
    let authorization = section.section("authorization")?;
    let oauth2 = section.section("oauth2")?;
    if let Some(token) = &bearer {
        let key = if matches!(token, Credential::Text(_)) { "bearer_token" } else { "bearer_token_file" };
        if basic.is_some() || oauth2.is_some() {
            let all = "basic_auth, oauth2, bearer_token & bearer_token_file";
            return Err(section.refuse_key(key, format!("at most one of {all} must be configured")));
        }
        if authorization.is_some() {
            let message = "authorization is not compatible with bearer_token & bearer_token_file";
            return Err(section.refuse_key(key, message));
        }
    }
    let basic_auth = basic.map(basic_auth).transpose()?;
    let has_other = basic_auth.is_some() || oauth2.is_some();
    let at_most_one = "at most one of basic_auth, oauth2 & authorization must be configured";
    let mut authorized = None;
    if let Some(authorization) = authorization {
        authorized = Some(read_authorization(authorization, remarks)?);
        if has_other {
            return Err(section.refuse_key("authorization", at_most_one));
        }
    }
    if basic_auth.is_some() && oauth2.is_some() {
        return Err(section.refuse_key("oauth2", at_most_one));
    }
    let bearer = bearer.map(|token| Authorization { kind: BEARER.into(), credentials: Some(token) });
    let follow_redirects = flag(section, "follow_redirects", true)?;
    let http2 = flag(section, "enable_http2", http2_default)?;
    let options = ClientOptions {
        basic_auth,
        authorization: authorized.or(bearer),
        oauth2: oauth2.map(|oauth2| read_oauth2(oauth2, remarks)).transpose()?,
        tls: tls::read(section, remarks)?,
        proxy: proxy(section)?,
        follow_redirects,
        headers: headers(section)?,
    };
    let is_custom = http2 != http2_default || options != ClientOptions::default();
    Ok(Client { options, is_custom })
}

fn basic_auth(mut section: Section<'_>) -> Result<BasicAuth, ConfigError> {
    no_secret_managers(&mut section, &["username_ref", "password_ref"])?;
    let username = inline_or_file(
        &mut section,
        "username",
        "username_file",
        "at most one of basic_auth username, username_file & username_ref must be configured",
    )?;
    let password = inline_or_file(
        &mut section,
        "password",
        "password_file",
        "at most one of basic_auth password, password_file & password_ref must be configured",
    )?;
    section.end()?;
    Ok(BasicAuth { username: username.unwrap_or_else(|| Credential::Text(String::new())), password })
}

fn read_authorization(mut section: Section<'_>, remarks: &mut Remarks) -> Result<Authorization, ConfigError> {
    no_secret_managers(&mut section, &["credentials_ref"])?;
    let credentials = inline_or_file(
        &mut section,
        "credentials",
        "credentials_file",
        "at most one of authorization credentials & credentials_file must be configured",
    )?;
    let reference = Reference::to_credential(&section, "credentials_file", credentials.as_ref());
    remarks.references.extend(reference);
    let kind = section.text("type")?.map_or(String::new(), |kind| kind.text.trim().to_owned());
    if kind.eq_ignore_ascii_case("basic") {
        let message = "authorization type cannot be set to \"basic\", use \"basic_auth\" instead";
        return Err(section.refuse_value("type", message));
    }
    section.end()?;
    Ok(Authorization { kind: if kind.is_empty() { BEARER.into() } else { kind }, credentials })
}

fn read_oauth2(mut section: Section<'_>, remarks: &mut Remarks) -> Result<OAuth2, ConfigError> {
    no_secret_managers(&mut section, &["client_secret_ref", "client_certificate_key_ref"])?;
    let text = |setting: Option<Setting>| setting.map_or(String::new(), |setting| setting.text);
    let grant = section.text("grant_type")?;
    let with_certificate = grant.as_ref().is_some_and(|grant| grant.text == GRANT_JWT);
    if with_certificate {
        remarks.unsupported(&section.path_of("grant_type"));
    }
    let client_id = text(section.text("client_id")?);
    let token_url = text(section.text("token_url")?);
    if client_id.is_empty() {
        return Err(section.refuse_value("client_id", "oauth2 client_id must be configured"));
    }
    if token_url.is_empty() {
        return Err(section.refuse_value("token_url", "oauth2 token_url must be configured"));
    }
    let secret = inline_or_file(
        &mut section,
        "client_secret",
        "client_secret_file",
        "at most one of oauth2 client_secret, client_secret_file & client_secret_ref must be configured using \
         grant-type=client_credentials",
    );
    // Each kind of grant looks at its own keys alone.
    let client_secret = if with_certificate { None } else { secret? };
    section.text("client_certificate_key_id")?;
    let key = inline_or_file(
        &mut section,
        "client_certificate_key",
        "client_certificate_key_file",
        "at most one of oauth2 client_certificate_key, client_certificate_key_file & client_certificate_key_ref must \
         be configured using grant-type=urn:ietf:params:oauth:grant-type:jwt-bearer",
    );
    let algorithm = text(section.text("signature_algorithm")?);
    if with_certificate {
        key?;
        if !["", "RS256", "RS384", "RS512"].contains(&algorithm.as_str()) {
            let message = "valid signature algorithms are RS256, RS384 and RS512";
            return Err(section.refuse_value("signature_algorithm", message));
        }
    }
    section.text("iss")?;
    section.text("audience")?;
    section.take("claims").map_or(Ok(Vec::new()), |claims| claims.entries())?;
    let scopes = section.settings("scopes")?.unwrap_or_default();
    let params = section.take("endpoint_params").map_or(Ok(Vec::new()), |params| params.entries())?;
    let params = params.into_iter().map(|(name, value)| Ok((name.text, value.setting()?.text)));
    let oauth2 = OAuth2 {
        client_id,
        client_secret,
        scopes: scopes.into_iter().map(|scope| scope.text).collect(),
        token_url,
        endpoint_params: params.collect::<Result<_, ConfigError>>()?,
        tls: tls::read(&mut section, remarks)?,
        proxy: proxy(&mut section)?,
    };
    section.end()?;
    Ok(oauth2)
}

fn proxy(section: &mut Section<'_>) -> Result<ProxyOptions, ConfigError> {
    let proxy_url = section.setting("proxy_url")?;
    if let Some(setting) = &proxy_url {
        let scheme = url::parse(&setting.text).map_err(|why| setting.refuse(why))?.scheme;
        if setting.text.contains("://") && !PROXIES.contains(&scheme.as_str()) {
            let message = format!("a proxy that speaks {scheme} is not built into tidegate");
            return Err(setting.refuse(message));
        }
    }
    let proxy_url = proxy_url.map(|setting| setting.text);
    let has_url = proxy_url.as_ref().is_some_and(|url| !url.is_empty());
    let no_proxy = section.text("no_proxy")?.map_or(String::new(), |setting| setting.text);
    let from_environment = flag(section, "proxy_from_environment", false)?;
    let connect_headers = section.take("proxy_connect_header").map_or(Ok(Vec::new()), |headers| {
        let headers = headers.entries()?.into_iter();
        let read = headers.map(|(name, values)| Ok((name.text, credentials(&values)?)));
        read.collect::<Result<Vec<_>, ConfigError>>()
    })?;
    let wrong = if !connect_headers.is_empty() && !from_environment && !has_url {
        let message = "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also be configured";
        Some(("proxy_connect_header", message))
    } else if from_environment && has_url {
        Some(("proxy_url", "if proxy_from_environment is configured, proxy_url must not be configured"))
    } else if from_environment && !no_proxy.is_empty() {
        Some(("no_proxy", "if proxy_from_environment is configured, no_proxy must not be configured"))
    } else if proxy_url.is_none() && !no_proxy.is_empty() {
        Some(("no_proxy", "if no_proxy is configured, proxy_url must also be configured"))
    } else {
        None
    };
    if let Some((key, message)) = wrong {
        return Err(section.refuse_value(key, message));
    }
    Ok(ProxyOptions { url: proxy_url.filter(|_| has_url), no_proxy, from_environment, connect_headers })
}

/// Schemes of proxies that are spoken to.
const PROXIES: [&str; 4] = ["http", "https", "socks5", "socks5h"];

fn credentials(list: &Item<'_>) -> Result<Vec<Credential>, ConfigError> {
    let items = list.items()?.unwrap_or_default();
    items.iter().map(|item| Ok(Credential::Text(item.setting()?.text))).collect()
}

/// `http_headers`: values, secrets and files, in this order.
fn headers(section: &mut Section<'_>) -> Result<Vec<(String, Vec<Credential>)>, ConfigError> {
    let entries = section.take("http_headers").map_or(Ok(Vec::new()), |headers| headers.entries())?;
    let mut found = Vec::with_capacity(entries.len());
    for (name, header) in entries {
        if let Some(reserved) = reserved(&name.text) {
            return Err(name.refuse(format!("setting header {reserved:?} is not allowed")));
        }
        let mut all = Vec::new();
        if let Some(mut header) = header.section()? {
            for key in ["values", "secrets"] {
                let texts = header.settings(key)?.unwrap_or_default();
                all.extend(texts.into_iter().map(|setting| Credential::Text(setting.text)));
            }
            let files = header.settings("files")?.unwrap_or_default();
            all.extend(files.iter().map(|file| Credential::File(header.beside(&file.text))));
            header.end()?;
        }
        found.push((name.text, all));
    }
    Ok(found)
}

/// The reserved header of this name, in whatever case.
fn reserved(name: &str) -> Option<&'static str> {
    RESERVED.iter().find(|reserved| reserved.eq_ignore_ascii_case(name)).copied()
}

/// Headers that are ours, or that other keys are for.
const RESERVED: [&str; 18] = [
    "Authorization",
    "Host",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "User-Agent",
    "Connection",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Www-Authenticate",
    "Accept-Encoding",
    "X-Prometheus-Remote-Write-Version",
    "X-Prometheus-Remote-Read-Version",
    "X-Prometheus-Scrape-Timeout-Seconds",
    "X-Amz-Date",
    "X-Amz-Security-Token",
    "X-Amz-Content-Sha256",
];

const BEARER: &str = "Bearer";
const GRANT_JWT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
