//! What a request has to pass before it is answered, by the web configuration of the moment; and how that
//! is read again.

use super::rate_limit::Bucket;
use super::users::{Passwords, Verdict};
use super::{Files, WebConfig, WebConfigError, expired};
use crate::server::body::{Body, text};
use base64::prelude::{BASE64_STANDARD, Engine};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// How often the files are looked at. A change counts when it has lasted from one look to the next: while a
/// file is being written, it may be empty, and an empty one asks for no password.
const LOOK: Duration = Duration::from_secs(1);

/// The web configuration in force.
pub struct Gate {
    config: RwLock<Arc<WebConfig>>,
    passwords: Passwords,
    bucket: Bucket,
}

impl Gate {
    /// With this configuration, until another is read.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn new(config: WebConfig) -> io::Result<Gate> {
        let passwords = Passwords::new().map_err(|_| io::Error::other("no random numbers"))?;
        warn_of_expiry(&config);
        Ok(Gate { config: RwLock::new(Arc::new(config)), passwords, bucket: Bucket::default() })
    }

    pub(crate) fn config(&self) -> Arc<WebConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The answer for whoever may not pass.
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

    /// Reads the configuration again whenever one of its files has changed; for ever.
    pub async fn follow(&self, path: &Path) {
        let mut known = self.config().files.clone();
        let mut before = known.clone();
        loop {
            tokio::time::sleep(LOOK).await;
            let now = known.again();
            let settled = std::mem::replace(&mut before, now.clone()) == now;
            if now == known || !settled {
                continue;
            }
            let file = path.to_owned();
            let Ok(read) = tokio::task::spawn_blocking(move || WebConfig::load(&file)).await else {
                continue;
            };
            known = match read {
                Ok(config) => self.take_over(config),
                Err(error) => refuse(error),
            };
            before = known.clone();
        }
    }

    /// Whether there is TLS is settled at the start: a file that has lost it is more likely broken than
    /// meant.
    fn take_over(&self, config: WebConfig) -> Files {
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

fn refuse(error: WebConfigError) -> Files {
    tracing::warn!(reason = %error, "web configuration refused, the one before stays in force");
    error.files
}

fn warn_of_expiry(config: &WebConfig) {
    if config.certificate.as_ref().is_some_and(|certificate| expired(certificate)) {
        tracing::warn!("the server's certificate has expired: clients will refuse it");
    }
}

/// User and password of RFC 7617.
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
