//! The picture of workloads and networks.

use super::{Host, NAMES, SOON, assert_content, open, open_at, search, three};
use crate::page::town::Town;

/// Returns the expression of a node of the picture by the beginning of its label.
fn node(label: &str) -> String {
    format!(
        "[...document.querySelectorAll('#picture [role=button]')].find((node) => node.getAttribute('aria-label') === '{label}')"
    )
}

#[test]
fn workloads_and_networks_of_the_picture_are_buttons_that_search() {
    let mut host = Host::new();
    for name in ["alpha", "beta", "gamma"] {
        host.add(name);
    }
    host.netns.ip_batch("link add br-one type bridge\nlink set br-one up\nlink set veth0 master br-one\nlink set veth1 master br-one\n");
    let exporter = host.exporter(&[]);
    let mut page = open(&exporter, &host.netns);
    page.wait_until(SOON, &format!("{} !== undefined", node("Search the network br-one")));
    page.click(&node("Search the network br-one"));
    page.wait_until(SOON, &format!("({NAMES}).sort().join() === 'alpha,beta'"));
    assert_eq!(page.text("document.getElementById('search').value"), "br-one");
    // The picture follows the search, and says which node is searched.
    page.wait_until(SOON, &format!("{} === undefined", node("Search the workload gamma")));
    page.wait_until(
        SOON,
        &format!("{}.getAttribute('aria-pressed') === 'true'", node("Search the network br-one")),
    );
    page.click(&node("Search the network br-one"));
    page.wait_until(SOON, &format!("({NAMES}).length === 3"));
    // The tab key reaches one node, and the arrow keys the others.
    assert_eq!(page.value("document.querySelectorAll('#picture [role=button][tabindex=\"0\"]').length"), 1);
    page.value("document.querySelector('#picture [role=button][tabindex=\"0\"]').focus()");
    page.press("End");
    page.press("Home");
    page.press("ArrowDown");
    assert_eq!(page.text("document.activeElement.getAttribute('aria-label')"), "Search the workload beta");
    page.press("Enter");
    page.wait_until(SOON, &format!("({NAMES}).join() === 'beta'"));
    page.wait_until(SOON, "document.activeElement.getAttribute('aria-label') === 'Search the workload beta'");
    // The rates are at the ribbons.
    lab::send_datagrams(
        &host.netns.path(),
        &host.inside[2].path(),
        "10.100.2.2".parse().unwrap(),
        500,
        1_000,
    );
    search(&mut page, "");
    assert_eq!(page.value("document.querySelectorAll('#picture .flow.receive').length"), 3);
    assert_content(&mut page);
}

#[test]
fn the_picture_folds_away_and_stays_so() {
    let (_host, exporter, mut page) = three();
    page.wait_until(SOON, "document.getElementById('picture').checkVisibility()");
    page.click("document.getElementById('fold')");
    page.wait_until(SOON, "!document.getElementById('picture').checkVisibility()");
    assert_eq!(page.text("document.getElementById('fold').getAttribute('aria-expanded')"), "false");
    page.go(&super::url(&exporter));
    page.wait_until(SOON, &format!("({NAMES}).length === 3"));
    assert_eq!(page.value("document.getElementById('picture').checkVisibility()"), false);
    page.click("document.getElementById('fold')");
    page.wait_until(SOON, "document.querySelectorAll('#picture .node').length > 3");
    assert_content(&mut page);
}

#[test]
fn the_picture_of_a_hundred_and_one_workloads_starts_folded() {
    let town = Town::new(101);
    let exporter = town.host.exporter(&[]);
    let mut page = open_at(&exporter, &town.host.netns, "");
    page.wait_until(2 * SOON, "document.getElementById('count').textContent === '101'");
    page.wait_until(SOON, "document.getElementById('fold').getAttribute('aria-expanded') === 'false'");
    assert_eq!(page.value("document.getElementById('picture').checkVisibility()"), false);
    assert_content(&mut page);
}
