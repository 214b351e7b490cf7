//! The search and the keys.

use super::{CHOSEN, Host, NAMES, SOON, SORTED, TITLE, assert_content, open, shows, three};
use lab::Netns;
use serde_json::json;

#[test]
fn search_order_and_keyboard_work() {
    let (_host, _exporter, mut page) = three();
    page.press("/");
    assert_eq!(page.text("document.activeElement.id"), "search");
    page.write("bet");
    page.wait_until(SOON, &format!("({NAMES}).join() === 'beta'"));
    assert_eq!(page.text("document.getElementById('count').textContent"), "1 of 3");
    page.press("Escape");
    page.wait_until(SOON, &format!("({NAMES}).length === 3"));
    page.press("Escape");
    // By name, up and down, as a screen reader gets it too.
    let head = "document.querySelector('.head .name button')";
    for (order, names) in [("ascending", "alpha,beta,gamma"), ("descending", "gamma,beta,alpha")] {
        page.click(head);
        page.wait_until(SOON, &format!("{head}.parentNode.getAttribute('aria-sort') === '{order}'"));
        page.wait_until(SOON, &format!("{SORTED} === '{names}'"));
    }
    // From the search into the rows, to the second, into its detail and back.
    page.press("/");
    page.press("ArrowDown");
    page.wait_until(SOON, &format!("{CHOSEN} === 'gamma'"));
    page.press("ArrowDown");
    page.wait_until(SOON, &format!("{CHOSEN} === 'beta'"));
    let active = "document.getElementById(document.activeElement.getAttribute('aria-activedescendant')).querySelector('.title').textContent";
    assert_eq!(page.text(active), "beta");
    page.press("Enter");
    page.wait_until(SOON, "document.getElementById('detail-title')?.textContent === 'beta'");
    let query = "[...document.querySelectorAll('#detail code')].map((code) => code.textContent).join()";
    let asked = page.text(query);
    for wanted in [
        r#"rate(veth_container_receive_bytes_total{runtime="named",container="beta",interface="eth0"}[5m])"#,
        r#"rate(veth_device_receive_bytes_total{device="veth1",netns=""}[5m])"#,
    ] {
        assert!(asked.contains(wanted), "no {wanted} in {asked}");
    }
    page.press("Escape");
    page.wait_until(SOON, "document.getElementById('detail').hidden");
    assert_eq!(page.text("document.activeElement.className"), "grid");
    // Every control can be reached, and has a name.
    let nameless = "[...document.querySelectorAll('button, input, select, a, [tabindex=\"0\"]')].filter((node) => !(node.getAttribute('aria-label') || node.textContent.trim() || node.labels?.[0]?.textContent.trim())).map((node) => node.outerHTML).join()";
    assert_eq!(page.text(nameless), "");
    assert_content(&mut page);
}

#[test]
fn the_chosen_row_stays_chosen_when_its_name_comes() {
    let mut host = Host::new();
    host.add("alpha");
    let late = Netns::quiet("late");
    host.netns.veth("veth-late", &late, "eth0");
    let exporter = host.exporter(&[]);
    let mut page = open(&exporter, &host.netns);
    page.wait_until(SOON, &format!("({NAMES}).length === 2"));
    page.press("/");
    page.write("veth-late");
    page.press("Enter");
    let before = page.text(CHOSEN);
    assert_ne!(before, "alpha");
    host.names.name("late", &late);
    page.wait_until(SOON, &shows("late"));
    assert_eq!(page.text(CHOSEN), "late", "{before} was chosen");
    page.press("Enter");
    page.wait_until(SOON, &format!("{TITLE} === 'late'"));
    assert_content(&mut page);
}

/// Ends with the first message of the stream after the one that has a pair less than three, which the page has received by then.
const AFTER_A_PAIR_HAS_GONE: &str = "new Promise((done) => {
    const source = new EventSource('api/v1/stream');
    let gone = false;
    const look = ({ type, data }) => {
        if (gone) {
            source.close();
            done(true);
        }
        const { appeared, vanished } = JSON.parse(data);
        gone ||= type === 'state' ? appeared.length < 3 : vanished !== undefined;
    };
    for (const type of ['state', 'tick']) source.addEventListener(type, look);
})";

#[test]
fn nothing_moves_while_a_button_is_held() {
    let (host, _exporter, mut page) = three();
    let button = |kind: &str| json!({ "type": kind, "x": 2, "y": 2, "button": "left", "clickCount": 1 });
    page.call("Input.dispatchMouseEvent", button("mousePressed"));
    let before = page.text(SORTED);
    host.netns.ip(["link", "del", "veth0"]);
    page.value(AFTER_A_PAIR_HAS_GONE);
    assert_eq!(page.text(SORTED), before);
    page.call("Input.dispatchMouseEvent", button("mouseReleased"));
    page.wait_until(SOON, &format!("{SORTED} === 'beta,gamma'"));
    // A release that is not reported does not stop the page for good.
    page.call("Input.dispatchMouseEvent", button("mousePressed"));
    host.netns.ip(["link", "del", "veth1"]);
    page.wait_until(SOON, &format!("{SORTED} === 'gamma'"));
    assert_content(&mut page);
}

#[test]
fn escape_closes_the_details_and_leaves_the_search() {
    let (_host, _exporter, mut page) = three();
    page.press("/");
    page.write("beta");
    page.press("Enter");
    page.press("Enter");
    page.wait_until(SOON, &format!("{TITLE} === 'beta'"));
    page.press("Escape");
    page.wait_until(SOON, "document.getElementById('detail').hidden");
    assert_eq!(page.text("document.getElementById('search').value"), "beta");
    page.press("Escape");
    page.wait_until(SOON, &format!("({NAMES}).length === 3"));
    assert_content(&mut page);
}

#[test]
fn a_search_for_an_ip_address_names_the_command_that_knows_it() {
    let (_host, _exporter, mut page) = three();
    page.press("/");
    page.write("10.100.0.2");
    page.wait_until(SOON, "document.querySelector('.none').textContent.includes('veth-exporter find')");
    assert_content(&mut page);
}

#[test]
fn arrow_keys_and_enter_work_on_a_fresh_page() {
    let (_host, _exporter, mut page) = three();
    page.press("w");
    page.wait_until(SOON, &format!("{SORTED} === 'alpha,beta,gamma'"));
    page.press("ArrowDown");
    page.wait_until(SOON, &format!("{CHOSEN} === 'alpha'"));
    page.press("j");
    page.wait_until(SOON, &format!("{CHOSEN} === 'beta'"));
    page.press("G");
    page.wait_until(SOON, &format!("{CHOSEN} === 'gamma'"));
    page.press("Enter");
    page.wait_until(SOON, &format!("{TITLE} === 'gamma'"));
    page.press("Escape");
    page.press("w");
    page.wait_until(SOON, &format!("{SORTED} === 'gamma,beta,alpha'"));
    assert_content(&mut page);
}

#[test]
fn the_question_mark_lists_the_keys() {
    let (_host, _exporter, mut page) = three();
    page.press("?");
    page.wait_until(SOON, "document.getElementById('keys').open");
    let listed = page.text("document.getElementById('keys').textContent");
    for wanted in ["Enter", "Space", "search", "sort by workload"] {
        assert!(listed.contains(wanted), "no {wanted} in {listed}");
    }
    // Behind the dialog no key does anything; Escape closes it.
    page.press("w");
    assert_ne!(page.text("document.querySelector('.head .name').getAttribute('aria-sort')"), "ascending");
    page.value("document.getElementById('keys').close()");
    // In the search the characters are text.
    page.press("/");
    page.write("?wp ");
    assert_eq!(page.text("document.getElementById('search').value"), "?wp ");
    assert_eq!(page.value("document.getElementById('keys').open"), false);
    assert_content(&mut page);
}

#[test]
fn the_tab_key_reaches_the_tools_the_picture_the_search_and_the_table_in_this_order() {
    let (_host, _exporter, mut page) = three();
    page.wait_until(SOON, "document.querySelector('#picture [role=button]') !== null");
    let mut reached = Vec::new();
    for _ in 0..30 {
        page.press("Tab");
        reached.push(
            page.text("(document.activeElement.id || document.activeElement.closest('[id]')?.id) ?? ''"),
        );
    }
    let place =
        |id: &str| reached.iter().position(|one| one == id).unwrap_or_else(|| panic!("no {id}: {reached:?}"));
    let order = ["pause", "fold", "picture", "group", "columns-open", "search", "table"];
    let places: Vec<usize> = order.iter().map(|id| place(id)).collect();
    assert!(places.is_sorted(), "{reached:?}");
    // One stop for the picture and one for the rows: the search is near.
    assert!(places[5] < 12, "{reached:?}");
    assert_content(&mut page);
}
