//! The details of a row.

use super::{NAMES, SOON, TITLE, assert_content, assert_content_after_absence, three};
use lab::Exporter;

#[test]
fn the_focus_stays_in_the_details_while_other_pairs_come_and_their_own_changes() {
    let (mut host, _exporter, mut page) = three();
    page.press("/");
    page.write("beta");
    page.press("Enter");
    page.press("Enter");
    page.wait_until(SOON, &format!("{TITLE} === 'beta'"));
    let button = "[...document.querySelectorAll('#detail .copy')].find((button) => button.getAttribute('aria-label') === 'Copy MAC address')";
    page.value(&format!("{button}.focus()"));
    let mark = "document.activeElement.dataset.mark";
    page.value(&format!("{mark} = 'mine'"));
    host.add("delta");
    page.wait_until(SOON, "document.getElementById('count').textContent === '1 of 4'");
    assert_eq!(page.text(mark), "mine", "another pair is no reason to make the details anew");
    host.netns.ip(["link", "set", "veth1", "mtu", "1400"]);
    page.wait_until(SOON, "document.getElementById('detail').textContent.includes('1400 bytes')");
    assert_eq!(page.text("document.activeElement.getAttribute('aria-label')"), "Copy MAC address");
    assert_content(&mut page);
}

#[test]
fn details_stay_the_same_workloads_when_the_exporter_restarts() {
    let (host, exporter, mut page) = three();
    page.press("/");
    page.write("beta");
    page.press("Enter");
    page.press("Enter");
    page.wait_until(SOON, &format!("{TITLE} === 'beta'"));
    // To the next exporter this is the first pair, and the second is gamma.
    host.netns.ip(["link", "del", "veth0"]);
    page.wait_until(SOON, "document.getElementById('sum-pairs').textContent === '2'");
    let address = exporter.address().to_string();
    drop(exporter);
    page.wait_until(SOON, "document.getElementById('live')?.dataset.state === 'lost'");
    let [flag, path] = host.names.arguments();
    let _again = Exporter::start(&host.netns, &[flag, path, "--web.listen-address", &address]);
    page.wait_until(2 * SOON, "document.getElementById('notices').textContent.includes('restarted')");
    page.wait_until(SOON, "document.getElementById('live')?.dataset.state === 'live'");
    assert_eq!(page.text(TITLE), "beta");
    assert_eq!(page.text("document.querySelector('#detail .gone').textContent"), "");
    page.press("Escape");
    // The search still holds, and the picture's workloads are the new exporter's as well.
    page.press("Escape");
    let node = "[...document.querySelectorAll('#picture .node[role=button]')].find((node) => node.textContent.includes('gamma')).querySelector('.hit')";
    page.wait_until(SOON, &format!("{node} !== undefined"));
    page.click(node);
    page.wait_until(SOON, &format!("({NAMES}).join() === 'gamma'"));
    assert_content_after_absence(&mut page);
}

#[test]
fn details_have_totals_both_ends_commands_and_queries() {
    let (host, _exporter, mut page) = three();
    lab::send_datagrams(
        &host.netns.path(),
        &host.inside[1].path(),
        "10.100.1.2".parse().unwrap(),
        1_000,
        958,
    );
    super::search(&mut page, "beta");
    page.press("Enter");
    page.press("Enter");
    page.wait_until(SOON, &format!("{TITLE} === 'beta'"));
    // 1,000 frames of 1,000 bytes; the API is asked again each 5 s.
    let row = "[...document.querySelectorAll('#detail .numbers tr')].map((row) => row.textContent)";
    page.wait_until(2 * SOON, &format!("{row}.some((text) => text.includes('Total1.00\\u202fMB'))"));
    page.wait_until(SOON, &format!("{row}.some((text) => text.includes('1,000 packets'))"));
    // All of it was today, since the exporter's start.
    for period in ["Today", "This month"] {
        let line = format!("{row}.find((text) => text.startsWith('{period}'))");
        assert_eq!(page.text(&line), format!("{period}1.00\u{202f}MB0\u{202f}B"));
    }
    let since =
        page.text("[...document.querySelectorAll('#detail .note')].map((note) => note.textContent).join()");
    for wanted in ["Total: counted since ", "Today: since ", "This month: since "] {
        assert!(since.contains(wanted), "{since:?} lacks {wanted:?}");
    }
    let text = page.text("document.getElementById('detail').textContent");
    for wanted in [
        "MTU1500 bytes",
        "ip -s -d link show dev veth1",
        "sudo ip netns exec beta ip -s -d link show dev eth0",
        "veth-exporter find beta",
        "[5m]",
        "Carrier changes",
    ] {
        assert!(text.contains(wanted), "no {wanted} in {text}");
    }
    for unwanted in ["job=", "instance=", "[1m]"] {
        assert!(!text.contains(unwanted), "{unwanted} in {text}");
    }
    // The addresses are read when the details are opened.
    page.wait_until(SOON, "document.getElementById('detail').textContent.includes('IP address10.100.1.2/')");
    // The commands do what they say.
    let shown = host.netns.ip(["-s", "-d", "link", "show", "dev", "veth1"]);
    assert!(shown.contains("veth"), "{shown}");
    assert_content(&mut page);
}

#[test]
fn the_history_has_two_ranges_and_is_read_by_the_keyboard_and_under_the_pointer() {
    let (_host, _exporter, mut page) = three();
    super::search(&mut page, "beta");
    page.press("Enter");
    page.press("Enter");
    page.wait_until(SOON, &format!("{TITLE} === 'beta'"));
    let plot = "document.querySelector('#detail .plot')";
    page.value(&format!("{plot}.focus()"));
    page.press("ArrowLeft");
    page.wait_until(SOON, &format!("/: receive .*, transmit /.test({plot}.getAttribute('aria-valuetext'))"));
    assert_eq!(page.text(&format!("{plot}.getAttribute('role')")), "slider");
    let pressed = "document.querySelector('#detail .ranges [aria-pressed=true]').textContent";
    assert_eq!(page.text(pressed), "2 min");
    page.click("document.querySelectorAll('#detail .ranges button')[1]");
    page.wait_until(SOON, &format!("{pressed} === '1 h'"));
    assert_eq!(page.value("document.querySelectorAll('#detail .times span').length"), 3);
    page.click("document.querySelectorAll('#detail .ranges button')[0]");
    let place = page.value(&format!(
        "(() => {{ const r = {plot}.getBoundingClientRect(); return [r.right - 1, r.y + 20]; }})()"
    ));
    page.call(
        "Input.dispatchMouseEvent",
        serde_json::json!({ "type": "mouseMoved", "x": place[0], "y": place[1] }),
    );
    page.wait_until(SOON, "document.querySelector('#detail .reading').textContent.includes('↓')");
    assert_content(&mut page);
}
