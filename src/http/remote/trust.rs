//! Whose certificate is believed.

use super::{RemoteConfigError, RemoteOptions, read};
use crate::http::anybody::Anybody;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;

/// What TLS needs to know.
pub(super) fn config(options: &RemoteOptions) -> Result<ClientConfig, RemoteConfigError> {
    let provider = Arc::new(ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let config = match (options.skip_verify, &options.ca_file) {
        (true, _) => config.dangerous().with_custom_certificate_verifier(Arc::new(Anybody::new(provider))),
        (false, Some(path)) => config.with_root_certificates(of_file(path)?),
        (false, None) => config.with_root_certificates(of_system()?),
    };
    Ok(config.with_no_client_auth())
}

fn of_file(path: &Path) -> Result<RootCertStore, RemoteConfigError> {
    let wrong = |reason: String| RemoteConfigError::Certificates { path: path.to_owned(), reason };
    let text = read(path)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong("no certificate in it".into()));
    }
    Ok(roots)
}

fn of_system() -> Result<RootCertStore, RemoteConfigError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // A system has some hundred, and old ones that cannot be read among them.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let reasons: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
        return Err(RemoteConfigError::NoSystemCertificates(reasons.join(", ")));
    }
    Ok(roots)
}
