//! Where a server is, or is to be.

use std::{fmt, str::FromStr};

use http::Uri;
use towpath::stdio::SocketAddress;

use super::values;

/// Where a server is reached.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// Over HTTP.
    Http(Uri),
    /// On a socket, a message a line.
    Socket(SocketAddress),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match socket(text)? {
            Some(socket) => Ok(Self::Socket(socket)),
            None => values::url(text).map(Self::Http),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(url) => url.fmt(f),
            Self::Socket(address) => address.fmt(f),
        }
    }
}

/// Where a server is to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListenAt {
    /// Over HTTP.
    Http {
        /// A name or an address.
        host: String,
        /// 0 for a free one.
        port: u16,
        /// Of the endpoint.
        path: String,
    },
    /// On a socket, a message a line.
    Socket(SocketAddress),
}

impl FromStr for ListenAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(socket) = socket(text)? {
            return Ok(Self::Socket(socket));
        }
        if text.starts_with("https://") {
            return Err("it serves no TLS: put it on http:// behind something that does".into());
        }
        let url = values::url(text)?;
        let host = url.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).to_owned();
        let port = url.port_u16().ok_or("it has no port, as in http://127.0.0.1:8080/mcp")?;
        let path = match url.path_and_query().map_or("/", |path| path.as_str()) {
            "/" => "/mcp".to_owned(),
            path => values::path(path)?,
        };
        Ok(Self::Http { host, port, path })
    }
}

/// An address of a socket, if it is none of something else.
fn socket(text: &str) -> Result<Option<SocketAddress>, String> {
    if !text.starts_with("unix:") && !text.starts_with("tcp:") {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error| format!("{error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_url_or_a_socket() {
        assert!(matches!("http://a/mcp".parse(), Ok(Target::Http(_))));
        for text in ["unix:/run/x.sock", "tcp:127.0.0.1:4000", "tcp:[::1]:4000"] {
            let target: Target = text.parse().unwrap();
            assert!(matches!(target, Target::Socket(_)) && target.to_string() == text, "{target:?}");
        }
        for wrong in ["unix:", "tcp:", "tcp:host", "127.0.0.1:80", "ftp://a"] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_place_to_listen_needs_a_port_and_no_tls() {
        for (wrong, why) in [
            ("http://127.0.0.1/mcp", "no port"),
            ("https://127.0.0.1:1/mcp", "no TLS"),
            ("http://127.0.0.1:1/mcp?x", "no query"),
            ("8080", "must begin with"),
        ] {
            let error = wrong.parse::<ListenAt>().unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        let Ok(ListenAt::Http { path, .. }) = "http://127.0.0.1:1".parse() else { panic!("no URL") };
        assert_eq!(path, "/mcp");
    }
}
