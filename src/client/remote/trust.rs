//! Verification of the exporter's certificate.

use super::{RemoteConfigError, RemoteOptions, read_file};
use crate::client::certificates::CertificateVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, ClientConfig, Error, RootCertStore};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Returns the TLS configuration of these options.
///
/// # Errors
/// Fails if the certificates of the file or of the system cannot be used.
pub(crate) fn tls_config(options: &RemoteOptions) -> Result<ClientConfig, RemoteConfigError> {
    let provider = Arc::new(ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let config = match (options.skip_verify, &options.ca_file) {
        (true, _) => config
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(CertificateVerifier::of_any(provider))),
        (false, Some(path)) => {
            config.dangerous().with_custom_certificate_verifier(Arc::new(verifier_of_file(path, provider)?))
        }
        (false, None) => config.with_root_certificates(system_roots()?),
    };
    Ok(config.with_no_client_auth())
}

/// Returns the remedy for an error of TLS, after a semicolon; empty if there is none.
pub(crate) fn advice(error: &io::Error) -> &'static str {
    match error.get_ref().and_then(|error| error.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "; name its authority with --url.ca-file"
        }
        Some(Error::InvalidCertificate(CertificateError::Other(_))) => {
            "; name the certificate with --url.ca-file"
        }
        Some(Error::InvalidMessage(_)) => "; perhaps it serves plain HTTP: use http://",
        _ => "",
    }
}

fn verifier_of_file(
    path: &Path,
    provider: Arc<CryptoProvider>,
) -> Result<CertificateVerifier, RemoteConfigError> {
    let wrong = |reason: String| RemoteConfigError::Certificates { path: path.to_owned(), reason };
    let text = read_file(path)?;
    let (mut roots, mut listed) = (RootCertStore::empty(), Vec::new());
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        listed.push(certificate.clone());
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong("the file contains no certificate".into()));
    }
    CertificateVerifier::of_listed(listed, roots, provider).map_err(|error| wrong(error.to_string()))
}

fn system_roots() -> Result<RootCertStore, RemoteConfigError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // A system has some hundred certificates; old ones among them cannot be parsed, and are left out.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let reasons: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        return Err(RemoteConfigError::NoSystemCertificates(reasons.join(", ")));
    }
    Ok(roots)
}
