//! What there is no room for is summed: of a workload with very many label sets, and of all.

use super::rest::{Listing, Rest, Row};
use super::{Booking, LabelSet, Ledger, find};
use crate::model::series::{self, OF_A_LABEL_SET, OF_A_NETWORK, Room, Word};
use crate::model::workload::Runtime;
use std::collections::{HashMap, HashSet};

/// A workload has at most this many label sets, the rest are one.
const SETS_OF_A_WORKLOAD: usize = 64;

/// How much is shown.
pub(crate) struct Limits<'a> {
    /// So many series, and those of the rest besides.
    pub series: usize,
    /// For each of [`workloads`](Ledger::workloads) whether the user does not want to see it.
    pub hidden: &'a [bool],
    /// False for a label set that the user does not want to see.
    pub shows: &'a dyn Fn(&LabelSet) -> bool,
}

/// What is shown of a pair, if there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Showing {
    /// What its sides are rows of.
    pub rows: [Row; 2],
    /// The series of these rows and of the information on who lives there.
    pub series: usize,
    /// Whose word there is for it.
    pub word: Word,
    /// The sides that the user does not want to see.
    pub hidden: [bool; 2],
}

impl LabelSet {
    /// What it is summed under if there is no room for it: the runtime and the network stay, so that the
    /// network's totals are whole. What is hidden is summed apart.
    fn rest(&self, hidden: bool) -> LabelSet {
        LabelSet {
            runtime: self.runtime,
            container: if hidden { String::new() } else { series::OTHER.to_owned() },
            namespace: String::new(),
            pod: String::new(),
            interface: series::OTHER.to_owned(),
            network: self.network.clone(),
        }
    }

    /// True if what is summed here is what there is no room for.
    pub fn is_rest(&self) -> bool {
        self.container == series::OTHER && self.is_nameless_rest() || self.is_hidden_rest()
    }

    /// True if it is that of what the user does not want to see.
    pub fn is_hidden_rest(&self) -> bool {
        // What nobody claims is one workload, which has a rest of its own.
        self.container.is_empty() && self.is_nameless_rest() && self.runtime != Runtime::Unknown
    }

    fn is_nameless_rest(&self) -> bool {
        self.pod.is_empty() && self.namespace.is_empty() && self.interface == series::OTHER
    }

    /// Whose word there is for its names. There are few of nobody's, as it is one workload.
    fn word(&self) -> Word {
        match self.runtime {
            Runtime::Docker | Runtime::Podman | Runtime::Cri | Runtime::Named | Runtime::Unknown => {
                Word::Told
            }
            Runtime::Lxc | Runtime::Nspawn | Runtime::Process => Word::Found,
        }
    }
}

impl Ledger {
    /// Says of each pair that is booked whether it is shown by itself, and books what there is no room for
    /// to the rest: who was shown stays, newcomers come in their order, and who is in the rest stays there
    /// as long as it lives. Returns how many series there would be more.
    pub(crate) fn limit(
        &mut self,
        bookings: &mut [Booking],
        showing: &[Option<Showing>],
        limits: &Limits<'_>,
    ) -> usize {
        self.limit_workloads(bookings);
        self.most_networks = Some(series::networks(limits.series));
        if self.fits(bookings, showing, limits.series) {
            for (account, _) in self.accounts.iter_mut().zip(showing).filter(|(_, showing)| showing.is_some())
            {
                account.listing = Listing::Listed;
            }
            return 0;
        }
        Limiting::new(self, showing, limits).limit(bookings, showing)
    }

    /// True if there is room for all, whatever is new. To look which label sets are would cost more than
    /// all else here.
    fn fits(&self, bookings: &[Booking], showing: &[Option<Showing>], limit: usize) -> bool {
        let (mut all, mut found) = (self.networks.len() * OF_A_NETWORK, 0);
        let mut take = |series: usize, word: Word| {
            all += series;
            found += if word == Word::Found { series } else { 0 };
        };
        self.totals.iter().for_each(|total| take(OF_A_LABEL_SET, total.labels.word()));
        self.orphaned.iter().for_each(|(labels, ..)| take(OF_A_LABEL_SET, labels.word()));
        for ((account, booking), showing) in self.accounts.iter().zip(bookings).zip(showing) {
            if matches!(account.listing, Listing::Rest(_)) {
                return false;
            }
            if let Some(showing) = showing {
                take(showing.series, showing.word);
            }
            if let Booking::To(labels) = booking {
                let sides =
                    labels.iter().enumerate().filter_map(|(side, labels)| Some((side, labels.as_ref()?)));
                let new = sides.filter(|(side, labels)| !account.is_booked_to(*side, labels));
                new.for_each(|(_, labels)| take(OF_A_LABEL_SET, labels.word()));
            }
        }
        series::fits(all, found, limit)
    }

    /// True if the pair is shown by itself.
    pub(crate) fn is_listed(&self, pair: usize) -> bool {
        self.accounts.get(pair).is_some_and(|account| matches!(account.listing, Listing::Listed))
    }

    /// What those pairs counted that are not.
    pub(crate) fn rest(&self) -> Rest {
        self.rest
    }

    /// A workload with very many label sets gets no new ones: interfaces are named by whoever has them. The
    /// network stays, so that its totals are whole.
    fn limit_workloads(&self, bookings: &mut [Booking]) {
        let of = |labels: &LabelSet| {
            let (runtime, names) = labels.workload();
            (runtime, names.map(str::to_owned))
        };
        let crowded = self.crowded(bookings);
        if crowded.is_empty() {
            return;
        }
        let mut sets: HashMap<(Runtime, [String; 3]), HashSet<LabelSet>> = HashMap::new();
        for total in self.totals.iter().filter(|total| total.labels.interface != series::OTHER) {
            if crowded.contains(&of(&total.labels)) {
                sets.entry(of(&total.labels)).or_default().insert(total.labels.clone());
            }
        }
        let labels = bookings.iter_mut().flat_map(|booking| {
            let (Booking::To(labels) | Booking::Held { labels, .. }) = booking;
            labels.iter_mut().flatten()
        });
        for labels in labels.filter(|labels| crowded.contains(&of(labels))) {
            let sets = sets.entry(of(labels)).or_default();
            if sets.contains(labels) {
                continue;
            }
            if sets.len() < SETS_OF_A_WORKLOAD - 1 {
                sets.insert(labels.clone());
            } else {
                series::OTHER.clone_into(&mut labels.interface);
            }
        }
    }

    /// The workloads that may have too many: nearly always none, and to look at each set of thousands would
    /// cost more than all else here.
    fn crowded(&self, bookings: &[Booking]) -> HashSet<(Runtime, [String; 3])> {
        let booked = bookings.iter().flat_map(|booking| {
            let (Booking::To(labels) | Booking::Held { labels, .. }) = booking;
            labels.iter().flatten()
        });
        let mut counts: HashMap<(Runtime, [&str; 3]), usize> = HashMap::new();
        for labels in self.totals.iter().map(|total| &total.labels).chain(booked) {
            *counts.entry(labels.workload()).or_default() += 1;
        }
        let many = counts.into_iter().filter(|&(_, count)| count >= SETS_OF_A_WORKLOAD);
        many.map(|((runtime, names), _)| (runtime, names.map(str::to_owned))).collect()
    }
}

/// One look at all pairs.
struct Limiting<'a> {
    ledger: &'a mut Ledger,
    shows: &'a dyn Fn(&LabelSet) -> bool,
    room: Room,
    /// What is hidden needs no series, and memory all the same.
    hidden: Room,
    /// The label sets that are new.
    new: HashSet<LabelSet>,
}

impl Limiting<'_> {
    /// With those in their places that are shown already.
    fn new<'a>(ledger: &'a mut Ledger, showing: &[Option<Showing>], limits: &Limits<'a>) -> Limiting<'a> {
        let of_networks = ledger.networks.len() * OF_A_NETWORK;
        let mut room = Room::new(limits.series.saturating_sub(of_networks));
        let mut hidden = Room::new(limits.series);
        for (index, total) in ledger.totals.iter().enumerate() {
            match limits.hidden.get(index) {
                _ if total.labels.is_rest() => {}
                Some(true) => hidden.keep(OF_A_LABEL_SET, Word::Told),
                _ => room.keep(OF_A_LABEL_SET, total.labels.word()),
            }
        }
        for (account, showing) in ledger.accounts.iter().zip(showing) {
            match (&account.listing, showing) {
                (Listing::Listed, Some(showing)) => room.keep(showing.series, showing.word),
                (Listing::Rest(_), Some(showing)) => room.refuse(showing.series),
                _ => {}
            }
        }
        Limiting { ledger, shows: limits.shows, room, hidden, new: HashSet::new() }
    }

    fn limit(mut self, bookings: &mut [Booking], showing: &[Option<Showing>]) -> usize {
        for (index, (booking, showing)) in bookings.iter_mut().zip(showing).enumerate() {
            if let (Booking::To(labels), Some(showing)) = (booking, showing) {
                self.decide(index, labels, showing);
                self.limit_sets(index, labels, showing);
            }
        }
        let mut orphaned = std::mem::take(&mut self.ledger.orphaned);
        for (labels, ..) in &mut orphaned {
            let hidden = !(self.shows)(labels);
            self.limit_set(labels, hidden, true);
        }
        self.ledger.orphaned = orphaned;
        self.room.refused()
    }

    /// A newcomer is shown with its label sets or not at all.
    fn decide(&mut self, index: usize, labels: &[Option<LabelSet>; 2], showing: &Showing) {
        let listing = &self.ledger.accounts[index].listing;
        if matches!(listing, Listing::Listed) {
            return;
        }
        let is_in_rest = matches!(listing, Listing::Rest(_));
        let sides = labels.iter().zip(showing.hidden);
        let new = sides.filter(|(labels, hidden)| !hidden && labels.as_ref().is_some_and(|l| !self.knows(l)));
        let sets = new.count() * OF_A_LABEL_SET;
        if is_in_rest {
            self.room.refuse(sets);
            return self.ledger.accounts[index].set_rows(&mut self.ledger.rest, showing.rows);
        }
        let account = &mut self.ledger.accounts[index];
        if self.room.admit(showing.series + sets, showing.word) {
            account.listing = Listing::Listed;
            let shown = labels.iter().zip(showing.hidden).filter(|(_, hidden)| !hidden);
            self.new.extend(shown.filter_map(|(labels, _)| labels.clone()));
        } else {
            account.join(&mut self.ledger.rest, showing.rows);
        }
    }

    fn limit_sets(&mut self, index: usize, labels: &mut [Option<LabelSet>; 2], showing: &Showing) {
        let listed = self.ledger.is_listed(index);
        for (labels, hidden) in labels.iter_mut().zip(showing.hidden) {
            if let Some(labels) = labels {
                self.limit_set(labels, hidden, listed);
            }
        }
    }

    /// Of what is in the rest no label set is new.
    fn limit_set(&mut self, labels: &mut LabelSet, hidden: bool, may_be_new: bool) {
        if self.knows(labels) {
            return;
        }
        let admitted = match hidden {
            true => self.hidden.admit(OF_A_LABEL_SET, Word::Told),
            false => may_be_new && self.room.admit(OF_A_LABEL_SET, labels.word()),
        };
        if admitted {
            self.new.insert(labels.clone());
        } else {
            *labels = labels.rest(hidden);
        }
    }

    fn knows(&self, labels: &LabelSet) -> bool {
        self.new.contains(labels) || find(&self.ledger.totals, labels).is_some()
    }
}

#[cfg(test)]
mod tests;
