//! Decoding scaled decimals.

use super::super::super::DecodeError;
use super::super::super::container::Container;
use super::super::super::input::Input;
use super::super::{Runs, integers};
use super::SCALES;

/// Reads the description of `count` decimals from `input`, and their bits to the end of `words`.
pub(in crate::block) fn decode_decimals(
    count: usize,
    runs: Option<&Runs<'_>>,
    container: &Container<'_>,
    input: &mut Input<'_>,
    words: &mut Vec<u64>,
) -> Result<(), DecodeError> {
    let scale = *SCALES.get(usize::from(input.u8()?)).ok_or(DecodeError::Damaged("a decimal exponent"))?;
    let exceptions = input.count(count, "exceptions")?;
    let (mut positions, mut bits) = (Vec::new(), Vec::new());
    if exceptions > 0 {
        integers::decode(exceptions, None, container, input, &mut positions)?;
        integers::decode(exceptions, None, container, input, &mut bits)?;
    }
    let start = words.len();
    integers::decode(count, runs, container, input, words)?;
    let floats = &mut words[start..];
    for w in &mut *floats {
        *w = (*w as i64 as f64 / scale).to_bits();
    }
    for (&at, &bits) in positions.iter().zip(&bits) {
        let slot = usize::try_from(at).ok().and_then(|at| floats.get_mut(at));
        *slot.ok_or(DecodeError::Damaged("an exception outside its column"))? = bits;
    }
    Ok(())
}
