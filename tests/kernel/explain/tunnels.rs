//! Scenes of tunnels, which need room in the packets of the links that they are on.

use super::*;

/// Makes a VXLAN `vx0` on a link between these addresses. The kernel gives it the MTU of the link less 50 bytes.
fn tunnel(netns: &Netns, device: &str, own: &str, other: &str, more: &[&str]) {
    let kind = ["type", "vxlan", "id", "7", "dstport", "4789", "local", own, "remote", other, "dev", device];
    netns.ip(["link", "add", "vx0"].iter().chain(&kind).chain(more));
    netns.ip(["link", "set", "vx0", "up"]);
}

/// Pings with a packet of this length, which may be fragmented on its way.
fn pings_long(from: &Netns, to: &str, length: u32) -> bool {
    let payload = (length - 28).to_string();
    from.exec(["ping", "-M", "dont", "-s", &payload, "-qc1", "-W1", to]).status.success()
}

/// Makes a namespace that a pair joins with the host, and a VXLAN between the two that is called `vx0` at both ends.
fn tunnelled(host: &Netns) -> Netns {
    let far = Netns::new("far");
    host.veth("u0", &far, "u1");
    host.ip(["addr", "add", "10.5.0.1/24", "dev", "u0"]);
    far.ip(["addr", "add", "10.5.0.2/24", "dev", "u1"]);
    tunnel(host, "u0", "10.5.0.1", "10.5.0.2", &[]);
    tunnel(&far, "u1", "10.5.0.2", "10.5.0.1", &[]);
    far
}

#[test]
fn a_tunnel_that_is_narrower_than_what_is_behind_the_bridge_is_named() {
    let ground = Ground::bridged(1);
    let (host, far) = (&ground.host, tunnelled(&ground.host));
    host.ip(["link", "set", "vx0", "master", "br0"]);
    far.ip(["addr", "add", "10.9.0.9/24", "dev", "vx0"]);
    let ping = || if pings(ground.a(), "10.9.0.9") { Ok(()) } else { Err("no answer") };
    wait_for(SOON, "the tunnel passes short packets", ping);
    // With br_netfilter the bridge takes packets apart that may be fragmented.
    if std::path::Path::new("/proc/sys/net/bridge").exists() {
        sysctl(host, "net.bridge.bridge-nf-call-iptables=0");
    }
    let probe = || pings_long(ground.a(), "10.9.0.9", 1500);
    ground.check("tunnel_mtu", &[ground.a().name(), "10.9.0.9"], probe);
}

/// Makes a VXLAN between two namespaces that are joined by a pair, with 10.7.0.1 on the host and 10.7.0.2 on the other side.
fn joined_by_tunnel(ground: &Ground) -> Netns {
    let (host, far) = (&ground.host, tunnelled(&ground.host));
    host.ip(["addr", "add", "10.7.0.1/24", "dev", "vx0"]);
    far.ip(["addr", "add", "10.7.0.2/24", "dev", "vx0"]);
    let ping = || if pings(host, "10.7.0.2") { Ok(()) } else { Err("no answer") };
    wait_for(SOON, "the tunnel passes packets", ping);
    ground.content(&["vx0", "10.7.0.2"]);
    far
}

#[test]
fn a_carrier_that_protodown_has_taken_is_named_and_comes_back() {
    let ground = Ground::new(0);
    let _far = joined_by_tunnel(&ground);
    // Within a second the kernel replaces the queue by one that drops.
    ground.host.ip(["link", "set", "vx0", "protodown", "on"]);
    let probe = || pings(&ground.host, "10.7.0.2");
    wait_for(SOON, "the tunnel sends nothing more", || if probe() { Err("an answer") } else { Ok(()) });
    ground.check("no_carrier", &["vx0", "10.7.0.2"], probe);
}

#[test]
fn the_carrier_of_a_macvlan_is_that_of_its_link_unless_protodown_has_taken_it() {
    let ground = Ground::new(0);
    let (host, far) = (&ground.host, Netns::new("far"));
    host.veth("u0", &far, "u1");
    far.ip(["addr", "add", "10.8.0.2/24", "dev", "u1"]);
    if !host
        .exec(["ip", "link", "add", "mv0", "link", "u0", "type", "macvlan", "mode", "bridge"])
        .status
        .success()
    {
        return lab::scene::lacks("macvlan");
    }
    host.ip(["addr", "add", "10.8.0.1/24", "dev", "mv0"]);
    host.ip(["link", "set", "mv0", "up"]);
    let probe = || pings(host, "10.8.0.2");
    let talks = || if probe() { Ok(()) } else { Err("no answer") };
    wait_for(SOON, "the macvlan passes packets", talks);
    let words = ["mv0", "10.8.0.2"];
    ground.content(&words);
    host.ip(["link", "set", "mv0", "protodown", "on"]);
    wait_for(SOON, "it sends nothing more", || if probe() { Err("an answer") } else { Ok(()) });
    ground.check("no_carrier", &words, probe);
    // What follows from the link below is not said.
    host.ip(["link", "set", "u0", "down"]);
    let explained = ground.explain(&words);
    let rules: Vec<Value> = explained.findings().iter().map(|finding| finding["rule"].clone()).collect();
    assert_eq!((explained.code, rules), (1, vec!["link_down".into()]), "{explained:#?}");
    host.ip(["link", "set", "u0", "up"]);
    wait_for(SOON, "the macvlan passes packets", talks);
    ground.content(&words);
}

#[test]
fn a_tunnel_that_is_wider_than_its_segment_is_a_possibility() {
    let ground = Ground::bridged(2);
    let [a, b] = names(&ground);
    // With DF set the packets of the tunnel are not fragmented.
    tunnel(ground.a(), "eth0", "10.9.0.2", "10.9.0.3", &["df", "set"]);
    tunnel(ground.b(), "eth0", "10.9.0.3", "10.9.0.2", &["df", "set"]);
    for (space, address) in [(ground.a(), "10.7.0.2/24"), (ground.b(), "10.7.0.3/24")] {
        space.ip(["addr", "add", address, "dev", "vx0"]);
    }
    let ping = || if pings(ground.a(), "10.7.0.3") { Ok(()) } else { Err("no answer") };
    wait_for(SOON, "the tunnel passes short packets", ping);
    ground.content(&[&a, &b]);
    assert_eq!(ground.explain(&[&a, &b]).findings(), [Value::Null; 0]);
    // The kernel compares the MTUs when that of the tunnel is set.
    for (netns, device) in
        [(&ground.host, "p2"), (&ground.host, "p3"), (ground.a(), "eth0"), (ground.b(), "eth0")]
    {
        netns.ip(["link", "set", device, "mtu", "1400"]);
    }
    assert!(!pings_long(ground.a(), "10.7.0.3", 1450));
    let explained = ground.explain(&[&a, &b]);
    assert_eq!((explained.code, explained.first().as_str()), (0, "tunnel_mtu"), "{explained:#?}");
    for line in explained.findings()[0]["remedy"].as_array().unwrap() {
        ground.run(line.as_str().unwrap());
    }
    let long = || if pings_long(ground.a(), "10.7.0.3", 1450) { Ok(()) } else { Err("no answer") };
    wait_for(SOON, "the remedy helps", long);
    assert_eq!(ground.explain(&[&a, &b]).findings(), [Value::Null; 0]);
}
