//! Numbers as text, and what a format has no text for.

/// A format can't express something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Inexpressible {
    /// The row; nothing of it was written.
    Row,
}

/// Prints numbers without allocating.
pub(super) struct Text {
    floats: zmij::Buffer,
    integers: itoa::Buffer,
}

impl Default for Text {
    fn default() -> Text {
        Text { floats: zmij::Buffer::new(), integers: itoa::Buffer::new() }
    }
}

impl Text {
    #[inline]
    pub(super) fn integer(&mut self, value: impl itoa::Integer, out: &mut Vec<u8>) {
        out.extend_from_slice(self.integers.format(value).as_bytes());
    }

    /// The shortest text that reads back as the same float; the value is finite.
    #[inline]
    pub(super) fn float(&mut self, value: f64, out: &mut Vec<u8>) {
        out.extend_from_slice(self.floats.format_finite(value).as_bytes());
    }
}
