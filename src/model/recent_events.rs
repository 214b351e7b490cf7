//! The last events of pairs and containers: what appeared, was recreated or renamed, went, was down or up,
//! was restarted or stopped.

use super::ledger::{LabelSet, PairChange, PairChangeKind};
use super::lives::Lives;
use super::problems::{Subject, Transition};
use super::units;
use super::workload::{LifeAction, LifeChange};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// The number of events that are kept.
const KEPT: usize = 200;

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A workload has got an interface, under labels that are new.
    Appeared,
    /// A workload has got an interface, under labels that had one before.
    Recreated,
    /// A pair with an interface of a workload was deleted.
    Gone,
    /// A pair was booked to other labels than before.
    Renamed,
    /// A link that was up is down, for longer than engines take to set an interface up.
    Down,
    /// A link that was down is up again.
    Up,
    /// A container was started again.
    Restarted,
    /// The process of a container has ended.
    Stopped,
}

impl EventKind {
    /// Returns the kind in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            EventKind::Appeared => "appeared",
            EventKind::Recreated => "recreated",
            EventKind::Gone => "gone",
            EventKind::Renamed => "renamed",
            EventKind::Down => "down",
            EventKind::Up => "up",
            EventKind::Restarted => "restarted",
            EventKind::Stopped => "stopped",
        }
    }
}

/// An event of a pair or of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentEvent {
    /// The number of the event since the exporter's start; the next one has the next number.
    pub id: u64,
    /// The time of the event, as the state machine's time.
    pub at: Duration,
    pub kind: EventKind,
    pub subject: Subject,
    /// The network of the interface; empty if there is none.
    pub network: String,
    /// The description of the event, in a few words.
    pub text: String,
}

/// The last events, the oldest first. The allocation stays the same until another one comes.
#[derive(Debug, Default)]
pub(crate) struct RecentEvents {
    last: Arc<VecDeque<Arc<RecentEvent>>>,
    count: u64,
}

impl RecentEvents {
    /// Returns the events, the oldest first.
    pub(crate) fn last(&self) -> &Arc<VecDeque<Arc<RecentEvent>>> {
        &self.last
    }

    fn add(&mut self, at: Duration, kind: EventKind, subject: Subject, network: &str, text: String) {
        self.count += 1;
        let event = RecentEvent { id: self.count, at, kind, subject, network: network.to_owned(), text };
        let last = Arc::make_mut(&mut self.last);
        if last.len() == KEPT {
            last.pop_front();
        }
        last.push_back(Arc::new(event));
    }

    /// Adds what has happened to a pair; `device` is the name of its port, if it has one still.
    pub(crate) fn add_pair(&mut self, change: PairChange, device: String, now: Duration) {
        let PairChange { ends, labels, kind } = change;
        let (kind, text) = match kind {
            PairChangeKind::Appeared => (EventKind::Appeared, "appeared".to_owned()),
            PairChangeKind::Recreated => (EventKind::Recreated, "recreated: its totals go on".to_owned()),
            PairChangeKind::Renamed(before) => {
                (EventKind::Renamed, format!("renamed, was {}", describe(&before)))
            }
            PairChangeKind::Gone { lived, bytes } => {
                let (lived, bytes) = (units::span(lived), units::bytes(bytes));
                (EventKind::Gone, format!("gone after {lived} with {bytes}"))
            }
        };
        let workload = labels.workload();
        let parts = [workload.1[1], workload.1[2], workload.1[0]];
        let title: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let subject = Subject {
            runtime: Some(labels.runtime),
            workload: title.join("/"),
            pair: ends,
            device,
            interface: labels.interface.clone(),
            ..Subject::default()
        };
        self.add(now, kind, subject, &labels.network, text);
    }

    /// Adds that a link is down, or up again.
    pub(crate) fn add_transition(&mut self, transition: Transition, now: Duration) {
        let Transition { subject, begun } = transition;
        let (kind, text) = match begun {
            Some(text) => (EventKind::Down, text),
            None => (EventKind::Up, "up again".to_owned()),
        };
        self.add(now, kind, subject, "", text);
    }

    /// Adds the start or end of a container; `lives` has taken the change.
    pub(crate) fn add_life(&mut self, change: &LifeChange, lives: &Lives, now: Duration) {
        let (kind, text) = match change.action {
            LifeAction::Started => match lives.restarts_of(&change.workload) {
                0 => return,
                1 => (EventKind::Restarted, "restarted".to_owned()),
                count => (EventKind::Restarted, format!("restarted, {count} times now")),
            },
            LifeAction::Ended { exit_code: Some(code) } => {
                (EventKind::Stopped, format!("ended with exit code {code}"))
            }
            LifeAction::Ended { exit_code: None } => (EventKind::Stopped, "ended".to_owned()),
            LifeAction::StopRequested | LifeAction::Removed => return,
        };
        self.add(now, kind, Subject::workload(&change.workload), "", text);
    }
}

/// Returns the labels in a few words: `docker/web, eth0 on shop_front`.
fn describe(labels: &LabelSet) -> String {
    let LabelSet { runtime, container, namespace, pod, interface, network } = labels;
    let parts = [namespace, pod, container].into_iter().filter(|part| !part.is_empty());
    let title: Vec<&str> = parts.map(String::as_str).collect();
    let network = if network.is_empty() { String::new() } else { format!(" on {network}") };
    format!("{}/{}, {interface}{network}", runtime.as_str(), title.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::workload::{Runtime, Workload};

    const SECOND: Duration = Duration::from_secs(1);

    fn labels(container: &str) -> LabelSet {
        LabelSet::of(&Workload::named(Runtime::Docker, container), "eth0".into(), "front".into())
    }

    fn pod() -> LabelSet {
        let pod =
            Workload { namespace: "prod".into(), pod: "api-0".into(), ..Workload::named(Runtime::Cri, "") };
        LabelSet::of(&pod, "eth0".into(), String::new())
    }

    #[test]
    fn each_event_says_what_happened_to_which_workload() {
        let mut events = RecentEvents::default();
        let mut add = |labels: LabelSet, kind: PairChangeKind| {
            events.add_pair(PairChange { ends: None, labels, kind }, "veth1".into(), SECOND);
        };
        add(labels("web"), PairChangeKind::Appeared);
        add(labels("web"), PairChangeKind::Recreated);
        add(labels("web"), PairChangeKind::Renamed(pod()));
        add(pod(), PairChangeKind::Renamed(labels("web")));
        add(pod(), PairChangeKind::Gone { lived: 22 * 60 * SECOND, bytes: 3_000 });
        let mut lives = Lives::default();
        let web = Workload { id: "id".into(), ..Workload::named(Runtime::Docker, "web") };
        let actions = [
            LifeAction::Started,
            LifeAction::Ended { exit_code: Some(3) },
            LifeAction::Started,
            LifeAction::Ended { exit_code: None },
            LifeAction::StopRequested,
            LifeAction::Started,
            LifeAction::Removed,
        ];
        for action in actions {
            let change = LifeChange { workload: web.clone(), action };
            lives.take_change(change.clone(), SECOND);
            events.add_life(&change, &lives, SECOND);
        }
        let down = Transition { subject: Subject::workload(&web), begun: Some("veth1 is down".into()) };
        events.add_transition(down, SECOND);
        events.add_transition(Transition { subject: Subject::workload(&web), begun: None }, SECOND);
        let line = |event: &Arc<RecentEvent>| {
            let RecentEvent { id, kind, subject, text, .. } = event.as_ref();
            format!("{id} {} {}: {text}", kind.as_str(), subject.workload)
        };
        let told: Vec<String> = events.last().iter().map(line).collect();
        let expected = [
            "1 appeared web: appeared",
            "2 recreated web: recreated: its totals go on",
            "3 renamed web: renamed, was cri/prod/api-0, eth0",
            "4 renamed prod/api-0: renamed, was docker/web, eth0 on front",
            "5 gone prod/api-0: gone after 22 min with 3.00 kB",
            "6 stopped web: ended with exit code 3",
            "7 restarted web: restarted",
            "8 stopped web: ended",
            "9 restarted web: restarted, 2 times now",
            "10 down web: veth1 is down",
            "11 up web: up again",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn the_last_events_are_kept_and_a_list_that_was_read_does_not_change() {
        let mut events = RecentEvents::default();
        let add = |events: &mut RecentEvents, n: u64| {
            let change = PairChange { ends: None, labels: labels("web"), kind: PairChangeKind::Appeared };
            events.add_pair(change, String::new(), SECOND * n as u32);
        };
        (1..=KEPT as u64).for_each(|n| add(&mut events, n));
        let before = Arc::clone(events.last());
        add(&mut events, 300);
        let ids = |list: &VecDeque<Arc<RecentEvent>>| (list.front().unwrap().id, list.back().unwrap().id);
        assert_eq!((ids(&before), before.len()), ((1, 200), KEPT));
        assert_eq!((ids(events.last()), events.last().len()), ((2, 201), KEPT));
    }
}
