//! Under which names the server may be asked.

use core::net::IpAddr;

use http::header::HOST;
use http::{HeaderMap, Uri};

use super::authority::Authority;

/// Under which names the server may be asked: a page that makes its own name point at this machine is told apart by
/// the name in `Host`, even where its browser sends no `Origin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPolicy {
    any: bool,
    loopback: bool,
    listed: Vec<Authority>,
}

impl HostPolicy {
    /// The names of this machine: `localhost`, `127.0.0.1` and `[::1]`, any port.
    #[must_use]
    pub fn loopback() -> HostPolicy {
        HostPolicy { any: false, loopback: true, listed: Vec::new() }
    }

    /// Every name, and none. What a server behind a proxy needs that rewrites `Host`.
    #[must_use]
    pub fn any() -> HostPolicy {
        HostPolicy { any: true, ..HostPolicy::loopback() }
    }

    /// No name but those that [`HostPolicy::allow`] adds.
    #[must_use]
    pub fn none() -> HostPolicy {
        HostPolicy { loopback: false, ..HostPolicy::loopback() }
    }

    /// What suits a server that listens on this address: the names of this machine on a loopback address, every
    /// name on another, as nobody here can know what that one is called.
    #[must_use]
    pub fn for_address(address: IpAddr) -> HostPolicy {
        if address.to_canonical().is_loopback() { HostPolicy::loopback() } else { HostPolicy::any() }
    }

    /// Also allows this name: `host` with any port, or `host:port`.
    ///
    /// # Errors
    ///
    /// It is neither.
    pub fn allow(mut self, host: &str) -> Result<HostPolicy, InvalidHost> {
        self.listed.push(Authority::parse(host).ok_or_else(|| InvalidHost(host.to_owned()))?);
        Ok(self)
    }

    /// Whether a request with this target and these headers may come in. HTTP/2 names the host in the target, HTTP/1
    /// in `Host`; where both are there, both must be allowed. None at all is refused, and so is a second `Host`.
    #[must_use]
    pub fn admits(&self, target: &Uri, headers: &HeaderMap) -> bool {
        if self.any {
            return true;
        }
        let mut hosts = headers.get_all(HOST).iter();
        let from_target = target.authority().map(|authority| self.admits_host(authority.as_str()));
        let from_header = hosts.next().map(|host| host.to_str().is_ok_and(|host| self.admits_host(host)));
        hosts.next().is_none()
            && from_target.or(from_header).is_some()
            && from_target != Some(false)
            && from_header != Some(false)
    }

    fn admits_host(&self, host: &str) -> bool {
        let Some(asked) = Authority::parse(host.trim_matches([' ', '\t'])) else { return false };
        let same = |listed: &Authority| {
            listed.host == asked.host && (listed.port.is_none() || listed.port == asked.port)
        };
        (self.loopback && asked.is_loopback()) || self.listed.iter().any(same)
    }
}

impl Default for HostPolicy {
    fn default() -> Self {
        HostPolicy::loopback()
    }
}

/// The text is no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no host: write it as `mcp.example.com` or `mcp.example.com:8443`")]
pub struct InvalidHost(String);

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn admits(policy: &HostPolicy, target: &str, hosts: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_bytes(host.as_bytes()).unwrap());
        }
        policy.admits(&target.parse().unwrap(), &headers)
    }

    #[test]
    fn a_server_answers_to_its_own_names() {
        let loopback = HostPolicy::default();
        let listed =
            HostPolicy::none().allow("mcp.example.com").and_then(|p| p.allow("[fd00::1]:8443")).unwrap();
        let any = HostPolicy::any();
        // The target; the hosts; whether each policy admits them: loopback, listed, any.
        let table: [(&str, &[&str], [bool; 3]); 24] = [
            ("/mcp", &["localhost"], [true, false, true]),
            ("/mcp", &["LOCALHOST.:8080"], [true, false, true]),
            ("/mcp", &[" localhost\t"], [true, false, true]),
            ("/mcp", &["127.0.0.1:3000"], [true, false, true]),
            ("/mcp", &["[::1]:3000"], [true, false, true]),
            ("/mcp", &["[0:0:0:0:0:0:0:1]"], [true, false, true]),
            ("/mcp", &["mcp.example.com"], [false, true, true]),
            ("/mcp", &["MCP.example.com.:9"], [false, true, true]),
            ("/mcp", &["[FD00:0::1]:8443"], [false, true, true]),
            ("/mcp", &["[fd00::1]"], [false, false, true]),
            ("/mcp", &["[fd00::1]:8444"], [false, false, true]),
            ("/mcp", &["evil.example.com"], [false, false, true]),
            ("/mcp", &["localhost.evil.example.com"], [false, false, true]),
            ("/mcp", &["mcp.example.com.evil.example"], [false, false, true]),
            ("/mcp", &["localhost@evil.example.com"], [false, false, true]),
            ("/mcp", &["l\u{f6}calhost"], [false, false, true]),
            ("/mcp", &[""], [false, false, true]),
            ("/mcp", &[], [false, false, true]),
            ("/mcp", &["localhost", "localhost"], [false, false, true]),
            ("http://localhost:80/mcp", &[], [true, false, true]),
            ("http://localhost:80/mcp", &["localhost:80"], [true, false, true]),
            ("http://evil.example.com/mcp", &[], [false, false, true]),
            ("http://evil.example.com/mcp", &["localhost"], [false, false, true]),
            ("http://localhost/mcp", &["evil.example.com"], [false, false, true]),
        ];
        for (target, hosts, expected) in table {
            let admitted = [&loopback, &listed, &any].map(|policy| admits(policy, target, hosts));
            assert_eq!(admitted, expected, "{target} {hosts:?}");
        }
    }

    #[test]
    fn the_address_that_a_server_listens_on_says_whether_its_names_are_known() {
        let table = [
            ("127.0.0.1", HostPolicy::loopback()),
            ("127.0.0.2", HostPolicy::loopback()),
            ("::1", HostPolicy::loopback()),
            ("::ffff:127.0.0.1", HostPolicy::loopback()),
            ("0.0.0.0", HostPolicy::any()),
            ("::", HostPolicy::any()),
            ("192.0.2.1", HostPolicy::any()),
        ];
        for (address, expected) in table {
            assert_eq!(HostPolicy::for_address(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn only_a_host_can_be_listed() {
        for text in ["*", "", "https://mcp.example.com", "mcp.example.com/mcp", "fd00::1"] {
            let refused = HostPolicy::default().allow(text).unwrap_err();
            assert!(refused.to_string().contains(text), "{refused}");
        }
    }
}
