//! Repeated requests for the pairs of a running exporter, over one connection.

use super::dialer::{DialAddress, begin_http, dial, dial_tls};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::header::{AUTHORIZATION, ETAG, HOST, HeaderValue, IF_NONE_MATCH, USER_AGENT};
use hyper::{Request, Response, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

mod trust;

/// The time limit from the start of a request to the last byte of the answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// The greatest length of an answer, in bytes: 5,000 pairs take some 12 MB.
const LONGEST_ANSWER: usize = 256 << 20;

/// The greatest length of a line that is shown as the reason of a failure, in bytes; a longer line is a page.
const LONGEST_REASON: usize = 200;

/// The URL of a running exporter: `http://`, `https://` or `unix:PATH`. Its text has no password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RemoteUrl {
    address: RemoteAddress,
    tls: bool,
    /// `host:port` as the user typed it.
    host: String,
    /// The prefix of each path: `""` or `/veth`.
    prefix: String,
    user: Option<String>,
    password: Option<String>,
}

#[derive(Clone, PartialEq, Eq)]
enum RemoteAddress {
    Inet { host: String, port: u16 },
    Unix(PathBuf),
}

/// The options of a connection: the checks of the exporter's certificate, and the user's password.
#[derive(Clone, Debug, Default)]
pub(crate) struct RemoteOptions {
    /// A PEM file with the certificates that the exporter's may be signed by; `None` for the system's.
    pub ca_file: Option<PathBuf>,
    /// True to accept any certificate.
    pub skip_verify: bool,
    /// The user's name, in place of the URL's.
    pub user: Option<String>,
    /// A file with the password, in place of the URL's; line ends after the password are ignored.
    pub password_file: Option<PathBuf>,
}

/// The reason for which no request can be made.
#[derive(Debug, Error)]
pub(crate) enum RemoteConfigError {
    /// A file cannot be read.
    #[error("cannot read {path}: {reason}", path = path.display())]
    File {
        path: PathBuf,
        /// The operating system's error.
        reason: io::Error,
    },
    /// A file contains no certificate, or an invalid one.
    #[error("{path}: {reason}", path = path.display())]
    Certificates { path: PathBuf, reason: String },
    /// The system has no certificates of authorities.
    #[error("found no certificate authorities of this system: {0}; name a file with --url.ca-file")]
    NoSystemCertificates(String),
    /// A password is given without a user.
    #[error("a password without a user: name one with --url.user or in the URL")]
    NoUser,
    /// The TLS library refuses the configuration.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// The reason for which a request failed.
#[derive(Debug, Error)]
pub(crate) enum RemoteError {
    /// No connection could be opened, or the server's certificate is not accepted.
    #[error("cannot connect: {0}{advice}", advice = trust::advice(.0))]
    NotThere(#[from] io::Error),
    /// The answer did not arrive in time.
    #[error("no answer within {DEADLINE:?}")]
    TooSlow,
    /// The connection broke, or the server does not speak HTTP.
    #[error("no HTTP answer: {0}")]
    Garbage(#[from] hyper::Error),
    /// The answer is too long or ended too early.
    #[error("no whole answer: {0}")]
    Broken(Box<dyn std::error::Error + Send + Sync>),
    /// The exporter answered with a status other than 200 and 304.
    #[error("the exporter answered {status}{}", reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default())]
    Refused {
        /// The status of HTTP.
        status: StatusCode,
        /// The `error` of the answer, or the likely cause.
        reason: Option<String>,
    },
}

/// A running exporter, and the connection to it while one is open.
pub(crate) struct Remote {
    url: RemoteUrl,
    authorization: Option<HeaderValue>,
    tls: Option<TlsConnector>,
    connection: Option<SendRequest<Empty<Bytes>>>,
    /// The entity tag of the last answer.
    tag: Option<HeaderValue>,
}

/// The port of an exporter of which the user has typed the host alone.
const EXPORTER_PORT: u16 = 10736;

/// Returns the URL with its scheme: `localhost:10736` and `:10736` are those of a plain exporter.
fn with_scheme(text: &str) -> String {
    match text {
        _ if text.is_empty() || text.contains("://") => text.to_owned(),
        _ if text.starts_with(':') => format!("http://localhost{text}"),
        _ => format!("http://{text}"),
    }
}

impl FromStr for RemoteUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<RemoteUrl, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err("unix: without a path".into()),
                path => Ok(RemoteUrl {
                    address: RemoteAddress::Unix(path.into()),
                    tls: false,
                    host: "localhost".into(),
                    prefix: String::new(),
                    user: None,
                    password: None,
                }),
            };
        }
        if text.starts_with(['/', '.']) {
            return Err("a unix socket is written unix:PATH".into());
        }
        let typed = text;
        let text = &with_scheme(text);
        let uri: Uri = text.parse().map_err(|error| format!("not a URL: {error}"))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => {
                return Err("not a URL such as http://localhost:10736, https://host/veth or unix:PATH".into());
            }
        };
        if uri.query().is_some() || text.contains('#') {
            return Err("the URL must not have a query or a fragment".into());
        }
        let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
        let (info, host) = match authority.rsplit_once('@') {
            Some((info, host)) => (Some(info), host),
            None => (None, authority),
        };
        let bare = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        if bare.is_empty() {
            return Err("the URL names no host".into());
        }
        if uri.port_u16().is_none() && host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']')) {
            return Err("the URL's port must be a number from 0 to 65535".into());
        }
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let (user, password) = match info.map(|info| info.split_once(':').ok_or(info)) {
            None => (None, None),
            Some(Ok((user, password))) => (Some(decoded(user)), Some(decoded(password))),
            Some(Err(user)) => (Some(decoded(user)), None),
        };
        let usual = if typed.contains("://") { 80 } else { EXPORTER_PORT };
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { usual });
        Ok(RemoteUrl {
            address: RemoteAddress::Inet { host: bare, port },
            tls,
            host: host.to_owned(),
            prefix: uri.path().trim_end_matches('/').to_owned(),
            user,
            password,
        })
    }
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            RemoteAddress::Unix(path) => write!(f, "unix:{}", path.display()),
            RemoteAddress::Inet { .. } => {
                write!(f, "{}://{}{}", if self.tls { "https" } else { "http" }, self.host, self.prefix)
            }
        }
    }
}

impl fmt::Debug for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Remote {
    /// Reads the files that the options name; no request is made yet.
    ///
    /// # Errors
    /// Fails with the name of a file that cannot be used, or if there is a password without a user.
    pub(crate) fn new(url: RemoteUrl, options: &RemoteOptions) -> Result<Remote, RemoteConfigError> {
        let password = match &options.password_file {
            Some(path) => Some(read_file(path)?.trim_end_matches(['\r', '\n']).to_owned()),
            None => url.password.clone(),
        };
        let authorization = match (options.user.as_ref().or(url.user.as_ref()), password) {
            (None, None) => None,
            (None, Some(_)) => return Err(RemoteConfigError::NoUser),
            (Some(user), password) => {
                let encoded = STANDARD.encode(format!("{user}:{}", password.unwrap_or_default()));
                // Base64 has only characters that a header may contain.
                HeaderValue::from_str(&format!("Basic {encoded}")).ok().map(|mut value| {
                    value.set_sensitive(true);
                    value
                })
            }
        };
        let tls = match url.tls {
            true => Some(TlsConnector::from(Arc::new(trust::tls_config(options)?))),
            false => None,
        };
        Ok(Remote { url, authorization, tls, connection: None, tag: None })
    }

    /// Requests `/api/v1/pairs`; returns `None` if the answer is the same as the last one.
    ///
    /// # Errors
    /// Fails if there is no answer; the next call opens a new connection.
    pub(crate) async fn request_pairs(&mut self) -> Result<Option<Bytes>, RemoteError> {
        let asked = timeout(DEADLINE, self.request_once()).await.unwrap_or(Err(RemoteError::TooSlow));
        if asked.is_err() {
            self.connection = None;
            self.tag = None;
        }
        asked
    }

    async fn request_once(&mut self) -> Result<Option<Bytes>, RemoteError> {
        let response = match self.connection.take() {
            // The server may have closed the connection meanwhile: then a new one is tried.
            Some(connection) => match self.send_request(connection).await {
                Ok(response) => response,
                Err(_) => self.send_request(self.connect().await?).await?,
            },
            None => self.send_request(self.connect().await?).await?,
        };
        let status = response.status();
        let tag = response.headers().get(ETAG).cloned();
        let body = Limited::new(response.into_body(), LONGEST_ANSWER);
        let body = body.collect().await.map_err(RemoteError::Broken)?.to_bytes();
        match status {
            StatusCode::OK => {
                self.tag = tag;
                Ok(Some(body))
            }
            StatusCode::NOT_MODIFIED => Ok(None),
            status => Err(RemoteError::Refused { status, reason: reason(status, &body) }),
        }
    }

    async fn send_request(
        &mut self,
        mut connection: SendRequest<Empty<Bytes>>,
    ) -> Result<Response<Incoming>, RemoteError> {
        connection.ready().await?;
        let mut request = Request::new(Empty::new());
        let path = format!("{}/api/v1/pairs", self.url.prefix);
        *request.uri_mut() = path.parse().unwrap_or_else(|_| Uri::from_static("/api/v1/pairs"));
        let headers = request.headers_mut();
        headers.extend(HeaderValue::from_str(&self.url.host).ok().map(|host| (HOST, host)));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("veth-exporter/", env!("CARGO_PKG_VERSION"))),
        );
        headers.extend(self.authorization.clone().map(|value| (AUTHORIZATION, value)));
        headers.extend(self.tag.clone().map(|tag| (IF_NONE_MATCH, tag)));
        let response = connection.send_request(request).await?;
        self.connection = Some(connection);
        Ok(response)
    }

    async fn connect(&self) -> Result<SendRequest<Empty<Bytes>>, RemoteError> {
        let stream = match &self.url.address {
            RemoteAddress::Unix(path) => dial(DialAddress::Unix(path)).await?,
            RemoteAddress::Inet { host, port } => {
                let address = match host.contains(':') {
                    true => format!("[{host}]:{port}"),
                    false => format!("{host}:{port}"),
                };
                dial_tls(DialAddress::Tcp(&address), self.tls.as_ref(), host).await?
            }
        };
        Ok(begin_http(stream).await?)
    }
}

fn reason(status: StatusCode, body: &[u8]) -> Option<String> {
    let answer: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let error = answer.as_ref().and_then(|answer| answer.get("error")?.as_str());
    let likely = match status {
        StatusCode::UNAUTHORIZED => Some("it demands a user and a password"),
        StatusCode::NOT_FOUND => {
            Some("it has no /api/v1/pairs: another server, or another --web.route-prefix")
        }
        _ => None,
    };
    // Many servers explain a client's mistake, such as HTTP in place of HTTPS, in one line of text.
    let line = std::str::from_utf8(body).ok().and_then(|text| text.lines().next()).map(str::trim);
    let line =
        line.filter(|line| (1..=LONGEST_REASON).contains(&line.len()) && !line.starts_with(['<', '{']));
    error.or(likely).or(line).map(str::to_owned)
}

fn read_file(path: &Path) -> Result<String, RemoteConfigError> {
    fs::read_to_string(path).map_err(|reason| RemoteConfigError::File { path: path.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_and_who_and_is_shown_without_its_password() {
        for (text, shown, host, port, user, password) in [
            ("http://localhost:10736", "http://localhost:10736", "localhost", 10736, None, None),
            ("http://localhost", "http://localhost", "localhost", 80, None, None),
            ("https://example.org/veth/", "https://example.org/veth", "example.org", 443, None, None),
            ("https://[::1]:7", "https://[::1]:7", "::1", 7, None, None),
            ("http://[::1]/", "http://[::1]", "::1", 80, None, None),
            ("http://me:p%40ss%3a@h:1", "http://h:1", "h", 1, Some("me"), Some("p@ss:")),
            ("http://me@h", "http://h", "h", 80, Some("me"), None),
            ("localhost:10736", "http://localhost:10736", "localhost", 10736, None, None),
            (":7", "http://localhost:7", "localhost", 7, None, None),
            ("vm1", "http://vm1", "vm1", 10736, None, None),
            ("vm1/veth", "http://vm1/veth", "vm1", 10736, None, None),
            ("me:secret@[::1]:7", "http://[::1]:7", "::1", 7, Some("me"), Some("secret")),
        ] {
            let url: RemoteUrl = text.parse().unwrap();
            assert_eq!((url.to_string(), format!("{url:?}")), (shown.to_owned(), shown.to_owned()));
            assert!(url.address == RemoteAddress::Inet { host: host.into(), port }, "{text}");
            assert_eq!((url.user.as_deref(), url.password.as_deref()), (user, password), "{text}");
        }
        let url: RemoteUrl = "unix:/run/x.sock".parse().unwrap();
        assert_eq!(url.to_string(), "unix:/run/x.sock");
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for bad in [
            "",
            "/run/veth.sock",
            "./veth.sock",
            "ftp:x",
            ":port",
            "a b",
            "ftp://h",
            "http://",
            "unix:",
            "http://h/?q",
            "http://h/#f",
            "http://h:99999",
            "http://h:x",
            "http://a b/",
        ] {
            assert!(bad.parse::<RemoteUrl>().is_err(), "{bad}");
        }
    }
}
