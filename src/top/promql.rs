//! The queries for the series of a pair.

use crate::exposition::json::row::{EndRow, PairRow};
use crate::model::text::misleads;
use std::fmt::Write;

/// The range of a rate. At Prometheus' default interval of a minute, `[1m]` has a single sample and no rate.
const RANGE: &str = "[5m]";

/// Returns the queries that show in Prometheus the same as this end's row: the workload's rates and peaks,
/// and the other end's own counters if that is a port.
pub(super) fn queries(pair: &PairRow<'_>, own: usize) -> Vec<String> {
    let mut queries = Vec::new();
    for (end, other) in [(own, 1 - own), (1 - own, own)] {
        let (end, other) = (&pair.ends[end], &pair.ends[other]);
        if end.place.is_port() {
            let labels = selector(&device_labels(end));
            let rate = |way| format!("rate(veth_device_{way}_bytes_total{labels}{RANGE})");
            queries.extend(["receive", "transmit"].map(rate));
        } else if other.place.is_port() || std::ptr::eq(end, &pair.ends[own]) {
            let labels = selector(&workload_labels(end));
            let rate = |way| format!("rate(veth_container_{way}_bytes_total{labels}{RANGE})");
            queries.extend(["receive", "transmit"].map(rate));
            let peak = |way| format!("veth_container_{way}_peak_bytes_per_second{labels}");
            queries.extend(["receive", "transmit"].map(peak));
        }
    }
    queries
}

type Labels<'a> = Vec<(&'static str, &'a str)>;

fn device_labels<'a>(port: &'a EndRow<'_>) -> Labels<'a> {
    // An empty `netns` matches ports of the host, which have no such label.
    vec![("device", port.place.name.as_deref().unwrap_or_default()), ("netns", &port.place.netns)]
}

fn workload_labels<'a>(interface: &'a EndRow<'_>) -> Labels<'a> {
    let name = match interface.totals {
        // The workload is beyond its limit of label sets.
        None if interface.place.workload.is_some() && !interface.shared => "other",
        _ => interface.place.name.as_deref().unwrap_or_default(),
    };
    let mut labels = match &interface.place.workload {
        Some(workload) => vec![
            ("runtime", &*workload.runtime),
            ("container", &workload.container),
            ("namespace", &workload.namespace),
            ("pod", &workload.pod),
        ],
        None => vec![("runtime", "unknown"), ("container", "")],
    };
    labels.push(("interface", name));
    if name != "other" {
        labels.push(("network", &interface.place.network));
    }
    // An empty `container` stays in the query: a pod's own traffic has none.
    labels.retain(|(label, value)| *label == "container" || !value.is_empty());
    labels
}

fn selector(labels: &Labels<'_>) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={}", quoted(value))).collect();
    format!("{{{}}}", pairs.join(","))
}

/// Returns a string of PromQL, with the escapes of Go: no character of it is a control code for a terminal.
fn quoted(value: &str) -> String {
    let mut out = String::from("\"");
    for c in value.chars() {
        // Writing to a string cannot fail.
        let _ = match u32::from(c) {
            _ if matches!(c, '"' | '\\') => write!(out, "\\{c}"),
            code if misleads(c) => match code {
                ..=0xffff => write!(out, "\\u{code:04x}"),
                _ => write!(out, "\\U{code:08x}"),
            },
            _ => out.write_char(c),
        };
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::tests::{bridge_pair, pair_of};

    #[test]
    fn a_workload_is_asked_for_by_its_labels_and_its_port_by_the_device() {
        assert_eq!(
            queries(&pair_of("web", 7, 100, 200), 1),
            [
                r#"rate(veth_container_receive_bytes_total{runtime="docker",container="web",interface="eth0",network="front"}[5m])"#,
                r#"rate(veth_container_transmit_bytes_total{runtime="docker",container="web",interface="eth0",network="front"}[5m])"#,
                r#"veth_container_receive_peak_bytes_per_second{runtime="docker",container="web",interface="eth0",network="front"}"#,
                r#"veth_container_transmit_peak_bytes_per_second{runtime="docker",container="web",interface="eth0",network="front"}"#,
                r#"rate(veth_device_receive_bytes_total{device="veth7",netns=""}[5m])"#,
                r#"rate(veth_device_transmit_bytes_total{device="veth7",netns=""}[5m])"#,
            ]
        );
    }

    #[test]
    fn two_ports_are_asked_for_as_devices() {
        let queries = queries(&bridge_pair(), 0);
        assert_eq!(queries.len(), 4);
        assert!(queries.iter().all(|query| query.contains("veth_device_")), "{queries:#?}");
    }

    #[test]
    fn hostile_values_stay_within_their_quotes() {
        assert_eq!(quoted("a\"b\\c\u{1b}[2J\n\u{202e}日"), r#""a\"b\\c\u001b[2J\u000a\u202e日""#);
        assert_eq!(quoted("\u{e0001}"), r#""\U000e0001""#);
    }
}
