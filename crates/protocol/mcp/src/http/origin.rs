//! Which web pages may send requests.

use http::header::ORIGIN;
use http::{HeaderMap, HeaderValue};

use super::authority::Authority;

/// Which origins may send requests. Browsers name the page that a request comes from in `Origin`; other clients send
/// none, and that is always fine.
///
/// By default pages of this machine are allowed (`http` and `https`, `localhost`, `127.0.0.1` and `[::1]`, any port), and
/// no others. `null` is no origin, and is never allowed but by [`OriginPolicy::any`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPolicy {
    any: bool,
    loopback: bool,
    listed: Vec<Origin>,
}

impl OriginPolicy {
    /// Pages of this machine.
    #[must_use]
    pub fn loopback() -> OriginPolicy {
        OriginPolicy { any: false, loopback: true, listed: Vec::new() }
    }

    /// No page at all.
    #[must_use]
    pub fn none() -> OriginPolicy {
        OriginPolicy { loopback: false, ..OriginPolicy::loopback() }
    }

    /// Every page, and what is no origin. Safe only where something in front of the server checks the origin, or
    /// where every request is authenticated by more than where it comes from.
    #[must_use]
    pub fn any() -> OriginPolicy {
        OriginPolicy { any: true, ..OriginPolicy::loopback() }
    }

    /// Also allows this origin: scheme, host and port, all of them equal. A missing port is the scheme's.
    ///
    /// # Errors
    ///
    /// It is not `scheme://host[:port]`.
    pub fn allow(mut self, origin: &str) -> Result<OriginPolicy, InvalidOrigin> {
        self.listed.push(Origin::parse(origin).ok_or_else(|| InvalidOrigin(origin.to_owned()))?);
        Ok(self)
    }

    /// Whether a request with these headers may come in. A second `Origin` is malformed, and so refused.
    #[must_use]
    pub fn admits(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => true,
            _ if self.any => true,
            (Some(origin), None) => self.admits_origin(origin),
            (Some(_), Some(_)) => false,
        }
    }

    fn admits_origin(&self, origin: &HeaderValue) -> bool {
        let Some(origin) = origin.to_str().ok().and_then(Origin::parse) else { return false };
        (self.loopback && origin.is_loopback()) || self.listed.contains(&origin)
    }
}

impl Default for OriginPolicy {
    fn default() -> Self {
        OriginPolicy::loopback()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    scheme: String,
    authority: Authority,
}

impl Origin {
    fn parse(text: &str) -> Option<Origin> {
        let (scheme, authority) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let in_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        if scheme.is_empty() || !scheme.bytes().all(in_scheme) {
            return None;
        }
        let mut authority = Authority::parse(authority)?;
        authority.port = authority.port.or(match scheme.as_str() {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        });
        Some(Origin { scheme, authority })
    }

    fn is_loopback(&self) -> bool {
        matches!(self.scheme.as_str(), "http" | "https") && self.authority.is_loopback()
    }
}

/// The text is no origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no origin: write it as `https://app.example.com` or `https://app.example.com:8443`")]
pub struct InvalidOrigin(String);

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(origins: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for origin in origins {
            headers.append(ORIGIN, HeaderValue::from_bytes(origin.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn a_page_may_ask_if_it_is_of_this_machine_or_listed() {
        let loopback = OriginPolicy::default();
        let listed = OriginPolicy::none()
            .allow("https://app.example.com")
            .and_then(|policy| policy.allow("vscode-webview://1a2b"))
            .unwrap();
        let both = OriginPolicy::default().allow("http://app.example.com:8080").unwrap();
        let any = OriginPolicy::any();
        // The origins; whether each policy admits them: loopback, listed, both, any.
        let table: [(&[&str], [bool; 4]); 28] = [
            (&[], [true, true, true, true]),
            (&["http://localhost"], [true, false, true, true]),
            (&["https://localhost:6274"], [true, false, true, true]),
            (&["HTTP://LocalHost:80"], [true, false, true, true]),
            (&["http://localhost.:80"], [true, false, true, true]),
            (&["http://127.0.0.1:1"], [true, false, true, true]),
            (&["http://[::1]:65535"], [true, false, true, true]),
            (&["https://app.example.com"], [false, true, false, true]),
            (&["https://app.example.com:443"], [false, true, false, true]),
            (&["https://APP.example.com."], [false, true, false, true]),
            (&["https://app.example.com:8443"], [false, false, false, true]),
            (&["http://app.example.com"], [false, false, false, true]),
            (&["http://app.example.com:8080"], [false, false, true, true]),
            (&["https://evil.app.example.com"], [false, false, false, true]),
            (&["https://app.example.com.evil.example"], [false, false, false, true]),
            (&["vscode-webview://1A2B"], [false, true, false, true]),
            (&["http://evil.example.com"], [false, false, false, true]),
            (&["http://localhost.evil.example.com"], [false, false, false, true]),
            (&["ftp://localhost"], [false, false, false, true]),
            (&["null"], [false, false, false, true]),
            (&[""], [false, false, false, true]),
            (&["localhost"], [false, false, false, true]),
            (&["http://localhost/"], [false, false, false, true]),
            (&["http://user@localhost"], [false, false, false, true]),
            (&["http://localhost http://localhost"], [false, false, false, true]),
            (&["http://l\u{f6}calhost"], [false, false, false, true]),
            (&["://localhost"], [false, false, false, true]),
            (&["http://localhost", "http://localhost"], [false, false, false, true]),
        ];
        for (origins, expected) in table {
            let admitted = [&loopback, &listed, &both, &any].map(|policy| policy.admits(&headers(origins)));
            assert_eq!(admitted, expected, "{origins:?}");
        }
    }

    #[test]
    fn only_an_origin_can_be_listed() {
        for text in
            ["null", "*", "app.example.com", "https://app.example.com/", "https://", "https://*.example.com"]
        {
            let refused = OriginPolicy::default().allow(text).unwrap_err();
            assert!(refused.to_string().contains(text), "{refused}");
        }
    }
}
