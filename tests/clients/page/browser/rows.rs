//! Rows, their numbers, and the pause.

use super::{SOON, assert_content, cell, open, shows, three};
use lab::{DockerEngine, Exporter, needs_engine, wait_for};
use std::time::{Duration, Instant};

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
    page.wait_until(SOON, &format!("{} === '{}'", cell(web.name(), "network"), network.name()));
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

#[test]
fn a_paused_page_stands_still_and_goes_on() {
    let (host, _exporter, mut page) = three();
    page.wait_until(SOON, &format!("{} === '0'", cell("alpha", "receive")));
    page.press(" ");
    page.wait_until(SOON, "document.getElementById('live')?.textContent === 'Paused'");
    let address = "10.100.0.2".parse().unwrap();
    lab::send_datagrams(&host.netns.path(), &host.inside[0].path(), address, 500, 1_000);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3) {
        assert_eq!(page.text(&cell("alpha", "receive")), "0");
        assert_eq!(page.text(&cell("alpha", "peak")), "0");
    }
    page.press(" ");
    page.wait_until(SOON, &format!("/kB\\/s$/.test({})", cell("alpha", "peak")));
    assert_content(&mut page);
}
