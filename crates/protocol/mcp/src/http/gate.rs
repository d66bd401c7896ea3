//! Who may ask at all.

use core::net::IpAddr;

use http::{HeaderMap, Uri};

use super::host::HostPolicy;
use super::origin::OriginPolicy;
use crate::fault::Fault;

/// Who may ask at all: from which pages, and under which names. The two are checked apart, and either is enough to be
/// refused: a server that a name was rebound to is reached with a bad `Host`, a bad `Origin`, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpGate {
    /// From which pages. Default: pages of this machine.
    pub origins: OriginPolicy,
    /// Under which names. Default: the names of this machine, so a server for others sets it.
    pub hosts: HostPolicy,
}

impl HttpGate {
    /// What suits a server that listens on this address, see [`HostPolicy::for_address`].
    #[must_use]
    pub fn for_address(address: IpAddr) -> HttpGate {
        HttpGate { origins: OriginPolicy::default(), hosts: HostPolicy::for_address(address) }
    }

    /// Lets a request in, or not.
    ///
    /// # Errors
    ///
    /// [`Fault::Forbidden`]: status 403.
    pub fn check(&self, target: &Uri, headers: &HeaderMap) -> Result<(), Fault> {
        if !self.origins.admits(headers) {
            return Err(Fault::Forbidden { what: "this Origin" });
        }
        if !self.hosts.admits(target, headers) {
            return Err(Fault::Forbidden { what: "this Host" });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_bad_origin_alone_and_a_bad_host_alone_are_enough() {
        let (own, evil) = ("localhost:3000", "evil.example.com");
        let table = [
            (own, own, None),
            (own, evil, Some("this Origin")),
            (evil, own, Some("this Host")),
            (evil, evil, Some("this Origin")),
        ];
        for (host, origin, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert("host", HeaderValue::from_static(host));
            headers.insert("origin", HeaderValue::try_from(format!("http://{origin}")).unwrap());
            let refused = HttpGate::default().check(&Uri::from_static("/mcp"), &headers).err();
            assert_eq!(refused, expected.map(|what| Fault::Forbidden { what }), "{host} {origin}");
        }
    }

    #[test]
    fn a_gate_for_an_address_still_looks_at_the_origin() {
        let gate = HttpGate::for_address(IpAddr::from([192, 0, 2, 1]));
        assert_eq!(gate.hosts, HostPolicy::any());
        assert_eq!(gate.origins, OriginPolicy::loopback());
        assert_eq!(HttpGate::for_address(IpAddr::from([127, 0, 0, 1])), HttpGate::default());
    }
}
