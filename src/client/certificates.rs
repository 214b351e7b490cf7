//! Verification of a server's certificate: by the authorities of a file, or not at all.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{ParsedCertificate, VerifierBuilderError};
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::sync::Arc;

/// A verifier of servers' certificates. A server must have its certificate's private key in any case.
#[derive(Debug)]
pub(super) struct CertificateVerifier {
    provider: Arc<CryptoProvider>,
    /// `None` to accept any certificate.
    accepted: Option<AcceptedCertificates>,
}

/// The certificates that an authority of a file has signed, and those of the file themselves: `openssl req
/// -x509` marks its certificate as an authority's, and webpki refuses such a certificate as a server's.
#[derive(Debug)]
struct AcceptedCertificates {
    signed: Arc<WebPkiServerVerifier>,
    listed: Vec<CertificateDer<'static>>,
}

impl CertificateVerifier {
    /// Returns a verifier that accepts any certificate: for requests that contain no secret, or if the user
    /// demands it.
    pub(super) fn of_any(provider: Arc<CryptoProvider>) -> CertificateVerifier {
        CertificateVerifier { provider, accepted: None }
    }

    /// Returns a verifier that accepts these certificates, and those that they have signed.
    ///
    /// # Errors
    /// Fails if the authorities cannot be used.
    pub(super) fn of_listed(
        listed: Vec<CertificateDer<'static>>,
        roots: RootCertStore,
        provider: Arc<CryptoProvider>,
    ) -> Result<CertificateVerifier, VerifierBuilderError> {
        let signed =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
        Ok(CertificateVerifier { provider, accepted: Some(AcceptedCertificates { signed, listed }) })
    }
}

impl ServerCertVerifier for CertificateVerifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(AcceptedCertificates { signed, listed }) = &self.accepted else {
            return Ok(ServerCertVerified::assertion());
        };
        match signed.verify_server_cert(own, between, name, ocsp, now) {
            // Expired and revoked certificates have errors of their own.
            Err(Error::InvalidCertificate(CertificateError::Other(_))) if listed.contains(own) => {
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
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
