//! The page and its stream: in a real Chromium, and as clients of the stream read it.

mod browser;
mod load;
mod screenshots;
mod stream;
mod town;

use lab::{Exporter, Netns, NetnsFolder};

/// A host with named namespaces behind veths, and an exporter that sees no other test's.
struct Host {
    netns: Netns,
    names: NetnsFolder,
    inside: Vec<Netns>,
}

impl Host {
    fn new() -> Host {
        Host { netns: Netns::quiet("host"), names: NetnsFolder::new(), inside: Vec::new() }
    }

    /// Adds a namespace with a name, behind a pair of the host with addresses of its own.
    fn add(&mut self, name: &str) {
        let (number, inside) = (self.inside.len(), Netns::quiet("inside"));
        self.names.name(name, &inside);
        let port = format!("veth{number}");
        let [ours, theirs] = [1, 2].map(|n| format!("10.{}.{}.{n}", 100 + number / 200, number % 200));
        self.netns.veth(&port, &inside, "eth0");
        self.netns.address(&port, &ours, &inside, "eth0", &theirs);
        inside.address("eth0", &theirs, &self.netns, &port, &ours);
        self.inside.push(inside);
    }

    fn exporter(&self, arguments: &[&str]) -> Exporter {
        Exporter::start(&self.netns, &[&self.names.arguments()[..], arguments].concat())
    }
}

fn url(exporter: &Exporter) -> String {
    format!("http://{}/", exporter.address())
}
