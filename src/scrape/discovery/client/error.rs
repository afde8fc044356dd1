//! What can go wrong between a question and its answer.

use std::fmt::{self, Display, Formatter};
use std::io;

use hyper::StatusCode;

use crate::scrape::tls;

/// Why there is no answer.
#[derive(Debug)]
pub enum ClientError {
    /// The URL can't be used.
    Url(String),
    /// A secret's file can't be read, or holds none.
    Secret(String),
    /// What credentials or headers make can't be sent.
    Header(&'static str),
    /// Certificates or a key are not sound.
    Certificates(String),
    /// The proxy can't be used, or refuses.
    Proxy(String),
    /// No connection, or none any more.
    Io(io::Error),
    /// The peer does not speak HTTP, or broke off.
    Http(hyper::Error),
    /// It took too long.
    Timeout,
    /// Redirects without end, or to nowhere.
    Redirect,
    /// There is no token: from where, and why.
    Token(String),
    /// The server of a token answers this.
    Refused(StatusCode),
    /// What it answers is no token.
    NoToken,
    /// The body is longer than it may be.
    TooLarge,
    /// The body is no UTF-8.
    Text,
}

impl ClientError {
    /// Why there is no TLS on a connection.
    pub(super) fn handshake(error: io::Error) -> ClientError {
        match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(refused) => ClientError::Certificates(tls::spoken(refused)),
            None => ClientError::Io(error),
        }
    }
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> ClientError {
        ClientError::Io(error)
    }
}

impl From<hyper::Error> for ClientError {
    fn from(error: hyper::Error) -> ClientError {
        ClientError::Http(error)
    }
}

impl Display for ClientError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Url(why) => write!(f, "URL: {why}"),
            ClientError::Header(of) => write!(f, "{of}: can't be sent in a header"),
            ClientError::Secret(why) | ClientError::Certificates(why) => f.write_str(why),
            ClientError::Proxy(why) => write!(f, "proxy: {why}"),
            ClientError::Io(error) => write!(f, "{error}"),
            ClientError::Http(error) => {
                write!(f, "{error}")?;
                // What is beneath says more: "connection reset by peer".
                match std::error::Error::source(error) {
                    Some(source) => write!(f, ": {source}"),
                    None => Ok(()),
                }
            }
            ClientError::Timeout => f.write_str("timed out"),
            ClientError::Redirect => f.write_str("redirects lead nowhere"),
            ClientError::Token(why) => write!(f, "oauth2: {why}"),
            ClientError::Refused(status) => write!(f, "server returned HTTP status {status}"),
            ClientError::NoToken => f.write_str("the answer holds no access_token"),
            ClientError::TooLarge => f.write_str("the answer is too large"),
            ClientError::Text => f.write_str("the answer is no UTF-8"),
        }
    }
}

impl std::error::Error for ClientError {}
