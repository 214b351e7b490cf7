//! Workloads without a veth of their own, events and history: what the exporter has seen.

use super::{
    NAMES, SOON, SORTED, TITLE, assert_content, open, open_at, row, search, shows, three, three_without_page,
};
use lab::{DockerEngine, Exporter, needs_engine};
use std::time::Duration;

/// A bound for what the engine reports of a container that it restarts again and again.
const LOOP: Duration = Duration::from_secs(60);

/// Returns the expression of a line of the list by the workload's name.
fn line(name: &str) -> String {
    format!(
        "document.querySelector('#workloads-list li[data-workload={}]')",
        serde_json::json!(format!("docker/{name}"))
    )
}

#[test]
fn everyone_is_on_the_list_with_the_reason_why_there_is_no_veth() {
    needs_engine!();
    let engine = DockerEngine::get();
    let vpn = engine.run_idle("vpn", &[]);
    let member = engine.run_idle("torrent", &["--network", &format!("container:{}", vpn.name())]);
    let own = engine.run_idle("hostnet", &["--network", "host"]);
    let looping = engine.run("crashing", &["--restart", "always"], &["false"]);
    let exporter = Exporter::for_engine(engine, &[]);
    let mut page = open(&exporter, engine.netns());
    page.wait_until(SOON, &shows(vpn.name()));
    page.click("document.querySelector('#workloads > summary')");
    page.wait_until(SOON, &format!("{}?.textContent.includes('namespace')", line(member.name())));
    page.wait_until(SOON, &format!("{}?.textContent.includes('host')", line(own.name())));
    page.wait_until(LOOP, &format!("/restart/.test({}?.textContent)", line(looping.name())));
    // The member is named in its owner's row, and the search finds it there and in the list, with a mark.
    assert_eq!(
        page.text(&format!("{}.querySelector('.with').textContent", row(vpn.name()))),
        format!("+ {}", member.name())
    );
    search(&mut page, member.name());
    page.wait_until(SOON, &format!("({NAMES}).join() === '{}'", vpn.name()));
    assert_eq!(
        page.text(&format!("{}.querySelector('.with mark').textContent", row(vpn.name()))),
        member.name()
    );
    page.wait_until(SOON, "document.querySelectorAll('#workloads-list li').length === 1");
    // From the member to its owner.
    page.click(&format!("{}.querySelector('button')", line(member.name())));
    page.wait_until(SOON, &format!("{TITLE} === '{}'", vpn.name()));
    page.press("Escape");
    // A crash loop is a problem, although it has no row.
    page.wait_until(
        LOOP,
        &format!("document.getElementById('problems').textContent.includes('{}')", looping.name()),
    );
    // One that has stopped stays for a while, with the reason.
    search(&mut page, "");
    engine.docker(&["stop", "-t", "0", own.name()]);
    page.wait_until(SOON, &format!("{}?.dataset.state === 'stopped'", line(own.name())));
    page.wait_until(SOON, &format!("/exit code 137, \\d+ s ago/.test({}.textContent)", line(own.name())));
    assert_content(&mut page);
}

#[test]
fn events_are_listed_searched_and_lead_to_the_row() {
    let (mut host, _exporter, mut page) = three();
    page.wait_until(SOON, "!document.getElementById('events').hidden || document.getElementById('events-list').children.length === 0");
    host.add("delta");
    page.wait_until(SOON, &shows("delta"));
    page.wait_until(SOON, "!document.getElementById('events').hidden");
    page.click("document.querySelector('#events > summary')");
    let event = |kind: &str, name: &str| {
        format!(
            "[...document.querySelectorAll('#events-list li')].find((line) => line.dataset.kind === '{kind}' && line.textContent.includes('{name}'))"
        )
    };
    page.wait_until(SOON, &format!("{} !== undefined", event("appeared", "delta")));
    page.click(&format!("{}.querySelector('button')", event("appeared", "delta")));
    page.wait_until(SOON, &format!("{TITLE} === 'delta'"));
    page.press("Escape");
    // One that has gone says after how long; it leads nowhere.
    host.netns.ip(["link", "del", "veth3"]);
    page.wait_until(2 * SOON, &format!("{} !== undefined", event("gone", "delta")));
    assert!(page.text(&format!("{}.textContent", event("gone", "delta"))).contains("gone after"));
    page.wait_until(SOON, &format!("{}.querySelector('button') === null", event("gone", "delta")));
    // The newest comes first, and the search applies.
    assert_eq!(page.text("document.querySelector('#events-list li').dataset.kind"), "gone");
    search(&mut page, "gone delta");
    page.wait_until(SOON, "document.querySelectorAll('#events-list li').length === 1");
    assert!(page.text("document.getElementById('events-count').textContent").starts_with("1 of "));
    assert_content(&mut page);
}

#[test]
fn the_history_is_there_at_once_and_goes_on_over_a_recreation() {
    let (host, exporter) = three_without_page();
    exporter.wait_ready();
    lab::send_datagrams(
        &host.netns.path(),
        &host.inside[1].path(),
        "10.100.1.2".parse().unwrap(),
        2_000,
        958,
    );
    // The exporter has the traffic in its totals at the end of a tick.
    exporter.wait_for(SOON, "the datagrams are counted", |metrics| {
        metrics
            .value("veth_container_receive_bytes_total", &[("container", "beta")])
            .filter(|bytes| *bytes >= 2_000_000.0)
    });
    let mut page = open_at(&exporter, &host.netns, "?row=named/beta");
    let drawn = format!("{}.querySelector('.receive-line').getAttribute('d').length > 20", row("beta"));
    // The first drawing of the row has the ticks before the page was opened, and so has the chart.
    page.wait_until(SOON, &drawn);
    page.wait_until(SOON, &format!("{TITLE} === 'beta'"));
    let top = "document.querySelector('#detail .frame .top').textContent";
    page.wait_until(SOON, &format!("/[MG]B\\/s$/.test({top})"));
    // The workload gets another pair: the history is still that of the workload.
    host.netns.ip(["link", "del", "veth1"]);
    page.wait_until(SOON, &format!("{SORTED} !== '' && !{}", shows("beta")));
    host.netns.veth("veth9", &host.inside[1], "eth0");
    page.wait_until(SOON, "document.getElementById('detail').textContent.includes('veth9')");
    assert!(page.text(top).ends_with("MB/s"), "{}", page.text(top));
    // So it is for a page that comes after it.
    page.call("Page.reload", serde_json::json!({}));
    page.wait_until(2 * SOON, &format!("{TITLE} === 'beta'"));
    page.wait_until(SOON, &format!("/[MG]B\\/s$/.test({top})"));
    // The recreation is marked.
    page.wait_until(SOON, "document.querySelectorAll('#detail .symbols span').length >= 1");
    assert_content(&mut page);
}
