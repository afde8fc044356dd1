//! Randomness for seeds and identities, from the operating system by way of the standard library.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A random number. For seeds and identities, not for secrets.
pub fn random_u64() -> u64 {
    // Each RandomState has its own keys: the first are the system's, further ones differ from them.
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u64(u64::from(std::process::id()));
    hasher.finish()
}
