//! How DogStatsD's clients frame a stream: packets of lines, each behind its length.
//!
//! On `unixstream://` a packet follows its length, four bytes, little-endian; its last line needs no newline. Others
//! send plain lines on such a socket. The first bytes tell which it is: as a length, four characters of text are
//! beyond any bound.

/// What a stream is made of, and where in it one is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Framing {
    /// The first bytes will tell.
    Unknown,
    Lines,
    /// Within a packet; before the next one where nothing is left.
    Packet {
        bytes_left: usize,
    },
    /// The stream is out of step.
    Lost,
}

/// The length of the packet behind a header; `None` where it is none that a packet may have.
pub(super) fn packet_bytes(header: &[u8; HEADER_BYTES]) -> Option<usize> {
    let bytes = u32::from_le_bytes(*header) as usize;
    (bytes <= PACKET_BYTES_MAX).then_some(bytes)
}

pub(super) const HEADER_BYTES: usize = 4;

/// Bytes of a packet at most: clients send up to 8 KiB, agents take up to 64 KiB. It is not held as a whole; the
/// least that text can be read as is a tab in the fourth place, 144 MiB.
pub(super) const PACKET_BYTES_MAX: usize = 1 << 20;
