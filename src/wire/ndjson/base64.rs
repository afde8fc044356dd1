//! Base64 with padding, as RFC 4648 has it: one text for each value.

/// Appends what `text` spells; none if it is not the text that its bytes are printed as.
pub(super) fn decode(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (groups, []) = text.as_chunks::<4>() else { return None };
    let (last, whole) = match groups.split_last() {
        Some((last, whole)) => (last, whole),
        None => return Some(()),
    };
    for group in whole {
        let bits = group.iter().try_fold(0, |bits, &byte| Some(bits << 6 | digit(byte)?))?;
        out.extend_from_slice(&bytes_of(bits));
    }
    let digits = 4 - last.iter().rev().take(2).take_while(|&&byte| byte == b'=').count();
    let bits = last[..digits].iter().try_fold(0, |bits, &byte| Some(bits << 6 | digit(byte)?))?;
    let bits = bits << (6 * (4 - digits));
    let bytes = digits * 6 / 8;
    // Bits that belong to no byte are zero.
    if bits & (0xff_ffff >> (8 * bytes)) != 0 {
        return None;
    }
    out.extend_from_slice(&bytes_of(bits)[..bytes]);
    Some(())
}

/// The bytes of a group of four digits.
#[inline]
fn bytes_of(bits: u32) -> [u8; 3] {
    [(bits >> 16) as u8, (bits >> 8) as u8, bits as u8]
}

#[inline]
fn digit(byte: u8) -> Option<u32> {
    let digit = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode(text.as_bytes(), &mut out).map(|()| out)
    }

    #[test]
    fn the_specifications_vectors() {
        for (text, bytes) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
        ] {
            assert_eq!(decoded(text).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!(decoded("AP8B+/8C"), Some(vec![0, 255, 1, 251, 255, 2]));
    }

    #[test]
    fn other_texts_of_the_same_bytes_are_none() {
        for text in
            ["Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm9v\n", "Zm-v", "=m9v", "Z=9v"]
        {
            assert_eq!(decoded(text), None, "{text}");
        }
    }
}
