//! The symbols of a 2.0 request: where each lies in the body.

use std::ops::Range;

use crate::bytes::read_varint;
use crate::model::METRIC_NAME;

/// Symbols of a request at most, a hundred times what a great one has: each costs twelve bytes here, 3 MiB all, and
/// may be two on the wire.
pub(super) const SYMBOLS_MAX: usize = 1 << 18;

/// More than [`SYMBOLS_MAX`].
#[derive(Debug)]
pub(super) struct TooManySymbols;

/// The table of a request.
#[derive(Default, Debug)]
pub(super) struct Symbols {
    symbols: Vec<Symbol>,
    /// The first symbol that is [`METRIC_NAME`].
    metric_name: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Symbol {
    /// Where its length stands; its text is behind it.
    start: u32,
    end: u32,
    /// Where the metadata message, from its length on, stands that was handed on last for the metric of this name; 0
    /// for none.
    said: u32,
}

impl Symbols {
    pub(super) fn clear(&mut self) {
        self.symbols.clear();
        self.metric_name = None;
    }

    /// Adds the symbol that lies at `place` with its length, and whose text starts at `text`.
    #[inline]
    pub(super) fn push(
        &mut self,
        body: &[u8],
        place: Range<usize>,
        text: usize,
    ) -> Result<(), TooManySymbols> {
        if self.symbols.len() == SYMBOLS_MAX {
            return Err(TooManySymbols);
        }
        if body[text..place.end] == *METRIC_NAME && self.metric_name.is_none() {
            self.metric_name = Some(self.symbols.len() as u32);
        }
        // The body is below 4 GiB: that is checked before.
        self.symbols.push(Symbol { start: place.start as u32, end: place.end as u32, said: 0 });
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.symbols.len()
    }

    /// The first symbol's text, if there is one.
    pub(super) fn first<'a>(&self, body: &'a [u8]) -> Option<&'a [u8]> {
        self.text(body, 0)
    }

    /// A symbol as it lies in the body: its length and its text. None if there is no such symbol.
    #[inline]
    pub(super) fn sized(&self, reference: u64) -> Option<Range<usize>> {
        let symbol = self.symbols.get(place(reference))?;
        Some(symbol.start as usize..symbol.end as usize)
    }

    /// A symbol's text.
    #[inline]
    pub(super) fn text<'a>(&self, body: &'a [u8], reference: u64) -> Option<&'a [u8]> {
        let mut text = body.get(self.sized(reference)?)?;
        read_varint(&mut text)?;
        Some(text)
    }

    /// Whether a symbol is the name of the label that holds the metric's name.
    #[inline(always)]
    pub(super) fn is_metric_name(&self, body: &[u8], reference: u64) -> bool {
        self.metric_name.is_some_and(|known| {
            u64::from(known) == reference || self.text(body, reference) == Some(METRIC_NAME)
        })
    }

    /// Whether what was handed on last for the metric of this name is the same as `message`, a metadata message from
    /// its length on.
    #[inline(always)]
    pub(super) fn has_metadata(&self, body: &[u8], name: u64, message: &Range<usize>) -> bool {
        let Some(symbol) = self.symbols.get(place(name)) else { return false };
        let said = symbol.said as usize;
        said != 0 && starts_alike(&body[said..], &body[message.start..], message.len())
    }

    /// Notes the metadata message that was handed on last for the metric of this name.
    pub(super) fn note_metadata(&mut self, name: u64, message: &Range<usize>) {
        if let Some(symbol) = self.symbols.get_mut(place(name)) {
            symbol.said = message.start as u32;
        }
    }

    /// No metadata was handed on.
    pub(super) fn forget_metadata(&mut self) {
        self.symbols.iter_mut().for_each(|symbol| symbol.said = 0);
    }
}

/// Where in the table a reference leads: it is a number of 32 bits, of which protobuf reads no more.
#[inline(always)]
fn place(reference: u64) -> usize {
    reference as u32 as usize
}

/// Where the length stands of what starts at `content`: in the byte before it, and those before that which say that one
/// follows. Before those stands a tag, whose last byte does not.
#[inline]
pub(super) fn length_start(body: &[u8], content: usize) -> usize {
    let continued = body[..content - 1].iter().rev().take_while(|&&byte| byte >= 0x80).count();
    content - 1 - continued
}

/// Whether the first `len` bytes of both are there and the same. They are few as a rule: then it is cheaper to look at
/// eight, or at eight twice.
#[inline(always)]
fn starts_alike(a: &[u8], b: &[u8], len: usize) -> bool {
    let (Some(a), Some(b)) = (a.get(..len.max(8)), b.get(..len.max(8))) else {
        return len <= b.len() && a.get(..len) == b.get(..len);
    };
    let differ = |a: Option<&[u8; 8]>, b: Option<&[u8; 8]>| match (a, b) {
        (Some(a), Some(b)) => u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b),
        _ => unreachable!("there are eight bytes"),
    };
    match len {
        1..=8 => differ(a.first_chunk(), b.first_chunk()) << (64 - 8 * len) == 0,
        9..=16 => differ(a.first_chunk(), b.first_chunk()) | differ(a.last_chunk(), b.last_chunk()) == 0,
        _ => a[..len] == b[..len],
    }
}
