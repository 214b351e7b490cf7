//! The further networks of a pod, as Multus describes them in the pod's annotations
//! (<https://github.com/k8snetworkplumbingwg/multi-net-spec>).

use crate::model::workload::Endpoint;
use serde_json::Value;
use std::collections::HashMap;

/// The annotation in which Multus reports the networks of a pod: known for a sandbox that was made anew.
const STATUS: &str = "k8s.v1.cni.cncf.io/network-status";

/// The annotation in which the pod's author asks for networks: JSON, or a list of `NAMESPACE/NAME@INTERFACE`.
const WANTED: &str = "k8s.v1.cni.cncf.io/networks";

/// Returns the networks of a pod's further interfaces, sorted. They have no MAC address: that of an earlier
/// sandbox would contradict the interfaces of this one.
pub(super) fn endpoints(annotations: &HashMap<String, String>) -> Vec<Endpoint> {
    let reported = annotations.get(STATUS).map(|text| reported(text)).filter(|found| !found.is_empty());
    let named = reported.or_else(|| annotations.get(WANTED).map(|text| wanted(text)));
    let named = named.unwrap_or_default().into_iter();
    let named = named.filter(|(network, interface)| !network.is_empty() && !interface.is_empty());
    let endpoint = |(network, interface)| Endpoint { network, address: None, interface };
    let mut endpoints: Vec<Endpoint> = named.map(endpoint).collect();
    endpoints.sort();
    endpoints
}

/// Returns the network and the interface of each entry but that of the cluster's own network.
fn reported(text: &str) -> Vec<(String, String)> {
    let entries = list(text).into_iter().filter(|entry| entry["default"].as_bool() != Some(true));
    entries.map(|entry| (field(&entry, "name"), field(&entry, "interface"))).collect()
}

/// Returns the network and the interface of each entry. Multus calls interfaces net1, net2 ... where the
/// author has not named them.
fn wanted(text: &str) -> Vec<(String, String)> {
    let entries: Vec<(String, String)> = match text.trim_start().starts_with('[') {
        true => list(text).iter().map(|entry| (qualified(entry), field(entry, "interface"))).collect(),
        false => text.split(',').map(named).collect(),
    };
    let numbered = entries.into_iter().zip(1..).map(|((network, interface), number)| {
        let interface = if interface.is_empty() { format!("net{number}") } else { interface };
        (network, interface)
    });
    numbered.collect()
}

fn named(text: &str) -> (String, String) {
    let (network, interface) = text.trim().split_once('@').unwrap_or((text.trim(), ""));
    (network.to_owned(), interface.to_owned())
}

fn qualified(entry: &Value) -> String {
    let (namespace, name) = (field(entry, "namespace"), field(entry, "name"));
    if namespace.is_empty() || name.is_empty() { name } else { format!("{namespace}/{name}") }
}

fn list(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap_or_default()
}

fn field(entry: &Value, name: &str) -> String {
    entry[name].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(annotations: &[(&str, &str)]) -> String {
        let annotations = annotations.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        let endpoints = endpoints(&annotations.collect());
        assert!(endpoints.iter().all(|endpoint| endpoint.address.is_none()));
        let shown: Vec<String> =
            endpoints.into_iter().map(|endpoint| endpoint.network + "@" + &endpoint.interface).collect();
        shown.join(" ")
    }

    #[test]
    fn further_networks_are_those_that_multus_reports_else_those_that_are_asked_for() {
        // As Multus 4 writes it (shortened).
        let status = r#"[{"name":"kindnet","interface":"eth0","ips":["10.244.0.9"],"mac":"9a:1f:22:5c:b1:c7","default":true,"dns":{}},
            {"name":"shop/storage","interface":"net1","ips":["10.1.1.11"],"mac":"02:42:ac:12:00:02","dns":{}}]"#;
        for (annotations, wanted) in [
            (&[(STATUS, status)][..], "shop/storage@net1"),
            (&[(STATUS, status), (WANTED, "other")], "shop/storage@net1"),
            (&[(STATUS, "[]"), (WANTED, "storage")], "storage@net1"),
            (&[(WANTED, "shop/storage@fast, backup")], "backup@net2 shop/storage@fast"),
            (
                &[(WANTED, r#"[{"name":"storage","namespace":"shop"},{"name":"b","interface":"x"}]"#)],
                "b@x shop/storage@net1",
            ),
            (&[(WANTED, r#"[{"name":7},{"interface":"x"}]"#)], ""),
            (&[(WANTED, "[{")], ""),
            (&[(WANTED, "")], ""),
            (&[(STATUS, "no list")], ""),
            (&[(STATUS, r#"{"name":"a"}"#)], ""),
            (&[("other", status)], ""),
            (&[], ""),
        ] {
            assert_eq!(shown(annotations), wanted, "{annotations:?}");
        }
    }
}
