//! A Docker container of a test, and what its own kernel counters say.

use std::net::IpAddr;
use std::path::PathBuf;

use serde_json::Value;

use super::docker::{IMAGE, docker_command};
use super::{Netns, ping, succeed, transfer};

/// A container, removed by force when this goes.
pub struct Container {
    host: String,
    name: String,
    id: String,
}

impl Container {
    pub(super) fn run(host: String, name: String, arguments: &[&str], words: &[&str]) -> Container {
        let mut command = docker_command(&host);
        // The first process of a container takes no SIGTERM that it does not handle, and an engine waits ten seconds for it.
        command
            .args(["run", "-d", "--name", &name, "--stop-signal", "KILL"])
            .args(arguments)
            .arg(IMAGE)
            .args(words);
        // Before the command: a container that cannot start is there all the same.
        let mut container = Container { host, name, id: String::new() };
        container.id = succeed(&mut command).trim_end().to_owned();
        container
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its whole id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `docker rename`.
    pub fn rename(&mut self, name: String) {
        succeed(docker_command(&self.host).args(["rename", &self.name, &name]));
        self.name = name;
    }

    /// All that Docker knows of it.
    pub fn inspect(&self) -> Value {
        let text = succeed(docker_command(&self.host).args(["inspect", "--type", "container", &self.name]));
        let mut list: Value = serde_json::from_str(&text).expect("JSON from docker inspect");
        list[0].take()
    }

    /// The process id of its first process, as the host sees it; panics if it does not run.
    pub fn pid(&self) -> u32 {
        let inspected = self.inspect();
        let pid = inspected["State"]["Pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
        pid.filter(|pid| *pid > 0)
            .unwrap_or_else(|| panic!("{} does not run: {}", self.name, inspected["State"]))
    }

    /// The file of its network namespace.
    pub fn netns_path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/net", self.pid()))
    }

    /// Its IPv4 address in a network.
    pub fn address(&self, network: &str) -> IpAddr {
        let inspected = self.inspect();
        let networks = &inspected["NetworkSettings"]["Networks"];
        let address = networks[network]["IPAddress"].as_str().and_then(|text| text.parse().ok());
        address.unwrap_or_else(|| panic!("{} has no address in {network}: {networks}", self.name))
    }

    /// `docker exec`, which must succeed; what it prints.
    pub fn exec(&self, words: &[&str]) -> String {
        succeed(docker_command(&self.host).args(["exec", &self.name]).args(words))
    }

    /// What a file below /sys/class/net/INTERFACE says inside.
    pub fn sysfs(&self, interface: &str, file: &str) -> String {
        self.exec(&["cat", &format!("/sys/class/net/{interface}/{file}")]).trim().to_owned()
    }

    /// The counters of one of its interfaces, as itself sees them.
    pub fn counters(&self, interface: &str) -> Counters {
        let path = format!("/proc/{}/net/dev", self.pid());
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        Counters::of(&text, interface).unwrap_or_else(|| panic!("no {interface} in {path}:\n{text}"))
    }

    /// The device on the engine's host that is the other end of one of its interfaces, as `ip` tells it.
    pub fn host_device(&self, engine: &Netns, interface: &str) -> String {
        let pid = self.pid().to_string();
        let text = succeed(
            std::process::Command::new("nsenter")
                .args(["-n", "-t", &pid, "ip", "-j", "link", "show", interface]),
        );
        let own: Value = serde_json::from_str(&text).expect("JSON from ip");
        let peer = &own[0]["link_index"];
        let links = engine.ip_json(["link", "show", "type", "veth"]);
        // The same ifindex can be in other namespaces: this is for engines whose containers have their peers on the host.
        links
            .as_array()
            .and_then(|links| links.iter().find(|link| &link["ifindex"] == peer))
            .and_then(|link| link["ifname"].as_str())
            .unwrap_or_else(|| {
                panic!("{interface} of {} has the peer {peer}, which is not in {links:#}", self.name)
            })
            .to_owned()
    }

    /// Pings an address from inside, as [`ping`] does.
    pub fn ping(&self, to: IpAddr, count: u32, payload: u32) {
        ping(&self.netns_path(), to, count, payload);
    }

    /// Sends exactly so many bytes by TCP to another container's address in `network`, and waits until they are there.
    pub fn send(&self, to: &Container, network: &str, bytes: u64) {
        transfer(&self.netns_path(), &to.netns_path(), to.address(network), bytes);
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let output = docker_command(&self.host).args(["rm", "-f", "-v", &self.name]).output();
        if !output.as_ref().is_ok_and(|output| output.status.success()) {
            eprintln!("the container {} stays: {output:?}", self.name);
        }
    }
}

/// One line of /proc/net/dev (proc(5)): what an interface counts in its own network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_errors: u64,
    pub rx_dropped: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_errors: u64,
    pub tx_dropped: u64,
}

impl Counters {
    /// The counters of an interface in the text of a /proc/PID/net/dev.
    pub fn of(text: &str, interface: &str) -> Option<Counters> {
        // A name can hold a colon itself, and numbers hold none.
        let (_, numbers) = text
            .lines()
            .filter_map(|line| line.rsplit_once(':'))
            .find(|(name, _)| name.trim_start_matches(' ') == interface)?;
        let numbers = numbers.split_whitespace().map(str::parse).collect::<Result<Vec<u64>, _>>().ok()?;
        let [
            rx_bytes,
            rx_packets,
            rx_errors,
            rx_dropped,
            _,
            _,
            _,
            _,
            tx_bytes,
            tx_packets,
            tx_errors,
            tx_dropped,
            ..,
        ] = numbers[..]
        else {
            return None;
        };
        Some(Counters {
            rx_bytes,
            rx_packets,
            rx_errors,
            rx_dropped,
            tx_bytes,
            tx_packets,
            tx_errors,
            tx_dropped,
        })
    }
}
