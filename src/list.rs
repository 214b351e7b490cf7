//! The table of `list`: which pairs fit a query, their order, and their lines. Pure.

mod layout;
mod search;
mod state;
mod table;
#[cfg(test)]
mod tests;

use crate::exposition::json::row::{EndRow, PairRow, PlaceRow, WorkloadRow};
use crate::model::link::IpAddress;
use std::cmp::{Ordering, Reverse};

pub(crate) use search::SearchTerms;
pub(crate) use table::{TableStyle, table, tsv};

/// A pair, or an end without a pair, with the IP addresses of its ends.
#[derive(Clone, Debug)]
pub(crate) struct ListRow<'a> {
    /// The index of the row among all rows of the reading.
    pub index: usize,
    pair: PairRow<'a, Vec<EndRow<'a>>>,
    /// The addresses of the workload's end, those of the link alone last.
    addresses: Vec<String>,
}

impl<'a> ListRow<'a> {
    /// Returns the row of a pair. `addresses` are those of the namespace with this nsid.
    pub(crate) fn new<'b>(
        index: usize,
        pair: PairRow<'a, Vec<EndRow<'a>>>,
        mut addresses: impl FnMut(Option<u32>) -> &'b [IpAddress],
    ) -> ListRow<'a> {
        let mut row = ListRow { index, pair, addresses: Vec::new() };
        let place = row.peer().unwrap_or(row.port());
        let mut own: Vec<IpAddress> = addresses(place.nsid).to_vec();
        own.retain(|address| address.ifindex == place.ifindex);
        own.sort_by_key(|address| (is_of_link(address), address.address.is_ipv6()));
        row.addresses = own.iter().map(|address| format!("{}/{}", address.address, address.prefix)).collect();
        row
    }

    fn port(&self) -> &PlaceRow<'a> {
        &self.pair.ends[0].place
    }

    fn peer(&self) -> Option<&PlaceRow<'a>> {
        self.pair.ends.get(1).map(|peer| &peer.place)
    }

    /// Returns the workload of the interface, else that of the port.
    fn workload(&self) -> Option<&WorkloadRow<'a>> {
        self.peer().and_then(|peer| peer.workload.as_ref()).or(self.port().workload.as_ref())
    }

    /// Returns the names of the other workloads in the namespace of that workload.
    fn members(&self) -> Vec<String> {
        let place = self.peer().filter(|peer| peer.workload.is_some()).unwrap_or(self.port());
        place.members.iter().map(WorkloadRow::name).collect()
    }

    fn network(&self) -> &str {
        self.peer().map_or("", |peer| &peer.network)
    }

    /// Returns the bytes that the workload has received and sent; `None` if neither end can be read.
    fn traffic(&self) -> Option<[u64; 2]> {
        let port = self.pair.ends[0].counters.as_ref();
        let peer = self.pair.ends.get(1).and_then(|peer| peer.counters.as_ref());
        match (port, peer) {
            (Some(port), _) => Some([port.transmit_bytes, port.receive_bytes]),
            (None, Some(peer)) => Some([peer.receive_bytes, peer.transmit_bytes]),
            (None, None) => None,
        }
    }

    /// Returns the packets that the port has dropped, both ways together.
    fn dropped(&self) -> Option<u64> {
        let counters = self.pair.ends[0].counters.as_ref()?;
        Some(counters.receive_packets_dropped.saturating_add(counters.transmit_packets_dropped))
    }
}

/// Returns true for an address of the link alone (fe80::/10), which each interface has.
fn is_of_link(address: &IpAddress) -> bool {
    match address.address {
        std::net::IpAddr::V4(ip) => ip.is_link_local(),
        std::net::IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// The names of the fields that rows can be sorted by, rising and falling.
pub(crate) const SORTS: [&str; 16] = [
    "device",
    "-device",
    "workload",
    "-workload",
    "network",
    "-network",
    "receive",
    "-receive",
    "transmit",
    "-transmit",
    "busy",
    "-busy",
    "drops",
    "-drops",
    "state",
    "-state",
];

/// A field that rows are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListSort {
    /// The name of the field in [`SORTS`].
    field: &'static str,
    falling: bool,
}

impl ListSort {
    /// Reads the name of a field, with a dash before it for a falling order.
    ///
    /// # Errors
    /// Fails if there is no such field.
    pub(crate) fn read(text: &str) -> Result<ListSort, String> {
        let sort = SORTS.into_iter().find(|sort| *sort == text);
        let sort = sort.ok_or_else(|| format!("choose from {}", SORTS.join(", ")))?;
        let falling = sort.starts_with('-');
        Ok(ListSort { field: sort.trim_start_matches('-'), falling })
    }

    /// Sorts the rows; rows without a value come last either way.
    pub(crate) fn apply(self, rows: &mut [ListRow<'_>]) {
        rows.sort_by_cached_key(|row| RowRank { value: self.value(row), falling: self.falling });
    }

    fn value(self, row: &ListRow<'_>) -> Option<SortValue> {
        let text = |text: &str| Some(SortValue::Text(text.to_lowercase())).filter(|_| !text.is_empty());
        let number = |number: Option<u64>| number.map(SortValue::Number);
        match self.field {
            "device" => row.port().name.as_deref().and_then(text),
            "workload" => row.workload().and_then(|workload| text(&workload.title())),
            "network" => text(row.network()),
            "receive" => number(row.traffic().map(|[receive, _]| receive)),
            "transmit" => number(row.traffic().map(|[_, transmit]| transmit)),
            "busy" => number(row.traffic().map(|[receive, transmit]| receive.saturating_add(transmit))),
            "drops" => number(row.dropped()),
            _ => text(&state::text(&row.pair)),
        }
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum SortValue {
    Number(u64),
    Text(String),
}

#[derive(PartialEq, Eq)]
struct RowRank {
    value: Option<SortValue>,
    falling: bool,
}

impl Ord for RowRank {
    fn cmp(&self, other: &RowRank) -> Ordering {
        match (&self.value, &other.value) {
            (Some(one), Some(another)) if self.falling => Reverse(one).cmp(&Reverse(another)),
            (Some(one), Some(another)) => one.cmp(another),
            (one, another) => one.is_none().cmp(&another.is_none()),
        }
    }
}

impl PartialOrd for RowRank {
    fn partial_cmp(&self, other: &RowRank) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
