//! The explanation in the details: of one row, and between two.

use super::{NAMES, SOON, TITLE, assert_content, open};
use crate::page::Host;
use lab::{Exporter, Netns, Page};
use std::process::Child;

/// The text of the part of the details that explains.
const SAID: &str = "document.querySelector('#detail .explain').textContent";

/// Two namespaces on a bridge, each with a process, and the second with its interface switched off.
struct Bridged {
    host: Host,
    processes: Vec<Child>,
}

impl Drop for Bridged {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // The process may have ended with its namespace.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Bridged {
    fn new() -> Bridged {
        let mut host = Host::new();
        host.netns.ip(["link", "add", "br0", "type", "bridge"]);
        host.netns.ip(["link", "set", "br0", "up"]);
        for (number, name) in (2..).zip(["alpha", "beta"]) {
            let (inside, port) = (Netns::quiet("inside"), format!("p{number}"));
            host.names.name(name, &inside);
            host.netns.veth(&port, &inside, "eth0");
            host.netns.ip(["link", "set", &port, "master", "br0"]);
            inside.ip(["address", "add", &format!("10.9.0.{number}/24"), "dev", "eth0"]);
            host.inside.push(inside);
        }
        host.inside[1].ip(["link", "set", "eth0", "down"]);
        let processes = host.inside.iter().map(|inside| inside.command("sleep").arg("300").spawn().unwrap());
        let processes = processes.collect();
        Bridged { host, processes }
    }

    fn page(&self) -> (Exporter, Page) {
        let exporter = self.host.exporter(&[]);
        let mut page = open(&exporter, &self.host.netns);
        page.wait_until(SOON, &format!("({NAMES}).length === 2"));
        (exporter, page)
    }
}

/// Returns the expression of the button with this text.
fn button(text: &str) -> String {
    format!(
        "[...document.querySelectorAll('#detail .asks button:not([hidden])')].find((button) => button.textContent === '{text}')"
    )
}

fn open_row(page: &mut Page, name: &str) {
    super::search(page, name);
    page.press("Enter");
    page.press("Enter");
    page.wait_until(SOON, &format!("{TITLE} === '{name}'"));
}

/// Uses a button of the details by the keyboard.
fn use_button(page: &mut Page, text: &str) {
    page.wait_until(SOON, &format!("{} !== undefined", button(text)));
    page.value(&format!("{}.focus()", button(text)));
    page.press("Enter");
}

#[test]
fn the_details_explain_a_row_and_the_way_between_two() {
    let scene = Bridged::new();
    let (_exporter, mut page) = scene.page();
    open_row(&mut page, "beta");
    use_button(&mut page, "Explain");
    page.wait_until(SOON, &format!("{SAID}.includes('✖ reason')"));
    let said = page.text(SAID);
    for wanted in ["1 finding", "eth0", "By hand", "Remedy", "ip link set"] {
        assert!(said.contains(wanted), "no {wanted} in {said}");
    }
    let copied = "[...document.querySelectorAll('#detail .explanation .copy')].map((button) => button.getAttribute('aria-label')).join()";
    assert_eq!(page.text(copied), "Copy By hand,Copy Remedy");
    page.press("Escape");
    open_row(&mut page, "alpha");
    let explained = "document.querySelectorAll('#detail .explanation *').length";
    assert_eq!(page.value(explained), 0, "the other row's explanation is gone");
    use_button(&mut page, "Explain from here");
    page.wait_until(
        SOON,
        &format!("{}.getAttribute('aria-pressed') === 'true'", button("Explain from here")),
    );
    assert!(page.text(SAID).contains("Now open another row"), "{}", page.text(SAID));
    page.press("Escape");
    open_row(&mut page, "beta");
    use_button(&mut page, "Explain from alpha");
    page.wait_until(SOON, &format!("{SAID}.includes('✖ reason')"));
    let said = page.text(SAID);
    assert!(said.contains("named/alpha") && said.contains(" to "), "{said}");
    // After the remedy the same question finds nothing.
    scene.host.inside[1].ip(["link", "set", "eth0", "up"]);
    let again = format!("{SAID}.includes('Reading') || {}.click()", button("Explain from alpha"));
    let found = format!("{SAID}.includes('Nothing was found that stops a packet') || ({again}, false)");
    page.wait_until(SOON, &found);
    assert_content(&mut page);
}

#[test]
fn the_details_say_so_if_the_first_row_has_gone() {
    let scene = Bridged::new();
    let (_exporter, mut page) = scene.page();
    open_row(&mut page, "alpha");
    use_button(&mut page, "Explain from here");
    page.press("Escape");
    scene.host.netns.ip(["link", "del", "p2"]);
    page.wait_until(SOON, "document.getElementById('sum-pairs').textContent === '1'");
    open_row(&mut page, "beta");
    use_button(&mut page, "Explain from alpha");
    page.wait_until(SOON, &format!("{SAID}.includes('alpha has gone.')"));
    assert_content(&mut page);
}
