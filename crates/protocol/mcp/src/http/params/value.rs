//! What an argument looks like in a header.

use std::borrow::Cow;

/// An argument, as far as a header can say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mirror<'a> {
    Text(Cow<'a, str>),
    Integer(i64),
    Boolean(bool),
    /// A fraction, an integer beyond the safe range, an array, an object, a string that is not Unicode.
    Impossible,
}

impl<'a> Mirror<'a> {
    /// Reads JSON text; `None` for `null`.
    pub(super) fn read(text: &'a [u8]) -> Option<Mirror<'a>> {
        let read = match text {
            b"null" => return None,
            b"true" => Mirror::Boolean(true),
            b"false" => Mirror::Boolean(false),
            [b'"', ..] => match serde_json::from_slice::<BorrowedText<'a>>(text) {
                Ok(BorrowedText(text)) => Mirror::Text(text),
                Err(_) => Mirror::Impossible,
            },
            number => std::str::from_utf8(number)
                .ok()
                .and_then(safe_integer)
                .map_or(Mirror::Impossible, Mirror::Integer),
        };
        Some(read)
    }
}

/// Borrows where the string has no escapes, which a plain `Cow` never does.
#[derive(serde::Deserialize)]
struct BorrowedText<'a>(#[serde(borrow)] Cow<'a, str>);

/// The integer that a JSON number is, if it is one and within ±(2^53−1), where every reader sees the same. Exact,
/// however the number is written: `42.0`, `4.2e1` and `42` are one.
pub(super) fn safe_integer(text: &str) -> Option<i64> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, self::exponent(exponent)?),
        None => (text, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some((whole, fraction)) => (whole, fraction),
        None => (mantissa, ""),
    };
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let zero_first = whole.len() > 1 && whole.starts_with('0');
    if whole.is_empty() || zero_first || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    // The last digit that counts has this many places to its right, or left if that is negative.
    let significant = fraction.trim_end_matches('0');
    let places = i64::try_from(significant.len()).ok()?;
    let digits = whole.bytes().chain(significant.bytes()).skip_while(|digit| *digit == b'0');
    let mut value = 0i64;
    let mut pending_zeros = 0u32;
    for digit in digits {
        // Zeros wait for a digit behind them: `1000…0e-400` is small.
        if digit == b'0' {
            pending_zeros = pending_zeros.checked_add(1)?;
            continue;
        }
        value = shifted(value, pending_zeros.checked_add(1)?)?.checked_add(i64::from(digit - b'0'))?;
        pending_zeros = 0;
    }
    if value == 0 {
        return Some(0);
    }
    let shift = exponent.checked_sub(places)?.checked_add(i64::from(pending_zeros))?;
    let value = shifted(value, u32::try_from(shift).ok()?)?;
    (value <= MAX_SAFE_INTEGER).then_some(if negative { -value } else { value })
}

/// Far out of any range, the exact number does not matter, but its sign does.
fn exponent(text: &str) -> Option<i64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, text.get(1..)?),
        b'+' => (1, text.get(1..)?),
        _ => (1, text),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let size = digits
        .bytes()
        .fold(0i64, |size, digit| size.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    Some(sign * size)
}

fn shifted(value: i64, places: u32) -> Option<i64> {
    if value == 0 { Some(0) } else { value.checked_mul(10i64.checked_pow(places)?) }
}

const MAX_SAFE_INTEGER: i64 = (1 << 53) - 1;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_integer_is_exact_and_within_the_safe_range() {
        let long_one = format!("1{}e-400", "0".repeat(400));
        let long_fraction = format!("7.{}", "0".repeat(1000));
        let table = [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("0.0e99999999999999999999", Some(0)),
            ("0e-5", Some(0)),
            ("42", Some(42)),
            ("42.0", Some(42)),
            ("-7", Some(-7)),
            ("4.2e1", Some(42)),
            ("420E-1", Some(42)),
            ("1e+2", Some(100)),
            ("0.5e1", Some(5)),
            ("100000", Some(100_000)),
            ("10203", Some(10203)),
            ("9007199254740991", Some(9_007_199_254_740_991)),
            ("-9007199254740991", Some(-9_007_199_254_740_991)),
            (&long_one, Some(1)),
            (&long_fraction, Some(7)),
            ("9007199254740992", None),
            ("-9007199254740992", None),
            ("9007199254740992.0", None),
            ("9223372036854775807", None),
            ("18446744073709551617", None),
            ("1e16", None),
            ("1e99999999999999999999", None),
            ("1e-1", None),
            ("42.5", None),
            ("420e-2", None),
            // No number of JSON.
            ("", None),
            ("-", None),
            ("+1", None),
            ("01", None),
            ("1.", None),
            (".5", None),
            ("1e", None),
            ("1e+", None),
            ("1e+-2", None),
            ("1 ", None),
            ("0x10", None),
            ("1_0", None),
            ("--1", None),
            ("NaN", None),
            ("\u{661}", None),
        ];
        for (text, expected) in table {
            assert_eq!(safe_integer(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_way_to_write_an_integer_is_the_same_integer(
            integer in -MAX_SAFE_INTEGER..=MAX_SAFE_INTEGER, places in 0usize..20, zeros in 0usize..20,
        ) {
            let sign = if integer < 0 { "-" } else { "" };
            let digits = integer.unsigned_abs().to_string();
            let padded = format!("{digits}{}", "0".repeat(zeros));
            prop_assert_eq!(safe_integer(&format!("{sign}{padded}e-{zeros}")), Some(integer));
            let fraction = format!("{sign}{digits}.{}", "0".repeat(places + 1));
            prop_assert_eq!(safe_integer(&fraction), Some(integer));
            let (first, rest) = digits.split_at(1);
            let scientific = format!("{sign}{first}.{rest}0e{}", rest.len());
            prop_assert_eq!(safe_integer(&scientific), Some(integer));
            if integer != 0 {
                prop_assert_eq!(safe_integer(&format!("{sign}{digits}.5")), None);
            }
        }

        #[test]
        fn it_agrees_with_floats_where_these_are_exact(
            text in "-?(0|[1-9][0-9]{0,4})(\\.[0-9]{1,4})?([eE][-+]?[0-9]{1,2})?",
        ) {
            let float: f64 = serde_json::from_str(&text).unwrap();
            #[allow(clippy::cast_precision_loss, reason = "within the safe range nothing is lost")]
            let safe = float.fract() == 0.0 && float.abs() <= MAX_SAFE_INTEGER as f64;
            #[allow(clippy::cast_possible_truncation, reason = "it is an integer within the safe range")]
            let expected = safe.then_some(float as i64);
            prop_assert_eq!(safe_integer(&text), expected);
        }

        #[test]
        fn what_is_no_number_is_no_integer(text in "[-+0]?[0-9.eE]{1,4}") {
            if serde_json::from_str::<serde_json::Number>(&text).is_err() {
                prop_assert_eq!(safe_integer(&text), None);
            }
        }
    }
}
