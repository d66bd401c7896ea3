//! Payloads, each different from all others in every one of its parts.

use towpath::RawJson;

/// Makes the payloads of one size: a number, a filling that depends on it, and the number again. The filling has
/// what transports get wrong: escapes, quotes, newlines, characters of two to four bytes.
pub(super) struct Payloads {
    filling: String,
    length: usize,
}

impl Payloads {
    /// `length` counts the bytes between the quotes.
    pub(super) fn new(length: usize) -> Self {
        let units = length / UNIT + SHIFTS;
        Self { filling: (0..units).map(unit).collect(), length }
    }

    /// The text of payload number `nonce`, as JSON with its quotes.
    pub(super) fn text(&self, nonce: u64) -> String {
        let shift = usize::try_from(nonce).unwrap_or(0) % SHIFTS * UNIT;
        let inside = self.length.saturating_sub(2 * NONCE);
        let whole = inside / UNIT * UNIT;
        let mut text = String::with_capacity(self.length + 2);
        text.push_str(&format!("\"{nonce:016x}"));
        text.push_str(self.filling.get(shift..shift + whole).unwrap_or_default());
        (whole..inside).for_each(|_| text.push('.'));
        text.push_str(&format!("{nonce:016x}\""));
        text
    }

    /// The params of the call that is to give it back.
    pub(super) fn params(text: &str) -> RawJson {
        let parts = [r#"{"name":"echo","arguments":{"text":"#, text, "}}"];
        RawJson::from_validated(parts.concat().into_bytes().into())
    }
}

/// Whether this is what was sent, byte for byte. It searches rather than parses, so that the figures are those of the
/// transport: the result that the example server makes has one content, and the text is the last of it.
pub(super) fn is_unchanged(result: &RawJson, text: &str) -> bool {
    let result = result.as_bytes();
    let start = result.windows(CONTENT.len()).position(|window| window == CONTENT);
    let rest = start.and_then(|start| result.get(start + CONTENT.len()..));
    let after = rest.and_then(|rest| rest.strip_prefix(text.as_bytes()));
    after.is_some_and(|after| after.starts_with(b"}]"))
}

/// As in most texts, escapes are not everywhere: every eighth unit has them.
fn unit(number: usize) -> String {
    let content = if number.is_multiple_of(8) { ESCAPES } else { PLAIN };
    let mut unit = format!("{number:08x}{content}");
    while unit.len() < UNIT {
        unit.push('-');
    }
    unit
}

const UNIT: usize = 64;
const NONCE: usize = 16;
/// How many different fillings follow each other.
const SHIFTS: usize = 16;
const ESCAPES: &str = r#"\"q\" \\ \n\t\/ \u00e9\ud83e\uddf6 é 漢 🧶 {}[]:, "#;
const PLAIN: &str = " along the towpath, {past} [the] locks: é, ";
const CONTENT: &[u8] = br#""content":[{"type":"text","text":"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_json_of_their_length_and_no_two_are_equal() {
        for length in [100, 1000, 64 << 10] {
            let payloads = Payloads::new(length);
            let texts: Vec<String> = (0..40).map(|nonce| payloads.text(nonce)).collect();
            for (nonce, text) in texts.iter().enumerate() {
                assert_eq!(text.len(), length + 2);
                assert!(serde_json::from_str::<String>(text).is_ok(), "{text}");
                assert!(!texts[..nonce].contains(text));
            }
            assert_ne!(texts[0][17..60], texts[1][17..60]);
        }
    }

    #[test]
    fn a_single_changed_byte_is_seen() {
        let text = Payloads::new(100).text(16);
        let result = |text: &str| {
            let json = format!(r#"{{"_meta":{{}},"content":[{{"type":"text","text":{text}}}]}}"#);
            RawJson::parse(json).unwrap()
        };
        assert!(text.contains("\\u00e9"), "{text}");
        assert!(is_unchanged(&result(&text), &text));
        assert!(!is_unchanged(&result(&text.replacen("é", "è", 1)), &text));
        assert!(
            !is_unchanged(&result(&text.replacen("\\u00e9", "é", 1)), &text),
            "the same value is not enough"
        );
        assert!(!is_unchanged(&RawJson::empty_object(), &text));
        assert!(Payloads::params(&text).deserialize::<serde_json::Value>().is_ok());
    }
}
