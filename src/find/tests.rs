//! Tables of pasted texts and their answers, on a host with all kinds of things.

use super::*;
use crate::model::inventory::{EngineInventory, InventoryContainer, InventoryNetwork};
use crate::model::ledger::LabelSet;
use crate::model::link::{DescribedLink, End, IpAddress, Link, LinkKind, Mac, Master, Name, NetnsId};
use crate::model::pairing::{EndState, Role};
use crate::model::view::{Ownership, Scene, ShownPair, ShownSide};
use crate::model::workload::{Runtime, Workload};
use std::sync::Arc;

/// Ids of containers, as engines make them.
fn id(begin: &str) -> String {
    format!("{begin}{}", "0".repeat(64 - begin.len()))
}

fn name(text: &str) -> Name {
    Name::from_bytes(text.as_bytes()).unwrap()
}

fn mac(last: u8) -> Mac {
    Mac([2, 0x42, 0xac, 0x14, 0, last])
}

fn netns(nsid: u32) -> NetnsId {
    if nsid == 0 { NetnsId::Host } else { NetnsId::Other { nsid, generation: 0 } }
}

fn side(nsid: u32, label: &str, ifindex: u32, device: &str, iflink: u32) -> ShownSide {
    let address = Some(mac(ifindex as u8 + nsid as u8));
    ShownSide {
        end: End { netns: netns(nsid), ifindex },
        link: Some(Link { ifindex, name: name(device), iflink: Some(iflink), address, ..Link::default() }),
        role: if nsid == 0 { Role::Port } else { Role::Interface },
        netns: label.into(),
        master: None,
        ownership: None,
        labels: None,
        hidden: false,
    }
}

fn labelled(workload: Workload, labels: &[(&str, &str)]) -> Workload {
    let labels = labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    Workload { labels, ..workload }
}

/// A container of the Compose project `shop`.
fn shop(service: &str, begin: &str, image: &str) -> Workload {
    let workload = Workload {
        id: id(begin),
        image: image.to_owned(),
        compose_project: "shop".to_owned(),
        compose_service: service.to_owned(),
        ..Workload::named(Runtime::Docker, format!("shop-{service}-1"))
    };
    labelled(workload, &[("com.docker.compose.container-number", "1")])
}

fn docker(container: &str, begin: &str, image: &str) -> Workload {
    let image = image.to_owned();
    Workload { id: id(begin), image, ..Workload::named(Runtime::Docker, container) }
}

/// A pair of the host and a workload: nsid, ports, network, bridge.
fn pair(
    port: (u32, &str),
    peer: (u32, u32, &str),
    ownership: Ownership,
    network: &str,
    bridge: &str,
) -> ShownPair {
    let label = format!("{}/{}", ownership.owner.runtime.as_str(), ownership.owner.title());
    let outside = side(0, "", port.0, port.1, peer.1);
    let inside = side(peer.0, &label, peer.1, peer.2, port.0);
    let bridge = Some(bridge).filter(|bridge| !bridge.is_empty()).map(name);
    let master = bridge.map(|name| Master { name, kind: LinkKind::Bridge });
    let labels = Some(LabelSet::of(&ownership.owner, peer.2.to_owned(), network.to_owned()));
    ShownPair {
        sides: [
            ShownSide { master, ..outside },
            ShownSide { ownership: Some(Arc::new(ownership)), labels, ..inside },
        ],
        state: EndState::Paired,
    }
}

/// Rows: 0 veth-web of shop-web-1, 1 veth-db of shop-db-1, 2 veth-aside of shop-web-1, 3 va and vb, 4 a pod,
/// 5 veth-blue of a named namespace, 6 an end without a pair.
fn scene() -> Scene {
    let web = shop("web", "4a35", "nginx:1.25");
    let logger = docker("logger", "beef", "busybox");
    let of_web = Ownership {
        members: vec![logger],
        ..Ownership::alone(web, Some(&format!("/docker/{}", id("4a35"))))
    };
    let db = Ownership::alone(shop("db", "77aa", "ghcr.io/acme/postgres:16"), None);
    let pod = Workload {
        namespace: "default".into(),
        pod: "api-0".into(),
        id: id("cafe"),
        image: "pause".into(),
        ..Workload::named(Runtime::Cri, "")
    };
    let pod = labelled(pod, &[("io.kubernetes.pod.uid", "8f5c2a0e-1111-4222-8333-444455556666")]);
    let of_pod = Ownership {
        members: vec![Workload {
            id: id("f00d"),
            image: "acme/api:2".into(),
            ..Workload::named(Runtime::Cri, "api")
        }],
        ..Ownership::alone(pod, Some("/kubepods.slice/kubepods-pod8f5c.slice"))
    };
    let blue = Ownership::alone(Workload::named(Runtime::Named, "blue"), Some("/system.slice/blue.service"));
    let [va, vb] = [side(0, "", 20, "va", 21), side(0, "", 21, "vb", 20)];
    let pairs = vec![
        pair((12, "veth-web"), (4, 2, "eth0"), of_web.clone(), "shop_back", "br-f3bcbdf77ad0"),
        pair((14, "veth-db"), (5, 2, "eth0"), db, "shop_back", "br-f3bcbdf77ad0"),
        pair((16, "veth-aside"), (4, 3, "eth1"), of_web, "shop_front", "br-0a0a0a0a0a0a"),
        ShownPair { sides: [va, vb], state: EndState::Paired },
        pair((22, "vethpod"), (6, 2, "eth0"), of_pod, "", ""),
        pair((24, "veth-blue"), (7, 2, "eth0"), blue, "", ""),
    ];
    let single = vec![(Arc::new(side(0, "", 30, "vethlost", 0)), EndState::Unlinked)];
    Scene { pairs: pairs.into_iter().map(Arc::new).collect(), single, ..Scene::default() }
}

fn link(ifindex: u32, device: &str, driver: &str) -> DescribedLink {
    DescribedLink { ifindex, name: name(device), driver: driver.into(), ..DescribedLink::default() }
}

fn named(link: DescribedLink, alternatives: &[&str], alias: &str) -> DescribedLink {
    let alternatives = alternatives.iter().map(|name| name.to_string()).collect();
    DescribedLink { alternatives, alias: alias.into(), ..link }
}

fn place(thing: &str, nsid: Option<u32>, is_host: bool) -> KnownPlace {
    KnownPlace { thing: thing.into(), nsid, is_host, container: None }
}

fn addresses(of: &[(u32, &str)]) -> Vec<IpAddress> {
    let read = |(ifindex, text): &(u32, &str)| IpAddress {
        ifindex: *ifindex,
        address: text.parse().unwrap(),
        prefix: 16,
    };
    of.iter().map(read).collect()
}

fn inventory() -> EngineInventory {
    let plain =
        |container: &str, begin: &str, image: &str| InventoryContainer::new(docker(container, begin, image));
    let task = labelled(
        docker("shop_api.1", "a91e", "api"),
        &[("com.docker.swarm.service.name", "shop_api"), ("com.docker.swarm.task.name", "shop_api.1.k3j4")],
    );
    let containers = vec![
        InventoryContainer {
            images: vec![format!("sha256:{}", id("99ab"))],
            addresses: vec![("shop_back".into(), "10.5.0.77".parse().unwrap())],
            ..InventoryContainer::new(shop("web", "4a35", "nginx:1.25"))
        },
        plain("logger", "beef", "busybox"),
        plain("onhost", "dddd", "redis:7"),
        InventoryContainer {
            addresses: vec![("lan".into(), "10.9.0.4".parse().unwrap())],
            macs: vec![mac(200)],
            ..plain("direct", "eeee", "redis:7")
        },
        InventoryContainer { names: vec!["shop_api.1.k3j4".into()], ..InventoryContainer::new(task) },
        plain("Stopped_One", "5701", "alpine"),
    ];
    let network = |name: &str, begin: &str, driver: &str| InventoryNetwork {
        name: name.into(),
        id: id(begin),
        driver: driver.into(),
    };
    let networks = vec![
        network("shop_back", "fe10", "bridge"),
        network("shop_front", "fe20", "bridge"),
        network("lan", "fe30", "macvlan"),
        network("web", "fe40", "bridge"),
        network("idle", "fe50", "bridge"),
    ];
    EngineInventory { containers, networks }
}

/// The catalog of the whole host, for a text that leads to `place`.
fn catalog(leads_to: Option<KnownPlace>) -> Catalog {
    let mut catalog = Catalog::new(&scene());
    let loopback = || DescribedLink { loopback: true, ..link(1, "lo", "") };
    let host = vec![
        loopback(),
        named(link(2, "eno1", ""), &["enp3s0", "enx0242ac120002"], "uplink to core"),
        link(3, "docker0", "bridge"),
        link(4, "bond0", "bond"),
        link(5, "nk0", "netkit"),
        DescribedLink { single: true, ..link(8, "nk1", "netkit") },
        named(link(6, "br-f3bcbdf77ad0", "bridge"), &["backbone"], ""),
        link(7, "eno1.5", "vlan"),
        named(link(12, "veth-web", "veth"), &["web-uplink"], "the shop's web"),
        link(22, "vethpod", "veth"),
    ];
    let here = |nsid, label: &str| NetnsText { nsid, label: label.into() };
    catalog.add_links(&here(None, ""), host);
    catalog.add_links(
        &here(Some(4), "docker/shop-web-1"),
        vec![loopback(), link(2, "eth0", "veth"), link(9, "wg0", "wireguard")],
    );
    catalog.add_links(&here(Some(8), "docker/direct"), vec![loopback(), link(2, "mv0", "macvlan")]);
    catalog.add_links(&here(Some(9), "empty"), vec![loopback(), link(2, "dm0", "dummy")]);
    catalog.add_addresses(None, &addresses(&[(6, "10.5.0.1"), (2, "192.0.2.1"), (12, "fe80::c")]));
    catalog.add_addresses(Some(4), &addresses(&[(2, "10.5.0.2"), (2, "fe80::1"), (3, "10.6.0.2")]));
    catalog.add_addresses(Some(5), &addresses(&[(2, "10.5.0.3")]));
    catalog.add_addresses(Some(6), &addresses(&[(2, "fd97::5")]));
    catalog.add_name("blue".into(), place("blue", Some(7), false));
    catalog.add_name("empty".into(), place("empty", Some(9), false));
    catalog.add_name("other-name".into(), place("other-name", Some(7), false));
    catalog.add_name("init".into(), place("init", None, true));
    catalog.add_inventory(Runtime::Docker, inventory());
    leads_to.into_iter().for_each(|place| catalog.add_place(place));
    catalog
}

fn shown(catalog: &Catalog, answer: FindAnswer) -> String {
    let one = |target: &FindTarget| match *target {
        FindTarget::Row(row) => row.to_string(),
        FindTarget::Link(at) => format!("link {}", catalog.links[at].link.name),
        FindTarget::Container(at) => format!("container {}", catalog.containers[at].workload.name),
        FindTarget::Network(at) => format!("network {}", catalog.networks[at].1.name),
        FindTarget::Netns(at) => format!("netns {}", catalog.namespaces[at].name),
        FindTarget::Place => "place".to_owned(),
    };
    let all = |found: &BTreeSet<FindTarget>| found.iter().map(one).collect::<Vec<_>>().join(" ");
    match answer {
        FindAnswer::Found(found) => all(&found),
        FindAnswer::Nearest(name, found) => format!("{name}: {}", all(&found)),
        FindAnswer::Near(names) => format!("near {}", names.join(", ")),
        FindAnswer::Nothing => "nothing".to_owned(),
    }
}

fn answered(catalog: &Catalog, text: &str) -> String {
    shown(catalog, catalog.find(&Pasted::read(text.as_bytes())))
}

#[test]
fn each_text_that_other_tools_print_has_its_answer() {
    let catalog = catalog(None);
    let web = id("4a35");
    let of_docker = format!("docker://{web}");
    let scope = format!("/system.slice/docker-{web}.scope");
    let line = format!("0::/docker/{web}");
    let kubepods = format!("/kubepods/besteffort/pod8f5c/{}", id("f00d"));
    let cri =
        format!("/sys/fs/cgroup/kubepods.slice/kubepods-pod8f5c.slice/cri-containerd-{}.scope/x", id("cafe"));
    let mut wrong = Vec::new();
    let short_and_folder = format!("/var/lib/docker/containers/{web}/config.v2.json");
    for (text, wanted) in [
        // Names, ids, indices and addresses as they are.
        ("shop-web-1", "0 2"),
        ("docker/shop-web-1", "0 2"),
        (&web, "0 2"),
        (&web[..12], "0 2"),
        ("4a35", "0 2"),
        ("logger", "0 2"),
        ("docker/logger", "0 2"),
        ("default/api-0", "4"),
        ("cri/default/api-0", "4"),
        ("api-0", "4"),
        ("pod/api-0", "4"),
        ("api", "4"),
        ("8f5c2a0e-1111-4222-8333-444455556666", "4"),
        ("blue", "5"),
        ("named/blue", "5"),
        ("other-name", "5"),
        ("veth-db", "1"),
        ("vethlost", "6"),
        ("eth0", "0 1 4 5"),
        ("eth1", "2"),
        ("12", "0"),
        ("shop_back", "0 1"),
        ("10.5.0.2", "0"),
        ("fd97:0:0::5", "4"),
        ("::ffff:10.5.0.2", "0"),
        ("02:42:ac:14:00:0e", "1"),
        // `ip link` and our own `list`.
        ("veth-web@if2", "0"),
        ("eth0@if12", "0"),
        ("eth0@if14", "1"),
        ("12:veth-web", "0"),
        ("12: veth-web@if2:", "0"),
        ("12: veth-web@if2: <BROADCAST,UP> mtu 1500 qdisc noqueue", "0"),
        ("2:eth0", "0 1 4 5"),
        ("2: eth0@if22:", "4"),
        ("va@vb", "3"),
        ("20: va@vb:", "3"),
        ("@if22", "4"),
        ("99: veth-web@if77:", "0"),
        ("12:-", "0"),
        ("veth-web:", "0"),
        ("link-netnsid 4", "0 2"),
        ("nsid-6", "4"),
        ("br-f3bcbdf77ad0", "0 1"),
        // Names that the user has given to links.
        ("web-uplink", "0"),
        ("the shop's web", "0"),
        ("enp3s0", "link eno1"),
        ("uplink to core", "link eno1"),
        ("backbone", "0 1"),
        // Docker and Compose.
        ("/shop-web-1", "0 2"),
        ("container:shop-web-1", "0 2"),
        (&of_docker, "0 2"),
        ("shop/web", "0 2"),
        ("shop-db-1", "1"),
        ("shop_db_1", "1"),
        ("db-1", "1"),
        ("service:db", "1"),
        ("shop", "0 1 2"),
        (&id("fe10"), "0 1"),
        (&id("fe20")[..12], "2"),
        ("shop_api.1.k3j4", "container shop_api.1"),
        ("shop_api", "container shop_api.1"),
        // Images.
        ("nginx", "0 2"),
        ("nginx:1.25", "0 2"),
        ("docker.io/library/nginx:1.25", "0 2"),
        ("acme/postgres", "1"),
        ("ghcr.io/acme/postgres:16", "1"),
        (&id("99ab")[..12], "0 2"),
        ("acme/api:2", "4"),
        ("redis:7", "container onhost container direct"),
        // Cgroups and folders.
        (&scope, "0 2"),
        (&line, "0 2"),
        (&kubepods, "4"),
        (&cri, "4"),
        (&short_and_folder, "0 2"),
        ("/kubepods.slice/kubepods-pod8f5c.slice", "4"),
        ("/sys/fs/cgroup/system.slice/blue.service", "5"),
        // Addresses in URLs, with ports, zones and prefixes; subnets.
        ("10.5.0.2:8080", "0"),
        ("[fe80::1]:80", "0"),
        ("[fe80::1]", "0"),
        ("fe80::1%eth0", "0"),
        ("http://10.5.0.3:8080/path?q=1#x", "1"),
        ("tcp://user:word@10.5.0.3:1", "1"),
        ("http://shop-db-1:5432/", "1"),
        ("10.5.0.2/16", "0"),
        ("10.5.0.0/16", "0 1"),
        ("10.0.0.0/8", "0 1 2"),
        ("fd97::/64", "4"),
        ("10.6.0.2/32", "2"),
        ("10.5.0.77", "0"),
        ("10.9.0.4", "container direct"),
        // MAC addresses.
        ("02-42-AC-14-00-10", "2"),
        ("0242.ac14.0010", "2"),
        ("0242AC140010", "2"),
        ("2:42:ac:14:0:10", "2"),
        ("02:42:ac:14:00:c8", "container direct"),
        // Quotes, white space and other case.
        ("  shop-db-1\n", "1"),
        ("\"shop-db-1\",", "1"),
        ("'/shop-db-1'", "1"),
        ("`veth-db`", "1"),
        ("“veth-db”", "1"),
        ("SHOP-DB-1", "1"),
        ("Shop/DB", "1"),
        ("NGINX:1.25", "0 2"),
        ("stopped_one", "container Stopped_One"),
        (&id("4a35").to_uppercase(), "0 2"),
        // Things without a veth.
        ("bond0", "link bond0"),
        ("4: bond0:", "link bond0"),
        ("docker0", "link docker0"),
        ("nk0", "link nk0"),
        ("mv0", "link mv0"),
        ("wg0", "link wg0"),
        ("eno1.5@eno1", "link eno1.5"),
        ("10.5.0.1", "link br-f3bcbdf77ad0"),
        ("onhost", "container onhost"),
        ("direct", "container direct"),
        ("empty", "netns empty"),
        ("named/empty", "netns empty"),
        ("init", "netns init"),
        ("lan", "network lan"),
        (&id("fe30"), "network lan"),
        // A service is meant before a part of a name, and before a network without a pair.
        ("web", "0 2"),
        ("db", "1"),
    ] {
        let answered = answered(&catalog, text);
        wrong.extend((answered != wanted).then(|| format!("{text}: {answered:?} and not {wanted:?}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn one_near_name_is_answered_and_several_are_listed() {
    let catalog = catalog(None);
    let mut wrong = Vec::new();
    for (text, wanted) in [
        ("aside", "veth-aside: 2"),
        ("VETH-AS", "veth-aside: 2"),
        ("vethp", "vethpod: 4"),
        ("stopped", "Stopped_One: container Stopped_One"),
        ("veth-wbe", "near veth-web, veth-db, veth-blue, veth-aside"),
        ("loger", "logger: 0 2"),
        ("veth-", "near veth-db, veth-web, veth-blue, veth-aside"),
        // Another number is another thing.
        ("shop-db-2", "near shop-db-1, shop-web-1"),
        ("bond1", "near bond0"),
        ("completely different", "nothing"),
        ("10.5.0.99", "nothing"),
        ("10.5.0.2/33", "nothing"),
        ("02:00:00:00:00:99", "nothing"),
        ("4000000000", "nothing"),
        ("", "nothing"),
    ] {
        let answered = answered(&catalog, text);
        wrong.extend((answered != wanted).then(|| format!("{text}: {answered:?} and not {wanted:?}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let long = "x".repeat(4_096);
    assert_eq!(answered(&catalog, &long), "nothing");
}

#[test]
fn a_process_or_a_file_means_the_pairs_of_its_namespace() {
    let host = place("process 900 (nginx)", None, true);
    let on_host = KnownPlace { container: Some(id("dddd")), ..host.clone() };
    for (text, leads_to, wanted) in [
        ("1234", place("process 1234 (nginx)", Some(4), false), "0 2"),
        ("/proc/1234/ns/net", place("process 1234 (nginx)", Some(4), false), "0 2"),
        ("/var/run/docker/netns/abc", place("/run/docker/netns/abc", Some(5), false), "1"),
        ("/run/netns/empty", place("/run/netns/empty", Some(9), false), "place"),
        ("900", host.clone(), "place"),
        ("pid=900,", on_host, "container onhost"),
        // An ifindex is meant before a process.
        ("12", host.clone(), "0"),
        ("901", place("process 901 (sleep)", None, false), "place"),
    ] {
        assert_eq!(answered(&catalog(Some(leads_to)), text), wanted, "{text}");
    }
    assert_eq!(answered(&catalog(Some(host)), "no-place"), "nothing");
}

#[test]
fn what_identifies_a_pair_is_known_without_the_rest_of_the_host() {
    let mut catalog = Catalog::new(&scene());
    catalog.add_addresses(Some(5), &addresses(&[(2, "10.5.0.3")]));
    let identified =
        |text: &str| shown(&catalog, FindAnswer::Found(catalog.identify(&Pasted::read(text.as_bytes()))));
    for (text, wanted) in [
        ("shop-web-1", "0 2"),
        ("12: veth-web@if2:", "0"),
        ("10.5.0.3:80", "1"),
        // A group may have members that have no pair, and a name in another case another owner.
        ("shop", ""),
        ("nginx", ""),
        ("SHOP-DB-1", ""),
    ] {
        assert_eq!(identified(text), wanted, "{text}");
    }
}

#[test]
fn what_is_there_without_a_veth_is_said_with_what_it_is_and_why() {
    let leads_to = place("process 77 (a\u{1b}b)", Some(9), false);
    let catalog = catalog(Some(leads_to));
    let said = |text: &str| {
        let FindAnswer::Found(found) = catalog.find(&Pasted::read(text.as_bytes())) else { panic!("{text}") };
        found.iter().filter_map(|target| catalog.absence(*target)).collect::<Vec<_>>().join("; ")
    };
    for (text, wanted) in [
        ("bond0", "bond0 on the host is no veth but a bond: it joins cards of the host"),
        ("docker0", "docker0 on the host is no veth but a bridge: no veth is attached to it"),
        (
            "10.5.0.1",
            "br-f3bcbdf77ad0 on the host is no veth but a bridge; find br-f3bcbdf77ad0 shows the 2 pairs that are attached to it",
        ),
        (
            "mv0",
            "mv0 in docker/direct (nsid 8) is no veth but a macvlan: it sends through the link that it is made on, past the host",
        ),
        ("eno1", "eno1 on the host is no veth but a network card: it leads out of the host"),
        (
            "nk0",
            "nk0 on the host is no veth but a netkit without a pair: it was made or deleted while the host was read: try again",
        ),
        (
            "nk1",
            "nk1 on the host is no veth but a netkit without a peer: it was made in single mode and has no other end",
        ),
        (
            "empty",
            "named/empty is there: a network namespace without a veth (nsid 9); it has lo, dm0 (a dummy)",
        ),
        ("init", "named/init is there: it is the host's own network namespace"),
        ("lan", "lan is a network of docker: its driver macvlan makes no veth"),
        ("idle", "idle is a network of docker (driver bridge), and no container on it has a veth"),
        (
            "77",
            "process 77 (a\\x1bb) is in a network namespace without a veth (nsid 9); it has lo, dm0 (a dummy)",
        ),
    ] {
        assert_eq!(said(text), wanted, "{text}");
    }
}

#[test]
fn an_address_that_only_the_engine_tells_means_the_pod_and_the_pair_that_it_is_of() {
    let pod = |begin: &str, name: &str, address: &str| InventoryContainer {
        addresses: vec![(String::new(), address.parse().unwrap())],
        ..InventoryContainer::new(Workload {
            id: id(begin),
            pod: name.into(),
            ..Workload::named(Runtime::Cri, "")
        })
    };
    let mut catalog = catalog(None);
    let containers = vec![
        pod("cafe", "api-0", "10.244.0.9"),
        pod("c0de", "without-a-veth", "10.244.0.10"),
        // Each of its pairs is on a network: the address may be of any.
        pod("4a35", "odd", "fd00:244::11"),
    ];
    let first = catalog.containers.len();
    catalog.add_inventory(Runtime::Cri, EngineInventory { containers, networks: Vec::new() });
    for (text, wanted) in [
        ("10.244.0.9", "4".to_owned()),
        ("10.244.0.9:8080", "4".to_owned()),
        ("http://10.244.0.9:8080/x", "4".to_owned()),
        ("10.244.0.10", "container ".to_owned()),
        ("fd00:244::11", "0 2".to_owned()),
        // Of what is found, pairs come first.
        ("10.244.0.8/30", "4".to_owned()),
        ("10.244.0.12", "nothing".to_owned()),
    ] {
        assert_eq!(answered(&catalog, text), wanted, "{text}");
    }
    assert_eq!(catalog.containers[first + 1].workload.pod, "without-a-veth");
}
