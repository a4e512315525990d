//! `http = ["https://HOST"]` in plugin.toml: where a plugin may send HTTP requests.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One of `http = ["https://HOST:PORT"]` in plugin.toml: an origin, as browsers have it.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct HttpGrant {
    scheme: Scheme,
    host: String,
    port: u16,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl TryFrom<String> for HttpGrant {
    type Error = String;

    /// `HOST`, `HOST:PORT`, and both after `http://` or `https://`, which is meant where neither
    /// stands. `*.DOMAIN` is every host below a domain.
    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` under `http` names no host: write [https://]HOST[:PORT] or \
                 http://HOST[:PORT], without a path; *.DOMAIN is every host below it"
            )
        };
        let (scheme, authority) = match text.split_once("://") {
            Some(("http", rest)) => (Scheme::Http, rest),
            Some(("https", rest)) => (Scheme::Https, rest),
            Some(_) => return Err(wrong()),
            None => (Scheme::Https, text.as_str()),
        };
        let (host, port) = split_port(authority, scheme).ok_or_else(wrong)?;
        let name = host.strip_prefix("*.").unwrap_or(&host);
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
        match !name.is_empty() && name.chars().all(plain) {
            true => Ok(Self { scheme, host, port }),
            false => Err(wrong()),
        }
    }
}

/// Host and port of `HOST[:PORT]`, where an IPv6 address stands in brackets; the host in lower case.
fn split_port(authority: &str, scheme: Scheme) -> Option<(String, u16)> {
    let after_address = authority.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match authority[after_address..].rfind(':') {
        Some(at) => {
            let (host, port) = authority.split_at(after_address + at);
            (host, port[1..].parse().ok()?)
        }
        None => (authority, scheme.default_port()),
    };
    Some((host.to_ascii_lowercase(), port))
}

impl fmt::Display for HttpGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.name(), self.host)?;
        match self.port == self.scheme.default_port() {
            true => Ok(()),
            false => write!(f, ":{}", self.port),
        }
    }
}

impl From<HttpGrant> for String {
    fn from(grant: HttpGrant) -> Self {
        grant.to_string()
    }
}

impl HttpGrant {
    /// Whether requests of this scheme may go to this `HOST[:PORT]`.
    pub fn allows(&self, scheme: &str, authority: &str) -> bool {
        let Some((host, port)) = split_port(authority, self.scheme) else {
            return false;
        };
        let is_meant = match self.host.strip_prefix('*') {
            Some(domain) => host.len() > domain.len() && host.ends_with(domain),
            None => host == self.host,
        };
        // A login has no place there, and would be no part of the host that is compared.
        let has_login = authority.contains('@');
        scheme == self.scheme.name() && port == self.port && is_meant && !has_login
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(grant: &str, url: &str, expected: bool) {
        let parsed = HttpGrant::try_from(grant.to_owned()).expect(grant);
        let (scheme, authority) = url.split_once("://").expect("a URL");
        assert_eq!(parsed.allows(scheme, authority), expected, "{grant} {url}");
        let shown = HttpGrant::try_from(parsed.to_string()).expect("what is shown");
        assert_eq!(shown, parsed);
    }

    #[test]
    fn a_grant_is_for_one_scheme_host_and_port() {
        for url in ["https://api.example.org", "https://API.example.org:443"] {
            check("api.example.org", url, true);
            check("https://Api.example.org:443", url, true);
            check("http://api.example.org", url, false);
            check("api.example.org:8443", url, false);
            check("example.org", url, false);
            check("*.example.org", url, true);
        }
        check("http://127.0.0.1:8080", "http://127.0.0.1:8080", true);
        check("http://127.0.0.1:8080", "http://127.0.0.1", false);
        check("http://[::1]:8080", "http://[::1]:8080", true);
        check("*.example.org", "https://example.org", false);
        check("*.example.org", "https://.example.org", false);
        check("*.example.org", "https://badexample.org", false);
        // What stands before an `@` would be no part of the host.
        check("*.example.org", "https://user:pass@api.example.org", false);
        check("example.org", "https://example.org@evil.org", false);
        check("example.org", "https://evil.org@example.org", false);
    }

    #[test]
    fn what_names_no_host_is_no_grant() {
        for wrong in [
            "",
            "https://",
            "*",
            "*.",
            "ftp://example.org",
            "https://example.org/path",
            "https://user@example.org",
            "example.org:port",
        ] {
            assert!(HttpGrant::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
