//! What is asked of those who come in at a listener, and what is done with the labels of what they bring.
//!
//! Comes in: [`DoorOptions`], plain values from the configuration. Goes out: for a connection whether and how it is
//! encrypted ([`tls`]), for a request whether it may come in ([`auth`]) and in which context its keys are read
//! ([`contexts`]). Keeps: what a context does to labels never changes; other rules are another context.

mod auth;
mod contexts;
mod handshakes;
mod tls;
mod tokens;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::relabel::Rules;

use auth::Credentials;

pub use auth::PasswordHash;
pub(super) use auth::{Admission, Verifier};
pub(super) use contexts::{Context, Contexts, Labeling, Passage, TENANT_BYTES_MAX};
pub(super) use handshakes::Handshakes;
pub(super) use tls::Tls;
pub use tls::{ClientAuth, Pem, TlsError, TlsOptions, TlsPart, TlsVersion};
pub use tokens::TokenFile;

/// What a listener is told beside its address. By default everybody comes in, unencrypted, and nothing is changed.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct DoorOptions {
    /// Encryption.
    pub tls: Option<TlsOptions>,
    /// Users and the hashes of their passwords. If there are any, or tokens, every request must show one.
    pub users: BTreeMap<String, PasswordHash>,
    /// Files of tokens, each as good as any user.
    pub tokens: Vec<TokenFile>,
    /// What is done with the labels of new series.
    pub rules: Rules,
    /// The label that takes a request's tenant.
    pub tenant_label: Option<String>,
}

/// A listener's door, ready to be used.
#[derive(Debug)]
pub(super) struct Door {
    options: DoorOptions,
    pub(super) tls: Option<Tls>,
    credentials: Credentials,
    /// `None`: rows are taken as they are.
    pub(super) labeling: Option<Labeling>,
}

impl Door {
    /// `before` is the door that this one replaces: what has not changed stays the same.
    pub(super) fn new(
        options: &DoorOptions,
        before: Option<&Door>,
        contexts: &Contexts,
    ) -> Result<Door, TlsError> {
        let labeled = !options.rules.is_empty() || options.tenant_label.is_some();
        let same = before
            .filter(|b| b.options.rules == options.rules && b.options.tenant_label == options.tenant_label);
        let labeling = match same {
            Some(before) => before.labeling.clone(),
            None => labeled.then(|| contexts.labeling(&options.rules, options.tenant_label.as_deref())),
        };
        Ok(Door {
            tls: options.tls.as_ref().map(Tls::new).transpose()?,
            credentials: Credentials::new(&options.users, &options.tokens),
            labeling,
            options: options.clone(),
        })
    }

    /// Whether a request with this `Authorization` may come in now.
    pub(super) fn admit(&self, authorization: &[u8], now_ns: u64, verifier: &Arc<Verifier>) -> Admission {
        self.credentials.follow(now_ns);
        self.credentials.judge(authorization, verifier)
    }

    /// Whether a certificate that a client shows is one that a CA has signed.
    pub(super) fn verifies_peers(&self) -> bool {
        self.options.tls.as_ref().is_some_and(|tls| tls.client_auth.verifies())
    }

    /// The values of `WWW-Authenticate` for one that may not.
    pub(super) fn challenges(&self) -> impl Iterator<Item = &'static str> {
        self.credentials.challenges()
    }
}
