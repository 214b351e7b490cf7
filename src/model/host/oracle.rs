//! The slow second implementation: it evaluates everything each time. Every host of a test has one beside it
//! that takes the same inputs, and both have to show the same after each.

use super::{Host, Input};
use crate::model::link::End;
use crate::model::view::{ShownPair, View};
use crate::model::workload::Runtime;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The part that a host of a test has in the comparison.
#[derive(Debug, Default)]
pub(super) enum Oracle {
    /// One that gets another beside it with its first input.
    #[default]
    Alone,
    /// One that is compared with another.
    Compared(Box<Host>),
    /// The other, which evaluates everything each time.
    Everything,
}

impl Host {
    /// Gives the other host the same input, and compares what both show.
    pub(super) fn compare_with_twin(&mut self, input: Input, now: Duration) {
        let Oracle::Compared(twin) = &mut self.oracle else { return };
        let text = format!("{input:?}");
        twin.take_input(input, now);
        twin.take_named();
        twin.take_stranded();
        let (twin, shown) = (twin.view(), self.view());
        let (Some(twin), Some(shown)) = (twin, shown) else { return };
        let line = |pair: &Arc<ShownPair>| {
            let sides = pair.sides.each_ref().map(|side| (side.end, side.netns.clone(), side.labels.clone()));
            format!("{sides:?}")
        };
        let lines = |view: &View| view.scene.pairs.iter().map(line).collect::<Vec<_>>().join("\n");
        assert_eq!(lines(&shown), lines(&twin), "after {text} at {now:?}");
        assert_eq!(shown.scene, twin.scene, "after {text} at {now:?}");
        assert_eq!(shown.samples, twin.samples, "after {text} at {now:?}");
        assert_eq!(shown.workloads, twin.workloads, "after {text} at {now:?}");
        assert_eq!(shown.networks, twin.networks, "after {text} at {now:?}");
        assert_eq!(shown.peaks, twin.peaks, "after {text} at {now:?}");
        assert_eq!(shown.rates, twin.rates, "after {text} at {now:?}");
        assert_eq!(shown.dropping, twin.dropping, "after {text} at {now:?}");
        assert_eq!(shown.condition.problems, twin.condition.problems, "after {text} at {now:?}");
        assert_eq!(shown.condition.vethless, twin.condition.vethless, "after {text} at {now:?}");
        assert_eq!(shown.condition.starts, twin.condition.starts, "after {text} at {now:?}");
        assert_eq!(shown.condition.restarts, twin.condition.restarts, "after {text} at {now:?}");
        assert_eq!(shown.stranded, twin.stranded, "after {text} at {now:?}");
        assert_eq!(shown.for_scrapes, twin.for_scrapes, "after {text} at {now:?}");
        assert_eq!(shown.overflow, twin.overflow, "after {text} at {now:?}");
        let Oracle::Compared(twin) = &self.oracle else { return };
        assert_eq!(self.status().series, twin.status().series, "after {text} at {now:?}");
        assert_eq!(self.status().claims_rejected, twin.status().claims_rejected, "after {text} at {now:?}");
    }

    /// Makes the other host, before the first input.
    pub(super) fn make_twin(&mut self) {
        if matches!(self.oracle, Oracle::Alone) {
            let runtimes: Vec<Runtime> = self.known.evidence.sources.keys().copied().collect();
            let mut twin = Host::new(self.config.clone(), runtimes);
            twin.oracle = Oracle::Everything;
            self.oracle = Oracle::Compared(Box::new(twin));
        }
        if let Oracle::Compared(twin) = &mut self.oracle {
            twin.config = self.config.clone();
        }
    }

    fn is_twin(&self) -> bool {
        matches!(self.oracle, Oracle::Everything)
    }

    /// Marks all links and namespaces as changed, in the host that evaluates everything.
    pub(super) fn mark_everything(&mut self) {
        if self.is_twin() {
            self.known.topology.mark_everything();
        }
    }

    /// Returns all ends, in the host that evaluates everything.
    pub(super) fn everything(&self) -> BTreeSet<End> {
        let pairing = self.known.topology.pairing();
        let all = pairing.pairs().flatten().chain(pairing.single().keys().copied());
        all.filter(|_| self.is_twin()).collect()
    }
}
