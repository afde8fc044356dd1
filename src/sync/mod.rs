//! What threads share on the way of a row, without locks: a ring of items, a pool of boxes, a slot for one box, and the
//! durable watermark.
//!
//! Each type is small enough to be checked by loom as it ships (`make loom`), and argues each of its orderings.
//! `primitive` alone chooses between the standard library and loom.

mod pool;
mod primitive;
mod ring;
mod slot;
mod watermark;

pub use pool::Pool;
pub use ring::{Receiver, Sender, ring};
pub use slot::Slot;
pub use watermark::{FAILURES_KEPT_MAX, Outcome, Watermark};
