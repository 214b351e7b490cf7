//! A host of the test's own, the folder of names that its exporter reads, and short ways to ask what /metrics says.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::{Exporter, Exposition, Netns, NetnsFolder, assert_talk, describe, listed, send_datagrams};

/// Longer than anything here takes.
pub const LIMIT: Duration = Duration::from_secs(10);

/// Between two looks at the links.
pub const OFTEN: [&str; 2] = ["--collector.interval", "100ms"];

/// What is told apart by labels.
pub type Labels = BTreeMap<String, String>;

/// A host.
pub struct Scene {
    pub host: Netns,
    pub folder: NetnsFolder,
}

impl Scene {
    pub fn new() -> Scene {
        Scene { host: Netns::quiet("host"), folder: NetnsFolder::new() }
    }

    /// A namespace that the folder calls so.
    pub fn named(&self, name: &str) -> Netns {
        let netns = Netns::quiet("n");
        self.folder.name(name, &netns);
        netns
    }

    /// Looks often, and is ready.
    pub fn exporter(&self, more: &[&str]) -> Exporter {
        let own = self.folder.arguments();
        let exporter = Exporter::start(&self.host, &[&own, &OFTEN, more].concat());
        exporter.wait_ready();
        exporter
    }

    /// What `list` prints, after it was found to be what `ip` sees.
    pub fn listed(&self, others: &[&Netns]) -> Value {
        listed(&self.host, others, &self.folder)
    }

    /// Checks that `explain` finds nothing between the two ends that [`join`] has given addresses, and that have just talked.
    pub fn assert_joined(&self) {
        assert_talk(&self.host, &self.folder, ["10.99.0.1", "10.99.0.2"]);
    }
}

/// Of the row of `list` that has this device of this namespace at one of its ends: this key of both ends, the port's first.
pub fn ends<'a>(rows: &'a Value, netns: &str, device: &str, key: &str) -> [&'a Value; 2] {
    let rows = rows.as_array().unwrap();
    let has = |row: &Value| {
        let ends = row["ends"].as_array().unwrap();
        ends.iter().any(|end| end["netns"] == netns && end["name"] == device)
    };
    let row = rows.iter().find(|row| has(row));
    let row = row.unwrap_or_else(|| panic!("no {device} of {netns:?} in {rows:#?}"));
    [&row["ends"][0][key], &row["ends"][1][key]]
}

/// The labels of a family's series; that none is there twice is held by [`Exposition::parse`].
pub fn series(metrics: &Exposition, family: &str) -> BTreeSet<Labels> {
    metrics.all(family).into_iter().map(|(labels, _)| labels).collect()
}

/// Labels, written out.
pub fn labels<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Labels {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Waits until a family has just these series.
pub fn wait_for_series<const N: usize>(
    exporter: &Exporter,
    family: &str,
    wanted: [&[(&str, &str)]; N],
) -> Exposition {
    let wanted: BTreeSet<Labels> = wanted.into_iter().map(|pairs| labels(pairs.iter().copied())).collect();
    assert_eq!(wanted.len(), N);
    let what = format!("{family} has the series {wanted:#?}");
    exporter.wait_for(LIMIT, &what, |metrics| (series(metrics, family) == wanted).then(|| metrics.clone()))
}

/// Gives both ends of a pair an address, and sends so many datagrams of `payload` + 42 bytes from the first to the second.
pub fn send(from: (&Netns, &str), to: (&Netns, &str), count: u32, payload: usize) {
    join(from, to);
    send_datagrams(&from.0.path(), &to.0.path(), "10.99.0.2".parse().unwrap(), count, payload);
}

/// Gives both ends of a pair an address: 10.99.0.1 and 10.99.0.2.
pub fn join(one: (&Netns, &str), two: (&Netns, &str)) {
    one.0.address(one.1, "10.99.0.1", two.0, two.1, "10.99.0.2");
    two.0.address(two.1, "10.99.0.2", one.0, one.1, "10.99.0.1");
}

/// Packets and bytes that a workload has sent over one of its interfaces.
pub fn sent(metrics: &Exposition, container: &str, interface: &str) -> Option<(u64, u64)> {
    let value = |unit| {
        let family = format!("veth_container_transmit_{unit}_total");
        metrics.value(&family, &[("container", container), ("interface", interface)])
    };
    Some((value("packets")? as u64, value("bytes")? as u64))
}

/// `ip -batch` in a namespace.
pub fn ip_batch(netns: &Netns, lines: &str) {
    let mut child = Command::new("ip")
        .args(["-n", netns.name(), "-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", describe(&output));
}

/// Says past the harness that a kernel has no such links, and so which test says nothing.
pub fn lacks(kind: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    // Written to the stream itself: what goes through `eprintln!` is captured.
    writeln!(std::io::stderr(), "NOT SEEN: {test}: this kernel has no links of the kind {kind}")
        .expect("a standard error to write to");
}

/// Every total that was ever seen: none may fall, and none may go while its retention lasts.
#[derive(Default)]
pub struct Ratchet {
    seen: RefCell<BTreeMap<(String, Labels), f64>>,
}

impl Ratchet {
    pub fn check(&self, metrics: &Exposition) {
        let families = metrics.families.iter();
        let of_workloads = |name: &str| name.starts_with("veth_container_") && name.ends_with("_total");
        let samples = families.filter(|family| of_workloads(&family.name)).flat_map(|family| &family.samples);
        let now: BTreeMap<(String, Labels), f64> =
            samples.map(|sample| ((sample.name.clone(), sample.labels.clone()), sample.value)).collect();
        let mut seen = self.seen.borrow_mut();
        for (series, before) in &*seen {
            let value = now.get(series);
            assert!(
                value.is_some_and(|value| value >= before),
                "{series:?} was {before} and is {value:?} in:\n{}",
                metrics.text
            );
        }
        *seen = now;
    }
}
