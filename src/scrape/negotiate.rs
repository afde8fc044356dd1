//! Which format is asked for, and which one an answer is in.

use crate::wire::exposition::{Format, Syntax};

use super::job::{Job, ScrapeProtocol};

pub(super) fn accept(_job: &Job) -> String {
    "text/plain;version=0.0.4".to_owned()
}

pub(super) fn format(content_type: &str, _fallback: Option<ScrapeProtocol>) -> Result<Format, String> {
    if content_type.starts_with("application/openmetrics-text") {
        return Ok(Format::Lines(Syntax::OpenMetrics));
    }
    Ok(Format::Lines(Syntax::Text))
}
