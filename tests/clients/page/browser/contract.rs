//! A stream of the test's own sends states of hosts that are hard to bring about, and states of an older
//! exporter, which lack most of it. The page's files are a real exporter's.

use super::{FIRST, Host, NAMES, SOON, TITLE, assert_content, row, search, url};
use lab::{Browser, Exporter, Page};
use serde_json::{Value, json};

/// The time of the state, seconds since 1970.
const NOW: f64 = 1_764_100_000.0;

/// Opens the page of an exporter with a stream that sends this state.
fn show(state: &Value) -> (Host, Exporter, Page) {
    let host = Host::new();
    let exporter = host.exporter(&[]);
    exporter.wait_ready();
    let mut page = Browser::start(&host.netns).open(&url(&exporter));
    let source = format!(
        "window.EventSource = class extends EventTarget {{
            constructor() {{
                super();
                window.say = (kind, data) => this.dispatchEvent(new MessageEvent(kind, {{ data: JSON.stringify(data) }}));
                setTimeout(() => window.say('state', {state}));
            }}
            close() {{}}
        }};"
    );
    page.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": source }));
    page.look(1_280, 900, false);
    page.go(&url(&exporter));
    page.wait_until(FIRST, "document.getElementById('live')?.dataset.state === 'live'");
    (host, exporter, page)
}

/// Returns a pair of a Docker container with the fields of an exporter before events and problems.
fn pair(id: u64, name: &str) -> Value {
    let end = |role: &str, interface: &str| {
        json!({ "role": role, "netns": "", "nsid": null, "ifindex": id, "name": interface, "mtu": 1500, "up": true,
                "address": "02:42:ac:12:00:02", "kind": "veth", "bridge": "docker0", "master": "docker0",
                "master_kind": "bridge", "workload": null, "members": [], "parent": "", "network": "" })
    };
    let mut inside = end("interface", "eth0");
    inside["workload"] = workload(name);
    inside["network"] = "shop".into();
    json!({ "id": id, "state": "paired", "ends": [end("port", &format!("veth{id}")), inside] })
}

fn workload(name: &str) -> Value {
    json!({ "runtime": "docker", "container": name, "namespace": "", "pod": "", "id": "81686e7a420d", "image": "shop/web:3",
            "compose_project": "shop", "compose_service": "web" })
}

fn state() -> Value {
    json!({ "exporter": "a", "version": env!("CARGO_PKG_VERSION"), "interval": 1.0, "lacks": [], "time": NOW, "sources": [],
            "summed": 0, "appeared": [pair(1, "web"), pair(2, "db")], "rates": [[1, 1_000, 500, 10, 5]] })
}

#[test]
fn a_state_of_an_older_exporter_is_shown_without_what_it_lacks() {
    let (_host, _exporter, mut page) = show(&state());
    page.wait_until(SOON, &format!("({NAMES}).sort().join() === 'db,web'"));
    assert_eq!(page.text("document.title"), "veth-exporter");
    for hidden in ["problems", "workloads", "events", "facts"] {
        assert_eq!(
            page.value(&format!("document.getElementById('{hidden}').checkVisibility()")),
            false,
            "{hidden}"
        );
    }
    // Drops a second are not known, which is not the same as none.
    assert_eq!(page.text(&super::cell("web", "drops")), "–");
    page.click(&row("web"));
    page.wait_until(SOON, &format!("{TITLE} === 'web'"));
    assert!(page.text("document.querySelector('#detail .reading').textContent").contains("No history yet"));
    page.value(&format!(
        "window.say('tick', {})",
        json!({ "time": NOW + 1.0, "rates": [[1, 2_000, 500, 10, 5]] })
    ));
    page.wait_until(SOON, &format!("{} === '2.00\\u202fkB/s'", super::cell("web", "receive")));
    assert_content(&mut page);
}

#[test]
fn workloads_without_a_veth_are_listed_and_a_crash_loop_leads_to_its_line() {
    let mut sent = state();
    let of = |name: &str, more: Value| {
        let mut all = workload(name);
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    sent["appeared"][0]["ends"][1]["members"] = json!([workload("torrent")]);
    sent["workloads"] = json!([
        of(
            "torrent",
            json!({ "state": "running", "text": "in web's namespace", "since": null, "owner": "docker/web" })
        ),
        of(
            "crashing",
            json!({ "state": "restarting", "text": "restarting, 54 times in 48 min", "since": null, "owner": "" })
        ),
        of(
            "backup",
            json!({ "state": "stopped", "text": "stopped 3 min ago, exit code 1", "since": NOW - 180.0, "owner": "" })
        ),
    ]);
    sent["restarts"] = json!([{ "runtime": "docker", "workload": "crashing", "id": "81686e7a420d", "count": 54, "since": NOW - 2_880.0 }]);
    sent["problems"] = json!([{ "kind": "crash_loop", "severity": "warning", "since": NOW - 2_880.0, "text": "docker/crashing restarts",
        "remedy": "read its log", "subject": { "runtime": "docker", "workload": "crashing", "device": "", "interface": "", "collector": "" } }]);
    let (_host, _exporter, mut page) = show(&sent);
    // The problem without a row leads to the list, which opens.
    page.wait_until(SOON, "document.title === '(1) veth-exporter'");
    page.click("document.querySelector('#problems button.lead')");
    page.wait_until(SOON, "document.activeElement.dataset.workload === 'docker/crashing'");
    let lines = page.text("document.getElementById('workloads-list').textContent");
    for wanted in [
        "in web's namespace",
        "restarting, 54 times in 48 min",
        "restarts: 54 in the last 48 min",
        "stopped 3 min ago, exit code 1",
    ] {
        assert!(lines.contains(wanted), "no {wanted} in {lines}");
    }
    // Four run, and one has stopped.
    assert_eq!(page.text("document.getElementById('sum-workloads').textContent"), "4");
    // A member is named in its owner's row, and found there and in the list.
    assert_eq!(page.text(&format!("{}.querySelector('.with').textContent", row("web"))), "+ torrent");
    search(&mut page, "torr");
    page.wait_until(SOON, &format!("({NAMES}).join() === 'web'"));
    assert_eq!(page.text(&format!("{}.querySelector('.with mark').textContent", row("web"))), "torr");
    page.wait_until(SOON, "document.querySelectorAll('#workloads-list li').length === 1");
    page.click("document.querySelector('#workloads-list button')");
    page.wait_until(SOON, &format!("{TITLE} === 'web'"));
    // A search that fits no pair opens the list by itself.
    page.press("Escape");
    page.value("document.getElementById('workloads').open = false");
    search(&mut page, "backup");
    page.wait_until(SOON, "document.getElementById('workloads').open && document.querySelectorAll('#workloads-list li').length === 1");
    assert_content(&mut page);
}

/// The step of 9,412 bytes a second, 1.1^96, in base64: 120 ticks of it, and as many of 0.
fn steps(step: u8) -> String {
    assert!(matches!(step, 0 | 97), "three bytes of it are four letters");
    if step == 0 { "AAAA".repeat(40) } else { "YWFh".repeat(40) }
}

#[test]
fn the_sent_history_is_drawn_at_once_with_its_events_and_goes_on_over_a_recreation() {
    let mut sent = state();
    sent["history"] =
        json!([{ "pair": 1, "ticks": [steps(97), steps(0)], "half_minutes": [steps(0), steps(97)] }]);
    sent["events"] = json!([
        { "id": 1, "time": NOW - 60.0, "kind": "recreated", "runtime": "docker", "workload": "web", "device": "veth1", "interface": "eth0", "network": "shop", "text": "recreated after 2 s", "pair": 1 },
        { "id": 2, "time": NOW - 30.0, "kind": "gone", "runtime": "docker", "workload": "job", "device": "veth9", "interface": "eth0", "network": "shop", "text": "gone after 22 min with 3.0 kB", "pair": null },
    ]);
    let (_host, _exporter, mut page) = show(&sent);
    page.wait_until(
        SOON,
        &format!("{}.querySelector('.receive-line').getAttribute('d').split('L').length === 120", row("web")),
    );
    page.click(&row("web"));
    page.wait_until(SOON, &format!("{TITLE} === 'web'"));
    // By the keyboard: the newest value, and the event a minute ago.
    let plot = "document.querySelector('#detail .plot')";
    let reading = "document.querySelector('#detail .reading').textContent";
    page.value(&format!("{plot}.focus()"));
    page.press("End");
    page.wait_until(SOON, &format!("{reading}.includes('↓ 9.41\\u202fkB/s, ↑ 0')"));
    for _ in 0..6 {
        page.press("PageUp");
    }
    page.wait_until(SOON, &format!("{reading}.includes('recreated after 2 s')"));
    assert_eq!(page.value("document.querySelectorAll('#detail .symbols span').length"), 1);
    page.click("document.querySelectorAll('#detail .ranges button')[1]");
    page.value(&format!("{plot}.focus()"));
    page.press("End");
    page.wait_until(SOON, &format!("{reading}.includes('↓ 0, ↑ 9.41\\u202fkB/s')"));
    page.click("document.querySelectorAll('#detail .ranges button')[0]");
    // The workload's next pair goes on with the history, also if the exporter sends none.
    page.value(&format!(
        "window.say('tick', {})",
        json!({ "time": NOW + 1.0, "vanished": [1], "rates": [] })
    ));
    page.wait_until(SOON, "document.querySelector('#detail .gone').textContent.startsWith('Gone since')");
    let next = json!({ "time": NOW + 2.0, "appeared": [pair(3, "web")], "rates": [[3, 700, 0, 1, 0, 0, 0]],
        "events": [{ "id": 3, "time": NOW + 2.0, "kind": "recreated", "runtime": "docker", "workload": "web", "device": "veth3", "interface": "eth0", "network": "shop", "text": "recreated after 1 s", "pair": 3 }] });
    page.value(&format!("window.say('tick', {next})"));
    page.wait_until(SOON, "document.querySelector('#detail .gone').textContent === ''");
    page.value(&format!("{plot}.focus()"));
    page.press("End");
    page.wait_until(SOON, &format!("{reading}.includes('↓ 700\\u202fB/s')"));
    page.press("PageUp");
    page.wait_until(SOON, &format!("{reading}.includes('↓ 9.41\\u202fkB/s')"));
    page.wait_until(SOON, "document.querySelectorAll('#detail .symbols span').length === 2");
    page.press("Escape");
    // The list has the newest first, and one whose pair is there leads to it.
    page.click("document.querySelector('#events > summary')");
    page.wait_until(SOON, "[...document.querySelectorAll('#events-list li')].map((line) => line.dataset.kind).join() === 'recreated,gone,recreated'");
    assert!(
        page.text("document.querySelectorAll('#events-list li')[1].textContent")
            .contains("gone after 22 min with 3.0 kB")
    );
    assert_eq!(
        page.value("document.querySelectorAll('#events-list li')[1].querySelector('button')"),
        Value::Null
    );
    search(&mut page, "job");
    page.wait_until(SOON, "document.querySelectorAll('#events-list li').length === 1");
    search(&mut page, "");
    page.click("document.querySelector('#events-list button')");
    page.wait_until(SOON, &format!("{TITLE} === 'web'"));
    assert_content(&mut page);
}

#[test]
fn a_strip_of_many_problems_is_short_and_of_each_severity_has_its_mark() {
    let mut sent = state();
    let problem = |number: u64, severity: &str| {
        json!({ "kind": "drops", "severity": severity, "since": NOW - 60.0, "pairs": [2],
        "text": format!("problem {number} \u{202e}<img src=x>"), "remedy": "look", "subject": { "runtime": "docker", "workload": "db" } })
    };
    sent["problems"] = (0..40)
        .map(|number| {
            problem(
                number,
                if number < 2 {
                    "critical"
                } else if number < 39 {
                    "warning"
                } else {
                    "notice"
                },
            )
        })
        .collect();
    let (_host, _exporter, mut page) = show(&sent);
    page.wait_until(
        SOON,
        "document.getElementById('problems-title').textContent === '39 problems, 1 notice'",
    );
    assert_eq!(page.text("document.title"), "(39) veth-exporter");
    let lines =
        "[...document.querySelectorAll('#problems li')].filter((line) => line.checkVisibility()).length";
    assert_eq!(page.value(lines), 4);
    page.click("document.querySelector('#problems summary')");
    page.wait_until(SOON, &format!("{lines} === 40"));
    let marks = page.text("[...new Set([...document.querySelectorAll('#problems .badge')].map((mark) => mark.textContent))].join()");
    assert_eq!(marks, "✖ drops,▲ drops,● drops");
    assert!(
        page.text("document.querySelector('#problems .what').textContent").contains(r"\u{202e}<img src=x>")
    );
    assert_eq!(page.value("document.querySelectorAll('img').length"), 0);
    assert_content(&mut page);
}
