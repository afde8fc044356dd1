//! The double nearest to a decimal: significant digits as an integer, and a power of ten.
//!
//! Three ways, each exact. A mantissa below 2^53 and a small power of ten are both doubles, and one multiplication
//! or division rounds correctly (Clinger). Other mantissas with a modest power are multiplied by a 128-bit
//! approximation of the power of five (Eisel and Lemire, "Number Parsing at a Gigabyte per Second", 2021):
//!
//! ```text
//! w  = mantissa shifted left until its top bit is set
//! p  = w * five[q]                      five[q]: 128 bits of 5^q, top bit set, rounded up where q < 0
//! m  = the 54 top bits of p             one more than a double has, for rounding
//! if the bits below m could still carry into it, take the lower half of five[q] too
//! round half to even; a tie can only be where 5^q is exact and small
//! ```
//!
//! What is left (more than 19 digits, large powers, subnormals) goes to the fast-float2 crate.

use super::decimal::EXACT_TEN_TO;

/// The value of `mantissa * 10^exponent`, negated if `negative`; none where this room has no exact way.
#[inline(always)]
pub fn of_decimal(mantissa: u64, exponent: i32, negative: bool) -> Option<f64> {
    let magnitude = if mantissa < 1 << 53 && exponent.unsigned_abs() <= CLINGER_MAX as u32 {
        let value = mantissa as f64;
        let power = EXACT_TEN_TO[exponent.unsigned_abs() as usize];
        if exponent < 0 { value / power } else { value * power }
    } else {
        by_power_of_five(mantissa, exponent)?
    };
    Some(if negative { -magnitude } else { magnitude })
}

/// The value of `mantissa / 10^places`, both below eight digits' worth.
#[inline(always)]
pub fn of_short(mantissa: u64, places: usize) -> f64 {
    mantissa as f64 / EXACT_TEN_TO[places]
}

/// The value of a decimal float that has been checked against a grammar.
pub fn of_text(text: &[u8]) -> f64 {
    fast_float2::parse(text).expect("the grammar checked before is a subset of fast-float2's")
}

#[inline]
fn by_power_of_five(mantissa: u64, exponent: i32) -> Option<f64> {
    let power = FIVE_TO.get((exponent + POWER_MAX) as usize)?;
    if mantissa == 0 {
        return Some(0.0);
    }
    let zeros = mantissa.leading_zeros();
    let w = mantissa << zeros;
    let first = u128::from(w) * (power >> 64);
    let (mut high, mut low) = ((first >> 64) as u64, first as u64);
    if high & BELOW_MANTISSA == BELOW_MANTISSA {
        let second = (u128::from(w) * u128::from(*power as u64)) >> 64;
        let (sum, carry) = low.overflowing_add(second as u64);
        low = sum;
        high += u64::from(carry);
    }
    let upper = (high >> 63) as u32;
    let shift = upper + 9;
    let mut bits = high >> shift;
    // The binary exponent of 10^q is floor(q * log2(10)) = q + floor(q * log2(5)); 217706 / 2^16 is log2(10).
    let mut biased = ((217_706 * exponent) >> 16) + 63 + upper as i32 - zeros as i32 + 1023;
    if biased <= 0 || biased >= 0x7fe {
        return None;
    }
    if low <= 1 && (TIE_LEAST..=TIE_GREATEST).contains(&exponent) && bits & 3 == 1 && bits << shift == high {
        bits &= !1;
    }
    bits = (bits + (bits & 1)) >> 1;
    if bits >= 1 << 53 {
        bits = 1 << 52;
        biased += 1;
    }
    Some(f64::from_bits(bits & ((1 << 52) - 1) | (biased as u64) << 52))
}

/// The greatest power of ten that is a double.
const CLINGER_MAX: usize = EXACT_TEN_TO.len() - 1;

/// The greatest power here, both ways: 5^27 is the last one below 2^64, which keeps the table's arithmetic simple
/// and, in the paper's terms, is where the product's lower half always settles the rounding.
const POWER_MAX: i32 = 27;

/// Where the exact value of a decimal can lie half way between two doubles.
const TIE_LEAST: i32 = -4;
const TIE_GREATEST: i32 = 23;

const BELOW_MANTISSA: u64 = 0x1ff;

/// 128 bits of 5^-27 .. 5^27.
static FIVE_TO: [u128; 2 * POWER_MAX as usize + 1] = {
    let mut table = [0; 2 * POWER_MAX as usize + 1];
    let mut five = 1u128;
    let mut q = 0;
    while q <= POWER_MAX as usize {
        table[POWER_MAX as usize + q] = five << five.leading_zeros();
        if q > 0 {
            table[POWER_MAX as usize - q] = reciprocal(five);
        }
        five *= 5;
        q += 1;
    }
    table
};

/// The first 128 bits of 1 / divisor, rounded up, by long division.
const fn reciprocal(divisor: u128) -> u128 {
    let mut quotient = 0u128;
    let mut remainder = 1u128;
    while quotient >> 127 == 0 {
        remainder <<= 1;
        quotient <<= 1;
        if remainder >= divisor {
            remainder -= divisor;
            quotient |= 1;
        }
    }
    quotient + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn expected(mantissa: u64, exponent: i32) -> f64 {
        format!("{mantissa}e{exponent}").parse().unwrap()
    }

    #[test]
    fn ties_and_their_neighbours_round_to_even() {
        for odd in 0..200u64 {
            for exponent in -27..=27 {
                let mantissas = [
                    (1 << 53) + odd,
                    (1 << 54) + odd,
                    (1 << 63) + 1024 + odd - 100,
                    u64::MAX - odd,
                    9_007_199_254_740_993 + odd,
                    odd,
                ];
                for mantissa in mantissas {
                    if let Some(value) = of_decimal(mantissa, exponent, false) {
                        let right = expected(mantissa, exponent);
                        assert_eq!(value.to_bits(), right.to_bits(), "{mantissa}e{exponent}");
                    }
                }
            }
        }
    }

    #[test]
    fn powers_out_of_reach_are_left_to_others() {
        assert_eq!(of_decimal(1 << 60, 28, false), None);
        assert_eq!(of_decimal(1 << 60, -28, false), None);
        assert_eq!(of_decimal(0, -5, true).map(f64::to_bits), Some((-0.0f64).to_bits()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn any_decimal_is_the_standard_librarys(mantissa in any::<u64>(), shift in 0u32..64, exponent in -30i32..30) {
            let mantissa = mantissa >> shift;
            if let Some(value) = of_decimal(mantissa, exponent, false) {
                prop_assert_eq!(value.to_bits(), expected(mantissa, exponent).to_bits());
            } else {
                prop_assert!(exponent.abs() > CLINGER_MAX as i32);
            }
        }

        #[test]
        fn checked_text_is_the_standard_librarys(value in any::<f64>().prop_filter("finite", |v| v.is_finite())) {
            for text in [format!("{value:?}"), format!("{value:.17e}"), format!("{value}")] {
                prop_assert_eq!(of_text(text.as_bytes()).to_bits(), text.parse::<f64>().unwrap().to_bits());
            }
        }
    }
}
