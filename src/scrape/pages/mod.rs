//! What can be seen of targets: pages for a browser, and Prometheus's API.
//!
//! Comes in: a path and a query; what was found; how scrapes went. Goes out: a [`Page`]. Keeps: every text is escaped;
//! pages work without scripts, load nothing, and show at most [`ROWS_MAX`] targets at a time. Knows nothing of sockets:
//! whoever serves asks [`answer`], and sends what it gives.

mod api;
mod discovery;
mod html;
pub mod labels;
mod query;
mod relabel;
pub mod series;
mod targets;
pub mod text;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::Job;
use super::discovery::{Found, Troubles};
use super::status::StatusBoard;
use query::Query;

/// What there is to see.
pub struct View<'a> {
    /// What discovery has found.
    pub found: &'a Found,
    /// What of discovery fails now.
    pub troubles: &'a Troubles,
    /// How the scrapes went.
    pub board: &'a StatusBoard,
    /// Now, in nanoseconds since the Unix epoch.
    pub now_ns: i64,
    /// What this machine is called from elsewhere: API answers name it where a target's URL says `localhost`.
    pub hostname: &'a str,
}

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// The HTTP status.
    pub status: u16,
    /// Its `Content-Type`.
    pub content_type: &'static str,
    /// Its body.
    pub body: String,
}

/// The paths that [`answer`] answers.
pub const PATHS: [&str; 6] = [
    "/targets",
    "/service-discovery",
    "/relabel",
    "/api/v1/targets",
    "/api/v1/scrape_pools",
    "/api/v1/targets/relabel_steps",
];

/// Targets on a page; there are further pages.
pub const ROWS_MAX: usize = 500;

/// The page at `path`; none if there is none.
pub fn answer(path: &str, query: &str, view: &View<'_>) -> Option<Page> {
    let query = Query::read(query);
    Some(match path {
        "/targets" => targets::page(&query, view),
        "/service-discovery" => discovery::page(&query, view),
        "/relabel" => relabel::page(&query, view),
        "/api/v1/targets" => api::targets(&query, view),
        "/api/v1/scrape_pools" => api::scrape_pools(view),
        "/api/v1/targets/relabel_steps" => api::relabel_steps(&query, view),
        _ => return None,
    })
}

impl View<'_> {
    fn job(&self, name: &str) -> Option<&Arc<Job>> {
        self.found.jobs.iter().map(|job| &job.job).find(|job| job.name == name)
    }
}

impl Page {
    fn html(status: u16, body: String) -> Page {
        Page { status, content_type: "text/html; charset=utf-8", body }
    }
}
