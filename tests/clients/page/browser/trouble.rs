//! The page shows problems before everything else.

use super::{NAMES, SOON, SORTED, TITLE, assert_content, cell, open, row, search, three, three_without_page};
use lab::within_netns;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const STRIP: &str = "document.getElementById('problems')";

/// A bound for what the exporter lists once it has lasted for some hold-backs, as link states do.
const SETTLED: Duration = Duration::from_secs(30);

#[test]
fn a_link_that_is_down_comes_first_is_marked_and_is_led_to() {
    let (host, _exporter, mut page) = three();
    page.press("w");
    page.wait_until(SOON, &format!("{SORTED} === 'alpha,beta,gamma'"));
    assert_eq!(page.value(&format!("{STRIP}.hidden")), true);
    let title = page.text("document.title");
    assert!(title.ends_with("veth-exporter") && !title.starts_with('('), "{title}");
    host.netns.ip(["link", "set", "veth2", "down"]);
    page.wait_until(SETTLED, &format!("{SORTED} === 'gamma,alpha,beta'"));
    // A symbol and a word, and a row that is not grey although nothing flows.
    assert_eq!(page.text(&cell("gamma", "badge")), "✖ down");
    assert_eq!(page.value(&format!("{}.classList.contains('quiet')", row("gamma"))), false);
    assert_eq!(page.value(&format!("{}.classList.contains('quiet')", row("alpha"))), true);
    assert_eq!(page.text("document.title"), format!("(1) {title}"));
    assert_eq!(page.text("document.getElementById('problems-title').textContent"), "1 problem");
    // First whatever the order of the others.
    page.press("w");
    page.wait_until(SOON, &format!("{SORTED} === 'gamma,beta,alpha'"));
    // The strip leads to the row, which a search hides.
    search(&mut page, "alpha");
    page.wait_until(SOON, &format!("({NAMES}).join() === 'alpha'"));
    page.click(&format!("{STRIP}.querySelector('button.lead')"));
    page.wait_until(SOON, &format!("{TITLE} === 'gamma'"));
    page.wait_until(SOON, &format!("({NAMES}).length === 3"));
    let remedy = page.text("document.querySelector('#detail .problems .remedy').textContent");
    assert!(remedy.contains("ip link set dev veth2 up"), "{remedy}");
    // The remedy works.
    host.netns.ip(["link", "set", "dev", "veth2", "up"]);
    page.wait_until(SOON, &format!("{STRIP}.hidden"));
    page.wait_until(
        SOON,
        &format!("{SORTED} === 'gamma,beta,alpha' && {}.querySelector('.badge').hidden", row("gamma")),
    );
    assert_eq!(page.text("document.title"), title);
    assert_content(&mut page);
}

/// Sends datagrams to an address until this goes.
struct Sender {
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Sender {
    fn start(host: &lab::Netns, address: &'static str, payload: usize) -> Sender {
        let over = Arc::new(AtomicBool::new(false));
        let (end, path) = (Arc::clone(&over), host.path());
        let socket = within_netns(&path, || UdpSocket::bind("0.0.0.0:0").unwrap());
        let thread = std::thread::spawn(move || {
            let datagram = vec![0; payload];
            while !end.load(Ordering::Relaxed) {
                // Nothing listens there, and the frames are dropped on the way.
                drop(socket.send_to(&datagram, (address, 9)));
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Sender { over, thread: Some(thread) }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(std::thread::JoinHandle::join));
    }
}

#[test]
fn a_row_that_loses_packets_says_how_many_a_second_in_a_colour_that_wins() {
    let (host, exporter) = three_without_page();
    host.inside[1].ip(["link", "set", "eth0", "mtu", "1000"]);
    let mut page = open(&exporter, &host.netns);
    page.press("w");
    let sender = Sender::start(&host.netns, "10.100.1.2", 1_300);
    page.wait_until(SETTLED, &format!("/^\\d+\\/s$/.test({})", cell("beta", "drops")));
    page.wait_until(SETTLED, &format!("{SORTED} === 'beta,alpha,gamma'"));
    page.wait_until(SETTLED, &format!("/drops/.test({})", cell("beta", "badge")));
    let color = format!("getComputedStyle({}.querySelector('.drops')).color", row("beta"));
    page.wait_until(SOON, &format!("{color} === 'rgb(179, 38, 30)'"));
    // Nothing is dropped any more: the column says so, and the details have the total.
    drop(sender);
    page.wait_until(SETTLED, &format!("{} === '0'", cell("beta", "drops")));
    page.click(&row("beta"));
    page.wait_until(SOON, &format!("{TITLE} === 'beta'"));
    let total = "[...document.querySelectorAll('#detail .numbers tr')].find((row) => row.textContent.startsWith('Dropped ever')).textContent";
    page.wait_until(SOON, &format!("/Dropped ever[1-9]/.test({total}) || /packets[1-9]/.test({total})"));
    // The MTUs differ still.
    page.wait_until(SETTLED, &format!("{}.startsWith('▲ MTU')", cell("beta", "badge")));
    assert_content(&mut page);
}

#[test]
fn the_head_names_the_host_and_counts_what_is_there() {
    let (host, _exporter, mut page) = three();
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    page.wait_until(
        SOON,
        &format!("document.title === {}", serde_json::json!(format!("{} – veth-exporter", name.trim()))),
    );
    assert_eq!(page.text("document.getElementById('host').textContent"), name.trim());
    let facts = page.text("document.getElementById('facts').textContent");
    let kernel = String::from_utf8(host.netns.exec(["uname", "-r"]).stdout).unwrap();
    assert!(facts.contains(&format!("Kernel{}", kernel.trim())), "{facts}");
    assert!(facts.contains("Host up"), "{facts}");
    assert_eq!(page.text("document.getElementById('sum-pairs').textContent"), "3");
    assert_eq!(page.text("document.getElementById('sum-workloads').textContent"), "3");
    // One sum of all workloads' traffic, both directions.
    lab::send_datagrams(
        &host.netns.path(),
        &host.inside[0].path(),
        "10.100.0.2".parse().unwrap(),
        2_000,
        958,
    );
    page.wait_until(SOON, "/B\\/s$/.test(document.getElementById('sum-traffic').textContent)");
    assert_content(&mut page);
}
