//! One of several servers with the same configuration takes its share of the targets.
//!
//! A target's place is decided by its key alone, by FNV-1a: whatever else is discovered, in whatever order, by
//! whichever version on whichever machine, it stays where it is.

use std::hash::Hasher;

use crate::scrape::TargetKey;

/// Which share of the targets is ours: those whose hash leaves `index` when divided by `count`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shard {
    /// Which of them this server is; less than `count`.
    pub index: u32,
    /// How many servers share the targets; 0 and 1 are both this one alone.
    pub count: u32,
}

impl Default for Shard {
    fn default() -> Shard {
        Shard { index: 0, count: 1 }
    }
}

impl Shard {
    /// Whether a target is ours.
    pub fn has(self, key: &TargetKey) -> bool {
        self.count < 2 || self.of(key) == self.index
    }

    /// The index of the server that a target is of.
    pub fn of(self, key: &TargetKey) -> u32 {
        if self.count < 2 {
            return self.index;
        }
        // Less than the count, which fits.
        (hash(key) % u64::from(self.count)) as u32
    }
}

/// A hash of a target's key that is the same everywhere and for ever.
pub(in crate::scrape) fn hash(key: &TargetKey) -> u64 {
    let mut hash = Fnv(FNV_OFFSET);
    let labels = key.labels.iter().flat_map(|(name, value)| [name, value]);
    for text in [&key.job, &key.url].into_iter().chain(labels) {
        hash.write(text.as_bytes());
        // No text has this byte: it keeps "ab", "c" apart from "a", "bc".
        hash.write(&[0xFF]);
    }
    // The low bits of FNV know little of the last bytes' high bits.
    hash.finish() ^ hash.finish() >> 32
}

struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(FNV_PRIME);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

const FNV_OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01B3;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> TargetKey {
        let address = format!("10.0.{}.{}:9100", n / 256, n % 256);
        TargetKey {
            job: "node".into(),
            url: format!("http://{address}/metrics"),
            labels: vec![("__address__".into(), address.clone()), ("instance".into(), address)],
        }
    }

    #[test]
    fn every_target_has_one_server_and_servers_have_like_shares() {
        for count in [1, 2, 3, 8] {
            let mut shares = vec![0_usize; count as usize];
            for n in 0..4000 {
                let owners: Vec<u32> =
                    (0..count).filter(|&index| Shard { index, count }.has(&key(n))).collect();
                assert_eq!(owners.len(), 1, "{n} of {count}: {owners:?}");
                shares[owners[0] as usize] += 1;
            }
            let fair = 4000 / count as usize;
            assert!(shares.iter().all(|share| share.abs_diff(fair) < fair / 5), "{shares:?}");
        }
    }

    #[test]
    fn a_hash_is_what_it_was_in_former_versions() {
        assert_eq!(hash(&key(0)), 16_975_287_908_866_618_599);
    }
}
