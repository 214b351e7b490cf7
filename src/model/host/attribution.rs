//! Pairs and owners -> labels, or held back until when and why.
//!
//! Each pair has a row, which is made anew when something changes that it depends on: its links, the owner
//! of one of its namespaces, a bridge, or the time.

use super::input::Config;
use crate::model::counts::Counts;
use crate::model::ledger::{
    AccountId, Booking, LabelSet, Ledger, OwnerHint, RowKind, SeriesCost, SeriesLimits,
};
use crate::model::link::{End, Name, NetnsId};
use crate::model::owners::{Evidence, Owners, ProcessSearch};
use crate::model::pairing::{EndState, Role};
use crate::model::policy::HOLD_BACK_GENERATED;
use crate::model::problems::Found;
use crate::model::problems::links::{self, SegmentAddress};
use crate::model::series::{OF_A_CADVISOR_LINK, OF_A_QUEUE, OF_AN_INFO, OutputLimits, Trust, of_a_port};
use crate::model::starts::OwnerPresence;
use crate::model::topology::Topology;
use crate::model::view::{Ownership, ShownPair, ShownSide};
use crate::model::workload::Runtime;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The state that a row is made from besides its pair.
pub(super) struct Context<'a> {
    pub topology: &'a Topology,
    pub owners: &'a Owners,
    pub config: &'a Config,
    pub evidence: &'a Evidence,
    pub searches: &'a ProcessSearch,
    /// The limits on the series of pairs and networks.
    pub limits: OutputLimits,
    /// The time at which everything was known first.
    pub started: Duration,
    /// A source may still name an owner.
    pub may_name: bool,
    /// An engine may still name an owner, now or when it is back.
    pub engine_may_name: bool,
}

impl Context<'_> {
    pub(super) fn limits<T>(&self, then: impl FnOnce(&SeriesLimits<'_>) -> T) -> T {
        let filter = &self.config.filter;
        then(&SeriesLimits { output: self.limits, shows: &|labels| filter.shows(labels) })
    }
}

/// The rows of all pairs and of the ends without a pair.
#[derive(Debug, Default)]
pub(super) struct Attribution {
    rows: BTreeMap<End, AttributedPair>,
    single: BTreeMap<End, (Arc<ShownSide>, EndState)>,
    /// The rows that the time may change, with the time when.
    deadlines: BTreeSet<(Duration, End)>,
    /// The rows that wait for a runtime, by their first ends.
    waiting: BTreeSet<End>,
    /// The rows that there is no room for, or not for all of their labels.
    refused: BTreeSet<End>,
    sums: Sums,
    /// The number of ends in each state.
    ends: Counts<EndState>,
    /// The owners that have come to the namespaces of pairs or have left them, since they were last taken.
    presences: Vec<OwnerPresence>,
    /// The labels that pairs were given since they were last taken.
    named: Vec<LabelSet>,
    /// The namespaces have changed in which a process is searched for.
    unclaimed_changed: bool,
    /// The problems of the pairs that have one address on one bridge.
    duplicates: BTreeMap<SegmentAddress, Vec<Arc<Found>>>,
    /// The number of changes of rows that are shown.
    version: u64,
}

/// Sums over all rows.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// The namespaces that no runtime has claimed in time.
    pub unclaimed: Counts<NetnsId>,
    /// The namespaces to read at ticks for pairs without an end on the host.
    pub off_host: Counts<u32>,
    /// The owners at the ends that are shown, and how many series of information they and their members take.
    pub ownerships: Counts<Arc<Ownership>>,
    pub infos: usize,
    /// The numbers of ports, and of interfaces of containers, that are shown.
    pub ports: usize,
    pub containers: usize,
    /// The ifindices of the ports on the host that are shown and have a queue discipline.
    pub queues: Counts<u32>,
    /// The number of pairs that the user would see were there room for them.
    pub summed: usize,
    /// The first ends of the pairs that are shown and have a problem that their links show.
    pub troubled: Counts<End>,
    /// The first ends of the pairs that are shown, by the address of the interface on its bridge.
    pub addresses: Counts<(SegmentAddress, End)>,
    /// The addresses that several of these pairs have.
    pub shared_addresses: BTreeSet<SegmentAddress>,
    /// The addresses that several of these pairs have, or had, of which a pair has changed.
    pub changed_addresses: BTreeSet<SegmentAddress>,
}

impl Sums {
    /// Returns the first ends of the pairs that are shown and have this address on one bridge.
    fn with_address(&self, address: SegmentAddress) -> impl Iterator<Item = End> {
        let from = (address, End { netns: NetnsId::Host, ifindex: 0 });
        self.addresses.keys_from(from).take_while(move |(other, _)| *other == address).map(|(_, end)| *end)
    }
}

/// The row of one pair: where it is shown, and what it waits for.
#[derive(Clone, Debug)]
struct AttributedPair {
    shown: Arc<ShownPair>,
    account: AccountId,
    until: Option<Duration>,
    placement: ShownIn,
    /// False while the pair is held back.
    booked: bool,
    waits: Waits,
    /// The owners at its ends that the user wants to see, each with its namespace.
    ownerships: Vec<(NetnsId, Arc<Ownership>)>,
    /// The time at which the pair was first seen with its present ends.
    arrived: Duration,
    /// The problems that its own links show.
    problems: Vec<Arc<Found>>,
}

/// The place in which a pair is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ShownIn {
    /// Held back, or hidden.
    Nowhere,
    Listed,
    Overflow,
}

/// The things that a row waits for or asks for.
#[derive(Clone, Debug, Default)]
struct Waits {
    /// A runtime is asked until then.
    young: Option<Duration>,
    /// The namespaces that a runtime may still claim in time.
    nameless: Vec<NetnsId>,
    /// The namespaces that no runtime has claimed in time.
    unclaimed: Vec<NetnsId>,
    /// The namespace to read at ticks.
    read: Option<u32>,
}

impl AttributedPair {
    /// Returns the owners at the ends of a pair that is shown: they are there, or have left.
    fn presences(&self, is_there: bool) -> impl Iterator<Item = OwnerPresence> {
        let shown = self.ownerships.iter().filter(|_| self.placement == ShownIn::Listed);
        shown.map(move |(netns, ownership)| OwnerPresence {
            netns: *netns,
            ownership: Arc::clone(ownership),
            arrived: self.arrived,
            is_there,
        })
    }
}

impl Attribution {
    /// Returns the rows that the time has changed by now.
    pub(super) fn due(&self, now: Duration) -> Vec<End> {
        self.deadlines.iter().take_while(|(due, _)| *due <= now).map(|&(_, end)| end).collect()
    }

    /// Returns the rows that change with the time.
    pub(super) fn dated(&self) -> impl Iterator<Item = End> {
        self.deadlines.iter().map(|&(_, end)| end)
    }

    /// Returns when the time changes the next row.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(due, _)| *due)
    }

    /// Returns the rows that there is no room for, or not for all of their labels.
    pub(super) fn refused(&self) -> &BTreeSet<End> {
        &self.refused
    }

    /// Returns what rows have in common.
    pub(super) fn sums(&self) -> &Sums {
        &self.sums
    }

    /// Returns how often a row has changed that is shown.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Returns true if the namespaces have changed that no runtime has claimed in time, since the last call.
    pub(super) fn take_unclaimed_changed(&mut self) -> bool {
        std::mem::take(&mut self.unclaimed_changed)
    }

    /// Returns the labels that pairs were given since the last call.
    pub(super) fn take_named(&mut self) -> Vec<LabelSet> {
        std::mem::take(&mut self.named)
    }

    /// Returns the owners that have come to the namespaces of pairs or have left them, since the last call.
    pub(super) fn take_presences(&mut self) -> Vec<OwnerPresence> {
        std::mem::take(&mut self.presences)
    }

    /// Returns true if a runtime is to be asked at this time because of a pair without a name.
    pub(super) fn asks_runtimes(&self, now: Duration) -> bool {
        self.waiting_rows().any(|row| row.waits.young.is_some_and(|until| now < until))
    }

    /// Returns the namespaces that a runtime may still claim in time.
    pub(super) fn nameless(&self) -> BTreeSet<NetnsId> {
        self.waiting_rows().flat_map(|row| &row.waits.nameless).copied().collect()
    }

    fn waiting_rows(&self) -> impl Iterator<Item = &AttributedPair> {
        self.waiting.iter().filter_map(|end| self.rows.get(end))
    }

    /// Returns how many ends are in each state.
    pub(super) fn ends(&self) -> BTreeMap<EndState, usize> {
        EndState::ALL.into_iter().map(|state| (state, self.ends.get(&state))).collect()
    }

    /// Returns the pairs that are shown one by one, in order, with their accounts.
    pub(super) fn listed(&self) -> impl Iterator<Item = (&Arc<ShownPair>, AccountId)> {
        let listed = self.rows.values().filter(|row| row.placement == ShownIn::Listed);
        listed.map(|row| (&row.shown, row.account))
    }

    /// Returns the pair with this first end if it is shown.
    pub(super) fn shown(&self, first: End) -> Option<&ShownPair> {
        let row = self.rows.get(&first).filter(|row| row.placement == ShownIn::Listed)?;
        Some(&row.shown)
    }

    /// Returns the pair with these ends if it is shown.
    pub(super) fn shown_pair(&self, ends: [End; 2]) -> Option<&ShownPair> {
        self.shown(ends[0]).filter(|pair| pair.sides.each_ref().map(|side| side.end) == ends)
    }

    /// Passes on the problems that links of pairs show: each is the same allocation until its text changes.
    pub(super) fn each_problem(&mut self, mut take: impl FnMut(&Arc<Found>)) {
        while let Some(address) = self.sums.changed_addresses.pop_first() {
            let pairs = self.sums.with_address(address).filter_map(|first| self.shown(first));
            let found = links::of_address(address, &pairs.collect::<Vec<_>>());
            match self.sums.shared_addresses.contains(&address) {
                true => self.duplicates.insert(address, found.into_iter().map(Arc::new).collect()),
                false => self.duplicates.remove(&address),
            };
        }
        let rows = self.sums.troubled.keys().filter_map(|first| self.rows.get(first));
        rows.flat_map(|row| &row.problems).for_each(&mut take);
        self.duplicates.values().flatten().for_each(take);
    }

    /// Returns the ends without a pair, in order, with the reason.
    pub(super) fn single(&self) -> impl Iterator<Item = &(Arc<ShownSide>, EndState)> {
        self.single.values()
    }

    /// Takes the row of a pair away that is not there any more.
    pub(super) fn remove(&mut self, first: End) {
        if let Some(row) = self.rows.remove(&first) {
            self.count(first, &row, false);
            self.presences.extend(row.presences(false));
            self.version += 1;
        }
    }

    /// Makes the row of an end without a pair anew; `None` where there is none.
    pub(super) fn set_single(&mut self, end: End, single: Option<(ShownSide, EndState)>) {
        let known = self.single.get(&end);
        let same = known
            .zip(single.as_ref())
            .is_some_and(|(known, (side, why))| *known.0 == *side && known.1 == *why);
        if same || known.is_none() && single.is_none() {
            return;
        }
        if let Some((_, why)) = self.single.remove(&end) {
            self.ends.remove(&why);
        }
        if let Some((side, why)) = single {
            self.ends.add(why);
            self.single.insert(end, (Arc::new(side), why));
        }
        self.version += 1;
    }

    /// Makes the row of a pair anew, and books the pair by it.
    pub(super) fn evaluate(
        &mut self,
        ends: [End; 2],
        context: &Context<'_>,
        ledger: &mut Ledger,
        now: Duration,
    ) {
        let Some((account, _)) = ledger.place(ends[0]) else { return };
        let arrived = ledger.arrived(account).unwrap_or(now);
        let shown = show(ends, context, ledger.labels(account), ledger.is_held(account));
        let labels = shown.sides.each_ref().map(|side| side.labels.clone());
        let (decision, until) = decide(&shown, arrived, ledger.is_resumed(account), context, now);
        let mut waits = Waits::default();
        let mut placement = ShownIn::Nowhere;
        let mut until = until.filter(|until| *until > now);
        let wanted = shown.sides.iter().any(|side| !side.hidden);
        let booking = match decision {
            Decision::Wait(waiting) => {
                waits = waiting;
                Booking::Held { labels, hint: owner_hint(&shown, context) }
            }
            Decision::Search(unclaimed) => {
                waits.unclaimed = unclaimed;
                Booking::Held { labels, hint: owner_hint(&shown, context) }
            }
            Decision::Book(unclaimed) => {
                waits.unclaimed = unclaimed;
                if wanted || carried_by_network(&shown) {
                    waits.read = read_for(&shown);
                }
                let has_counters = !context.config.filter.no_device_counters;
                Booking::To(labels, cost(&shown, context.owners, has_counters))
            }
        };
        let booked = matches!(booking, Booking::To(..));
        self.named.extend(context.limits(|limits| ledger.assign(account, booking, now, limits)));
        if booked && wanted {
            placement = if ledger.is_listed(account) { ShownIn::Listed } else { ShownIn::Overflow };
        }
        if let Some(ends) = ledger.in_transit_until(account).filter(|ends| *ends > now) {
            until = Some(until.map_or(ends, |until| until.min(ends)));
        }
        let (shown, problems) = self.keep_shown(ends[0], shown);
        let filter = &context.config.filter;
        let ownerships = shown.sides.iter().filter_map(|side| {
            let ownership = side.ownership.as_ref().filter(|known| filter.shows_owner(&known.owner))?;
            Some((side.end.netns, Arc::clone(ownership)))
        });
        let ownerships = ownerships.collect();
        let row =
            AttributedPair { shown, account, until, placement, booked, waits, ownerships, arrived, problems };
        match ledger.is_refused(account) {
            true => _ = self.refused.insert(ends[0]),
            false => _ = self.refused.remove(&ends[0]),
        }
        self.replace(ends[0], row);
    }

    /// Returns a pair as shown with its problems: the same allocations as before if nothing has changed.
    fn keep_shown(&self, first: End, shown: ShownPair) -> (Arc<ShownPair>, Vec<Arc<Found>>) {
        match self.rows.get(&first) {
            Some(row) if *row.shown == shown => (Arc::clone(&row.shown), row.problems.clone()),
            _ => {
                let problems = links::of_pair(&shown).into_iter().map(Arc::new).collect();
                (Arc::new(shown), problems)
            }
        }
    }

    fn replace(&mut self, first: End, row: AttributedPair) {
        self.count(first, &row, true);
        let before = self.rows.insert(first, row);
        if let Some(before) = &before {
            self.count(first, before, false);
        }
        let row = self.rows.get(&first);
        let same = before.as_ref().zip(row).is_some_and(|(a, b)| {
            let same_place = a.placement == b.placement && a.booked == b.booked;
            Arc::ptr_eq(&a.shown, &b.shown) && same_place && a.account == b.account
        });
        if let Some(until) = before.as_ref().and_then(|before| before.until) {
            self.deadlines.remove(&(until, first));
        }
        if let Some(row) = row {
            self.deadlines.extend(row.until.map(|until| (until, first)));
            match row.waits.young.is_some() || !row.waits.nameless.is_empty() {
                true => _ = self.waiting.insert(first),
                false => _ = self.waiting.remove(&first),
            }
        }
        if !same {
            self.version += 1;
        }
        self.change_presences(before.as_ref(), first);
    }

    /// Notes which owners have come with a row, and which have left with the row before.
    fn change_presences(&mut self, before: Option<&AttributedPair>, first: End) {
        let Some(row) = self.rows.get(&first) else { return };
        let is_same = before
            .is_some_and(|before| before.placement == row.placement && before.ownerships == row.ownerships);
        if !is_same {
            self.presences.extend(row.presences(true));
            self.presences.extend(before.into_iter().flat_map(|before| before.presences(false)));
        }
    }

    /// Adds a row to what is counted, or takes it out of it.
    fn count(&mut self, first: End, row: &AttributedPair, there: bool) {
        let sums = &mut self.sums;
        let seen = row.shown.sides.iter().filter(|side| side.link.is_some()).count();
        self.ends.change(row.shown.state, seen, there);
        row.waits.unclaimed.iter().for_each(|netns| sums.unclaimed.change(*netns, 1, there));
        self.unclaimed_changed |= !row.waits.unclaimed.is_empty();
        row.waits.read.iter().for_each(|nsid| sums.off_host.change(*nsid, 1, there));
        let step = |sum: &mut usize, by: usize| *sum = if there { *sum + by } else { *sum - by };
        match row.placement {
            ShownIn::Nowhere => {}
            ShownIn::Overflow => step(&mut sums.summed, 1),
            ShownIn::Listed => {
                let ports = row.shown.ports().filter(|(_, port, _)| port.link.is_some() && !port.hidden);
                sums.troubled.change(first, usize::from(!row.problems.is_empty()), there);
                if let Some(address) = links::segment_address(&row.shown) {
                    sums.addresses.change((address, first), 1, there);
                    let is_shared = sums.with_address(address).nth(1).is_some();
                    let was_shared = match is_shared {
                        true => !sums.shared_addresses.insert(address),
                        false => sums.shared_addresses.remove(&address),
                    };
                    if is_shared || was_shared {
                        sums.changed_addresses.insert(address);
                    }
                }
                for (ifindex, _) in row.shown.ports().filter_map(|(_, port, _)| port.queue()) {
                    sums.queues.change(ifindex, 1, there);
                }
                step(&mut sums.ports, ports.count());
                step(&mut sums.containers, row.shown.sides.iter().filter(is_container).count());
                for (_, ownership) in &row.ownerships {
                    let before = sums.ownerships.get(ownership);
                    sums.ownerships.change(Arc::clone(ownership), 1, there);
                    if (before == 0) != (sums.ownerships.get(ownership) == 0) {
                        step(&mut sums.infos, 1 + ownership.members.len());
                    }
                }
            }
        }
        if !there && !self.rows.contains_key(&first) {
            self.waiting.remove(&first);
            self.refused.remove(&first);
            if let Some(until) = row.until {
                self.deadlines.remove(&(until, first));
            }
        }
    }
}

/// The fate of a pair for now.
enum Decision {
    /// The pair is held back while a runtime may name its owner.
    Wait(Waits),
    /// The pair is held back until a process was searched for in these namespaces.
    Search(Vec<NetnsId>),
    /// The pair is booked; the owners of these namespaces are still searched for.
    Book(Vec<NetnsId>),
}

/// Gives a pair its roles, owners and labels; `known` are the labels that it had, or would have if it were
/// not `held` back.
fn show(ends: [End; 2], context: &Context<'_>, known: [Option<LabelSet>; 2], held: bool) -> ShownPair {
    let mut shown = context.owners.show(&context.topology.pair(ends), context.topology);
    for (side, known) in shown.sides.iter_mut().zip(&known) {
        keep_name(side, known.as_ref(), held);
        name_as_up(side, context.topology.up_name(side.end));
    }
    context.config.filter.hide(&mut shown);
    shown
}

/// Decides whether a pair is held back, and until when that may change by itself.
fn decide(
    shown: &ShownPair,
    arrived: Duration,
    is_resumed: bool,
    context: &Context<'_>,
    now: Duration,
) -> (Decision, Option<Duration>) {
    let Context { owners, config, started, .. } = *context;
    let provisional = owners.provisional(shown);
    let may_be_named = context.engine_may_name && !provisional.is_empty();
    // A pair of an earlier run has a name there, and an engine that is slow to answer gives it again.
    let hold_back = match may_be_named && arrived > started || is_resumed {
        true => config.hold_back.saturating_mul(HOLD_BACK_GENERATED),
        false => config.hold_back,
    };
    // A pair in transit: runtimes make both ends on the host, and move one into the container.
    let in_transit = arrived > started && shown.sides.iter().all(|side| side.end.netns == NetnsId::Host);
    let unclaimed = owners.unclaimed(shown);
    let unfinished = owners.unfinished(shown);
    let patience = unfinished.unwrap_or(hold_back);
    let unnamed = in_transit || may_be_named || !unclaimed.is_empty() || unfinished.is_some();
    let until = unnamed.then_some(arrived + patience);
    if (context.may_name || may_be_named) && unnamed && now.saturating_sub(arrived) < patience {
        let nameless = |side: &&ShownSide| may_be_named || unclaimed.contains(&side.end.netns);
        let nameless = shown.sides.iter().filter(nameless).map(|side| side.end.netns).collect();
        return (
            Decision::Wait(Waits { young: Some(arrived + hold_back), nameless, ..Waits::default() }),
            until,
        );
    }
    if !config.processes {
        return (Decision::Book(Vec::new()), until);
    }
    // The container in a namespace names it better than a generated name.
    let generated = provisional.into_iter().filter(|netns| owners.is_generated(*netns));
    let searched: Vec<NetnsId> = unclaimed.into_iter().chain(generated).collect();
    match searched.iter().all(|netns| context.searches.has_searched(*netns)) {
        true => (Decision::Book(searched), until),
        false => (Decision::Search(searched), until),
    }
}

/// Returns what it takes to show a pair by itself, with the counters of its ports or without.
fn cost(pair: &ShownPair, owners: &Owners, has_counters: bool) -> SeriesCost {
    let rows = pair.sides.each_ref().map(|side| match side.role {
        Role::Port if side.link.is_some() && !side.hidden => RowKind::Port,
        Role::Interface if is_container(&side) => RowKind::Container,
        _ => RowKind::Nothing,
    });
    let count = |row| rows.iter().filter(|&&other| other == row).count();
    let queues = pair.ports().filter(|(_, port, _)| port.queue().is_some()).count();
    let of_ports = of_a_port(has_counters) * count(RowKind::Port) + OF_A_QUEUE * queues;
    let shown = || pair.sides.iter().filter(|side| !side.hidden);
    let infos =
        shown().filter_map(|side| side.ownership.as_ref()).map(|ownership| 1 + ownership.members.len());
    let vouched = |side: &ShownSide| {
        let owner = side.labels.as_ref().map(|labels| labels.runtime);
        side.end.netns == NetnsId::Host
            || matches!(owner, Some(Runtime::Docker | Runtime::Podman | Runtime::Cri | Runtime::Named))
                && owners.is_vouched_for(side.end.netns)
    };
    SeriesCost {
        rows,
        series: of_ports.max(OF_A_CADVISOR_LINK * count(RowKind::Container))
            + OF_AN_INFO * infos.sum::<usize>(),
        trust: if pair.sides.iter().any(vouched) { Trust::Vouched } else { Trust::Discovered },
        hidden: pair.sides.each_ref().map(|side| side.hidden),
    }
}

/// Returns true for an interface that is in `/metrics/cadvisor`.
fn is_container(side: &&ShownSide) -> bool {
    side.role == Role::Interface
        && side.link.is_some()
        && !side.hidden
        && side.ownership.as_ref().is_some_and(|ownership| ownership.is_container())
}

/// Returns what may name the owner of a pair's interface later, if it has one and no owner, or only one with
/// a generated name.
fn owner_hint(pair: &ShownPair, context: &Context<'_>) -> Option<OwnerHint> {
    let [a, b] = &pair.sides;
    let (interface, port) = match (&a.labels, &b.labels) {
        (Some(_), None) => (a, b),
        (None, Some(_)) => (b, a),
        _ => return None,
    };
    let owner = interface.labels.as_ref().map(|labels| labels.runtime);
    let provisional = !context.owners.provisional(pair).is_empty();
    if !(provisional && context.engine_may_name) && owner != Some(Runtime::Unknown) {
        return None;
    }
    let new_processes = &context.evidence.new_processes;
    Some(OwnerHint {
        address: interface.link.and_then(|link| link.address),
        bridge: port.bridge().filter(|_| port.end.netns == NetnsId::Host),
        container: new_processes.container(interface.end.netns).map(str::to_owned),
        process: new_processes.workload(interface.end.netns).map(Box::new),
    })
}

/// An engine takes an interface down and renames it before it takes it away: while it is down it keeps the
/// name that it had. A pair that is held back has a name to keep only once it has been up and is down again,
/// which its carrier's changes say (off when it is made, on, off): before that the engine gives it its name,
/// and IFLA_OPERSTATE says that it is up a moment later than the carrier is there (`linkwatch_do_dev`).
fn keep_name(side: &mut ShownSide, known: Option<&LabelSet>, held: bool) {
    let (Some(link), Some(labels), Some(known)) = (side.link, side.labels.as_mut(), known) else { return };
    if link.up || held && link.carrier_changes <= 2 {
        return;
    }
    let had_no_owner = held && known.runtime == Runtime::Unknown;
    if had_no_owner && matches!(labels.runtime, Runtime::Docker | Runtime::Unknown) {
        labels.interface.clone_from(&known.interface);
    }
    if labels.runtime != Runtime::Docker {
        return;
    }
    if known.is_overflow() && known.runtime == labels.runtime {
        labels.network.clone_from(&known.network);
    }
    if labels.workload() == known.workload() {
        labels.interface.clone_from(&known.interface);
        labels.network.clone_from(&known.network);
    }
}

/// Gives an interface without a carrier the name that it had when it last had one. By the time of a decision
/// an engine may have renamed an interface, used it and renamed it back.
fn name_as_up(side: &mut ShownSide, up_name: Option<Name>) {
    if let (Some(labels), Some(name)) = (side.labels.as_mut(), up_name)
        && matches!(labels.runtime, Runtime::Docker | Runtime::Unknown)
        && !labels.is_overflow()
    {
        labels.interface = name.to_string();
    }
}

/// Returns the namespace to read at a tick for a pair without an end on the host: its counters are in no
/// other answer.
fn read_for(pair: &ShownPair) -> Option<u32> {
    let [a, b] = &pair.sides;
    if a.end.netns == NetnsId::Host || b.end.netns == NetnsId::Host {
        return None;
    }
    // One end tells both directions; where there is a port, its own counters are shown.
    let read = if b.role == Role::Port { b } else { a };
    read.end.netns.nsid()
}

/// Returns true if a network's totals need what the pair counts.
fn carried_by_network(pair: &ShownPair) -> bool {
    pair.sides.iter().filter_map(|side| side.labels.as_ref()).any(|labels| !labels.network.is_empty())
}
