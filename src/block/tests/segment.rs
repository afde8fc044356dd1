//! A segment in memory, for tests: plain rows in, batches out, and blocks back to plain rows.
//!
//! Deliberately naive; it is the oracle for everything that encodes. Integration tests and benches include this file
//! too, with `block`, `bytes` and `model` at their root.

use std::collections::HashMap;

use crate::block::{
    Checkpoint, DecodeError, DictionaryPart, EncodeInput, EncodeStats, Encoder, Part, ShapeView, Value,
    decode_dictionary, decode_rows,
};
use crate::bytes::{AlignedBuf, write_varint};
use crate::model::{
    Batch, BlockHeader, BlockKind, Dictionary, DictionaryMark, Exemplar, FieldType, HEADER_LEN, LogId,
    Metadata, MetricType, SeriesId, Shape, ShapeField, ShapeId, SymbolId, crc32c, encode_series, heap_word,
};

/// A value of a plain row; floats as bits, so that equal means equal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Plain {
    F64(u64),
    I64(i64),
    U64(u64),
    Bool(bool),
    String(Vec<u8>),
    Bytes(Vec<u8>),
    Null,
    Nested(Vec<u8>),
    Histogram(Vec<u8>),
}

/// A plain row: labels by name, times, fields by name and type.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct PlainRow {
    pub labels: Vec<(Vec<u8>, Vec<u8>)>,
    pub time_ns: i64,
    pub start_ns: Option<i64>,
    pub fields: Vec<(Vec<u8>, Plain)>,
}

/// A plain exemplar.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct PlainExemplar {
    pub series: Vec<(Vec<u8>, Vec<u8>)>,
    pub field: Vec<u8>,
    pub time_ns: i64,
    pub value_bits: u64,
    pub labels: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Plain metadata.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct PlainMetadata {
    pub name: Vec<u8>,
    pub kind: MetricType,
    pub unit: Vec<u8>,
    pub help: Vec<u8>,
}

type FieldName = (Vec<u8>, FieldType);

/// A segment being written.
#[derive(Default)]
pub struct Segment {
    pub dictionary: Dictionary,
    pub batch: Batch,
    pub header: Option<BlockHeader>,
    pub checkpoint: Checkpoint,
    exemplar_fields: Vec<SymbolId>,
    metadata_names: Vec<SymbolId>,
    shapes: Vec<(Shape, Vec<SymbolId>, SymbolId)>,
    shape_ids: HashMap<(Vec<FieldName>, u32), u32>,
    symbols: HashMap<Vec<u8>, u32>,
    series: HashMap<Vec<u8>, u32>,
    defined: DictionaryMark,
}

impl Plain {
    pub fn kind(&self) -> FieldType {
        match self {
            Plain::F64(_) => FieldType::F64,
            Plain::I64(_) => FieldType::I64,
            Plain::U64(_) => FieldType::U64,
            Plain::Bool(_) => FieldType::Bool,
            Plain::String(_) => FieldType::String,
            Plain::Bytes(_) => FieldType::Bytes,
            Plain::Null => FieldType::Null,
            Plain::Nested(_) => FieldType::Nested,
            Plain::Histogram(_) => FieldType::Histogram,
        }
    }

    pub fn f64(value: f64) -> Plain {
        Plain::F64(value.to_bits())
    }
}

impl PlainRow {
    pub fn new(labels: &[(&str, &str)], time_ns: i64, fields: &[(&str, Plain)]) -> PlainRow {
        let labels = labels.iter().map(|(n, v)| (n.as_bytes().to_vec(), v.as_bytes().to_vec())).collect();
        let fields = fields.iter().map(|(n, v)| (n.as_bytes().to_vec(), v.clone())).collect();
        PlainRow { labels, time_ns, start_ns: None, fields }
    }

    pub fn since(self, start_ns: i64) -> PlainRow {
        PlainRow { start_ns: Some(start_ns), ..self }
    }
}

impl Segment {
    pub fn symbol(&mut self, text: &[u8]) -> SymbolId {
        if let Some(&id) = self.symbols.get(text) {
            return SymbolId(id);
        }
        let id = self.dictionary.add_symbol(text).expect("a small test");
        self.symbols.insert(text.to_vec(), id.0);
        id
    }

    pub fn series(&mut self, labels: &[(Vec<u8>, Vec<u8>)]) -> SeriesId {
        let mut key = Vec::new();
        for (name, value) in labels {
            let (name, value) = (self.symbol(name), self.symbol(value));
            encode_series(&mut key, name, value);
        }
        if let Some(&id) = self.series.get(&key) {
            return SeriesId(id);
        }
        let id = self.dictionary.add_series(&key).expect("a small test");
        self.series.insert(key, id.0);
        id
    }

    pub fn shape(&mut self, metric: &[u8], fields: &[(Vec<u8>, FieldType)]) -> ShapeId {
        let metric = self.symbol(metric);
        let key = (fields.to_vec(), metric.0);
        if let Some(&id) = self.shape_ids.get(&key) {
            return ShapeId(id);
        }
        let id = self.shapes.len() as u32;
        self.shape_ids.insert(key, id);
        let shape_fields = fields.iter().map(|(name, kind)| ShapeField {
            name: name.clone().into(),
            kind: *kind,
            text_end: 0,
        });
        let shape = Shape::new(Box::default(), shape_fields.collect());
        let named = &fields[..shape.samples as usize];
        let symbols = named.iter().map(|(name, _)| self.symbol(name)).collect();
        self.shapes.push((shape, symbols, metric));
        ShapeId(id)
    }

    /// Appends a row as a decoder would.
    pub fn push(&mut self, row: &PlainRow) {
        let series = self.series(&row.labels);
        let metric = row.labels.iter().find(|(n, _)| n == b"__name__").map_or(&b""[..], |(_, v)| v);
        let mut kinds: Vec<_> = row.fields.iter().map(|(n, v)| (n.clone(), v.kind())).collect();
        kinds.extend(row.start_ns.map(|_| (Vec::new(), FieldType::StartTime)));
        let shape = self.shape(metric, &kinds);
        let mut heap = Vec::new();
        let mut values = Vec::new();
        for (_, value) in &row.fields {
            values.push(match value {
                Plain::F64(v) | Plain::U64(v) => *v,
                Plain::I64(v) => *v as u64,
                Plain::Bool(v) => u64::from(*v),
                Plain::Null => 0,
                Plain::String(b) | Plain::Bytes(b) | Plain::Nested(b) | Plain::Histogram(b) => {
                    heap.extend_from_slice(b);
                    heap_word(heap.len() - b.len(), b.len())
                }
            });
        }
        values.extend(row.start_ns.map(|start| start as u64));
        self.push_words(series, shape, row.time_ns, &values, &heap);
    }

    pub fn push_exemplar(&mut self, plain: &PlainExemplar) {
        let series = self.series(&plain.series);
        let field = self.symbol(&plain.field);
        self.exemplar_fields.push(field);
        let mut labels = Vec::new();
        write_varint(&mut labels, plain.labels.len() as u64);
        for text in plain.labels.iter().flat_map(|(name, value)| [name, value]) {
            write_varint(&mut labels, text.len() as u64);
            labels.extend_from_slice(text);
        }
        let PlainExemplar { time_ns, value_bits, .. } = *plain;
        let exemplar = Exemplar { field: &plain.field, time_ns, value_bits, labels: &labels };
        self.batch.push_exemplar(series, &exemplar).expect("a test that does not fill the batch");
    }

    pub fn push_metadata(&mut self, plain: &PlainMetadata) {
        let name = self.symbol(&plain.name);
        self.metadata_names.push(name);
        let PlainMetadata { name, kind, unit, help } = plain;
        let metadata = Metadata { name, kind: *kind, unit, help };
        self.batch.push_metadata(&metadata).expect("a test that does not fill the batch");
    }

    pub fn push_words(
        &mut self,
        series: SeriesId,
        shape: ShapeId,
        time_ns: i64,
        values: &[u64],
        heap: &[u8],
    ) {
        let pushed = self.batch.push(series, shape, &self.shapes[shape.0 as usize].0, time_ns, values, heap);
        pushed.expect("a test that does not fill the batch");
    }

    /// Seals the batch: appends a block to `out`, and empties it.
    pub fn seal(&mut self, encoder: &mut Encoder, out: &mut AlignedBuf) -> EncodeStats {
        let stats = self.encode(encoder, out);
        self.defined = self.dictionary.mark();
        self.batch.clear();
        self.exemplar_fields.clear();
        self.metadata_names.clear();
        stats
    }

    /// Encodes the batch and leaves it as it is.
    pub fn encode(&mut self, encoder: &mut Encoder, out: &mut AlignedBuf) -> EncodeStats {
        let known = self.defined;
        let repeat = self.checkpoint.next_slice(&self.dictionary, known, self.batch.rows());
        let header = self.header.clone().unwrap_or_else(example_header);
        let shapes = |id: ShapeId| {
            let (shape, fields, metric) = &self.shapes[id.0 as usize];
            ShapeView { shape, fields, metric: *metric }
        };
        let define = known..self.dictionary.mark();
        let input = EncodeInput {
            batch: &self.batch,
            shapes: &shapes,
            exemplar_fields: &self.exemplar_fields,
            metadata_names: &self.metadata_names,
            dictionary: &self.dictionary,
            define,
            repeat,
            header,
        };
        encoder.encode(&input, out)
    }
}

pub fn example_header() -> BlockHeader {
    BlockHeader {
        kind: BlockKind::Rows,
        log: LogId(*b"0123456789abcdef"),
        worker: 0,
        tenant: 0,
        epoch: 7,
        sequence: 1,
        durable_sequence: 0,
        stamp_ns: 1_700_000_000_000_000_000,
        time_min_ns: 0,
        time_max_ns: 0,
        rows: 0,
        samples: 0,
        dictionary_len: 0,
        payload_len: 0,
        dictionary_crc: 0,
        payload_crc: 0,
    }
}

/// What a reader of one segment knows.
#[derive(Default)]
pub struct Known {
    pub symbols: HashMap<u32, Vec<u8>>,
    pub series: HashMap<u32, Vec<(u32, u32)>>,
}

/// Reads the block at the front of `bytes`: its rows in stored order, and its length.
pub fn read_block(bytes: &[u8], known: &mut Known) -> Result<(Vec<PlainRow>, usize), DecodeError> {
    let header = BlockHeader::decode(bytes).map_err(|_| DecodeError::Damaged("header"))?;
    let (dictionary, rest) = bytes[HEADER_LEN..].split_at(header.dictionary_len as usize);
    let payload = &rest[..header.payload_len as usize];
    assert_eq!(crc32c(dictionary), header.dictionary_crc);
    assert_eq!(crc32c(payload), header.payload_crc);
    read_definitions(dictionary, known)?;
    let mut rows = Vec::new();
    decode_rows(&header, payload)?.for_each_table(|table| {
        let mut walk = table.rows();
        while let Some(row) = walk.next() {
            let symbol = |id: u32| known.symbols.get(&id).cloned();
            let unknown = DecodeError::Damaged("unknown number");
            let labels = known.series.get(&row.series.0).ok_or(unknown)?;
            let label = |&(n, v): &(u32, u32)| Some((symbol(n)?, symbol(v)?));
            let labels = labels.iter().map(label).collect::<Option<Vec<_>>>().ok_or(unknown)?;
            let field = |(f, v): (SymbolId, Value<'_>)| Some((symbol(f.0)?, plain(v)));
            let fields = row.values().map(field).collect::<Option<Vec<_>>>().ok_or(unknown)?;
            rows.push(PlainRow { labels, time_ns: row.time_ns, start_ns: row.start_time_ns, fields });
        }
        Ok::<_, DecodeError>(())
    })?;
    Ok((rows, header.block_len()))
}

/// Reads the side records of the block at the front of `bytes`, whose definitions were read.
pub fn read_side(
    bytes: &[u8],
    known: &Known,
) -> Result<(Vec<PlainExemplar>, Vec<PlainMetadata>), DecodeError> {
    let header = BlockHeader::decode(bytes).map_err(|_| DecodeError::Damaged("header"))?;
    let payload = &bytes[HEADER_LEN + header.dictionary_len as usize..][..header.payload_len as usize];
    let (mut exemplars, mut metadata) = (Vec::new(), Vec::new());
    let symbol = |id: u32| known.symbols[&id].clone();
    decode_rows(&header, payload)?.for_each_part(|part| {
        match part {
            Part::Rows(_) => {}
            Part::Exemplars(table) => {
                let mut walk = table.table.rows();
                let mut at = 0;
                while let Some(row) = walk.next() {
                    let values: Vec<_> = row.values().collect();
                    let [(field, Value::F64(value))] = values[..] else { panic!("one float each") };
                    let labels = table.labels(at).iter().map(|(n, v)| (n.to_vec(), v.to_vec()));
                    let series = &known.series[&row.series.0];
                    exemplars.push(PlainExemplar {
                        series: series.iter().map(|&(n, v)| (symbol(n), symbol(v))).collect(),
                        field: symbol(field.0),
                        time_ns: row.time_ns,
                        value_bits: value.to_bits(),
                        labels: labels.collect(),
                    });
                    at += 1;
                }
            }
            Part::Metadata(table) => metadata.extend((0..table.names.len()).map(|at| PlainMetadata {
                name: symbol(table.names[at].0),
                kind: table.kinds[at],
                unit: table.unit(at).to_vec(),
                help: table.help(at).to_vec(),
            })),
        }
        Ok::<_, DecodeError>(())
    })?;
    Ok((exemplars, metadata))
}

pub fn read_definitions(section: &[u8], known: &mut Known) -> Result<(), DecodeError> {
    decode_dictionary(section)?.for_each(|part| {
        match part {
            DictionaryPart::Symbols(part) => {
                for (id, text) in part.iter() {
                    let before = known.symbols.insert(id.0, text.to_vec());
                    assert!(before.is_none_or(|b| part.repeated() && b == text));
                }
            }
            DictionaryPart::Series(part) => {
                for (id, labels) in part.iter() {
                    let labels: Vec<_> = labels.iter().map(|(n, v)| (n.0, v.0)).collect();
                    let before = known.series.insert(id.0, labels.clone());
                    assert!(before.is_none_or(|b| part.repeated() && b == labels));
                }
            }
        }
        Ok(())
    })
}

fn plain(value: Value<'_>) -> Plain {
    match value {
        Value::F64(v) => Plain::F64(v.to_bits()),
        Value::I64(v) => Plain::I64(v),
        Value::U64(v) => Plain::U64(v),
        Value::Bool(v) => Plain::Bool(v),
        Value::String(b) => Plain::String(b.to_vec()),
        Value::Bytes(b) => Plain::Bytes(b.to_vec()),
        Value::Null => Plain::Null,
        Value::Nested(b) => Plain::Nested(b.to_vec()),
        Value::Histogram(b) => Plain::Histogram(b.to_vec()),
    }
}
