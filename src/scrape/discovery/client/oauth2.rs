//! Tokens by OAuth 2's client credentials: fetched when they are needed, kept until shortly before they end.

use std::fmt::{self, Debug, Formatter};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::sync::Mutex;

use crate::scrape::secrets::basic;
use crate::scrape::{ClientOptions, OAuth2, Redacted};

use super::{Client, ClientError, header_value};

/// Where tokens come from, and the last one.
#[derive(Debug)]
pub(in crate::scrape) struct Token {
    options: OAuth2,
    client: Box<Client>,
    kept: Mutex<Option<KeptToken>>,
}

/// A token, and until when it is to be used.
#[derive(Clone)]
pub(in crate::scrape) struct KeptToken {
    pub(in crate::scrape) token: String,
    pub(in crate::scrape) until: Option<Instant>,
}

impl Debug for KeptToken {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptToken").field("until", &self.until).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Given {
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl Token {
    pub(in crate::scrape) fn new(options: OAuth2) -> Token {
        let to_server = ClientOptions {
            tls: options.tls.clone(),
            proxy: options.proxy.clone(),
            ..ClientOptions::default()
        };
        Token { options, client: Box::new(Client::new(to_server)), kept: Mutex::new(None) }
    }

    /// The token that is valid now.
    pub(in crate::scrape) async fn read(&self) -> Result<KeptToken, ClientError> {
        let mut kept = self.kept.lock().await;
        if let Some(known) =
            kept.as_ref().filter(|kept| kept.until.is_none_or(|until| Instant::now() < until))
        {
            return Ok(known.clone());
        }
        let given = Box::pin(self.fetch()).await;
        // Whoever reads it asked another server.
        let Given { access_token: token, expires_in } = given
            .map_err(|error| ClientError::Token(format!("{}: {error}", shown(&self.options.token_url))))?;
        let until =
            expires_in.map(|s| Instant::now() + Duration::from_secs(s.min(LIFE_S_MAX)).saturating_sub(EARLY));
        let new = KeptToken { token, until };
        *kept = Some(new.clone());
        Ok(new)
    }

    /// Asks with the secret in a header, and if that is refused in the form: servers know the one or the other.
    async fn fetch(&self) -> Result<Given, ClientError> {
        let options = &self.options;
        let password = match &options.client_secret {
            Some(secret) => secret.read_trimmed().map_err(ClientError::Secret)?,
            None => Vec::new(),
        };
        let password = String::from_utf8(password)
            .map_err(|_| ClientError::Secret("client_secret is no UTF-8".to_owned()))?;
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !options.scopes.is_empty() {
            form.append_pair("scope", &options.scopes.join(" "));
        }
        form.extend_pairs(&options.endpoint_params);
        let plain = form.finish();
        let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let header = header_value(
            "credentials",
            basic(encode(&options.client_id).as_bytes(), encode(&password).as_bytes()),
        )?;
        let (status, text) = self.client.post(&options.token_url, plain.clone(), Some(header)).await?;
        let (status, text) = if status.is_client_error() {
            let form = url::form_urlencoded::Serializer::new(plain)
                .append_pair("client_id", &options.client_id)
                .append_pair("client_secret", &password)
                .finish();
            self.client.post(&options.token_url, form, None).await?
        } else {
            (status, text)
        };
        if !status.is_success() {
            return Err(ClientError::Refused(status));
        }
        // What is wrong with it may quote it.
        serde_json::from_str(&text).map_err(|_| ClientError::NoToken)
    }
}

/// Where a token comes from, with no secret in it: parameters may be some, too.
pub(in crate::scrape) fn shown(token_url: &str) -> String {
    let end = token_url.find(['?', '#']).unwrap_or(token_url.len());
    Redacted(&token_url[..end]).to_string()
}

/// How long before its end a token is not used any more.
const EARLY: Duration = Duration::from_secs(10);

/// A year: no token is believed to live longer.
const LIFE_S_MAX: u64 = 365 * 24 * 3600;
