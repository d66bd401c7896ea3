//! W3C trace context: read when it is well-formed, ignored when it is not.

/// The trace context of a request. Only well-formed values get in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceContext {
    traceparent: Option<Box<str>>,
    tracestate: Option<Box<str>>,
    baggage: Option<Box<str>>,
}

impl TraceContext {
    /// Keeps what is well-formed and within the bounds of the W3C's texts: 256 bytes of `traceparent`, 4,096 bytes and
    /// 32 members of `tracestate`, 8,192 bytes and 180 members of `baggage`. A `tracestate` means nothing without its `traceparent`, so it goes when
    /// that is absent or malformed; `baggage` stands on its own.
    #[must_use]
    pub fn new(traceparent: Option<&str>, tracestate: Option<&str>, baggage: Option<&str>) -> TraceContext {
        let traceparent = traceparent.filter(|value| is_traceparent(value));
        TraceContext {
            traceparent: traceparent.map(Box::from),
            tracestate: tracestate
                .filter(|value| traceparent.is_some() && is_tracestate(value))
                .map(Box::from),
            baggage: baggage.filter(|value| is_baggage(value)).map(Box::from),
        }
    }

    /// The trace and the span that sent the request.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        self.traceparent.as_deref()
    }

    /// What the vendors on the way noted.
    #[must_use]
    pub fn tracestate(&self) -> Option<&str> {
        self.tracestate.as_deref()
    }

    /// Properties of the application.
    #[must_use]
    pub fn baggage(&self) -> Option<&str> {
        self.baggage.as_deref()
    }

    pub(crate) fn filled_from(mut self, other: TraceContext) -> TraceContext {
        if self.traceparent.is_none() {
            (self.traceparent, self.tracestate) = (other.traceparent, other.tracestate);
        }
        self.baggage = self.baggage.or(other.baggage);
        self
    }

    /// Whether there is nothing to pass on.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.traceparent.is_none() && self.baggage.is_none()
    }
}

/// `version-trace_id-parent_id-flags`. Later versions may append members; theirs are bounded.
fn is_traceparent(value: &str) -> bool {
    let bytes = value.as_bytes();
    let hex = |range: std::ops::Range<usize>| {
        bytes.get(range).is_some_and(|part| part.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
    };
    let dash = |at: usize| bytes.get(at) == Some(&b'-');
    let zero =
        |range: std::ops::Range<usize>| bytes.get(range).is_some_and(|part| part.iter().all(|b| *b == b'0'));
    let length_fits = match bytes.get(..2) {
        Some(b"ff") => false,
        Some(b"00") => bytes.len() == TRACEPARENT_BYTES,
        _ => bytes.len() == TRACEPARENT_BYTES || (dash(TRACEPARENT_BYTES) && bytes.len() <= 256),
    };
    let in_ascii = bytes.iter().all(u8::is_ascii_graphic);
    length_fits
        && in_ascii
        && hex(0..2)
        && dash(2)
        && hex(3..35)
        && !zero(3..35)
        && dash(35)
        && hex(36..52)
        && !zero(36..52)
        && dash(52)
        && hex(53..55)
}

/// A list of `key=value`, at most 32 members.
fn is_tracestate(value: &str) -> bool {
    let mut members = 0;
    value.len() <= MAX_TRACESTATE_BYTES
        && value.split(',').map(trim).filter(|member| !member.is_empty()).all(|member| {
            members += 1;
            let Some((key, value)) = member.split_once('=') else { return false };
            members <= 32 && is_tracestate_key(key) && is_tracestate_value(value)
        })
        && members > 0
}

fn is_tracestate_key(key: &str) -> bool {
    let part = |part: &str, max: usize, digit_first: bool| {
        part.len() <= max
            && part.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/'))
            && part
                .bytes()
                .next()
                .is_some_and(|b| b.is_ascii_lowercase() || (digit_first && b.is_ascii_digit()))
    };
    match key.split_once('@') {
        Some((tenant, system)) => part(tenant, 241, true) && part(system, 14, false),
        None => part(key, 256, true),
    }
}

fn is_tracestate_value(value: &str) -> bool {
    value.len() <= 256
        && !value.is_empty()
        && !value.ends_with(' ')
        && value.bytes().all(|b| matches!(b, 0x20..=0x7e) && b != b',' && b != b'=')
}

/// A list of `key=value`, each with properties after `;`.
fn is_baggage(value: &str) -> bool {
    let mut members = 0;
    value.len() <= MAX_BAGGAGE_BYTES
        && value.split(',').all(|member| {
            members += 1;
            let mut parts = member.split(';').map(trim);
            let Some((key, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return false };
            members <= MAX_BAGGAGE_MEMBERS
                && is_token(trim(key))
                && is_baggage_value(trim(value))
                && parts.all(|property| match property.split_once('=') {
                    Some((key, value)) => is_token(trim(key)) && is_baggage_value(trim(value)),
                    None => is_token(property),
                })
        })
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn is_baggage_value(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e))
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

const TRACEPARENT_BYTES: usize = 55;
pub(crate) const MAX_TRACESTATE_BYTES: usize = 4096;
pub(crate) const MAX_BAGGAGE_BYTES: usize = 8192;
const MAX_BAGGAGE_MEMBERS: usize = 180;

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_taken_only_when_well_formed() {
        let long = format!("01{}-{}", &PARENT[2..], "x".repeat(300));
        let table = [
            (PARENT, true),
            ("01-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01-more", true),
            ("00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01-more", false),
            ("ff-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01", false),
            ("00-0AF7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01", false),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false),
            ("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false),
            ("00-0af7651916cd43dd8448eb211c80319c_00f067aa0ba902b7-01", false),
            ("00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-0", false),
            (long.as_str(), false),
            ("", false),
            ("ünïcödé", false),
        ];
        for (value, taken) in table {
            let context = TraceContext::new(Some(value), None, None);
            assert_eq!(context.traceparent().is_some(), taken, "{value}");
            assert_eq!(context.is_empty(), !taken);
        }
    }

    #[test]
    fn a_tracestate_needs_its_traceparent_and_its_form() {
        let many = vec!["k=v"; 33].join(",");
        let huge = format!("k={}", "v".repeat(257));
        let table = [
            ("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", true),
            ("tenant@system=1 2", true),
            (" a=1 , ,b=2", true),
            ("Rojo=1", false),
            ("rojo", false),
            ("rojo=", false),
            ("rojo=a=b", false),
            ("a@b@c=1", false),
            (many.as_str(), false),
            (huge.as_str(), false),
            ("", false),
        ];
        for (value, taken) in table {
            assert_eq!(
                TraceContext::new(Some(PARENT), Some(value), None).tracestate().is_some(),
                taken,
                "{value}"
            );
            assert_eq!(TraceContext::new(Some("bad"), Some(value), None).tracestate(), None);
        }
    }

    #[test]
    fn baggage_stands_alone_and_is_bounded() {
        let many = vec!["k=v"; MAX_BAGGAGE_MEMBERS + 1].join(",");
        let long = format!("k={}", "v".repeat(MAX_BAGGAGE_BYTES));
        let table = [
            ("userId=alice,server=DF%2028;sampled;ttl=1", true),
            ("a = 1 ; b", true),
            ("a=", true),
            ("a", false),
            ("a=1,", false),
            ("a b=1", false),
            ("a=\"1\"", false),
            (many.as_str(), false),
            (long.as_str(), false),
        ];
        for (value, taken) in table {
            let context = TraceContext::new(None, None, Some(value));
            assert_eq!(context.baggage().is_some(), taken, "{value}");
            assert_eq!(context.is_empty(), !taken);
        }
    }
}
