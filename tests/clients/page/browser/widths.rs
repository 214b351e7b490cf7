//! The page in windows of any width, light, dark and in forced colours.

use super::{Host, SOON, TITLE, assert_content, open, row};
use serde_json::json;

/// What reaches beyond the window to the right, but for what scrolls within a part of its own.
const BEYOND: &str = "[...document.querySelectorAll('body *')].filter((node) => node.checkVisibility() && !node.closest('.heads, svg, .hidden, .skip, pre') && node.getBoundingClientRect().right > innerWidth + 1 && node.getBoundingClientRect().width > 0).slice(0, 5).map((node) => node.outerHTML.slice(0, 160)).join('\\n')";

fn long() -> Host {
    let mut host = Host::new();
    for name in ["alpha", &"b".repeat(203), "gamma"] {
        host.add(name);
    }
    host
}

#[test]
fn nothing_reaches_beyond_the_window_at_any_width() {
    let host = long();
    let exporter = host.exporter(&[]);
    let mut page = open(&exporter, &host.netns);
    host.netns.ip(["link", "set", "veth0", "down"]);
    page.wait_until(SOON, "document.getElementById('count')?.textContent === '3'");
    for width in [320, 360, 761, 1_000, 1_280, 2_560] {
        page.look(width, 800, width == 360);
        page.wait_until(SOON, &format!("innerWidth === {width}"));
        page.wait_until(SOON, "document.documentElement.scrollWidth <= innerWidth");
        page.wait_until(SOON, &format!("({BEYOND}) === ''"));
        // The card takes the whole width.
        page.wait_until(
            SOON,
            "document.getElementById('pairs').getBoundingClientRect().width > innerWidth - 60",
        );
        page.click(&row("alpha"));
        page.wait_until(SOON, &format!("{TITLE} === 'alpha'"));
        page.wait_until(SOON, &format!("({BEYOND}) === ''"));
        page.press("Escape");
        page.click("document.getElementById('keys-open')");
        page.wait_until(SOON, "document.getElementById('keys').open");
        page.wait_until(SOON, &format!("({BEYOND}) === ''"));
        page.click("document.getElementById('keys-close')");
    }
    assert_content(&mut page);
}

#[test]
fn texts_are_readable_in_forced_colours_and_in_the_dark() {
    let host = long();
    let exporter = host.exporter(&[]);
    let mut page = open(&exporter, &host.netns);
    page.wait_until(SOON, "document.getElementById('count')?.textContent === '3'");
    page.press("ArrowDown");
    page.wait_until(SOON, "document.querySelector('.rows [aria-selected=true]') !== null");
    let features = json!({ "features": [{ "name": "forced-colors", "value": "active" }] });
    page.call("Emulation.setEmulatedMedia", features);
    page.wait_until(SOON, "matchMedia('(forced-colors: active)').matches");
    // The chosen row has an outline, as its ground is gone.
    page.wait_until(
        SOON,
        "getComputedStyle(document.querySelector('.rows [aria-selected=true]')).outlineStyle === 'solid'",
    );
    let dark = json!({ "features": [{ "name": "forced-colors", "value": "none" }, { "name": "prefers-color-scheme", "value": "dark" }] });
    page.call("Emulation.setEmulatedMedia", dark);
    page.wait_until(SOON, "getComputedStyle(document.documentElement).backgroundColor === 'rgb(15, 20, 24)'");
    // The button changes it, and the browser keeps it.
    page.click("document.getElementById('theme')");
    page.wait_until(
        SOON,
        "getComputedStyle(document.documentElement).backgroundColor === 'rgb(245, 246, 247)'",
    );
    page.call("Page.reload", json!({}));
    page.wait_until(SOON, "document.documentElement?.dataset.theme === 'light'");
    assert_content(&mut page);
}
