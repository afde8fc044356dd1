//! The hash of keys, symbols and shapes: rapidhash version 3, seeded once per process, never written to disk.

use rapidhash::v3::{RapidSecrets, rapidhash_v3_inline};

/// Hashes with one seed, so that who sends the keys cannot know which of them collide.
#[derive(Clone, Debug)]
pub struct KeyHasher(RapidSecrets);

impl KeyHasher {
    /// A hasher of this seed; it must be random where keys come from strangers.
    pub fn new(seed: u64) -> KeyHasher {
        KeyHasher(RapidSecrets::seed(seed))
    }

    #[inline]
    pub(super) fn hash(&self, bytes: &[u8]) -> u64 {
        rapidhash_v3_inline::<true, false, false>(bytes, &self.0)
    }

    /// The hash of bytes in a context: equal bytes of two contexts differ.
    #[inline]
    pub(super) fn hash_in(&self, context: super::ContextId, bytes: &[u8]) -> u64 {
        self.hash(bytes) ^ u64::from(context.0).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}
