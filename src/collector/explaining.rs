//! The reading of the facts for a question: by need, of the namespaces in question.

use crate::kernel::{FactsReader, Wants};
use crate::model::explain::ends::{self, LinkPosition, Meaning, NamedEnds};
use crate::model::explain::facts::{
    EngineNetwork, FactKind, HostFacts, HostFilter, NetnsFacts, StackFacts, Unread,
};
use crate::model::explain::policy::PolicyRule;
use crate::model::explain::{self, ExplainQuestion, Explained, Explanation, Finding, LinkIndex};
use crate::model::link::End;
use crate::model::view::{ShownSide, View};
use crate::model::workload::Runtime;
use crate::runtimes::process::Processes;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

/// The most further namespaces on a bridge that are read, to find an address that is used twice.
const NEIGHBOURS: usize = 256;

/// The reason why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoEnd {
    #[error("the first end is an address that nothing here has")]
    Elsewhere,
    #[error("an end has just been deleted")]
    Gone,
    #[error("{what} cannot be read: {reason}")]
    Unread { what: String, reason: String },
}

/// The processes and counters of one reading, which the next goes on from.
#[derive(Debug, Default)]
pub(super) struct EarlierReading {
    /// One process of each namespace that has one.
    processes: BTreeMap<u32, u32>,
    /// The counters of each namespace that could be read.
    stacks: BTreeMap<u32, StackFacts>,
}

impl EarlierReading {
    /// Keeps what is of these namespaces alone.
    pub(super) fn retain(&mut self, nsids: &BTreeSet<u32>) {
        self.processes.retain(|nsid, _| nsids.contains(nsid));
        self.stacks.retain(|nsid, _| nsids.contains(nsid));
    }
}

/// The reader of the facts for questions.
pub(crate) struct Explainer<'a> {
    reader: &'a mut FactsReader,
    view: &'a View,
    pids: &'a Processes,
    labels: BTreeMap<Option<u32>, String>,
    /// The names of namespaces, by nsid.
    names: BTreeMap<u32, String>,
    /// The folder of these names.
    folder: &'a Path,
    /// One process of each namespace that was looked for; `None` if there is none.
    processes: BTreeMap<u32, Option<u32>>,
    /// The reason why processes cannot be read.
    no_processes: Option<Unread>,
    known: BTreeMap<Option<u32>, (Arc<NetnsFacts>, Vec<Unread>)>,
    networks: Vec<EngineNetwork>,
    /// The counters of the reading before.
    stacks: BTreeMap<u32, StackFacts>,
    /// The host's policy rules, once they were read.
    policy: Option<(Vec<PolicyRule>, Option<Unread>)>,
    /// The host's packet filters, once they were read.
    filter: Option<(Option<HostFilter>, Vec<Unread>)>,
}

impl<'a> Explainer<'a> {
    /// Begins a reading for questions about this view. `folder` has the names of namespaces.
    pub(crate) fn new(
        reader: &'a mut FactsReader,
        view: &'a View,
        pids: &'a Processes,
        folder: &'a Path,
    ) -> Explainer<'a> {
        let reported = view.scene.networks.reported.networks.iter();
        let networks = reported.filter_map(|(runtime, network)| {
            let bridge = network.bridge?;
            let name = network.name.clone();
            Some(EngineNetwork { runtime: *runtime, name, bridge, internal: network.internal })
        });
        Explainer {
            reader,
            view,
            pids,
            labels: ends::labels(view),
            names: names(view),
            folder,
            processes: BTreeMap::new(),
            no_processes: None,
            known: BTreeMap::new(),
            networks: networks.collect(),
            stacks: BTreeMap::new(),
            policy: None,
            filter: None,
        }
    }

    /// Goes on from the reading before, and reads of the host these links and their masters alone.
    pub(super) fn with(mut self, earlier: EarlierReading, host_links: &BTreeSet<u32>) -> Explainer<'a> {
        let known = earlier.processes.into_iter().map(|(nsid, pid)| (nsid, Some(pid)));
        self.processes = known.collect();
        self.stacks = earlier.stacks;
        let (netns, unread) = self.reader.host_with(host_links);
        self.known.insert(None, (Arc::new(netns), unread));
        self
    }

    /// Returns what the next reading goes on from. A process that is no longer in its namespace is searched
    /// again.
    pub(super) fn into_earlier(self) -> EarlierReading {
        let Explainer { mut processes, mut stacks, known, .. } = self;
        for (nsid, (netns, _)) in known.iter().filter_map(|(nsid, read)| Some(((*nsid)?, read))) {
            match netns.stack {
                Some(stack) => _ = stacks.insert(nsid, stack),
                None => _ = processes.remove(&nsid),
            }
        }
        let processes = processes.into_iter().filter_map(|(nsid, pid)| Some((nsid, pid?)));
        EarlierReading { processes: processes.collect(), stacks }
    }

    /// Explains the way between two ends, or from one to its gateway.
    ///
    /// # Errors
    /// Fails if the end is gone, and if the first end is an address that is not here.
    pub(crate) fn between(&mut self, from: &Meaning, to: Option<&Meaning>) -> Result<Explained, NoEnd> {
        let Meaning::Ends(from) = from else { return Err(NoEnd::Elsewhere) };
        for end in [Some(from), to.and_then(Meaning::ends)].into_iter().flatten() {
            let Some((name, (Some(nsid), _))) = end.netns.clone().zip(end.places.first()) else { continue };
            self.labels.entry(Some(*nsid)).or_insert_with(|| format!("{}/{name}", Runtime::Named.as_str()));
            self.names.entry(*nsid).or_insert(name);
        }
        let other = match to {
            Some(Meaning::Ends(to)) => Some(to),
            _ => None,
        };
        let mut facts = self.facts(from, other);
        let questions = match to {
            Some(Meaning::Elsewhere(address)) => alone(&facts, from, Some(*address)),
            Some(Meaning::Ends(to)) => between(&facts, from, to),
            _ => alone(&facts, from, None),
        };
        let Some(question) = questions.into_iter().min_by_key(|question| explain::distance(&facts, question))
        else {
            return Err(facts
                .unread
                .pop()
                .map_or(NoEnd::Gone, |of| NoEnd::Unread { what: of.what, reason: of.reason }));
        };
        self.add_host_facts(&mut facts, &question);
        Ok(Explained {
            from: describe(&facts, question.from, question.from_address),
            to: match (question.to, question.to_address) {
                (Some(place), address) => describe(&facts, place, address),
                (None, Some(address)) => address.to_string(),
                (None, None) => String::new(),
            },
            explanation: explain::explain(&facts, &question),
        })
    }

    /// Explains everything that is wrong on the host: its problems, and what each interface shows by itself
    /// and on the way to its gateway.
    pub(crate) fn everything(&mut self) -> Vec<Explained> {
        // What the last checks have found is found anew.
        let problems = self.view.condition.problems.iter().filter(|problem| !problem.kind.is_of_checks());
        let problems = problems.map(Finding::of_problem).collect();
        let explanation = Explanation { findings: problems, ..Explanation::default() };
        let mut documents = vec![Explained { from: String::new(), to: String::new(), explanation }];
        let sides = self.view.scene.pairs.iter().flat_map(|pair| {
            let shown = pair.ports().filter(|(_, _, interface)| !interface.hidden);
            shown.map(|(_, _, interface)| (interface.end.netns.nsid(), interface.end.ifindex))
        });
        let places: BTreeSet<LinkPosition> = sides.filter(|(nsid, _)| nsid.is_some()).collect();
        self.find_processes(places.iter().filter_map(|(nsid, _)| *nsid).collect());
        let mut unread: BTreeSet<Unread> = BTreeSet::new();
        for place in places {
            let Some(mut explained) = self.alone(place) else { continue };
            unread.extend(std::mem::take(&mut explained.explanation.unread));
            if !explained.explanation.findings.is_empty() {
                documents.push(explained);
            }
        }
        documents.extend(Some(Explained {
            explanation: Explanation { unread: unread.into_iter().collect(), ..Explanation::default() },
            ..Explained::default()
        }));
        documents
    }

    /// Explains what an interface shows by itself and on the way to its gateway; `None` if it is gone.
    pub(super) fn alone(&mut self, place: LinkPosition) -> Option<Explained> {
        let ends = NamedEnds { places: vec![place], address: None, port: None, netns: None };
        let mut facts = self.facts_of([None, place.0].into());
        let question = alone(&facts, &ends, None).pop()?;
        self.add_host_facts(&mut facts, &question);
        let mut explanation = explain::explain(&facts, &question);
        explanation.findings.retain(Finding::needs_no_end);
        explanation.not_checked.clear();
        let from = describe(&facts, question.from, question.from_address);
        Some(Explained { from, to: String::new(), explanation })
    }

    /// Reads the namespaces in question, and those with interfaces on the same bridges.
    fn facts(&mut self, from: &NamedEnds, to: Option<&NamedEnds>) -> HostFacts {
        let ends = || from.places.iter().chain(to.iter().flat_map(|to| &to.places));
        let mut wanted: BTreeSet<Option<u32>> = ends().map(|(nsid, _)| *nsid).chain([None]).collect();
        let positions: BTreeSet<LinkPosition> = ends().copied().collect();
        let position = |end: End| (end.netns.nsid(), end.ifindex);
        let pairs = || self.view.scene.pairs.iter();
        let bridges: BTreeSet<_> = pairs()
            .filter(|pair| pair.sides.iter().any(|side| positions.contains(&position(side.end))))
            .flat_map(|pair| &pair.sides)
            .filter_map(|side| Some((side.end.netns, side.bridge()?)))
            .collect();
        for pair in pairs() {
            let [one, other] = &pair.sides;
            if positions.contains(&position(one.end)) || positions.contains(&position(other.end)) {
                wanted.extend([one.end.netns.nsid(), other.end.netns.nsid()]);
            }
        }
        let is_beside =
            |side: &ShownSide| side.bridge().is_some_and(|of| bridges.contains(&(side.end.netns, of)));
        let beside: Vec<Option<u32>> = pairs()
            .filter(|pair| pair.sides.iter().any(is_beside))
            .flat_map(|pair| pair.sides.each_ref().map(|side| side.end.netns.nsid()))
            .filter(|nsid| !wanted.contains(nsid))
            .take(NEIGHBOURS)
            .collect();
        self.find_processes(wanted.iter().copied().flatten().collect());
        let listening = to.filter(|to| to.port.is_some()).and_then(|to| to.places.first());
        if let Some((nsid, _)) = listening {
            self.read(*nsid, Wants { listening: true });
        }
        let mut facts = self.facts_of(wanted);
        for nsid in beside {
            let netns = Arc::clone(&self.read(nsid, Wants::default()).0);
            facts.namespaces.push(netns);
        }
        facts
    }

    /// Returns the facts of these namespaces, that of the host first.
    fn facts_of(&mut self, wanted: BTreeSet<Option<u32>>) -> HostFacts {
        let has_none = |nsid: &u32| !self.processes.get(nsid).is_some_and(Option::is_some);
        let unread = self.no_processes.clone().filter(|_| wanted.iter().flatten().any(has_none));
        let unread = unread.into_iter().collect();
        let mut facts = HostFacts { networks: self.networks.clone(), unread, ..HostFacts::default() };
        for nsid in wanted {
            let (netns, unread) = self.read(nsid, Wants::default());
            facts.namespaces.push(Arc::clone(netns));
            facts.unread.extend(unread.iter().cloned());
        }
        facts
    }

    /// Adds the host's packet filters and its routes for the addresses in question.
    fn add_host_facts(&mut self, facts: &mut HostFacts, question: &ExplainQuestion) {
        if explain::is_filtered(facts, question) {
            let (filter, unread) = self.filter.get_or_insert_with(|| self.reader.filter());
            facts.filter.clone_from(filter);
            facts.unread.extend(unread.iter().cloned());
        }
        let packets = explain::route_questions(facts, question);
        if !packets.is_empty() {
            let (policy, unread) = self.policy.get_or_insert_with(|| policy_rules(self.reader));
            facts.policy.clone_from(policy);
            facts.unread.extend(unread.clone());
        }
        for packet in packets {
            match self.reader.lookup(packet) {
                Ok(lookup) => facts.lookups.push(lookup),
                Err(failure) => facts.unread.push(Unread {
                    kind: FactKind::Lookup,
                    what: format!("the host's route for {}", packet.destination),
                    reason: failure.to_string(),
                }),
            }
        }
    }

    pub(super) fn find_processes(&mut self, wanted: BTreeSet<u32>) {
        let missing: BTreeSet<u32> =
            wanted.into_iter().filter(|nsid| !self.processes.contains_key(nsid)).collect();
        if missing.is_empty() || self.no_processes.is_some() {
            return;
        }
        let reason = match self.pids.pids() {
            Ok(pids) => {
                let found = self.reader.pids_by_nsid(&pids, &missing);
                let is_hidden = found.len() < missing.len() && self.pids.are_hidden();
                self.processes.extend(missing.into_iter().map(|nsid| (nsid, found.get(&nsid).copied())));
                let procfs = self.pids.path().display();
                is_hidden.then(|| format!("{procfs} hides those of other users (mount option hidepid)"))
            }
            Err(error) => Some(error.to_string()),
        };
        let what = "the processes, and with them routes, neighbours and counters of other namespaces";
        let unread = |reason| Unread { kind: FactKind::Files, what: what.to_owned(), reason };
        self.no_processes = reason.map(unread);
    }

    /// Returns the facts of a namespace, read once.
    fn read(&mut self, nsid: Option<u32>, wants: Wants) -> &(Arc<NetnsFacts>, Vec<Unread>) {
        let pid = nsid.and_then(|nsid| self.processes.get(&nsid)).copied().flatten();
        let Explainer { reader, known, labels, names, folder, stacks, .. } = self;
        known.entry(nsid).or_insert_with(|| {
            let (mut netns, unread) = reader.netns(nsid, pid, wants);
            let label = labels.get(&nsid).cloned().unwrap_or_default();
            netns.earlier = nsid.and_then(|nsid| stacks.get(&nsid)).copied();
            netns.label = match (nsid, label.is_empty()) {
                (Some(nsid), true) => format!("nsid {nsid}"),
                _ => label,
            };
            netns.enter = match (nsid, nsid.and_then(|nsid| names.get(&nsid)), pid) {
                (None, ..) | (Some(_), None, None) => String::new(),
                (Some(_), Some(name), _) => ends::into_named(folder, name),
                (Some(_), None, Some(pid)) => format!("nsenter -n -t {pid} "),
            };
            let of = if nsid.is_none() { "the host".to_owned() } else { netns.label.clone() };
            let unread = unread.into_iter();
            let unread = unread.map(|unread| Unread { what: format!("{} of {of}", unread.what), ..unread });
            (Arc::new(netns), unread.collect())
        })
    }
}

/// Reads the host's policy rules; none with the reason if they cannot be read.
fn policy_rules(reader: &mut FactsReader) -> (Vec<PolicyRule>, Option<Unread>) {
    match reader.policy_rules() {
        Ok(rules) => (rules, None),
        Err(failure) => {
            let what = "the policy rules of the host".to_owned();
            (Vec::new(), Some(Unread { kind: FactKind::Lookup, what, reason: failure.to_string() }))
        }
    }
}

/// Returns the questions from each of these links to its gateway, or to an address that is not here.
fn alone(facts: &HostFacts, ends: &NamedEnds, address: Option<IpAddr>) -> Vec<ExplainQuestion> {
    let questions = ends.places.iter().filter_map(|position| {
        let from = place(facts, *position)?;
        let to_address = address.or_else(|| explain::gateway(facts, from));
        let to = to_address.and_then(|address| explain::place_of(facts, address));
        Some(ExplainQuestion { from, from_address: ends.address, to, to_address, port: None })
    });
    questions.collect()
}

/// Returns the questions from each of these links to each of the others.
fn between(facts: &HostFacts, from: &NamedEnds, to: &NamedEnds) -> Vec<ExplainQuestion> {
    let both = from.places.iter().flat_map(|one| to.places.iter().map(move |other| (*one, *other)));
    let questions = both.filter_map(|(one, other)| {
        Some(ExplainQuestion {
            from: place(facts, one)?,
            from_address: from.address,
            to: Some(place(facts, other)?),
            to_address: to.address,
            port: to.port,
        })
    });
    questions.collect()
}

/// Returns the place of a link in the facts; of the port of a bridge without an address the interface behind
/// it. `None` if the link is not there.
fn place(facts: &HostFacts, (nsid, ifindex): LinkPosition) -> Option<LinkIndex> {
    let netns = facts.namespaces.iter().position(|netns| netns.nsid == nsid)?;
    let links = &facts.namespaces.get(netns)?.links;
    let place =
        links.iter().any(|link| link.link.ifindex == ifindex).then_some(LinkIndex { netns, ifindex })?;
    Some(explain::interface_behind(facts, place).unwrap_or(place))
}

fn describe(facts: &HostFacts, place: LinkIndex, address: Option<IpAddr>) -> String {
    let text = explain::describe(facts, place);
    address.map_or(text.clone(), |address| format!("{text} ({address})"))
}

/// Returns the names of named namespaces that have an end of a pair.
fn names(view: &View) -> BTreeMap<u32, String> {
    let named = ends::sides(view).filter_map(|side| {
        let owner = &side.ownership.as_ref()?.owner;
        let name = Some(owner.name.clone()).filter(|_| owner.runtime == Runtime::Named)?;
        Some((side.end.netns.nsid()?, name))
    });
    named.collect()
}
