//! Messages that differ in an id and a text alone.

use bytes::BytesMut;

/// The bytes of a message, with places for its id and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Fixed(Vec<u8>),
    Id,
    Text,
}

/// What stands for the id and the text in the source of a pattern.
const ID: &str = "{id}";
const TEXT: &str = "{text}";

impl Pattern {
    /// Reads a message with `{id}` and `{text}` in it.
    pub(crate) fn new(source: &str) -> Self {
        Self::learn(source.as_bytes(), ID.as_bytes(), TEXT.as_bytes())
    }

    /// The pattern of a message that has this id and this text.
    pub(crate) fn learn(message: &[u8], id: &[u8], text: &[u8]) -> Self {
        let ids = memchr::memmem::find_iter(message, id).map(|at| (at, id.len(), Part::Id));
        let texts = memchr::memmem::find_iter(message, text).map(|at| (at, text.len(), Part::Text));
        let mut places: Vec<_> = ids.chain(texts).collect();
        places.sort_by_key(|(at, ..)| *at);
        let mut parts = Vec::new();
        let mut end = 0;
        // What looks like an id within a text is part of the text.
        for (at, length, part) in places {
            if at < end {
                continue;
            }
            parts.push(Part::Fixed(message[end..at].to_vec()));
            parts.push(part);
            end = at + length;
        }
        parts.push(Part::Fixed(message[end..].to_vec()));
        Self(parts)
    }

    /// Appends the message with this id and this text.
    pub(crate) fn write(&self, out: &mut BytesMut, id: &[u8], text: &[u8]) {
        out.reserve(self.length(id.len(), text.len()));
        for part in &self.0 {
            out.extend_from_slice(part.bytes(id, text));
        }
    }

    /// How long the message is.
    pub(crate) fn length(&self, id_bytes: usize, text_bytes: usize) -> usize {
        let length = |part: &Part| match part {
            Part::Fixed(bytes) => bytes.len(),
            Part::Id => id_bytes,
            Part::Text => text_bytes,
        };
        self.0.iter().map(length).sum()
    }

    /// Whether this is the message with this id and this text, to the byte.
    pub(crate) fn is(&self, message: &[u8], id: &[u8], text: &[u8]) -> bool {
        let rest = self.0.iter().try_fold(message, |rest, part| rest.strip_prefix(part.bytes(id, text)));
        rest.is_some_and(<[u8]>::is_empty)
    }
}

impl Part {
    fn bytes<'a>(&'a self, id: &'a [u8], text: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Fixed(bytes) => bytes,
            Self::Id => id,
            Self::Text => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::Pattern;

    #[test]
    fn a_pattern_writes_and_knows_its_messages() {
        let pattern = Pattern::new(r#"{"id":{id},"token":{id},"text":"{text}"}"#);
        let mut out = BytesMut::new();
        pattern.write(&mut out, b"1234", b"hello");
        assert_eq!(out, r#"{"id":1234,"token":1234,"text":"hello"}"#);
        assert_eq!(pattern.length(4, 5), out.len());
        assert!(pattern.is(&out, b"1234", b"hello"));
        assert_eq!(Pattern::learn(&out, b"1234", b"hello"), pattern);
        for (id, text) in [("1235", "hello"), ("1234", "hellu"), ("123", "hello"), ("1234", "hell")] {
            assert!(!pattern.is(&out, id.as_bytes(), text.as_bytes()), "{id} {text}");
        }
        assert!(!pattern.is(&out[..out.len() - 1], b"1234", b"hello"));
        out.extend_from_slice(b" ");
        assert!(!pattern.is(&out, b"1234", b"hello"));
    }

    #[test]
    fn an_id_within_a_text_belongs_to_the_text() {
        let learnt = Pattern::learn(br#"{"id":12,"text":"a12b"}"#, b"12", b"a12b");
        assert_eq!(learnt, Pattern::new(r#"{"id":{id},"text":"{text}"}"#));
    }
}
