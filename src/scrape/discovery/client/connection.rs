//! A connection to where a URL points: direct, through a proxy, in TLS.

use std::sync::PoisonError;

use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, HeaderName, HeaderValue, PROXY_AUTHORIZATION};
use hyper::{Method, Request, Response, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::scrape::Redacted;
use crate::scrape::tls::server_name;

use super::{Client, ClientError, Payload, header_value};

/// Bytes both ways.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// A connection for one request.
pub(super) struct Connection {
    sender: SendRequest<Payload>,
    driver: Driver,
    /// Requests name the whole URL: the peer is a proxy.
    through_proxy: Option<Intercept>,
}

/// What moves a connection's bytes; it ends with whoever holds this.
pub(super) struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The proxies that a client's options name.
pub(super) fn proxies(options: &crate::scrape::ProxyOptions) -> Matcher {
    if options.from_environment {
        return Matcher::from_env();
    }
    let url = options.url.clone().unwrap_or_default();
    Matcher::builder().all(url).no(options.no_proxy.clone()).build()
}

impl Connection {
    pub(super) async fn open(client: &Client, url: &Url) -> Result<Connection, ClientError> {
        let host = url
            .host_str()
            .ok_or_else(|| ClientError::Url(format!("{} names no host", Redacted(url.as_str()))))?;
        let port = url.port_or_known_default().unwrap_or(80);
        let uri: Uri = url.as_str().parse().map_err(|e| ClientError::Url(format!("{e}")))?;
        let proxy = client.proxies.intercept(&uri);
        let secure = url.scheme() == "https";
        let wire: Box<dyn Wire> = match &proxy {
            None => Box::new(dial(host, port).await?),
            Some(proxy) => {
                let wire = to_proxy(client, proxy).await?;
                if secure { tunnel(client, wire, proxy, host, port).await? } else { wire }
            }
        };
        let wire = if secure { encrypt(client, wire, host).await? } else { wire };
        let (sender, driver) = handshake(wire).await?;
        Ok(Connection { sender, driver, through_proxy: proxy.filter(|_| !secure) })
    }

    /// Sends the request, whose URI is the path, and waits for the head of the answer.
    pub(super) async fn send(
        mut self,
        mut request: Request<Payload>,
        url: &Url,
    ) -> Result<(Response<Incoming>, Driver), ClientError> {
        if let Some(proxy) = &self.through_proxy {
            let mut whole = url.clone();
            // Credentials go in a header. A URL of http or https has always a place for them.
            let _ = whole.set_username("");
            let _ = whole.set_password(None);
            whole.set_fragment(None);
            *request.uri_mut() = whole.as_str().parse().map_err(|e| ClientError::Url(format!("{e}")))?;
            if let Some(credentials) = proxy.basic_auth() {
                request.headers_mut().insert(PROXY_AUTHORIZATION, credentials.clone());
            }
        }
        let answer = self.sender.send_request(request).await?;
        Ok((answer, self.driver))
    }
}

/// Connects to the first address of a host that answers.
async fn dial(host: &str, port: u16) -> Result<TcpStream, ClientError> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn to_proxy(client: &Client, proxy: &Intercept) -> Result<Box<dyn Wire>, ClientError> {
    let uri = proxy.uri();
    let host = uri.host().unwrap_or_default();
    match uri.scheme_str() {
        Some("http") => Ok(Box::new(dial(host, uri.port_u16().unwrap_or(80)).await?)),
        Some("https") => {
            let wire = dial(host, uri.port_u16().unwrap_or(443)).await?;
            encrypt(client, Box::new(wire), host).await
        }
        other => Err(ClientError::Proxy(format!("{} is not built in", other.unwrap_or_default()))),
    }
}

/// Asks a proxy for a way through it.
async fn tunnel(
    client: &Client,
    wire: Box<dyn Wire>,
    proxy: &Intercept,
    host: &str,
    port: u16,
) -> Result<Box<dyn Wire>, ClientError> {
    let authority = format!("{host}:{port}");
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = authority.parse().map_err(|e| ClientError::Url(format!("{e}")))?;
    let headers = request.headers_mut();
    headers.insert(HOST, header_value("the host", &authority)?);
    if let Some(credentials) = proxy.basic_auth() {
        headers.insert(PROXY_AUTHORIZATION, credentials.clone());
    }
    for (name, value) in client.headers(&client.options.proxy.connect_headers)? {
        headers.append(name, value);
    }
    let (mut sender, connection) = http1::handshake(TokioIo::new(wire)).await?;
    let driver = Driver(tokio::task::spawn(async move {
        // Whoever waits for the answer hears what was wrong.
        let _ = connection.with_upgrades().await;
    }));
    let answer = sender.send_request(request).await?;
    if !answer.status().is_success() {
        return Err(ClientError::Proxy(format!("CONNECT was answered {}", answer.status())));
    }
    let through = hyper::upgrade::on(answer).await?;
    drop(driver);
    Ok(Box::new(TokioIo::new(through)))
}

async fn encrypt(client: &Client, wire: Box<dyn Wire>, host: &str) -> Result<Box<dyn Wire>, ClientError> {
    let options = &client.options.tls;
    let config = client.tls.lock().unwrap_or_else(PoisonError::into_inner).get(options);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let name = server_name(options, host).map_err(ClientError::Certificates)?;
    let connector = TlsConnector::from(config.map_err(ClientError::Certificates)?);
    Ok(Box::new(connector.connect(name, wire).await.map_err(ClientError::handshake)?))
}

async fn handshake(wire: Box<dyn Wire>) -> Result<(SendRequest<Payload>, Driver), ClientError> {
    let (sender, connection) = http1::handshake(TokioIo::new(wire)).await?;
    let driver = Driver(tokio::task::spawn(async move {
        // Whoever waits for the answer, or reads its body, hears what was wrong.
        let _ = connection.await;
    }));
    Ok((sender, driver))
}

/// A header by its name.
pub(super) fn header_name(name: &str) -> Result<HeaderName, ClientError> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| ClientError::Header("the name of a header"))
}

/// The value of a header that is a secret: it is never printed.
pub(super) fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}
