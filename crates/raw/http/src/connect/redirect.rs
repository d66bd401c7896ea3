//! Which redirects are followed: those that change nothing but the path.

use http::{StatusCode, header::LOCATION, response};
use reqwest::Url;

/// Where the response sends the same request, if it stays with the same peer.
///
/// A request carries credentials and a body in its headers and bytes, so no other origin gets it; and 301 to 303 would
/// make a GET of it.
pub(super) fn target(from: &Url, head: &response::Parts) -> Option<Url> {
    if !matches!(head.status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT) {
        return None;
    }
    let target = from.join(head.headers.get(LOCATION)?.to_str().ok()?).ok()?;
    (target.origin() == from.origin()).then_some(target)
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    #[test]
    fn only_307_and_308_to_the_same_origin_are_followed() {
        let from = Url::parse("http://peer:8080/a/b").expect("a URL");
        let to = |status: u16, location: &str| {
            let response = Response::builder().status(status).header(LOCATION, location).body(());
            let (head, ()) = response.expect("a response").into_parts();
            target(&from, &head).map(String::from)
        };
        assert_eq!(to(307, "c"), Some("http://peer:8080/a/c".into()));
        assert_eq!(to(308, "http://PEER:8080/c"), Some("http://peer:8080/c".into()));
        for other in ["https://peer:8080/c", "http://peer/c", "http://other:8080/c", "//other/c", "http://["]
        {
            assert_eq!(to(307, other), None, "{other}");
        }
        for status in [200, 300, 301, 302, 303, 304] {
            assert_eq!(to(status, "c"), None, "{status}");
        }
    }
}
