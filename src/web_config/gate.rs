//! The checks of a request before it is answered, by the web configuration in force; and the reloading of
//! that configuration.

use super::rate_limit::Bucket;
use super::users::{Passwords, Verdict};
use super::{Files, WebConfig, WebConfigError, is_expired};
use crate::server::body::{Body, text};
use base64::prelude::{BASE64_STANDARD, Engine};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// The time between two checks of the files. A change counts once two checks in a row have found the same
/// files: a file that is being written may be empty, and an empty file demands no password.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The web configuration in force.
pub struct Gate {
    config: RwLock<Arc<WebConfig>>,
    passwords: Passwords,
    bucket: Bucket,
}

impl Gate {
    /// Returns a gate that applies this configuration, until another is read.
    ///
    /// # Errors
    /// Fails if the system's random number generator fails.
    pub fn new(config: WebConfig) -> io::Result<Gate> {
        let passwords =
            Passwords::new().map_err(|_| io::Error::other("the system's random number generator fails"))?;
        warn_of_expiry(&config);
        Ok(Gate { config: RwLock::new(Arc::new(config)), passwords, bucket: Bucket::default() })
    }

    pub(crate) fn config(&self) -> Arc<WebConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the answer to a request that may not pass; `None` if it may.
    pub(crate) async fn refusal(&self, config: &WebConfig, headers: &HeaderMap) -> Option<Response<Body>> {
        if let Some(rate) = config.rate
            && !self.bucket.take_token(rate, Instant::now())
        {
            return Some(text(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests\n"));
        }
        if config.users.is_empty() {
            return None;
        }
        let verdict = match headers.get(AUTHORIZATION).and_then(credentials) {
            Some((user, password)) => self.passwords.check(&config.users, &user, &password).await,
            None => Verdict::Wrong,
        };
        match verdict {
            Verdict::Right => None,
            Verdict::Wrong => {
                let mut refusal = text(StatusCode::UNAUTHORIZED, "Unauthorized\n");
                refusal.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
                Some(refusal)
            }
            Verdict::Busy => Some(text(
                StatusCode::SERVICE_UNAVAILABLE,
                "503: too many passwords are being checked, try again later\n",
            )),
        }
    }

    /// Reads the configuration again whenever one of its files has changed. It never returns.
    pub async fn follow(&self, path: &Path) {
        let mut known = self.config().files.clone();
        let mut before = known.clone();
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            let now = known.identified_again();
            let is_stable = std::mem::replace(&mut before, now.clone()) == now;
            if now == known || !is_stable {
                continue;
            }
            let file = path.to_owned();
            let Ok(read) = tokio::task::spawn_blocking(move || WebConfig::load(&file)).await else {
                continue;
            };
            known = match read {
                Ok(config) => self.apply_config(config),
                Err(error) => log_refusal(error),
            };
            before = known.clone();
        }
    }

    /// Puts a configuration into force, unless it would switch TLS on or off: a file that has lost its TLS
    /// settings is more likely broken than intended. Returns the files to watch.
    fn apply_config(&self, config: WebConfig) -> Files {
        let files = config.files.clone();
        if config.tls.is_some() != self.config().tls.is_some() {
            let reason = "tls_server_config cannot be added or taken away without a restart";
            tracing::warn!(reason, "web configuration refused, the one before stays in force");
            return files;
        }
        warn_of_expiry(&config);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        tracing::info!("web configuration read again");
        files
    }
}

fn log_refusal(error: WebConfigError) -> Files {
    tracing::warn!(reason = %error, "web configuration refused, the one before stays in force");
    error.files
}

fn warn_of_expiry(config: &WebConfig) {
    if config.certificate.as_ref().is_some_and(|certificate| is_expired(certificate)) {
        tracing::warn!("the server's certificate has expired: clients will refuse it");
    }
}

/// Parses the user and the password of basic authentication (RFC 7617).
fn credentials(value: &HeaderValue) -> Option<(String, Vec<u8>)> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let mut user = BASE64_STANDARD.decode(token.trim()).ok()?;
    let colon = user.iter().position(|byte| *byte == b':')?;
    let password = user.split_off(colon + 1);
    user.pop();
    Some((String::from_utf8(user).ok()?, password))
}
