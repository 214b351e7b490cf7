//! What the stream says: all there is to whoever comes, and then at each tick what is new.

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

/// What does not change while the exporter runs.
#[derive(Clone, Debug)]
pub struct About {
    /// The length of a tick.
    interval: Duration,
    /// The capabilities that would let it see more.
    lacks: Vec<&'static str>,
    /// Which start of which exporter this is: another one has other numbers for its pairs.
    instance: String,
}

impl About {
    /// An exporter that starts now, whose ticks are so long, and that would see more with these capabilities.
    pub fn new(interval: Duration, lacks: Vec<&'static str>) -> About {
        // A clock that stands before 1970 counts as 1970; the process makes up for it.
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let instance = format!("{:x}.{:x}", now.as_micros(), std::process::id());
        About { interval, lacks, instance }
    }
}

/// What has been told.
pub(super) struct Feed {
    about: Arc<About>,
    /// When the view's times begin.
    epoch: Duration,
    ticked: Duration,
    scene: Arc<Scene>,
    pairs: Vec<StreamedNumbers>,
    ids: Ids,
    sources: Vec<SourceRow>,
}

/// The pairs' numbers, by their ends. No number is given twice while the exporter runs.
#[derive(Debug, Default)]
pub(super) struct Ids {
    known: BTreeMap<[End; 2], u64>,
    last: u64,
}

/// What has been told of a pair.
struct StreamedNumbers {
    id: u64,
    /// Which side is told of: into it is receive.
    subject: usize,
    numbers: Numbers,
}

/// The numbers of a pair, as last told.
#[derive(Clone, Default, PartialEq)]
struct Numbers {
    rates: Option<Rates>,
    peaks: Option<Rates>,
    /// Ever, on the way in and out.
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
}

#[derive(Serialize)]
struct StreamedPair<'a> {
    id: u64,
    state: &'static str,
    ends: [PlaceRow<'a>; 2],
}

impl Feed {
    /// Begins with what is shown now; `None` if there is nothing yet.
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
        feed.take_scene(&view.scene);
        for (pair, told) in feed.pairs.iter_mut().enumerate() {
            told.numbers = Numbers::new(view, pair, told.subject);
        }
        Some(feed)
    }

    /// Ends it; whoever comes later finds the pairs by the same numbers.
    pub(super) fn into_ids(self) -> Ids {
        self.ids
    }

    /// What the events of this tick are called: two of one name say the same.
    pub(super) fn event_id(&self) -> String {
        format!("{}-{}", self.about.instance, self.ticked.as_millis())
    }

    /// All there is, as JSON.
    pub(super) fn state(&self) -> String {
        let told = || self.scene.pairs.iter().zip(&self.pairs);
        let mut now = Now::new(self);
        now.sources = Some(&self.sources);
        now.summed = Some(self.scene.summed);
        now.appeared = told().map(|(shown, told)| StreamedPair::new(shown, told)).collect();
        for told in &self.pairs {
            now.add(told.id, &Numbers::default(), &told.numbers);
        }
        json(&StreamedState {
            exporter: &self.about.instance,
            version: env!("CARGO_PKG_VERSION"),
            interval: self.about.interval.as_secs_f64(),
            lacks: &self.about.lacks,
            now,
        })
    }

    /// What is new at this tick, as JSON; `None` if it is none that was not told already.
    pub(super) fn tick(&mut self, snapshot: &Snapshot) -> Option<String> {
        let view = snapshot.view.as_ref().filter(|view| view.ticked > self.ticked)?;
        self.ticked = view.ticked;
        let sources = source_rows(snapshot);
        let other_sources = self.sources != sources;
        self.sources = sources;
        let other_summed = self.scene.summed != view.scene.summed;
        let change = match Arc::ptr_eq(&self.scene, &view.scene) {
            true => SceneChange::default(),
            false => self.take_scene(&view.scene),
        };
        let mut news = Vec::with_capacity(self.pairs.len());
        for (pair, told) in self.pairs.iter_mut().enumerate() {
            let numbers = Numbers::new(view, pair, told.subject);
            if numbers != told.numbers {
                news.push((told.id, std::mem::replace(&mut told.numbers, numbers.clone()), numbers));
            }
        }
        let mut now = Now::new(self);
        now.sources = other_sources.then_some(&self.sources);
        now.summed = other_summed.then_some(self.scene.summed);
        now.vanished = change.vanished;
        let row = |&pair: &usize| StreamedPair::new(&self.scene.pairs[pair], &self.pairs[pair]);
        now.appeared = change.appeared.iter().map(row).collect();
        now.changed = change.changed.iter().map(row).collect();
        for (id, before, numbers) in &news {
            now.add(*id, before, numbers);
        }
        Some(json(&now))
    }

    /// Takes over another scene; says what has come, gone and changed in it.
    fn take_scene(&mut self, scene: &Arc<Scene>) -> SceneChange {
        let before = std::mem::replace(&mut self.scene, Arc::clone(scene));
        let mut known: BTreeMap<u64, (&Arc<ShownPair>, StreamedNumbers)> = before
            .pairs
            .iter()
            .zip(std::mem::take(&mut self.pairs))
            .map(|(shown, told)| (told.id, (shown, told)))
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
            let mut told = StreamedNumbers { id, subject: subject(shown), numbers: Numbers::default() };
            match known.remove(&id) {
                None => change.appeared.push(pair),
                Some((earlier, before)) => {
                    if earlier != shown {
                        change.changed.push(pair);
                    }
                    told.numbers = before.numbers;
                }
            }
            self.pairs.push(told);
        }
        self.ids.known = ids;
        change.vanished = known.into_keys().collect();
        change
    }
}

/// What is other in a scene: pairs by their place in it, those that are gone by their number.
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

    /// Adds what is other in a pair's numbers.
    fn add(&mut self, id: u64, before: &Numbers, now: &Numbers) {
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
    /// The side that is told of comes second.
    fn new(shown: &'a ShownPair, told: &StreamedNumbers) -> StreamedPair<'a> {
        let [other, subject] = [1 - told.subject, told.subject].map(|side| PlaceRow::new(&shown.sides[side]));
        StreamedPair { id: told.id, state: shown.state.as_str(), ends: [other, subject] }
    }
}

/// The interface, if only one side is one; else the second side, unless the user does not want to see that.
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
        failure: status.result.clone().err(),
    };
    snapshot.status.sources.iter().map(row).collect()
}

/// What is written has no map with other keys than texts, and no number that JSON has not: it can be written.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| {
        tracing::error!(%error, "cannot write the stream");
        "null".to_owned()
    })
}

#[cfg(test)]
mod tests;
