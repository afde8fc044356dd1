//! A client for HTTP servers that know of targets, on hyper and rustls.
//!
//! Comes in: [`ClientOptions`], as a job's discovery has them, and URLs. Goes out: an [`Answer`] whose body is read
//! piece by piece, or whole up to a bound. Keeps: secrets are read from their files for each request; credentials do
//! not follow a redirect to another host. A connection serves one request: what is asked once a minute needs no pool,
//! and a watch takes its connection with it. *Not taken:* a client of requests (reqwest), which can't verify a
//! certificate by another name than the URL's, and is forty crates more; the workers' own client, which lives on their
//! polls.

mod connection;
mod error;
mod oauth2;

use std::sync::Mutex;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT,
};
use hyper::{Method, Request, Response, StatusCode};
use url::{Position, Url};

use crate::scrape::client::{AGENT, REQUESTS_MAX, unescaped};
use crate::scrape::secrets::{authorization, basic};
use crate::scrape::tls::TlsConfigs;
use crate::scrape::{ClientOptions, ProxyEnvironment, Redacted};

use connection::{Connection, Driver, header_name, origin, sensitive};

pub use error::ClientError;
pub(in crate::scrape) use oauth2::{KeptToken, Token, shown as shown_token_url};

/// The body of a request.
type Payload = Full<Bytes>;

/// Speaks to servers by one set of options.
#[derive(Debug)]
pub struct Client {
    options: ClientOptions,
    tls: Mutex<TlsConfigs>,
    environment: ProxyEnvironment,
    token: Option<Token>,
}

/// An answer whose body is still to be read.
pub struct Answer {
    head: Response<Incoming>,
    _driver: Driver,
}

impl Client {
    /// A client with these options. Files are read when they are needed.
    pub fn new(options: ClientOptions) -> Client {
        Client {
            tls: Mutex::default(),
            environment: ProxyEnvironment::read(|name| std::env::var(name).ok()),
            token: options.oauth2.clone().map(Token::new),
            options,
        }
    }

    /// Asks for what is at `url`, and waits at most `patience` for the head of the answer.
    ///
    /// # Errors
    /// Whatever kept it from being answered; an answer of any status is no error.
    pub async fn get(
        &self,
        url: &str,
        headers: &[(HeaderName, String)],
        patience: Duration,
    ) -> Result<Answer, ClientError> {
        let asked = self.follow(url, headers);
        tokio::time::timeout(patience, asked).await.unwrap_or(Err(ClientError::Timeout))
    }

    /// Goes where redirects lead.
    async fn follow(&self, url: &str, headers: &[(HeaderName, String)]) -> Result<Answer, ClientError> {
        let mut url = parse(url)?;
        let first = origin(&url)?;
        for _ in 0..REQUESTS_MAX {
            let known = first.trusts(&origin(&url)?);
            let mut request = self.request(Method::GET, &url, Bytes::new())?;
            for (name, value) in headers {
                request.headers_mut().insert(name, header_value("a header", value)?);
            }
            if known {
                self.introduce(&mut request, &url).await?;
            }
            let answer = self.send(request, &url).await?;
            match answer.redirect(&url) {
                Some(next) if self.options.follow_redirects => url = next?,
                _ => return Ok(answer),
            }
        }
        Err(ClientError::Redirect)
    }

    /// Asks once, without credentials, for an answer of at most [`TOKEN_BYTES_MAX`].
    async fn post(
        &self,
        url: &str,
        form: String,
        authorization: Option<HeaderValue>,
    ) -> Result<(StatusCode, String), ClientError> {
        let url = parse(url)?;
        let mut request = self.request(Method::POST, &url, Bytes::from(form))?;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.extend(authorization.map(|value| (AUTHORIZATION, sensitive(value))));
        let mut answer = self.send(request, &url).await?;
        let status = answer.status();
        Ok((status, answer.text(TOKEN_BYTES_MAX).await?))
    }

    fn request(&self, method: Method, url: &Url, body: Bytes) -> Result<Request<Payload>, ClientError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        let path = &url[Position::BeforePath..Position::AfterQuery];
        *request.uri_mut() = path.parse().map_err(|e| ClientError::Url(format!("{e}")))?;
        let headers = request.headers_mut();
        headers.insert(HOST, header_value("the host", origin(url)?.authority())?);
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        Ok(request)
    }

    /// Adds what the options say that a request must have: credentials, headers.
    async fn introduce(&self, request: &mut Request<Payload>, url: &Url) -> Result<(), ClientError> {
        let token = match &self.token {
            Some(token) => Some(token.read().await?.token),
            None => None,
        };
        let known = authorization(&self.options, token.as_deref()).map_err(ClientError::Secret)?;
        let headers = request.headers_mut();
        if let Some(value) = known.or_else(|| of_user(url)) {
            headers.insert(AUTHORIZATION, sensitive(header_value("credentials", value)?));
        }
        for (name, values) in &self.options.headers {
            for value in values {
                let value = value.read_trimmed().map_err(ClientError::Secret)?;
                headers.append(header_name(name)?, sensitive(header_value("a header", value)?));
            }
        }
        Ok(())
    }

    async fn send(&self, request: Request<Payload>, url: &Url) -> Result<Answer, ClientError> {
        let (head, driver) = Connection::open(self, url).await?.send(request, url).await?;
        Ok(Answer { head, _driver: driver })
    }
}

impl Answer {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.head.status()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.head.headers()
    }

    /// The next piece of the body; none at its end.
    ///
    /// # Errors
    /// The connection broke before the body was whole.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, ClientError> {
        while let Some(frame) = self.head.body_mut().frame().await {
            // What is no data is trailers, which nobody asked for.
            if let Ok(data) = frame?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// The whole body.
    ///
    /// # Errors
    /// It is longer than `bytes_max`, no text, or was cut off.
    pub async fn text(&mut self, bytes_max: usize) -> Result<String, ClientError> {
        String::from_utf8(self.bytes(bytes_max).await?).map_err(|_| ClientError::Text)
    }

    /// The rest of the body, if it has at most so many bytes.
    ///
    /// # Errors
    /// It is longer, or did not come.
    pub async fn bytes(&mut self, bytes_max: usize) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece().await? {
            if body.len() + piece.len() > bytes_max {
                return Err(ClientError::TooLarge);
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// Where the server sends us instead.
    fn redirect(&self, from: &Url) -> Option<Result<Url, ClientError>> {
        if !matches!(self.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            return None;
        }
        let to = self.headers().get(LOCATION)?.to_str().ok();
        let to = to.and_then(|to| from.join(to).ok());
        Some(to.filter(|to| matches!(to.scheme(), "http" | "https")).ok_or(ClientError::Redirect))
    }
}

fn parse(url: &str) -> Result<Url, ClientError> {
    let parsed = Url::parse(url).map_err(|e| ClientError::Url(format!("{}: {e}", Redacted(url))))?;
    if matches!(parsed.scheme(), "http" | "https") {
        return Ok(parsed);
    }
    Err(ClientError::Url(format!("{}: neither http nor https", Redacted(url))))
}

/// What a user in a URL makes of `Authorization`.
fn of_user(url: &Url) -> Option<Vec<u8>> {
    let (name, password) = (url.username(), url.password());
    let is_named = !name.is_empty() || password.is_some();
    is_named.then(|| basic(&unescaped(name), &unescaped(password.unwrap_or_default())).into_bytes())
}

fn header_value(of: &'static str, bytes: impl AsRef<[u8]>) -> Result<HeaderValue, ClientError> {
    HeaderValue::from_bytes(bytes.as_ref()).map_err(|_| ClientError::Header(of))
}

/// A token's answer is a line.
const TOKEN_BYTES_MAX: usize = 1 << 20;
