//! What threads share without locks: on the way of a row a ring of items, a pool of boxes, a slot for one box, and the
//! durable watermark; beside it counts, a pulse and a turnstile.
//!
//! Each type is small enough to be checked by loom as it ships (`make loom`), and argues each of its orderings.
//! `primitive` alone chooses between the standard library and loom.

mod count;
mod pool;
mod primitive;
mod pulse;
mod ring;
mod slot;
mod turnstile;
mod watermark;

pub use count::SharedCount;
pub use pool::Pool;
pub use pulse::Pulse;
pub use ring::{Receiver, Sender, ring};
pub use slot::Slot;
pub use turnstile::Turnstile;
pub use watermark::{FAILURES_KEPT_MAX, Outcome, Watermark};
