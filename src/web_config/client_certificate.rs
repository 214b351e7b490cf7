//! Verification of clients' certificates, by the rules of Go's crypto/tls and exporter-toolkit.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use thiserror::Error as ThisError;
use x509_cert::der::{Decode, oid::AssociatedOid};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{ExtendedKeyUsage, SubjectAltName};

/// id-kp-clientAuth and anyExtendedKeyUsage of RFC 5280, 4.2.1.12.
const CLIENT_USAGES: [&str; 2] = ["1.3.6.1.5.5.7.3.2", "2.5.29.37.0"];

/// The demand that a client's certificate must meet.
pub(crate) enum Demand {
    /// Any certificate: the client only proves that it has the private key.
    Any,
    /// A certificate that one of these authorities has signed, or the certificate of one of them.
    OfAuthority { roots: RootCertStore, authorities: Vec<CertificateDer<'static>> },
}

/// The verifier of clients' certificates.
#[derive(Debug)]
pub(crate) struct ClientCertificates {
    /// `None` if any certificate is accepted.
    chain: Option<Arc<dyn ClientCertVerifier>>,
    authorities: Vec<CertificateDer<'static>>,
    mandatory: bool,
    /// The list `client_allowed_sans`: a certificate must have one of these names. `None` allows any name.
    sans: Option<Vec<String>>,
    provider: Arc<CryptoProvider>,
}

/// The error for a certificate that has none of the allowed names.
#[derive(Debug, ThisError)]
#[error("no name of the client's certificate is in client_allowed_sans")]
struct NoAllowedName;

impl ClientCertificates {
    /// # Errors
    /// Fails if the authorities' certificates cannot be used.
    pub(crate) fn new(
        demand: Demand,
        mandatory: bool,
        sans: Option<Vec<String>>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<ClientCertificates, String> {
        let (chain, authorities) = match demand {
            Demand::Any => (None, Vec::new()),
            Demand::OfAuthority { roots, authorities } => {
                let builder =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
                let chain = builder.build().map_err(|error| format!("client CA: {error}"))?;
                (Some(chain), authorities)
            }
        };
        Ok(ClientCertificates { chain, authorities, mandatory, sans, provider: Arc::clone(provider) })
    }

    fn check_names(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let Some(allowed) = &self.sans else { return Ok(()) };
        let names = alternative_names(certificate).map_err(|_| CertificateError::BadEncoding)?;
        if names.iter().any(|name| allowed.contains(name)) {
            return Ok(());
        }
        tracing::debug!(found = ?names, "no name of the client's certificate is in client_allowed_sans");
        Err(CertificateError::Other(OtherError(Arc::new(NoAllowedName))).into())
    }
}

impl ClientCertVerifier for ClientCertificates {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.as_ref().map_or(&[], |chain| chain.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(chain) = &self.chain
            && let Err(error) = chain.verify_client_cert(certificate, intermediates, now)
        {
            // webpki refuses a client's certificate that could be an authority's. Go accepts such a
            // certificate if it is itself listed, which is usual for one of `openssl req -x509`.
            if !self.authorities.iter().any(|authority| authority.as_ref() == certificate.as_ref()) {
                return Err(error);
            }
            check_listed(certificate, now)?;
        }
        self.check_names(certificate)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Checks a certificate that is itself among the authorities: its period of validity, and the usages that
/// it permits.
fn check_listed(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let parsed =
        x509_cert::Certificate::from_der(certificate.as_ref()).map_err(|_| CertificateError::BadEncoding)?;
    let validity = &parsed.tbs_certificate.validity;
    if now.as_secs() < validity.not_before.to_unix_duration().as_secs() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now.as_secs() > validity.not_after.to_unix_duration().as_secs() {
        return Err(CertificateError::Expired.into());
    }
    let usages: Option<ExtendedKeyUsage> =
        extension(&parsed, ExtendedKeyUsage::OID).map_err(|_| CertificateError::BadEncoding)?;
    let for_clients = |usages: ExtendedKeyUsage| {
        usages.0.iter().any(|usage| CLIENT_USAGES.contains(&usage.to_string().as_str()))
    };
    if usages.is_none_or(for_clients) { Ok(()) } else { Err(CertificateError::InvalidPurpose.into()) }
}

/// Returns the DNS names, e-mail and IP addresses and URIs of a certificate, as Go prints them.
fn alternative_names(certificate: &CertificateDer<'_>) -> x509_cert::der::Result<Vec<String>> {
    let parsed = x509_cert::Certificate::from_der(certificate.as_ref())?;
    let names: Option<SubjectAltName> = extension(&parsed, SubjectAltName::OID)?;
    let names = names.map(|names| names.0).unwrap_or_default();
    Ok(names.iter().filter_map(go_text).collect())
}

fn extension<'a, T: Decode<'a>>(
    certificate: &'a x509_cert::Certificate,
    oid: x509_cert::der::oid::ObjectIdentifier,
) -> x509_cert::der::Result<Option<T>> {
    let extensions = certificate.tbs_certificate.extensions.as_deref().unwrap_or_default();
    let found = extensions.iter().find(|extension| extension.extn_id == oid);
    found.map(|extension| T::from_der(extension.extn_value.as_bytes())).transpose()
}

fn go_text(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(text) | GeneralName::Rfc822Name(text) => Some(text.to_string()),
        GeneralName::UniformResourceIdentifier(text) => Some(text.to_string()),
        GeneralName::IpAddress(bytes) => match *bytes.as_bytes() {
            [a, b, c, d] => Some(Ipv4Addr::new(a, b, c, d).to_string()),
            ref bytes => {
                let octets: [u8; 16] = bytes.try_into().ok()?;
                Some(IpAddr::V6(Ipv6Addr::from(octets)).to_canonical().to_string())
            }
        },
        _ => None,
    }
}

/// Returns the time at which the certificate expires, in seconds since 1970; `None` if the certificate
/// cannot be parsed.
pub(crate) fn expiry(certificate: &CertificateDer<'_>) -> Option<u64> {
    let parsed = x509_cert::Certificate::from_der(certificate.as_ref()).ok()?;
    Some(parsed.tbs_certificate.validity.not_after.to_unix_duration().as_secs())
}
