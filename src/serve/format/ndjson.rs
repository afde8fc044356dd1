//! `/api/v1/import/ndjson`: lines as `tidegate log cat` prints them. It has no parameters.

use super::super::answer::Answer;
use super::{Format, Opened, Reading, Rows};
use crate::http::Head;

/// Reads the head of a write.
pub(super) fn open(head: &Head<'_>) -> Result<Opened, Answer> {
    let format = Format::Ndjson;
    Ok(Opened {
        format,
        encoding: format.encoding(head)?,
        rows: Rows::Ndjson(Box::default()),
        reading: Reading::Streamed,
    })
}
