//! The page in a real Chromium, as a person uses it.

mod connection;
mod contract;
mod details;
mod explain;
mod groups;
mod keys;
mod links;
mod names;
mod notices;
mod picture;
mod rows;
mod trouble;
mod widths;
mod workloads;

use super::{Host, url};
use lab::{Browser, Exporter, Page};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

/// A bound for the first page of a browser on a new machine, which reads itself and its fonts from the disk.
const FIRST: Duration = Duration::from_secs(60);

/// The names of the rows that are in the document.
const NAMES: &str =
    "[...document.querySelectorAll('.rows .row:not([hidden]) .title')].map((cell) => cell.textContent)";

/// The same names in the order of the rows.
const SORTED: &str = "[...document.querySelectorAll('.rows .row:not([hidden])')].sort((a, b) => a.getAttribute('aria-rowindex') - b.getAttribute('aria-rowindex')).map((row) => row.querySelector('.title, .group-name').textContent).join()";

/// The heading of the open details.
const TITLE: &str = "document.getElementById('detail-title')?.textContent";

/// The name of the chosen row.
const CHOSEN: &str = "document.querySelector('.rows [aria-selected=true]:not([hidden]) :is(.title, .group-name)')?.textContent";

fn shows(name: &str) -> String {
    format!("({NAMES}).includes({})", serde_json::json!(name))
}

/// Returns the expression of a row of the document.
fn row(name: &str) -> String {
    format!(
        "[...document.querySelectorAll('.rows .row:not([hidden])')].find((row) => row.querySelector('.title')?.textContent === {})",
        serde_json::json!(name)
    )
}

fn cell(name: &str, column: &str) -> String {
    format!("{}.querySelector('.{column}').textContent", row(name))
}

fn open(exporter: &Exporter, host: &lab::Netns) -> Page {
    open_at(exporter, host, "")
}

/// Opens the page with a query in its URL.
fn open_at(exporter: &Exporter, host: &lab::Netns, query: &str) -> Page {
    exporter.wait_ready();
    let mut page = Browser::start(host).open(&format!("{}{query}", url(exporter)));
    // The window that Chromium begins with has no room for all columns.
    page.look(1_280, 900, false);
    page.wait_until(FIRST, "document.getElementById('live')?.dataset.state === 'live'");
    page
}

/// Types a search, in place of the one before.
fn search(page: &mut Page, text: &str) {
    page.value("document.getElementById('search').select()");
    page.value("document.getElementById('search').focus()");
    page.wait_until(SOON, "document.hasFocus() && document.activeElement?.id === 'search'");
    page.write(text);
    page.wait_until(SOON, &format!("document.getElementById('search').value === '{text}'"));
}

fn assert_content(page: &mut Page) {
    let complaints = page.complaints();
    // The browser begins all loads anew when an interface comes or goes beside it, as those of other tests do; the page
    // asks again.
    complaints.retain(|complaint| !complaint.contains("net::ERR_NETWORK_CHANGED"));
    assert!(complaints.is_empty(), "{complaints:#?}");
}

/// Asserts the content of a page whose exporter was away: what the browser itself says of one that does not answer, or
/// that answers 503 until its first look at the host is over, is all there is.
fn assert_content_after_absence(page: &mut Page) {
    page.complaints()
        .retain(|complaint| !complaint.contains("net::ERR_") && !complaint.contains("status of 503"));
    assert_content(page);
}

/// Returns a host with three named namespaces, and its page.
fn three() -> (Host, Exporter, Page) {
    let (host, exporter) = three_without_page();
    let mut page = open(&exporter, &host.netns);
    page.wait_until(SOON, &format!("({NAMES}).length === 3"));
    (host, exporter, page)
}

fn three_without_page() -> (Host, Exporter) {
    let mut host = Host::new();
    for name in ["alpha", "beta", "gamma"] {
        host.add(name);
    }
    let exporter = host.exporter(&[]);
    (host, exporter)
}
