//! The label blocks of dropped packets.

use super::families::DropsOf;
use super::labels::Names;
use super::tables::Rows;
use crate::model::drops::{DropOwner, DropSeries};

/// The label blocks of dropped packets; a key is the index of the series in the scene.
pub(super) struct DropTables {
    workloads: Rows<usize>,
    host: Rows<usize>,
    no_workload: Rows<usize>,
}

impl DropTables {
    pub(super) fn of(series: &[DropSeries], names: Names) -> DropTables {
        let mut tables =
            DropTables { workloads: Rows::default(), host: Rows::default(), no_workload: Rows::default() };
        for (index, DropSeries { owner, reason, .. }) in series.iter().enumerate() {
            let rows = match owner {
                DropOwner::Workload(_) => &mut tables.workloads,
                DropOwner::Host => &mut tables.host,
                DropOwner::NoWorkload => &mut tables.no_workload,
            };
            rows.add(index, |block| {
                if let DropOwner::Workload(name) = owner {
                    names.write_workload(block, name);
                }
                block.label("reason", reason);
            });
        }
        let DropTables { workloads, host, no_workload } = tables;
        DropTables { workloads: workloads.sorted(), host: host.sorted(), no_workload: no_workload.sorted() }
    }

    pub(super) fn of_owner(&self, owner: DropsOf) -> &Rows<usize> {
        match owner {
            DropsOf::Workloads => &self.workloads,
            DropsOf::Host => &self.host,
            DropsOf::NoWorkload => &self.no_workload,
        }
    }
}
