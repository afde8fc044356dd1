//! Reading a container: the directory is checked whole at once, frames are decompressed when asked for.

use std::cell::{OnceCell, RefCell};

use super::super::DecodeError;
use super::super::input::Input;
use super::super::limits::{DIRECTORY_BYTES_MAX, ENTRIES_MAX, FRAME_BYTES_MAX, FRAMES_BYTES_MAX, FRAMES_MAX};
use super::{FrameCodec, Stream};
use zstd::bulk::Decompressor;

/// A container's directory, and its frames as far as they were needed.
pub(in crate::block) struct Container<'a> {
    directory: Directory<'a>,
    frames: Vec<Frame<'a>>,
    zstd: RefCell<Option<Decompressor<'static>>>,
}

enum Directory<'a> {
    Stored(&'a [u8]),
    Decompressed(Vec<u8>),
}

struct Frame<'a> {
    codec: FrameCodec,
    stored: &'a [u8],
    raw_len: usize,
    raw: OnceCell<Vec<u8>>,
}

/// An entry of a directory.
pub(in crate::block) struct Entry<'a> {
    pub(in crate::block) kind: u8,
    pub(in crate::block) body: Input<'a>,
}

impl<'a> Container<'a> {
    /// Reads the directory. Allocates its length and a constant for each frame.
    pub(in crate::block) fn open(bytes: &'a [u8]) -> Result<Container<'a>, DecodeError> {
        let mut input = Input(bytes);
        let stored_len = input.u32_fixed()? as usize;
        let raw_len = input.u32_fixed()? as usize;
        if raw_len > DIRECTORY_BYTES_MAX {
            return Err(DecodeError::TooLarge("a directory"));
        }
        let stored = input.bytes(stored_len)?;
        let mut zstd = None;
        let directory = match stored_len == raw_len {
            true => Directory::Stored(stored),
            false => Directory::Decompressed(decompress(&mut zstd, stored, raw_len)?),
        };
        let mut container = Container { directory, frames: Vec::new(), zstd: RefCell::new(zstd) };
        container.frames = container.read_frames(input)?;
        Ok(container)
    }

    fn read_frames(&self, mut data: Input<'a>) -> Result<Vec<Frame<'a>>, DecodeError> {
        let mut input = Input(self.directory());
        let count = input.count(FRAMES_MAX, "frames")?;
        let mut frames = Vec::with_capacity(count.min(input.0.len()));
        let mut total = 0;
        for _ in 0..count {
            let codec = match input.u8()? {
                0 => FrameCodec::Stored,
                1 => FrameCodec::Zstd,
                2 => FrameCodec::ZstdDictionary,
                _ => return Err(DecodeError::Newer("a frame's codec")),
            };
            let stored_len = input.u32()? as usize;
            let raw_len = match codec {
                FrameCodec::Stored => stored_len,
                _ => input.count(FRAME_BYTES_MAX, "a frame")?,
            };
            if codec == FrameCodec::ZstdDictionary {
                input.u32()?;
            }
            total += raw_len;
            if total > FRAMES_BYTES_MAX {
                return Err(DecodeError::TooLarge("frames"));
            }
            let stored = data.bytes(stored_len)?;
            frames.push(Frame { codec, stored, raw_len, raw: OnceCell::new() });
        }
        data.end()?;
        Ok(frames)
    }

    fn directory(&self) -> &[u8] {
        match &self.directory {
            Directory::Stored(bytes) => bytes,
            Directory::Decompressed(bytes) => bytes,
        }
    }

    /// The entries of the directory, in order.
    pub(in crate::block) fn entries(&self) -> Result<Vec<Entry<'_>>, DecodeError> {
        let mut input = Input(self.directory());
        for _ in 0..input.u64()? {
            let codec = input.u8()?;
            for _ in 0..=codec {
                input.u64()?;
            }
        }
        let count = input.count(ENTRIES_MAX, "entries")?;
        let mut entries = Vec::with_capacity(count.min(input.0.len()));
        for _ in 0..count {
            entries.push(Entry { kind: input.u8()?, body: input.sized()? });
        }
        input.end()?;
        Ok(entries)
    }

    /// The `len` bytes of a stream. Decompresses its frame the first time.
    pub(in crate::block) fn stream(&self, stream: Stream, len: usize) -> Result<&[u8], DecodeError> {
        let frame = self.frames.get(stream.frame as usize).ok_or(DecodeError::Damaged("no such frame"))?;
        let raw = match frame.codec {
            FrameCodec::Stored => frame.stored,
            FrameCodec::Zstd => match frame.raw.get() {
                Some(raw) => raw,
                None => {
                    let raw = decompress(&mut self.zstd.borrow_mut(), frame.stored, frame.raw_len)?;
                    frame.raw.get_or_init(|| raw)
                }
            },
            FrameCodec::ZstdDictionary => return Err(DecodeError::Newer("a frame with a zstd dictionary")),
        };
        let start = stream.offset as usize;
        let end = start.checked_add(len).ok_or(OUTSIDE)?;
        raw.get(start..end).ok_or(OUTSIDE)
    }
}

impl Stream {
    pub(in crate::block) fn read(input: &mut Input<'_>) -> Result<Stream, DecodeError> {
        Ok(Stream { frame: input.u32()?, offset: input.u32()? })
    }

    pub(in crate::block) fn write(self, out: &mut Vec<u8>) {
        crate::bytes::write_varint(out, u64::from(self.frame));
        crate::bytes::write_varint(out, u64::from(self.offset));
    }
}

fn decompress(
    zstd: &mut Option<Decompressor<'static>>,
    stored: &[u8],
    raw_len: usize,
) -> Result<Vec<u8>, DecodeError> {
    let zstd = match zstd {
        Some(zstd) => zstd,
        None => zstd.insert(Decompressor::new().map_err(|_| DecodeError::TooLarge("no memory for zstd"))?),
    };
    let mut raw = vec![0; raw_len];
    match zstd.decompress_to_buffer(stored, &mut raw[..]) {
        Ok(len) if len == raw_len => Ok(raw),
        _ => Err(DecodeError::Damaged("a compressed frame")),
    }
}

const OUTSIDE: DecodeError = DecodeError::Damaged("a stream reaches outside its frame");
