//! Tokens: by which whoever flushed learns what became of the rows.
//!
//! Kept: a token tells `Ok` only if every load it stands for is on stable storage; it outlives its writer. Its number
//! holds all that it is, so that a caller in another language keeps nothing but that.

use std::sync::Arc;
use std::time::Duration;

use crate::sync::Outcome;

use super::seat::Desk;

/// Stands for rows that were handed over. It outlives its writer, and may be waited for on any thread.
#[derive(Clone, Debug)]
pub struct Token {
    desk: Arc<Desk>,
    first: u64,
    last: u64,
}

/// A writer's tokens by their numbers, for threads that have the numbers only.
#[derive(Clone, Debug)]
pub struct Tokens {
    desk: Arc<Desk>,
}

/// Why rows are not known to be durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotDurable {
    /// Not yet.
    TimedOut,
    /// A commit failed, or rows were rejected by it: each of the rows may be found again, or not.
    InDoubt,
    /// The engine ended before it had come to the rows: as [`InDoubt`](NotDurable::InDoubt).
    Closed,
}

/// A token's number is its last load, and below it in so many bits how many loads it stands for.
const LOADS_BITS: u32 = 16;

/// So many or more: all of the writer's. In doubt is the safe answer.
const LOADS_ALL: u64 = (1 << LOADS_BITS) - 1;

impl Token {
    pub(super) fn new(desk: Arc<Desk>, first: u64, last: u64) -> Token {
        Token { desk, first, last }
    }

    /// The token as one number. Those of one writer never become less, and only a flush that has rows makes another
    /// one.
    pub fn number(&self) -> u64 {
        self.last << LOADS_BITS | (self.last + 1 - self.first).min(LOADS_ALL)
    }

    /// Whether all of its rows are on stable storage.
    pub fn is_durable(&self) -> bool {
        self.look() == Ok(())
    }

    /// Waits until the rows are on stable storage, or will not be.
    ///
    /// # Errors
    /// [`NotDurable`].
    pub fn wait(&self, timeout: Duration) -> Result<(), NotDurable> {
        // Loads come to an end in their order.
        self.desk.watermark.wait(self.last, timeout);
        self.look()
    }

    fn look(&self) -> Result<(), NotDurable> {
        let watermark = &self.desk.watermark;
        if watermark.outcome(self.last).is_none() {
            return Err(NotDurable::TimedOut);
        }
        (self.first..=self.last).try_for_each(|number| match watermark.outcome(number) {
            Some(Outcome::Durable) => Ok(()),
            Some(Outcome::Failed) => Err(NotDurable::InDoubt),
            Some(Outcome::Closed) => Err(NotDurable::Closed),
            None => Err(NotDurable::TimedOut),
        })
    }
}

impl Tokens {
    pub(super) fn new(desk: Arc<Desk>) -> Tokens {
        Tokens { desk }
    }

    /// The token of a number; `None` if the writer has given no such one.
    pub fn token(&self, number: u64) -> Option<Token> {
        let (last, loads) = (number >> LOADS_BITS, number & LOADS_ALL);
        let first = if loads == LOADS_ALL { 1 } else { (last + 1).checked_sub(loads)? };
        let given = self.desk.tray.is_flushed(last) && (first >= 1 || last == 0);
        given.then(|| Token { desk: Arc::clone(&self.desk), first: first.max(1), last })
    }
}

impl std::fmt::Display for NotDurable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            NotDurable::TimedOut => "not durable yet",
            NotDurable::InDoubt => "a commit failed: the rows are in doubt",
            NotDurable::Closed => "the engine ended first: the rows are in doubt",
        })
    }
}

impl std::error::Error for NotDurable {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::seat::Desk;

    #[test]
    fn a_number_is_the_token_it_was_made_of() {
        let desk = Arc::new(Desk::new(1));
        desk.tray.flush(1 << 40);
        let tokens = Tokens::new(Arc::clone(&desk));
        let mut before = 0;
        for (first, last) in [(1, 0), (1, 1), (2, 5), (6, 6), (7, LOADS_ALL + 5), (LOADS_ALL + 6, 1 << 40)] {
            let token = Token::new(Arc::clone(&desk), first, last);
            let back = tokens.token(token.number()).unwrap();
            let all = last + 1 - first >= LOADS_ALL;
            assert_eq!((back.first, back.last), (if all { 1 } else { first }, last));
            assert!(token.number() >= before, "ordered");
            before = token.number();
        }
        assert!(tokens.token(before + (1 << LOADS_BITS)).is_none(), "not given yet");
        assert!(tokens.token(3 << LOADS_BITS | 5).is_none(), "more loads than there were");
    }
}
