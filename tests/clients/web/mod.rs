//! How the exporter is served: exporter-toolkit's web configuration, listeners, and clients that mean no good; asked by curl, openssl
//! and a real Prometheus.

mod config;
mod curl;
mod fuzz;
mod greedy;
mod healthy;
mod listen;
mod load;
mod passwords;
mod reload;
mod routes;
mod stream;
mod systemd;
mod tls;

use lab::{Exporter, Netns, NetnsFolder, empty_folder, memory};
use std::path::PathBuf;
use std::time::Duration;

/// A host with a folder for the test's files, and no names of other tests' namespaces.
struct Host {
    netns: Netns,
    names: NetnsFolder,
    files: PathBuf,
}

impl Host {
    fn new() -> Host {
        Host { netns: Netns::new("host"), names: NetnsFolder::new(), files: empty_folder("web") }
    }

    /// Writes a file, and says where it is.
    fn file(&self, name: &str, content: &str) -> String {
        let path = self.files.join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    fn exporter(&self, arguments: &[&str]) -> Exporter {
        self.exporter_through(&[], arguments)
    }

    fn exporter_through(&self, through: &[&str], arguments: &[&str]) -> Exporter {
        let own = self.names.arguments();
        Exporter::start_through(&self.netns, through, &[&own, arguments].concat())
    }

    /// One with this web configuration.
    fn serving(&self, config: &str) -> Exporter {
        let file = self.file("web.yml", config);
        self.exporter(&["--web.config.file", &file])
    }
}

/// What is brief by default, and longer if the user has asked for it by VETH_LAB_LONG=1.
fn brief_or_long(brief: u64, long: u64) -> Duration {
    let asked = std::env::var("VETH_LAB_LONG").is_ok_and(|value| value == "1");
    Duration::from_secs(if asked { long } else { brief })
}
