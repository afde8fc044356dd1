//! Groups that an HTTP server gives, as JSON.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderName};

use crate::scrape::{ClientOptions, Group, Redacted};

use super::client::Client;
use super::group::groups_from_json;
use super::refresh::Refresh;
use super::standing::Account;

/// A server that is asked for groups.
#[derive(Debug)]
pub struct Http {
    url: String,
    /// How often it is asked: it is told, and an answer may take as long.
    interval: Duration,
    client: Client,
}

impl Http {
    /// The server at `url`.
    pub fn new(url: &str, interval: Duration, client: ClientOptions) -> Http {
        Http { url: url.to_owned(), interval, client: Client::new(client) }
    }

    async fn ask(&self) -> Result<Vec<Group>, String> {
        let headers = [
            (ACCEPT, "application/json".to_owned()),
            (INTERVAL_HEADER, self.interval.as_secs_f64().to_string()),
        ];
        let asked = self.client.get(&self.url, &headers, self.interval).await;
        let mut answer = asked.map_err(|e| e.to_string())?;
        if answer.status() != StatusCode::OK {
            return Err(format!("server returned HTTP status {}", answer.status()));
        }
        let kind =
            answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !is_json(kind) {
            return Err(format!("unsupported content type {kind:?}"));
        }
        let text = answer.bytes(BODY_BYTES_MAX).await.map_err(|e| e.to_string())?;
        groups_from_json(&text, &self.name(), URL_LABEL).map_err(|e| e.to_string())
    }
}

impl Refresh for Http {
    async fn refresh(&mut self, account: Account<'_>) -> Result<Vec<Group>, String> {
        let asked = tokio::time::timeout(self.interval, self.ask()).await;
        let outcome = asked.unwrap_or_else(|_| Err("timed out".to_owned()));
        account.note(&self.name(), &outcome);
        outcome
    }

    fn name(&self) -> String {
        Redacted(&self.url).to_string()
    }
}

/// Whether a `Content-Type` is the one that groups come in: JSON, whose only parameter may be that it is UTF-8.
pub fn is_json(content_type: &str) -> bool {
    let kind = content_type.trim().to_ascii_lowercase();
    let Some(rest) = kind.strip_prefix("application/json") else { return false };
    let parameter = rest.strip_prefix(';').map(str::trim_start);
    rest.is_empty() || matches!(parameter, Some("charset=utf-8" | "charset=\"utf-8\""))
}

/// Tells a server how often it is asked, in seconds.
const INTERVAL_HEADER: HeaderName = HeaderName::from_static("x-prometheus-refresh-interval-seconds");

/// Names the server that a group is of.
const URL_LABEL: &str = "__meta_url";

/// The longest answer: some hundred thousand targets.
const BODY_BYTES_MAX: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::super::counts::KindCounts;
    use super::super::standing::Standing;
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn passwords_of_urls_are_not_told() {
        let asked = |url: &'static str| async move {
            let mut http = Http::new(url, Duration::from_secs(5), ClientOptions::default());
            let (counts, standing) = (KindCounts::default(), Standing::default());
            let account = Account { counts: &counts, standing: &standing };
            let error = http.refresh(account).await.unwrap_err();
            format!("{} {error}", http.name())
        };
        for url in
            ["http://u:S3CRET@127.0.0.1:1/x", "ftp://u:S3CRET@h/", "http://u:S3CRET@h:x/", "http://u:S3CRET@"]
        {
            let said = asked(url).await;
            assert!(said.contains("u:xxxxx@") && !said.contains("S3CRET"), "{said}");
        }
    }
}
