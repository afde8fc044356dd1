//! Whether a protobuf body is a request: every message of it is walked over once, before its first row is taken.

use crate::bytes::{ProtobufError, ProtobufFields, ProtobufValue};
use crate::model::NESTED_DEPTH_MAX;
use crate::wire::Malformed;

use super::place::Path;
use super::schema::{Field, Kind, Message};

/// Checks that `bytes` are a `message`: sound, strings in UTF-8, ids of their length, lists and maps not too deep.
pub(super) fn check(message: &'static Message, bytes: &[u8]) -> Result<(), Malformed> {
    walk(message, bytes, None, 0).map_err(|fault| Malformed { error: fault.to_string() })
}

/// The same, but for what is in the fields of number `items`: those are the caller's to check.
pub(super) fn check_around(message: &'static Message, items: u32, bytes: &[u8]) -> Result<(), Malformed> {
    walk(message, bytes, Some(items), 0).map_err(|fault| Malformed { error: fault.to_string() })
}

fn walk(message: &'static Message, bytes: &[u8], items: Option<u32>, nesting: usize) -> Result<(), Fault> {
    let nesting = nesting + usize::from(message.nests);
    if nesting > NESTED_DEPTH_MAX {
        return Err(Fault { what: What::TooDeep, path: Path::default() });
    }
    let fault = |field, error| Fault {
        what: What::Protobuf { message: message.name, field, error },
        path: Path::default(),
    };
    let wrong = |error| fault(None, error);
    let mut fields = ProtobufFields::new(bytes);
    while let Some(field) = fields.next() {
        let (number, value) = field.map_err(wrong)?;
        let Some(field) = message.field(number) else { continue };
        if let Kind::Message(inner) = field.kind {
            let item = value.bytes().map_err(wrong)?;
            if items != Some(number) {
                walk(inner, item, None, nesting).map_err(|mut fault| {
                    let before = &bytes[..bytes.len() - fields.rest().len()];
                    fault.path.within(field, count(before, number) - 1);
                    fault
                })?;
            }
        } else {
            check_scalar(field, value).map_err(|error| fault(Some(field.json), error))?;
            if let Kind::Id(len) = field.kind
                && value.bytes().is_ok_and(|id| !id.is_empty() && id.len() != len)
            {
                let what = What::Id { message: message.name, field: field.json, len };
                return Err(Fault { what, path: Path::default() });
            }
        }
    }
    Ok(())
}

/// How many fields of this number there are.
#[cold]
fn count(bytes: &[u8], number: u32) -> usize {
    ProtobufFields::new(bytes).filter(|field| matches!(field, Ok((found, _)) if *found == number)).count()
}

#[inline]
fn check_scalar(field: &Field, value: ProtobufValue<'_>) -> Result<(), ProtobufError> {
    match field.kind {
        Kind::String => value.string().map(|_| ()),
        Kind::Bytes | Kind::Id(_) => value.bytes().map(|_| ()),
        Kind::Fixed32 => value.fixed32().map(|_| ()),
        Kind::Fixed64 | Kind::Sfixed64 | Kind::Double if field.repeated => value.each_fixed64(|_| ()),
        Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => value.fixed64().map(|_| ()),
        Kind::Bool | Kind::Int64 | Kind::Uint64 | Kind::Uint32 | Kind::Sint32 | Kind::Enum(_)
            if field.repeated =>
        {
            value.each_varint(|_| ())
        }
        Kind::Bool | Kind::Int64 | Kind::Uint64 | Kind::Uint32 | Kind::Sint32 | Kind::Enum(_) => {
            value.varint().map(|_| ())
        }
        Kind::Message(_) => Ok(()),
    }
}

struct Fault {
    what: What,
    path: Path,
}

enum What {
    Protobuf { message: &'static str, field: Option<&'static str>, error: ProtobufError },
    Id { message: &'static str, field: &'static str, len: usize },
    TooDeep,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.what {
            What::Protobuf { message, field: Some(field), error } => {
                write!(f, "not a request: {message}.{field}: {error}")?;
            }
            What::Protobuf { message, field: None, error } => write!(f, "not a request: {message}: {error}")?,
            What::Id { message, field, len } => {
                write!(
                    f,
                    "not a request: {message}.{field}: an id of {len} bytes is expected, or an empty one"
                )?;
            }
            What::TooDeep => write!(f, "lists and maps nest deeper than {NESTED_DEPTH_MAX}")?,
        }
        self.path.fmt(f)
    }
}
