//! `host[:port]`, as it stands in `Host` and in `Origin`.

use core::net::{Ipv4Addr, Ipv6Addr};

/// A host and perhaps a port, in one spelling: names in lower case and without the last dot, addresses parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    pub(crate) host: HostName,
    pub(crate) port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HostName {
    Name(String),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl Authority {
    pub(crate) fn parse(text: &str) -> Option<Authority> {
        if let Some(rest) = text.strip_prefix('[') {
            let (address, rest) = rest.split_once(']')?;
            let port = match rest.strip_prefix(':') {
                Some(port) => parse_port(port)?,
                None if rest.is_empty() => None,
                None => return None,
            };
            return Some(Authority { host: HostName::V6(address.parse().ok()?), port });
        }
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, parse_port(port)?),
            None => (text, None),
        };
        if let Ok(address) = name.parse() {
            return Some(Authority { host: HostName::V4(address), port });
        }
        let name = name.strip_suffix('.').unwrap_or(name);
        let labels = name.split('.').all(|label| !label.is_empty() && label.bytes().all(in_label));
        labels.then(|| Authority { host: HostName::Name(name.to_ascii_lowercase()), port })
    }

    /// Whether it can only mean this machine: `localhost`, `127.0.0.1` and `[::1]`.
    pub(crate) fn is_loopback(&self) -> bool {
        match &self.host {
            HostName::Name(name) => name == "localhost",
            HostName::V4(address) => *address == Ipv4Addr::LOCALHOST,
            HostName::V6(address) => *address == Ipv6Addr::LOCALHOST,
        }
    }
}

fn in_label(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// `Some(None)` for the empty port, which means the usual one.
fn parse_port(text: &str) -> Option<Option<u16>> {
    if text.is_empty() {
        return Some(None);
    }
    // `parse` takes a plus sign too.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok().map(Some)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_has_one_spelling() {
        let table = [
            ("localhost", "LocalHost.", true),
            ("127.0.0.1", "127.0.0.1:", true),
            ("[::1]:80", "[0:0:0:0:0:0:0:1]:80", true),
            ("example.com:8080", "EXAMPLE.com.:8080", true),
            ("localhost:80", "localhost:81", false),
            ("localhost", "localhost:80", false),
            ("a.example.com", "b.example.com", false),
            ("[::1]", "[::2]", false),
        ];
        for (one, other, same) in table {
            let [one, other] = [one, other].map(|text| Authority::parse(text).unwrap());
            assert_eq!(one == other, same, "{one:?} {other:?}");
        }
    }

    #[test]
    fn what_is_no_authority_is_refused() {
        let bad = [
            "",
            ":80",
            ".",
            "a..b",
            ".localhost",
            "localhost..",
            "localhost:+80",
            "localhost:65536",
            "localhost:80:80",
            "localhost:8o",
            "user@localhost",
            "localhost/",
            "local host",
            "localhost,evil.example",
            "::1",
            "[::1",
            "[::1]x",
            "[::1%lo]",
            "[127.0.0.1]",
            "[]",
            "l\u{f6}calhost",
        ];
        for text in bad {
            assert_eq!(Authority::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_three_names_mean_this_machine() {
        let table = [
            ("localhost", true),
            ("LOCALHOST.:1", true),
            ("127.0.0.1:65535", true),
            ("[::1]", true),
            ("127.0.0.2", false),
            ("127.1", false),
            ("0.0.0.0", false),
            ("[::]", false),
            ("[::ffff:127.0.0.1]", false),
            ("localhost.example.com", false),
            ("xlocalhost", false),
            ("127.0.0.1.example.com", false),
        ];
        for (text, loopback) in table {
            assert_eq!(Authority::parse(text).unwrap().is_loopback(), loopback, "{text}");
        }
    }
}
