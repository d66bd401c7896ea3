//! JSON string text: finding its end, checking its escapes, decoding it.

use std::borrow::Cow;

/// The first byte in `bytes[from..end]` that a string cannot pass over (`"`, `\` or a control
/// character), or `end`.
#[inline]
pub(crate) fn plain_run(bytes: &[u8], from: usize, end: usize) -> usize {
    let bytes = bytes.get(..end).unwrap_or(bytes);
    let mut pos = from;
    // Most strings are short: eight bytes at a time in a register, without the set-up of a vector loop.
    let mut words = 0;
    while let Some(word) = bytes.get(pos..).and_then(|rest| rest.first_chunk::<8>()) {
        let hits = stops(u64::from_le_bytes(*word));
        if hits != 0 {
            return pos + (hits.trailing_zeros() / 8) as usize;
        }
        pos += 8;
        words += 1;
        if words == 8 {
            pos = plain_blocks(bytes, pos);
        }
    }
    while bytes.get(pos).is_some_and(|&b| b >= 0x20 && b != b'"' && b != b'\\') {
        pos += 1;
    }
    pos
}

/// One high bit a byte that stops a run. A borrow can set false bits above a true one, never below, so the
/// lowest bit is exact.
#[inline]
fn stops(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES * 0x80;
    let quote = word ^ (ONES * b'"' as u64);
    let slash = word ^ (ONES * b'\\' as u64);
    ((quote.wrapping_sub(ONES) & !quote)
        | (slash.wrapping_sub(ONES) & !slash)
        | (word.wrapping_sub(ONES * 0x20) & !word))
        & HIGHS
}

/// Skips blocks of 64 bytes without a stop. The inner loop has no exit, so that it becomes vector code.
#[inline(never)]
fn plain_blocks(bytes: &[u8], from: usize) -> usize {
    let mut pos = from;
    while let Some(block) = bytes.get(pos..).and_then(|rest| rest.first_chunk::<64>()) {
        let mut hit = 0u8;
        for &b in block {
            hit |= u8::from(b == b'"') | u8::from(b == b'\\') | u8::from(b < 0x20);
        }
        if hit != 0 {
            break;
        }
        pos += 64;
    }
    pos
}

/// The length of the escape that begins with the `\` at `at`, or `None` where it is not one.
#[inline]
pub(crate) fn escape_len(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at + 1)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => bytes.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit).then_some(6),
        _ => None,
    }
}

/// Whether `token` is one whole JSON string with its quotes.
pub(crate) fn is_string(token: &[u8]) -> bool {
    let Some(inner) = unquoted(token) else { return false };
    let mut pos = 0;
    loop {
        pos = plain_run(inner, pos, inner.len());
        match inner.get(pos) {
            None => return std::str::from_utf8(inner).is_ok(),
            // `escape_len` looks at `inner` only, so a `\` before the closing quote is no escape.
            Some(b'\\') => match escape_len(inner, pos) {
                Some(len) => pos += len,
                None => return false,
            },
            Some(_) => return false,
        }
    }
}

/// The text between the quotes of a string token.
pub(crate) fn unquoted(token: &[u8]) -> Option<&[u8]> {
    match token {
        [b'"', inner @ .., b'"'] => Some(inner),
        _ => None,
    }
}

/// What becomes of a surrogate escape without its other half.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lone {
    /// U+FFFD, so that the outcome is text.
    Replaced,
    /// Its own three bytes (as WTF-8 has them), so that different strings stay different.
    Kept,
}

/// The text of a valid string (`inner` is what stands between the quotes), lone surrogates replaced.
pub(crate) fn decoded(inner: &[u8]) -> Cow<'_, str> {
    if memchr::memchr(b'\\', inner).is_none() {
        return String::from_utf8_lossy(inner);
    }
    Cow::Owned(match String::from_utf8(decode(inner, Lone::Replaced)) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// Decodes the escapes of a valid string.
pub(crate) fn decode(inner: &[u8], lone: Lone) -> Vec<u8> {
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain);
        let short = match escape.get(1) {
            Some(b'b') => 0x08,
            Some(b'f') => 0x0c,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(&other) => other,
            None => return out,
        };
        if short != b'u' {
            out.push(short);
            rest = escape.get(2..).unwrap_or_default();
            continue;
        }
        let first = unit(escape).unwrap_or(0xfffd);
        rest = escape.get(6..).unwrap_or_default();
        let second = if (0xd800..0xdc00).contains(&first) { unit(rest) } else { None };
        let character = match second {
            Some(low @ 0xdc00..0xe000) => {
                rest = rest.get(6..).unwrap_or_default();
                char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (low - 0xdc00))
            }
            _ => char::from_u32(first),
        };
        match character {
            Some(character) => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            None if lone == Lone::Replaced => out.extend_from_slice("\u{fffd}".as_bytes()),
            None => out.extend_from_slice(&[
                0xe0 | (first >> 12) as u8,
                0x80 | (first >> 6 & 0x3f) as u8,
                0x80 | (first & 0x3f) as u8,
            ]),
        }
    }
    out.extend_from_slice(rest);
    out
}

/// The code unit of the `\uXXXX` that `text` begins with.
fn unit(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |unit, &digit| Some(unit << 4 | char::from(digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_at_the_first_stop_wherever_it_is() {
        for filler in [b' ', b'!', b'#', b'[', b']', 0x7f, 0x80, 0xa2, 0xdc, 0xff] {
            for len in 0..230 {
                let mut bytes = vec![filler; 230];
                assert_eq!(plain_run(&bytes, 0, len), len);
                for stop in [b'"', b'\\', 0, b'\n', 0x1f] {
                    bytes[len] = stop;
                    assert_eq!(plain_run(&bytes, len % 9, 230), if len < len % 9 { 230 } else { len });
                    assert_eq!(plain_run(&bytes, 0, len), len);
                }
            }
        }
    }

    #[test]
    fn escapes_decode_as_serde_json_decodes_them() {
        for inner in [
            r#"\"\\\/\b\f\n\r\t plain"#,
            r"\u0000\u001f\u0080\u07ff\u0800\ud7ff\ue000\uffff",
            r"\ud800\udc00\ud800\udfff\udbff\udc00\uDBFF\uDFFFx",
            "é\\u00e9漢",
        ] {
            let reference: String = serde_json::from_str(&format!("\"{inner}\"")).unwrap();
            assert_eq!(decoded(inner.as_bytes()), reference);
            assert_eq!(decode(inner.as_bytes(), Lone::Kept), reference.as_bytes());
        }
    }

    #[test]
    fn half_a_pair_is_replaced_or_kept_and_touches_nothing_beside_it() {
        for (inner, replaced) in [
            (r"a\ud800b", "a\u{fffd}b"),
            (r"\ud800\ud800\udc00", "\u{fffd}\u{10000}"),
            (r"\udc00\ud800", "\u{fffd}\u{fffd}"),
            (r"\ud800\u0041", "\u{fffd}A"),
            (r"\ud800\n", "\u{fffd}\n"),
        ] {
            assert_eq!(decoded(inner.as_bytes()), replaced, "{inner}");
        }
        assert_eq!(decode(br"\ud800|\udfff", Lone::Kept), b"\xed\xa0\x80|\xed\xbf\xbf");
    }
}
