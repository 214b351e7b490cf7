//! The rotation in which namespaces are read, where reading all of them at once would take too long.
//!
//! - Pairs without an end on the host: no other answer has their counters. 64 namespaces are read at a tick.
//! - Pairs with traffic past the port (bpf_redirect_peer, NETKIT_REDIRECT): only the interface counts it. At
//!   every eighth tick the namespaces of eight pairs are read, to see whether an interface had received more
//!   a tick ago than its port has sent by now, or had sent more than the port of a netkit has received. Of
//!   those that are known for it, 64 are read at each tick.
//! - Links that are no ends of pairs: 512 namespaces are read at a scrape that wants them.

use super::NetnsId;
use crate::model::link::End;
use crate::model::pairing::Pairing;
use crate::model::policy::{READ_AT_A_SCRAPE, READ_AT_A_TICK, SUSPECTED_EVERY, SUSPECTS};
use std::collections::BTreeSet;

/// The last namespace of each rotation.
#[derive(Debug, Default)]
pub(super) struct ReadRotation {
    off_host: u32,
    others: u32,
    bypassed: u32,
    /// The next pair to read that may have an end which receives past its port, and the number of ticks.
    suspect: Option<End>,
    ticks: u32,
}

impl ReadRotation {
    /// Returns the namespaces to read at this tick for pairs without an end on the host: their counters are
    /// in no other answer.
    pub(super) fn off_host(&mut self, nsids: BTreeSet<u32>) -> Vec<u32> {
        next(&nsids, &mut self.off_host, READ_AT_A_TICK)
    }

    /// Returns the namespaces to read at this scrape for links that are no ends of pairs.
    pub(super) fn others(&mut self, nsids: &BTreeSet<u32>) -> Vec<u32> {
        next(nsids, &mut self.others, READ_AT_A_SCRAPE)
    }

    /// Returns the namespaces to read at this tick because what they receive may go past the port on the
    /// host: those of which that is known, and some others to find out.
    pub(super) fn past_the_port(
        &mut self,
        pairing: &Pairing,
        bypassed: impl Iterator<Item = [End; 2]>,
    ) -> Vec<u32> {
        let inside = |ends: [End; 2]| match ends.map(|end| end.netns) {
            [NetnsId::Host, inside] => inside.nsid(),
            _ => None,
        };
        let known: BTreeSet<u32> = bypassed.filter_map(inside).collect();
        let mut read = next(&known, &mut self.bypassed, READ_AT_A_TICK);
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(SUSPECTED_EVERY) {
            let from = self.suspect.take().unwrap_or(End { netns: NetnsId::Host, ifindex: 0 });
            let mut later = pairing.pairs_from(from);
            let mut suspects: Vec<[End; 2]> = later.by_ref().take(SUSPECTS).collect();
            self.suspect = later.next().map(|ends| ends[0]);
            if suspects.len() < SUSPECTS {
                let before = pairing.pairs().take_while(|ends| ends[0] < from);
                suspects.extend(before.take(SUSPECTS - suspects.len()));
                self.suspect = suspects.last().map(|ends| End { ifindex: ends[0].ifindex + 1, ..ends[0] });
            }
            read.extend(suspects.into_iter().filter_map(inside));
        }
        read
    }
}

/// Returns the next of these nsids, at most so many, behind the one up to which they were read before. Begins
/// anew at the end.
fn next(nsids: &BTreeSet<u32>, read_up_to: &mut u32, at_most: usize) -> Vec<u32> {
    let next = nsids.range(*read_up_to..).chain(nsids.range(..*read_up_to));
    let turn: Vec<u32> = next.copied().take(at_most).collect();
    *read_up_to = turn.last().map_or(0, |last| last.saturating_add(1));
    turn
}
