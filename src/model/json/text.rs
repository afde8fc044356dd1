//! Numbers as text, without allocating.

/// Prints numbers.
pub(crate) struct Text {
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
    pub(crate) fn integer(&mut self, value: impl itoa::Integer, out: &mut Vec<u8>) {
        out.extend_from_slice(self.integers.format(value).as_bytes());
    }

    /// The shortest text that reads back as the same float; the value is finite.
    #[inline]
    pub(crate) fn float(&mut self, value: f64, out: &mut Vec<u8>) {
        out.extend_from_slice(self.floats.format_finite(value).as_bytes());
    }
}
