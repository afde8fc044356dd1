//! Secrets as they are now, and what they make of a request's `Authorization`.
//!
//! Keeps: a file is read whenever its secret is needed, so that one that was renewed counts at once; what is said of a
//! failure names the file and shows no secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::job::{ClientOptions, Credential};
use super::plain_file::{self, SECRET_BYTES_MAX};

impl Credential {
    /// What it is now, to the byte.
    ///
    /// # Errors
    /// Its file cannot be read.
    pub(super) fn read(&self) -> Result<Vec<u8>, String> {
        match self {
            Credential::Text(text) => Ok(text.clone().into_bytes()),
            Credential::File(path) => plain_file::read(path, SECRET_BYTES_MAX)
                .map_err(|error| format!("unable to read file {}: {error}", path.display())),
        }
    }

    /// What it is now. The blanks at both ends of a file are no part of it.
    ///
    /// # Errors
    /// As for [`Credential::read`].
    pub(super) fn read_trimmed(&self) -> Result<Vec<u8>, String> {
        let mut bytes = self.read()?;
        if matches!(self, Credential::File(_)) {
            bytes = bytes.trim_ascii().to_vec();
        }
        Ok(bytes)
    }
}

/// The value of `Authorization` by which a client shows who it is, if it is to; `token` was fetched by OAuth 2.
///
/// # Errors
/// As for [`Credential::read`].
pub(super) fn authorization(options: &ClientOptions, token: Option<&str>) -> Result<Option<Vec<u8>>, String> {
    let of = |secret: &Option<Credential>| match secret {
        Some(secret) => secret.read_trimmed(),
        None => Ok(Vec::new()),
    };
    Ok(if let Some(token) = token {
        Some(format!("Bearer {token}").into_bytes())
    } else if let Some(pair) = &options.basic_auth {
        Some(basic(&pair.username.read_trimmed()?, &of(&pair.password)?).into_bytes())
    } else if let Some(authorization) = &options.authorization {
        let value = [authorization.kind.trim().as_bytes(), b" ", &of(&authorization.credentials)?].concat();
        Some(value.trim_ascii().to_vec())
    } else {
        None
    })
}

/// A name and a password as headers tell them.
pub(super) fn basic(name: &[u8], password: &[u8]) -> String {
    format!("Basic {}", STANDARD.encode([name, b":", password].concat()))
}
