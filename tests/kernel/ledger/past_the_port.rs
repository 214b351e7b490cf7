//! What a program of the kernel hands to an interface past its port (bpf_redirect_peer, as Cilium does it): the port knows nothing of
//! it, and it is booked all the same.

use std::path::Path;
use std::time::Duration;

use lab::{Counters, Exporter, Netns, NetnsFolder, Traffic, send_datagrams, succeed};

/// Longer than it takes until a pair is known to be bypassed.
const LIMIT: Duration = Duration::from_secs(10);

/// Built from past_the_port/redirect.c: it needs no compiler here.
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kernel/ledger/past_the_port/redirect.o");

#[test]
fn what_is_redirected_past_a_port_is_booked_as_the_interface_counts_it() {
    let [host, sender, receiver] = ["host", "sender", "receiver"].map(Netns::quiet);
    let folder = NetnsFolder::new();
    folder.name("sender", &sender);
    folder.name("receiver", &receiver);
    let interval = ["--collector.interval", "100ms"];
    let exporter = Exporter::start(&host, &[&folder.arguments()[..], &interval].concat());
    exporter.wait_ready();
    host.veth("near", &sender, "eth0");
    let path = receiver.path().display().to_string();
    // The program hands everything to the peer of this ifindex.
    host.ip([
        "link", "add", "past", "index", "4242", "up", "type", "veth", "peer", "name", "eth0", "netns", &path,
    ]);
    receiver.ip(["link", "set", "eth0", "up"]);
    sender.address("eth0", "10.5.0.1", &receiver, "eth0", "10.5.0.2");
    receiver.address("eth0", "10.5.0.2", &sender, "eth0", "10.5.0.1");
    succeed(host.command("tc").args(["qdisc", "add", "dev", "near", "clsact"]));
    let filter =
        ["filter", "add", "dev", "near", "ingress", "bpf", "da", "obj", PROGRAM, "sec", "classifier"];
    succeed(host.command("tc").args(filter));
    let labels = [("runtime", "named"), ("container", "receiver"), ("interface", "eth0")];
    for round in 1..=3 {
        let (from, to) = (sender.path(), receiver.path());
        send_datagrams(&from, &to, [10, 5, 0, 2].into(), 50, 1_000);
        let truth = 50 * round * 1_042;
        assert_eq!(own_count(&receiver), truth, "what the interface counts, and what was sent");
        exporter.wait_for(LIMIT, "all that the interface received is booked", |metrics| {
            let booked = Traffic::booked(metrics, &labels)?;
            (booked.receive_bytes == truth && booked.receive_packets == 50 * round).then_some(())
        });
    }
    // The way went past the port indeed.
    let through_port = Traffic::through_port(&exporter.metrics(), &labels).expect("the port's series");
    assert_eq!(through_port.receive_bytes, 0, "{through_port:?}");
}

fn own_count(netns: &Netns) -> u64 {
    let table = netns.within(|| std::fs::read_to_string(Path::new("/proc/thread-self/net/dev")).unwrap());
    Counters::of(&table, "eth0").expect("eth0").rx_bytes
}
