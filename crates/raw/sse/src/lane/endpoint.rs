//! Where messages go: a reference to a URL, resolved and checked.

use std::sync::Arc;

use http::{Uri, uri::PathAndQuery};

use super::post::printable_within;

/// Why an endpoint cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// It is not of the origin (scheme, host and port) of the URL of the stream.
    #[error("`{endpoint}` is not of the origin of the stream")]
    ForeignOrigin {
        /// What the server named: at most 256 bytes, made printable.
        endpoint: Arc<str>,
    },
    /// It is no URL, or longer than 8 KiB.
    #[error("`{endpoint}` is no URL that can be used: {reason}")]
    Invalid {
        /// What the server named: at most 256 bytes, made printable.
        endpoint: Arc<str>,
        /// What is wrong with it.
        reason: Arc<str>,
    },
}

/// Resolves a reference (RFC 3986, section 5) against the URL of the stream, and refuses another origin.
pub(super) fn resolve(base: &Uri, reference: &[u8]) -> Result<Uri, EndpointError> {
    let invalid = |reason: &str| EndpointError::Invalid { endpoint: shown(reference), reason: reason.into() };
    if reference.len() > MAX_ENDPOINT_BYTES {
        return Err(invalid("it is longer than 8 KiB"));
    }
    let text = std::str::from_utf8(reference).map_err(|_| invalid("it is not UTF-8"))?.trim();
    let text = text.split_once('#').map_or(text, |(before, _fragment)| before);
    let (Some(scheme), Some(authority)) = (base.scheme(), base.authority()) else {
        return Err(invalid("the URL of the stream is not absolute"));
    };
    let path = match (absolute(text), text.strip_prefix("//")) {
        (Some(_), _) | (None, Some(_)) => {
            let whole = if absolute(text).is_some() { text.to_owned() } else { format!("{scheme}:{text}") };
            let uri: Uri =
                whole.parse().map_err(|error: http::uri::InvalidUri| invalid(&error.to_string()))?;
            if origin(&uri).is_none() || origin(&uri) != origin(base) {
                return Err(EndpointError::ForeignOrigin { endpoint: shown(reference) });
            }
            uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string)
        }
        (None, None) => joined(base, text),
    };
    let (path, query) = path.split_once('?').map_or((&*path, None), |(path, query)| (path, Some(query)));
    let mut clean = without_dots(path);
    if let Some(query) = query {
        clean.push('?');
        clean.push_str(query);
    }
    let path: PathAndQuery =
        clean.parse().map_err(|error: http::uri::InvalidUri| invalid(&error.to_string()))?;
    // The authority is the one that the caller gave: what the server wrote may hold credentials of its own.
    Uri::builder()
        .scheme(scheme.clone())
        .authority(authority.clone())
        .path_and_query(path)
        .build()
        .map_err(|error| invalid(&error.to_string()))
}

/// The URL as it may stand in logs: without credentials, and without its query, which often holds some.
pub(super) fn named(url: &Uri) -> Arc<str> {
    let scheme = url.scheme_str().unwrap_or("http");
    let host = url.host().unwrap_or_default();
    let port = url.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{host}{port}{}", url.path()).into()
}

/// The scheme, if the reference begins with one.
fn absolute(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(':')?;
    let mut chars = scheme.chars();
    let begins = chars.next().is_some_and(|first| first.is_ascii_alphabetic());
    let goes_on = chars.all(|char| char.is_ascii_alphanumeric() || matches!(char, '+' | '-' | '.'));
    (begins && goes_on).then_some(scheme)
}

/// Scheme, host and port, such as can be compared.
fn origin(uri: &Uri) -> Option<(String, String, u16)> {
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let default = match &*scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let host = uri.host()?.to_ascii_lowercase();
    Some((scheme, host, uri.port_u16().unwrap_or(default)))
}

/// A reference without scheme and authority, as a path from the root.
fn joined(base: &Uri, reference: &str) -> String {
    let base_query = base.query().map(|query| format!("?{query}")).unwrap_or_default();
    match reference.as_bytes().first() {
        None => format!("{}{base_query}", base.path()),
        Some(b'/') => reference.to_owned(),
        Some(b'?') => format!("{}{reference}", base.path()),
        Some(_) => {
            let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{folder}/{reference}")
        }
    }
}

/// RFC 3986, section 5.2.4: `.` and `..` are taken out, and nothing leads above the root.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

fn shown(reference: &[u8]) -> Arc<str> {
    printable_within(reference, MAX_SHOWN_BYTES).into()
}

const MAX_ENDPOINT_BYTES: usize = 8 << 10;

const MAX_SHOWN_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://me:pass@host.example:8443/a/b/sse?x=1";

    fn resolved(reference: &str) -> Result<String, EndpointError> {
        resolve(&Uri::from_static(BASE), reference.as_bytes()).map(|uri| uri.to_string())
    }

    #[test]
    fn a_reference_is_resolved_against_the_url_of_the_stream() {
        let cases = [
            ("/messages?id=1", "/messages?id=1"),
            ("messages", "/a/b/messages"),
            ("./messages", "/a/b/messages"),
            ("../messages/", "/a/messages/"),
            ("../../../m", "/m"),
            ("c/./d/../e?f=/../g", "/a/b/c/e?f=/../g"),
            ("..", "/a/"),
            ("?id=2", "/a/b/sse?id=2"),
            ("", "/a/b/sse?x=1"),
            ("#part", "/a/b/sse?x=1"),
            ("  /messages#part \n", "/messages"),
            ("/a:b", "/a:b"),
            ("//host.example:8443/m", "/m"),
            ("https://host.example:8443/m?x#y", "/m?x"),
            ("HTTPS://HOST.example:8443", "/"),
            ("https://host.example:8443/a/../m", "/m"),
            ("https://other:secret@host.example:8443/m", "/m"),
        ];
        for (reference, path) in cases {
            let expected = format!("https://me:pass@host.example:8443{path}");
            assert_eq!(resolved(reference), Ok(expected), "{reference:?}");
        }
    }

    #[test]
    fn another_scheme_host_or_port_is_another_origin() {
        let foreign = [
            "http://host.example:8443/m",
            "https://host.example/m",
            "https://host.example:8444/m",
            "https://evil.example:8443/m",
            "https://host.example.evil:8443/m",
            "https://host.example:8443@evil.example/m",
            "//evil.example:8443/m",
        ];
        for endpoint in foreign {
            let error = resolved(endpoint).unwrap_err();
            assert!(matches!(error, EndpointError::ForeignOrigin { .. }), "{endpoint}: {error}");
        }
        for odd in ["javascript:alert(1)", "file:///etc/passwd", "https:m", "a:b"] {
            assert!(resolved(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn the_default_port_may_be_left_out() {
        for (base, reference) in [("http://h/sse", "http://h:80/m"), ("https://h:443/sse", "https://h/m")] {
            let uri = resolve(&Uri::from_static(base), reference.as_bytes()).unwrap();
            assert_eq!(uri.path(), "/m");
        }
    }

    #[test]
    fn what_is_no_url_or_too_long_is_invalid_and_printable() {
        let long = format!("/{}", "x".repeat(MAX_ENDPOINT_BYTES));
        for bytes in [b"/\xFF".as_slice(), b"/a b", b"https://[", long.as_bytes()] {
            let error = resolve(&Uri::from_static(BASE), bytes).unwrap_err();
            assert!(matches!(error, EndpointError::Invalid { .. }), "{error}");
            assert!(error.to_string().len() < 400);
        }
        let fits = format!("/{}", "x".repeat(MAX_ENDPOINT_BYTES - 1));
        assert!(resolve(&Uri::from_static(BASE), fits.as_bytes()).is_ok());
        assert!(resolve(&Uri::from_static("/relative"), b"/m").is_err());
    }

    #[test]
    fn the_name_of_a_peer_holds_no_credentials() {
        assert_eq!(&*named(&Uri::from_static(BASE)), "https://host.example:8443/a/b/sse");
    }

    #[test]
    fn what_is_shown_of_an_endpoint_is_bounded() {
        for reference in [[b'\xFF'; 300], [b'x'; 300]] {
            let shown = shown(&reference);
            assert!(!shown.is_empty() && shown.len() <= 256, "{} bytes", shown.len());
        }
    }
}
