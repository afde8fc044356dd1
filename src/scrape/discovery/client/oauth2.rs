//! Tokens by OAuth 2's client credentials: fetched when they are needed, kept until shortly before they end.

use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::sync::Mutex;

use crate::scrape::{ClientOptions, OAuth2};

use super::{Client, ClientError, basic, header_value, secret};

/// Where tokens come from, and the last one.
#[derive(Debug)]
pub(super) struct Token {
    options: OAuth2,
    client: Box<Client>,
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug)]
struct Kept {
    token: String,
    until: Option<Instant>,
}

#[derive(Deserialize)]
struct Given {
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl Token {
    pub(super) fn new(options: OAuth2) -> Token {
        let to_server = ClientOptions {
            tls: options.tls.clone(),
            proxy: options.proxy.clone(),
            ..ClientOptions::default()
        };
        Token { options, client: Box::new(Client::new(to_server)), kept: Mutex::new(None) }
    }

    /// The token that is valid now.
    pub(super) async fn read(&self) -> Result<String, ClientError> {
        let mut kept = self.kept.lock().await;
        if let Some(Kept { token, until }) = kept.as_ref()
            && until.is_none_or(|until| Instant::now() < until)
        {
            return Ok(token.clone());
        }
        let Given { access_token: token, expires_in } = Box::pin(self.fetch()).await?;
        let until =
            expires_in.map(|s| Instant::now() + Duration::from_secs(s.min(LIFE_S_MAX)).saturating_sub(EARLY));
        *kept = Some(Kept { token: token.clone(), until });
        Ok(token)
    }

    /// Asks with the secret in a header, and if that is refused in the form: servers know the one or the other.
    async fn fetch(&self) -> Result<Given, ClientError> {
        let options = &self.options;
        let password = options.client_secret.as_ref().map(secret).transpose()?.unwrap_or_default();
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !options.scopes.is_empty() {
            form.append_pair("scope", &options.scopes.join(" "));
        }
        form.extend_pairs(&options.endpoint_params);
        let plain = form.finish();
        let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let header = header_value("credentials", &basic(&encode(&options.client_id), &encode(&password)))?;
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
            return Err(ClientError::Token(format!("{} answered {status}", options.token_url)));
        }
        serde_json::from_str(&text).map_err(|e| ClientError::Token(e.to_string()))
    }
}

/// How long before its end a token is not used any more.
const EARLY: Duration = Duration::from_secs(10);

/// A year: no token is believed to live longer.
const LIFE_S_MAX: u64 = 365 * 24 * 3600;
