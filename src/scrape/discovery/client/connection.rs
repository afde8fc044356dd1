//! A connection to where a URL points: direct, through a proxy, in TLS.

use std::sync::PoisonError;

use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HeaderName, HeaderValue, PROXY_AUTHORIZATION};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use url::Url;

use crate::scrape::client::{Origin, PIECE_BYTES_MAX, Proxy, ProxyKind, Speech, proxy_for};
use crate::scrape::tls::server_name;
use crate::scrape::{Redacted, Scheme};

use super::{Client, ClientError, Payload, header_value};

/// Bytes both ways.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// A connection for one request.
pub(super) struct Connection {
    sender: SendRequest<Payload>,
    driver: Driver,
    /// Requests name the whole URL: the peer is a proxy.
    through_proxy: Option<Proxy>,
}

/// What moves a connection's bytes; it ends with whoever holds this.
pub(super) struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Connection {
    pub(super) async fn open(client: &Client, url: &Url) -> Result<Connection, ClientError> {
        let origin = origin(url)?;
        let proxy = proxy_for(&client.options.proxy, &client.environment, &origin);
        let proxy = proxy.map_err(ClientError::Proxy)?;
        let wire: Box<dyn Wire> = match &proxy {
            None => Box::new(dial(&origin.host, origin.port).await?),
            Some(proxy) => through(client, proxy, &origin).await?,
        };
        let wire = match origin.scheme {
            Scheme::Http => wire,
            Scheme::Https => encrypt(client, wire, &origin.host).await?,
        };
        let (sender, driver) = handshake(wire).await?;
        let through_proxy = proxy.filter(|proxy| proxy.forwards(origin.scheme));
        Ok(Connection { sender, driver, through_proxy })
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
            if let Some(credentials) = proxy.authorization() {
                let value = sensitive(header_value("credentials", &credentials)?);
                request.headers_mut().insert(PROXY_AUTHORIZATION, value);
            }
        }
        let answer = self.sender.send_request(request).await?;
        Ok((answer, self.driver))
    }
}

/// Connects to the first address of a host that answers.
async fn dial(host: &str, port: u16) -> Result<TcpStream, ClientError> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Connects to a proxy, and has it lead to a server.
async fn through(client: &Client, proxy: &Proxy, to: &Origin) -> Result<Box<dyn Wire>, ClientError> {
    let mut wire: Box<dyn Wire> = Box::new(dial(&proxy.host, proxy.port).await?);
    if proxy.kind == ProxyKind::Https {
        wire = encrypt(client, wire, proxy.name()).await?;
    }
    let failed = |why: String| ClientError::Proxy(format!("connect to {}: {why}", to.with_port()));
    let mut out = Vec::new();
    let mut speech = Speech::new(&client.options, proxy, to, &mut out).map_err(failed)?;
    while speech.wants() > 0 {
        wire.write_all(&out).await?;
        wire.flush().await?;
        out.clear();
        let mut piece = [0; PIECE_BYTES_MAX];
        let n = wire.read(&mut piece[..speech.wants()]).await?;
        if n == 0 {
            return Err(failed("EOF".to_owned()));
        }
        speech.hear(&piece[..n], &mut out).map_err(failed)?;
    }
    Ok(wire)
}

async fn encrypt(client: &Client, wire: Box<dyn Wire>, host: &str) -> Result<Box<dyn Wire>, ClientError> {
    let options = &client.options.tls;
    let config = client.tls.lock().unwrap_or_else(PoisonError::into_inner).get(options);
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

/// Where a URL's server is.
pub(super) fn origin(url: &Url) -> Result<Origin, ClientError> {
    let host = url.host_str();
    let host = host.ok_or_else(|| ClientError::Url(format!("{} names no host", Redacted(url.as_str()))))?;
    let scheme = if url.scheme() == "https" { Scheme::Https } else { Scheme::Http };
    Ok(Origin {
        scheme,
        host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        port: url.port_or_known_default().unwrap_or(80),
    })
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
