//! The row of a pair: the same in the API, in `list`, in `find` and in `top`; the stream has its place alone.
//!
//! A row borrows from the view that it is made of; one that is read from JSON owns its texts.

use crate::model::label;
use crate::model::ledger::Traffic;
use crate::model::link::{Counters, Link, LinkKind, Name};
use crate::model::pairing::{EndState, Role};
use crate::model::peak::Rates;
use crate::model::periods::{ByPeriod, ByteSums, Period};
use crate::model::text::Readable;
use crate::model::view::{DropRates, Ownership, PairTotal, ShownPair, ShownSide, TotalsBegun, View};
use crate::model::workload::Workload;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::time::Duration;

/// A pair; a port comes before an interface. `E` is the type of its ends.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct PairRow<'a, E = [EndRow<'a>; 2]> {
    pub state: Cow<'a, str>,
    pub ends: E,
}

/// One end of a pair.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct EndRow<'a> {
    #[serde(flatten)]
    pub place: PlaceRow<'a>,
    /// The kernel's running counters; of an interface only where the host was read once.
    pub counters: Option<CounterRow>,
    /// True if other pairs carry the labels of this interface as well: the totals and the peaks of the labels
    /// are not the pair's own, and are left out.
    pub shared: bool,
    /// The totals booked to the interface's labels.
    pub totals: Option<TotalRow>,
    /// The pair's own rates in the last tick.
    pub rates: Option<RateRow>,
    /// The highest rates of a tick within the exporter's window.
    pub peaks: Option<RateRow>,
}

/// The part of an end that changes only when something appears, vanishes, moves or is renamed.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct PlaceRow<'a> {
    /// The role: `port` or `interface`.
    pub role: Cow<'a, str>,
    /// Empty for the host.
    pub netns: Cow<'a, str>,
    /// The namespace's id as the host sees it; `None` for the host.
    pub nsid: Option<u32>,
    /// Unique within its namespace.
    pub ifindex: u32,
    /// `None`, as the fields below, if the exporter may not read the namespace.
    pub name: Option<Cow<'a, str>>,
    /// Bytes.
    pub mtu: Option<u32>,
    /// True if the operational state is up.
    pub up: Option<bool>,
    /// True if the administrative state is up.
    pub enabled: Option<bool>,
    /// The ups and downs of the carrier, together.
    pub carrier_changes: Option<u32>,
    /// The kind of the root queue discipline.
    pub qdisc: Option<Cow<'a, str>>,
    pub address: Option<Cow<'a, str>>,
    /// The driver: `veth` or `netkit`.
    pub kind: Option<Cow<'a, str>>,
    /// The bridge or Open vSwitch that the end is enslaved to.
    pub bridge: Option<Cow<'a, str>>,
    /// The link that the end is enslaved to: a bridge, a bond, a VRF ...
    pub master: Option<Cow<'a, str>>,
    /// The driver of the master; `None` for a driver that the exporter does not know.
    pub master_kind: Option<Cow<'a, str>>,
    /// The owner of the end's namespace.
    pub workload: Option<WorkloadRow<'a>>,
    /// The other workloads in the namespace.
    pub members: Vec<WorkloadRow<'a>>,
    /// The outer workload that the owner runs in; empty if there is none.
    pub parent: Cow<'a, str>,
    /// The network of an interface; empty if none is known.
    pub network: Cow<'a, str>,
}

/// A container, a pod, a named namespace or a process; a text that it does not have is empty.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct WorkloadRow<'a> {
    /// The runtime's name: `docker`, `named` and so on.
    pub runtime: Cow<'a, str>,
    pub container: Cow<'a, str>,
    pub namespace: Cow<'a, str>,
    pub pod: Cow<'a, str>,
    /// The runtime's id of the workload.
    pub id: Cow<'a, str>,
    pub image: Cow<'a, str>,
    pub compose_project: Cow<'a, str>,
    pub compose_service: Cow<'a, str>,
    /// The time at which the runtime started it, in seconds since 1970 began; known of the owner of a
    /// namespace alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<f64>,
}

/// Counted bytes and packets, each way.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct CounterRow {
    pub receive_bytes: u64,
    pub receive_packets: u64,
    pub receive_packets_dropped: u64,
    pub transmit_bytes: u64,
    pub transmit_packets: u64,
    pub transmit_packets_dropped: u64,
}

/// The totals booked to an interface's labels.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct TotalRow {
    /// The time at which the totals began, in seconds since 1970 began.
    pub since: Option<f64>,
    #[serde(flatten)]
    pub counted: CounterRow,
    /// The parts of the totals that were booked in the present periods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub periods: Option<PeriodsRow>,
}

/// The bytes booked to an interface's labels in the present periods of the exporter's time zone.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct PeriodsRow {
    pub today: PeriodRow,
    pub month: PeriodRow,
}

/// The bytes booked in a period.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct PeriodRow {
    /// The time from which they are counted, in seconds since 1970 began: the beginning of the period, or of
    /// the totals if that is later.
    pub since: Option<f64>,
    pub receive_bytes: u64,
    pub transmit_bytes: u64,
}

/// Rates per second, each way.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct RateRow {
    /// Bytes.
    pub receive_bytes_per_second: u64,
    /// Packets.
    pub receive_packets_per_second: u64,
    /// Bytes.
    pub transmit_bytes_per_second: u64,
    /// Packets.
    pub transmit_packets_per_second: u64,
    /// Packets that were to be received and were dropped; absent from peaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receive_packets_dropped_per_second: Option<u64>,
    /// Packets that were sent and dropped; absent from peaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transmit_packets_dropped_per_second: Option<u64>,
}

/// A view, and what it takes to make rows of it.
#[derive(Clone, Copy)]
pub(crate) struct RowSource<'a> {
    view: &'a View,
    /// The time at which the view's times begin, since 1970 began; `None` if the host was read once. Then
    /// the counters of interfaces are as new as those of ports, and nothing was counted over time.
    epoch: Option<Duration>,
}

impl<'a> RowSource<'a> {
    /// Makes rows of an exporter that runs; its times begin at `epoch`, since 1970 began.
    pub(crate) fn running(view: &'a View, epoch: Duration) -> RowSource<'a> {
        RowSource { view, epoch: Some(epoch) }
    }

    /// Makes rows of a host that was read once.
    pub(crate) fn once(view: &'a View) -> RowSource<'a> {
        RowSource { view, epoch: None }
    }

    pub(crate) fn view(self) -> &'a View {
        self.view
    }

    /// Returns the time at which the view's times begin, since 1970 began; `None` if the host was read once.
    pub(crate) fn epoch(self) -> Option<Duration> {
        self.epoch
    }

    /// Returns the total that a side of a pair is booked to.
    fn total(self, pair: usize, side: usize) -> Option<PairTotal> {
        self.view.scene.pair_totals.get(pair)?[side]
    }

    /// Returns the index of the total that only this side of this pair is booked to.
    fn own_total(self, pair: usize, side: usize) -> Option<usize> {
        self.view.own_total(pair, side).filter(|_| self.epoch.is_some())
    }

    /// Returns the traffic that was booked to the labels of a side, if no other pair carries them.
    pub(crate) fn traffic(self, pair: usize, side: usize) -> Option<&'a Traffic> {
        self.view.workloads.get(self.own_total(pair, side)?)
    }

    /// Returns the peaks of the labels of a side, if no other pair carries them.
    pub(crate) fn peaks(self, pair: usize, side: usize) -> Option<Rates> {
        *self.view.peaks.get(self.own_total(pair, side)?)?
    }

    /// Returns the pair's own rates in the last tick as seen by an interface; a port has none.
    pub(crate) fn rates(self, pair: usize, side: usize) -> Option<Rates> {
        self.view.scene.pairs[pair].sides[side].labels.as_ref()?;
        self.view.own_rates(pair, side)
    }

    fn total_row(self, pair: usize, side: usize) -> Option<TotalRow> {
        let (index, traffic) = (self.own_total(pair, side)?, self.traffic(pair, side)?);
        let TotalsBegun { workloads, periods, bases, .. } = &self.view.scene.begun;
        let begun = workloads.get(index).zip(self.epoch).map(|(begun, epoch)| epoch + *begun);
        let periods = periods.zip(bases.get(index)).zip(begun).map(|((periods, bases), begun)| {
            let row =
                |period: Period, base: ByteSums| PeriodRow::new(period.since.max(begun), base.until(traffic));
            let ByPeriod { today, month } = periods.with(*bases, row);
            PeriodsRow { today, month }
        });
        Some(TotalRow { since: begun.map(seconds), counted: CounterRow::of_workload(traffic), periods })
    }

    /// Returns the row of the view's pair with this index.
    pub(crate) fn pair(self, pair: usize) -> PairRow<'a> {
        let ShownPair { sides: [first, second], state } = &*self.view.scene.pairs[pair];
        let mut ends = [0, 1].map(|side| self.end(pair, side));
        if (first.role, second.role) == (Role::Interface, Role::Port) {
            ends.swap(0, 1);
        }
        PairRow { state: state.as_str().into(), ends }
    }

    /// Returns the row of one end; of a hidden end no numbers.
    fn end(self, pair: usize, side: usize) -> EndRow<'a> {
        let shown = &self.view.scene.pairs[pair].sides[side];
        let place = PlaceRow::new(shown);
        if shown.hidden {
            return EndRow { place, ..EndRow::default() };
        }
        let link = shown.link.as_ref();
        // The namespaces of interfaces are not read at each scrape.
        let is_read = link.is_some() && (shown.role == Role::Port || self.epoch.is_none());
        EndRow {
            counters: is_read.then(|| CounterRow::of_link(&self.view.samples[pair][side])),
            shared: self.total(pair, side).is_some_and(|total| total.shared),
            totals: self.total_row(pair, side),
            rates: self
                .rates(pair, side)
                .map(|rates| RateRow::new(rates).with_drops(self.view.own_drops(pair, side))),
            peaks: self.peaks(pair, side).map(RateRow::new),
            place,
        }
    }
}

impl<'a> PairRow<'a, [EndRow<'a>; 1]> {
    /// Returns the row of an end without a pair; `state` says why it has none.
    pub(crate) fn unpaired(side: &'a ShownSide, state: EndState) -> Self {
        let end = EndRow { place: PlaceRow::new(side), ..EndRow::default() };
        PairRow { state: state.as_str().into(), ends: [end] }
    }
}

impl<'a> PlaceRow<'a> {
    /// Returns the place of an end; of a hidden end no more than its index and its namespace's id.
    pub(crate) fn new(side: &'a ShownSide) -> PlaceRow<'a> {
        let role = match side.role {
            Role::Port => "port",
            Role::Interface => "interface",
        };
        let nsid = side.end.netns.nsid();
        let netns = match nsid {
            Some(nsid) if side.hidden => Cow::Owned(format!("nsid-{nsid}")),
            _ => Cow::Borrowed(&*side.netns),
        };
        let place =
            PlaceRow { role: role.into(), netns, nsid, ifindex: side.end.ifindex, ..PlaceRow::default() };
        if side.hidden {
            return place;
        }
        let link: Option<&Link> = side.link.as_ref();
        let ownership = side.ownership.as_deref();
        let switch = side.master.as_ref().filter(|master| master.kind.is_switch());
        let members = ownership.iter().flat_map(|ownership| &ownership.members);
        PlaceRow {
            name: link.map(|link| displayed(&link.name)),
            mtu: link.map(|link| link.mtu),
            up: link.map(|link| link.up),
            enabled: link.map(|link| link.enabled),
            carrier_changes: link.map(|link| link.carrier_changes),
            qdisc: link.map(|link| displayed(&link.qdisc)).filter(|kind| !kind.is_empty()),
            address: link.and_then(|link| link.address).map(|address| address.to_string().into()),
            kind: link.and_then(|link| driver(link.kind)),
            bridge: switch.map(|switch| displayed(&switch.name)),
            master: side.master.as_ref().map(|master| displayed(&master.name)),
            master_kind: side.master.and_then(|master| driver(master.kind)),
            workload: ownership.map(WorkloadRow::owner),
            members: members.map(WorkloadRow::new).collect(),
            parent: ownership.map_or("", |ownership| &ownership.parent).into(),
            network: side.labels.as_ref().map_or("", |labels| &labels.network).into(),
            ..place
        }
    }

    /// Returns true if the end is not a workload's interface.
    pub fn is_port(&self) -> bool {
        self.role == "port"
    }
}

fn driver(kind: LinkKind) -> Option<Cow<'static, str>> {
    Some(kind.driver()).filter(|driver| !driver.is_empty()).map(Cow::Borrowed)
}

fn displayed(name: &Name) -> Cow<'_, str> {
    Readable(name.as_bytes()).text()
}

impl<'a> WorkloadRow<'a> {
    /// Returns the owner of a namespace.
    fn owner(ownership: &'a Ownership) -> WorkloadRow<'a> {
        let started = ownership.started.since_1970().map(|since| since.as_millis() as f64 / 1e3);
        WorkloadRow { started, ..WorkloadRow::new(&ownership.owner) }
    }

    pub(crate) fn new(workload: &'a Workload) -> WorkloadRow<'a> {
        WorkloadRow {
            runtime: workload.runtime.as_str().into(),
            container: Cow::Borrowed(&workload.name),
            namespace: Cow::Borrowed(&workload.namespace),
            pod: Cow::Borrowed(&workload.pod),
            id: Cow::Borrowed(&workload.id),
            image: Cow::Borrowed(&workload.image),
            compose_project: Cow::Borrowed(&workload.compose_project),
            compose_service: Cow::Borrowed(&workload.compose_service),
            started: None,
        }
    }

    /// Returns the name in one word: `NAMESPACE/POD` for a pod, else the container's name.
    pub fn name(&self) -> String {
        let parts = [&self.namespace, &self.pod, &self.container];
        let parts = parts.into_iter().filter(|part| !part.is_empty()).map(|part| &**part);
        label::bounded(&parts.collect::<Vec<_>>().join("/"))
    }

    /// Returns `RUNTIME/CONTAINER`, or `RUNTIME/NAMESPACE/POD` for a pod.
    pub fn title(&self) -> String {
        match self.name() {
            name if name.is_empty() => self.runtime.clone().into_owned(),
            name => format!("{}/{name}", self.runtime),
        }
    }

    /// Returns the image that the workload runs; `None` for a pod as a whole, because each of its containers
    /// has an image.
    pub fn own_image(&self) -> Option<&str> {
        let of_pod = !self.pod.is_empty() && self.container.is_empty();
        Some(&*self.image).filter(|image| !image.is_empty() && !of_pod)
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

impl PeriodRow {
    fn new(since: Duration, bytes: ByteSums) -> PeriodRow {
        let ByteSums { receive, transmit } = bytes;
        PeriodRow { since: Some(seconds(since)), receive_bytes: receive, transmit_bytes: transmit }
    }
}

/// Returns a time in seconds, exact to the millisecond.
fn seconds(time: Duration) -> f64 {
    time.as_millis() as f64 / 1e3
}

impl RateRow {
    fn new(rates: Rates) -> RateRow {
        RateRow {
            receive_bytes_per_second: rates.receive_bytes,
            receive_packets_per_second: rates.receive_packets,
            transmit_bytes_per_second: rates.transmit_bytes,
            transmit_packets_per_second: rates.transmit_packets,
            ..RateRow::default()
        }
    }

    fn with_drops(self, drops: DropRates) -> RateRow {
        RateRow {
            receive_packets_dropped_per_second: Some(drops.receive),
            transmit_packets_dropped_per_second: Some(drops.transmit),
            ..self
        }
    }
}
