//! The answer of `/api/v1/pairs`, as docs/api.md describes it. Fields that an exporter of another version
//! adds are ignored, and fields that it leaves out are unknown.

use serde::Deserialize;

/// The pairs of a host at one time.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct ApiAnswer {
    /// The number of pairs beyond the limit of series, which the answer leaves out.
    #[serde(default)]
    pub summed: u64,
    pub pairs: Vec<ApiPair>,
}

/// A veth pair; a port comes before an interface.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct ApiPair {
    pub state: String,
    pub ends: [ApiEnd; 2],
}

/// One end of a veth pair.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct ApiEnd {
    pub role: String,
    /// Empty for the host.
    pub netns: String,
    /// The namespace's id as the host sees it; `None` for the host.
    pub nsid: Option<u32>,
    /// Unique within its namespace.
    pub ifindex: u32,
    /// `None`, as the fields below, if the exporter may not look into the namespace.
    pub name: Option<String>,
    /// Bytes.
    pub mtu: Option<u32>,
    /// True if the operational state is up.
    pub up: Option<bool>,
    pub address: Option<String>,
    /// The bridge or Open vSwitch that the end is enslaved to.
    pub bridge: Option<String>,
    /// The kernel's running counters of a port.
    pub counters: Option<ApiCounters>,
    /// The owner of the end's namespace.
    pub workload: Option<ApiWorkload>,
    /// The other workloads in the namespace.
    pub members: Vec<ApiWorkload>,
    /// The outer workload that the owner runs in; empty if there is none.
    pub parent: String,
    /// The network of an interface; empty if none is known.
    pub network: String,
    /// The totals booked to an interface's labels.
    pub totals: Option<ApiCounters>,
    /// The rates of the last tick.
    pub rates: Option<ApiRates>,
    /// The highest rates of a tick within the exporter's window.
    pub peaks: Option<ApiRates>,
}

/// A container, a pod, a named namespace, a process.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct ApiWorkload {
    /// The runtime's name: `docker`, `named` and so on.
    pub runtime: String,
    /// Empty, as the fields below, if the workload has none.
    pub container: String,
    pub namespace: String,
    pub pod: String,
    /// The runtime's id of the workload.
    pub id: String,
    /// The image of the container.
    pub image: String,
}

/// Counted bytes and packets, each way.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct ApiCounters {
    /// Bytes.
    pub receive_bytes: u64,
    /// Packets that could not be handed over.
    pub receive_packets_dropped: u64,
    /// Bytes.
    pub transmit_bytes: u64,
    /// Packets that could not be handed over.
    pub transmit_packets_dropped: u64,
}

/// Rates per second, each way.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct ApiRates {
    /// Bytes.
    pub receive_bytes_per_second: u64,
    /// Packets.
    pub receive_packets_per_second: u64,
    /// Bytes.
    pub transmit_bytes_per_second: u64,
    /// Packets.
    pub transmit_packets_per_second: u64,
}

impl ApiAnswer {
    /// Parses an answer.
    ///
    /// # Errors
    /// Fails if the text is not JSON of that shape: one line that names the position.
    pub fn read(json: &[u8]) -> Result<ApiAnswer, String> {
        serde_json::from_slice(json).map_err(|error| format!("not an answer of /api/v1/pairs: {error}"))
    }
}

impl ApiEnd {
    /// Returns true if the end is not a workload's interface.
    pub fn is_port(&self) -> bool {
        self.role == "port"
    }
}

impl ApiWorkload {
    /// Returns `RUNTIME/CONTAINER`, or `RUNTIME/NAMESPACE/POD` for a pod, as `veth-exporter list` prints it.
    pub fn title(&self) -> String {
        let parts = [&self.runtime, &self.namespace, &self.pod, &self.container];
        parts.into_iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join("/")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns the pair of a container on the network `front`, with these rates.
    pub(crate) fn pair_of(container: &str, ifindex: u32, receive: u64, transmit: u64) -> ApiPair {
        let counted = |times| ApiCounters {
            receive_bytes: receive.saturating_mul(times),
            transmit_bytes: transmit.saturating_mul(times),
            receive_packets_dropped: u64::from(ifindex),
            ..ApiCounters::default()
        };
        let rates = |times| ApiRates {
            receive_bytes_per_second: receive.saturating_mul(times),
            transmit_bytes_per_second: transmit.saturating_mul(times),
            ..ApiRates::default()
        };
        let port = ApiEnd {
            role: "port".into(),
            ifindex,
            name: Some(format!("veth{ifindex}")),
            mtu: Some(1500),
            up: Some(true),
            address: Some("32:e3:b5:aa:c8:f4".into()),
            bridge: Some("br-front".into()),
            counters: Some(ApiCounters::default()),
            ..ApiEnd::default()
        };
        let interface = ApiEnd {
            role: "interface".into(),
            netns: format!("docker/{container}"),
            nsid: Some(ifindex),
            ifindex: 2,
            name: Some("eth0".into()),
            address: Some("02:42:ac:12:00:02".into()),
            workload: Some(ApiWorkload {
                runtime: "docker".into(),
                container: container.into(),
                id: "81686e7a420d".into(),
                image: "shop/app:3".into(),
                ..ApiWorkload::default()
            }),
            network: "front".into(),
            totals: Some(counted(10)),
            rates: Some(rates(1)),
            peaks: Some(rates(3)),
            ..ApiEnd::default()
        };
        ApiPair { state: "paired".into(), ends: [port, interface] }
    }

    /// Returns a pair of two ports of the host.
    pub(crate) fn bridge_pair() -> ApiPair {
        let mut pair = pair_of("none", 90, 0, 0);
        pair.ends[1] = ApiEnd { ifindex: 91, name: Some("veth91".into()), ..pair.ends[0].clone() };
        pair
    }

    #[test]
    fn what_another_version_adds_or_leaves_out_is_no_error() {
        let answer = ApiAnswer::read(
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
            let error = ApiAnswer::read(bad.as_bytes()).unwrap_err();
            assert!(error.contains("/api/v1/pairs") && error.contains("line 1"), "{bad}: {error}");
        }
        assert!(ApiAnswer::read(&b"[".repeat(100_000)).is_err());
    }
}
