//! Where webhooks may go: to the public, unless a setting says otherwise. A user names the address and this service
//! connects to it, from inside of a network that the user may not see (server-side request forgery). Pure: no I/O.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::Uri;
use axum::http::uri::Scheme;
use clap::ValueEnum;

const MAX_CHARS: usize = 2048;

/// Which targets are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Targets {
    /// Public addresses, by HTTPS.
    Public,
    /// Any address, also by HTTP: for trying it out, or where all users are trusted.
    Any,
}

/// An address that webhooks can be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "as it says")]
pub struct Target {
    pub is_encrypted: bool,
    /// A name or an IP address, without brackets.
    pub host: String,
    pub port: u16,
    /// The host as the URL has it, with the port if it does.
    pub authority: String,
    pub path_and_query: String,
}

impl Targets {
    /// The target that this URL names; or why it is none, in words for whoever has written it.
    pub fn read(self, url: &str) -> Result<Target, &'static str> {
        if url.len() > MAX_CHARS {
            return Err("must have at most 2048 characters");
        }
        if url.contains('#') {
            return Err("must not have a fragment");
        }
        let uri: Uri = url.parse().map_err(|_| "must be a URL such as https://shop.example/webhooks")?;
        let is_encrypted = uri.scheme() == Some(&Scheme::HTTPS);
        if !is_encrypted && (self == Self::Public || uri.scheme() != Some(&Scheme::HTTP)) {
            return Err("must begin with https://");
        }
        let authority = uri.authority().ok_or("must name a host")?;
        if authority.as_str().contains('@') {
            return Err("must not have a user or a password");
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let is_in_brackets = authority.host().starts_with('[');
        if host.is_empty() || is_in_brackets && host.parse::<Ipv6Addr>().is_err() {
            return Err("must name a host");
        }
        // What a name leads to is looked up each time that something is sent.
        if host.parse().is_ok_and(|address| !self.allow(address)) || self == Self::Public && is_local(&host) {
            return Err("must lead to a public address");
        }
        let has_port = authority.as_str().rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        if has_port && authority.port_u16().is_none_or(|port| port == 0) {
            return Err("must have a port from 1 to 65535");
        }
        let port = authority.port_u16().unwrap_or(if is_encrypted { 443 } else { 80 });
        let path_and_query = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Target { is_encrypted, host, port, authority: authority.as_str().to_owned(), path_and_query })
    }

    /// Whether something may be sent to this address.
    pub fn allow(self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Public => match address {
                IpAddr::V4(address) => is_public_v4(address),
                IpAddr::V6(address) => is_public_v6(address),
            },
        }
    }
}

/// Names that never lead to anybody else (RFC 6761).
fn is_local(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

/// Not among the special purposes of <https://www.iana.org/assignments/iana-ipv4-special-registry>.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = match a {
        // This network, private, loopback; multicast, reserved and broadcast.
        0 | 10 | 127 | 224.. => true,
        // Shared by carriers.
        100 => (64..=127).contains(&b),
        // Link-local.
        169 => b == 254,
        // Private.
        172 => (16..=31).contains(&b),
        // Private; protocol assignments, documentation, the way into 6to4.
        192 => b == 168 || [(0, 0), (0, 2), (88, 99)].contains(&(b, c)),
        // Benchmarks; documentation.
        198 => b == 18 || b == 19 || (b, c) == (51, 100),
        203 => (b, c) == (0, 113),
        _ => false,
    };
    !is_special
}

/// Global unicast, but for what <https://www.iana.org/assignments/iana-ipv6-special-registry> takes out of it. Addresses that
/// stand for one of IPv4 (mapped, NAT64, unique local and link-local ones) are outside of it.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let is_global = a & 0xe000 == 0x2000;
    // Protocol assignments with Teredo, documentation twice, 6to4.
    let is_special = a == 0x2001 && (b < 0x200 || b == 0xdb8) || a == 0x3fff && b < 0x1000 || a == 0x2002;
    is_global && !is_special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_public_is_refused_however_it_is_written() {
        for host in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "[::]",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:10.0.0.1]",
            "[::127.0.0.1]",
            "[::ffff:0:127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[64:ff9b:1::1]",
            "[100::1]",
            "[2001::1]",
            "[2001:db8::1]",
            "[2002:7f00:1::]",
            "[3fff::1]",
            "[fc00::1]",
            "[fd12:3456::1]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::1]",
            "localhost",
            "LOCALHOST.",
            "shop.localhost",
        ] {
            let url = format!("https://{host}/hooks");
            assert_eq!(Targets::Public.read(&url), Err("must lead to a public address"), "{url}");
            assert!(Targets::Any.read(&url).is_ok(), "{url}");
        }
    }

    #[test]
    fn what_is_public_is_allowed() {
        for host in [
            "shop.example",
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "[2606:4700::1111]",
            "[2001:4860::8888]",
            "[2a00:1450::1]",
        ] {
            assert!(Targets::Public.read(&format!("https://{host}:8443/hooks?a=b")).is_ok(), "{host}");
        }
    }

    #[test]
    fn a_url_that_is_no_target_is_refused() {
        let long = format!("https://shop.example/{}", "a".repeat(MAX_CHARS));
        for url in [
            "",
            "shop",
            "/hooks",
            "shop.example/hooks",
            "https://",
            "https:///hooks",
            "http://shop.example",
            "ftp://shop.example",
            "file:///etc/passwd",
            "https://user:password@shop.example",
            "https://1.1.1.1@127.0.0.1/",
            "https://shop.example:0",
            "https://shop.example:99999",
            "https://shop.example:",
            "https://shop example",
            "https://shop.example/#fragment",
            "https://shop.example#@127.0.0.1/",
            "https://shop.example\\@127.0.0.1/",
            "https://shop.example/hooks\r\nHost: elsewhere",
            "https://shop.example/a b",
            "https://①②⑦.⓪.⓪.①/",
            "https://[::1",
            "https://[fe80::1%25eth0]/",
            &long,
        ] {
            assert!(Targets::Public.read(url).is_err(), "{url:?}");
        }
        assert!(Targets::Any.read("ftp://shop.example").is_err());
    }

    #[test]
    fn a_target_is_what_the_url_says() {
        let target = Targets::Public.read("https://[2606:4700::1111]:8443/hooks?a=b").expect("a target");
        assert_eq!((target.host.as_str(), target.port, target.is_encrypted), ("2606:4700::1111", 8443, true));
        assert_eq!(
            (target.authority.as_str(), target.path_and_query.as_str()),
            ("[2606:4700::1111]:8443", "/hooks?a=b")
        );
        let target = Targets::Any.read("http://shop.example").expect("a target");
        assert_eq!((target.host.as_str(), target.port, target.path_and_query.as_str()), ("shop.example", 80, "/"));
    }
}
