//! A pair as the API shows it.

use crate::model::ledger::{LabelSet, Traffic};
use crate::model::link::{Counters, Link, Mac, Name};
use crate::model::pairing::Role;
use crate::model::peak::Rates;
use crate::model::view::{ShownPair, ShownSide, View};
use crate::model::workload::Workload;
use serde::Serialize;
use std::borrow::Cow;
use std::fmt::Display;
use std::time::Duration;

/// Where the numbers of label sets are found.
#[derive(Clone, Copy)]
pub(crate) struct LabelTotals<'a> {
    pub view: &'a View,
    /// When the view's times begin, since 1970 began.
    pub epoch: Duration,
}

impl<'a> LabelTotals<'a> {
    /// Which of the view's label sets this is; `None` if its traffic is counted under `interface="other"`.
    fn place(self, labels: &LabelSet) -> Option<usize> {
        self.view.scene.workloads.binary_search_by(|known| (**known).cmp(labels)).ok()
    }

    /// What was booked to these labels.
    pub(crate) fn traffic(self, labels: &LabelSet) -> Option<&'a Traffic> {
        self.view.workloads.get(self.place(labels)?)
    }

    /// Their rates of the last tick.
    pub(crate) fn rates(self, labels: &LabelSet) -> Option<&'a Rates> {
        self.view.rates.get(self.place(labels)?)?.as_ref()
    }

    pub(crate) fn peaks(self, labels: &LabelSet) -> Option<&'a Rates> {
        self.view.peaks.get(self.place(labels)?)?.as_ref()
    }

    fn begun(self, labels: &LabelSet) -> Option<Duration> {
        Some(self.epoch + *self.view.scene.workloads_begun.get(self.place(labels)?)?)
    }
}

#[derive(Serialize)]
pub(crate) struct PairRow<'a> {
    state: &'static str,
    ends: [EndRow<'a>; 2],
}

/// One end of it.
#[derive(Serialize)]
struct EndRow<'a> {
    #[serde(flatten)]
    place: PlaceRow<'a>,
    carrier_changes: Option<u32>,
    counters: Option<CounterRow>,
    totals: Option<TotalRow>,
    rates: Option<RateRow>,
    peaks: Option<RateRow>,
}

/// What an end is, where, and whose: what only changes when something appears, vanishes or is renamed.
#[derive(Serialize)]
pub(crate) struct PlaceRow<'a> {
    role: &'static str,
    netns: Cow<'a, str>,
    nsid: Option<u32>,
    ifindex: u32,
    name: Option<AsDisplayed<Name>>,
    mtu: Option<u32>,
    up: Option<bool>,
    address: Option<AsDisplayed<Mac>>,
    bridge: Option<AsDisplayed<Name>>,
    workload: Option<WorkloadRow<'a>>,
    members: Vec<WorkloadRow<'a>>,
    parent: &'a str,
    network: &'a str,
}

/// Of a port the kernel's running counters, of an interface's labels what was booked to them.
#[derive(Serialize)]
struct CounterRow {
    receive_bytes: u64,
    receive_packets: u64,
    receive_packets_dropped: u64,
    transmit_bytes: u64,
    transmit_packets: u64,
    transmit_packets_dropped: u64,
}

/// Who lives in the end's namespace. Empty is what there is not.
#[derive(Serialize)]
struct WorkloadRow<'a> {
    runtime: &'static str,
    container: &'a str,
    namespace: &'a str,
    pod: &'a str,
    id: &'a str,
    image: &'a str,
    compose_project: &'a str,
    compose_service: &'a str,
}

/// What was booked to the interface's labels.
#[derive(Serialize)]
struct TotalRow {
    /// Since when, in seconds since 1970 began.
    since: Option<f64>,
    #[serde(flatten)]
    counted: CounterRow,
}

#[derive(Serialize)]
struct RateRow {
    receive_bytes_per_second: u64,
    receive_packets_per_second: u64,
    transmit_bytes_per_second: u64,
    transmit_packets_per_second: u64,
}

/// As it is displayed: bytes that are not UTF-8 as in the metrics.
struct AsDisplayed<T>(T);

impl<T: Display> Serialize for AsDisplayed<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'a> PairRow<'a> {
    /// The view's pair of this number; a port comes before an interface.
    pub(crate) fn new(totals: &LabelTotals<'a>, pair: usize) -> PairRow<'a> {
        let view = totals.view;
        let ShownPair { sides: [first, second], state } = &*view.scene.pairs[pair];
        let [a, b] = &view.samples[pair];
        let mut ends = [EndRow::new(*totals, first, a), EndRow::new(*totals, second, b)];
        if (first.role, second.role) == (Role::Interface, Role::Port) {
            ends.swap(0, 1);
        }
        PairRow { state: state.as_str(), ends }
    }
}

impl<'a> EndRow<'a> {
    fn new(totals: LabelTotals<'a>, side: &'a ShownSide, counters: &Counters) -> EndRow<'a> {
        let link: Option<&Link> = side.link.as_ref().filter(|_| !side.hidden);
        let labels = side.labels.as_ref().filter(|_| !side.hidden);
        EndRow {
            place: PlaceRow::new(side),
            carrier_changes: link.map(|link| link.carrier_changes),
            // A namespace is not read at each scrape: what an interface counts is not known of now.
            counters: link.filter(|_| side.role == Role::Port).map(|_| CounterRow::of_link(counters)),
            totals: labels.and_then(|labels| {
                let since = totals.begun(labels).map(|begun| begun.as_millis() as f64 / 1e3);
                Some(TotalRow { since, counted: CounterRow::of_workload(totals.traffic(labels)?) })
            }),
            rates: labels.and_then(|labels| totals.rates(labels)).map(RateRow::new),
            peaks: labels.and_then(|labels| totals.peaks(labels)).map(RateRow::new),
        }
    }
}

impl<'a> PlaceRow<'a> {
    /// Of an end that the user does not want to see no more than its namespace's id.
    pub(crate) fn new(side: &'a ShownSide) -> PlaceRow<'a> {
        let link = side.link.as_ref().filter(|_| !side.hidden);
        let ownership = side.ownership.as_deref().filter(|_| !side.hidden);
        let labels = side.labels.as_ref().filter(|_| !side.hidden);
        PlaceRow {
            role: match side.role {
                Role::Port => "port",
                Role::Interface => "interface",
            },
            // Empty for the host.
            netns: match side.end.netns.nsid() {
                Some(nsid) if side.hidden => Cow::Owned(format!("nsid-{nsid}")),
                _ => Cow::Borrowed(&side.netns),
            },
            nsid: side.end.netns.nsid(),
            ifindex: side.end.ifindex,
            name: link.map(|link| AsDisplayed(link.name)),
            mtu: link.map(|link| link.mtu),
            up: link.map(|link| link.up),
            address: link.and_then(|link| link.address).map(AsDisplayed),
            bridge: side.bridge.filter(|_| !side.hidden).map(AsDisplayed),
            workload: ownership.map(|ownership| WorkloadRow::new(&ownership.owner)),
            members: ownership
                .iter()
                .flat_map(|ownership| &ownership.members)
                .map(WorkloadRow::new)
                .collect(),
            parent: ownership.map_or("", |ownership| &ownership.parent),
            network: labels.map_or("", |labels| &labels.network),
        }
    }
}

impl CounterRow {
    fn of_link(counters: &Counters) -> CounterRow {
        CounterRow {
            receive_bytes: counters.receive_bytes,
            receive_packets: counters.receive_packets,
            receive_packets_dropped: counters.receive_dropped,
            transmit_bytes: counters.transmit_bytes,
            transmit_packets: counters.transmit_packets,
            transmit_packets_dropped: counters.transmit_dropped,
        }
    }

    fn of_workload(Traffic { receive, transmit }: &Traffic) -> CounterRow {
        CounterRow {
            receive_bytes: receive.bytes,
            receive_packets: receive.packets,
            receive_packets_dropped: receive.dropped,
            transmit_bytes: transmit.bytes,
            transmit_packets: transmit.packets,
            transmit_packets_dropped: transmit.dropped,
        }
    }
}

impl<'a> WorkloadRow<'a> {
    pub(crate) fn new(workload: &'a Workload) -> WorkloadRow<'a> {
        WorkloadRow {
            runtime: workload.runtime.as_str(),
            container: &workload.name,
            namespace: &workload.namespace,
            pod: &workload.pod,
            id: &workload.id,
            image: &workload.image,
            compose_project: &workload.compose_project,
            compose_service: &workload.compose_service,
        }
    }
}

impl RateRow {
    fn new(rates: &Rates) -> RateRow {
        RateRow {
            receive_bytes_per_second: rates.receive_bytes,
            receive_packets_per_second: rates.receive_packets,
            transmit_bytes_per_second: rates.transmit_bytes,
            transmit_packets_per_second: rates.transmit_packets,
        }
    }
}
