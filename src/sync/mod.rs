//! sync

mod count;
mod turnstile;

pub use count::SharedCount;
pub use turnstile::Turnstile;
