//! Pairs as rows: one for each workload's interface, and one for a pair between two ports.

use super::trouble::RowTrouble;
use crate::exposition::json::row::{EndRow, PairRow, RateRow, WorkloadRow};
use crate::model::text::printable;
use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// The number of answers that the sparklines keep: two minutes at one a second.
pub(crate) const HISTORY: usize = 120;

/// The row's own end, and the other: a namespace's name and id, and the ifindex.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RowKey([(String, Option<u32>, u32); 2]);

#[derive(Clone, Debug)]
pub struct TableRow {
    /// The identity of the row from one answer to the next.
    pub key: RowKey,
    /// The pair that the row belongs to.
    pub pair: Arc<PairRow<'static>>,
    /// The index of the row's own end in the pair.
    pub own: usize,
    /// The owner's title; the namespace's name if it has no known owner. Printable, as the fields below.
    pub workload: String,
    /// The number of bytes at the beginning of `workload` that name the runtime: `docker/`.
    pub runtime: usize,
    /// The other workloads in the namespace, as ` +torrent +sonarr`.
    pub members: String,
    /// The network of the interface.
    pub network: String,
    /// The port: the name on the host.
    pub device: String,
    /// The pair's own rates, each way, in this answer and the ones before.
    pub history: VecDeque<RateRow>,
    /// The problems of the row.
    pub trouble: RowTrouble,
}

/// The columns that rows can be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    Workload,
    Network,
    Device,
    Receive,
    Transmit,
    /// Receive and transmit together.
    Busy,
    /// The higher of the two peaks.
    Peak,
    /// Packets dropped per second now, both ways together.
    Drops,
}

impl Column {
    /// The columns in the order of the keys `<` and `>`.
    pub const ALL: [Column; 8] = [
        Column::Workload,
        Column::Network,
        Column::Device,
        Column::Receive,
        Column::Transmit,
        Column::Busy,
        Column::Peak,
        Column::Drops,
    ];

    /// Returns the key that sorts by the column, and the column's name.
    pub fn name(self) -> (char, &'static str) {
        match self {
            Column::Workload => ('w', "workload"),
            Column::Network => ('n', "network"),
            Column::Device => ('d', "device"),
            Column::Receive => ('r', "receive"),
            Column::Transmit => ('t', "transmit"),
            Column::Busy => ('b', "busy"),
            Column::Peak => ('p', "peak"),
            Column::Drops => ('x', "drops"),
        }
    }

    /// Returns true for columns of numbers: they begin with the highest value, names with the lowest, unless
    /// reversed.
    pub fn falls(self) -> bool {
        !matches!(self, Column::Workload | Column::Network | Column::Device)
    }
}

impl TableRow {
    fn new(pair: &Arc<PairRow<'static>>, own: usize, before: Option<TableRow>) -> TableRow {
        let (end, other) = (&pair.ends[own], &pair.ends[1 - own]);
        let named = |end: &EndRow<'_>| printable(end.place.name.as_deref().unwrap_or("?"));
        let mut history = before.map(|row| row.history).unwrap_or_default();
        if let Some(rates) = end.rates {
            if history.len() == HISTORY {
                history.pop_front();
            }
            history.push_back(rates);
        }
        TableRow {
            key: key(pair, own),
            workload: match &end.place.workload {
                Some(workload) => printable(&workload.title()),
                None if end.place.netns.is_empty() => "-".to_owned(),
                None => printable(&end.place.netns),
            },
            network: if end.place.network.is_empty() {
                "-".to_owned()
            } else {
                printable(&end.place.network)
            },
            device: match (end.place.is_port(), other.place.is_port()) {
                (true, true) => format!("{} {}", named(end), named(other)),
                (false, false) => format!("{} {}", named(end), named(other)),
                _ => named(other),
            },
            runtime: end.place.workload.as_ref().map_or(0, runtime_prefix),
            members: end.place.members.iter().map(|member| member_name(end, member)).collect(),
            pair: Arc::clone(pair),
            own,
            history,
            trouble: RowTrouble::default(),
        }
    }

    /// Returns the workload's name, without its runtime if all rows have the same.
    pub fn name(&self, without_runtime: bool) -> &str {
        let from = if without_runtime { self.runtime } else { 0 };
        self.workload.get(from..).unwrap_or(&self.workload)
    }

    /// Returns the row's own end.
    pub fn end(&self) -> &EndRow<'_> {
        &self.pair.ends[self.own]
    }

    /// Returns the value of a number column, if it is known.
    pub fn number(&self, column: Column) -> Option<u64> {
        let end = self.end();
        match column {
            Column::Receive => Some(end.rates?.receive_bytes_per_second),
            Column::Transmit => Some(end.rates?.transmit_bytes_per_second),
            Column::Busy => {
                let rates = end.rates?;
                Some(rates.receive_bytes_per_second.saturating_add(rates.transmit_bytes_per_second))
            }
            Column::Peak => {
                let peaks = end.peaks?;
                Some(peaks.receive_bytes_per_second.max(peaks.transmit_bytes_per_second))
            }
            Column::Drops => {
                let rates = end.rates?;
                let (received, sent) =
                    (rates.receive_packets_dropped_per_second, rates.transmit_packets_dropped_per_second);
                (received.is_some() || sent.is_some())
                    .then(|| received.unwrap_or_default().saturating_add(sent.unwrap_or_default()))
            }
            Column::Workload | Column::Network | Column::Device => None,
        }
    }

    /// Returns the packets per second, both ways together.
    pub fn packets(&self) -> Option<u64> {
        let rates = self.end().rates?;
        Some(rates.receive_packets_per_second.saturating_add(rates.transmit_packets_per_second))
    }

    /// Returns true if the row contains each of the words, which are in lower case.
    pub fn matches(&self, words: &[String]) -> bool {
        if words.is_empty() {
            return true;
        }
        let mut text = [&*self.workload, &*self.network, &*self.device].join("\n");
        for end in &self.pair.ends {
            let EndRow { place, .. } = end;
            let named = [&place.name, &place.address, &place.kind, &place.bridge, &place.master];
            let named = named.into_iter().flatten().map(|text| &**text);
            // Every pair is of the kind `veth`, unless it is of another.
            named.filter(|text| *text != "veth").chain([&*place.netns]).for_each(|part| add(&mut text, part));
            add(&mut text, &format!("ifindex {}", place.ifindex));
            for workload in place.workload.iter().chain(&place.members) {
                add(&mut text, &words_of(workload));
            }
        }
        let text = text.to_lowercase();
        words.iter().all(|word| text.contains(word))
    }

    /// Compares rows: those with a problem are first, the most severe and then the oldest. The column decides
    /// between rows that are equal in that.
    pub fn compare_trouble_first(&self, other: &TableRow, column: Column, falling: bool) -> Ordering {
        self.trouble.compare(&other.trouble).then_with(|| self.compare(other, column, falling))
    }

    /// Compares by a column. A row without a value is last in both directions, and the workload's name
    /// decides between equals.
    pub fn compare(&self, other: &TableRow, column: Column, falling: bool) -> Ordering {
        let turned = |order: Ordering| if falling { order.reverse() } else { order };
        let by = match column {
            Column::Workload => turned(self.workload.cmp(&other.workload)),
            Column::Network => turned(self.network.cmp(&other.network)),
            Column::Device => turned(self.device.cmp(&other.device)),
            number => match (self.number(number), other.number(number)) {
                (Some(own), Some(other)) => turned(own.cmp(&other)),
                (own, other) => other.is_some().cmp(&own.is_some()),
            },
        };
        by.then_with(|| self.workload.cmp(&other.workload)).then_with(|| self.device.cmp(&other.device))
    }
}

fn key(pair: &PairRow<'_>, own: usize) -> RowKey {
    let of = |end: &EndRow<'_>| (end.place.netns.clone().into_owned(), end.place.nsid, end.place.ifindex);
    RowKey([of(&pair.ends[own]), of(&pair.ends[1 - own])])
}

fn add(text: &mut String, part: &str) {
    text.push('\n');
    text.push_str(part);
}

/// Returns the texts by which a search finds a workload, one a line.
pub(crate) fn words_of(workload: &WorkloadRow<'_>) -> String {
    let WorkloadRow { id, image, compose_project, compose_service, .. } = workload;
    [&*workload.title(), id, image, compose_project, compose_service].join("\n")
}

/// Returns the length of the runtime and the slash at the beginning of a workload's title, if a name follows.
fn runtime_prefix(workload: &WorkloadRow<'_>) -> usize {
    match workload.name().is_empty() {
        true => 0,
        false => printable(&workload.runtime).len() + 1,
    }
}

/// Returns the part of a row that names a member of its namespace; a container of the owner's own pod is
/// named without the pod.
fn member_name(end: &EndRow<'_>, member: &WorkloadRow<'_>) -> String {
    let is_of_owner = end.place.workload.as_ref().is_some_and(|owner| {
        !owner.pod.is_empty() && (&owner.namespace, &owner.pod) == (&member.namespace, &member.pod)
    });
    match is_of_owner && !member.container.is_empty() {
        true => format!(" +{}", printable(&member.container)),
        false => format!(" +{}", printable(&member.name())),
    }
}

/// Returns the rows of an answer's pairs, each with the history of its predecessor.
pub(crate) fn rows(pairs: Vec<PairRow<'static>>, before: Vec<TableRow>) -> Vec<TableRow> {
    let mut before: HashMap<RowKey, TableRow> =
        before.into_iter().map(|row| (row.key.clone(), row)).collect();
    let mut rows = Vec::new();
    for pair in pairs {
        let pair = Arc::new(pair);
        let interfaces: Vec<usize> = (0..2).filter(|&end| !pair.ends[end].place.is_port()).collect();
        let owns = if interfaces.is_empty() { vec![0] } else { interfaces };
        rows.extend(owns.into_iter().map(|own| TableRow::new(&pair, own, before.remove(&key(&pair, own)))));
    }
    rows
}

/// Extends each row's history after an unchanged answer: time has passed, and the rates were the same.
pub(crate) fn unchanged(rows: &mut [TableRow]) {
    for row in rows {
        let rates = row.end().rates;
        row.history.extend(rates);
        while row.history.len() > HISTORY {
            row.history.pop_front();
        }
    }
}

/// Returns a sum with one more number; `None` stands for numbers that are not known.
pub(super) fn plus(sum: Option<u64>, number: Option<u64>) -> Option<u64> {
    number.map_or(sum, |number| Some(sum.unwrap_or_default().saturating_add(number)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::tests::{bridge_pair, dropping, member, pair_of};

    fn some(pairs: Vec<PairRow<'static>>) -> Vec<TableRow> {
        rows(pairs, Vec::new())
    }

    fn order(rows: &[TableRow], column: Column, falling: bool) -> Vec<&str> {
        let mut sorted: Vec<&TableRow> = rows.iter().collect();
        sorted.sort_by(|a, b| a.compare(b, column, falling));
        sorted.into_iter().map(|row| row.workload.as_str()).collect()
    }

    #[test]
    fn a_pair_between_two_containers_has_a_row_for_each_and_one_between_ports_has_one() {
        let mut between = pair_of("b", 3, 5, 6);
        between.ends[0] = pair_of("a", 4, 1, 2).ends[1].clone();
        let rows = some(vec![between, bridge_pair(), pair_of("c", 7, 1, 1)]);
        let shown: Vec<(&str, &str)> =
            rows.iter().map(|row| (row.workload.as_str(), row.device.as_str())).collect();
        let wanted = [
            ("docker/a", "eth0 eth0"),
            ("docker/b", "eth0 eth0"),
            ("-", "veth90 veth91"),
            ("docker/c", "veth7"),
        ];
        assert_eq!(shown, wanted);
        assert_eq!(rows[0].number(Column::Receive), Some(1));
        assert_eq!(rows[2].number(Column::Receive), None);
    }

    #[test]
    fn what_has_no_number_is_last_both_ways() {
        let b = dropping(pair_of("b", 2, 7, 10), 9);
        let rows = some(vec![bridge_pair(), dropping(pair_of("a", 1, 5, 50), 0), b]);
        assert_eq!(order(&rows, Column::Receive, true), ["docker/b", "docker/a", "-"]);
        assert_eq!(order(&rows, Column::Receive, false), ["docker/a", "docker/b", "-"]);
        assert_eq!(order(&rows, Column::Busy, true), ["docker/a", "docker/b", "-"]);
        assert_eq!(order(&rows, Column::Peak, true), ["docker/a", "docker/b", "-"]);
        assert_eq!(order(&rows, Column::Drops, true), ["docker/b", "docker/a", "-"]);
        assert_eq!(order(&rows, Column::Workload, true), ["docker/b", "docker/a", "-"]);
    }

    #[test]
    fn history_is_carried_on_and_bounded() {
        let mut rows = some(vec![pair_of("web", 1, 1, 2)]);
        for receive in 2..=2 * HISTORY as u64 {
            rows = super::rows(vec![pair_of("web", 1, receive, 2), bridge_pair()], rows);
        }
        unchanged(&mut rows);
        assert_eq!(rows[0].history.len(), HISTORY);
        let last: Vec<u64> =
            rows[0].history.iter().rev().take(3).map(|rates| rates.receive_bytes_per_second).collect();
        assert_eq!(last, [240, 240, 239]);
        assert!(rows[1].history.is_empty());
        let rows = super::rows(vec![pair_of("web", 2, 1, 2)], rows);
        assert_eq!(rows[0].history.len(), 1, "another ifindex is another pair");
    }

    #[test]
    fn words_are_looked_for_in_names_ids_and_addresses() {
        let mut pair = pair_of("Web", 1, 1, 2);
        pair.ends[1].place.members.push(member("torrent"));
        let row = &some(vec![pair])[0];
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for found in [
            "web",
            "docker/web",
            "front",
            "veth1",
            "81686e",
            "shop/app",
            "02:42:ac",
            "web front",
            "eth0",
            "br-front",
            "shop",
            "backend",
            "ifindex 1",
            "torrent",
        ] {
            assert!(row.matches(&words(found)), "{found}");
        }
        for missing in ["db", "web db", "veth2"] {
            assert!(!row.matches(&words(missing)), "{missing}");
        }
        assert!(row.matches(&[]));
    }

    #[test]
    fn members_are_named_without_what_they_share_with_their_owner() {
        let mut pair = pair_of("vpn", 1, 1, 2);
        pair.ends[1].place.members = vec![member("torrent"), member("a\u{202e}b")];
        let row = &some(vec![pair.clone()])[0];
        assert_eq!((row.name(true), row.name(false)), ("vpn", "docker/vpn"));
        assert_eq!(row.members, r" +torrent +a\u{202e}b");
        let pod = |container: &str| WorkloadRow {
            runtime: "cri".into(),
            namespace: "shop".into(),
            pod: "web-1".into(),
            container: container.to_owned().into(),
            ..WorkloadRow::default()
        };
        pair.ends[1].place.workload = Some(pod(""));
        pair.ends[1].place.members = vec![pod("app"), pod("proxy")];
        let row = &some(vec![pair])[0];
        assert_eq!((row.name(true), &*row.members), ("shop/web-1", " +app +proxy"));
    }
}
