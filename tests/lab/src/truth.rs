//! Which pairs there are, in two ways: slowly and obviously from what `ip` prints in each namespace, and from what `list` prints.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::{Exporter, Netns, NetnsFolder, assert_content, describe, wait_for};

/// One end of a pair, in the words of `ip`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeenEnd {
    /// The namespace's name below /run/netns.
    pub netns: String,
    pub ifindex: u64,
    pub name: String,
    pub address: String,
    pub mtu: u64,
    pub up: bool,
    pub bridge: Option<String>,
    /// Bytes, packets and drops: received, then sent.
    pub counters: [u64; 6],
}

/// Pairs, each with the lesser end first.
pub type Pairs = BTreeSet<[SeenEnd; 2]>;

/// The pairs of a host and other namespaces by `ip`: for each veth the link in the namespace that `link_netnsid` means to its
/// own namespace, with the ifindex that `link_index` says. Panics if that one does not point back.
pub fn pairs_by_ip(host: &Netns, others: &[&Netns]) -> Pairs {
    let all: Vec<&Netns> = others.iter().copied().chain([host]).collect();
    let links: BTreeMap<&str, Value> =
        all.iter().map(|netns| (netns.name(), netns.ip_json(["-d", "-s", "link"]))).collect();
    let ids: BTreeMap<&str, Value> =
        all.iter().map(|netns| (netns.name(), netns.ip_json(["netns", "list-id"]))).collect();
    let find = |netns: &str, key: &str, value: &Value| -> Value {
        let found = links[netns].as_array().unwrap().iter().find(|link| link[key] == *value);
        found.unwrap_or_else(|| panic!("no link with {key} {value} in {netns}: {:#}", links[netns])).clone()
    };
    let peer = |netns: &str, link: &Value| -> (String, Value) {
        match link.get("link_netnsid") {
            Some(id) => {
                let entry = ids[netns].as_array().unwrap().iter().find(|entry| entry["nsid"] == *id);
                let name = entry.and_then(|entry| entry["name"].as_str());
                let name = name.unwrap_or_else(|| panic!("{id} of {netns} has no name: {:#}", ids[netns]));
                (name.to_owned(), find(name, "ifindex", &link["link_index"]))
            }
            // In one namespace `ip` says the peer's name.
            None => (netns.to_owned(), find(netns, "ifname", &link["link"])),
        }
    };
    let mut pairs = Pairs::new();
    for (&netns, list) in &links {
        for link in list.as_array().unwrap().iter().filter(|link| link["linkinfo"]["info_kind"] == "veth") {
            let (peer_netns, other) = peer(netns, link);
            let (back_netns, back) = peer(&peer_netns, &other);
            assert_eq!(
                (back_netns.as_str(), &back["ifindex"]),
                (netns, &link["ifindex"]),
                "{link} and {other}"
            );
            let bridge = |netns: &str, link: &Value| {
                let master = find(netns, "ifname", link.get("master")?);
                (master["linkinfo"]["info_kind"] == "bridge").then(|| text(&master["ifname"]))
            };
            let mut pair = [
                end_by_ip(netns, link, bridge(netns, link)),
                end_by_ip(&peer_netns, &other, bridge(&peer_netns, &other)),
            ];
            pair.sort();
            pairs.insert(pair);
        }
    }
    pairs
}

fn end_by_ip(netns: &str, link: &Value, bridge: Option<String>) -> SeenEnd {
    let counter = |way: &str, key: &str| link["stats64"][way][key].as_u64().unwrap();
    SeenEnd {
        netns: netns.to_owned(),
        ifindex: link["ifindex"].as_u64().unwrap(),
        name: text(&link["ifname"]),
        address: text(&link["address"]),
        mtu: link["mtu"].as_u64().unwrap(),
        up: link["operstate"] == "UP",
        bridge,
        counters: [
            counter("rx", "bytes"),
            counter("rx", "packets"),
            counter("rx", "dropped"),
            counter("tx", "bytes"),
            counter("tx", "packets"),
            counter("tx", "dropped"),
        ],
    }
}

/// The pairs in these rows of `list --format json`, their nsids turned to names by `ip`. Panics if one is not whole.
pub fn pairs_by_list(host: &Netns, rows: &Value) -> Pairs {
    let ids = host.ip_json(["netns", "list-id"]);
    let end = |row: &Value| {
        let netns = match &row["nsid"] {
            Value::Null => host.name().to_owned(),
            id => text(&ids.as_array().unwrap().iter().find(|entry| entry["nsid"] == *id).unwrap()["name"]),
        };
        let flow = |way: &str| ["bytes", "packets", "packets_dropped"].map(|key| format!("{way}_{key}"));
        let keys: Vec<String> = [flow("receive"), flow("transmit")].concat();
        SeenEnd {
            netns,
            ifindex: row["ifindex"].as_u64().unwrap(),
            name: text(&row["name"]),
            address: text(&row["address"]),
            mtu: row["mtu"].as_u64().unwrap(),
            up: row["up"].as_bool().unwrap(),
            bridge: row["bridge"].as_str().map(str::to_owned),
            counters: std::array::from_fn(|key| row["counters"][&keys[key]].as_u64().unwrap()),
        }
    };
    let pair = |row: &Value| {
        assert_eq!((&row["state"], row["ends"].as_array().unwrap().len()), (&"paired".into(), 2), "{row:#}");
        let mut pair = [end(&row["ends"][0]), end(&row["ends"][1])];
        pair.sort();
        pair
    };
    rows.as_array().unwrap().iter().map(pair).collect()
}

/// The pairs that `list --format json` prints of a scene, after they were found to be the pairs that `ip` sees, all of them and nothing else.
/// `explain` finds nothing there but what `ip` shows as well.
pub fn listed(host: &Netns, others: &[&Netns], folder: &NetnsFolder) -> Value {
    // A link's state and counters may be on their way: what counts is a list between two equal looks.
    let rows = wait_for(Duration::from_secs(10), "the links are at rest", || {
        let before = pairs_by_ip(host, others);
        let [flag, path] = folder.arguments();
        let output = Exporter::command(host, &["list", "--format", "json", flag, path]).output().unwrap();
        let after = pairs_by_ip(host, others);
        if before != after {
            return Err(format!("before: {before:#?}\nafter: {after:#?}"));
        }
        assert!(output.status.success() && output.stderr.is_empty(), "{}", describe(&output));
        let mut document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(document["unpaired"].as_array().map(Vec::len), Some(0), "{document:#}");
        let rows = document["pairs"].take();
        assert_eq!(pairs_by_list(host, &rows), after, "what `list` prints, and what `ip` sees");
        Ok(rows)
    });
    assert_content(host, others, folder);
    rows
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("a text: {value}")).to_owned()
}
