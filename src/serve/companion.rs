//! What else a worker's poll drives beside its doors: made by who puts the process together.

use std::fmt::{self, Debug, Formatter};
use std::io;
use std::sync::Arc;

use mio::event::Event;
use mio::{Registry, Token};

use crate::engine::{self, MemoryBudget};

/// A companion's tokens: more than there can be sockets.
pub(super) const COMPANION_TOKENS: usize = 1 << 48;
pub(super) const COMPANION_TOKENS_END: usize = 1 << 56;

/// Something with sockets of its own that pushes rows into the worker's engine, on the worker's thread.
pub trait Companion: Send {
    /// Notes what the poll said of a token of its own.
    fn ready(&mut self, event: &Event);

    /// Does what is to be done. Called whenever the worker has woken, and once more where there was no
    /// [room](Companion::is_full) and now may be.
    fn step(&mut self, lent: &mut Lent<'_>);

    /// When it wants its next turn at the latest, by the engine's monotonic clock.
    fn due_ns(&self) -> Option<u64>;

    /// Whether it waits for room in the engine or in memory.
    fn is_full(&self) -> bool;

    /// While draining: whether it has pushed its last row.
    fn is_settled(&self) -> bool;

    /// Bytes held, those left out that were reserved.
    fn memory_bytes(&self) -> u64;
}

/// What a worker lends.
pub struct Lent<'a> {
    /// Where rows go.
    pub engine: &'a mut engine::Worker,
    /// Where memory comes from.
    pub budget: &'a MemoryBudget,
    /// Room to read into; its bytes mean nothing.
    pub buffer: &'a mut [u8],
    /// The server stops.
    pub draining: bool,
}

/// Makes the companion of a worker, by its number; its sockets are registered with that worker's poll, under tokens
/// from the given one on.
#[derive(Clone)]
pub struct CompanionHook(pub Arc<Make>);

type Make = dyn Fn(usize, Registry, Token) -> io::Result<Box<dyn Companion>> + Send + Sync;

impl Debug for CompanionHook {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("CompanionHook")
    }
}
