//! `veth-exporter names`: prints the names that the exporter on this host knows, for the completions of
//! `find` and `list`. Hidden: a shell calls it at each completion.

use super::oneshot::print;
use crate::client::request_local;
use crate::exposition::json::PairsAnswer;
use crate::settings::HealthySettings;
use std::collections::BTreeSet;

/// Prints a name on each line; none if no exporter answers.
///
/// # Errors
/// Fails if standard output cannot be written.
pub(super) fn run(settings: &HealthySettings) -> anyhow::Result<()> {
    let Some(served) = settings.listen.first() else { return Ok(()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(request_local(served, &settings.routes.pairs_path()));
    let Some(Ok(answer)) = answer.map(|json| PairsAnswer::read(&json)) else { return Ok(()) };
    print(&names(&answer).into_iter().map(|name| name + "\n").collect::<String>())
}

/// Returns the names of workloads with or without a veth, members, networks, Compose projects and devices. A
/// name that a shell could take for anything but a word is left out.
fn names(answer: &PairsAnswer) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for container in &answer.workloads {
        names.extend([container.workload.name(), container.workload.compose_project.to_string()]);
    }
    for place in answer.pairs.iter().flat_map(|pair| &pair.ends).map(|end| &end.place) {
        let workloads = place.workload.iter().chain(&place.members);
        for workload in workloads.filter(|workload| workload.runtime != "unknown") {
            names.extend([workload.name(), workload.compose_project.to_string()]);
        }
        names.insert(place.network.to_string());
        names.extend(place.name.as_deref().filter(|_| place.is_port()).map(str::to_owned));
        names.extend(place.bridge.as_deref().map(str::to_owned));
    }
    names.retain(|name| is_word(name));
    names
}

/// Returns true if no shell does anything to the word, and no terminal.
fn is_word(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.@%+/-".contains(&b);
    !name.is_empty() && !name.starts_with('-') && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::json::container::VethlessRow;
    use crate::exposition::json::row::{EndRow, PairRow, PlaceRow, WorkloadRow};

    #[test]
    fn what_is_completed_are_names_and_no_commands_of_a_shell() {
        let workload = |name: &str| WorkloadRow {
            runtime: "docker".into(),
            container: name.to_owned().into(),
            ..WorkloadRow::default()
        };
        let port = PlaceRow {
            role: "port".into(),
            name: Some("veth0".into()),
            bridge: Some("br-1".into()),
            ..PlaceRow::default()
        };
        let interface = PlaceRow {
            role: "interface".into(),
            name: Some("eth0".into()),
            workload: Some(WorkloadRow {
                namespace: "shop".into(),
                pod: "web-0".into(),
                container: "".into(),
                ..workload("")
            }),
            members: ["log", "$(reboot)", "a b", "-x", "`id`", "e\u{202e}", ""].map(workload).into(),
            network: "shop_back".into(),
            ..PlaceRow::default()
        };
        let ends = [port, interface].map(|place| EndRow { place, ..EndRow::default() });
        let vethless = VethlessRow { workload: workload("backup"), ..VethlessRow::default() };
        let answer = PairsAnswer {
            pairs: vec![PairRow { state: "paired".into(), ends }],
            workloads: vec![vethless],
            ..PairsAnswer::default()
        };
        let found: Vec<String> = names(&answer).into_iter().collect();
        assert_eq!(found, ["backup", "br-1", "log", "shop/web-0", "shop_back", "veth0"]);
    }
}
