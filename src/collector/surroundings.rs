//! The place where the exporter runs, examined once: what it lacks there belongs to no answer of a source.

use super::Sources;
use crate::model::host::Input;
use crate::model::lack::{Lack, LackReason};
use crate::model::view::Source;

/// Returns the limits of the sources that follow from the exporter's network namespace and its view of
/// processes. `processes` is true if processes are looked for, or their TCP figures are read.
pub(super) fn limits(sources: &Sources, processes: bool) -> Vec<Input> {
    let mut limits = Vec::new();
    if !sources.wants_own_netns && sources.processes.shares_network(1) == Some(false) {
        let what = "this is not the host's network namespace (that of process 1 is another), so devices and directions are not those of the host";
        let limit = Lack::new(LackReason::NetworkNamespace, what);
        limits.push(Input::Limits { source: Source::Links, limits: vec![limit] });
    }
    if processes && sources.processes.are_hidden() {
        let what = format!(
            "{} hides the processes of other users (mount option hidepid), so they name nothing and have no TCP figures",
            sources.processes.path().display()
        );
        let limit = Lack::new(LackReason::Hidepid, what);
        limits.push(Input::Limits { source: Source::Process, limits: vec![limit] });
    }
    limits
}
