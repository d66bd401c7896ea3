//! How a socket is named.

use std::{
    fmt,
    net::{SocketAddr, SocketAddrV6},
    path::PathBuf,
    str::FromStr,
};

/// Where a socket is.
///
/// As text: `unix:/run/mcp.sock`, `unix:@name`, `tcp:127.0.0.1:4000`, `tcp:[::1]:4000`, `tcp:example.org:4000`.
///
/// ```
/// use towpath_stdio::SocketAddress;
///
/// let address: SocketAddress = "unix:/run/mcp.sock".parse()?;
/// assert_eq!(address, SocketAddress::Unix("/run/mcp.sock".into()));
/// assert_eq!(address.to_string(), "unix:/run/mcp.sock");
/// # Ok::<(), towpath_stdio::InvalidSocketAddress>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SocketAddress {
    /// A Unix socket, by the path of its file: at most 107 bytes.
    Unix(PathBuf),
    /// A Unix socket in the abstract namespace of Linux, by its name without the `@`: no file, and gone with its
    /// listener. Any process of the machine may take a name that is free, so who connects cannot rely on who listens.
    Abstract(String),
    /// A host and a port: an IPv4 address, an IPv6 address in brackets, or a name, then `:` and the port.
    Tcp(String),
}

/// A text that is no [`SocketAddress`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no address of a socket: {reason} (write `unix:/run/mcp.sock`, `unix:@name`, `tcp:127.0.0.1:4000` or `tcp:[::1]:4000`)"
)]
#[non_exhaustive]
pub struct InvalidSocketAddress {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl SocketAddress {
    /// How errors name it: `unix /run/mcp.sock`.
    pub(super) fn name(&self) -> String {
        self.to_string().replacen(':', " ", 1)
    }
}

impl FromStr for SocketAddress {
    type Err = InvalidSocketAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map_err(|reason| InvalidSocketAddress { text: text.to_owned(), reason })
    }
}

fn parse(text: &str) -> Result<SocketAddress, &'static str> {
    if text.contains('\0') {
        return Err("it has a zero byte in it");
    }
    if let Some(path) = text.strip_prefix("unix:") {
        return match path.strip_prefix('@') {
            Some("") => Err("the name is missing"),
            None if path.is_empty() => Err("the path is missing"),
            Some(name) => Ok(SocketAddress::Abstract(name.to_owned())),
            None => Ok(SocketAddress::Unix(path.into())),
        };
    }
    let Some(place) = text.strip_prefix("tcp:") else {
        return Err("it begins with neither `unix:` nor `tcp:`");
    };
    let place = place.strip_prefix("//").unwrap_or(place);
    let (host, port) = place.rsplit_once(':').ok_or("the port is missing")?;
    if port.parse::<u16>().is_err() || port.starts_with('+') {
        return Err("the port is no number up to 65535");
    }
    match host.strip_prefix('[') {
        // With the number of an interface, too: `[fe80::1%2]`.
        Some(_) if place.parse::<SocketAddrV6>().is_ok() => {}
        Some(_) => return Err("what is in the brackets is no IPv6 address"),
        None if host.is_empty() => return Err("the host is missing"),
        None if host.contains(':') => return Err("an IPv6 address needs brackets"),
        None if host.contains(|c: char| c.is_whitespace() || c == '/') => {
            return Err("the host is no address and no name");
        }
        None => {}
    }
    Ok(SocketAddress::Tcp(place.to_owned()))
}

impl fmt::Display for SocketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // A file of that name, and not an abstract one.
            Self::Unix(path) if path.as_os_str().as_encoded_bytes().starts_with(b"@") => {
                write!(f, "unix:./{}", path.display())
            }
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Abstract(name) => write!(f, "unix:@{name}"),
            Self::Tcp(place) => write!(f, "tcp:{place}"),
        }
    }
}

impl From<SocketAddr> for SocketAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for (text, expected) in [
            ("unix:/run/mcp.sock", SocketAddress::Unix("/run/mcp.sock".into())),
            ("unix:mcp.sock", SocketAddress::Unix("mcp.sock".into())),
            ("unix:@towpath", SocketAddress::Abstract("towpath".into())),
            ("tcp:127.0.0.1:4000", SocketAddress::Tcp("127.0.0.1:4000".into())),
            ("tcp:[::1]:0", SocketAddress::Tcp("[::1]:0".into())),
            ("tcp:[fe80::1%2]:1", SocketAddress::Tcp("[fe80::1%2]:1".into())),
            ("tcp:example.org:65535", SocketAddress::Tcp("example.org:65535".into())),
        ] {
            assert_eq!(text.parse(), Ok(expected.clone()));
            assert_eq!(expected.to_string(), text);
        }
        let slashes: SocketAddress = "tcp://localhost:1".parse().expect("as URLs have them");
        assert_eq!(slashes.to_string(), "tcp:localhost:1");
        assert_eq!(SocketAddress::Unix("@file".into()).to_string(), "unix:./@file");
        assert_eq!(SocketAddress::Tcp("[::1]:1".into()).name(), "tcp [::1]:1");
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_to_write() {
        for (text, reason) in [
            ("/run/mcp.sock", "neither"),
            ("127.0.0.1:4000", "neither"),
            ("unix:", "path is missing"),
            ("unix:@", "name is missing"),
            ("unix:/a\0b", "zero byte"),
            ("tcp:localhost", "port is missing"),
            ("tcp:localhost:http", "port is no number"),
            ("tcp:localhost:65536", "port is no number"),
            ("tcp:localhost:+1", "port is no number"),
            ("tcp::4000", "host is missing"),
            ("tcp:::1:4000", "needs brackets"),
            ("tcp:[localhost]:4000", "no IPv6 address"),
            ("tcp:[::1:4000", "no IPv6 address"),
            ("tcp:a b:4000", "no name"),
        ] {
            let error = text.parse::<SocketAddress>().expect_err(text);
            assert!(error.reason.contains(reason), "{text:?}: {error}");
            assert!(error.to_string().contains("tcp:127.0.0.1:4000"), "{error}");
        }
    }
}
