//! What all that is known means together, and what is missing.

use super::{Host, Learning, Request, show};
use crate::model::ledger::{self, Carried};
use crate::model::link::{Counters, End};
use crate::model::pairing::Pair;
use crate::model::workload::Runtime;
use std::time::Duration;

/// How often who lives where is judged at least: where something may yet turn out otherwise without a
/// change, and where nothing can.
const JUDGED_IN_DOUBT: Duration = Duration::from_secs(10);
const JUDGED_AT_LEAST: Duration = Duration::from_secs(60);

/// Nothing that ends with time is judged again sooner.
const JUDGED_AT_MOST: Duration = Duration::from_millis(1);

impl Host {
    /// Before the first round is complete nothing is known; where all is polled, answers are judged together.
    pub(super) fn may_judge(&self) -> bool {
        match self.config.learning {
            Learning::Events if self.rounds > 0 => true,
            _ => self.questions.round.open.is_empty() && (self.rounds > 0 || self.questions.round.whole),
        }
    }

    /// Says what all that is known means together, and what is missing.
    pub(super) fn judge(&mut self, now: Duration) -> Vec<Request> {
        self.due = None;
        if self.questions.round.whole && self.questions.round.open.is_empty() {
            self.complete_round(now);
        }
        if std::mem::take(&mut self.links_changed) {
            self.pair_up(now);
        }
        let waiting = self.attribute(now);
        let mut wanted = self.topology.wanted();
        if self.config.learning == Learning::Events {
            wanted.extend(self.topology.doubts());
        }
        let wanted = wanted.into_iter().filter(|nsid| !self.refused.contains(nsid));
        let mut more = self.ask(wanted.map(|nsid| Request::Links { nsid: Some(nsid) }).collect());
        if waiting.for_runtimes {
            // An engine says whose it is when the container has started. The folder of names would answer
            // at once, again and again.
            let engines =
                self.heard.iter().filter(|(runtime, heard)| **runtime != Runtime::Named && heard.may_name);
            more.extend(engines.map(|(&runtime, _)| Request::Claims(runtime)));
        }
        if std::mem::take(&mut self.names_wanted) {
            // A name in /run/netns is there before the namespace has its first veth.
            if self.heard.contains_key(&Runtime::Named) {
                more.extend(self.ask_names());
            }
            // A claim that was not located may be now.
            let wanted = self.locators().into_iter().filter(|locator| !self.is_located(locator)).collect();
            more.extend(self.locate(wanted, now));
        }
        self.newcomers.keep(&waiting.nameless);
        more.extend(self.look_for_newcomers());
        more.extend(self.searches.question(waiting.unclaimed, now));
        more.extend(self.watch_exits());
        let searches = self.searches.due().into_iter();
        let leaving = self.naming.leaves_at(self.config.leaving);
        let forgotten = self.ledger.forgets_at(now, self.config.retention);
        let estates = self.ledger.waits_since().map(|since| since + show::KEPT);
        let doubt = self.ledger.in_transit() || self.naming.doubts() || self.locating.doubts(now);
        let at_least = if doubt { JUDGED_IN_DOUBT } else { JUDGED_AT_LEAST };
        let ends = searches.chain(waiting.until).chain(estates).chain(leaving).chain(forgotten);
        // What is over now has just been judged.
        self.again = ends.fold(now + at_least, Duration::min).max(now + JUDGED_AT_MOST);
        more
    }

    /// Joins the links, and carries over what was counted for the pairs that were there before.
    pub(super) fn pair_up(&mut self, now: Duration) {
        self.topology.pair_up();
        let pairs = &self.topology.pairing().pairs;
        let born = |pair: &Pair| self.topology.born(pair);
        let there = |end: End| self.topology.link(end.netns, end.ifindex).is_some();
        let carried = self.ledger.reconcile(pairs, now, born, there);
        let before = std::mem::take(&mut self.samples);
        self.samples =
            pairs.iter().zip(carried).map(|(pair, carried)| samples(pair, carried, &before)).collect();
    }
}

/// The counters of a pair's sides: those of the links, and never less than what was read of them before. The
/// links may have been read before the last sample, though they arrive after it.
fn samples(pair: &Pair, carried: Option<Carried>, before: &[[Counters; 2]]) -> [Counters; 2] {
    // An end that was left alone for a while has no sample.
    let mut earlier = carried.and_then(|carried| before.get(carried.index)).copied().unwrap_or_default();
    if carried.is_some_and(|carried| carried.turned) {
        earlier.swap(0, 1);
    }
    let linked = pair.sides.map(|side| side.link.map_or_else(Counters::default, |link| link.counters));
    [ledger::highest(&linked[0], &earlier[0]), ledger::highest(&linked[1], &earlier[1])]
}
