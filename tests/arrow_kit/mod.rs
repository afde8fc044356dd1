//! A consumer of Arrow's C data interface, as plain as can be: every value by itself, every promise checked.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_char};

use tidegate::arrow::{ArrowArray, ArrowArrayStream, ArrowSchema};

/// A value of any column.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Cell {
    Null,
    /// Integers as they are, floats and times by their bits.
    Word(u64),
    Bool(bool),
    Bytes(Vec<u8>),
    Map(Vec<(Cell, Cell)>),
}

/// All rows of a stream, each by its columns' names.
pub(crate) type Row = Vec<(String, Cell)>;

/// Reads a stream to its end, and releases it before what it gave is looked at.
pub(crate) fn read(mut stream: ArrowArrayStream) -> Vec<Row> {
    // SAFETY: a stream that was just made, called as the interface says.
    let (schema, batches) = unsafe {
        let mut schema = std::mem::MaybeUninit::<ArrowSchema>::uninit();
        assert_eq!(stream.get_schema.unwrap()(&raw mut stream, schema.as_mut_ptr()), 0);
        let mut batches = Vec::new();
        loop {
            let mut array = std::mem::MaybeUninit::<ArrowArray>::uninit();
            assert_eq!(stream.get_next.unwrap()(&raw mut stream, array.as_mut_ptr()), 0);
            let array = array.assume_init();
            if array.release.is_none() {
                break;
            }
            batches.push(array);
        }
        assert!(stream.get_last_error.unwrap()(&raw mut stream).is_null());
        stream.release.unwrap()(&raw mut stream);
        assert!(stream.release.is_none());
        (schema.assume_init(), batches)
    };
    batches.iter().flat_map(|batch| rows(&schema, batch)).collect()
}

/// The rows of a batch.
pub(crate) fn rows(schema: &ArrowSchema, batch: &ArrowArray) -> Vec<Row> {
    check(schema, batch);
    let columns = 0..schema.n_children as usize;
    let columns: Vec<_> = columns.map(|c| (child(schema, c), array_child(batch, c))).collect();
    let cells = |row| columns.iter().map(|(s, a)| (text(s.name), cell(s, a, row))).collect();
    (0..batch.length as usize).map(cells).collect()
}

/// What every array promises, and its children.
fn check(schema: &ArrowSchema, array: &ArrowArray) {
    assert!(array.release.is_some() && array.offset == 0 && array.n_children == schema.n_children);
    let nullable = schema.flags & 2 != 0;
    assert!(nullable || array.null_count == 0, "{} has nulls", text(schema.name));
    for at in 0..array.n_buffers as usize {
        let start = buffer(array, at);
        assert_eq!(start as usize % 64, 0, "{}: buffer {at} is not aligned", text(schema.name));
        assert!(!start.is_null() || at == 0 && array.null_count == 0);
    }
    let nulls = (0..array.length as usize).filter(|&row| !is_valid(array, row)).count();
    assert_eq!(nulls as i64, array.null_count, "{}", text(schema.name));
    for c in 0..schema.n_children as usize {
        check(child(schema, c), array_child(array, c));
        let wide = text(schema.format) == "+s";
        assert!(!wide || array_child(array, c).length == array.length);
    }
    assert_eq!(schema.dictionary.is_null(), array.dictionary.is_null());
    // SAFETY: a producer's pointers are valid, or NULL.
    if let (Some(schema), Some(array)) = unsafe { (schema.dictionary.as_ref(), array.dictionary.as_ref()) } {
        check(schema, array);
    }
}

fn cell(schema: &ArrowSchema, array: &ArrowArray, row: usize) -> Cell {
    if !is_valid(array, row) {
        return Cell::Null;
    }
    let word = |wide: usize| {
        let bytes = bytes(array, 1, row * wide, wide);
        bytes.iter().rev().fold(0u64, |n, &b| n << 8 | u64::from(b))
    };
    // SAFETY: a producer's pointers are valid, or NULL.
    if let (Some(of), Some(values)) = unsafe { (schema.dictionary.as_ref(), array.dictionary.as_ref()) } {
        let index = word(if text(schema.format) == "c" { 1 } else { 4 }) as usize;
        assert!(index < values.length as usize, "an index outside its dictionary");
        return cell(of, values, index);
    }
    match text(schema.format).as_str() {
        "g" | "l" | "L" | "tsn:UTC" => Cell::Word(word(8)),
        "I" => Cell::Word(word(4)),
        "b" => Cell::Bool(bytes(array, 1, row / 8, 1)[0] >> (row % 8) & 1 != 0),
        "u" | "z" => {
            let (start, end) = ends(array, row);
            let value = bytes(array, 2, start, end - start).to_vec();
            assert!(text(schema.format) == "z" || std::str::from_utf8(&value).is_ok());
            Cell::Bytes(value)
        }
        "+m" => {
            let (start, end) = ends(array, row);
            let (schema, entries) = (child(schema, 0), array_child(array, 0));
            let part = |c, at| cell(child(schema, c), array_child(entries, c), at);
            Cell::Map((start..end).map(|at| (part(0, at), part(1, at))).collect())
        }
        other => panic!("no column has the format {other}"),
    }
}

fn ends(array: &ArrowArray, row: usize) -> (usize, usize) {
    let end = |at: usize| {
        let bytes = bytes(array, 1, at * 4, 4);
        i32::from_le_bytes(bytes.try_into().unwrap()) as usize
    };
    (end(row), end(row + 1))
}

fn is_valid(array: &ArrowArray, row: usize) -> bool {
    buffer(array, 0).is_null() || bytes(array, 0, row / 8, 1)[0] >> (row % 8) & 1 != 0
}

fn buffer(array: &ArrowArray, at: usize) -> *const u8 {
    assert!(at < array.n_buffers as usize);
    // SAFETY: a producer's list of buffers has `n_buffers` entries.
    unsafe { array.buffers.add(at).read().cast() }
}

fn bytes(array: &ArrowArray, at: usize, from: usize, len: usize) -> &[u8] {
    // SAFETY: a producer's buffers are as long as its rows need.
    unsafe { std::slice::from_raw_parts(buffer(array, at).add(from), len) }
}

fn child(schema: &ArrowSchema, at: usize) -> &ArrowSchema {
    // SAFETY: a producer's list of children has `n_children` entries.
    unsafe { &**schema.children.add(at) }
}

fn array_child(array: &ArrowArray, at: usize) -> &ArrowArray {
    // SAFETY: the same.
    unsafe { &**array.children.add(at) }
}

fn text(start: *const c_char) -> String {
    // SAFETY: a producer's texts end in NUL.
    unsafe { CStr::from_ptr(start) }.to_str().unwrap().to_owned()
}
