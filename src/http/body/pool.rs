//! A worker's decoders between bodies.

use super::Encoding;
use super::decoder::{Coding, ContentDecoder};
use super::gzip::Gzip;
use super::inflate::Deflate;
use super::zstd::Zstd;
use crate::http::HttpLimits;
use flate2::Decompress;

/// How many decoders of each coding are kept for later. A worker decodes one piece at a time; more are lent only
/// while several bodies arrive interleaved.
pub const DECODERS_IDLE_MAX: usize = 8;

/// A zstd context that grew over this is freed and not kept: eight idle windows of 8 MiB would be 64 MiB for nothing.
/// The default levels of the common encoders need 2 MiB.
const ZSTD_IDLE_BYTES_MAX: usize = 3 << 20;

/// A body whose memory is over this is freed and not kept.
const BODY_IDLE_BYTES_MAX: usize = 1 << 20;

/// Decoders waiting for a body. One per worker.
#[derive(Default)]
#[expect(
    clippy::vec_box,
    reason = "the boxes are what is lent: a connection holds a pointer, not the machine"
)]
pub struct DecoderPool {
    gzip: Vec<Box<Gzip>>,
    deflate: Vec<Box<Deflate>>,
    zstd: Vec<Box<Zstd>>,
    body: Vec<u8>,
}

impl DecoderPool {
    /// An empty pool; decoders are made when they are first needed.
    pub fn new() -> DecoderPool {
        DecoderPool::default()
    }

    /// Lends a decoder for one body. `None` if there is no memory for it: answer 503.
    pub fn take(&mut self, encoding: Encoding, limits: &HttpLimits) -> Option<ContentDecoder> {
        let coding = match encoding {
            Encoding::Identity | Encoding::Snappy | Encoding::SnappyFrames => Coding::Identity,
            Encoding::Gzip => {
                Coding::Gzip(self.gzip.pop().unwrap_or_else(|| Box::new(Gzip::new(Decompress::new(false)))))
            }
            Encoding::Deflate => Coding::Deflate(
                self.deflate.pop().unwrap_or_else(|| Box::new(Deflate::new(Decompress::new(true)))),
            ),
            Encoding::Zstd => match self.zstd.pop() {
                Some(zstd) => Coding::Zstd(zstd),
                None => Coding::Zstd(Box::new(Zstd::new()?)),
            },
        };
        Some(ContentDecoder::new(coding, limits))
    }

    /// Memory of a body that was undone as a whole, to undo the next one in: with what is written in it, so that it
    /// need not be cleared.
    pub fn take_body(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.body)
    }

    /// Takes such memory back.
    pub fn put_body(&mut self, body: Vec<u8>) {
        if body.capacity() <= BODY_IDLE_BYTES_MAX && body.capacity() > self.body.capacity() {
            self.body = body;
        }
    }

    /// How many decoders wait.
    pub fn idle_count(&self) -> usize {
        self.gzip.len() + self.deflate.len() + self.zstd.len()
    }

    /// Takes a decoder back, wherever in its body it stopped.
    pub fn put(&mut self, decoder: ContentDecoder) {
        match decoder.coding {
            Coding::Identity => {}
            Coding::Gzip(mut gzip) => {
                gzip.restart();
                keep(&mut self.gzip, gzip);
            }
            Coding::Deflate(mut deflate) => {
                deflate.restart();
                keep(&mut self.deflate, deflate);
            }
            Coding::Zstd(mut zstd) => {
                if zstd.memory_bytes() <= ZSTD_IDLE_BYTES_MAX {
                    zstd.restart();
                    keep(&mut self.zstd, zstd);
                }
            }
        }
    }
}

fn keep<T>(idle: &mut Vec<Box<T>>, decoder: Box<T>) {
    if idle.len() < DECODERS_IDLE_MAX {
        idle.push(decoder);
    }
}
