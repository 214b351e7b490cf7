//! What was told of the pairs: the answer of `/api/v1/pairs`, as docs/api.md describes it. What an exporter
//! of another version adds is passed over, and what it leaves out is unknown.

use serde::Deserialize;

/// The pairs of a host at one time.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct Answer {
    /// How many more there is no room for.
    #[serde(default)]
    pub summed: u64,
    pub pairs: Vec<Pair>,
}

/// A veth pair; a port comes before an interface.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Pair {
    pub state: String,
    pub ends: [End; 2],
}

/// One end of it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct End {
    pub role: String,
    /// Empty for the host.
    pub netns: String,
    /// The namespace's id as the host sees it; `None` for the host.
    pub nsid: Option<u32>,
    /// Unique within its namespace.
    pub ifindex: u32,
    /// `None`, as what follows, where the exporter may not look.
    pub name: Option<String>,
    /// Bytes.
    pub mtu: Option<u32>,
    /// The operational state is up.
    pub up: Option<bool>,
    pub address: Option<String>,
    /// The bridge or Open vSwitch that it is enslaved to.
    pub bridge: Option<String>,
    /// The kernel's running counters of a port.
    pub counters: Option<Counters>,
    /// Who lives in its namespace.
    pub workload: Option<Workload>,
    /// Who else lives there.
    pub members: Vec<Workload>,
    /// In which workload this one runs; empty if in none.
    pub parent: String,
    /// The network of an interface; empty if none is known.
    pub network: String,
    /// What was booked to an interface's labels.
    pub totals: Option<Counters>,
    /// Of the last tick.
    pub rates: Option<Rates>,
    /// The highest of a tick within the exporter's window.
    pub peaks: Option<Rates>,
}

/// A container, a pod, a named namespace, a process.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct Workload {
    /// `docker`, `named` and so on.
    pub runtime: String,
    /// Empty, as what follows, is what there is not.
    pub container: String,
    pub namespace: String,
    pub pod: String,
    /// The runtime's id of it.
    pub id: String,
    /// What it was made from.
    pub image: String,
}

/// Bytes and packets that were counted, each way.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct Counters {
    /// Bytes.
    pub receive_bytes: u64,
    /// Packets that could not be handed over.
    pub receive_packets_dropped: u64,
    /// Bytes.
    pub transmit_bytes: u64,
    /// Packets that could not be handed over.
    pub transmit_packets_dropped: u64,
}

/// Each way, in a second.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct Rates {
    /// Bytes.
    pub receive_bytes_per_second: u64,
    /// Packets.
    pub receive_packets_per_second: u64,
    /// Bytes.
    pub transmit_bytes_per_second: u64,
    /// Packets.
    pub transmit_packets_per_second: u64,
}

impl Answer {
    /// Reads an answer.
    ///
    /// # Errors
    /// If it is not JSON of that shape: one line that says where.
    pub fn read(json: &[u8]) -> Result<Answer, String> {
        serde_json::from_slice(json).map_err(|error| format!("not an answer of /api/v1/pairs: {error}"))
    }
}

impl End {
    /// Not a workload's interface.
    pub fn is_port(&self) -> bool {
        self.role == "port"
    }
}

impl Workload {
    /// `RUNTIME/CONTAINER`, `RUNTIME/NAMESPACE/POD` for a pod, as `veth-exporter list` has it.
    pub fn title(&self) -> String {
        let parts = [&self.runtime, &self.namespace, &self.pod, &self.container];
        parts.into_iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join("/")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A container on the network `front`, with these rates.
    pub(crate) fn pair_of(container: &str, ifindex: u32, receive: u64, transmit: u64) -> Pair {
        let counted = |times| Counters {
            receive_bytes: receive.saturating_mul(times),
            transmit_bytes: transmit.saturating_mul(times),
            receive_packets_dropped: u64::from(ifindex),
            ..Counters::default()
        };
        let rates = |times| Rates {
            receive_bytes_per_second: receive.saturating_mul(times),
            transmit_bytes_per_second: transmit.saturating_mul(times),
            ..Rates::default()
        };
        let port = End {
            role: "port".into(),
            ifindex,
            name: Some(format!("veth{ifindex}")),
            mtu: Some(1500),
            up: Some(true),
            address: Some("32:e3:b5:aa:c8:f4".into()),
            bridge: Some("br-front".into()),
            counters: Some(Counters::default()),
            ..End::default()
        };
        let interface = End {
            role: "interface".into(),
            netns: format!("docker/{container}"),
            nsid: Some(ifindex),
            ifindex: 2,
            name: Some("eth0".into()),
            address: Some("02:42:ac:12:00:02".into()),
            workload: Some(Workload {
                runtime: "docker".into(),
                container: container.into(),
                id: "81686e7a420d".into(),
                image: "shop/app:3".into(),
                ..Workload::default()
            }),
            network: "front".into(),
            totals: Some(counted(10)),
            rates: Some(rates(1)),
            peaks: Some(rates(3)),
            ..End::default()
        };
        Pair { state: "paired".into(), ends: [port, interface] }
    }

    /// Two ports of the host.
    pub(crate) fn bridge_pair() -> Pair {
        let mut pair = pair_of("none", 90, 0, 0);
        pair.ends[1] = End { ifindex: 91, name: Some("veth91".into()), ..pair.ends[0].clone() };
        pair
    }

    #[test]
    fn what_another_version_adds_or_leaves_out_is_no_error() {
        let answer = Answer::read(
            br#"{"matched":1,"new":[],"pairs":[{"state":"paired","since":7,
                 "ends":[{"role":"port","ifindex":3,"totals":null,"colour":"red"},{"role":"interface","netns":"docker/web"}]}]}"#,
        )
        .unwrap();
        assert_eq!(
            (answer.pairs[0].ends[0].ifindex, answer.pairs[0].ends[1].netns.as_str()),
            (3, "docker/web")
        );
    }

    #[test]
    fn what_is_no_answer_is_refused_with_the_place() {
        for bad in
            ["", "<html>", "[]", r#"{"pairs":[{"state":"paired","ends":[]}]}"#, r#"{"pairs":[{"state":1}]}"#]
        {
            let error = Answer::read(bad.as_bytes()).unwrap_err();
            assert!(error.contains("/api/v1/pairs") && error.contains("line 1"), "{bad}: {error}");
        }
        assert!(Answer::read(&b"[".repeat(100_000)).is_err());
    }
}
