//! The events of the stream: the whole state for a new client, and then the changes of each tick.

use crate::collector::{Histories, Snapshot};
use crate::exposition::json::container::{RestartsRow, VethlessRow};
use crate::exposition::json::event::EventRow;
use crate::exposition::json::host::HostRow;
use crate::exposition::json::problem::ProblemRow;
use crate::exposition::json::row::PlaceRow;
use crate::model::ledger::{HistorySteps, LabelSet};
use crate::model::link::End;
use crate::model::pairing::Role;
use crate::model::peak::Rates;
use crate::model::problems::{Problem, Subject};
use crate::model::view::{Condition, DropRates, Scene, ShownPair, ShownSide, Source, SourceStatus, View};
use crate::model::workload::Workload;
use crate::site::about::About;
use base64::prelude::{BASE64_STANDARD, Engine};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The state of the pairs, as it was last sent.
pub(super) struct Feed {
    about: Arc<About>,
    /// The wall clock's time at which the view's times begin, since 1970.
    epoch: Duration,
    /// The time of the last tick that was sent, since `epoch`.
    ticked: Duration,
    scene: Arc<Scene>,
    pairs: Vec<StreamedNumbers>,
    ids: Ids,
    sources: Vec<SourceRow>,
    condition: Condition,
    host: HostRow<'static>,
}

/// The pairs' identifiers, by their ends. No identifier is used twice while the exporter runs.
#[derive(Debug, Default)]
pub(super) struct Ids {
    known: BTreeMap<[End; 2], u64>,
    last: u64,
}

/// The facts and numbers of one pair, as they were last sent.
struct StreamedNumbers {
    id: u64,
    /// The side that the numbers are about, 0 or 1: bytes into it are received.
    subject: usize,
    numbers: Numbers,
}

/// The numbers of a pair.
#[derive(Clone, Default, PartialEq)]
struct Numbers {
    rates: Option<Rates>,
    /// The rates of dropped packets in the last tick.
    drop_rates: DropRates,
    peaks: Option<Rates>,
    /// Dropped packets in total: received, transmitted.
    dropped: [u64; 2],
}

#[derive(Serialize)]
struct StreamedState<'a> {
    exporter: &'a str,
    version: &'static str,
    interval: f64,
    lacks: &'a [&'static str],
    /// The rates of the pairs with labels of their own and traffic in the last hour.
    history: Vec<HistoryRow>,
    #[serde(flatten)]
    now: Now<'a>,
}

/// The rates of a pair's labels, received and sent by its subject, in base 64: a byte for each tick, and for
/// each half minute. The byte is 0 for no traffic, else v for max(v, 1.1^(v-1)) bytes a second, rounded.
#[derive(Serialize)]
struct HistoryRow {
    pair: u64,
    ticks: [String; 2],
    half_minutes: [String; 2],
}

#[derive(Serialize)]
struct Now<'a> {
    time: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a HostRow<'static>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sources: Option<&'a [SourceRow]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problems: Option<Vec<ProblemRow<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workloads: Option<Vec<VethlessRow<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restarts: Option<Vec<RestartsRow<'a>>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<EventRow<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summed: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vanished: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    appeared: Vec<StreamedPair<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changed: Vec<StreamedPair<'a>>,
    rates: Vec<RatesRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    peaks: Vec<PeaksRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dropped: Vec<[u64; 3]>,
}

/// A pair's id; bytes a second received and transmitted, packets a second received and transmitted, dropped
/// packets a second that were to be received and transmitted. All six are null where they are not known.
#[derive(Serialize)]
struct RatesRow([Option<u64>; 7]);

/// A pair's id; the highest bytes a second received and transmitted, packets a second received and
/// transmitted. All four are null where they are not known.
#[derive(Serialize)]
struct PeaksRow([Option<u64>; 5]);

/// Returns bytes a second received and transmitted, and packets a second received and transmitted.
fn flow(rates: Option<Rates>) -> [Option<u64>; 4] {
    let of = |number: fn(Rates) -> u64| rates.map(number);
    [
        of(|rates| rates.receive_bytes),
        of(|rates| rates.transmit_bytes),
        of(|rates| rates.receive_packets),
        of(|rates| rates.transmit_packets),
    ]
}

impl RatesRow {
    fn new(id: u64, numbers: &Numbers) -> RatesRow {
        let [a, b, c, d] = flow(numbers.rates);
        let dropped = |packets: u64| numbers.rates.map(|_| packets);
        let DropRates { receive, transmit } = numbers.drop_rates;
        RatesRow([Some(id), a, b, c, d, dropped(receive), dropped(transmit)])
    }
}

impl PeaksRow {
    fn new(id: u64, peaks: Option<Rates>) -> PeaksRow {
        let [a, b, c, d] = flow(peaks);
        PeaksRow([Some(id), a, b, c, d])
    }
}

#[derive(Clone, PartialEq, Serialize)]
struct SourceRow {
    collector: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    limits: Vec<String>,
}

#[derive(Serialize)]
struct StreamedPair<'a> {
    id: u64,
    state: &'static str,
    ends: [PlaceRow<'a>; 2],
}

impl Feed {
    /// Returns a feed that starts with this snapshot; `None` if it has no view yet.
    pub(super) fn new(about: Arc<About>, ids: Ids, snapshot: &Snapshot) -> Option<Feed> {
        let view = snapshot.view.as_ref()?;
        let mut feed = Feed {
            epoch: snapshot.epoch,
            ticked: view.ticked,
            scene: Arc::default(),
            pairs: Vec::new(),
            ids,
            sources: source_rows(snapshot),
            host: about.host.with_engines(&snapshot.status),
            condition: view.condition.clone(),
            about,
        };
        feed.replace_scene(&view.scene);
        for (pair, streamed) in feed.pairs.iter_mut().enumerate() {
            streamed.numbers = Numbers::new(view, pair, streamed.subject);
        }
        Some(feed)
    }

    /// Ends the feed; returns the pairs' identifiers for the next one.
    pub(super) fn into_ids(self) -> Ids {
        self.ids
    }

    /// Returns the identifier of this tick's events: two events of one identifier have the same content.
    pub(super) fn event_id(&self) -> String {
        format!("{}-{}", self.about.instance, self.ticked.as_millis())
    }

    /// Returns the whole state, with the rates of workloads in the last hour, as JSON.
    pub(super) fn state(&self, histories: &Histories) -> String {
        let pairs = || self.scene.pairs.iter().zip(&self.pairs);
        let mut now = Now::new(self);
        now.sources = Some(&self.sources);
        now.host = Some(&self.host);
        now.problems = Some(self.problem_rows());
        now.workloads = Some(self.vethless_rows());
        now.restarts = Some(self.restarts_rows());
        now.events = self.event_rows(0);
        now.summed = Some(self.scene.overflow.pairs);
        now.appeared = pairs().map(|(shown, streamed)| StreamedPair::new(shown, streamed)).collect();
        for streamed in &self.pairs {
            now.add_changes(streamed.id, &Numbers::default(), &streamed.numbers);
        }
        json(&StreamedState {
            exporter: &self.about.instance,
            version: env!("CARGO_PKG_VERSION"),
            interval: self.about.interval.as_secs_f64(),
            lacks: &self.about.lacks,
            history: self.history_rows(histories),
            now,
        })
    }

    /// Returns the changes of this tick, as JSON; `None` if the snapshot has no tick that is not sent yet.
    pub(super) fn tick(&mut self, snapshot: &Snapshot) -> Option<String> {
        let view = snapshot.view.as_ref().filter(|view| view.ticked > self.ticked)?;
        self.ticked = view.ticked;
        let sources = source_rows(snapshot);
        let other_sources = self.sources != sources;
        self.sources = sources;
        let host = self.about.host.with_engines(&snapshot.status);
        let other_host = std::mem::replace(&mut self.host, host.clone()) != host;
        let before = std::mem::replace(&mut self.condition, view.condition.clone());
        let other_summed = self.scene.overflow.pairs != view.scene.overflow.pairs;
        let change = match Arc::ptr_eq(&self.scene, &view.scene) {
            true => SceneChange::default(),
            false => self.replace_scene(&view.scene),
        };
        let has_other_pairs = !change.vanished.is_empty() || !change.appeared.is_empty();
        let mut news = Vec::with_capacity(self.pairs.len());
        for (pair, streamed) in self.pairs.iter_mut().enumerate() {
            let numbers = Numbers::new(view, pair, streamed.subject);
            if numbers != streamed.numbers {
                news.push((streamed.id, std::mem::replace(&mut streamed.numbers, numbers.clone()), numbers));
            }
        }
        let mut now = Now::new(self);
        now.sources = other_sources.then_some(&self.sources);
        now.host = other_host.then_some(&self.host);
        now.problems =
            (self.condition.problems != before.problems || has_other_pairs).then(|| self.problem_rows());
        now.workloads = (self.condition.vethless != before.vethless).then(|| self.vethless_rows());
        now.restarts = (self.condition.restarts != before.restarts).then(|| self.restarts_rows());
        now.events = self.event_rows(before.events.back().map_or(0, |event| event.id));
        now.summed = other_summed.then_some(self.scene.overflow.pairs);
        now.vanished = change.vanished;
        let row = |&pair: &usize| StreamedPair::new(&self.scene.pairs[pair], &self.pairs[pair]);
        now.appeared = change.appeared.iter().map(row).collect();
        now.changed = change.changed.iter().map(row).collect();
        for (id, before, numbers) in &news {
            now.add_changes(*id, before, numbers);
        }
        Some(json(&now))
    }

    /// Returns the rows of the problems, with the identifiers of the pairs that they are about.
    fn problem_rows(&self) -> Vec<ProblemRow<'_>> {
        let row = |problem| {
            let pair = |ends: &[End; 2]| self.ids.known.get(ends).copied();
            let pairs = self.pairs_of(problem).iter().filter_map(pair).collect();
            ProblemRow { pairs, ..ProblemRow::new(problem, Some(self.epoch)) }
        };
        self.condition.problems.iter().map(row).collect()
    }

    fn history_rows(&self, histories: &Histories) -> Vec<HistoryRow> {
        let by_labels: BTreeMap<&LabelSet, &HistorySteps> =
            histories.iter().map(|(labels, steps)| (&**labels, steps)).collect();
        let rows = self.pairs.iter().enumerate().filter_map(|(pair, streamed)| {
            let total = self.scene.pair_totals.get(pair)?[streamed.subject].filter(|total| !total.shared)?;
            let steps = by_labels.get(&**self.scene.workloads.get(total.index as usize)?)?;
            let text = |steps: &[Vec<u8>; 2]| steps.each_ref().map(|steps| BASE64_STANDARD.encode(steps));
            let (ticks, half_minutes) = (text(&steps.ticks), text(&steps.half_minutes));
            Some(HistoryRow { pair: streamed.id, ticks, half_minutes })
        });
        rows.collect()
    }

    fn vethless_rows(&self) -> Vec<VethlessRow<'_>> {
        self.condition
            .vethless
            .iter()
            .map(|container| VethlessRow::new(container, Some(self.epoch)))
            .collect()
    }

    fn restarts_rows(&self) -> Vec<RestartsRow<'_>> {
        self.condition.restarts.iter().map(|restarts| RestartsRow::new(restarts, Some(self.epoch))).collect()
    }

    /// Returns the rows of the events after the one with this number.
    fn event_rows(&self, last: u64) -> Vec<EventRow<'_>> {
        let new = self.condition.events.iter().filter(|event| event.id > last);
        let rows = new.map(|event| {
            let pair = event.subject.pair.and_then(|ends| self.ids.known.get(&ends).copied());
            EventRow { pair, ..EventRow::new(event, self.epoch) }
        });
        rows.collect()
    }

    /// Returns the pairs that a problem is about: its own, or those of its workload, which may be a member of
    /// their namespace.
    fn pairs_of(&self, problem: &Problem) -> Vec<[End; 2]> {
        let Subject { runtime: Some(runtime), workload, pair: None, .. } = &problem.subject else {
            return problem.subject.pair.into_iter().collect();
        };
        let is_its = |side: &ShownSide| {
            let ownership = side.ownership.as_ref().filter(|_| side.role == Role::Interface);
            let is_it = |known: &Workload| known.runtime == *runtime && known.title() == *workload;
            ownership.is_some_and(|known| is_it(&known.owner) || known.members.iter().any(is_it))
        };
        let pairs = self.scene.pairs.iter().filter(|pair| pair.sides.iter().any(is_its));
        pairs.map(|pair| pair.sides.each_ref().map(|side| side.end)).collect()
    }

    /// Replaces the scene; returns the pairs that have appeared, vanished and changed.
    fn replace_scene(&mut self, scene: &Arc<Scene>) -> SceneChange {
        let before = std::mem::replace(&mut self.scene, Arc::clone(scene));
        let mut known: BTreeMap<u64, (&Arc<ShownPair>, StreamedNumbers)> = before
            .pairs
            .iter()
            .zip(std::mem::take(&mut self.pairs))
            .map(|(shown, streamed)| (streamed.id, (shown, streamed)))
            .collect();
        let mut change = SceneChange::default();
        let mut ids = BTreeMap::new();
        for (pair, shown) in scene.pairs.iter().enumerate() {
            let ends = shown.sides.each_ref().map(|side| side.end);
            let id = self.ids.known.get(&ends).copied().unwrap_or_else(|| {
                self.ids.last += 1;
                self.ids.last
            });
            ids.insert(ends, id);
            let mut streamed = StreamedNumbers { id, subject: subject(shown), numbers: Numbers::default() };
            match known.remove(&id) {
                None => change.appeared.push(pair),
                Some((earlier, before)) => {
                    if earlier != shown {
                        change.changed.push(pair);
                    }
                    streamed.numbers = before.numbers;
                }
            }
            self.pairs.push(streamed);
        }
        self.ids.known = ids;
        change.vanished = known.into_keys().collect();
        change
    }
}

/// The differences between two scenes: pairs by their index in the new one, vanished pairs by identifier.
#[derive(Default)]
struct SceneChange {
    appeared: Vec<usize>,
    changed: Vec<usize>,
    vanished: Vec<u64>,
}

impl Numbers {
    /// Returns the numbers of a pair at the end of a tick, as one side sees them.
    fn new(view: &View, pair: usize, side: usize) -> Numbers {
        let counted = view.own_counters(pair, side);
        Numbers {
            rates: view.own_rates(pair, side),
            drop_rates: view.own_drops(pair, side),
            peaks: view.own_peaks(pair, side),
            dropped: [counted.receive_dropped, counted.transmit_dropped],
        }
    }
}

impl Now<'_> {
    fn new(feed: &Feed) -> Self {
        Now {
            time: (feed.epoch + feed.ticked).as_millis() as f64 / 1e3,
            host: None,
            sources: None,
            problems: None,
            workloads: None,
            restarts: None,
            events: Vec::new(),
            summed: None,
            vanished: Vec::new(),
            appeared: Vec::new(),
            changed: Vec::new(),
            rates: Vec::new(),
            peaks: Vec::new(),
            dropped: Vec::new(),
        }
    }

    /// Adds the differences of a pair's numbers.
    fn add_changes(&mut self, id: u64, before: &Numbers, now: &Numbers) {
        if (now.rates, now.drop_rates) != (before.rates, before.drop_rates) {
            self.rates.push(RatesRow::new(id, now));
        }
        if now.peaks != before.peaks {
            self.peaks.push(PeaksRow::new(id, now.peaks));
        }
        if now.dropped != before.dropped {
            let [receive, transmit] = now.dropped;
            self.dropped.push([id, receive, transmit]);
        }
    }
}

impl<'a> StreamedPair<'a> {
    /// Returns the row of a pair; the side that its numbers are about comes second.
    fn new(shown: &'a ShownPair, streamed: &StreamedNumbers) -> StreamedPair<'a> {
        let [other, subject] =
            [1 - streamed.subject, streamed.subject].map(|side| PlaceRow::new(&shown.sides[side]));
        StreamedPair { id: streamed.id, state: shown.state.as_str(), ends: [other, subject] }
    }
}

/// Returns the side that a pair's numbers are about: the interface if only one side is one; else the second
/// side, unless the user's filter hides it.
fn subject(pair: &ShownPair) -> usize {
    match pair.sides.each_ref().map(|side| (side.role, side.hidden)) {
        [(Role::Interface, _), (Role::Port, _)] => 0,
        [(Role::Interface, false), (Role::Interface, true)] => 0,
        _ => 1,
    }
}

fn source_rows(snapshot: &Snapshot) -> Vec<SourceRow> {
    let row = |(source, status): (&Source, &SourceStatus)| SourceRow {
        collector: source.as_str(),
        failure: status.result.as_ref().err().map(|lack| lack.message(*source)),
        limits: status.limits.iter().map(|lack| lack.message(*source)).collect(),
    };
    snapshot.status.sources.iter().map(row).collect()
}

/// Formats the value as JSON. This cannot fail: all keys are texts, and all numbers are finite.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| {
        tracing::error!(%error, "cannot write the stream");
        "null".to_owned()
    })
}

#[cfg(test)]
mod tests;
