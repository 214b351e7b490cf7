//! Groups of rows, and the choice of columns.

use super::{CHOSEN, Host, NAMES, SOON, SORTED, assert_content, cell, open, open_at, three};

const GROUPS: &str = "[...document.querySelectorAll('.rows .group:not([hidden])')]";

#[test]
fn groups_have_the_sums_of_their_rows_and_fold() {
    let mut host = Host::new();
    for name in ["alpha", "beta", "gamma"] {
        host.add(name);
    }
    host.netns.ip_batch("link add br-one type bridge\nlink set br-one up\nlink set veth0 master br-one\nlink set veth1 master br-one\n");
    let exporter = host.exporter(&[]);
    let mut page = open_at(&exporter, &host.netns, "?group=network&sort=name");
    page.wait_until(SOON, &format!("{SORTED} === 'br-one,alpha,beta,without a network,gamma'"));
    assert_eq!(page.text("document.querySelector('#table .grid').getAttribute('role')"), "treegrid");
    assert_eq!(page.text(&format!("{GROUPS}[0].getAttribute('aria-expanded')")), "true");
    assert!(page.text(&format!("{GROUPS}[0].textContent")).contains("2 pairs"));
    // The header has the sum of what its two rows say, in the same tick.
    lab::send_datagrams(
        &host.netns.path(),
        &host.inside[2].path(),
        "10.100.2.2".parse().unwrap(),
        200,
        1_000,
    );
    page.wait_until(SOON, &format!("{} !== '–'", cell("gamma", "receive")));
    page.press(" ");
    page.wait_until(SOON, "document.getElementById('live').dataset.state === 'paused'");
    let cells = |name: &str| {
        format!(
            "[...document.querySelectorAll('.rows .row:not([hidden])')].find((row) => row.querySelector('.title, .group-name').textContent === '{name}').querySelector('.receive').textContent"
        )
    };
    assert_eq!(page.text(&cells("gamma")), page.text(&cells("without a network")));
    page.press(" ");
    // Folded by a click, unfolded by the keyboard.
    page.click(&format!("{GROUPS}.find((group) => group.textContent.includes('br-one'))"));
    page.wait_until(SOON, &format!("{SORTED} === 'br-one,without a network,gamma'"));
    page.value("document.querySelector('.grid').focus()");
    assert_eq!(page.text(CHOSEN), "br-one");
    page.press("ArrowRight");
    page.wait_until(SOON, &format!("{SORTED} === 'br-one,alpha,beta,without a network,gamma'"));
    page.press("ArrowLeft");
    page.wait_until(SOON, &format!("{SORTED} === 'br-one,without a network,gamma'"));
    page.press("Enter");
    page.press("ArrowDown");
    page.wait_until(SOON, &format!("{CHOSEN} === 'alpha'"));
    assert_content(&mut page);
}

/// The sums are those of the page's own module, asked with rows of which some have no numbers yet.
#[test]
fn a_sum_of_numbers_that_are_not_known_is_not_known() {
    let (_host, _exporter, mut page) = three();
    let sums = page.value(
        "import(document.querySelector('script[type=module]').src.replace('main.js', 'grouping.js')).then(({ entries }) => {
            const row = (network, receive) => ({ network, receive, transmit: null, packets: null, drops: null, activity: 0, severity: 0, since: 0, problems: [] });
            const rows = [row('a', null), row('b', null), row('b', 0), row('c', 2), row('c', 3)];
            return entries(rows, 'network', { key: 'receive', falling: true }, new Set()).filter(({ sums }) => sums).map(({ name, sums }) => [name, sums.receive, sums.transmit]);
        })",
    );
    assert_eq!(sums, serde_json::json!([["c", 5, null], ["b", 0, null], ["a", null, null]]));
    assert_content(&mut page);
}

#[test]
fn columns_are_chosen_by_keyboard_and_those_without_room_are_left_out() {
    let (_host, _exporter, mut page) = three();
    page.look(1_280, 900, false);
    page.value("document.getElementById('columns-open').focus()");
    page.press("Enter");
    page.wait_until(SOON, "!document.getElementById('columns').hidden");
    // Each box has its label; the first has the focus.
    assert_eq!(page.text("document.activeElement.labels[0].textContent"), "Network");
    for name in ["State", "MTU", "Packets"] {
        page.click(&format!("[...document.querySelectorAll('#columns label')].find((label) => label.textContent === '{name}').querySelector('input')"));
    }
    page.press("Escape");
    assert_eq!(page.text("document.activeElement.id"), "columns-open");
    assert_eq!(page.value("document.getElementById('columns').hidden"), true);
    page.look(2_560, 900, false);
    page.wait_until(SOON, "[...document.querySelectorAll('.head .cell')].every((cell) => !cell.hidden)");
    let shown = "[...document.querySelectorAll('.rows .pair:not([hidden])')][0].querySelector";
    assert_eq!(page.text(&format!("{shown}('.state').textContent")), "up");
    assert_eq!(page.text(&format!("{shown}('.mtu').textContent")), "1500");
    page.look(900, 900, false);
    page.wait_until(
        SOON,
        "document.querySelector('.head .mtu').hidden && !document.querySelector('.head .receive').hidden",
    );
    assert_eq!(page.value("document.documentElement.scrollWidth <= innerWidth"), true);
    page.click("document.getElementById('columns-open')");
    page.wait_until(SOON, "document.querySelector('#columns p').textContent.includes('no room')");
    assert_content(&mut page);
}

#[test]
fn a_search_marks_what_it_found_and_names_what_the_row_does_not_show() {
    let mut host = Host::new();
    for name in ["alpha", "beta"] {
        host.add(name);
    }
    let exporter = host.exporter(&[]);
    let mut page = open(&exporter, &host.netns);
    super::search(&mut page, "bet");
    page.wait_until(SOON, &format!("({NAMES}).join() === 'beta'"));
    assert_eq!(
        page.text("document.querySelector('.rows .pair:not([hidden]) .title mark').textContent"),
        "bet"
    );
    let address = host.inside[0].ip_json(["link", "show", "eth0"])[0]["address"].as_str().unwrap().to_owned();
    super::search(&mut page, &address[..14].to_uppercase());
    page.wait_until(SOON, &format!("({NAMES}).join() === 'alpha'"));
    page.wait_until(SOON, &format!("document.querySelector('.rows .pair:not([hidden]) .why')?.textContent.trim() === 'MAC address {address}'"));
    super::search(&mut page, "");
    page.wait_until(SOON, "document.querySelectorAll('.rows .pair:not([hidden]) mark').length === 0");
    assert_content(&mut page);
}
