//! `transport_url`, in oslo's syntax: `rabbit://user:password@host:port,host2/vhost`, or
//! `memory://` (oslo_messaging/transport.py: `TransportURL.parse`).

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

/// Which transport carries messages, and where its broker is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TransportUrl {
    /// A broker inside this process.
    Memory,
    Rabbit(RabbitUrl),
}

/// A RabbitMQ cluster and a virtual host of it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RabbitUrl {
    /// At least one; tried in turn.
    pub hosts: Vec<Host>,
    pub virtual_host: String,
    /// Options of `[rabbit]`, as texts, that hold for this transport instead of the file's.
    pub options: Vec<(String, String)>,
}

/// One node, with the login that is used there.
#[derive(Clone, Eq, PartialEq)]
pub struct Host {
    pub name: String,
    pub port: u16,
    pub user: String,
    pub password: String,
}

impl Default for Host {
    /// What upstream takes for the parts that a URL leaves out.
    fn default() -> Self {
        Self {
            name: "127.0.0.1".to_owned(),
            port: 5672,
            user: "guest".to_owned(),
            password: "guest".to_owned(),
        }
    }
}

impl Host {
    /// What is dialled. As to kombu, `localhost` is IPv4: a broker may not listen on the other.
    pub fn dialled_name(&self) -> &str {
        match self.name.as_str() {
            "localhost" => "127.0.0.1",
            name => name,
        }
    }

    /// `host:port`, with brackets around an IPv6 address.
    pub fn address(&self) -> String {
        match self.name.contains(':') {
            true => format!("[{}]:{}", self.name, self.port),
            false => format!("{}:{}", self.name, self.port),
        }
    }
}

/// Never shows the password.
impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("user", &self.user)
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}

/// For the log: hosts and virtual host, without logins.
impl fmt::Display for TransportUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory://"),
            Self::Rabbit(url) => {
                let hosts: Vec<_> = url.hosts.iter().map(Host::address).collect();
                write!(
                    f,
                    "rabbit://{}{}",
                    hosts.join(","),
                    match &*url.virtual_host {
                        "/" => "/".to_owned(),
                        other => format!("/{other}"),
                    }
                )
            }
        }
    }
}

/// Why a URL was refused. The text never repeats the URL, which may hold a password.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidUrl {
    #[error(
        "`transport_url` begins with no driver and `://`: write rabbit://USER:PASSWORD@HOST:PORT/ \
         or memory://"
    )]
    NoScheme,
    #[error("`transport_url` names the driver `{0}`: endpointd speaks `rabbit` and `memory`")]
    UnknownDriver(String),
    #[error("`memory://` takes neither hosts nor options")]
    MemoryWithHost,
    #[error(
        "`transport_url` has no port number after the last `:` of a host; in a password, `/`, `?`, \
         `#`, `,` and `@` are written percent-encoded"
    )]
    Port,
    #[error(
        "`transport_url` has an `@` after its hosts, none of which has a login: in a password, `/`, \
         `?` and `#` are written percent-encoded"
    )]
    LoginAfterHosts,
    #[error("`transport_url` has an IPv6 address without its closing `]`")]
    Bracket,
    #[error("`transport_url` has a percent-encoded part that is not UTF-8")]
    NotUtf8,
    #[error(
        "`transport_url` has something other than NAME=VALUE after `?`; in a password, `?` is \
         written %3F"
    )]
    Option,
    #[error("`transport_url` has a name with more than 255 bytes")]
    TooLong,
}

impl FromStr for TransportUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let (scheme, rest) = text.split_once("://").ok_or(InvalidUrl::NoScheme)?;
        // What looks like the end of a login would else be shown as a virtual host.
        let hosts = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if rest.contains('@') && !hosts.contains('@') {
            return Err(InvalidUrl::LoginAfterHosts);
        }
        let rest = rest.split_once('#').map_or(rest, |(rest, _fragment)| rest);
        // What follows a `+` only chooses among Python libraries.
        let driver = scheme.split('+').next().unwrap_or_default();
        match driver.to_ascii_lowercase().as_str() {
            "memory" if rest.trim_matches('/').is_empty() => Ok(Self::Memory),
            "memory" => Err(InvalidUrl::MemoryWithHost),
            "rabbit" => rabbit(rest).map(Self::Rabbit),
            // What is no name is not repeated: it may be a login in front of a later `://`.
            _ if !driver
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_') =>
            {
                Err(InvalidUrl::NoScheme)
            }
            _ => Err(InvalidUrl::UnknownDriver(driver.to_owned())),
        }
    }
}

fn rabbit(rest: &str) -> Result<RabbitUrl, InvalidUrl> {
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let options = options(query)?;
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut hosts = hosts
        .split(',')
        .filter(|item| !item.is_empty())
        .map(host)
        .collect::<Result<Vec<_>, _>>()?;
    if hosts.is_empty() {
        hosts.push(Host::default());
    }
    let virtual_host = match decode(path)?.as_str() {
        "" | "/" => "/".to_owned(),
        other => other.to_owned(),
    };
    Ok(RabbitUrl {
        hosts,
        virtual_host,
        options,
    })
}

/// The last part of a URL, decoded as a form is: `+` is a space there. A repeated name's values are
/// joined with commas.
fn options(query: &str) -> Result<Vec<(String, String)>, InvalidUrl> {
    let mut options: Vec<(String, String)> = Vec::new();
    for option in query.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').ok_or(InvalidUrl::Option)?;
        let name = decode(&name.replace('+', " "))?;
        let value = decode(&value.replace('+', " "))?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        // What is no name is not repeated in an error: it may be the end of a password.
        if name.is_empty() || !name.chars().all(plain) {
            return Err(InvalidUrl::Option);
        }
        match options.iter_mut().find(|(known, _)| *known == name) {
            Some((_, joined)) => *joined = format!("{joined},{value}"),
            None => options.push((name, value)),
        }
    }
    Ok(options)
}

fn host(item: &str) -> Result<Host, InvalidUrl> {
    let mut host = Host::default();
    let address = match item.rsplit_once('@') {
        None => item,
        Some((login, address)) => {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            host.user = decode(user)?;
            host.password = decode(password)?;
            address
        }
    };
    let (name, port) = match address.strip_prefix('[') {
        Some(bracketed) => {
            let (name, port) = bracketed.split_once(']').ok_or(InvalidUrl::Bracket)?;
            (
                name,
                port.strip_prefix(':')
                    .or((!port.is_empty()).then_some(port)),
            )
        }
        None => match address.rsplit_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (address, None),
        },
    };
    if !name.is_empty() {
        host.name = decode(name)?;
    }
    if let Some(port) = port {
        host.port = port.parse().map_err(|_| InvalidUrl::Port)?;
    }
    Ok(host)
}

fn decode(text: &str) -> Result<String, InvalidUrl> {
    let text = percent_decode_str(text).decode_utf8();
    let text = text.map_err(|_| InvalidUrl::NotUtf8)?;
    match text.len() {
        0..=255 => Ok(text.into_owned()),
        _ => Err(InvalidUrl::TooLong),
    }
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// `hosts` as `user:password@host:port`, joined with spaces.
    #[track_caller]
    fn check(url: &str, hosts: &str, virtual_host: &str) {
        let Ok(TransportUrl::Rabbit(parsed)) = url.parse() else {
            panic!("{url} was refused: {:?}", url.parse::<TransportUrl>());
        };
        let shown: Vec<_> = parsed
            .hosts
            .iter()
            .map(|host| format!("{}:{}@{}", host.user, host.password, host.address()))
            .collect();
        assert_eq!(shown.join(" "), hosts, "{url}");
        assert_eq!(parsed.virtual_host, virtual_host, "{url}");
    }

    #[track_caller]
    fn check_refused(url: &str, error: InvalidUrl) {
        assert_eq!(url.parse::<TransportUrl>(), Err(error), "{url}");
    }

    #[test]
    fn parts_that_are_left_out_have_upstreams_defaults() {
        let all = "guest:guest@127.0.0.1:5672";
        for url in [
            "rabbit://",
            "rabbit:///",
            "rabbit+pyamqp:////",
            "rabbit:///%2F",
        ] {
            check(url, all, "/");
        }
        check("RABBIT://localhost", "guest:guest@localhost:5672", "/");
        check(
            "rabbit://u:p@h1,h2:5673",
            "u:p@h1:5672 guest:guest@h2:5673",
            "/",
        );
        check(
            "rabbit://h1,,h2,",
            "guest:guest@h1:5672 guest:guest@h2:5672",
            "/",
        );
    }

    #[test]
    fn logins_are_decoded_and_split_where_upstream_splits_them() {
        check("rabbit://a%40b:p%2Fq%3A+@h", "a@b:p/q:+@h:5672", "/");
        check("rabbit://a@b:c:d@h", "a@b:c:d@h:5672", "/");
    }

    #[test]
    fn virtual_hosts_are_decoded_once() {
        check("rabbit://h/a%2Fb", "guest:guest@h:5672", "a/b");
        check("rabbit://h/a/b", "guest:guest@h:5672", "a/b");
        check("rabbit://h/%2Fvh", "guest:guest@h:5672", "/vh");
        check("rabbit://h/%253F", "guest:guest@h:5672", "%3F");
    }

    #[test]
    fn options_are_decoded_and_repeated_ones_joined() {
        let url = "rabbit://h/v?ssl=1&x=a%20b+c&&x=d#fragment".parse();
        let Ok(TransportUrl::Rabbit(url)) = url else {
            panic!("{url:?}");
        };
        let expected = [("ssl", "1"), ("x", "a b c,d")];
        assert_eq!(
            url.options,
            expected.map(|(name, text)| (name.into(), text.into()))
        );
        assert_eq!(url.virtual_host, "v");
    }

    #[test]
    fn ipv6_addresses_stand_in_brackets() {
        check(
            "rabbit://[::1]:5673,[fe80::1]",
            "guest:guest@[::1]:5673 guest:guest@[fe80::1]:5672",
            "/",
        );
        check_refused("rabbit://[::1", InvalidUrl::Bracket);
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        check_refused("localhost", InvalidUrl::NoScheme);
        check_refused("u:p@h1,rabbit://h2", InvalidUrl::NoScheme);
        check_refused("kombu://h", InvalidUrl::UnknownDriver("kombu".into()));
        check_refused("rabbit://h:", InvalidUrl::Port);
        check_refused("rabbit://h:99999", InvalidUrl::Port);
        check_refused("rabbit://h?ssl", InvalidUrl::Option);
        check_refused("rabbit://h?=1", InvalidUrl::Option);
        for url in ["u:123?hidden=x@h", "u:123/hidden@h/", "u:123#hidden@h"] {
            let url = format!("rabbit://{url}");
            check_refused(&url, InvalidUrl::LoginAfterHosts);
        }
        check("rabbit://u:p@h/v@x", "u:p@h:5672", "v@x");
        check_refused("memory://h", InvalidUrl::MemoryWithHost);
        check_refused("rabbit://%ff@h", InvalidUrl::NotUtf8);
    }

    #[test]
    fn no_form_of_printing_shows_a_password() {
        let url: TransportUrl = "rabbit://user:hidden@h/v".parse().expect("a URL");
        assert_eq!(url.to_string(), "rabbit://h:5672/v");
        assert!(!format!("{url:?}").contains("hidden"));
        for url in [
            "u:hid/den@h",
            "u:hid?den@h",
            "u:hid#den@h",
            "u:hid,den@h",
            "u:hid:den",
        ] {
            let url = format!("rabbit://{url}");
            if let Err(error) = url.parse::<TransportUrl>() {
                let text = format!("{error} {error:?}");
                assert!(!text.contains("hid") && !text.contains("den@"), "{text}");
            }
        }
    }

    /// What users may be called and passwords may be; 240 bytes at most.
    fn any_text() -> impl Strategy<Value = String> {
        vec(any::<char>(), 0..60).prop_map(String::from_iter)
    }

    fn any_host() -> impl Strategy<Value = Host> {
        let name = prop_oneof![
            "[a-z0-9]{1,10}(\\.[a-z0-9-]{1,10}){0,3}",
            any::<std::net::Ipv6Addr>().prop_map(|address| address.to_string()),
        ];
        let host = (name, any::<u16>(), any_text(), any_text());
        host.prop_map(|(name, port, user, password)| Host {
            name,
            port,
            user,
            password,
        })
    }

    fn encoded(text: &str) -> String {
        utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
    }

    /// A login in which everything that separates parts of a URL may stand as it is, and letters
    /// that no message has.
    fn any_secret() -> impl Strategy<Value = String> {
        let pieces = [
            "zqx", "ZQX", "ψωξ", "%CF%88", "zqx=zqx", "@", ":", "/", "//", "://", "?", "#", ",",
            "[", "]", "%", "%zq", "%ff", "&", "=", "+", "1", " ", "\n",
        ];
        vec(proptest::sample::select(pieces.to_vec()), 1..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn what_is_percent_encoded_is_read_back(
            hosts in vec(any_host(), 1..5),
            virtual_host in any_text(),
        ) {
            let list: Vec<_> = hosts
                .iter()
                .map(|host| {
                    let (user, password) = (encoded(&host.user), encoded(&host.password));
                    format!("{user}:{password}@{}", host.address())
                })
                .collect();
            let url = format!("rabbit://{}/{}", list.join(","), encoded(&virtual_host));
            let expected = RabbitUrl {
                hosts,
                virtual_host: match &*virtual_host {
                    "" => "/".to_owned(),
                    _ => virtual_host,
                },
                options: Vec::new(),
            };
            prop_assert_eq!(url.parse::<TransportUrl>(), Ok(TransportUrl::Rabbit(expected)));
        }

        #[test]
        fn no_text_is_too_odd_to_be_read_or_refused(
            start in prop_oneof![Just(""), Just("rabbit://"), Just("memory://")],
            rest in prop_oneof![any_text(), any_secret()],
        ) {
            if let Ok(TransportUrl::Rabbit(url)) = format!("{start}{rest}").parse() {
                prop_assert!(!url.hosts.is_empty());
                prop_assert!(!url.virtual_host.is_empty());
            }
        }

        #[test]
        fn no_error_repeats_anything_of_a_login(
            start in proptest::sample::select(vec!["rabbit://", "amqp://", "memory://", "rabbit:", "rabbit:/"]),
            user in any_secret(),
            password in any_secret(),
            end in proptest::sample::select(vec!["h", "h:5672/v", "h1,rabbit://a:b@h2/v", "h?ssl=1", "[::1"]),
        ) {
            let url = format!("{start}{user}:{password}@{end}");
            if let Err(error) = url.parse::<TransportUrl>() {
                let text = format!("{error} {error:?}").to_lowercase();
                for piece in ["zq", "ψ", "ω", "ξ", "cf%", "%cf", "%zq"] {
                    prop_assert!(!text.contains(piece), "{}: {}", url, text);
                }
            }
        }
    }
}
