//! Messages that come in pieces: a field of one message that is given several times is the message of all its fields,
//! as protobuf has it. No sender writes them so, and most that is here costs nothing where there is one piece.

use crate::bytes::{ProtobufError, ProtobufFields, ProtobufValue};

/// The pieces of a message, in place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Pieces<'b> {
    first: &'b [u8],
    /// The fields behind the first piece in the message around: those of this number are further pieces.
    behind: &'b [u8],
    number: u32,
    count: usize,
}

impl<'b> Pieces<'b> {
    /// None yet of the message in the field of this number.
    pub(super) fn none(number: u32) -> Pieces<'b> {
        Pieces { first: &[], behind: &[], number, count: 0 }
    }

    /// A message in one piece.
    pub(super) fn one(message: &'b [u8]) -> Pieces<'b> {
        Pieces { first: message, behind: &[], number: 0, count: 1 }
    }

    /// The next piece, and what is behind it in the message around.
    #[inline]
    pub(super) fn push(&mut self, piece: &'b [u8], behind: &'b [u8]) {
        if self.count == 0 {
            (self.first, self.behind) = (piece, behind);
        }
        self.count += 1;
    }

    pub(super) fn is_there(&self) -> bool {
        self.count > 0
    }

    /// The fields of all pieces, in their order.
    #[inline]
    pub(super) fn fields(self) -> Fields<'b> {
        let behind = if self.count > 1 { self.behind } else { &[] };
        Fields {
            piece: ProtobufFields::new(self.first),
            behind: ProtobufFields::new(behind),
            number: self.number,
        }
    }
}

/// The fields of a message in pieces.
pub(super) struct Fields<'b> {
    piece: ProtobufFields<'b>,
    behind: ProtobufFields<'b>,
    number: u32,
}

impl<'b> Iterator for Fields<'b> {
    type Item = Result<(u32, ProtobufValue<'b>), ProtobufError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(field) = self.piece.next() {
                return Some(field);
            }
            match self.behind.next()? {
                Ok((number, piece)) if number == self.number => match piece.message() {
                    Ok(fields) => self.piece = fields,
                    Err(e) => return Some(Err(e)),
                },
                Ok(_) => {}
                Err(e) => return Some(Err(e)),
            }
        }
    }
}
