//! Pairs that drop packets now: how many, and their share of all packets.

use super::{Found, ProblemKey, ProblemKind, Problems, Severity, Subject};
use crate::model::ledger::Dropping;
use crate::model::link::End;
use crate::model::peak::Rates;
use crate::model::policy::DROPS_WITHIN;
use crate::model::view::ShownPair;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Fewer dropped packets within the window are no problem: a neighbour that is not known yet costs some.
const FEWEST: u64 = 3;

/// The shares of dropped packets, in per mille, from which a problem is a warning, and critical.
const WARNING: u64 = 10;
const CRITICAL: u64 = 500;

/// The packets of a pair in one tick, by direction: received at the pair's first side, and sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct DropTick {
    /// The end of the tick, as the state machine's time.
    at: Duration,
    length: Duration,
    dropped: [u64; 2],
    delivered: [u64; 2],
}

/// The ticks of a pair that has dropped packets within the window.
#[derive(Clone, Debug, Default)]
struct DropWindow {
    ticks: VecDeque<DropTick>,
}

/// The pairs that have dropped packets within the window.
#[derive(Debug, Default)]
pub(crate) struct DropWindows {
    windows: BTreeMap<[End; 2], DropWindow>,
}

impl DropWindows {
    /// Takes a tick of this length: the pairs that have dropped packets in it. `rates` returns the rates of a
    /// pair in the tick; `None` if the pair is gone.
    pub(crate) fn tick(
        &mut self,
        dropping: &[Dropping],
        length: Duration,
        rates: impl Fn([End; 2]) -> Option<Rates>,
        now: Duration,
    ) {
        for dropping in dropping {
            self.windows.entry(dropping.ends).or_default();
        }
        let by_ends: BTreeMap<[End; 2], &Dropping> =
            dropping.iter().map(|dropping| (dropping.ends, dropping)).collect();
        self.windows.retain(|ends, window| {
            let Some(rates) = rates(*ends) else { return false };
            let packets = |rate: u64| (rate as f64 * length.as_secs_f64()).round() as u64;
            window.ticks.push_back(DropTick {
                at: now,
                length,
                dropped: by_ends.get(ends).map_or([0, 0], |dropping| dropping.packets),
                delivered: [packets(rates.receive_packets), packets(rates.transmit_packets)],
            });
            while window.ticks.front().is_some_and(|tick| now.saturating_sub(tick.at) >= DROPS_WITHIN) {
                window.ticks.pop_front();
            }
            window.ticks.iter().any(|tick| tick.dropped != [0, 0])
        });
    }
}

impl Problems {
    /// Takes the pairs that drop packets now; `pair` returns a pair that is shown by its ends.
    pub(crate) fn find_drops<'a>(&mut self, pair: impl Fn([End; 2]) -> Option<&'a ShownPair>, now: Duration) {
        let drops = std::mem::take(&mut self.drops);
        let found = drops
            .windows
            .iter()
            .filter_map(|(ends, window)| Some(Arc::new(of_window(window, pair(*ends)?)?)));
        found.for_each(|found| self.find(&found, Duration::ZERO, now));
        self.drops = drops;
    }
}

fn of_window(window: &DropWindow, pair: &ShownPair) -> Option<Found> {
    let sum = |of: fn(&DropTick) -> [u64; 2]| {
        window.ticks.iter().map(of).fold([0, 0], |sum, tick| [sum[0] + tick[0], sum[1] + tick[1]])
    };
    let (dropped, delivered) = (sum(|tick| tick.dropped), sum(|tick| tick.delivered));
    let direction = usize::from(dropped[1] > dropped[0]);
    let (lost, all) = (dropped[direction], dropped[direction] + delivered[direction]);
    let per_mille = lost.saturating_mul(1000) / all.max(1);
    let severity = match per_mille {
        _ if lost < FEWEST => return None,
        CRITICAL.. => Severity::Critical,
        WARNING.. => Severity::Warning,
        _ => Severity::Notice,
    };
    // The direction is that of the workload at the pair's interface.
    let subject = Subject::pair(pair);
    let port = super::port_of(pair);
    let into = (direction == 0) == (port == 1);
    let span: Duration = window.ticks.iter().map(|tick| tick.length).sum();
    Some(Found {
        key: ProblemKey::Pair(ProblemKind::Drops, pair.sides.each_ref().map(|side| side.end)),
        severity,
        text: format!(
            "{lost} packets {} {} were dropped in the last {:.0} s, {} of all",
            if into { "to" } else { "from" },
            target(&subject),
            span.as_secs_f64().max(1.0),
            share(per_mille)
        ),
        remedy: format!(
            "see whether the receiver is busy, filtered or has a smaller MTU: ip -s -d link show dev {}",
            subject.device
        ),
        subject,
    })
}

/// Returns the workload of a subject, or its device.
fn target(subject: &Subject) -> String {
    match subject.runtime {
        Some(runtime) => format!("{}/{}", runtime.as_str(), subject.workload),
        None => subject.device.clone(),
    }
}

/// Returns a share in percent: `0.4 %`, `12 %`.
fn share(per_mille: u64) -> String {
    match per_mille {
        0 => "less than 0.1 %".to_owned(),
        1..100 => format!("{}.{} %", per_mille / 10, per_mille % 10),
        _ => format!("{} %", per_mille / 10),
    }
}
