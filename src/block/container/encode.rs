//! Writing a container: frames are gathered, compressed when full, and put behind the directory at the end.
//!
//! Two kinds of bytes come in. *Soft* ones have something to win: they share a frame until it is full, because zstd
//! does better on 100 KiB than on 5. *Hard* ones are noise by the codecs' own measure: they go to frame 0, which is
//! stored, and cost one copy.
//!
//! Three soft frames are open at once: zstd makes one entropy code for all of a frame, so bytes that are spread
//! otherwise than the rest are gathered [apart](Soft). A frame has its number, and so its place, from its opening on.

use super::super::limits::FRAME_BYTES_MAX;
use super::{FrameCodec, Stream};
use crate::bytes::{AlignedBuf, write_varint};
use zstd::bulk::Compressor;
use zstd::zstd_safe::{CParameter, ParamSwitch};

/// Builds containers, one after the other, in buffers that it keeps.
pub(in crate::block) struct ContainerWriter {
    zstd: Compressor<'static>,
    hard: Vec<u8>,
    /// The open frames, by [`Soft`].
    soft: [OpenFrame; 3],
    compressed: Vec<u8>,
    /// All frames but the first, in the order in which they were opened.
    frames: Vec<Frame>,
    entries: Vec<u8>,
    entry_count: u64,
    directory: Vec<u8>,
}

/// Which of the open frames bytes are gathered in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::block) enum Soft {
    /// Whatever has no frame of its own.
    Common = 0,
    /// The first values of series: anything in a column's range, as likely as not.
    Firsts = 1,
    /// Differences within series: mostly small.
    Steps = 2,
}

#[derive(Default)]
struct OpenFrame {
    /// Its place in `frames`; of no meaning while there are no bytes.
    index: usize,
    bytes: Vec<u8>,
}

struct Frame {
    codec: FrameCodec,
    /// Where it starts among the compressed ones.
    start: usize,
    stored_len: usize,
    raw_len: usize,
}

impl Frame {
    const OPEN: Frame = Frame { codec: FrameCodec::Stored, start: 0, stored_len: 0, raw_len: 0 };
}

impl ContainerWriter {
    pub(in crate::block) fn new() -> ContainerWriter {
        ContainerWriter {
            zstd: compressor(),
            hard: Vec::new(),
            soft: <[OpenFrame; 3]>::default(),
            compressed: Vec::new(),
            frames: Vec::new(),
            entries: Vec::new(),
            entry_count: 0,
            directory: Vec::new(),
        }
    }

    /// Room for `len` bytes that are worth compressing.
    pub(in crate::block) fn soft(&mut self, soft: Soft, len: usize) -> (Stream, &mut [u8]) {
        let open = &self.soft[soft as usize];
        if !open.bytes.is_empty() && open.bytes.len() + len > SOFT_BYTES {
            self.flush(soft);
        }
        let open = &mut self.soft[soft as usize];
        if open.bytes.is_empty() {
            open.index = self.frames.len();
            self.frames.push(Frame::OPEN);
        }
        let offset = open.bytes.len();
        open.bytes.resize(offset + len, 0);
        (Stream { frame: 1 + open.index as u32, offset: offset as u32 }, &mut open.bytes[offset..])
    }

    /// Room for `len` bytes of noise, and 8 more that the caller may scribble on.
    pub(in crate::block) fn hard(&mut self, len: usize) -> (Stream, HardRoom<'_>) {
        let offset = self.hard.len();
        self.hard.resize(offset + len + SLACK, 0);
        (Stream { frame: 0, offset: offset as u32 }, HardRoom { hard: &mut self.hard, offset })
    }

    /// Adds an entry to the directory.
    pub(in crate::block) fn entry(&mut self, kind: u8, body: &[u8]) {
        self.entries.push(kind);
        write_varint(&mut self.entries, body.len() as u64);
        self.entries.extend_from_slice(body);
        self.entry_count += 1;
    }

    /// Bytes gathered so far, before compression.
    pub(in crate::block) fn raw_bytes(&self) -> usize {
        let open: usize = self.soft.iter().map(|open| open.bytes.len()).sum();
        self.hard.len() + open + self.frames.iter().map(|f| f.raw_len).sum::<usize>()
    }

    /// Whether there is no entry yet.
    pub(in crate::block) fn is_empty(&self) -> bool {
        self.entry_count == 0
    }

    /// Appends the container to `out`, forgets it, and gives its length.
    pub(in crate::block) fn finish(&mut self, out: &mut AlignedBuf) -> usize {
        self.flush(Soft::Common);
        self.flush(Soft::Firsts);
        self.flush(Soft::Steps);
        self.directory.clear();
        write_varint(&mut self.directory, 1 + self.frames.len() as u64);
        let hard = Frame { stored_len: self.hard.len(), raw_len: self.hard.len(), ..Frame::OPEN };
        for frame in std::iter::once(&hard).chain(&self.frames) {
            self.directory.push(frame.codec as u8);
            write_varint(&mut self.directory, frame.stored_len as u64);
            if frame.codec != FrameCodec::Stored {
                write_varint(&mut self.directory, frame.raw_len as u64);
            }
        }
        write_varint(&mut self.directory, self.entry_count);
        self.directory.extend_from_slice(&self.entries);

        let start = out.len();
        let raw_len = self.directory.len();
        let mut stored: &[u8] = &self.directory;
        // The frames are copied out after the directory, so its compressed form may stand behind them meanwhile.
        let at = self.compressed.len();
        if raw_len >= DIRECTORY_COMPRESSED_MIN {
            let len = compress(&mut self.zstd, &self.directory, &mut self.compressed);
            if len < raw_len {
                stored = &self.compressed[at..at + len];
            }
        }
        out.extend_from_slice(&(stored.len() as u32).to_le_bytes());
        out.extend_from_slice(&(raw_len as u32).to_le_bytes());
        out.extend_from_slice(stored);
        out.extend_from_slice(&self.hard);
        for frame in &self.frames {
            out.extend_from_slice(&self.compressed[frame.start..frame.start + frame.stored_len]);
        }
        self.hard.clear();
        self.compressed.clear();
        self.frames.clear();
        self.entries.clear();
        self.entry_count = 0;
        out.len() - start
    }

    fn flush(&mut self, soft: Soft) {
        let OpenFrame { index, bytes } = &mut self.soft[soft as usize];
        let raw_len = bytes.len();
        if raw_len == 0 {
            return;
        }
        assert!(raw_len <= FRAME_BYTES_MAX, "a column is no longer than a batch");
        let start = self.compressed.len();
        search_matches(&mut self.zstd, soft == Soft::Common);
        let len = compress(&mut self.zstd, bytes, &mut self.compressed);
        search_matches(&mut self.zstd, true);
        let codec =
            if len < raw_len - raw_len / STORE_UNLESS_SAVED { FrameCodec::Zstd } else { FrameCodec::Stored };
        if codec == FrameCodec::Stored {
            self.compressed.truncate(start);
            self.compressed.extend_from_slice(bytes);
        }
        self.frames[*index] = Frame { codec, start, stored_len: self.compressed.len() - start, raw_len };
        bytes.clear();
    }
}

/// Bytes reserved in the stored frame.
pub(in crate::block) struct HardRoom<'a> {
    hard: &'a mut Vec<u8>,
    offset: usize,
}

impl std::ops::Deref for HardRoom<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.hard[self.offset..]
    }
}

impl std::ops::DerefMut for HardRoom<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.hard[self.offset..]
    }
}

impl Drop for HardRoom<'_> {
    fn drop(&mut self) {
        self.hard.truncate(self.hard.len() - SLACK);
    }
}

fn compressor() -> Compressor<'static> {
    let mut zstd = Compressor::new(LEVEL).expect("a context takes 200 KiB of memory");
    for parameter in [CParameter::MinMatch(MATCH_BYTES_MIN), CParameter::HashLog(HASH_BITS)] {
        zstd.set_parameter(parameter).expect("within zstd's own bounds");
    }
    zstd
}

/// Whether frames to come are searched for matches, or only entropy-coded.
fn search_matches(zstd: &mut Compressor<'static>, search: bool) {
    let (skip, literals) = if search { (0, ParamSwitch::Auto) } else { (SKIP_BYTES, ParamSwitch::Enable) };
    for parameter in [CParameter::TargetLength(skip), CParameter::LiteralCompressionMode(literals)] {
        zstd.set_parameter(parameter).expect("within zstd's own bounds");
    }
}

/// Appends `bytes`, compressed, to `out`; gives the length.
fn compress(zstd: &mut Compressor<'static>, bytes: &[u8], out: &mut Vec<u8>) -> usize {
    let at = out.len();
    out.resize(at + zstd::zstd_safe::compress_bound(bytes.len()), 0);
    let len = zstd.compress_to_buffer(bytes, &mut out[at..]).expect("the room is what zstd asks for at most");
    out.truncate(at + len);
    len
}

/// Below level 1 zstd does not entropy-code literals, which is all that the columns' bytes are.
const LEVEL: i32 = 1;

/// Differences of a few bits repeat by chance. A short match costs more bits than its bytes by themselves, and time: 7
/// instead of level 1's own choice, and a hash table that fits the first cache, made integers 9 % shorter and the
/// whole encoder a fifth faster, and strings no longer.
const MATCH_BYTES_MIN: u32 = 7;
const HASH_BITS: u32 = 11;

/// Differences of two bits repeat by chance all the time. Looking for a match at every 64th byte only made such a frame
/// 7 % shorter and three times as fast.
const SKIP_BYTES: u32 = 64;

/// A frame is closed when the next column would take it past this. zstd's own blocks are this long.
const SOFT_BYTES: usize = 128 << 10;

/// A frame that zstd shortens by less than one part in this is stored.
const STORE_UNLESS_SAVED: usize = 64;

/// Shorter directories are stored: they would save less than they cost, and 4 KiB is the unit on disk.
const DIRECTORY_COMPRESSED_MIN: usize = 1024;

const SLACK: usize = 8;
