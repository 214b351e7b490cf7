//! exporter-toolkit's web configuration: TLS, headers, passwords and a rate limit, from one file.

mod client_certificate;
mod files;
mod gate;
mod rate_limit;
mod tls;
mod users;
mod yaml;

use crate::model::text::one_line;
pub(crate) use files::Files;
pub use gate::Gate;
use hyper::header::{HeaderName, HeaderValue};
use rate_limit::Rate;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use thiserror::Error;
use users::Users;

/// No file that belongs to a configuration is longer.
const LONGEST: u64 = 1 << 20;

/// What a file asks for, checked.
#[derive(Debug, Default)]
pub struct WebConfig {
    /// `None` for plain HTTP.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// The certificate that clients are shown.
    pub(crate) certificate: Option<CertificateDer<'static>>,
    /// To be added to every answer.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) users: Users,
    pub(crate) rate: Option<Rate>,
    /// What belongs to it, the file itself and those that it names, as they were when they were read.
    pub(crate) files: Files,
}

/// Why a file cannot be used: one line that names it.
#[derive(Debug, Error)]
#[error("{}: {reason}", path.display())]
pub struct WebConfigError {
    path: PathBuf,
    reason: String,
    /// What belongs to it, as far as it could be read: when one of these changes, it may be good.
    pub(crate) files: Files,
}

impl WebConfig {
    /// Its files and their folders, with those that links lead to: whatever comes there is read when it
    /// changes.
    pub fn places(&self) -> BTreeSet<PathBuf> {
        self.files.places()
    }

    /// Reads the file and the certificates that it names; names that are relative are meant from its folder.
    ///
    /// # Errors
    /// What is wrong, with its line where it has one.
    pub fn load(path: &Path) -> Result<WebConfig, WebConfigError> {
        let mut files = Files::default();
        files.look_at(path);
        let parsed = read_bounded(path)
            .map_err(|error| error.to_string())
            .and_then(|bytes| parse(&bytes))
            .and_then(|file| {
                let folder = path.parent().unwrap_or(Path::new(""));
                file.tls_server_config.files(folder).iter().for_each(|named| files.look_at(named));
                WebConfig::new(file, folder)
            });
        match parsed {
            Ok(config) => Ok(WebConfig { files, ..config }),
            // It may quote the file.
            Err(reason) => Err(WebConfigError { path: path.to_owned(), reason: one_line(&reason), files }),
        }
    }

    fn new(file: yaml::File, folder: &Path) -> Result<WebConfig, String> {
        let http2 = file.http_server_config.http2.is_none_or(|switch| switch.0);
        let tls = &file.tls_server_config;
        let tls = tls.is_enabled().then(|| tls.build(folder, http2)).transpose();
        let tls = tls.map_err(|reason| format!("tls_server_config: {reason}"))?;
        let (tls, certificate) = tls.unzip();
        let interval = file.rate_limit.interval.map_or(Duration::ZERO, |word| word.0.0);
        let headers = file.http_server_config.headers.into_values();
        Ok(WebConfig {
            tls: tls.map(Arc::new),
            certificate,
            // What is left blank is not set.
            headers: headers.filter(|(_, value)| !value.is_empty()).collect(),
            users: Users::new(file.basic_auth_users),
            rate: (!interval.is_zero())
                .then(|| Rate { interval, burst: file.rate_limit.burst.unwrap_or_default() }),
            files: Files::default(),
        })
    }
}

/// Whether the certificate's time is over.
pub(crate) fn expired(certificate: &CertificateDer<'_>) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    client_certificate::end_of(certificate).is_some_and(|end| end < now)
}

fn parse(bytes: &[u8]) -> Result<yaml::File, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count();
        format!("not UTF-8 at line {line}")
    })?;
    // An empty file asks for nothing.
    let file: Option<yaml::File> = yaml_serde::from_str(text).map_err(|error| {
        let said = error.to_string();
        // The parser leaves out the very first place.
        if said.contains(" at line ") { said } else { format!("{said} at line 1 column 1") }
    })?;
    Ok(file.unwrap_or_default())
}

/// A file that is not read beyond what any configuration needs.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    // To open a pipe would wait for its writer.
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("is no regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::other("longer than 1 MiB"));
    }
    Ok(bytes)
}
