//! The page at `/`: static files in the binary. Its data come from the stream.
//!
//! `stream.js` keeps the connection, `model.js` the state that it reports, `row.js` and `history.js` one row
//! of it, and the other modules draw that, at most once for each frame: the table has only the visible rows
//! in the document, the picture the busiest workloads, with the others gathered. `permalink.js` keeps the
//! choices in the URL. No element is made from markup; a name is a text node or an attribute.

use super::api::client_has;
use super::routes::Routes;
use crate::server::body::Body;
use crate::server::encoding::{self, Encoding};
use bytes::Bytes;
use hyper::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName,
    HeaderValue, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{Response, StatusCode};

/// The Content-Security-Policy: the page loads nothing from elsewhere, and runs no script but its own files,
/// because strangers choose the names that it shows.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// The document of the page; its links are filled in when the program starts.
const INDEX: &str = include_str!("page/index.html");

/// The page's other files: the name below `/page/`, the content type and the content.
const FILES: [(&str, &str, &str); 38] = [
    ("style.css", CSS, include_str!("page/style.css")),
    ("detail.css", CSS, include_str!("page/detail.css")),
    ("icon.svg", SVG, include_str!("page/icon.svg")),
    ("main.js", SCRIPT, include_str!("page/main.js")),
    ("badge.js", SCRIPT, include_str!("page/badge.js")),
    ("chart.js", SCRIPT, include_str!("page/chart.js")),
    ("choices.js", SCRIPT, include_str!("page/choices.js")),
    ("columns.js", SCRIPT, include_str!("page/columns.js")),
    ("commands.js", SCRIPT, include_str!("page/commands.js")),
    ("detail.js", SCRIPT, include_str!("page/detail.js")),
    ("guard.js", SCRIPT, include_str!("page/guard.js")),
    ("element.js", SCRIPT, include_str!("page/element.js")),
    ("events.js", SCRIPT, include_str!("page/events.js")),
    ("explain.js", SCRIPT, include_str!("page/explain.js")),
    ("facts.js", SCRIPT, include_str!("page/facts.js")),
    ("format.js", SCRIPT, include_str!("page/format.js")),
    ("grouping.js", SCRIPT, include_str!("page/grouping.js")),
    ("head.js", SCRIPT, include_str!("page/head.js")),
    ("history.js", SCRIPT, include_str!("page/history.js")),
    ("keys.js", SCRIPT, include_str!("page/keys.js")),
    ("model.js", SCRIPT, include_str!("page/model.js")),
    ("notice.js", SCRIPT, include_str!("page/notice.js")),
    ("permalink.js", SCRIPT, include_str!("page/permalink.js")),
    ("pointer.js", SCRIPT, include_str!("page/pointer.js")),
    ("picture.js", SCRIPT, include_str!("page/picture.js")),
    ("problems.js", SCRIPT, include_str!("page/problems.js")),
    ("queries.js", SCRIPT, include_str!("page/queries.js")),
    ("row.js", SCRIPT, include_str!("page/row.js")),
    ("scene.js", SCRIPT, include_str!("page/scene.js")),
    ("search.js", SCRIPT, include_str!("page/search.js")),
    ("slot.js", SCRIPT, include_str!("page/slot.js")),
    ("sparkline.js", SCRIPT, include_str!("page/sparkline.js")),
    ("store.js", SCRIPT, include_str!("page/store.js")),
    ("stream.js", SCRIPT, include_str!("page/stream.js")),
    ("table.js", SCRIPT, include_str!("page/table.js")),
    ("totals.js", SCRIPT, include_str!("page/totals.js")),
    ("addresses.js", SCRIPT, include_str!("page/addresses.js")),
    ("workloads.js", SCRIPT, include_str!("page/workloads.js")),
];

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Returns the index of the page's file of this name.
pub(crate) fn file(name: &str) -> Option<usize> {
    FILES.iter().position(|(known, _, _)| *known == name)
}

/// The page with its headers and compressed forms, ready to be sent.
pub(crate) struct Page {
    index: Prepared,
    files: Vec<Prepared>,
}

struct Prepared {
    kind: &'static str,
    plain: Bytes,
    gzip: Bytes,
    /// The entity tag without its quotes.
    tag: String,
}

impl Page {
    /// Prepares the page, with links to the paths of these routes.
    pub(crate) fn new(routes: &Routes) -> Page {
        let escaped = |link: String| link.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
        // The browser asks for all modules at once, and not for each one when another has named it.
        let scripts = FILES.iter().filter(|(name, kind, _)| *kind == SCRIPT && *name != "guard.js");
        let modules: Vec<String> = scripts
            .map(|(name, _, _)| format!("<link rel=\"modulepreload\" href=\"{{root}}page/{name}\">"))
            .collect();
        let index = INDEX
            .replace("{modules}", &modules.join("\n"))
            .replace("{version}", env!("CARGO_PKG_VERSION"))
            .replace("{metrics}", &escaped(routes.metrics_link()))
            .replace("{root}", &escaped(routes.link("/")));
        let files = FILES.iter().map(|&(_, kind, text)| Prepared::new(kind, text.as_bytes().into()));
        Page { index: Prepared::new(HTML, index.into()), files: files.collect() }
    }

    /// Answers a request for the document.
    pub(crate) fn index(&self, headers: &HeaderMap) -> Response<Body> {
        self.index.answer(headers)
    }

    /// Answers a request for one of the other files, by its index from [`file()`].
    pub(crate) fn file(&self, file: usize, headers: &HeaderMap) -> Response<Body> {
        self.files[file].answer(headers)
    }
}

impl Prepared {
    fn new(kind: &'static str, plain: Bytes) -> Prepared {
        let digest = ring::digest::digest(&ring::digest::SHA256, &plain);
        let tag = digest.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        // A file that cannot be compressed is sent as it is.
        let gzip = encoding::gzip(&plain).unwrap_or_default();
        Prepared { kind, plain, gzip: gzip.into(), tag }
    }

    fn answer(&self, headers: &HeaderMap) -> Response<Body> {
        let unchanged = client_has(headers, &self.tag);
        let packed = Encoding::negotiate(headers) == Encoding::Gzip && !self.gzip.is_empty();
        let mut response = Response::new(match (unchanged, packed) {
            (true, _) => Body::from(Bytes::new()),
            (false, true) => Body::from(self.gzip.clone()),
            (false, false) => Body::from(self.plain.clone()),
        });
        if unchanged {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let answer = response.headers_mut();
        let fixed: [(HeaderName, &str); 7] = [
            (CONTENT_TYPE, self.kind),
            (VARY, "Accept-Encoding"),
            // A cache must revalidate: the files of another version have the same names.
            (CACHE_CONTROL, "no-cache"),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (X_FRAME_OPTIONS, "DENY"),
            (REFERRER_POLICY, "no-referrer"),
        ];
        for (name, value) in fixed {
            answer.extend(HeaderValue::from_str(value).map(|value| (name, value)));
        }
        // The tag is weak because the compressed answer has the same one.
        answer.extend(HeaderValue::from_str(&format!("W/\"{}\"", self.tag)).map(|tag| (ETAG, tag)));
        if packed && !unchanged {
            answer.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_file_of_the_page_writes_markup_from_data_or_speaks_of_another_host() {
        for (name, _, text) in FILES.iter().chain(&[("index.html", HTML, INDEX)]) {
            for word in
                ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"]
            {
                assert!(!text.contains(word), "{name} has {word}");
            }
            // The name of SVG's elements is no address to ask.
            let text = text.replace("http://www.w3.org/2000/svg", "");
            for word in ["http:", "https:", "url(", "@import", "style=\"", "onclick="] {
                assert!(!text.contains(word), "{name} has {word}");
            }
        }
    }

    /// A colour's relative luminance (WCAG 2.1), from `#rrggbb`.
    fn luminance(color: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&color[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(one: &str, another: &str) -> f64 {
        let (one, another) = (luminance(one), luminance(another));
        (one.max(another) + 0.05) / (one.min(another) + 0.05)
    }

    /// Returns the two colours of a name, on light and on dark.
    fn colors<'a>(style: &'a str, name: &str) -> [&'a str; 2] {
        let rest =
            style.split_once(&format!("--{name}: light-dark(")).unwrap_or_else(|| panic!("no {name}")).1;
        let (light, dark) = rest.split_once(')').unwrap().0.split_once(", ").unwrap();
        [light, dark]
    }

    #[test]
    fn every_text_can_be_read_on_every_ground_by_day_and_by_night() {
        const GROUNDS: [&str; 5] = ["ground", "card", "raised", "chosen", "warn-ground"];
        let sheets = FILES.iter().filter(|(_, kind, _)| *kind == CSS).map(|(_, _, text)| *text);
        let style = &*sheets.collect::<Vec<_>>().concat();
        let named = |property| {
            style.split(property).skip(1).filter_map(|rest: &str| rest.split_once(')')).map(|(name, _)| name)
        };
        // A pressed button's text has the colour of the ground, on that of text.
        let texts: BTreeSet<&str> = named(" color: var(--").filter(|name| *name != "ground").collect();
        assert!(
            texts.is_superset(&BTreeSet::from(["text", "muted", "receive", "bad", "caution"])),
            "{texts:?}"
        );
        let pairs = texts
            .iter()
            .map(|text| (*text, 4.5))
            .chain(["faint", "good", "warn", "focus"].map(|mark| (mark, 3.0)));
        let mut poor = Vec::new();
        for (name, least) in pairs {
            for ground in GROUNDS {
                // Marks are on cards and on the page.
                if least < 4.5 && !matches!(ground, "ground" | "card") {
                    continue;
                }
                for (own, below) in colors(style, name).into_iter().zip(colors(style, ground)) {
                    let contrast = contrast(own, below);
                    if contrast < least {
                        poor.push(format!("{name} {own} on {ground} {below}: {contrast:.2}, not {least}"));
                    }
                }
            }
        }
        for (text, ground) in colors(style, "text").into_iter().zip(colors(style, "mark")) {
            assert!(contrast(text, ground) >= 4.5, "a search's mark: {text} on {ground}");
        }
        assert!(poor.is_empty(), "{poor:#?}");
        // What is half transparent has another contrast than its colours.
        let opacities = style.split("opacity: ").zip(style.split("opacity: ").skip(1));
        for (before, after) in opacities {
            assert!(
                before.ends_with("fill-") || before.ends_with("stroke-") || after.starts_with("1;"),
                "opacity: {}",
                after.split(';').next().unwrap_or_default()
            );
        }
    }

    #[test]
    fn every_file_that_a_file_names_is_there() {
        for (name, _, text) in FILES.iter().chain(&[("index.html", HTML, INDEX)]) {
            let imports = text.split("from \"./").skip(1).chain(text.split("{root}page/").skip(1));
            for import in imports.filter_map(|rest| rest.split('"').next()) {
                assert!(file(import).is_some(), "{name} names {import}");
            }
        }
    }
}
