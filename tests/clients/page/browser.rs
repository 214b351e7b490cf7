//! What a person sees and does.

use super::{Host, url};
use lab::{Browser, DockerEngine, Exporter, Page, checkout, needs_engine, wait_for, within_netns};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(10);

/// The first page that a browser shows on a new machine is late: it reads itself and its fonts from the disk.
const FIRST: Duration = Duration::from_secs(60);

/// The names of the rows that are in the document.
const NAMES: &str =
    "[...document.querySelectorAll('.rows .row:not([hidden]) .title')].map((cell) => cell.textContent)";

fn shows(name: &str) -> String {
    format!("({NAMES}).includes({})", serde_json::json!(name))
}

fn cell(name: &str, column: &str) -> String {
    format!(
        "[...document.querySelectorAll('.rows .row:not([hidden])')].find((row) => row.querySelector('.title').textContent === {}).querySelector('.{column}').textContent",
        serde_json::json!(name)
    )
}

fn open(exporter: &Exporter, host: &lab::Netns) -> Page {
    exporter.wait_ready();
    let mut page = Browser::start(host).open(&url(exporter));
    page.wait_until(FIRST, "document.getElementById('live')?.dataset.state === 'live'");
    page
}

fn assert_content(page: &mut Page) {
    let complaints = page.complaints();
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn containers_come_with_their_traffic_and_go() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("shop");
    let on = ["--network", network.name()];
    let (web, db) = (engine.run_idle("web", &on), engine.run_idle("db", &on));
    let exporter = Exporter::for_engine(engine, &[]);
    let mut page = open(&exporter, engine.netns());
    page.wait_until(SOON, &shows(web.name()));
    page.wait_until(SOON, &shows(db.name()));
    assert_eq!(page.text(&cell(web.name(), "network")), network.name());
    assert_eq!(page.text(&cell(web.name(), "device")), web.host_device(engine.netns(), "eth0"));
    // A burst of 4 MB is in the first tick that ends after it, or in that and the one before.
    let moved = cell(db.name(), "receive");
    wait_for(SOON, "nothing flows before", || {
        let flows = page.text(&moved);
        if flows == "0" || flows.ends_with("\u{202f}B/s") { Ok(()) } else { Err(flows) }
    });
    web.send(&db, network.name(), 4_000_000);
    let sent = Instant::now();
    page.wait_until(SOON, &format!("/MB\\/s$/.test({moved})"));
    let took = sent.elapsed();
    assert!(took < Duration::from_millis(2_500), "shown after {took:?}, and a tick is 1 s");
    page.wait_until(SOON, &format!("/MB\\/s$/.test({})", cell(web.name(), "peak")));
    // One that comes later, and one that goes.
    let late = engine.run_idle("late", &on);
    page.wait_until(SOON, &shows(late.name()));
    let gone = web.name().to_owned();
    drop(web);
    page.wait_until(SOON, &format!("!{}", shows(&gone)));
    assert_content(&mut page);
}

fn three() -> (Host, Exporter, Page) {
    let mut host = Host::new();
    for name in ["alpha", "beta", "gamma"] {
        host.add(name);
    }
    let exporter = host.exporter(&[]);
    let mut page = open(&exporter, &host.netns);
    page.wait_until(SOON, &format!("({NAMES}).length === 3"));
    (host, exporter, page)
}

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
    // By name, up and down; whoever does not see it hears it.
    let head = "document.querySelector('.head .name button')";
    for (order, names) in [("ascending", "alpha,beta,gamma"), ("descending", "gamma,beta,alpha")] {
        page.click(head);
        page.wait_until(SOON, &format!("{head}.parentNode.getAttribute('aria-sort') === '{order}'"));
        let sorted = "[...document.querySelectorAll('.rows .row:not([hidden])')].sort((a, b) => a.getAttribute('aria-rowindex') - b.getAttribute('aria-rowindex')).map((row) => row.querySelector('.title').textContent).join()";
        page.wait_until(SOON, &format!("{sorted} === '{names}'"));
    }
    // From the search into the rows, to the second, into its detail and back.
    page.press("/");
    page.press("ArrowDown");
    let chosen = "document.querySelector('.rows [aria-selected=true] .title')?.textContent";
    page.wait_until(SOON, &format!("{chosen} === 'gamma'"));
    page.press("ArrowDown");
    page.wait_until(SOON, &format!("{chosen} === 'beta'"));
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
    let nameless = "[...document.querySelectorAll('button, input, a, [tabindex=\"0\"]')].filter((node) => !(node.getAttribute('aria-label') || node.textContent.trim() || node.labels?.[0]?.textContent.trim())).map((node) => node.outerHTML).join()";
    assert_eq!(page.text(nameless), "");
    assert_content(&mut page);
}

const TITLE: &str = "document.getElementById('detail-title')?.textContent";

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
fn who_reads_details_keeps_the_focus_while_other_pairs_come_and_its_own_changes() {
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
    // The picture's workloads are the new exporter's as well.
    let node = "[...document.querySelectorAll('#picture .node[role=button]')].find((node) => node.textContent.includes('gamma')).querySelector('.hit')";
    page.click(node);
    page.wait_until(SOON, &format!("{TITLE} === 'gamma'"));
    page.complaints().retain(|complaint| !complaint.contains("net::ERR_"));
    assert_content(&mut page);
}

#[test]
fn a_paused_page_stands_still_and_goes_on() {
    let (host, _exporter, mut page) = three();
    page.wait_until(SOON, &format!("{} === '0'", cell("alpha", "receive")));
    page.press("p");
    page.wait_until(SOON, "document.getElementById('live')?.textContent === 'Paused'");
    let address = "10.100.0.2".parse().unwrap();
    lab::send_datagrams(&host.netns.path(), &host.inside[0].path(), address, 500, 1_000);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3) {
        assert_eq!(page.text(&cell("alpha", "receive")), "0");
        assert_eq!(page.text(&cell("alpha", "peak")), "0");
    }
    page.press("p");
    page.wait_until(SOON, &format!("/kB\\/s$/.test({})", cell("alpha", "peak")));
    assert_content(&mut page);
}

/// What the file system takes of `<script>alert(1)</script>`, and what would end an attribute, a text in JSON or a selector.
const HOSTILE: [&str; 5] =
    ["<script>alert(1)<", "\"}{", "<img src=x onerror=alert(1)>", "${alert(1)}", "'];alert(1)\\u2028"];

#[test]
fn hostile_names_are_shown_as_text() {
    let mut host = Host::new();
    for name in HOSTILE {
        host.add(name);
    }
    host.netns.ip(["link", "set", "veth0", "down"]);
    host.netns.ip(["link", "set", "veth0", "name", "<b>\"'&}{"]);
    let exporter = host.exporter(&[]);
    let mut page = open(&exporter, &host.netns);
    page.wait_until(SOON, &format!("({NAMES}).length === {}", HOSTILE.len()));
    for name in HOSTILE {
        // A backslash is doubled, as in the metrics.
        let shown = name.replace('\\', "\\\\");
        page.wait_until(SOON, &shows(&shown));
        assert!(
            page.value(&format!(
                "document.getElementById('picture').textContent.includes({})",
                serde_json::json!(shown)
            )) == true,
            "{name} in the picture"
        );
        let row = format!(
            "[...document.querySelectorAll('.rows .row:not([hidden])')].find((row) => row.querySelector('.title').textContent === {})",
            serde_json::json!(shown)
        );
        page.click(&row);
        page.wait_until(
            SOON,
            &format!("document.getElementById('detail-title')?.textContent === {}", serde_json::json!(shown)),
        );
        page.press("Escape");
    }
    assert_eq!(page.text(&cell(HOSTILE[0], "device")), "<b>\"'&}{");
    assert_eq!(page.value("document.querySelectorAll('script').length"), 1);
    assert_eq!(page.value("document.querySelectorAll('img, b').length"), 0);
    assert_content(&mut page);
}

/// The vectors are those that `list`, `top` and the log are tested with.
#[test]
fn the_page_follows_the_programs_rule_for_text_that_misleads() {
    let mut host = Host::new();
    host.add("a\u{202e}b\u{200b}c");
    let exporter = host.exporter(&[]);
    let mut page = open(&exporter, &host.netns);
    page.wait_until(SOON, &shows(r"a\u{202e}b\u{200b}c"));
    let vectors = std::fs::read_to_string(checkout().join("src/model/text/vectors.json")).unwrap();
    let shown = page.value(&format!(
        "import(document.querySelector('script[src]').src.replace('main.js', 'format.js'))
            .then(({{ harmless }}) => {vectors}.map((vector) => [vector.text, harmless(vector.text), vector.page]))"
    ));
    let shown = shown.as_array().unwrap();
    assert!(shown.len() >= 20);
    for vector in shown {
        assert_eq!(vector[1], vector[2], "{vector}");
    }
    assert_content(&mut page);
}

#[test]
fn a_container_with_hostile_labels_is_shown_as_text() {
    needs_engine!();
    let engine = DockerEngine::get();
    let hostile = "<script>alert(1)</script>\"}{";
    let labels =
        [format!("com.docker.compose.project={hostile}"), format!("com.docker.compose.service={hostile}")];
    let container = engine.run_idle("labelled", &["--label", &labels[0], "--label", &labels[1]]);
    let exporter = Exporter::for_engine(engine, &[]);
    let mut page = open(&exporter, engine.netns());
    page.press("/");
    page.write(container.name());
    page.wait_until(SOON, &format!("({NAMES}).join() === '{}'", container.name()));
    page.press("Enter");
    page.press("Enter");
    let shown = serde_json::json!(format!("{hostile} / {hostile}"));
    page.wait_until(SOON, &format!("document.getElementById('detail').textContent.includes({shown})"));
    assert_eq!(page.value("document.querySelectorAll('script').length"), 1);
    assert_content(&mut page);
}

#[test]
fn an_exporter_that_restarts_is_noticed() {
    let (host, exporter, mut page) = three();
    let address = exporter.address().to_string();
    drop(exporter);
    page.wait_until(SOON, "document.getElementById('live')?.dataset.state === 'lost'");
    let [flag, path] = host.names.arguments();
    // The first address is a port that the kernel chooses.
    let _again = Exporter::start(&host.netns, &[flag, path, "--web.listen-address", &address]);
    page.wait_until(2 * SOON, "document.getElementById('live')?.dataset.state === 'live'");
    page.wait_until(SOON, "document.getElementById('notices').textContent.includes('restarted')");
    page.wait_until(SOON, &format!("({NAMES}).length === 3"));
    // What the browser itself says of an exporter that is away is all there is.
    page.complaints().retain(|complaint| !complaint.contains("net::ERR_"));
    assert_content(&mut page);
}

#[test]
fn a_page_for_which_there_is_no_place_says_so_and_comes_when_there_is_one() {
    let mut host = Host::new();
    host.add("web");
    let exporter = host.exporter(&[]);
    exporter.wait_ready();
    let listen = |_| {
        let mut stream = within_netns(&host.netns.path(), || TcpStream::connect(exporter.address()).unwrap());
        stream.write_all(b"GET /api/v1/stream HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert_ne!(stream.read(&mut [0; 64]).unwrap(), 0);
        stream
    };
    let others: Vec<TcpStream> = (0..64).map(listen).collect();
    // All are kept from being too slow.
    let ends: Vec<_> = others.iter().map(|stream| stream.try_clone().unwrap()).collect();
    for mut stream in ends {
        std::thread::spawn(move || drop(std::io::copy(&mut stream, &mut std::io::sink())));
    }
    let mut page = Browser::start(&host.netns).open(&url(&exporter));
    let said = "document.getElementById('notices')?.textContent";
    page.wait_until(SOON, &format!("{said}?.includes('64 clients follow the stream already')"));
    for stream in &others {
        // One that has ended already is as good.
        drop(stream.shutdown(Shutdown::Both));
    }
    page.wait_until(SOON, &shows("web"));
    page.wait_until(SOON, &format!("{said} === ''"));
}

#[test]
fn whoever_searches_an_ip_address_is_told_who_knows_it() {
    let (_host, _exporter, mut page) = three();
    page.press("/");
    page.write("10.100.0.2");
    page.wait_until(SOON, "document.querySelector('.none').textContent.includes('veth-exporter find')");
    assert_content(&mut page);
}

#[test]
fn an_empty_host_is_explained_with_a_command() {
    let host = Host::new();
    let exporter = host.exporter(&[]);
    let mut page = open(&exporter, &host.netns);
    let said = "document.getElementById('notices').textContent";
    page.wait_until(SOON, &format!("{said}.includes('There is no veth pair on this host')"));
    assert!(page.text(said).contains("--network host --pid host"), "{}", page.text(said));
    assert_content(&mut page);
}

#[test]
fn a_missing_privilege_is_explained_with_the_command_that_gives_it() {
    let mut host = Host::new();
    host.add("web");
    let through = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let arguments = ["--collector.disable", "docker,podman,cri,named"];
    let exporter = Exporter::start_through(&host.netns, &through, &arguments);
    let mut page = open(&exporter, &host.netns);
    let said = "document.getElementById('notices').textContent";
    for wanted in [
        "CAP_NET_ADMIN",
        "CAP_NET_BROADCAST",
        "AmbientCapabilities=CAP_NET_ADMIN CAP_NET_BROADCAST",
        "--cap-add NET_ADMIN",
    ] {
        page.wait_until(SOON, &format!("{said}.includes('{wanted}')"));
    }
    assert_content(&mut page);
}

#[test]
fn pairs_that_there_is_no_room_for_are_said_until_there_is() {
    let mut host = Host::new();
    for name in ["web", "db", "cache"] {
        host.add(name);
    }
    // Each pair has 21 series.
    let exporter = host.exporter(&["--limits.series", "25", "--container.retention", "1s"]);
    let mut page = open(&exporter, &host.netns);
    let said = "document.getElementById('notices').textContent";
    page.wait_until(SOON, &format!("{said}.includes('2 more pairs are not shown here')"));
    assert_content(&mut page);
    // The one that had its name first is shown, and the others stay in the sum until they are gone.
    let metrics = exporter.metrics();
    let is_shown = |port: &String| metrics.value("veth_device_up", &[("device", port)]).is_some();
    let ports = (0..3).map(|number| format!("veth{number}"));
    let summed: Vec<String> = ports.filter(|port| !is_shown(port)).collect();
    assert_eq!(summed.len(), 2, "{}", metrics.text);
    for port in summed {
        host.netns.ip(["link", "del", &port]);
    }
    page.wait_until(SOON, &format!("{said} === ''"));
}

/// Passes connections on to the exporter, until they are cut.
struct Way {
    address: SocketAddr,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Way {
    fn to(host: &Host, exporter: &Exporter) -> Way {
        let listener = host.netns.within(|| TcpListener::bind("127.0.0.1:0").unwrap());
        let (address, open) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<TcpStream>>>::default());
        let (netns, target, all) = (host.netns.path(), exporter.address(), Arc::clone(&open));
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let (near, far) =
                    (near.unwrap(), within_netns(&netns, || TcpStream::connect(target)).unwrap());
                for (mut from, mut to) in [(&near, &far), (&far, &near)]
                    .map(|(a, b)| (a.try_clone().unwrap(), b.try_clone().unwrap()))
                {
                    // A connection that is cut ends both ways.
                    std::thread::spawn(move || {
                        drop(std::io::copy(&mut from, &mut to));
                        drop(to.shutdown(Shutdown::Both));
                    });
                }
                all.lock().unwrap().extend([near, far]);
            }
        });
        Way { address, open }
    }

    fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..) {
            // One that has ended already is as good.
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

#[test]
fn a_stream_that_is_cut_in_the_middle_is_taken_up_again() {
    let mut host = Host::new();
    host.add("web");
    let exporter = host.exporter(&[]);
    exporter.wait_ready();
    let way = Way::to(&host, &exporter);
    let mut page = Browser::start(&host.netns).open(&format!("http://{}/", way.address));
    page.wait_until(SOON, &shows("web"));
    let streams = |page: &Page| page.requests().iter().filter(|url| url.ends_with("/api/v1/stream")).count();
    assert_eq!(streams(&page), 1);
    way.cut();
    page.wait_until(SOON, "document.getElementById('live').dataset.state === 'lost'");
    page.wait_until(SOON, "document.getElementById('live').dataset.state === 'live'");
    assert!(streams(&page) >= 2, "{:?}", page.requests());
    // It is the same exporter, and what was missed is there.
    host.add("late");
    page.wait_until(SOON, &shows("late"));
    assert_eq!(page.value("document.getElementById('notices').textContent.includes('restarted')"), false);
    page.complaints().retain(|complaint| !complaint.contains("net::ERR_"));
    assert_content(&mut page);
}
