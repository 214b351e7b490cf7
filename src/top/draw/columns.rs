//! The columns of the table: which fit, how wide each is, and their headings. Pure.

use crate::top::arrangement::TextNeeds;
use crate::top::table::{Column, HISTORY};
use crate::top::text::{SCALE_HINT, fit, fit_right, width};

/// The content of a column's cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnKind {
    /// The mark of the row's worst problem.
    Mark,
    Name,
    Network,
    Device,
    Receive,
    Transmit,
    Drops,
    Peak,
    Packets,
    History,
}

impl ColumnKind {
    fn heading(self) -> &'static str {
        match self {
            ColumnKind::Mark => "",
            ColumnKind::Name => "WORKLOAD",
            ColumnKind::Network => "NETWORK",
            ColumnKind::Device => "DEVICE",
            ColumnKind::Receive => "RECEIVE",
            ColumnKind::Transmit => "TRANSMIT",
            ColumnKind::Drops => "DROPS/S",
            ColumnKind::Peak => "PEAK",
            ColumnKind::Packets => "PACKETS/S",
            ColumnKind::History => "LAST 2 MIN",
        }
    }

    /// Returns the sort key of the column.
    fn sort(self) -> Option<Column> {
        match self {
            ColumnKind::Name => Some(Column::Workload),
            ColumnKind::Network => Some(Column::Network),
            ColumnKind::Device => Some(Column::Device),
            ColumnKind::Receive => Some(Column::Receive),
            ColumnKind::Transmit => Some(Column::Transmit),
            ColumnKind::Drops => Some(Column::Drops),
            ColumnKind::Peak => Some(Column::Peak),
            ColumnKind::Mark | ColumnKind::Packets | ColumnKind::History => None,
        }
    }

    /// Returns true for a column of text, which begins at the left.
    pub(super) fn is_text(self) -> bool {
        matches!(self, ColumnKind::Mark | ColumnKind::Name | ColumnKind::Network | ColumnKind::Device)
    }
}

/// A column of the table, and its width in columns of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TableColumn {
    pub kind: ColumnKind,
    pub columns: usize,
}

/// The most columns that a name, a name with members, a network or a device claims before a further column
/// comes in. Longer ones take what is left.
const CLAIMS: TextNeeds = TextNeeds { name: 32, with_members: 40, network: 24, device: 20 };

/// Below this width there is no room for marks.
const MARKED: usize = 12;

/// Returns the columns that fit into this width. Numbers have a fixed width, names that of their content;
/// a column comes in if the names still have their room.
pub(super) fn places(total: usize, needs: TextNeeds) -> Vec<TableColumn> {
    let claim = |kind: ColumnKind, need: usize, most: usize| need.min(most).max(kind.heading().len() + 1);
    let name = claim(ColumnKind::Name, needs.name, CLAIMS.name);
    let members = needs.with_members.min(CLAIMS.with_members);
    // A kind, its width, and the room that it leaves to the name at least.
    let wishes = [
        (ColumnKind::Receive, 9, name.min(8)),
        (ColumnKind::Transmit, 9, name.min(8)),
        (ColumnKind::Drops, 8, name.min(16)),
        (ColumnKind::History, 10, name.min(16)),
        (ColumnKind::Device, claim(ColumnKind::Device, needs.device, CLAIMS.device), name),
        (ColumnKind::Network, claim(ColumnKind::Network, needs.network, CLAIMS.network), name),
        (ColumnKind::Peak, 9, name.max(members)),
        (ColumnKind::Packets, 9, name.max(members)),
    ];
    let mark = usize::from(total >= MARKED);
    let mut left = total - 2 * mark;
    let mut chosen = Vec::new();
    for (kind, columns, name) in wishes {
        if columns + 1 + name <= left {
            left -= columns + 1;
            chosen.push(TableColumn { kind, columns });
        }
    }
    let mut places = vec![TableColumn { kind: ColumnKind::Mark, columns: 1 }; mark];
    places.push(TableColumn { kind: ColumnKind::Name, columns: name.min(left) });
    left -= name.min(left);
    use ColumnKind::{Device, Drops, History, Network, Packets, Peak, Receive, Transmit};
    for kind in [Network, Device, Receive, Transmit, Drops, Packets, Peak, History] {
        places.extend(chosen.iter().filter(|place| place.kind == kind));
    }
    share(&mut places, left, needs);
    places
}

/// Gives the columns that are left to the names, to the members, and then to the history.
fn share(places: &mut [TableColumn], mut left: usize, needs: TextNeeds) {
    let wishes = [
        (ColumnKind::Name, needs.name),
        (ColumnKind::Name, needs.with_members),
        (ColumnKind::Network, needs.network),
        (ColumnKind::Device, needs.device),
        (ColumnKind::History, HISTORY / 2),
    ];
    for (kind, wanted) in wishes {
        if let Some(place) = places.iter_mut().find(|place| place.kind == kind) {
            let more = wanted.saturating_sub(place.columns).min(left);
            place.columns += more;
            left -= more;
        }
    }
}

/// Returns the line of headings; the runtime is that which the names leave out.
pub(super) fn headings(
    places: &[TableColumn],
    (sorted, falling): (Column, bool),
    runtime: Option<&str>,
) -> String {
    let cells = places.iter().map(|place| {
        let by = match sorted {
            // Busy is the sum of the two.
            Column::Busy => matches!(place.kind, ColumnKind::Receive | ColumnKind::Transmit),
            column => place.kind.sort() == Some(column),
        };
        let arrow = match (by, falling) {
            (false, _) => "",
            (true, true) => "↓",
            (true, false) => "↑",
        };
        let plain = format!("{}{arrow}", place.kind.heading());
        let longer = match (place.kind, runtime) {
            (ColumnKind::Name, Some(runtime)) => format!("{plain} ({runtime})"),
            (ColumnKind::History, _) => format!("{plain}  {SCALE_HINT}"),
            _ => String::new(),
        };
        let heading = if width(&longer) <= place.columns && !longer.is_empty() { longer } else { plain };
        match place.kind.is_text() {
            true => fit(&heading, place.columns),
            false => fit_right(&heading, place.columns),
        }
    });
    cells.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(total: usize, needs: TextNeeds) -> Vec<ColumnKind> {
        places(total, needs).iter().map(|place| place.kind).collect()
    }

    #[test]
    fn drops_and_history_are_there_at_80_columns_however_long_the_names() {
        for name in [3, 20, 40, 1_000] {
            let needs = TextNeeds { name, with_members: name + 20, network: 30, device: 11 };
            let kinds = kinds(80, needs);
            for kind in [ColumnKind::Receive, ColumnKind::Transmit, ColumnKind::Drops, ColumnKind::History] {
                assert!(kinds.contains(&kind), "{name}: {kinds:?}");
            }
        }
    }

    #[test]
    fn every_column_is_there_at_200_columns_and_the_names_have_their_room() {
        let needs = TextNeeds { name: 30, with_members: 44, network: 20, device: 11 };
        let places = places(200, needs);
        assert_eq!(places.len(), 10);
        for (kind, columns) in [(ColumnKind::Name, 44), (ColumnKind::Network, 20), (ColumnKind::Device, 11)] {
            assert_eq!(
                places.iter().find(|place| place.kind == kind).map(|place| place.columns),
                Some(columns)
            );
        }
    }

    #[test]
    fn columns_never_take_more_than_there_is() {
        for total in 0..300 {
            for need in [0, 5, 25, 40, 400] {
                let needs = TextNeeds { name: need, with_members: need * 2, network: need, device: need };
                let places = places(total, needs);
                let taken: usize = places.iter().map(|place| place.columns + 1).sum();
                assert!(taken <= total + 1, "{total} {need}: {places:?}");
                assert!(places.iter().any(|place| place.kind == ColumnKind::Name));
            }
        }
    }
}
