//! What a request may weigh.

/// The usual bound on a request's head. A head of ours is under 1 KiB; tokens and proxies' headers fit 16 times over.
pub const HEAD_BYTES_MAX: u32 = 16 * 1024;

/// Bounds on one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HttpLimits {
    /// Request line and headers, blank lines before them included. The connection's read buffer must be able to
    /// hold one byte more.
    pub head_bytes_max: u32,
    /// The body as sent, framing not counted.
    pub body_bytes_max: u64,
    /// The body after its content coding is undone.
    pub decoded_bytes_max: u64,
}

impl Default for HttpLimits {
    /// Bodies to 64 MiB as sent and 256 MiB decoded: agents send 1-10 MB, backfills tens of MB.
    fn default() -> HttpLimits {
        HttpLimits { head_bytes_max: HEAD_BYTES_MAX, body_bytes_max: 64 << 20, decoded_bytes_max: 256 << 20 }
    }
}
