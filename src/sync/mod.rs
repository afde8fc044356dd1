//! What threads share without locks: on the way of a row a ring of items, a pool of boxes, a slot for one box, the tray
//! that a writer and its worker reach into, flags, and the durable watermark; beside it counts, a pulse and a
//! turnstile.
//!
//! Each type is small enough to be checked by loom as it ships (`make loom`), and argues each of its orderings.
//! `primitive` alone chooses between the standard library and loom.

mod count;
mod fence;
mod flag;
mod pool;
mod primitive;
mod pulse;
mod ring;
mod shelf;
mod slot;
mod tray;
mod turnstile;
mod watermark;

pub use count::SharedCount;
pub use flag::{Flag, Level};
pub use pool::Pool;
pub use pulse::Pulse;
pub use ring::{Receiver, Sender, ring};
pub(crate) use shelf::Held;
pub use slot::Slot;
pub(crate) use tray::Tray;
pub use turnstile::Turnstile;
pub use watermark::{FAILURES_KEPT_MAX, Outcome, Watermark};
