//! The connection to the exporter, which ends and comes back.

use super::{
    FIRST, Host, NAMES, SOON, assert_content, assert_content_after_absence, shows, three, three_without_page,
    url,
};
use lab::{Browser, Exporter, Page, within_netns};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

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
    assert_content_after_absence(&mut page);
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
    assert_content_after_absence(&mut page);
}

/// Changes the version that the page's document has, as if the page were another exporter's.
#[test]
fn a_page_of_another_version_asks_for_a_reload() {
    let (host, exporter) = three_without_page();
    exporter.wait_ready();
    let mut page = Browser::start(&host.netns).open(&url(&exporter));
    page.wait_until(FIRST, "document.getElementById('live')?.dataset.state === 'live'");
    assert_eq!(page.value("document.getElementById('notices').textContent.includes('Reload')"), false);
    let source = "new MutationObserver((_, observer) => { document.documentElement.dataset.version = '0.0.1'; observer.disconnect(); }).observe(document, { childList: true });";
    page.call("Page.addScriptToEvaluateOnNewDocument", serde_json::json!({ "source": source }));
    page.call("Page.reload", serde_json::json!({}));
    page.wait_until(
        SOON,
        "document.getElementById('notices')?.textContent.includes('This page is of version 0.0.1')",
    );
    assert_content(&mut page);
}

/// A browser gives no frames to a page in a hidden tab.
#[test]
fn a_page_without_frames_is_drawn_all_the_same() {
    let (host, exporter) = three_without_page();
    exporter.wait_ready();
    let mut page = Browser::start(&host.netns).open("about:blank");
    let source = "window.requestAnimationFrame = () => 1;";
    page.call("Page.addScriptToEvaluateOnNewDocument", serde_json::json!({ "source": source }));
    page.go(&url(&exporter));
    page.wait_until(FIRST, "document.getElementById('live')?.textContent === 'Live'");
    page.wait_until(SOON, &format!("({NAMES}).length === 3"));
}

#[test]
fn a_page_of_which_a_file_did_not_arrive_says_so_and_loads_again() {
    let (host, exporter) = three_without_page();
    exporter.wait_ready();
    let mut page = Browser::start(&host.netns).open("about:blank");
    page.call("Network.setBlockedURLs", serde_json::json!({ "urls": ["*/page/row.js"] }));
    page.go(&url(&exporter));
    page.wait_until(FIRST, "document.getElementById('live')?.textContent.includes('did not arrive')");
    page.call("Network.setBlockedURLs", serde_json::json!({ "urls": [] }));
    page.wait_until(2 * SOON, &format!("({NAMES}).length === 3"));
    assert_eq!(page.text("document.getElementById('live').textContent"), "Live");
}
