//! How a body comes.

/// What the first bytes of an input say of the rest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    /// For the target: which dialect, which options.
    pub(crate) flags: u8,
    /// Lengths of pieces, one after the other and again.
    pieces: [usize; 2],
    /// Rows until the intake is full, each time.
    pub(crate) room: usize,
}

impl Way {
    /// The way and the body of an input; an input that is too short has an empty body.
    pub(crate) fn read(data: &[u8]) -> (Way, &[u8]) {
        let (front, body) = data.split_at(data.len().min(3));
        let [flags, piece, room] = [0, 1, 2].map(|at| front.get(at).copied().unwrap_or_default());
        let pieces = [1 + usize::from(piece & 15), 1 + 7 * usize::from(piece >> 4)];
        (Way { flags, pieces, room: 1 + usize::from(room & 15) }, body)
    }

    /// Where the pieces of `len` bytes end; the last one ends there.
    pub(crate) fn ends(&self, len: usize) -> impl Iterator<Item = usize> {
        let mut at = 0;
        let cuts = self.pieces.into_iter().cycle().map(move |piece| {
            at += piece;
            at
        });
        cuts.take_while(move |&end| end < len).chain([len])
    }

    /// Whether a flag is set.
    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}
