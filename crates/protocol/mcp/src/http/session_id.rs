//! The id of a legacy session over HTTP.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;

/// The id of a legacy session: visible ASCII that means nothing. Whoever knows it can speak in the session, so no
/// log gets the whole of it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SessionId(HeaderValue);

impl SessionId {
    /// An id of these bytes, in text. They must come from the system's source of randomness: an id that can be
    /// guessed is a session that can be taken over.
    #[must_use]
    pub fn from_entropy(entropy: [u8; 32]) -> SessionId {
        // The alphabet is one of visible ASCII, so this is never the other value.
        let text = HeaderValue::try_from(URL_SAFE_NO_PAD.encode(entropy));
        SessionId::sensitive(text.unwrap_or_else(|_| HeaderValue::from_static("-")))
    }

    /// The id in a header: visible ASCII (0x21 to 0x7E), 1 to [`MAX_SESSION_ID_BYTES`] bytes. `None` otherwise.
    #[must_use]
    pub fn parse(value: &HeaderValue) -> Option<SessionId> {
        let text = value.as_bytes();
        let fits = !text.is_empty() && text.len() <= MAX_SESSION_ID_BYTES;
        if !fits || !text.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        // A copy: the value may be a slice of the buffer that the whole head was read into.
        HeaderValue::from_bytes(text).ok().map(SessionId::sensitive)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// The value of the header, marked as sensitive. Costs no copy.
    #[must_use]
    pub fn to_header(&self) -> HeaderValue {
        self.0.clone()
    }

    fn sensitive(mut value: HeaderValue) -> SessionId {
        value.set_sensitive(true);
        SessionId(value)
    }
}

/// The beginning of it, enough to tell sessions apart in a log.
impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({}…)", self.as_str().get(..SHOWN_BYTES).unwrap_or("…"))
    }
}

/// The longest id that [`SessionId::parse`] takes: other people's servers put whole tokens into it.
pub const MAX_SESSION_ID_BYTES: usize = 4096;
/// The longest id that [`HttpEndpoint`](crate::HttpEndpoint) looks for among its own.
pub const MAX_OWN_SESSION_ID_BYTES: usize = 128;

const SHOWN_BYTES: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_visible_ascii_of_a_bounded_length() {
        let longest = "x".repeat(MAX_SESSION_ID_BYTES);
        let too_long = "x".repeat(MAX_SESSION_ID_BYTES + 1);
        let table: [(&[u8], bool); 9] = [
            (b"1868a90c-9bc2", true),
            (b"!~", true),
            (longest.as_bytes(), true),
            (b"", false),
            (b"two words", false),
            (b"tab\there", false),
            (b"caf\xc3\xa9", false),
            (b" padded", false),
            (too_long.as_bytes(), false),
        ];
        for (text, good) in table {
            let id = SessionId::parse(&HeaderValue::from_bytes(text).unwrap());
            assert_eq!(id.is_some(), good, "{}", String::from_utf8_lossy(text));
            if let Some(id) = id {
                assert_eq!(id.as_str().as_bytes(), text);
                assert!(id.to_header().is_sensitive());
            }
        }
    }

    #[test]
    fn all_of_the_entropy_is_in_the_id_and_it_comes_back_through_a_header() {
        let one = SessionId::from_entropy([7; 32]);
        let mut differs = [7; 32];
        differs[31] ^= 1;
        assert_ne!(one, SessionId::from_entropy(differs));
        assert_eq!(one.as_str().len(), 43);
        assert!(one.as_str().len() <= MAX_OWN_SESSION_ID_BYTES);
        assert_eq!(SessionId::parse(&one.to_header()), Some(one));
    }

    #[test]
    fn no_log_gets_the_whole_id() {
        let id = SessionId::from_entropy([1; 32]);
        let shown = format!("{id:?}");
        assert!(shown.contains(&id.as_str()[..6]) && !shown.contains(&id.as_str()[..7]), "{shown}");
        let short = SessionId::parse(&HeaderValue::from_static("abc")).unwrap();
        assert!(!format!("{short:?}").contains("abc"));
    }
}
