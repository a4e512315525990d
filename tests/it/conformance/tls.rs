//! C4 and C10 with TLS, and what belongs to them: which broker's certificate is trusted, what we
//! show of ourselves, and what is said where the two do not fit.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, date_time_ymd,
};
use serde_json::json;

use super::connecting::{
    answers, check_connections, check_refused, default_port, lines_with, serving,
};
use crate::support::host::Setup;
use crate::support::rabbit::Rabbit;
use crate::support::{eventually, free_port, unique};

/// Every broker here has a certificate for these names, and so for no other address.
const NAMES: [&str; 2] = ["127.0.0.1", "localhost"];
/// An address of the same machine.
const OTHER_NAME: &str = "127.0.0.2";

/// Somebody who signs certificates.
struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self {
            certificate: params.self_signed(&key).expect("a certificate"),
            issuer: Issuer::new(params, key),
        }
    }

    /// Writes its certificate to `FOLDER/NAME-authority.pem`.
    fn write(&self, folder: &Path, name: &str) -> PathBuf {
        write(
            folder,
            &format!("{name}-authority.pem"),
            &self.certificate.pem(),
        )
    }

    /// Writes a new certificate to `FOLDER/NAME.pem` and its key to `FOLDER/NAME-key.pem`.
    fn issue(&self, folder: &Path, name: &str, params: &CertificateParams) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (
            write(folder, &format!("{name}.pem"), &certificate.pem()),
            write(folder, &format!("{name}-key.pem"), &key.serialize_pem()),
        )
    }
}

fn params(common_name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().copied().map(str::to_owned).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params
}

fn of_server() -> CertificateParams {
    let mut params = params("broker", &NAMES);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

fn of_client() -> CertificateParams {
    let mut params = params("agent", &[]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a file");
    path
}

/// A node that takes connections with TLS as well, on another port.
struct TlsNode {
    rabbit: Rabbit,
    port: u16,
    authority: Authority,
    folder: PathBuf,
}

impl TlsNode {
    /// `more` are further lines for rabbitmq.conf.
    fn start(port: u16, certificate: &CertificateParams, more: &str) -> Self {
        let authority = Authority::new("trusted");
        let mut files = PathBuf::new();
        let rabbit = Rabbit::start_with(free_port(), |folder| {
            files = folder.to_owned();
            let trusted = authority.write(folder, "trusted");
            let (chain, key) = authority.issue(folder, "broker", certificate);
            format!(
                "listeners.ssl.1 = 127.0.0.1:{port}\n\
                 listeners.ssl.2 = {OTHER_NAME}:{port}\n\
                 ssl_options.cacertfile = {}\n\
                 ssl_options.certfile = {}\n\
                 ssl_options.keyfile = {}\n\
                 {more}\n",
                trusted.display(),
                chain.display(),
                key.display()
            )
        });
        eventually("the node takes connections with TLS", || {
            TcpStream::connect((OTHER_NAME, port)).ok()
        });
        Self {
            rabbit,
            port,
            authority,
            folder: files,
        }
    }

    /// The one that most of these tests share.
    fn shared() -> &'static Self {
        static SHARED: OnceLock<TlsNode> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(free_port(), &of_server(), ""))
    }

    fn authority_file(&self) -> PathBuf {
        self.folder.join("trusted-authority.pem")
    }

    /// A URL of its TLS port, under this name, with an option.
    fn url(&self, name: &str, option: &str) -> String {
        format!("rabbit://guest:guest@{name}:{}/?ssl=1&{option}", self.port)
    }

    /// A URL with which the node is trusted, if it is what it should be.
    fn trusting_url(&self, name: &str) -> String {
        self.url(
            name,
            &format!("ssl_ca_file={}", self.authority_file().display()),
        )
    }

    /// That a host with this set-up connects and is of use.
    #[track_caller]
    fn accepts(&self, setup: impl FnOnce(&str) -> Setup, expected: serde_json::Value) {
        let topic = unique("tls");
        let host = setup(&topic).start();
        answers(&host, &topic);
        check_connections(&self.rabbit, [(&host, expected)]);
    }
}

/// Another authority's certificate, which none of the brokers has.
fn foreign_authority(folder: &Path) -> PathBuf {
    Authority::new("foreign").write(folder, "foreign")
}

#[test]
fn a_broker_with_a_trusted_certificate_is_used_under_each_name_that_it_has() {
    let node = TlsNode::shared();
    // A name that is no address is looked up, and is what the certificate must have. Names have no
    // case, and in this one `localhost` is a name like any other.
    for name in ["127.0.0.1", "localhost", "LocalHost"] {
        node.accepts(
            |topic| serving(&node.trusting_url(name), topic),
            json!({"ssl": true, "ssl_protocol": "tlsv1.3", "user": "guest", "peer_cert_subject": ""}),
        );
    }
    // The same by the file, where a path is relative to it.
    let pem = std::fs::read(node.authority_file()).expect("a file");
    let url = format!("rabbit://127.0.0.1:{}/", node.port);
    let table = "[rabbit]\nssl = true\nssl_ca_file = \"ca.pem\"";
    node.accepts(
        |topic| serving(&url, topic).file("ca.pem", &pem).tables(table),
        json!({"ssl": true}),
    );
}

#[test]
fn an_older_tls_can_be_asked_for() {
    let node = TlsNode::shared();
    for (version, protocol) in [
        ("TLSv1_2", "tlsv1.2"),
        ("TLSv1_3", "tlsv1.3"),
        ("SSLv23", "tlsv1.3"),
    ] {
        let url = format!("{}&ssl_version={version}", node.trusting_url("127.0.0.1"));
        node.accepts(
            |topic| serving(&url, topic),
            json!({"ssl_protocol": protocol}),
        );
    }
}

#[test]
fn c4_the_port_is_5672_with_tls_too() {
    let _turn = default_port();
    let node = TlsNode::start(5672, &of_server(), "");
    let authority = node.authority_file();
    let url = format!(
        "rabbit://127.0.0.1?ssl=1&ssl_ca_file={}",
        authority.display()
    );
    node.accepts(
        |topic| serving(&url, topic),
        json!({"ssl": true, "port": 5672, "user": "guest"}),
    );
}

#[test]
fn c10_with_an_authority_file_a_certificate_for_another_name_is_refused() {
    let node = TlsNode::shared();
    let expected = "its certificate is for another name: write the host in `transport_url` as the \
                    certificate has it";
    check_refused(serving(&node.trusting_url(OTHER_NAME), "unused"), expected);
    // What counts is the host in use, also where there are others.
    let hosts = format!("127.0.0.1:{},{OTHER_NAME}", free_port());
    check_refused(serving(&node.trusting_url(&hosts), "unused"), expected);
}

#[test]
fn c10_an_unknown_issuer_is_refused_with_an_authority_file_and_without() {
    let node = TlsNode::shared();
    let folder = tempfile::tempdir().expect("a folder");
    let foreign = foreign_authority(folder.path()).display().to_string();
    let expected =
        "its certificate comes from no authority that is trusted here: check `ssl_ca_file`";
    let other_file = node.url("127.0.0.1", &format!("ssl_ca_file={foreign}"));
    check_refused(serving(&other_file, "unused"), expected);
    // Then the system's are trusted, and the file of those can be chosen.
    let system = |file: &str| {
        let setup = serving(&node.url("127.0.0.1", ""), "unused");
        setup.variable("SSL_CERT_FILE", file)
    };
    check_refused(system(&foreign), expected);
}

#[test]
fn c10_without_an_authority_file_the_name_is_not_checked() {
    let node = TlsNode::shared();
    let system = node.authority_file().display().to_string();
    for (name, address) in [("127.0.0.1", [127, 0, 0, 1]), (OTHER_NAME, [127, 0, 0, 2])] {
        node.accepts(
            |topic| serving(&node.url(name, ""), topic).variable("SSL_CERT_FILE", &system),
            json!({"ssl": true, "host": address}),
        );
    }
}

#[test]
fn an_expired_certificate_is_refused() {
    let mut expired = of_server();
    expired.not_after = date_time_ymd(2001, 1, 1);
    let node = TlsNode::start(free_port(), &expired, "");
    let expected = "its certificate has expired";
    check_refused(serving(&node.trusting_url("127.0.0.1"), "unused"), expected);
    let system = node.authority_file().display().to_string();
    let setup = serving(&node.url("127.0.0.1", ""), "unused");
    check_refused(setup.variable("SSL_CERT_FILE", &system), expected);
}

#[test]
fn a_client_certificate_is_shown_to_a_broker_that_wants_one() {
    let strict = "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true";
    let node = TlsNode::start(free_port(), &of_server(), strict);
    let folder = &node.folder;
    let option = |(chain, key): (PathBuf, PathBuf)| {
        let (chain, key) = (chain.display(), key.display());
        format!("&ssl_cert_file={chain}&ssl_key_file={key}")
    };
    let own = option(node.authority.issue(folder, "agent", &of_client()));
    let foreign = Authority::new("foreign").issue(folder, "stranger", &of_client());
    let foreign = option(foreign);
    // The two versions say no at different times.
    for version in ["TLSv1_2", "TLSv1_3"] {
        let url = |option: &str| {
            format!(
                "{}&ssl_version={version}{option}",
                node.trusting_url("127.0.0.1")
            )
        };
        let expected = "it does not take us without a client certificate that it trusts: check \
                        `ssl_cert_file` and `ssl_key_file`";
        check_refused(serving(&url(""), "unused"), expected);
        check_refused(serving(&url(&foreign), "unused"), expected);
        node.accepts(
            |topic| serving(&url(&own), topic),
            json!({"ssl": true, "peer_cert_subject": "CN=agent"}),
        );
    }
}

#[test]
fn tls_and_plain_tcp_that_meet_are_told_in_one_clear_line() {
    let node = TlsNode::shared();
    let plain_port = node.rabbit.port();
    let authority = node.authority_file();
    let to_plain = format!(
        "rabbit://127.0.0.1:{plain_port}/?ssl=1&ssl_ca_file={}",
        authority.display()
    );
    check_refused(
        serving(&to_plain, "unused"),
        "it does not speak TLS on this port",
    );
    let to_tls = format!("rabbit://127.0.0.1:{}/", node.port);
    check_refused(
        serving(&to_tls, "unused"),
        "it wants TLS on this port: set `ssl`",
    );
}

#[test]
fn files_that_cannot_be_used_are_named_with_their_option() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let authority = Authority::new("trusted");
    let trusted = authority.write(folder, "trusted");
    let (chain, key) = authority.issue(folder, "agent", &of_client());
    let (_, other_key) = authority.issue(folder, "other", &of_client());
    let empty = write(folder, "empty.pem", "");
    let broken = write(
        folder,
        "broken.pem",
        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
    );
    let missing = folder.join("missing.pem");
    let check = |[authority, chain, key]: [&Path; 3], expected: &[&str]| {
        let url = format!(
            "rabbit://127.0.0.1:{}/?ssl=1&ssl_ca_file={}&ssl_cert_file={}&ssl_key_file={}",
            free_port(),
            authority.display(),
            chain.display(),
            key.display()
        );
        let mut host = serving(&url, "unused").launch();
        assert_eq!(host.wait().code(), Some(1));
        let log = host.log();
        assert_eq!(lines_with(&log, "ssl_").len(), 1, "{log}");
        let line = log.lines().last().expect("a line");
        for text in expected {
            assert!(line.contains(text), "no `{text}` in {line}");
        }
    };
    let file = |option: &str, path: &Path| format!("cannot read `{option}` {}: ", path.display());
    for unusable in [&missing, &empty, &broken] {
        check([unusable, &chain, &key], &[&file("ssl_ca_file", unusable)]);
        check(
            [&trusted, unusable, &key],
            &[&file("ssl_cert_file", unusable)],
        );
        check(
            [&trusted, &chain, unusable],
            &[&file("ssl_key_file", unusable)],
        );
    }
    check(
        [&trusted, &chain, &other_key],
        &["`ssl_cert_file` and `ssl_key_file` cannot be used"],
    );

    // A machine may have no authorities of its own.
    let setup = serving(
        &format!("rabbit://127.0.0.1:{}/?ssl=1", free_port()),
        "unused",
    );
    let setup = setup.variable("SSL_CERT_FILE", &missing.display().to_string());
    check_refused(
        setup.variable("SSL_CERT_DIR", &missing.display().to_string()),
        "set `ssl_ca_file`",
    );
}
