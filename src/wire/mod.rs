//! Wire formats: bytes in, rows out.
//!
//! A decoder reads bytes and pushes rows into an [`Intake`]. It does no I/O, reads no clock,
//! takes no lock, and keeps no bytes: what it could not use yet stays with the caller and comes again with more.
//!
//! Some formats are taken as they come, line by line; others mean nothing until their last byte is there and are
//! checked whole before their first row is pushed. Both are a [`Decode`].

pub mod collectd;
pub mod exposition;
pub mod graphite;
pub mod influx;
pub mod ndjson;
pub mod opentsdb;
pub mod otlp;
pub mod remote_write;
pub mod statsd;
#[doc(hidden)]
pub mod testing;
pub mod vm_import;

use std::fmt::Display;

use crate::bytes::json::Json;
use crate::model::{Full, Intake, WriteResult};

/// A decoder of one body at a time.
pub trait Decode {
    /// Checks a body that is there whole, before its first row is taken. A format whose bad rows cost no others has
    /// nothing to check.
    ///
    /// # Errors
    /// [`Malformed`]: nothing of it can be taken.
    fn check(&mut self, body: &[u8]) -> Result<(), Malformed> {
        let _ = body;
        Ok(())
    }

    /// Memory that [`check`](Decode::check) of this body takes beyond the body itself, at most: held until the next
    /// one, or the decoder's end.
    fn check_bytes(&self, body: &[u8]) -> u64 {
        let _ = body;
        0
    }

    /// Back to the start of the same body: nothing of it has been taken.
    fn rewind(&mut self);

    /// Offers the rows of a [checked](Decode::check) body to an intake that takes none of them, to learn which would be
    /// refused; after it the decoder is at the body's start.
    fn rehearse<I: Intake>(&mut self, body: &[u8], intake: &mut I, result: &mut WriteResult) {
        self.feed(body, true, intake, result);
        self.rewind();
    }

    /// Takes what it can of `input`; `last` says that no more bytes come.
    ///
    /// Rows go to `intake`; how many, and what was wrong with the others, to `result`. What was not consumed is to
    /// come again at the start of the next input. A format that is checked whole is fed its whole body, `last` set,
    /// until it is [`FedState::Done`]: it remembers where it stopped, and consumes nothing before.
    fn feed<I: Intake>(&mut self, input: &[u8], last: bool, intake: &mut I, result: &mut WriteResult) -> Fed;

    /// Checks a body that is there whole and takes its rows, in one: a format that is checked whole may know a better
    /// way than one after the other. [`FedState::Full`] is said only of a body that is sound to its end; the rest is
    /// [fed](Decode::feed).
    ///
    /// # Errors
    /// [`Malformed`]: nothing of it can be taken, and what was pushed is to be taken back by who owns the intake.
    fn feed_unchecked<I: Intake>(
        &mut self,
        body: &[u8],
        intake: &mut I,
        result: &mut WriteResult,
    ) -> Result<Fed, Malformed> {
        self.check(body)?;
        Ok(self.feed(body, true, intake, result))
    }
}

/// What a call of [`Decode::feed`] did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fed {
    /// Bytes used up. The rest comes again, with more behind it.
    pub consumed: usize,
    /// What to do next.
    pub state: FedState,
}

/// What a decoder waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FedState {
    /// More bytes, or the word that there are none.
    NeedMore,
    /// Room in the intake: feed the rest again after the next commit.
    Full,
    /// Nothing: the body is used up.
    Done,
}

/// A body that is not of its format: nothing of it can be taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Malformed {
    /// What is wrong and, where that can be said, at which byte or element.
    pub error: String,
}

/// How far a decoder has come in a body that is a JSON array of elements, or one of them alone.
///
/// Bodies are checked whole before: that they are JSON is known. An element stands for itself, and a bad one costs no
/// others.
#[derive(Clone, Copy, Default, Debug)]
struct Elements {
    /// Where the next one starts; 0 before the first one.
    at: usize,
    /// How many are done with.
    done: u64,
}

impl Elements {
    /// Has `take` take the elements of a body from where this stands, a row each: how many samples it has, or what was
    /// wrong with it. At the body's end this stands at the start again.
    #[inline]
    fn feed<F: Display>(
        &mut self,
        body: &[u8],
        result: &mut WriteResult,
        reason: impl Fn(&F) -> &'static str,
        mut take: impl FnMut(&mut Json<'_>) -> Result<Result<u64, Full>, F>,
    ) -> Fed {
        let done = Fed { consumed: body.len(), state: FedState::Done };
        let mut json = Json::new(body, self.at);
        if self.at == 0 && json.take(b'[') && json.peek() == Some(b']') {
            return done;
        }
        loop {
            json.peek();
            let start = json;
            match take(&mut json) {
                Ok(Ok(samples)) => {
                    result.accepted += 1;
                    result.samples += samples;
                }
                Ok(Err(Full)) => {
                    self.at = start.at();
                    return Fed { consumed: 0, state: FedState::Full };
                }
                Err(fault) => {
                    json = start;
                    let Ok(text) = json.skip() else { break };
                    result.reject(self.done + 1, reason(&fault), text, || fault.to_string());
                }
            }
            self.done += 1;
            if !json.take(b',') {
                break;
            }
        }
        *self = Elements::default();
        done
    }
}

impl Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.error)
    }
}

impl std::error::Error for Malformed {}
