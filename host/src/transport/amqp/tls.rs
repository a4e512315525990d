//! TLS as oslo's `ssl_*` options ask for it (impl_rabbit.py: `_fetch_ssl_params`): what is trusted,
//! whether the broker's name is checked, and what we show of ourselves.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error as RustlsError,
    RootCertStore, SignatureScheme, SupportedProtocolVersion,
};

use super::options::Config;

const NO_CERTIFICATE: &str = "it has no certificate";

/// Why there is no TLS to connect with: about our own files.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    #[error("cannot read `{option}` {path}: {reason}")]
    File {
        option: &'static str,
        path: String,
        reason: String,
    },
    #[error("the system has no certificates of authorities to trust: set `ssl_ca_file`")]
    NoAuthorities,
    #[error("`ssl_cert_file` and `ssl_key_file` cannot be used: {0}")]
    Identity(RustlsError),
    #[error("TLS cannot be set up: {0}")]
    SetUp(String),
}

/// Reads the files, which may have been renewed since the last connection.
pub(super) fn client_config(options: &Config) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let has_ca_file = !options.ssl_ca_file.as_os_str().is_empty();
    let trusted = match has_ca_file {
        true => read_authorities(&options.ssl_ca_file)?,
        false => system_authorities()?,
    };
    let verifier = WebPkiServerVerifier::builder_with_provider(trusted, Arc::clone(&provider))
        .build()
        .map_err(|error| TlsError::SetUp(error.to_string()))?;
    let verifier: Arc<dyn ServerCertVerifier> = match has_ca_file {
        true => verifier,
        false => Arc::new(ChainOnly(verifier)),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions(&options.ssl_version))
        .map_err(|error| TlsError::SetUp(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match options.ssl_cert_file.as_os_str().is_empty() {
        true => builder.with_no_client_auth(),
        false => {
            let chain = read_certificates("ssl_cert_file", &options.ssl_cert_file)?;
            let path = &options.ssl_key_file;
            let key = PrivateKeyDer::from_pem_file(path)
                .map_err(|error| unreadable("ssl_key_file", path, &error))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(TlsError::Identity)?
        }
    };
    config.enable_sni = has_ca_file;
    Ok(config)
}

fn versions(ssl_version: &str) -> &'static [&'static SupportedProtocolVersion] {
    static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
    let [newer, older] = [&BOTH[..1], &BOTH[1..]];
    match ssl_version.to_ascii_lowercase().as_str() {
        "tlsv1_2" => older,
        "tlsv1_3" => newer,
        _ => &BOTH,
    }
}

fn read_authorities(path: &Path) -> Result<Arc<RootCertStore>, TlsError> {
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(read_certificates("ssl_ca_file", path)?);
    match added {
        0 => Err(unreadable("ssl_ca_file", path, &NO_CERTIFICATE)),
        _ => Ok(Arc::new(store)),
    }
}

fn system_authorities() -> Result<Arc<RootCertStore>, TlsError> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    match store.is_empty() {
        true => Err(TlsError::NoAuthorities),
        false => Ok(Arc::new(store)),
    }
}

fn read_certificates(
    option: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let certificates: Vec<_> = read.map_err(|error| unreadable(option, path, &error))?;
    match certificates.is_empty() {
        true => Err(unreadable(option, path, &NO_CERTIFICATE)),
        false => Ok(certificates),
    }
}

fn unreadable(option: &'static str, path: &Path, reason: &dyn ToString) -> TlsError {
    TlsError::File {
        option,
        path: path.display().to_string(),
        reason: reason.to_string(),
    }
}

/// What a failed handshake means and what is to be done, where that can be said.
pub(super) fn explain(error: &RustlsError) -> Option<&'static str> {
    match error {
        RustlsError::InvalidCertificate(problem) => Some(match problem {
            CertificateError::UnknownIssuer => {
                "its certificate comes from no authority that is trusted here: check `ssl_ca_file`"
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet: check both clocks"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another name: write the host in `transport_url` as the \
                 certificate has it"
            }
            _ => "its certificate is not valid",
        }),
        RustlsError::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::HandshakeFailure
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA,
        ) => Some(
            "it does not take us without a client certificate that it trusts: check \
             `ssl_cert_file` and `ssl_key_file`",
        ),
        RustlsError::InvalidMessage(_) => Some("it does not speak TLS on this port"),
        _ => None,
    }
}

/// Checks the chain and not the name, as upstream does without a CA file.
#[derive(Debug)]
struct ChainOnly(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for ChainOnly {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, RustlsError> {
        let checked =
            self.0
                .verify_server_cert(certificate, intermediates, name, ocsp_response, now);
        match checked {
            // The name is what is looked at last.
            Err(RustlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            checked => checked,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        self.0
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        self.0
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
