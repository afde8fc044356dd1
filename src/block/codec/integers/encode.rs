//! Encoding words: choose by a sample, transform in a few vectorized passes, split.

use super::super::super::container::{ContainerWriter, Soft};
use super::super::kernels::{self, Divisor, Small};
use super::form;
use crate::bytes::{write_varint, zigzag};

/// Memory for differences and the first values of runs, kept between columns.
#[derive(Default)]
pub(in crate::block) struct Scratch {
    deltas: Vec<u64>,
    firsts: Vec<u64>,
}

/// Encodes `words`, at least one, and writes their description to `out`. The words are used up.
pub(in crate::block) fn encode(
    words: &mut [u64],
    scratch: &mut Scratch,
    container: &mut ContainerWriter,
    out: &mut Vec<u8>,
) {
    encode_words(words, &[], Soft::Common, scratch, container, out);
}

/// The same for a column of a table, whose runs start at `starts`: by series if that looks shorter.
pub(in crate::block) fn encode_by_series(
    words: &mut [u64],
    starts: &[u32],
    scratch: &mut Scratch,
    container: &mut ContainerWriter,
    out: &mut Vec<u8>,
) {
    let short = starts.len() < words.len() && starts.len() * RUN_WORDS_MAX > words.len();
    let apart = short && words.len() >= BY_SERIES_WORDS_MIN;
    encode_words(words, if apart { starts } else { &[] }, Soft::Common, scratch, container, out);
}

/// Encodes words, by series if there are starts and it looks shorter; the planes go to `soft`.
fn encode_words(
    words: &mut [u64],
    starts: &[u32],
    soft: Soft,
    scratch: &mut Scratch,
    container: &mut ContainerWriter,
    out: &mut Vec<u8>,
) {
    let (mut min, mut max) = kernels::range(words);
    if min == max {
        out.push(0);
        write_varint(out, zigzag(min));
        out.extend_from_slice(&[0, 0]);
        return;
    }
    let mut origin = words[0];
    let mut scale = common_factor(words);
    if scale > 1 {
        let by = Divisor::new(origin, scale);
        if kernels::divides(words, by) {
            kernels::divide(words, by);
            (min, max) = kernels::range(words);
        } else {
            scale = 1;
        }
    }
    let scaled = if scale > 1 { form::SCALED } else { 0 };
    let (order, by_series) = choose_order(words, starts);
    if order == 0 {
        let base = min as u64;
        origin = if scale > 1 { origin.wrapping_add(base.wrapping_mul(scale)) } else { base };
        out.push(scaled);
        write_varint(out, zigzag(origin as i64));
        if scale > 1 {
            write_varint(out, scale);
        }
        let bits = significant((max as u64).wrapping_sub(base));
        split(words, Small::From(base), bits, soft, container, out);
        return;
    }

    let deltas = &mut scratch.deltas;
    deltas.resize(words.len() + kernels::STEPS_AT_ONCE, 0);
    let (range, first);
    let deltas = if by_series {
        let steps = kernels::steps(words, starts, deltas);
        scratch.firsts.clear();
        scratch.firsts.extend(starts.iter().map(|&start| words[start as usize]));
        // The firsts have an origin of their own; if they were divided, they are counted from this one.
        origin = if scale > 1 { origin } else { 0 };
        first = 0;
        range = kernels::range(&deltas[..steps]);
        &deltas[..steps]
    } else {
        let mut deltas = &mut deltas[..words.len() - 1];
        let once = kernels::deltas(words, deltas);
        first = deltas[0];
        if order == 2 {
            // The words have given what they had: their memory takes the second differences.
            range = kernels::deltas(deltas, words);
            deltas = &mut words[..deltas.len() - 1];
        } else {
            range = once;
        }
        deltas
    };
    let spread = (range.1 as u64).wrapping_sub(range.0 as u64);
    let zigzag_max = zigzag(range.0).max(zigzag(range.1));
    let zigzagged = spread != 0 && spread.leading_zeros() / 8 <= zigzag_max.leading_zeros() / 8;
    let soft = if by_series { Soft::Steps } else { soft };
    let zigzag_form = if zigzagged { form::ZIGZAG } else { 0 };
    out.push(order | scaled | zigzag_form | if by_series { form::BY_SERIES } else { 0 });
    write_varint(out, zigzag(origin as i64));
    if scale > 1 {
        write_varint(out, scale);
    }
    if order == 2 {
        write_varint(out, zigzag(first as i64));
    }
    if zigzagged {
        split(deltas, Small::Zigzag, significant(zigzag_max), soft, container, out);
    } else {
        write_varint(out, zigzag(range.0));
        split(deltas, Small::From(range.0 as u64), significant(spread), soft, container, out);
    }
    if by_series {
        let mut firsts = std::mem::take(&mut scratch.firsts);
        encode_words(&mut firsts, &[], Soft::Firsts, scratch, container, out);
        scratch.firsts = firsts;
    }
}

/// Encodes truth values, words of 0 and 1, as a bit map.
pub(in crate::block) fn encode_bits(words: &[u64], container: &mut ContainerWriter, out: &mut Vec<u8>) {
    let ones = words.iter().sum::<u64>();
    out.push(0);
    if ones == 0 || ones == words.len() as u64 {
        write_varint(out, zigzag(i64::from(ones != 0)));
        out.extend_from_slice(&[0, 0]);
        return;
    }
    out.extend_from_slice(&[0, 1, 0]);
    let (stream, room) = container.soft(Soft::Common, words.len().div_ceil(8));
    for (byte, bits) in room.iter_mut().zip(words.chunks(8)) {
        *byte = bits.iter().rev().fold(0, |byte, &bit| byte << 1 | bit as u8);
    }
    stream.write(out);
}

/// Writes words, made small, of at most `bits` bits: low bits to the stored frame, high bytes to be compressed.
fn split(
    words: &[u64],
    small: Small,
    bits: u32,
    soft: Soft,
    container: &mut ContainerWriter,
    out: &mut Vec<u8>,
) {
    let slack = if soft == Soft::Firsts && bits < 8 { PAIRS_SLACK_FIRSTS } else { PAIRS_SLACK };
    let low = noise_bits(words, small, bits, slack);
    let planes = (bits - low).div_ceil(8);
    out.extend_from_slice(&[low as u8, planes as u8]);
    if low > 0 {
        let (stream, mut room) = container.hard((words.len() * low as usize).div_ceil(8));
        kernels::pack(words, small, low, &mut room);
        drop(room);
        stream.write(out);
    }
    if planes > 0 {
        let (stream, room) = container.soft(soft, words.len() * planes as usize);
        kernels::planes(words, small, low, room);
        stream.write(out);
    }
}

/// How many of the low bits are noise, judged by a sample.
///
/// From the top byte down: the first that looks random, and all below it, if the lowest looks random too.
fn noise_bits(words: &[u64], small: Small, bits: u32, slack: f32) -> u32 {
    if words.len() < NOISE_WORDS_MIN {
        return 0;
    }
    let step = words.len() / SAMPLE;
    let mut sample = [0; SAMPLE];
    for (s, w) in sample.iter_mut().zip(words.iter().step_by(step)) {
        *s = small.of(*w);
    }
    let top = bits.div_ceil(8);
    for plane in (0..top).rev() {
        let width = (bits - plane * 8).min(8);
        if is_noise(&sample, plane * 8, width, slack) {
            let low = plane == 0 || is_noise(&sample, 0, 8, slack);
            return if low { plane * 8 + width } else { 0 };
        }
    }
    0
}

/// Whether `width` bits of the sample look random: how many pairs of words agree in them, beside how many would.
///
/// Counting pairs needs no logarithms and is not biased by the sample's size. A slack of 1.35 lets through what an
/// entropy coder could shorten by at most log2(1.35) = 0.43 bits.
fn is_noise(sample: &[u64; SAMPLE], shift: u32, width: u32, slack: f32) -> bool {
    let mut counts = [0u32; 256];
    let mut pairs = 0;
    for &w in sample {
        let count = &mut counts[(w >> shift) as usize & 255];
        pairs += *count;
        *count += 1;
    }
    let expected = (SAMPLE * (SAMPLE - 1) / 2) as f32 / (1u32 << width) as f32;
    pairs as f32 <= expected * slack
}

/// The greatest number found to divide the differences of a sample, if it is worth dividing by; else 1.
fn common_factor(words: &[u64]) -> u64 {
    let step = words.len().div_ceil(FACTOR_SAMPLE);
    let mut factor = 0;
    for &w in words.iter().step_by(step).chain(&words[words.len() - 1..]) {
        factor = gcd(factor, (w.wrapping_sub(words[0]) as i64).unsigned_abs());
        if factor != 0 && factor < FACTOR_MIN {
            return 1;
        }
    }
    if factor == 0 || factor > i64::MAX as u64 { 1 } else { factor }
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// How often to take differences, and whether by series: what leaves the fewest bits in a sample of stretches.
fn choose_order(words: &[u64], starts: &[u32]) -> (u8, bool) {
    if words.len() < ORDER_WORDS_MIN {
        return (0, false);
    }
    let stretches = words.len().div_ceil(STRETCH).min(STRETCHES);
    let stride = words.len() / stretches;
    let stretch = |i: usize| &words[i * stride..(i * stride + STRETCH).min(words.len())];
    let least = (0..stretches).flat_map(stretch).map(|&w| w as i64).min().unwrap_or(0) as u64;
    let mut cost = [0u32; 3];
    let (mut seen, mut firsts_seen) = (0, 0);
    let (mut firsts_cost, mut steps_cost) = (0, 0);
    for i in 0..stretches {
        let stretch = stretch(i);
        let first_place = (i * stride + 2) as u32;
        let mut starts = &starts[starts.partition_point(|&start| start < first_place)..];
        for (w, place) in stretch.windows(3).zip(first_place..) {
            let d = w[2].wrapping_sub(w[1]);
            let dd = d.wrapping_sub(w[1].wrapping_sub(w[0]));
            let bits = [w[2].wrapping_sub(least), zigzag(d as i64), zigzag(dd as i64)].map(significant);
            for (cost, bits) in cost.iter_mut().zip(bits) {
                *cost += bits;
            }
            let is_start = starts.first() == Some(&place);
            starts = &starts[usize::from(is_start)..];
            if is_start {
                firsts_seen += 1;
                firsts_cost += bits[0];
            } else {
                steps_cost += bits[1];
            }
        }
        seen += stretch.len().saturating_sub(2) as u32;
    }
    // Differences must win by something, since they cost passes here and a sum in every reader.
    let steps_pay = steps_cost * STEPS_PAY.1 < (cost[0] - firsts_cost) * STEPS_PAY.0;
    let across = cost[1].min(cost[2]) + firsts_seen * JUMP_BITS;
    if !starts.is_empty() && steps_pay && firsts_cost + steps_cost <= across {
        return (1, true);
    }
    let order =
        if cost[2] + seen / 2 < cost[0].min(cost[1]) { 2 } else { u8::from(cost[1] + seen / 16 < cost[0]) };
    (order, false)
}

fn significant(x: u64) -> u32 {
    64 - x.leading_zeros()
}

const SAMPLE: usize = 256;
const NOISE_WORDS_MIN: usize = SAMPLE;
const PAIRS_SLACK: f32 = 1.35;
/// Firsts are most of a block with few rows a series. The third of a bit that a percentage has
/// to spare in seven counts there.
const PAIRS_SLACK_FIRSTS: f32 = 1.1;
const FACTOR_SAMPLE: usize = 32;
const FACTOR_MIN: u64 = 16;
const ORDER_WORDS_MIN: usize = 4;
const STRETCH: usize = 32;
const STRETCHES: usize = 8;
/// What a jump from series to series costs beside its own bits: it lengthens the entropy code of all differences.
/// That a value jumps or does not is 2 bits a jump where every second does, 4 where every sixth does.
const JUMP_BITS: u32 = 2;
/// Differences within runs are taken if they are shorter than the words by more than one part in eight.
const STEPS_PAY: (u32, u32) = (7, 8);
/// Columns of longer runs have hardly a first, and shorter columns don't win what a second frame costs.
const RUN_WORDS_MAX: usize = 64;
const BY_SERIES_WORDS_MIN: usize = 512;
