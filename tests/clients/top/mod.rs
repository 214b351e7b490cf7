//! `veth-exporter top` as its users have it: in a terminal, whose screen is read back by another implementation (vt100), with
//! namespaces and veths that the test has made.

mod ending;
mod remote;
mod screen;
mod terminal;

use lab::{Exporter, Netns, NetnsFolder, send_datagrams};
use std::time::Duration;
use terminal::Terminal;

/// What a step may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(15);

/// A host with pairs to the containers `web` and `db`.
struct Host {
    netns: Netns,
    names: NetnsFolder,
    containers: Vec<Netns>,
}

impl Host {
    fn new() -> Host {
        let mut host =
            Host { netns: Netns::quiet("host"), names: NetnsFolder::new(), containers: Vec::new() };
        host.add("web", "vethweb");
        host.add("db", "vethdb");
        host
    }

    /// Adds a container.
    fn join(&mut self, name: &str, port: &str) {
        let container = Netns::quiet("container");
        self.names.name(name, &container);
        self.netns.veth(port, &container, "eth0");
        self.containers.push(container);
    }

    /// Adds one with an address.
    fn add(&mut self, name: &str, port: &str) {
        self.join(name, port);
        let container = &self.containers[self.containers.len() - 1];
        let [ours, theirs] = [1, 2].map(|end| format!("10.77.{}.{end}", self.containers.len() - 1));
        self.netns.address(port, &ours, container, "eth0", &theirs);
        container.address("eth0", &theirs, &self.netns, port, &ours);
    }

    /// A container sends so many frames of 1,042 bytes to the host.
    fn send(&self, container: usize, frames: u32) {
        let address = format!("10.77.{container}.1").parse().unwrap();
        send_datagrams(&self.containers[container].path(), &self.netns.path(), address, frames, 1_000);
    }

    fn exporter(&self, arguments: &[&str]) -> Exporter {
        Exporter::start(&self.netns, &[&self.names.arguments()[..], arguments].concat())
    }

    /// `top` by itself, in a terminal of 120 columns.
    fn top(&self, arguments: &[&str]) -> Terminal {
        let own = ["--collector.disable", "docker,podman,cri,process"];
        let words = [&["top"], &self.names.arguments()[..], &own, arguments].concat();
        Terminal::start(&self.netns, Exporter::binary(), &words, &[], (30, 120))
    }

    /// `top` that asks an exporter.
    fn top_of(&self, url: &str, arguments: &[&str]) -> Terminal {
        let words = [&["top", "--url", url], arguments].concat();
        Terminal::start(&self.netns, Exporter::binary(), &words, &[], (30, 120))
    }
}
