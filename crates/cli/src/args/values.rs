//! Values of options, as they stand on the command line.

use http::{HeaderName, HeaderValue, Uri};

/// An absolute URL, without what never goes over the wire.
pub(super) fn url(text: &str) -> Result<Uri, String> {
    let url: Uri = text.parse().map_err(|error| format!("{error}"))?;
    match (url.scheme_str(), url.authority()) {
        (Some("http" | "https"), Some(authority)) if authority.as_str().contains('@') => {
            Err("credentials do not belong into a URL: use --header 'Authorization: …'".into())
        }
        (Some("http" | "https"), Some(_)) => Ok(url),
        _ => Err("it must begin with http://, https://, unix: or tcp:".into()),
    }
}

pub(super) fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let Some((name, value)) = text.split_once(':') else {
        return Err("it must have the form NAME: VALUE".into());
    };
    let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|error| error.to_string())?;
    let mut value = HeaderValue::from_str(value.trim()).map_err(|error| error.to_string())?;
    // It may be a secret: it is not to be shown.
    value.set_sensitive(true);
    Ok((name, value))
}

/// How many there may be: at least one.
pub(super) fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("nobody could use it".into()),
        Ok(count) => Ok(count),
        Err(_) => Err("it must be a whole number".into()),
    }
}

pub(super) fn path(text: &str) -> Result<String, String> {
    if text.starts_with('/') && !text.contains(['?', '#', ' ']) {
        Ok(text.to_owned())
    } else {
        Err("it must begin with `/`, and have no query".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_headers_and_paths_are_what_they_claim_to_be() {
        assert!(url("http://127.0.0.1:8080/mcp").is_ok() && url("https://example.org").is_ok());
        for wrong in ["example.org", "/mcp", "ftp://example.org", "http://user:secret@example.org/", ""] {
            assert!(url(wrong).is_err(), "{wrong}");
        }
        let (name, value) = header("X-Key: a: b ").unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap(), value.is_sensitive()), ("x-key", "a: b", true));
        assert!(header("nothing").is_err() && header("a b: c").is_err() && header("a: b\nc").is_err());
        assert!(path("/mcp").is_ok() && path("mcp").is_err() && path("/a?b").is_err());
    }
}
