//! The pairs that the tests of `top` show.

use crate::exposition::json::problem::{ProblemRow, SubjectRow};
use crate::exposition::json::row::{CounterRow, EndRow, PairRow, PlaceRow, RateRow, TotalRow, WorkloadRow};

/// Returns the pair of a container on the network `front`, with these rates.
pub(crate) fn pair_of(container: &str, ifindex: u32, receive: u64, transmit: u64) -> PairRow<'static> {
    let counted = CounterRow {
        receive_bytes: receive.saturating_mul(10),
        transmit_bytes: transmit.saturating_mul(10),
        receive_packets_dropped: u64::from(ifindex),
        ..CounterRow::default()
    };
    let rates = |times| RateRow {
        receive_bytes_per_second: receive.saturating_mul(times),
        transmit_bytes_per_second: transmit.saturating_mul(times),
        ..RateRow::default()
    };
    let port = PlaceRow {
        role: "port".into(),
        ifindex,
        name: Some(format!("veth{ifindex}").into()),
        mtu: Some(1500),
        up: Some(true),
        address: Some("32:e3:b5:aa:c8:f4".into()),
        kind: Some("veth".into()),
        bridge: Some("br-front".into()),
        master: Some("br-front".into()),
        master_kind: Some("bridge".into()),
        ..PlaceRow::default()
    };
    let interface = PlaceRow {
        role: "interface".into(),
        netns: format!("docker/{container}").into(),
        nsid: Some(ifindex),
        ifindex: 2,
        name: Some("eth0".into()),
        address: Some("02:42:ac:12:00:02".into()),
        workload: Some(WorkloadRow {
            runtime: "docker".into(),
            container: container.to_owned().into(),
            id: "81686e7a420d".into(),
            image: "shop/app:3".into(),
            compose_project: "shop".into(),
            compose_service: "backend".into(),
            ..WorkloadRow::default()
        }),
        network: "front".into(),
        ..PlaceRow::default()
    };
    // A port could not deliver what its workload did not receive.
    let dropped = CounterRow { transmit_packets_dropped: u64::from(ifindex), ..CounterRow::default() };
    let port = EndRow { place: port, counters: Some(dropped), ..EndRow::default() };
    let interface = EndRow {
        place: interface,
        totals: Some(TotalRow { since: None, counted, periods: None }),
        rates: Some(rates(1)),
        peaks: Some(rates(3)),
        ..EndRow::default()
    };
    PairRow { state: "paired".into(), ends: [port, interface] }
}

/// Returns a pair of two ports of the host.
pub(crate) fn bridge_pair() -> PairRow<'static> {
    let mut pair = pair_of("none", 90, 0, 0);
    pair.ends[0].counters = Some(CounterRow::default());
    let place = PlaceRow { ifindex: 91, name: Some("veth91".into()), ..pair.ends[0].place.clone() };
    pair.ends[1] = EndRow { place, ..pair.ends[0].clone() };
    pair
}

/// Returns a member of another container's namespace.
pub(crate) fn member(container: &str) -> WorkloadRow<'static> {
    WorkloadRow {
        runtime: "docker".into(),
        container: container.to_owned().into(),
        id: format!("id-of-{container}").into(),
        ..WorkloadRow::default()
    }
}

/// Returns the pair, of whose packets some are dropped.
pub(crate) fn dropping(mut pair: PairRow<'static>, per_second: u64) -> PairRow<'static> {
    if let Some(rates) = &mut pair.ends[1].rates {
        rates.receive_packets_dropped_per_second = Some(per_second);
        rates.transmit_packets_dropped_per_second = Some(0);
        rates.receive_packets_per_second = 2_000;
    }
    pair
}

/// Returns a problem without a subject.
pub(crate) fn problem(kind: &'static str, severity: &'static str, text: &'static str) -> ProblemRow<'static> {
    ProblemRow {
        kind: kind.into(),
        severity: severity.into(),
        text: text.into(),
        remedy: "Look at it.".into(),
        since: Some(1_000.0),
        ..ProblemRow::default()
    }
}

/// Returns the problem of a container whose port `veth<ifindex>` is down.
pub(crate) fn down(container: &str, ifindex: u32) -> ProblemRow<'static> {
    let subject = SubjectRow {
        runtime: "docker".into(),
        workload: container.to_owned().into(),
        device: format!("veth{ifindex}").into(),
        interface: "eth0".into(),
        ..SubjectRow::default()
    };
    let text = format!("The port veth{ifindex} of {container} is down");
    ProblemRow { subject, text: text.into(), ..problem("link_down", "critical", "") }
}
