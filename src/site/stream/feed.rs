//! The events of the stream: the whole state for a new client, and then the changes of each tick.

use crate::collector::Snapshot;
use crate::exposition::json::row::PlaceRow;
use crate::model::link::End;
use crate::model::pairing::Role;
use crate::model::peak::Rates;
use crate::model::view::{Scene, ShownPair, Source, SourceStatus, View};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The facts about the exporter that do not change while it runs.
#[derive(Clone, Debug)]
pub struct About {
    /// The length of a tick.
    interval: Duration,
    /// The missing capabilities with which the exporter would see more.
    lacks: Vec<&'static str>,
    /// The identifier of this start of this exporter; pairs have other identifiers in another one.
    instance: String,
}

impl About {
    /// Returns the facts about an exporter that starts now, with the length of its ticks and the capabilities
    /// that it lacks.
    pub fn new(interval: Duration, lacks: Vec<&'static str>) -> About {
        // A clock before 1970 counts as 1970; the process id still distinguishes the instance.
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let instance = format!("{:x}.{:x}", now.as_micros(), std::process::id());
        About { interval, lacks, instance }
    }
}

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
    #[serde(flatten)]
    now: Now<'a>,
}

#[derive(Serialize)]
struct Now<'a> {
    time: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sources: Option<&'a [SourceRow]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summed: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vanished: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    appeared: Vec<StreamedPair<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changed: Vec<StreamedPair<'a>>,
    rates: Vec<FlowRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    peaks: Vec<FlowRow>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dropped: Vec<[u64; 3]>,
}

/// A pair's id; bytes a second received and transmitted, packets a second received and transmitted. All four
/// are null where they are not known.
#[derive(Serialize)]
struct FlowRow([Option<u64>; 5]);

impl FlowRow {
    fn new(id: u64, rates: Option<Rates>) -> FlowRow {
        let of = |number: fn(Rates) -> u64| rates.map(number);
        FlowRow([
            Some(id),
            of(|rates| rates.receive_bytes),
            of(|rates| rates.transmit_bytes),
            of(|rates| rates.receive_packets),
            of(|rates| rates.transmit_packets),
        ])
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
            about,
            epoch: snapshot.epoch,
            ticked: view.ticked,
            scene: Arc::default(),
            pairs: Vec::new(),
            ids,
            sources: source_rows(snapshot),
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

    /// Returns the whole state, as JSON.
    pub(super) fn state(&self) -> String {
        let pairs = || self.scene.pairs.iter().zip(&self.pairs);
        let mut now = Now::new(self);
        now.sources = Some(&self.sources);
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
        let other_summed = self.scene.overflow.pairs != view.scene.overflow.pairs;
        let change = match Arc::ptr_eq(&self.scene, &view.scene) {
            true => SceneChange::default(),
            false => self.replace_scene(&view.scene),
        };
        let mut news = Vec::with_capacity(self.pairs.len());
        for (pair, streamed) in self.pairs.iter_mut().enumerate() {
            let numbers = Numbers::new(view, pair, streamed.subject);
            if numbers != streamed.numbers {
                news.push((streamed.id, std::mem::replace(&mut streamed.numbers, numbers.clone()), numbers));
            }
        }
        let mut now = Now::new(self);
        now.sources = other_sources.then_some(&self.sources);
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
            peaks: view.own_peaks(pair, side),
            dropped: [counted.receive_dropped, counted.transmit_dropped],
        }
    }
}

impl Now<'_> {
    fn new(feed: &Feed) -> Self {
        Now {
            time: (feed.epoch + feed.ticked).as_millis() as f64 / 1e3,
            sources: None,
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
        if now.rates != before.rates {
            self.rates.push(FlowRow::new(id, now.rates));
        }
        if now.peaks != before.peaks {
            self.peaks.push(FlowRow::new(id, now.peaks));
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
