//! Conversion of `tls_server_config` to the configuration of rustls.

use super::client_certificate::{ClientCertificates, Demand};
use super::yaml::{ClientAuth, TlsServerConfig, Version};
use rustls::crypto::ring::{self, cipher_suite as suite, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WantsServerCert;
use rustls::{ConfigBuilder, RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// A cipher suite by Go's name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct CipherSuite(SupportedCipherSuite);

/// A group for the key exchange by Go's name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Curve(&'static dyn SupportedKxGroup);

/// The cipher suites of TLS 1.2 and 1.3 that rustls has.
const SUITES: &[(&str, SupportedCipherSuite)] = &[
    ("TLS_AES_128_GCM_SHA256", suite::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", suite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", suite::TLS13_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// Cipher suites that exporter-toolkit accepts (some with an older Go) and rustls does not have.
const REFUSED_SUITES: &[(&str, &str)] = &[
    ("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", CBC),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", CBC),
    ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", CBC),
    ("TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", CBC),
    ("TLS_RSA_WITH_AES_128_CBC_SHA", RSA),
    ("TLS_RSA_WITH_AES_256_CBC_SHA", RSA),
    ("TLS_RSA_WITH_AES_128_GCM_SHA256", RSA),
    ("TLS_RSA_WITH_AES_256_GCM_SHA384", RSA),
];
const CBC: &str = "rustls has no CBC suites, which padding oracles have broken again and again";
const RSA: &str = "rustls has no RSA key exchange, which has no forward secrecy";

/// The cipher suites of which HTTP/2 over TLS 1.2 demands one (RFC 9113, 9.2.2); the second is for keys on
/// elliptic curves.
const HTTP2_SUITES: [SupportedCipherSuite; 2] =
    [suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256];

impl FromStr for CipherSuite {
    type Err = String;

    fn from_str(name: &str) -> Result<CipherSuite, String> {
        if let Some((_, suite)) = SUITES.iter().find(|(known, _)| *known == name) {
            return Ok(CipherSuite(*suite));
        }
        Err(match REFUSED_SUITES.iter().find(|(known, _)| *known == name) {
            Some((_, reason)) => format!("{name} cannot be served: {reason}"),
            None => format!("unknown cipher: {name}"),
        })
    }
}

impl FromStr for Curve {
    type Err = String;

    fn from_str(name: &str) -> Result<Curve, String> {
        match name {
            "X25519" => Ok(Curve(kx_group::X25519)),
            "CurveP256" => Ok(Curve(kx_group::SECP256R1)),
            "CurveP384" => Ok(Curve(kx_group::SECP384R1)),
            "CurveP521" => {
                Err("CurveP521 cannot be served: rustls has no key exchange with it; choose X25519, CurveP256 or CurveP384".into())
            }
            _ => Err(format!("unknown curve: {name}")),
        }
    }
}

impl TlsServerConfig {
    /// Returns true if TLS is configured: the same keys decide it as in exporter-toolkit.
    pub(crate) fn is_enabled(&self) -> bool {
        let texts =
            [&self.cert, &self.cert_file, &self.key.0, &self.key_file, &self.client_ca, &self.client_ca_file];
        texts.iter().any(|text| !text.is_empty()) || self.client_auth_type.0.is_some()
    }

    /// Returns the files that this section names; relative names start at `folder`, the configuration's own.
    pub(crate) fn files(&self, folder: &Path) -> Vec<PathBuf> {
        let named = [&self.cert_file, &self.key_file, &self.client_ca_file];
        named.into_iter().filter(|name| !name.is_empty()).map(|name| folder.join(name)).collect()
    }

    /// Returns the configuration of connections, with the certificates that the files contain now, and the
    /// server's own certificate.
    pub(crate) fn build(
        &self,
        folder: &Path,
        http2: bool,
    ) -> Result<(ServerConfig, CertificateDer<'static>), String> {
        let versions = self.versions()?;
        let provider = Arc::new(self.provider());
        self.check_http2(&provider, http2)?;
        if self.cert.is_empty() && self.cert_file.is_empty() {
            return Err("missing one of cert or cert_file".into());
        }
        if self.key.0.is_empty() && self.key_file.is_empty() {
            return Err("missing one of key or key_file".into());
        }
        let pem = read_pem(folder, "cert_file", &self.cert_file, &self.cert)?;
        let chain = certificates(&pem)
            .map_err(|reason| format!("{}: {reason}", source_name(&self.cert_file, "cert")))?;
        let own = chain.first().cloned().ok_or("no certificate")?;
        let pem = read_pem(folder, "key_file", &self.key_file, &self.key.0)?;
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
            format!("{}: no private key in PEM: {error}", source_name(&self.key_file, "key"))
        })?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .map_err(|error| format!("cipher_suites, min_version and max_version: {error}"))?;
        let mut config = self
            .with_client_auth(folder, builder, &provider)?
            .with_single_cert(chain, key)
            .map_err(|error| {
                format!(
                    "certificate and key: {error} (keys may be RSA of 2048 bits and more, ECDSA on P-256 or P-384, or Ed25519)"
                )
            })?;
        config.ignore_client_order = self.prefer_server_cipher_suites.is_none_or(|switch| switch.0);
        config.alpn_protocols =
            if http2 { vec![b"h2".to_vec(), b"http/1.1".to_vec()] } else { vec![b"http/1.1".to_vec()] };
        Ok((config, own))
    }

    fn versions(&self) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
        let least = self.min_version.as_ref().map_or(Version::Tls12, |word| word.0);
        let most = self.max_version.as_ref().map_or(Version::Tls13, |word| word.0);
        if least > most {
            return Err("min_version is above max_version: no client could connect".into());
        }
        let known = [(Version::Tls13, &rustls::version::TLS13), (Version::Tls12, &rustls::version::TLS12)];
        let wanted = known.into_iter().filter(|(version, _)| (least..=most).contains(version));
        Ok(wanted.map(|(_, version)| version).collect())
    }

    /// Returns the allowed cipher suites and groups. As in Go, the suites of TLS 1.3 are always allowed.
    fn provider(&self) -> CryptoProvider {
        let mut provider = ring::default_provider();
        if !self.cipher_suites.is_empty() {
            let chosen = self.cipher_suites.iter().map(|word| word.0.0);
            let chosen = chosen.filter(|suite| suite.tls13().is_none());
            let of_tls13 = provider.cipher_suites.iter().copied().filter(|suite| suite.tls13().is_some());
            provider.cipher_suites = of_tls13.chain(chosen).collect();
        }
        if !self.curve_preferences.is_empty() {
            provider.kx_groups = self.curve_preferences.iter().map(|word| word.0.0).collect();
        }
        provider
    }

    fn check_http2(&self, provider: &CryptoProvider, http2: bool) -> Result<(), String> {
        let of_tls12 = self.min_version.as_ref().is_none_or(|version| version.0 == Version::Tls12);
        let usable = provider.cipher_suites.iter().any(|suite| HTTP2_SUITES.contains(suite));
        if http2 && of_tls12 && !usable {
            return Err(
                "cipher_suites is missing one that HTTP/2 requires: add TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 \
                        or TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, or set http2: false"
                    .into(),
            );
        }
        Ok(())
    }

    fn with_client_auth(
        &self,
        folder: &Path,
        builder: ConfigBuilder<ServerConfig, rustls::WantsVerifier>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<ConfigBuilder<ServerConfig, WantsServerCert>, String> {
        let pem = read_pem(folder, "client_ca_file", &self.client_ca_file, &self.client_ca)?;
        let Some(auth) = self.client_auth_type.0 else {
            return match (&self.client_allowed_sans, pem.is_empty()) {
                (_, false) => Err("client CA's have been configured without a Client Auth Policy".into()),
                (Some(_), true) => Err(SANS_NEED_A_CERTIFICATE.into()),
                (None, true) => Ok(builder.with_no_client_auth()),
            };
        };
        let mandatory = matches!(auth, ClientAuth::RequireAny | ClientAuth::RequireAndVerify);
        if self.client_allowed_sans.is_some() && !mandatory {
            return Err(SANS_NEED_A_CERTIFICATE.into());
        }
        let source = source_name(&self.client_ca_file, "client_ca");
        let authorities = if pem.is_empty() {
            Vec::new()
        } else {
            certificates(&pem).map_err(|e| format!("{source}: {e}"))?
        };
        let demand = match auth {
            ClientAuth::Request | ClientAuth::RequireAny => Demand::Any,
            ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify if authorities.is_empty() => {
                return Err(
                    "client_auth_type verifies certificates: it needs client_ca_file or client_ca".into()
                );
            }
            ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify => {
                let mut roots = RootCertStore::empty();
                for authority in &authorities {
                    roots.add(authority.clone()).map_err(|error| format!("{source}: {error}"))?;
                }
                Demand::OfAuthority { roots, authorities }
            }
        };
        let sans = self.client_allowed_sans.clone();
        let verifier = ClientCertificates::new(demand, mandatory, sans, provider)?;
        Ok(builder.with_client_cert_verifier(Arc::new(verifier)))
    }
}

const SANS_NEED_A_CERTIFICATE: &str = "client_allowed_sans requires client_auth_type to be one of RequireAnyClientCert or RequireAndVerifyClientCert";

/// Returns the file's content if a file is named, else the text; empty if there is neither.
fn read_pem(folder: &Path, key: &str, file: &str, text: &str) -> Result<Vec<u8>, String> {
    if file.is_empty() {
        return Ok(text.as_bytes().to_vec());
    }
    let path = folder.join(file);
    super::read_bounded(&path).map_err(|error| format!("{key} {}: {error}", path.display()))
}

fn source_name<'a>(file: &'a str, key: &'a str) -> &'a str {
    if file.is_empty() { key } else { file }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    if found.is_empty() { Err("no certificate in PEM".into()) } else { Ok(found) }
}
