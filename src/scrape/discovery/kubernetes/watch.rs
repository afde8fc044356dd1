//! List and watch: a kind of objects kept as the API server has it.
//!
//! ```text
//! list, page by page  ->  version  ->  watch from there  ->  ADDED, MODIFIED, DELETED: apply; BOOKMARK: version
//!   ^                                       |  ends, or breaks off: watch again from the last version, after a pause
//!   +---------------------------------------+  410 Gone, as a status or an event: the version is too old, list again
//! ```
//!
//! Pauses grow while nothing works and are short again once something has come. What is known stays while the server
//! is away.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use hyper::header::ACCEPT;
use tokio::sync::Notify;
use tracing::{debug, warn};

use crate::scrape::Redacted;
use crate::scrape::discovery::client::{Answer, Client, ClientError};
use crate::scrape::discovery::standing::Account;

use super::cluster::{Cluster, Kind, Object, Scope};
use super::objects::{
    EndpointSlice, Endpoints, Event, Ingress, List, Namespace, Node, Pod, Service, Status, Versioned,
};

/// A kind of objects that is kept up.
pub(super) struct Watch<'a> {
    pub(super) client: &'a Client,
    /// Of the API server.
    pub(super) base: &'a str,
    pub(super) kind: Kind,
    pub(super) scope: Scope,
    pub(super) label_selector: &'a str,
    pub(super) field_selector: &'a str,
    pub(super) cluster: &'a RefCell<Cluster>,
    pub(super) changed: Rc<Notify>,
    pub(super) account: Account<'a>,
}

/// Why a list or a watch ended.
enum End {
    /// The version is too old to go on from.
    Gone,
    /// Something else went wrong.
    Failed(String),
}

impl Watch<'_> {
    /// Keeps the objects up, for ever.
    pub(super) async fn follow(&self) {
        match self.kind {
            Kind::Node => self.follow_as::<Node>().await,
            Kind::Namespace => self.follow_as::<Namespace>().await,
            Kind::Service => self.follow_as::<Service>().await,
            Kind::Pod => self.follow_as::<Pod>().await,
            Kind::Endpoints => self.follow_as::<Endpoints>().await,
            Kind::EndpointSlice => self.follow_as::<EndpointSlice>().await,
            Kind::Ingress => self.follow_as::<Ingress>().await,
        }
    }

    async fn follow_as<T: Object>(&self) {
        let mut pauses = Pauses::new(&self.path());
        let mut version: Option<String> = None;
        loop {
            let outcome = match &mut version {
                None => match self.list::<T>().await {
                    Ok(listed) => {
                        self.note(&Ok(()));
                        version = Some(listed);
                        continue;
                    }
                    Err(end) => Err(end),
                },
                Some(version) => self.watch::<T>(version, &mut pauses).await,
            };
            match outcome {
                Ok(()) => debug!(server = %Redacted(self.base), path = self.path(), "watch ended"),
                Err(End::Gone) => {
                    debug!(path = self.path(), "watch is too old");
                    version = None;
                }
                Err(End::Failed(why)) => {
                    self.account.counts.failures.add(1);
                    let (job, server, path) = (self.account.job(), Redacted(self.base), self.path());
                    warn!(%job, %server, path, error = why, "what is known of the cluster stays as it is");
                    self.note(&Err(why));
                }
            }
            tokio::time::sleep(pauses.next()).await;
        }
    }

    /// Lists all objects, in pages, and gives the version that they are of.
    async fn list<T: Object>(&self) -> Result<String, End> {
        let mut objects: Vec<T> = Vec::new();
        let mut more = String::new();
        loop {
            let mut query = vec![("limit", PAGE_OBJECTS.to_string())];
            if !more.is_empty() {
                query.push(("continue", more));
            }
            let mut answer = self.ask(&query).await?;
            let text = tokio::time::timeout(LIST_TIMEOUT, answer.text(LIST_BYTES_MAX)).await;
            let text = text.unwrap_or(Err(ClientError::Timeout)).map_err(failed)?;
            let page: List<T> = serde_json::from_str(&text).map_err(|e| End::Failed(e.to_string()))?;
            objects.extend(page.items);
            more = page.metadata.more;
            if more.is_empty() {
                self.cluster.borrow_mut().listed(&self.scope, objects);
                self.changed.notify_one();
                return Ok(page.metadata.resource_version);
            }
        }
    }

    /// Applies what changes after `version`, and keeps it up, until the server ends the watch.
    async fn watch<T: Object>(&self, version: &mut String, pauses: &mut Pauses) -> Result<(), End> {
        let query = [
            ("watch", "1".to_owned()),
            ("allowWatchBookmarks", "true".to_owned()),
            ("resourceVersion", version.clone()),
            ("timeoutSeconds", WATCH_S.to_string()),
        ];
        let mut answer = self.ask(&query).await?;
        self.note(&Ok(()));
        let begun = Instant::now();
        let mut lines = Vec::new();
        loop {
            // The server ends a watch by itself: one that is silent for longer has lost its server.
            let piece = tokio::time::timeout(WATCH_SILENCE_MAX, answer.piece()).await;
            let Some(piece) = piece.unwrap_or(Err(ClientError::Timeout)).map_err(failed)? else {
                if begun.elapsed() > LASTED {
                    pauses.reset();
                }
                // The last line may lack its end.
                return self.event::<T>(&lines, version);
            };
            lines.extend_from_slice(&piece);
            let mut rest = &lines[..];
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                self.event::<T>(&rest[..end], version)?;
                pauses.reset();
                rest = &rest[end + 1..];
            }
            let used = lines.len() - rest.len();
            lines.drain(..used);
            if lines.len() > LINE_BYTES_MAX {
                return Err(End::Failed("a line of the watch is too long".to_owned()));
            }
        }
    }

    /// Applies one line of a watch.
    fn event<T: Object>(&self, line: &[u8], version: &mut String) -> Result<(), End> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let unreadable = |error: serde_json::Error| End::Failed(error.to_string());
        let event: Event<'_> = serde_json::from_slice(line).map_err(unreadable)?;
        let object = || serde_json::from_str::<T>(event.object.get()).map_err(unreadable);
        match event.kind {
            "ADDED" | "MODIFIED" => self.cluster.borrow_mut().put(object()?),
            "DELETED" => self.cluster.borrow_mut().remove(&object()?),
            "BOOKMARK" => {}
            "ERROR" => {
                let status: Status = serde_json::from_str(event.object.get()).map_err(unreadable)?;
                let gone = status.code == StatusCode::GONE.as_u16();
                return Err(if gone { End::Gone } else { End::Failed(status.message) });
            }
            other => return Err(End::Failed(format!("an event of the unknown type {other:?}"))),
        }
        let Versioned { metadata } = serde_json::from_str(event.object.get()).map_err(unreadable)?;
        if !metadata.resource_version.is_empty() {
            *version = metadata.resource_version;
        }
        if event.kind != "BOOKMARK" {
            self.changed.notify_one();
        }
        Ok(())
    }

    async fn ask(&self, query: &[(&str, String)]) -> Result<Answer, End> {
        self.account.counts.tries.add(1);
        let mut pairs = url::form_urlencoded::Serializer::new(String::new());
        pairs.extend_pairs(query);
        for (name, selector) in
            [("labelSelector", self.label_selector), ("fieldSelector", self.field_selector)]
        {
            if !selector.is_empty() {
                pairs.append_pair(name, selector);
            }
        }
        let url = format!("{}{}?{}", self.base.trim_end_matches('/'), self.path(), pairs.finish());
        let headers = [(ACCEPT, "application/json".to_owned())];
        let mut answer = self.client.get(&url, &headers, HEAD_TIMEOUT).await.map_err(failed)?;
        match answer.status() {
            StatusCode::OK => Ok(answer),
            StatusCode::GONE => Err(End::Gone),
            status => {
                // The reason is in the body, if there is one.
                let text = tokio::time::timeout(HEAD_TIMEOUT, answer.text(STATUS_BYTES_MAX)).await;
                let text = text.ok().and_then(Result::ok).unwrap_or_default();
                let said: Status = serde_json::from_str(&text).unwrap_or_default();
                Err(End::Failed(format!("{status}: {}", said.message)))
            }
        }
    }

    fn note(&self, outcome: &Result<(), String>) {
        self.account.note(&format!("{}{}", Redacted(self.base.trim_end_matches('/')), self.path()), outcome);
    }

    fn path(&self) -> String {
        self.kind.path(&self.scope)
    }
}

fn failed(error: ClientError) -> End {
    End::Failed(error.to_string())
}

/// Growing pauses, a little different for each watch, so that they don't all come at once to a server that is back.
struct Pauses {
    count: u32,
    /// How much longer than the shortest they are, in 256ths of a half.
    spread: u32,
}

impl Pauses {
    fn new(of: &str) -> Pauses {
        let spread = of.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31) + u32::from(byte));
        Pauses { count: 0, spread: spread % 256 }
    }

    fn reset(&mut self) {
        self.count = 0;
    }

    fn next(&mut self) -> Duration {
        let pause = PAUSE_MIN * 2_u32.pow(self.count.min(PAUSE_DOUBLINGS_MAX));
        self.count += 1;
        pause + pause / 2 * self.spread / 256
    }
}

/// Before a watch goes on that has just ended; doubled up to 26 seconds while nothing works.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_DOUBLINGS_MAX: u32 = 8;

/// A watch that lasted longer has worked.
const LASTED: Duration = Duration::from_secs(5);

/// Objects in a page of a list, as other clients ask for.
const PAGE_OBJECTS: u32 = 500;

/// How long the server is asked to keep a watch.
const WATCH_S: u32 = 290;

/// Bookmarks come about every minute.
const WATCH_SILENCE_MAX: Duration = Duration::from_secs(WATCH_S as u64 + 30);

/// How long the head of an answer may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a page may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(60);

/// A page is at most this long: 500 objects of the greatest size that etcd takes would be more, and are no pods.
const LIST_BYTES_MAX: usize = 256 << 20;

/// A line is an object: etcd takes 1.5 MiB, which grow as JSON.
const LINE_BYTES_MAX: usize = 16 << 20;

/// Reasons are short.
const STATUS_BYTES_MAX: usize = 64 << 10;
