//! The paths of the site and the links between them: `--web.external-url` and `--web.route-prefix`, with the
//! meaning that they have in Prometheus.

use super::page;
use hyper::Uri;
use std::fmt;
use std::str::FromStr;

/// The URL at which clients reach the exporter, through a proxy for example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalUrl {
    /// The URL as the user has written it, with a slash at its end.
    text: String,
    /// The path of the URL without a slash at its end: `""` or `/veth`.
    path: String,
}

/// The paths that the server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routes {
    /// The prefix of each path that is served: `""` or `/veth`.
    prefix: String,
    /// The prefix of each link: `""` or `/veth`.
    external: String,
    telemetry_path: String,
}

/// The target of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Landing,
    Healthy,
    Ready,
    Metrics,
    Cadvisor,
    Pairs,
    Addresses,
    Explain,
    Events,
    Stream,
    /// A file of the page, by its index from [`page::file`].
    PageFile(usize),
    /// A redirect from `/` to the landing page, which is elsewhere.
    Redirect,
}

impl FromStr for ExternalUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<ExternalUrl, String> {
        let uri: Uri = text.parse().map_err(|error| format!("not a URL: {error}"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
            return Err("not a URL such as https://host/veth".into());
        }
        if uri.query().is_some() || text.contains('#') {
            return Err("the URL must not have a query or a fragment".into());
        }
        let text = format!("{}/", text.trim_end_matches('/'));
        Ok(ExternalUrl { text, path: uri.path().trim_end_matches('/').to_owned() })
    }
}

impl fmt::Display for ExternalUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Routes {
    /// Returns the paths for these flags. The default prefix is the external URL's path; `/` means none.
    pub fn new(external: Option<&ExternalUrl>, prefix: Option<&str>, telemetry_path: &str) -> Routes {
        let prefix = prefix.or(external.map(|url| url.path.as_str())).unwrap_or_default().trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        let external = external.map_or_else(|| prefix.clone(), |url| url.path.clone());
        Routes { prefix, external, telemetry_path: telemetry_path.to_owned() }
    }

    pub(crate) fn route(&self, path: &str) -> Option<Route> {
        let Some(inner) = path.strip_prefix(&self.prefix) else {
            return (path == "/").then_some(Route::Redirect);
        };
        match inner {
            _ if inner == self.telemetry_path => Some(Route::Metrics),
            "" | "/" => Some(Route::Landing),
            "/-/healthy" => Some(Route::Healthy),
            "/-/ready" => Some(Route::Ready),
            "/metrics/cadvisor" => Some(Route::Cadvisor),
            "/api/v1/pairs" => Some(Route::Pairs),
            "/api/v1/addresses" => Some(Route::Addresses),
            "/api/v1/explain" => Some(Route::Explain),
            "/api/v1/events" => Some(Route::Events),
            "/api/v1/stream" => Some(Route::Stream),
            _ => inner.strip_prefix("/page/").and_then(page::file).map(Route::PageFile),
        }
    }

    /// Returns the path of the page.
    pub(crate) fn page_path(&self) -> String {
        format!("{}/", self.prefix)
    }

    /// Returns the path of all pairs.
    pub(crate) fn pairs_path(&self) -> String {
        format!("{}/api/v1/pairs", self.prefix)
    }

    /// Returns the path of the health check.
    pub(crate) fn health_path(&self) -> String {
        format!("{}/-/healthy", self.prefix)
    }

    /// Returns the link from a page to a path of the exporter.
    pub(crate) fn link(&self, path: &str) -> String {
        format!("{}{path}", self.external)
    }

    /// Returns the link from a page to the metrics.
    pub(crate) fn metrics_link(&self) -> String {
        self.link(&self.telemetry_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(external: &str, prefix: Option<&str>) -> Routes {
        let external: Option<ExternalUrl> = (!external.is_empty()).then(|| external.parse().unwrap());
        Routes::new(external.as_ref(), prefix, "/metrics")
    }

    #[test]
    fn the_prefix_is_that_of_the_external_url_unless_it_is_given() {
        let [healthy, landing, metrics, redirect, nowhere] =
            [Some(Route::Healthy), Some(Route::Landing), Some(Route::Metrics), Some(Route::Redirect), None];
        for (external, prefix, path, route, link) in [
            ("", None, "/", landing, "/metrics"),
            ("", None, "/metrics", metrics, "/metrics"),
            ("http://h:1/", None, "/metrics", metrics, "/metrics"),
            ("https://h/veth/", None, "/veth/metrics", metrics, "/veth/metrics"),
            ("https://h/veth", None, "/veth", landing, "/veth/metrics"),
            ("https://h/veth", None, "/veth/", landing, "/veth/metrics"),
            ("https://h/veth", None, "/", redirect, "/veth/metrics"),
            ("https://h/veth", None, "/metrics", nowhere, "/veth/metrics"),
            ("https://h/veth", None, "/vethmetrics", nowhere, "/veth/metrics"),
            // The proxy takes its prefix away.
            ("https://h/veth", Some("/"), "/metrics", metrics, "/veth/metrics"),
            ("https://h/veth", Some("/a/b/"), "/a/b/-/healthy", healthy, "/veth/metrics"),
            ("", Some("x"), "/x/metrics", metrics, "/x/metrics"),
        ] {
            let routes = routes(external, prefix);
            assert_eq!(routes.route(path), route, "{external:?} {prefix:?} {path}");
            assert_eq!(routes.metrics_link(), link, "{external:?} {prefix:?}");
        }
    }

    #[test]
    fn what_is_no_url_of_a_site_is_refused() {
        for text in
            ["", "host", "/veth", "ftp://h/", "http://", "http://h/?a=b", "http://h/#a", "\"http://h\""]
        {
            assert!(text.parse::<ExternalUrl>().is_err(), "{text:?}");
        }
    }
}
