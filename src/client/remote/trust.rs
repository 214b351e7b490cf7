//! Verification of the exporter's certificate.

use super::{RemoteConfigError, RemoteOptions, read_file};
use crate::client::any_certificate::AcceptAnyCertificate;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
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
        (true, _) => {
            config.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAnyCertificate::new(provider)))
        }
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

/// A verifier that accepts certificates which an authority of the file has signed, and those of the file
/// themselves: `openssl req -x509` marks its certificate as an authority's, and webpki refuses such a
/// certificate as a server's.
#[derive(Debug)]
struct Listed {
    signed: Arc<WebPkiServerVerifier>,
    listed: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Listed {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.signed.verify_server_cert(own, between, name, ocsp, now) {
            // Expired and revoked certificates have errors of their own.
            Err(Error::InvalidCertificate(CertificateError::Other(_))) if self.listed.contains(own) => {
                verify_server_name(&ParsedCertificate::try_from(own)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            answer => answer,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signed.supported_verify_schemes()
    }
}

fn verifier_of_file(path: &Path, provider: Arc<CryptoProvider>) -> Result<Listed, RemoteConfigError> {
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
    let signed = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    Ok(Listed { signed: signed.map_err(|error| wrong(error.to_string()))?, listed })
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
