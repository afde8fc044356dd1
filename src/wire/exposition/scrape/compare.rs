//! How far two texts are equal, at the speed of memory.

/// Bytes that both texts start with.
#[inline]
pub(super) fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let len = equal_len(a, b);
    #[cfg(test)]
    COMPARED.with(|bytes| bytes.set(bytes.get() + len));
    len
}

#[inline]
fn equal_len(a: &[u8], b: &[u8]) -> usize {
    let len = a.len().min(b.len());
    let (a, b) = (&a[..len], &b[..len]);
    let (a_blocks, _) = a.as_chunks::<BLOCK>();
    let (b_blocks, _) = b.as_chunks::<BLOCK>();
    // Equality of whole blocks compiles to vector instructions; which byte differs is looked for once.
    let equal = a_blocks.iter().zip(b_blocks).take_while(|(a, b)| a == b).count() * BLOCK;
    let (a_words, a_rest) = a[equal..].as_chunks::<8>();
    let (b_words, b_rest) = b[equal..].as_chunks::<8>();
    for (i, (a, b)) in a_words.iter().zip(b_words).enumerate() {
        let differ = u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b);
        if differ != 0 {
            return equal + i * 8 + (differ.trailing_zeros() / 8) as usize;
        }
    }
    let words = a_words.len() * 8;
    equal + words + a_rest.iter().zip(b_rest).take_while(|(a, b)| a == b).count()
}

const BLOCK: usize = 32;

#[cfg(test)]
thread_local! {
    /// Bytes that this thread found to be equal.
    pub(super) static COMPARED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn as_byte_by_byte(mut a: Vec<u8>, more in proptest::collection::vec(0u8..2, 0..200), at in 0usize..200) {
            a.extend_from_slice(&more);
            let mut b = a.clone();
            b.extend_from_slice(b"xy");
            if let Some(byte) = b.get_mut(at) {
                *byte ^= 1;
            }
            let naive = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
            prop_assert_eq!(common_prefix(&a, &b), naive);
            prop_assert_eq!(common_prefix(&b, &a), naive);
        }
    }
}
