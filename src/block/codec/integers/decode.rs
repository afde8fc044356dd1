//! Decoding words.

use super::super::super::DecodeError;
use super::super::super::container::{Container, Stream};
use super::super::super::input::Input;
use super::super::{Runs, kernels};
use super::form;

/// Reads a description from `input` and the `count` words that it describes, at least one, to the end of `words`.
///
/// `runs` are those of a column that may be coded by series: `count` values, too. Allocates 8 bytes a word, and
/// twelve more a word by series; the caller has bounded `count`.
pub(in crate::block) fn decode(
    count: usize,
    runs: Option<&Runs<'_>>,
    container: &Container<'_>,
    input: &mut Input<'_>,
    words: &mut Vec<u64>,
) -> Result<(), DecodeError> {
    let form = input.u8()?;
    if form & !(form::ORDER | form::ZIGZAG | form::SCALED | form::BY_SERIES) != 0 {
        return Err(DecodeError::Newer("a form of integers"));
    }
    let order = usize::from(form & form::ORDER);
    let starts = match (form & form::BY_SERIES != 0, order, runs) {
        (false, ..) => None,
        (true, 1, Some(runs)) if runs.starts().len() < count => Some(runs.starts()),
        (true, ..) => return Err(DecodeError::Damaged("integers by series where there is none")),
    };
    let zigzagged = form & form::ZIGZAG != 0;
    if order == 3 || (order == 0 && zigzagged) || order >= count.max(1) {
        return Err(DecodeError::Damaged("the order of differences"));
    }
    let origin = input.i64()? as u64;
    let scale = if form & form::SCALED != 0 { input.u64()? } else { 1 };
    let first = if order == 2 { input.i64()? as u64 } else { 0 };
    let base = if order == 0 || zigzagged { 0 } else { input.i64()? as u64 };
    let low = u32::from(input.u8()?);
    let planes = u32::from(input.u8()?);
    if low + 8 * planes > 64 + 7 || low > 64 || planes > 8 {
        return Err(DecodeError::Damaged("integers of more than 64 bits"));
    }

    let start = words.len();
    words.resize(start + count, 0);
    let all = &mut words[start..];
    let coded = &mut all[starts.map_or(order, <[u32]>::len)..];
    if low > 0 {
        let len = (coded.len() * low as usize).div_ceil(8);
        kernels::unpack(container.stream(Stream::read(input)?, len)?, low, coded);
    }
    if planes > 0 {
        let len = coded.len() * planes as usize;
        kernels::unplanes(container.stream(Stream::read(input)?, len)?, low, coded);
    }
    match (starts, order) {
        (Some(starts), _) => {
            let mut firsts = Vec::new();
            decode(starts.len(), None, container, input, &mut firsts)?;
            kernels::sum_runs(all, starts, &firsts, base, zigzagged);
        }
        (None, 0) => {}
        (None, 1) => kernels::sum(coded, 0, base, zigzagged),
        (None, _) => {
            all[1] = first;
            kernels::sum(&mut all[2..], first, base, zigzagged);
            kernels::sum(&mut all[1..], 0, 0, false);
        }
    }
    for w in all {
        *w = origin.wrapping_add(w.wrapping_mul(scale));
    }
    Ok(())
}
