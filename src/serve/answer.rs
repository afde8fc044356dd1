//! An answer before it is bytes: status, headers, body.

use serde::Serialize;

/// What a request is answered with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Answer {
    /// The HTTP status.
    pub(super) status: u16,
    /// `Content-Type`, if there is a body.
    pub(super) content_type: &'static str,
    /// Further headers.
    pub(super) headers: Vec<(&'static str, String)>,
    /// The body.
    pub(super) body: Vec<u8>,
}

/// How long a client is asked to wait before it tries again.
const RETRY_AFTER_SECONDS: u32 = 1;

impl Answer {
    /// No body.
    pub(super) fn empty(status: u16) -> Answer {
        Answer { status, content_type: "", headers: Vec::new(), body: Vec::new() }
    }

    /// Plain text.
    pub(super) fn text(status: u16, text: impl Into<String>) -> Answer {
        let body = text.into().into_bytes();
        Answer { status, content_type: "text/plain; charset=utf-8", headers: Vec::new(), body }
    }

    /// JSON.
    pub(super) fn json(status: u16, value: &impl Serialize) -> Answer {
        // Our own types have string keys and no failing serializers; an error here would be a bug worth a 500.
        match serde_json::to_vec(value) {
            Ok(body) => Answer { status, content_type: "application/json", headers: Vec::new(), body },
            Err(e) => Answer::text(500, e.to_string()),
        }
    }

    /// The same with a further header.
    pub(super) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Answer {
        self.headers.push((name, value.into()));
        self
    }

    /// The same, asking the client to try again.
    pub(super) fn retry_later(self) -> Answer {
        self.with_header("Retry-After", RETRY_AFTER_SECONDS.to_string())
    }
}
