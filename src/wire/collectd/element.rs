//! An element of a body: which of the two it is, and where in it things stand.

use super::alert::Alert;
use super::fault::Fault;
use super::list::List;
use crate::bytes::json::{Json, JsonString};

/// What write_http sends.
#[derive(Debug)]
pub(super) enum Element<'a> {
    List(List<'a>),
    Alert(Alert<'a>),
}

impl<'a> Element<'a> {
    /// Reads an element. The last of two members of one name counts; null is as if it were missing; members that are
    /// not known are ignored, `interval` and `meta` among them.
    pub(super) fn read(json: &mut Json<'a>) -> Result<Element<'a>, Fault> {
        let (mut list, mut alert) = (List::default(), Alert::default());
        json.object(|json, name| {
            match name.raw() {
                b"values" => list.values = read_text(json, b'[')?,
                b"dstypes" => list.types = read_text(json, b'[')?,
                b"dsnames" => list.names = read_text(json, b'[')?,
                b"time" => list.time = read_number(json)?,
                b"host" => list.host = read_string(json)?,
                b"plugin" => list.plugin = read_string(json)?,
                b"plugin_instance" => list.plugin_instance = read_string(json)?,
                b"type" => list.kind = read_string(json)?,
                b"type_instance" => list.type_instance = read_string(json)?,
                b"labels" => alert.labels = read_text(json, b'{')?,
                b"annotations" => alert.annotations = read_text(json, b'{')?,
                b"startsAt" => alert.starts_at = read_string(json)?,
                _ => json.skip().map(|_| ())?,
            }
            Ok::<(), Fault>(())
        })?;
        match (list.values, alert.labels) {
            (Some(_), None) => Ok(Element::List(list)),
            (None, Some(_)) => Ok(Element::Alert(alert)),
            _ => Err(Fault::Unknown),
        }
    }
}

/// What stands in an array that was gone over before, one by one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Items<'a>(Json<'a>);

impl<'a> Items<'a> {
    /// Those of the text of an array; none of none.
    pub(super) fn new(array: Option<&'a [u8]>) -> Items<'a> {
        let mut json = Json::new(array.unwrap_or_default(), 0);
        json.take(b'[');
        Items(json)
    }

    /// The place of the next one, which is to be read or skipped.
    pub(super) fn next(&mut self) -> Option<&mut Json<'a>> {
        if matches!(self.0.peek(), Some(b']') | None) {
            return None;
        }
        self.0.take(b',');
        Some(&mut self.0)
    }

    /// How many there still are.
    pub(super) fn count(mut self) -> usize {
        let mut count = 0;
        while let Some(json) = self.next() {
            if json.skip().is_err() {
                break;
            }
            count += 1;
        }
        count
    }
}

/// Goes over an array or an object: its text, or none for null.
fn read_text<'a>(json: &mut Json<'a>, open: u8) -> Result<Option<&'a [u8]>, Fault> {
    if is_null(json)? {
        return Ok(None);
    }
    if json.peek() != Some(open) {
        let what = if open == b'[' { "an array is expected" } else { "an object is expected" };
        return Err(json.fault(what).into());
    }
    Ok(Some(json.skip()?))
}

fn read_string<'a>(json: &mut Json<'a>) -> Result<Option<JsonString<'a>>, Fault> {
    if is_null(json)? { Ok(None) } else { Ok(Some(json.string()?)) }
}

fn read_number<'a>(json: &mut Json<'a>) -> Result<Option<&'a [u8]>, Fault> {
    if is_null(json)? { Ok(None) } else { Ok(Some(json.number()?.text())) }
}

/// Goes over a null, if it is next.
pub(super) fn is_null(json: &mut Json<'_>) -> Result<bool, Fault> {
    if json.peek() != Some(b'n') {
        return Ok(false);
    }
    json.skip()?;
    Ok(true)
}
