//! Targets and versions: who serves what, and which request fits.
//!
//! The rules are oslo.messaging's (`oslo_messaging/_utils.py: version_is_compatible`), down to
//! which malformed versions go unnoticed.

use std::fmt;
use std::str::FromStr;

/// What a server listens to: oslo's target with topic and server set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServerTarget {
    pub exchange: String,
    pub topic: String,
    pub server: String,
}

/// Whom a client sends to: oslo's target with all its parts, each of which may be missing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Target {
    pub exchange: Option<String>,
    pub topic: Option<String>,
    pub namespace: Option<String>,
    /// A missing one stands for 1.0.
    pub version: Option<String>,
    /// One server of the topic instead of any.
    pub server: Option<String>,
    /// Every server of the topic; then `server` means nothing.
    pub fanout: bool,
}

impl Target {
    /// Any server of a topic, in the null namespace, at version 1.0.
    pub fn topic(topic: impl Into<String>) -> Self {
        Self {
            topic: Some(topic.into()),
            ..Self::default()
        }
    }
}

/// As upstream shows it: what is set, in this order.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("exchange", self.exchange.as_deref()),
            ("topic", self.topic.as_deref()),
            ("namespace", self.namespace.as_deref()),
            ("version", self.version.as_deref()),
            ("server", self.server.as_deref()),
            ("fanout", self.fanout.then_some("True")),
        ];
        let parts = parts.into_iter().filter_map(|(name, value)| {
            let value = value.filter(|value| !value.is_empty())?;
            Some(format!("{name}={value}"))
        });
        write!(f, "<Target {}>", parts.collect::<Vec<_>>().join(", "))
    }
}

/// One interface that an endpoint serves.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EndpointTarget {
    /// `None` is the null namespace; an empty one is a namespace like any other.
    pub namespace: Option<String>,
    pub version: Version,
    pub methods: Vec<String>,
}

impl EndpointTarget {
    pub fn has_method(&self, method: &str) -> bool {
        self.methods.iter().any(|name| name == method)
    }
}

impl fmt::Display for EndpointTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace} ")?;
        }
        write!(f, "{}: {}", self.version, self.methods.join(", "))
    }
}

/// The version of an endpoint: `major.minor` or `major.minor.revision`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Version {
    major: i128,
    minor: i128,
    revision: i128,
}

/// An endpoint's own version is not one.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is not a version: write major.minor, such as \"1.4\"")]
pub struct InvalidVersion(String);

impl FromStr for Version {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let mut parts = text.split('.').map(|part| {
            let plain = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| part.parse().ok()).flatten()
        });
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Some(major)), Some(Some(minor)), revision @ (None | Some(Some(_))), None) => {
                Ok(Self {
                    major,
                    minor,
                    revision: revision.flatten().unwrap_or(0),
                })
            }
            _ => Err(InvalidVersion(text.to_owned())),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        match self.revision {
            0 => Ok(()),
            revision => write!(f, ".{revision}"),
        }
    }
}

/// The `version` key of a request, as it came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RequestedVersion {
    /// A missing key stands for `1.0`; a null is this, and fits nothing.
    Null,
    Text(String),
    /// Another JSON type, under the name Python gives it.
    NotText(&'static str),
}

impl RequestedVersion {
    /// The version as a caller reads it in an error.
    pub fn as_python_text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Null | Self::NotText(_) => "None",
        }
    }
}

/// A requested version that cannot be compared. Upstream lets Python's own error out, and
/// clients see its class, so the classes are kept.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum MalformedVersion {
    /// Python: `IndexError`.
    #[error("version `{0}` has no minor part")]
    NoMinor(String),
    /// Python: `ValueError`.
    #[error("invalid literal for int() with base 10: '{0}'")]
    NotANumber(String),
    /// Python: `AttributeError`.
    #[error("'{0}' object has no attribute 'split'")]
    NotText(&'static str),
}

/// Whether an endpoint of version `implemented` answers a request for `requested`.
///
/// Majors are equal, and the requested minor (with equal minors the revision) is not greater.
/// Parts are looked at only as far as needed, so `1.4.x` fits 1.5 and is an error for 1.4.
pub fn is_compatible(
    implemented: Version,
    requested: &RequestedVersion,
) -> Result<bool, MalformedVersion> {
    let text = match requested {
        RequestedVersion::Null => return Ok(false),
        RequestedVersion::NotText(kind) => return Err(MalformedVersion::NotText(kind)),
        RequestedVersion::Text(text) => text,
    };
    let mut parts = text.split('.');
    let major = python_int(parts.next().unwrap_or_default())?;
    if major != implemented.major {
        return Ok(false);
    }
    let minor = parts
        .next()
        .ok_or_else(|| MalformedVersion::NoMinor(text.clone()))?;
    let minor = python_int(minor)?;
    if minor != implemented.minor {
        return Ok(minor < implemented.minor);
    }
    let revision = parts.next().map_or(Ok(0), python_int)?;
    Ok(revision <= implemented.revision)
}

/// Python's `int()` on text: spaces around, a sign, leading zeros and single underscores between
/// digits are fine. A number too large for us is as good as the largest.
fn python_int(text: &str) -> Result<i128, MalformedVersion> {
    let error = || MalformedVersion::NotANumber(text.to_owned());
    let trimmed = text.trim();
    let (negative, digits) = match trimmed.as_bytes().first() {
        Some(b'-') => (true, &trimmed[1..]),
        Some(b'+') => (false, &trimmed[1..]),
        _ => (false, trimmed),
    };
    let mut value: i128 = 0;
    for group in digits.split('_') {
        if group.is_empty() {
            return Err(error());
        }
        for character in group.chars() {
            let digit = character.to_digit(10).ok_or_else(error)?;
            value = value.saturating_mul(10).saturating_add(digit.into());
        }
    }
    Ok(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(implemented: &str, requested: &str, expected: bool) {
        let implemented = implemented.parse().expect("a version");
        let requested = RequestedVersion::Text(requested.to_owned());
        assert_eq!(
            is_compatible(implemented, &requested),
            Ok(expected),
            "{implemented} against {requested:?}"
        );
    }

    #[track_caller]
    fn check_malformed(implemented: &str, requested: RequestedVersion, python_class: &str) {
        let implemented = implemented.parse().expect("a version");
        let class = match is_compatible(implemented, &requested) {
            Err(MalformedVersion::NoMinor(_)) => "IndexError",
            Err(MalformedVersion::NotANumber(_)) => "ValueError",
            Err(MalformedVersion::NotText(_)) => "AttributeError",
            Ok(_) => "none",
        };
        assert_eq!(class, python_class, "{implemented} against {requested:?}");
    }

    #[test]
    fn the_upstream_table_of_compatible_versions_holds() {
        for requested in ["1.0", "1.0.0"] {
            check("1.0", requested, true);
        }
        for requested in ["1.0", "1.4", "1.3.9"] {
            check("1.4", requested, true);
        }
        for requested in ["1.5", "1.4.1", "2", "2.x", "2.0"] {
            check("1.4", requested, false);
        }
        check("1.4.1", "1.4", true);
        check("1.4.1", "1.4.1", true);
        check("1.4.1", "1.4.2", false);
        check("1.5", "1.4.9", true);
        check("1.5", "1.4.x", true);
        check("1.5.0", "1.5.0.7", true);
        check("2.0", "1.0", false);
        check("1.0", "2.0", false);
        check("1.10", "1.9", true);
        check("1.9", "1.10", false);
        check("1.2", "1.2 ", true);
        check("1.4", "+1.4", true);
        check("1.4", "01.4", true);
        check("12.4", "1_2.4", true);
    }

    #[test]
    fn malformed_versions_keep_pythons_exception_class() {
        let text = |text: &str| RequestedVersion::Text(text.to_owned());
        check_malformed("1.0", text("1"), "IndexError");
        for malformed in ["", "1.", "abc", "1.0.x", "1._0", "1.-"] {
            check_malformed("1.0", text(malformed), "ValueError");
        }
        check_malformed("1.0", RequestedVersion::NotText("float"), "AttributeError");
    }

    #[test]
    fn a_null_version_fits_nothing() {
        let implemented = "1.0".parse().expect("a version");
        assert_eq!(
            is_compatible(implemented, &RequestedVersion::Null),
            Ok(false)
        );
    }

    #[test]
    fn a_huge_version_is_compared_and_not_a_panic() {
        check("1.0", &format!("1.{}", "9".repeat(4000)), false);
        check("1.0", &format!("1.-{}", "9".repeat(4000)), true);
    }

    #[test]
    fn an_endpoint_declares_a_plain_version() {
        for good in ["1.4", "2.0", "1.5.2", "10.11"] {
            assert_eq!(
                good.parse::<Version>().expect("a version").to_string(),
                good
            );
        }
        for bad in ["", "1", "1.", "a.b", "1.2.3.4", "+1.2", " 1.2", "1.2.x"] {
            assert!(bad.parse::<Version>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_minor_of_two_digits_outranks_one_of_one() {
        let version = |text: &str| text.parse::<Version>().expect("a version");
        assert!(version("1.10") > version("1.9"));
    }
}
