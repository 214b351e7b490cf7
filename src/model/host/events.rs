//! What an event does to what is known; and what is read at the signs that a namespace ends.

use super::{Host, Request};
use crate::model::event::Event;
use crate::model::link::{End, Kind, Link, Name, NetnsId};
use crate::model::topology::{Change, Topology};
use std::time::Duration;

impl Host {
    pub(super) fn take_event(&mut self, event: Event, now: Duration) -> Vec<Request> {
        self.status.events += 1;
        match event {
            Event::Link { source, link } => {
                let netns = self.topology.netns(source);
                let end = End { netns, ifindex: link.ifindex };
                self.reading.unconfirmed.clear(end);
                self.note_last(end, &link);
                if self.topology.upsert(netns, link) == Change::Shape {
                    self.touch(now);
                }
                Vec::new()
            }
            Event::Unlink { source, link, moved } => {
                let end_now =
                    |topology: &Topology| End { netns: topology.netns(source), ifindex: link.ifindex };
                // It may be about to go before it has its account.
                let unknown = link.kind == Kind::Veth && self.ledger.place(end_now(&self.topology)).is_none();
                let requests = if unknown { self.evaluate_now(now) } else { Vec::new() };
                // Judging may have found that the id is another namespace's.
                let end = end_now(&self.topology);
                self.note_last(end, &link);
                if !moved {
                    self.ledger.end(end);
                }
                self.reading.unconfirmed.clear(end);
                self.topology.unlink(end.netns, end.ifindex);
                self.touch(now);
                requests
            }
            Event::NewNsid(nsid) => {
                self.reading.refused.remove(&nsid);
                self.names.wanted = true;
                self.touch(now);
                self.evidence.new_processes.awaited(nsid);
                self.look_for_new_processes(now).into_iter().collect()
            }
            Event::DeletedNsid(nsid) => self.end_of(nsid, now),
            Event::Lost => {
                self.status.lost += 1;
                self.begin_round(now, Some("lost"))
            }
            Event::Bad => {
                self.status.bad_messages += 1;
                self.reading.resync_owed.get_or_insert("unreadable");
                Vec::new()
            }
        }
    }

    /// Forgets the namespace that had this id.
    fn end_of(&mut self, nsid: u32, now: Duration) -> Vec<Request> {
        let netns = self.topology.netns(Some(nsid));
        let unknown = self.topology.veths(netns).any(|end| self.ledger.place(end).is_none());
        let mut requests = if unknown { self.evaluate_now(now) } else { Vec::new() };
        requests.splice(0..0, self.final_sample_at_death(nsid));
        self.reading.unconfirmed.clear_all_of(netns);
        self.topology.end_of(nsid);
        self.reading.others_awaited.remove(&nsid);
        self.shown.errors.retain(|end, _| end.netns != netns);
        self.evidence.end_of(nsid, netns);
        self.reading.open_requests.take_back(nsid);
        self.searching.searches.take_back(nsid);
        self.touch(now);
        requests
    }

    /// Evaluates at once what has changed: an end that is about to go may not have its account yet.
    pub(super) fn evaluate_now(&mut self, now: Duration) -> Vec<Request> {
        if self.reading.rounds > 0 { self.reevaluate(now) } else { Vec::new() }
    }

    /// Notes what a link message counts, which may be the last that is heard of the end.
    pub(super) fn note_last(&mut self, end: End, link: &Link) {
        if link.kind != Kind::Veth {
            return;
        }
        // An end that is being made has no peer either, and no account.
        if link.iflink.is_none() {
            self.ledger.observe_detached(end, &link.counters);
        } else {
            self.ledger.observe(end, &link.counters);
        }
    }

    /// What a namespace that is about to die has sent shows on the host's ends of its pairs, and there only
    /// until they are parted.
    pub(super) fn final_sample(&self, nsid: u32) -> Vec<Request> {
        let ports = self.ports_of(nsid);
        if ports.is_empty() { Vec::new() } else { vec![Request::FinalSample(ports)] }
    }

    /// The same, with what was read at the very sign, if it was.
    pub(super) fn final_sample_at_death(&mut self, nsid: u32) -> Vec<Request> {
        for (ifindex, name) in self.ports_of(nsid) {
            if let Some(counters) = self.reading.table_at_death.get(&name) {
                self.ledger.observe(End { netns: NetnsId::Host, ifindex }, counters);
            }
        }
        self.final_sample(nsid)
    }

    /// The host's ends of a namespace's pairs, with their names.
    pub(super) fn ports_of(&self, nsid: u32) -> Vec<(u32, Name)> {
        let netns = self.topology.netns(Some(nsid));
        let on_host = self.topology.pairing().paired_in(netns).filter_map(|end| {
            let peer = self.topology.pairing().peer(end).filter(|peer| peer.netns == NetnsId::Host)?;
            Some((peer.ifindex, self.topology.link(NetnsId::Host, peer.ifindex)?.name))
        });
        on_host.collect()
    }
}
