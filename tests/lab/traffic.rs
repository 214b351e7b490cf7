//! A container's interface, and what went through it: as itself counts, as the exporter books it, and as the port shows it.

use std::ops::{Add, Sub};
use std::path::PathBuf;
use std::time::Duration;

use super::{Container, Counters, Exporter, Exposition, wait_for};

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
    container: String,
    name: String,
    pid: u32,
}

impl Container {
    /// One of its interfaces.
    pub fn interface(&self, name: &str) -> Interface {
        Interface { container: self.name().to_owned(), name: name.to_owned(), pid: self.pid() }
    }
}

impl Interface {
    /// The labels that are its own in every family of its container.
    pub fn labels(&self) -> [(&str, &str); 3] {
        [("runtime", "docker"), ("container", &self.container), ("interface", &self.name)]
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
        Traffic {
            receive_bytes: counters.rx_bytes,
            receive_packets: counters.rx_packets,
            transmit_bytes: counters.tx_bytes,
            transmit_packets: counters.tx_packets,
        }
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
