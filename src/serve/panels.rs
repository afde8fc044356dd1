//! Pages that the server shows and others make: it knows their paths, asks for them, and sends what it gets.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

use super::answer::Answer;

/// Makes pages. It is asked on a worker's thread: what it shows must lie ready.
pub trait Panels: Send + Sync {
    /// The page at a path, for a query; none if there is none.
    fn panel(&self, path: &str, query: &str) -> Option<Panel>;

    /// What `/metrics` says beside the server's own, in text format 0.0.4.
    fn metrics(&self) -> String;
}

/// A page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Panel {
    /// The HTTP status.
    pub status: u16,
    /// Its `Content-Type`.
    pub content_type: &'static str,
    /// Its body.
    pub body: String,
}

/// Who makes the pages at the paths in [`PANEL_PATHS`].
#[derive(Clone)]
pub struct PanelsHook(pub Arc<dyn Panels>);

impl Debug for PanelsHook {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("PanelsHook")
    }
}

/// The paths of such pages; where nobody makes them, nothing is there.
pub const PANEL_PATHS: [&str; 6] = [
    "/targets",
    "/service-discovery",
    "/relabel",
    "/api/v1/targets",
    "/api/v1/scrape_pools",
    "/api/v1/targets/relabel_steps",
];

/// Asks for a page.
pub(super) fn answer(hook: Option<&PanelsHook>, path: &str, query: &str) -> Answer {
    match hook.and_then(|hook| hook.0.panel(path, query)) {
        None => Answer::text(404, format!("nothing is at {path}\n")),
        Some(Panel { status, content_type, body }) => {
            // What a page shows was said by others: it runs no script, loads nothing, and stands in no frame.
            Answer { status, content_type, headers: Vec::new(), body: body.into_bytes() }
                .with_header("Content-Security-Policy", POLICY)
                .with_header("X-Content-Type-Options", "nosniff")
                .with_header("Cache-Control", "no-store")
        }
    }
}

const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
