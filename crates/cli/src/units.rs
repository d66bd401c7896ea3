//! Durations and sizes, as people write them.

use std::time::Duration;

/// `500ms`, `30s`, `5m`, `2h`: more than nothing, and at most a year.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 3600 * 1000,
        "" => return Err(format!("the unit is missing: `{number}s` are seconds; ms, m and h go too")),
        other => return Err(format!("`{other}` is no unit of time: ms, s, m and h are")),
    };
    match number.checked_mul(millis) {
        Some(0) => Err("it must be more than nothing".into()),
        Some(millis) if millis <= YEAR_MILLIS => Ok(Duration::from_millis(millis)),
        _ => Err("it is more than a year".into()),
    }
}

/// `64MiB`, `100k`, `4096`: bytes, more than none and at most 4 GiB. `k`, `M` and `G` are powers of 1000, `Ki`, `Mi`
/// and `Gi` of 1024, each with or without a `B`.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let (number, unit) = split(text)?;
    let lower = unit.to_ascii_lowercase();
    let bytes = match lower.strip_suffix('b').unwrap_or(&lower) {
        "" => 1,
        "k" => 1000,
        "m" => 1000 * 1000,
        "g" => 1000 * 1000 * 1000,
        "ki" => 1 << 10,
        "mi" => 1 << 20,
        "gi" => 1 << 30,
        _ => return Err(format!("`{unit}` is no unit of size: B, k, KiB, M, MiB, G and GiB are")),
    };
    match number.checked_mul(bytes) {
        Some(0) => Err("it must be more than nothing".into()),
        Some(bytes) if bytes <= MAX_BYTES => usize::try_from(bytes).map_err(|error| error.to_string()),
        _ => Err("it is more than 4 GiB, and no message can be".into()),
    }
}

/// A size as it would be written.
pub(crate) fn show_size(bytes: usize) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit && bytes.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} B"),
    }
}

fn split(text: &str) -> Result<(u64, &str), String> {
    let end = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    if number.is_empty() {
        return Err("it must begin with a whole number".into());
    }
    let number = number.parse().map_err(|_| "the number is too large".to_owned())?;
    Ok((number, unit.trim()))
}

const YEAR_MILLIS: u64 = 365 * 24 * 3600 * 1000;
const MAX_BYTES: u64 = 4 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_are_neither_nothing_nor_endless() {
        let table = [
            ("500ms", 500),
            ("30s", 30_000),
            ("30 s", 30_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("8760h", YEAR_MILLIS),
        ];
        for (text, millis) in table {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        let wrong = [
            ("30", "`30s` are seconds"),
            ("0s", "more than nothing"),
            ("8761h", "more than a year"),
            ("18446744073709551615h", "more than a year"),
            ("18446744073709551616s", "too large"),
            ("s", "whole number"),
            ("", "whole number"),
            ("-1s", "whole number"),
            ("1.5s", "`.5s` is no unit"),
            ("3d", "`d` is no unit"),
        ];
        for (text, why) in wrong {
            let error = duration(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn sizes_count_in_thousands_or_in_powers_of_two() {
        let table = [
            ("4096", 4096),
            ("4096B", 4096),
            ("100k", 100_000),
            ("100kB", 100_000),
            ("100 KiB", 102_400),
            ("64MiB", 64 << 20),
            ("64mib", 64 << 20),
            ("16M", 16_000_000),
            ("1g", 1_000_000_000),
            ("4GiB", 4 << 30),
        ];
        for (text, bytes) in table {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for (text, why) in [
            ("0", "more than nothing"),
            ("5GiB", "more than 4 GiB"),
            ("99999999999999999999", "too large"),
            ("18446744073709551615k", "more than 4 GiB"),
            ("MiB", "whole number"),
            ("1T", "`T` is no unit"),
            ("1bb", "`bb` is no unit"),
        ] {
            let error = size(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn sizes_are_shown_in_the_largest_unit_that_fits() {
        for (bytes, shown) in
            [(100, "100 B"), (64 << 10, "64 KiB"), (1 << 20, "1 MiB"), (1025, "1025 B"), (2 << 30, "2 GiB")]
        {
            assert_eq!(show_size(bytes), shown);
        }
    }
}
