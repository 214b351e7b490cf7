//! `veth-exporter find QUERY`: prints the owner of a device, an address or a container's interface.

use super::lookup::{FindSources, find_pairs};
use super::oneshot::{OneShot, print, print_json, warn_of};
use crate::cli::FindFormat;
use crate::exposition::json;
use crate::exposition::json::row::{CounterRow, EndRow, PairRow, PlaceRow};
use crate::find::{FindTarget, Pasted};
use crate::model::cgroup;
use crate::model::link::Name;
use crate::model::text::{printable, quoted};
use crate::model::view::View;
use crate::settings::FindSettings;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;

/// Prints every pair that the query means, with the commands that would show the same by hand; else says what
/// is there without a veth, and why it has none.
///
/// # Errors
/// Fails with one line, which has the nearest names, if nothing is found, and with the engines that could not
/// be asked.
pub(super) fn run(settings: &FindSettings) -> anyhow::Result<()> {
    let OneShot { view, sources, engines, runtime, lacks } = OneShot::read_host(&settings.host)?;
    let mut host = FindSources::new(sources, engines, runtime);
    let pasted = Pasted::read(settings.query.as_bytes());
    let meant = find_pairs(&mut host, &view, &pasted, &lacks);
    // A lack that the failure names is not reported twice.
    let failure = meant.as_ref().err().map(ToString::to_string).unwrap_or_default();
    warn_of(lacks.iter().filter(|(_, lack)| !failure.contains(&*printable(&lack.what))));
    let meant = meant?;
    let rows = json::rows_read_once(&view).into_iter().enumerate();
    let rows = rows.filter(|(at, _)| meant.contains(&FindTarget::Row(*at)));
    let mut found: Vec<FoundPair<'_>> = rows.map(|(_, row)| FoundPair::new(row)).collect();
    let devices = device_names(&view);
    for row in &mut found {
        for end in &mut row.row.ends {
            let addresses = host.addresses(end.row.place.nsid).iter();
            let own = addresses.filter(|address| address.ifindex == end.row.place.ifindex);
            end.ip_addresses = own.map(|address| format!("{}/{}", address.address, address.prefix)).collect();
        }
        row.by_hand = row.places().flat_map(|place| by_hand(place, &devices)).collect();
    }
    match settings.format {
        FindFormat::Json => print_json(&found),
        FindFormat::Table => print(&found.iter().map(FoundPair::text).collect::<Vec<_>>().join("\n")),
    }
}

/// A pair, or an end without a pair, as the document of all pairs has it; with what only `find` knows.
#[derive(Debug, Serialize)]
struct FoundPair<'a> {
    #[serde(flatten)]
    row: PairRow<'a, Vec<FoundEnd<'a>>>,
    /// The commands that show the same.
    by_hand: Vec<String>,
}

#[derive(Debug, Serialize)]
struct FoundEnd<'a> {
    #[serde(flatten)]
    row: EndRow<'a>,
    /// Each with the prefix's length.
    ip_addresses: Vec<String>,
}

/// The names of devices in the kernel's bytes, by namespace and ifindex.
type DeviceNames = BTreeMap<(Option<u32>, u32), Name>;

fn device_names(view: &View) -> DeviceNames {
    let paired = view.scene.pairs.iter().flat_map(|pair| &pair.sides);
    let sides = paired.chain(view.scene.single.iter().map(|(side, _)| &**side));
    sides.filter_map(|side| Some(((side.end.netns.nsid(), side.end.ifindex), side.link?.name))).collect()
}

impl<'a> FoundPair<'a> {
    fn new(row: PairRow<'a, Vec<EndRow<'a>>>) -> FoundPair<'a> {
        let PairRow { state, ends } = row;
        let ends = ends.into_iter().map(|row| FoundEnd { row, ip_addresses: Vec::new() }).collect();
        FoundPair { row: PairRow { state, ends }, by_hand: Vec::new() }
    }

    fn places(&self) -> impl Iterator<Item = &PlaceRow<'a>> {
        self.row.ends.iter().map(|end| &end.row.place)
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for FoundEnd { row, ip_addresses } in &self.row.ends {
            let place = &row.place;
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{:<10} {}", place.role, describe(place));
            let mut line = |name: &str, value: &str| {
                if !value.is_empty() {
                    let _ = writeln!(text, "  {name:<9}{}", printable(value));
                }
            };
            line("mac", place.address.as_deref().unwrap_or_default());
            line("ip", &ip_addresses.join(" "));
            line("kind", place.kind.as_deref().filter(|kind| *kind != "veth").unwrap_or_default());
            line("bridge", place.bridge.as_deref().unwrap_or_default());
            line("master", &other_master(place).unwrap_or_default());
            line("network", &place.network);
            if let Some(workload) = &place.workload {
                line("workload", &workload.title());
                line("id", &workload.id);
                line("image", workload.own_image().unwrap_or_default());
            }
            let members: Vec<&str> = place.members.iter().map(|member| &*member.container).collect();
            line("members", &members.join(" "));
            line("parent", &place.parent);
            if let Some(counters) = &row.counters {
                let CounterRow { receive_bytes, receive_packets, receive_packets_dropped, .. } = *counters;
                let CounterRow { transmit_bytes, transmit_packets, transmit_packets_dropped, .. } = *counters;
                line("received", &flow(receive_bytes, receive_packets, receive_packets_dropped));
                line("sent", &flow(transmit_bytes, transmit_packets, transmit_packets_dropped));
            }
        }
        if self.row.state != "paired" {
            let _ = writeln!(text, "state      {}", self.row.state);
        }
        let _ = writeln!(text, "by hand");
        for command in &self.by_hand {
            let _ = writeln!(text, "  {}", printable(command));
        }
        text
    }
}

fn describe(place: &PlaceRow<'_>) -> String {
    let device = place.name.as_deref().map_or_else(|| "(hidden)".to_owned(), printable);
    let netns = match place.nsid {
        None => "on the host".to_owned(),
        Some(nsid) => format!("in {} (nsid {nsid})", printable(&place.netns)),
    };
    let state = match place.up {
        None => "",
        Some(true) => ", up",
        Some(false) => ", not up",
    };
    let mtu = place.mtu.map_or_else(String::new, |mtu| format!(", mtu {mtu}"));
    format!("{}: {device} {netns}{state}{mtu}", place.ifindex)
}

/// Returns the master of an end and its driver, unless the line `bridge` names the master.
fn other_master(place: &PlaceRow<'_>) -> Option<String> {
    let master = place.master.as_deref().filter(|_| place.bridge.is_none())?;
    let kind = place.master_kind.as_deref().map(|kind| format!(" ({kind})"));
    Some(format!("{master}{}", kind.unwrap_or_default()))
}

fn flow(bytes: u64, packets: u64, dropped: u64) -> String {
    format!("{bytes} bytes in {packets} packets, {dropped} dropped")
}

/// Returns the commands that show this end without this program.
fn by_hand(place: &PlaceRow<'_>, devices: &DeviceNames) -> Vec<String> {
    let device = devices.get(&(place.nsid, place.ifindex)).map(|name| quoted(name.as_bytes()));
    let workload = place.workload.as_ref();
    let word = |text: &str| Some(quoted(text.as_bytes())).filter(|_| !text.is_empty());
    let runtime = workload.map(|workload| &*workload.runtime);
    let container = workload.and_then(|workload| word(&workload.container));
    // The name that is shown need not be the engine's: it may come from a label, or from Swarm or Kubernetes.
    let id = workload.and_then(|workload| word(&workload.id));
    let short = workload.and_then(|workload| word(cgroup::short(&workload.id)));
    let within = match (place.nsid, runtime, container) {
        (None, ..) => Some(String::new()),
        (Some(_), Some("cri"), _) => id.map(|id| {
            format!(
                "nsenter -n -t \"$(crictl inspectp -o go-template --template '{{{{.info.pid}}}}' {id})\" "
            )
        }),
        (Some(_), Some(engine @ ("docker" | "podman")), _) => {
            short.map(|id| format!("nsenter -n -t \"$({engine} inspect -f '{{{{.State.Pid}}}}' {id})\" "))
        }
        (Some(_), Some("lxc"), Some(name)) => Some(format!("nsenter -n -t \"$(lxc-info -pH -n {name})\" ")),
        (Some(_), Some("nspawn"), Some(name)) => {
            Some(format!("nsenter -n -t \"$(machinectl show -P Leader {name})\" "))
        }
        (Some(_), Some("named"), Some(name)) => Some(format!("ip netns exec {name} ")),
        _ => None,
    };
    match (within, device) {
        (Some(within), Some(device)) => {
            vec![
                format!("{within}ip -s -d link show dev {device}"),
                format!("{within}ip addr show dev {device}"),
            ]
        }
        // Only the other end can be read; it has the index of this one.
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::json::row::WorkloadRow;

    #[test]
    fn commands_by_hand_have_the_engines_id_and_not_the_name_that_is_shown() {
        let id = "0123456789ab".to_owned() + &"c".repeat(52);
        let devices = DeviceNames::from([((Some(4), 2), Name::from_bytes(b"eth0").unwrap())]);
        for (runtime, container, pod, id, wanted) in [
            ("docker", "web", "", &*id, "docker inspect -f '{{.State.Pid}}' 0123456789ab)"),
            // Names from a label, of a Swarm task, of a Nomad pause container, and of a pod's container.
            (
                "docker",
                "a label's value; $(reboot)",
                "",
                &id,
                "docker inspect -f '{{.State.Pid}}' 0123456789ab)",
            ),
            ("docker", "shop_web.1", "", &id, "docker inspect -f '{{.State.Pid}}' 0123456789ab)"),
            ("docker", "nomad_init", "", &id, "docker inspect -f '{{.State.Pid}}' 0123456789ab)"),
            ("podman", "", "kp", &id, "podman inspect -f '{{.State.Pid}}' 0123456789ab)"),
            ("docker", "odd", "", "a b", "docker inspect -f '{{.State.Pid}}' $'a b')"),
            ("cri", "", "web", "aaaa", "{{.info.pid}}' aaaa)"),
            ("lxc", "c 1", "", "", "$(lxc-info -pH -n $'c 1')"),
            ("nspawn", "m", "", "", "$(machinectl show -P Leader m)"),
            ("named", "blue", "", "", "ip netns exec blue ip"),
        ] {
            let workload = WorkloadRow {
                runtime: runtime.into(),
                container: container.into(),
                pod: pod.into(),
                id: id.into(),
                ..WorkloadRow::default()
            };
            let place =
                PlaceRow { nsid: Some(4), ifindex: 2, workload: Some(workload), ..PlaceRow::default() };
            let commands = by_hand(&place, &devices);
            assert!(
                commands.len() == 2 && commands.iter().all(|command| command.contains(wanted)),
                "{commands:?}"
            );
        }
        let process = WorkloadRow { runtime: "process".into(), container: "sh".into(), ..Default::default() };
        let place = PlaceRow { nsid: Some(4), ifindex: 2, workload: Some(process), ..PlaceRow::default() };
        assert_eq!(by_hand(&place, &devices), [""; 0], "no command leads there");
    }
}
