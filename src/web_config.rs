//! exporter-toolkit's web configuration: TLS, headers, passwords and a rate limit, from one file.
//!
//! The file is read after the privileges are given up, as it is read again after each change.

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

/// The greatest length of a file that belongs to a configuration, in bytes.
const LONGEST: u64 = 1 << 20;

/// A web configuration that was read and checked.
#[derive(Debug, Default)]
pub struct WebConfig {
    /// `None` for plain HTTP.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// The server's own certificate, which is sent to clients.
    pub(crate) certificate: Option<CertificateDer<'static>>,
    /// Headers of every answer, from `http_server_config.headers`.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) users: Users,
    pub(crate) rate: Option<Rate>,
    /// The file itself and the files that it names, as they were when they were read.
    pub(crate) files: Files,
}

/// The reason for which a file cannot be used: one line that names the file.
#[derive(Debug, Error)]
#[error("{}: {reason}", path.display())]
pub struct WebConfigError {
    path: PathBuf,
    reason: String,
    /// The files of the configuration that are known; a change of one of them may repair it.
    pub(crate) files: Files,
}

impl WebConfig {
    /// Returns the configuration's files and their folders, with the targets of symbolic links: these must
    /// stay readable, because a changed or replaced file is read again.
    pub fn paths(&self) -> BTreeSet<PathBuf> {
        self.files.paths()
    }

    /// Reads the file and the certificates that it names; relative names start at the file's folder.
    ///
    /// # Errors
    /// Fails with the reason, and with the line in the file if there is one.
    pub fn load(path: &Path) -> Result<WebConfig, WebConfigError> {
        let mut files = Files::default();
        files.add_file(path);
        let parsed = read_bounded(path)
            .map_err(|error| error.to_string())
            .and_then(|bytes| parse(&bytes))
            .and_then(|file| {
                let folder = path.parent().unwrap_or(Path::new(""));
                file.tls_server_config.files(folder).iter().for_each(|named| files.add_file(named));
                WebConfig::new(file, folder)
            });
        match parsed {
            Ok(config) => Ok(WebConfig { files, ..config }),
            // The reason may quote text of the file.
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
            // A header with an empty value is not set.
            headers: headers.filter(|(_, value)| !value.is_empty()).collect(),
            users: Users::new(file.basic_auth_users),
            rate: (!interval.is_zero())
                .then(|| Rate { interval, burst: file.rate_limit.burst.unwrap_or_default() }),
            files: Files::default(),
        })
    }
}

/// Returns true if the certificate has expired.
pub(crate) fn is_expired(certificate: &CertificateDer<'_>) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    client_certificate::expiry(certificate).is_some_and(|end| end < now)
}

fn parse(bytes: &[u8]) -> Result<yaml::File, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count();
        format!("not UTF-8 at line {line}")
    })?;
    // An empty file sets nothing.
    let file: Option<yaml::File> = yaml_serde::from_str(text).map_err(|error| {
        let reason = error.to_string();
        // The parser leaves out the position of an error in the first column of the first line.
        if reason.contains(" at line ") { reason } else { format!("{reason} at line 1 column 1") }
    })?;
    Ok(file.unwrap_or_default())
}

/// Reads a regular file of at most [`LONGEST`] bytes.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a pipe would wait for the pipe's writer.
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::other("longer than 1 MiB"));
    }
    Ok(bytes)
}
