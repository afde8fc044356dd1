//! sync

mod count;

pub use count::SharedCount;
