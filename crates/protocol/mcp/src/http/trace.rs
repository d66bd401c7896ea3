//! Trace context in the headers of HTTP: for messages whose `_meta` has none.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::header;
use crate::trace::{MAX_BAGGAGE_BYTES, MAX_TRACESTATE_BYTES, TraceContext};

impl TraceContext {
    /// Reads `traceparent`, `tracestate` and `baggage`, each as far as it is well-formed and within its bound, see
    /// [`TraceContext::new`]. A list that is spread over several headers is joined; two `traceparent` headers are none.
    #[must_use]
    pub fn of_headers(headers: &HeaderMap) -> TraceContext {
        let parent = joined(headers, &header::TRACEPARENT, 0);
        let state = joined(headers, &header::TRACESTATE, MAX_TRACESTATE_BYTES);
        let baggage = joined(headers, &header::BAGGAGE, MAX_BAGGAGE_BYTES);
        TraceContext::new(parent.as_deref(), state.as_deref(), baggage.as_deref())
    }

    /// What of this is there, and what is not from `other`. `traceparent` and `tracestate` belong together and are taken
    /// from one of them; `baggage` stands on its own. So a server reads a message's trace context:
    /// `trace_context(&message).or_else(|| TraceContext::of_headers(&headers))`.
    #[must_use]
    pub fn or_else(self, other: impl FnOnce() -> TraceContext) -> TraceContext {
        if self.traceparent().is_some() && self.baggage().is_some() {
            return self;
        }
        self.filled_from(other())
    }

    /// Writes the headers, but for those that are there already: who wrote them knew better.
    pub fn write_headers(&self, headers: &mut HeaderMap) {
        let mut write = |name: HeaderName, value: Option<&str>| {
            // What is well-formed is a value of a header, too.
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok())
                && !headers.contains_key(&name)
            {
                headers.insert(name, value);
                return true;
            }
            false
        };
        // The state is that of its parent and of no other.
        if write(header::TRACEPARENT, self.traceparent()) {
            write(header::TRACESTATE, self.tracestate());
        }
        write(header::BAGGAGE, self.baggage());
    }
}

/// The values of a header as one list of at most `max_bytes`. A single value is judged by its reader.
fn joined<'a>(headers: &'a HeaderMap, name: &HeaderName, max_bytes: usize) -> Option<Cow<'a, str>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.to_str().ok()?.trim_matches([' ', '\t']);
    let mut list = Cow::Borrowed(first);
    for value in values {
        let value = value.to_str().ok()?;
        if list.len() + 1 + value.len() > max_bytes {
            return None;
        }
        let list = list.to_mut();
        list.push(',');
        list.push_str(value);
    }
    Some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";
    const OTHER: &str = "00-11111111111111111111111111111111-2222222222222222-00";

    type Lines<'a> = &'a [(&'static str, &'a str)];

    fn headers(lines: Lines<'_>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    fn shown(trace: &TraceContext) -> [&str; 3] {
        [trace.traceparent(), trace.tracestate(), trace.baggage()].map(|part| part.unwrap_or("-"))
    }

    #[test]
    fn what_is_well_formed_in_the_headers_is_read() {
        let half = format!("k={}", "v".repeat(5000));
        let members = vec!["k=v"; 20].join(",");
        let parent = ("traceparent", PARENT);
        let table: [(Lines<'_>, [&str; 3]); 13] = [
            (&[], ["-", "-", "-"]),
            (&[parent], [PARENT, "-", "-"]),
            (&[("TraceParent", PARENT), ("TraceState", "a=1"), ("Baggage", "b=2")], [PARENT, "a=1", "b=2"]),
            (&[("traceparent", "  00-bad"), ("tracestate", "a=1")], ["-", "-", "-"]),
            (&[("tracestate", "a=1"), ("baggage", "b=2")], ["-", "-", "b=2"]),
            // Two parents are none; two lists are one.
            (&[parent, ("traceparent", OTHER), ("tracestate", "a=1")], ["-", "-", "-"]),
            (&[parent, parent], ["-", "-", "-"]),
            (&[parent, ("tracestate", "a=1"), ("tracestate", "b=2")], [PARENT, "a=1,b=2", "-"]),
            (&[("baggage", "a=1"), ("baggage", "b=2;p")], ["-", "-", "a=1,b=2;p"]),
            // Bounds hold for the list as a whole.
            (&[parent, ("tracestate", &members), ("tracestate", &members)], [PARENT, "-", "-"]),
            (&[("baggage", &half), ("baggage", &half)], ["-", "-", "-"]),
            (&[parent, ("baggage", "a=\u{e9}")], [PARENT, "-", "-"]),
            (&[parent, ("tracestate", "a=1"), ("tracestate", "\u{e9}=1")], [PARENT, "-", "-"]),
        ];
        for (lines, expected) in table {
            assert_eq!(shown(&TraceContext::of_headers(&headers(lines))), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_list_is_not_joined_beyond_its_bound() {
        let mut many = HeaderMap::new();
        for _ in 0..10_000 {
            many.append(header::BAGGAGE, HeaderValue::from_static("k=vvvvvvvvvvvv"));
        }
        assert_eq!(joined(&many, &header::BAGGAGE, MAX_BAGGAGE_BYTES), None);
        let few = headers(&[("baggage", "k=1"), ("baggage", "k=2")]);
        assert_eq!(joined(&few, &header::BAGGAGE, 7).as_deref(), Some("k=1,k=2"));
        assert_eq!(joined(&few, &header::BAGGAGE, 6), None);
    }

    #[test]
    fn the_headers_fill_what_the_message_leaves_open_and_no_parent_gets_the_state_of_another() {
        let in_headers = TraceContext::new(Some(OTHER), Some("h=1"), Some("h=2"));
        let table: [([Option<&str>; 3], [&str; 3]); 6] = [
            ([None, None, None], [OTHER, "h=1", "h=2"]),
            ([Some(PARENT), None, None], [PARENT, "-", "h=2"]),
            ([Some(PARENT), Some("m=1"), None], [PARENT, "m=1", "h=2"]),
            ([None, None, Some("m=2")], [OTHER, "h=1", "m=2"]),
            ([Some(PARENT), None, Some("m=2")], [PARENT, "-", "m=2"]),
            ([Some("bad"), Some("m=1"), Some("bad")], [OTHER, "h=1", "h=2"]),
        ];
        for ([parent, state, baggage], expected) in table {
            let in_meta = TraceContext::new(parent, state, baggage);
            assert_eq!(shown(&in_meta.or_else(|| in_headers.clone())), expected, "{parent:?} {state:?}");
        }
    }

    #[test]
    fn headers_that_are_there_stay_and_a_state_comes_only_with_its_parent() {
        let trace = TraceContext::new(Some(PARENT), Some("a=1"), Some("b=2"));
        let table: [(Lines<'_>, [&str; 3]); 4] = [
            (&[], [PARENT, "a=1", "b=2"]),
            (&[("traceparent", OTHER)], [OTHER, "-", "b=2"]),
            (&[("baggage", "x=1")], [PARENT, "a=1", "x=1"]),
            (&[("traceparent", OTHER), ("tracestate", "x=1")], [OTHER, "x=1", "b=2"]),
        ];
        for (there, expected) in table {
            let mut written = headers(there);
            trace.write_headers(&mut written);
            assert_eq!(shown(&TraceContext::of_headers(&written)), expected, "{there:?}");
        }
        let mut nothing = HeaderMap::new();
        TraceContext::default().write_headers(&mut nothing);
        assert!(nothing.is_empty());
    }
}
