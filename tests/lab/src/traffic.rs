//! A container's interface, and what went through it: as itself counts, as the exporter books it, and as the port shows it.

use std::ops::{Add, Sub};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::{
    Container, Counters, DockerEngine, DockerNetwork, Exporter, Exposition, describe, succeed, wait_for,
};

/// What went both ways, as the container sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    pub receive_bytes: u64,
    pub receive_packets: u64,
    pub transmit_bytes: u64,
    pub transmit_packets: u64,
}

impl Add for Traffic {
    type Output = Traffic;

    fn add(self, other: Traffic) -> Traffic {
        Traffic {
            receive_bytes: self.receive_bytes + other.receive_bytes,
            receive_packets: self.receive_packets + other.receive_packets,
            transmit_bytes: self.transmit_bytes + other.transmit_bytes,
            transmit_packets: self.transmit_packets + other.transmit_packets,
        }
    }
}

impl Sub for Traffic {
    type Output = Traffic;

    fn sub(self, earlier: Traffic) -> Traffic {
        Traffic {
            receive_bytes: self.receive_bytes - earlier.receive_bytes,
            receive_packets: self.receive_packets - earlier.receive_packets,
            transmit_bytes: self.transmit_bytes - earlier.transmit_bytes,
            transmit_packets: self.transmit_packets - earlier.transmit_packets,
        }
    }
}

impl Traffic {
    /// What `veth_container_*` says of the one label set that has these labels; `None` if there is none.
    pub fn booked(metrics: &Exposition, labels: &[(&str, &str)]) -> Option<Traffic> {
        let value = |what: &str| whole(metrics, &format!("veth_container_{what}_total"), labels);
        Some(Traffic {
            receive_bytes: value("receive_bytes")?,
            receive_packets: value("receive_packets")?,
            transmit_bytes: value("transmit_bytes")?,
            transmit_packets: value("transmit_packets")?,
        })
    }

    /// What `veth_device_*` says of the one port that has these labels: what the container receives, its port transmits.
    pub fn through_port(metrics: &Exposition, labels: &[(&str, &str)]) -> Option<Traffic> {
        let value = |what: &str| whole(metrics, &format!("veth_device_{what}_total"), labels);
        Some(Traffic {
            receive_bytes: value("transmit_bytes")?,
            receive_packets: value("transmit_packets")?,
            transmit_bytes: value("receive_bytes")?,
            transmit_packets: value("receive_packets")?,
        })
    }
}

fn whole(metrics: &Exposition, name: &str, labels: &[(&str, &str)]) -> Option<u64> {
    let value = metrics.value(name, labels)?;
    // 2^53: up to there a number of the text format is exact.
    assert!(value.fract() == 0.0 && value < 9e15, "{name} with {labels:?} is {value}");
    Some(value as u64)
}

/// An interface of a running container, until that stops. It asks no engine: it also works when that hangs.
#[derive(Debug, Clone)]
pub struct Interface {
    /// Which workload it is of, by the labels of that.
    workload: Vec<(&'static str, String)>,
    name: String,
    pid: u32,
}

impl Container {
    /// One of its interfaces.
    pub fn interface(&self, name: &str) -> Interface {
        Interface::new("docker", self.name(), name, self.pid())
    }

    /// Its interface on a network, found by the MAC address that Docker tells.
    pub fn interface_on(&self, network: &DockerNetwork) -> Interface {
        let mac = self.inspect()["NetworkSettings"]["Networks"][network.name()]["MacAddress"].take();
        let names = self.exec(&["ls", "/sys/class/net"]);
        let mut names = names.split_whitespace();
        let name = names.find(|name| mac == self.sysfs(name, "address").as_str());
        self.interface(name.unwrap_or_else(|| panic!("{} has no interface with {mac}", self.name())))
    }
}

impl From<&Counters> for Traffic {
    fn from(counters: &Counters) -> Traffic {
        Traffic {
            receive_bytes: counters.rx_bytes,
            receive_packets: counters.rx_packets,
            transmit_bytes: counters.tx_bytes,
            transmit_packets: counters.tx_packets,
        }
    }
}

impl Interface {
    /// That of a runtime's container whose first process this is.
    pub fn new(runtime: &'static str, container: &str, name: &str, pid: u32) -> Interface {
        Interface::of(&[("runtime", runtime), ("container", container)], name, pid)
    }

    /// That with this name of the workload that has these labels, in the network namespace of a process.
    pub fn of(workload: &[(&'static str, &str)], name: &str, pid: u32) -> Interface {
        let workload = workload.iter().map(|&(label, value)| (label, value.to_owned())).collect();
        Interface { workload, name: name.to_owned(), pid }
    }

    /// Its name, inside.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The labels that are its own in every family of its workload.
    pub fn labels(&self) -> Vec<(&str, &str)> {
        let workload = self.workload.iter().map(|(label, value)| (*label, value.as_str()));
        workload.chain([("interface", self.name.as_str())]).collect()
    }

    /// The file of its network namespace.
    pub fn netns_path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/net", self.pid))
    }

    /// What the container's own /proc/net/dev says.
    pub fn own(&self) -> Traffic {
        let path = format!("/proc/{}/net/dev", self.pid);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let counters = Counters::of(&text, &self.name).unwrap_or_else(|| panic!("{self:?} in\n{text}"));
        Traffic::from(&counters)
    }

    /// What the exporter has booked and what the container itself counts, at one moment: the container counted the same before
    /// and after the scrape, and its port shows just that. (A scrape that was late has the values of the last tick.)
    pub fn at_rest(&self, exporter: &Exporter) -> (Traffic, Traffic) {
        wait_for(Duration::from_secs(10), "a scrape that shows at the port what the container counts", || {
            let before = self.own();
            let metrics = exporter.metrics();
            let after = self.own();
            let port = Traffic::through_port(&metrics, &self.labels());
            let booked = Traffic::booked(&metrics, &self.labels());
            match booked {
                Some(booked) if before == after && port == Some(after) => Ok((booked, after)),
                _ => Err(format!(
                    "{self:?}\nitself: {before:?}\nthen:   {after:?}\nport:   {port:?}\nbooked: {booked:?}\n{}",
                    metrics.text
                )),
            }
        })
    }
}

/// Two idle containers on a network of their own that say nothing but what the test says.
pub fn two_silent(engine: &DockerEngine, network: &DockerNetwork) -> [Container; 2] {
    let containers = ["one", "two"].map(|name| engine.run_idle(name, &silent_on(network)));
    let [one, two] = &containers;
    acquaint(engine, network, [one, two]);
    containers
}

/// The arguments of `docker run` for a container without IPv6 on a network.
pub fn silent_on(network: &DockerNetwork) -> [&str; 4] {
    ["--network", network.name(), "--sysctl", "net.ipv6.conf.all.disable_ipv6=1"]
}

/// Makes two containers neighbours that need not ask for each other, and takes IPv6 from their ports and their bridge, so that
/// these say nothing of their own. To be done again after each start of one of them.
pub fn acquaint(engine: &DockerEngine, network: &DockerNetwork, [one, two]: [&Container; 2]) {
    let silence = |device: &str| {
        let setting = format!("net.ipv6.conf.{device}.disable_ipv6=1");
        let output = engine.netns().exec(["sysctl", "-qw", &setting]);
        assert!(output.status.success(), "{}", describe(&output));
    };
    silence(&network.bridge());
    for (container, other) in [(one, two), (two, one)] {
        let interface = container.interface_on(network);
        silence(&container.host_device(engine.netns(), interface.name()));
        let address = other.address(network.name()).to_string();
        let mac = other.sysfs(other.interface_on(network).name(), "address");
        let words =
            ["neigh", "replace", &address, "lladdr", &mac, "dev", interface.name(), "nud", "permanent"];
        let path = interface.netns_path().display().to_string();
        succeed(Command::new("nsenter").args([&format!("--net={path}"), "ip"]).args(words));
    }
}
