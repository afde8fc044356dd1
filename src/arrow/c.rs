//! Arrow's C data interface: the three structs, and what releases them.
//!
//! The structs are those of the Arrow specification, "The Arrow C data interface" and "The Arrow C stream interface".
//! Whoever gets one owns it: it may be moved by copying its bytes, and is released once, by calling its `release`,
//! which clears it. Children and dictionaries are structs of their own: they may be moved out of their parent, and then
//! outlive it. An array keeps its memory itself, and so outlives the stream that gave it, and the reader behind that.

#![allow(unsafe_code)]

use std::ffi::{CString, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use super::array::Array;
use super::buffer::Bytes;
use super::schema::Field;

/// `struct ArrowSchema`: a type.
///
/// Invariants of those made here, while `release` is set: (1) `private_data` is a `Box<OwnedSchema>` of this struct
/// alone; (2) every pointer points into it; (3) `children` and `dictionary` point to boxes of their own.
#[derive(Debug)]
#[repr(C)]
pub struct ArrowSchema {
    /// The type, in the specification's letters.
    pub format: *const c_char,
    /// The field's name.
    pub name: *const c_char,
    /// Pairs of texts, in the specification's encoding; may be NULL.
    pub metadata: *const c_char,
    /// 1: an ordered dictionary; 2: may be null; 4: a map with sorted keys.
    pub flags: i64,
    /// How many children there are.
    pub n_children: i64,
    /// The children.
    pub children: *mut *mut ArrowSchema,
    /// The type of the dictionary; NULL without one.
    pub dictionary: *mut ArrowSchema,
    /// Releases it; NULL once that is done.
    pub release: Option<unsafe extern "C" fn(*mut ArrowSchema)>,
    /// The producer's.
    pub private_data: *mut c_void,
}

/// `struct ArrowArray`: a column, or a batch of them.
///
/// Invariants of those made here, while `release` is set: (1) `private_data` is a `Box<OwnedArray>` of this struct
/// alone; (2) `buffers` and `children` point into it, and each buffer into memory that it keeps; (3) `children` and
/// `dictionary` point to boxes of their own.
#[derive(Debug)]
#[repr(C)]
pub struct ArrowArray {
    /// Rows.
    pub length: i64,
    /// Rows without a value.
    pub null_count: i64,
    /// Rows to be passed over at the start of the buffers: 0.
    pub offset: i64,
    /// How many buffers there are.
    pub n_buffers: i64,
    /// How many children there are.
    pub n_children: i64,
    /// The buffers, aligned to 64 bytes; a validity map that is not needed is NULL.
    pub buffers: *mut *const c_void,
    /// The children.
    pub children: *mut *mut ArrowArray,
    /// The dictionary; NULL without one.
    pub dictionary: *mut ArrowArray,
    /// Releases it; NULL once that is done.
    pub release: Option<unsafe extern "C" fn(*mut ArrowArray)>,
    /// The producer's.
    pub private_data: *mut c_void,
}

/// `struct ArrowArrayStream`: batches of one type, one at a time.
///
/// Invariant of those made here, while `release` is set: (1) `private_data` is a `Box<OwnedStream>` of this struct
/// alone.
#[derive(Debug)]
#[repr(C)]
pub struct ArrowArrayStream {
    /// Gives the type of all batches; 0 or an `errno`.
    pub get_schema: Option<unsafe extern "C" fn(*mut ArrowArrayStream, *mut ArrowSchema) -> c_int>,
    /// Gives the next batch, a released one at the end; 0 or an `errno`.
    pub get_next: Option<unsafe extern "C" fn(*mut ArrowArrayStream, *mut ArrowArray) -> c_int>,
    /// What the last call failed with; NULL if it did not. Valid until the next call.
    pub get_last_error: Option<unsafe extern "C" fn(*mut ArrowArrayStream) -> *const c_char>,
    /// Releases it; NULL once that is done.
    pub release: Option<unsafe extern "C" fn(*mut ArrowArrayStream)>,
    /// The producer's.
    pub private_data: *mut c_void,
}

struct OwnedSchema {
    _format: CString,
    _name: CString,
    _metadata: Vec<u8>,
    children: Vec<*mut ArrowSchema>,
}

struct OwnedArray {
    buffers: Vec<*const c_void>,
    children: Vec<*mut ArrowArray>,
    _memory: Vec<Option<Bytes>>,
}

struct OwnedStream {
    schema: Box<dyn Fn() -> ArrowSchema + Send>,
    next: Box<Next>,
    error: Option<CString>,
    /// It has panicked, and gives nothing more.
    broken: bool,
}

/// Gives the next batch; `None` at the end.
pub(super) type Next = dyn FnMut() -> Result<Option<ArrowArray>, StreamError> + Send;

/// Why a stream gives no batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct StreamError {
    /// An `errno`.
    pub(super) code: c_int,
    pub(super) message: String,
}

impl ArrowSchema {
    /// The type of a field.
    pub(super) fn of(field: &Field) -> ArrowSchema {
        let format = text(field.format);
        let name = text(field.name);
        let metadata = field.metadata.clone();
        let children: Vec<_> =
            field.children.iter().map(|c| Box::into_raw(Box::new(ArrowSchema::of(c)))).collect();
        let dictionary = field
            .dictionary
            .as_ref()
            .map_or(ptr::null_mut(), |d| Box::into_raw(Box::new(ArrowSchema::of(d))));
        let mut owned = Box::new(OwnedSchema { _format: format, _name: name, _metadata: metadata, children });
        ArrowSchema {
            format: owned._format.as_ptr(),
            name: owned._name.as_ptr(),
            metadata: if owned._metadata.is_empty() { ptr::null() } else { owned._metadata.as_ptr().cast() },
            flags: field.flags,
            n_children: owned.children.len() as i64,
            children: owned.children.as_mut_ptr(),
            dictionary,
            release: Some(release_schema),
            private_data: Box::into_raw(owned).cast(),
        }
    }
}

impl ArrowArray {
    /// An array, handed over.
    pub(super) fn of(array: Array) -> ArrowArray {
        let child = |array| Box::into_raw(Box::new(ArrowArray::of(array)));
        let dictionary = array.dictionary.map_or(ptr::null_mut(), |dictionary| child(*dictionary));
        let start = |bytes: &Option<Bytes>| bytes.as_ref().map_or(ptr::null(), |b| b.as_ptr().cast());
        let mut owned = Box::new(OwnedArray {
            buffers: array.buffers.iter().map(start).collect(),
            children: array.children.into_iter().map(child).collect(),
            _memory: array.buffers,
        });
        ArrowArray {
            length: array.len as i64,
            null_count: array.nulls as i64,
            offset: 0,
            n_buffers: owned.buffers.len() as i64,
            n_children: owned.children.len() as i64,
            buffers: owned.buffers.as_mut_ptr(),
            children: owned.children.as_mut_ptr(),
            dictionary,
            release: Some(release_array),
            private_data: Box::into_raw(owned).cast(),
        }
    }

    /// An array that is released: the end of a stream.
    pub fn released() -> ArrowArray {
        ArrowArray {
            length: 0,
            null_count: 0,
            offset: 0,
            n_buffers: 0,
            n_children: 0,
            buffers: ptr::null_mut(),
            children: ptr::null_mut(),
            dictionary: ptr::null_mut(),
            release: None,
            private_data: ptr::null_mut(),
        }
    }
}

impl ArrowArrayStream {
    /// A stream of what `next` gives.
    pub(super) fn of(schema: Box<dyn Fn() -> ArrowSchema + Send>, next: Box<Next>) -> ArrowArrayStream {
        let owned = Box::new(OwnedStream { schema, next, error: None, broken: false });
        ArrowArrayStream {
            get_schema: Some(stream_schema),
            get_next: Some(stream_next),
            get_last_error: Some(stream_last_error),
            release: Some(release_stream),
            private_data: Box::into_raw(owned).cast(),
        }
    }
}

macro_rules! released_on_drop {
    ($($name:ident)*) => {$(
        impl Drop for $name {
            fn drop(&mut self) {
                if let Some(release) = self.release {
                    // SAFETY: a struct that is not released is the producer's promise that it can be, once; `release`
                    // clears itself.
                    unsafe { release(self) };
                }
            }
        }

        // SAFETY: the interface lets a struct be used and released by any thread, by one at a time; what is behind
        // those made here is `Send`.
        unsafe impl Send for $name {}
    )*};
}

released_on_drop!(ArrowSchema ArrowArray ArrowArrayStream);

unsafe extern "C" fn release_schema(schema: *mut ArrowSchema) {
    // SAFETY: the caller gives a struct of ours that is not released.
    let schema = unsafe { &mut *schema };
    // SAFETY: invariant 1.
    let owned = unsafe { Box::from_raw(schema.private_data.cast::<OwnedSchema>()) };
    for &child in owned.children.iter().chain((!schema.dictionary.is_null()).then_some(&schema.dictionary)) {
        // SAFETY: invariant 3; one that was moved out is marked as released, and its drop does nothing.
        drop(unsafe { Box::from_raw(child) });
    }
    schema.release = None;
    schema.private_data = ptr::null_mut();
}

unsafe extern "C" fn release_array(array: *mut ArrowArray) {
    // SAFETY: the caller gives a struct of ours that is not released.
    let array = unsafe { &mut *array };
    // SAFETY: invariant 1.
    let owned = unsafe { Box::from_raw(array.private_data.cast::<OwnedArray>()) };
    for &child in owned.children.iter().chain((!array.dictionary.is_null()).then_some(&array.dictionary)) {
        // SAFETY: invariant 3; one that was moved out is marked as released, and its drop does nothing.
        drop(unsafe { Box::from_raw(child) });
    }
    array.release = None;
    array.private_data = ptr::null_mut();
}

unsafe extern "C" fn release_stream(stream: *mut ArrowArrayStream) {
    // SAFETY: the caller gives a struct of ours that is not released.
    let stream = unsafe { &mut *stream };
    // SAFETY: invariant 1.
    let owned = unsafe { Box::from_raw(stream.private_data.cast::<OwnedStream>()) };
    // A panic must not come out of here; what was being dropped is lost.
    // A payload's drop may panic, too.
    _ = catch_unwind(AssertUnwindSafe(|| drop(owned))).map_err(std::mem::forget);
    stream.release = None;
    stream.private_data = ptr::null_mut();
}

unsafe extern "C" fn stream_schema(stream: *mut ArrowArrayStream, out: *mut ArrowSchema) -> c_int {
    // SAFETY: the caller gives a struct of ours that is not released; invariant 1.
    let owned = unsafe { &mut *(*stream).private_data.cast::<OwnedStream>() };
    let made = owned.guard(|owned| Ok((owned.schema)()));
    owned.give(made, out)
}

unsafe extern "C" fn stream_next(stream: *mut ArrowArrayStream, out: *mut ArrowArray) -> c_int {
    // SAFETY: the caller gives a struct of ours that is not released; invariant 1.
    let owned = unsafe { &mut *(*stream).private_data.cast::<OwnedStream>() };
    let next = owned.guard(|owned| (owned.next)());
    owned.give(next.map(|next| next.unwrap_or_else(ArrowArray::released)), out)
}

unsafe extern "C" fn stream_last_error(stream: *mut ArrowArrayStream) -> *const c_char {
    // SAFETY: the caller gives a struct of ours that is not released; invariant 1.
    let owned = unsafe { &*(*stream).private_data.cast::<OwnedStream>() };
    owned.error.as_ref().map_or(ptr::null(), |error| error.as_ptr())
}

impl OwnedStream {
    fn guard<R>(
        &mut self,
        make: impl FnOnce(&mut OwnedStream) -> Result<R, StreamError>,
    ) -> Result<R, StreamError> {
        let broken = || StreamError { code: libc::EIO, message: "the stream has panicked".into() };
        if self.broken {
            return Err(broken());
        }
        catch_unwind(AssertUnwindSafe(|| make(self))).unwrap_or_else(|payload| {
            // Its drop may panic, too, and nothing may come out of here.
            std::mem::forget(payload);
            self.broken = true;
            Err(broken())
        })
    }

    /// Writes what was made to `out`, or notes why nothing was.
    fn give<R>(&mut self, made: Result<R, StreamError>, out: *mut R) -> c_int {
        match made {
            Ok(value) => {
                self.error = None;
                // SAFETY: the caller gives a place for a struct; what was there is not read, as the interface says.
                unsafe { out.write(value) };
                0
            }
            Err(error) => {
                self.error = Some(text(&error.message));
                error.code
            }
        }
    }
}

/// As a C string; up to its first NUL, should it have one.
fn text(text: &str) -> CString {
    CString::new(text.split('\0').next().unwrap_or_default()).expect("the part before a NUL has none")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_panics_says_so_and_lets_nothing_out() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("while dropped");
            }
        }
        let (schema, kept) = (|| unreachable!("not asked for"), Bomb);
        let next = move || {
            let _ = &kept;
            std::panic::panic_any(Bomb)
        };
        let mut stream = ArrowArrayStream::of(Box::new(schema), Box::new(next));
        let mut array = ArrowArray::released();
        for _ in 0..2 {
            // SAFETY: a live stream of ours, and a place.
            unsafe {
                assert_eq!(stream_next(&raw mut stream, &raw mut array), libc::EIO);
                let said = std::ffi::CStr::from_ptr(stream_last_error(&raw mut stream));
                assert_eq!(said, c"the stream has panicked");
            }
        }
        // Releasing it drops what panics, too.
        drop(stream);
    }
}
