use std::ffi::c_void;
use std::fs;
use std::ptr::{null, null_mut};
use std::sync::Mutex;

use super::super::status::TDG_OK;
use super::super::*;
use super::*;
use crate::arrow::ArrowArray;

const LONG: i64 = 60_000_000_000;

fn str(text: &str) -> tdg_str {
    tdg_str::of(text)
}

unsafe extern "C" fn note(userdata: *mut c_void, level: i32, message: tdg_str) {
    // SAFETY: as the test passed it, and as the header says of the message.
    unsafe {
        let notes = &*userdata.cast::<Mutex<Vec<(i32, String)>>>();
        notes.lock().unwrap().push((level, message.text("message").unwrap().to_owned()));
    }
}

/// An engine that commits on demand, with a writer, a cursor and a reader on it.
struct Setting {
    engine: *mut tdg_engine,
    writer: *mut tdg_writer,
    reader: *mut tdg_reader,
    series: tdg_series,
}

impl Setting {
    unsafe fn new(directory: &str, notes: &Mutex<Vec<(i32, String)>>) -> Setting {
        let mut made = Setting { engine: null_mut(), writer: null_mut(), reader: null_mut(), series: 0 };
        let notes = std::ptr::from_ref(notes).cast_mut().cast();
        // SAFETY: all pointers are live, or NULL where that is fine.
        unsafe {
            let options = tdg_options_new();
            let pairs =
                [("data.directory", directory), ("data.disk", "threads"), ("data.commit_interval", "1m")];
            for (key, value) in pairs {
                assert_eq!(tdg_options_set(options, str(key), str(value), null_mut()), TDG_OK);
            }
            assert_eq!(tdg_options_set_log(options, Some(note), notes, TDG_LOG_INFO, null_mut()), TDG_OK);
            assert_eq!(tdg_engine_open(options, &raw mut made.engine, null_mut()), TDG_OK);
            tdg_options_free(options);
            assert_eq!(tdg_cursor_create(made.engine, str("c"), TDG_CURSOR_OLDEST, null_mut()), TDG_OK);
            assert_eq!(tdg_reader_open(made.engine, str("c"), &raw mut made.reader, null_mut()), TDG_OK);
            assert_eq!(tdg_writer_new(made.engine, &raw mut made.writer, null_mut()), TDG_OK);
            let series = &raw mut made.series;
            assert_eq!(tdg_engine_series(made.engine, str("m"), null(), 0, series, null_mut()), TDG_OK);
        }
        made
    }

    /// Makes a block of one row.
    unsafe fn block(&self, time_ns: i64) {
        let mut token = 0;
        // SAFETY: live handles.
        unsafe {
            assert_eq!(tdg_writer_push(self.writer, self.series, time_ns, 0.5), TDG_OK);
            self.flush(&mut token);
        }
    }

    unsafe fn flush(&self, token: &mut tdg_token) {
        // SAFETY: live handles.
        unsafe {
            assert_eq!(tdg_writer_flush(self.writer, token), TDG_OK);
            assert_eq!(tdg_writer_wait(self.writer, *token, LONG), TDG_OK);
        }
    }

    /// The next block's sequence and how many values came, or the status and what was said.
    unsafe fn next(&self) -> Result<(u64, i64), (tdg_status, String)> {
        let (mut block, mut error) = (std::mem::MaybeUninit::<tdg_block>::zeroed(), null_mut());
        let mut stream = std::mem::MaybeUninit::<ArrowArrayStream>::zeroed();
        // SAFETY: live handles and places; what was given is read when it was.
        unsafe {
            let status =
                tdg_reader_next(self.reader, 0, block.as_mut_ptr(), stream.as_mut_ptr(), &raw mut error);
            if status != TDG_OK {
                let message = tdg_error_message(error).text("message").unwrap().to_owned();
                tdg_error_free(error);
                return Err((status, message));
            }
            let mut stream = stream.assume_init();
            let mut batch = ArrowArray::released();
            let next = stream.get_next.expect("a live stream");
            assert_eq!(next(&raw mut stream, &raw mut batch), 0);
            Ok((block.assume_init().sequence, batch.length))
        }
    }

    unsafe fn behind(&self) -> u64 {
        let mut stats = tdg_cursor_stats::default();
        let size = size_of::<tdg_cursor_stats>();
        // SAFETY: live handles and places.
        unsafe {
            assert_eq!(tdg_cursor_look(self.engine, str("c"), &raw mut stats, size, null_mut()), TDG_OK);
        }
        stats.blocks_behind
    }

    unsafe fn free(self) {
        // SAFETY: live handles, freed once.
        unsafe {
            tdg_reader_free(self.reader);
            tdg_writer_free(self.writer);
            tdg_engine_free(self.engine);
        }
    }
}

/// Turns a byte over in a page of the first worker's first segment.
fn damage(directory: &Path, page: usize, offset: usize) {
    let mut segments: Vec<_> = fs::read_dir(directory.join("log"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("w000-")))
        .collect();
    segments.sort();
    let mut bytes = fs::read(&segments[0]).unwrap();
    bytes[page * 4096 + offset] ^= 0xff;
    fs::write(&segments[0], bytes).unwrap();
}

#[test]
fn damage_is_told_once_and_the_rest_is_given() {
    let directory = tempfile::tempdir().unwrap();
    let notes = Mutex::new(Vec::new());
    // SAFETY: the handles live until they are freed at the end.
    unsafe {
        let setting = Setting::new(directory.path().to_str().unwrap(), &notes);
        (1..=3).for_each(|time_ns| setting.block(time_ns));
        damage(directory.path(), 2, 20);
        notes.lock().unwrap().clear();
        assert_eq!(setting.next(), Ok((1, 1)));
        let (status, message) = setting.next().unwrap_err();
        assert_eq!(status, TDG_E_CORRUPT);
        assert!(message.contains(".seg"), "{message}");
        // What was read behind the damage was not given yet, and is not passed.
        assert_eq!(tdg_reader_commit(setting.reader, null(), null_mut()), TDG_OK);
        assert_eq!(setting.next(), Ok((3, 1)));
        assert_eq!(setting.next().unwrap_err().0, TDG_E_TIMEOUT, "told once");
        let told = notes.lock().unwrap().clone();
        assert!(
            told.iter().any(|(level, line)| *level == TDG_LOG_ERROR && line.contains(".seg")),
            "{told:?}"
        );
        assert_eq!(tdg_reader_commit(setting.reader, null(), null_mut()), TDG_OK);
        assert_eq!(setting.behind(), 0);
        setting.free();
    }
    let told = notes.lock().unwrap().len();
    tracing::error!("after it was freed");
    assert_eq!(notes.lock().unwrap().len(), told);
}

#[test]
fn a_block_that_waits_behind_damage_cannot_be_committed() {
    let directory = tempfile::tempdir().unwrap();
    let notes = Mutex::new(Vec::new());
    // SAFETY: the handles live until they are freed at the end.
    unsafe {
        let setting = Setting::new(directory.path().to_str().unwrap(), &notes);
        (1..=3).for_each(|time_ns| setting.block(time_ns));
        damage(directory.path(), 2, 20);
        let mut block = std::mem::MaybeUninit::<tdg_block>::zeroed();
        let mut stream = std::mem::MaybeUninit::<ArrowArrayStream>::zeroed();
        let next = |block, stream| tdg_reader_next(setting.reader, 0, block, stream, null_mut());
        assert_eq!(next(block.as_mut_ptr(), stream.as_mut_ptr()), TDG_OK);
        drop(stream.assume_init());
        let mut third = block.assume_init();
        third.sequence = 3;
        let mut stream = std::mem::MaybeUninit::<ArrowArrayStream>::zeroed();
        assert_eq!(next(block.as_mut_ptr(), stream.as_mut_ptr()), TDG_E_CORRUPT);
        assert_eq!(tdg_reader_commit(setting.reader, &raw const third, null_mut()), TDG_E_INPUT);
        assert_eq!(next(block.as_mut_ptr(), stream.as_mut_ptr()), TDG_OK);
        drop(stream.assume_init());
        assert_eq!(tdg_reader_commit(setting.reader, &raw const third, null_mut()), TDG_OK);
        setting.free();
    }
}

#[test]
fn damage_in_a_block_is_told_before_what_could_be_read_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let notes = Mutex::new(Vec::new());
    // SAFETY: the handles live until they are freed at the end.
    unsafe {
        let setting = Setting::new(directory.path().to_str().unwrap(), &notes);
        (1..=3).for_each(|time_ns| setting.block(time_ns));
        // The second block's definitions, which its row does not need.
        damage(directory.path(), 2, 200);
        assert_eq!(setting.next(), Ok((1, 1)));
        assert_eq!(setting.next().unwrap_err().0, TDG_E_CORRUPT);
        assert_eq!(setting.next(), Ok((2, 1)));
        assert_eq!(setting.next(), Ok((3, 1)));
        setting.free();
    }
}
