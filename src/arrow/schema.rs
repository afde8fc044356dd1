//! The types of the columns, as a tree that is handed over as [`ArrowSchema`](super::ArrowSchema)s.

use crate::model::LogId;

/// A type with its name.
pub(super) struct Field {
    pub(super) name: &'static str,
    /// In the letters of Arrow's C data interface.
    pub(super) format: &'static str,
    pub(super) flags: i64,
    pub(super) children: Vec<Field>,
    pub(super) dictionary: Option<Box<Field>>,
    pub(super) metadata: Vec<u8>,
}

/// The columns of a batch, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub(super) enum Column {
    Time,
    Start,
    Name,
    Labels,
    Field,
    Type,
    F64,
    I64,
    U64,
    Bool,
    String,
    Bytes,
    Json,
    Tenant,
    Arrival,
    Worker,
    Sequence,
    Row,
}

/// How many columns a batch has.
pub(super) const COLUMNS: usize = Column::Row as usize + 1;

/// The type of every batch of a log.
pub(super) fn schema(log: LogId) -> Field {
    let mut batch = Field::of("", "+s").with(columns());
    batch.metadata = metadata(&[("tidegate.log", &log.to_string()), ("tidegate.schema", SCHEMA_VERSION)]);
    batch
}

fn columns() -> Vec<Field> {
    let labels = Field::of("labels", "i").coded(Field {
        flags: KEYS_SORTED,
        ..Field::of("", "+m")
            .with(vec![Field::of("entries", "+s").with(vec![Field::of("key", "u"), Field::of("value", "u")])])
    });
    vec![
        Field::of("time", TIMESTAMP),
        Field::of("start", TIMESTAMP).nullable(),
        Field::of("name", "i").coded(Field::of("", "u").nullable()).nullable(),
        labels,
        Field::of("field", "i").coded(Field::of("", "u")),
        Field::of("type", "c").coded(Field::of("", "u")),
        Field::of("f64", "g").nullable(),
        Field::of("i64", "l").nullable(),
        Field::of("u64", "L").nullable(),
        Field::of("bool", "b").nullable(),
        Field::of("string", "u").nullable(),
        Field::of("bytes", "z").nullable(),
        Field::of("json", "u").nullable(),
        Field::of("tenant", "I"),
        Field::of("arrival", TIMESTAMP),
        Field::of("worker", "I"),
        Field::of("sequence", "L"),
        Field::of("row", "I"),
    ]
}

impl Field {
    fn of(name: &'static str, format: &'static str) -> Field {
        Field { name, format, flags: 0, children: Vec::new(), dictionary: None, metadata: Vec::new() }
    }

    fn nullable(mut self) -> Field {
        self.flags |= NULLABLE;
        self
    }

    fn with(mut self, children: Vec<Field>) -> Field {
        self.children = children;
        self
    }

    fn coded(mut self, dictionary: Field) -> Field {
        self.dictionary = Some(Box::new(dictionary));
        self
    }
}

/// Pairs of texts as the interface has them: numbers are the host's.
#[allow(clippy::host_endian_bytes, reason = "the interface is within one process, and says so")]
fn metadata(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut out = (pairs.len() as i32).to_ne_bytes().to_vec();
    for text in pairs.iter().flat_map(|&(key, value)| [key, value]) {
        out.extend_from_slice(&(text.len() as i32).to_ne_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    out
}

/// Nanoseconds since the Unix epoch.
const TIMESTAMP: &str = "tsn:UTC";
const NULLABLE: i64 = 2;
const KEYS_SORTED: i64 = 4;
const SCHEMA_VERSION: &str = "1";
