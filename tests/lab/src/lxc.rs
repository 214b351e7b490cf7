//! A real LXC container, without a daemon: its folder is in the run's.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::{Interface, Netns, describe, empty_folder, folder, succeed, unique_name, wait_for};

/// An LXC container with an eth0 on a bridge. It is killed when this goes.
pub struct LxcContainer {
    /// LXC's commands find each other by a socket that belongs to a network namespace.
    netns: Netns,
    path: PathBuf,
    name: String,
}

impl LxcContainer {
    /// Starts one, under a name of its own, on a bridge in this network namespace.
    pub fn start(netns: &Netns, bridge: &str) -> LxcContainer {
        let netns = Netns::existing(netns.name());
        let container = LxcContainer { netns, path: empty_folder("lxc"), name: unique_name("lxc") };
        let netns = &container.netns;
        let own = container.path.join(&container.name);
        let root = own.join("rootfs");
        std::fs::create_dir_all(&root).expect("a folder for its files");
        let image = folder().join("busybox.tar");
        succeed(Command::new("tar").arg("-xf").arg(image).arg("-C").arg(&root));
        let name = &container.name;
        // No longer than an interface's name may be.
        let port = format!("lx{}", name.trim_start_matches(|c: char| !c.is_ascii_digit()));
        let configuration = format!(
            "lxc.rootfs.path = dir:{}\nlxc.uts.name = {name}\nlxc.init.cmd = /bin/sleep 1000\n\
             lxc.net.0.type = veth\nlxc.net.0.flags = up\nlxc.net.0.veth.pair = {port}\nlxc.net.0.name = eth0\n\
             lxc.apparmor.profile = unconfined\n",
            root.display()
        );
        std::fs::write(own.join("config"), configuration).expect("its configuration");
        let log = container.path.join("log");
        let mut command = netns.command("lxc-start");
        command.args(["-l", "INFO", "-o"]).arg(&log).args(container.arguments());
        let output = command.output().expect("lxc-start, which tests/run installs");
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        assert!(output.status.success(), "{}\n{}", describe(&output), said());
        // LXC would look for the bridge in /sys, which shows the interfaces of another namespace.
        netns.ip(["link", "set", &port, "master", bridge]);
        wait_for(Duration::from_secs(10), "the LXC container runs", || container.try_pid().ok_or_else(said));
        container
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One of its interfaces.
    pub fn interface(&self, name: &str) -> Interface {
        let pid = self.try_pid().unwrap_or_else(|| panic!("{} does not run", self.name));
        Interface::new("lxc", &self.name, name, pid)
    }

    fn try_pid(&self) -> Option<u32> {
        let output = self.netns.command("lxc-info").args(self.arguments()).arg("-pH").output().ok()?;
        String::from_utf8_lossy(&output.stdout).trim().parse().ok()
    }

    fn arguments(&self) -> [String; 4] {
        ["-P".to_owned(), self.path.display().to_string(), "-n".to_owned(), self.name.clone()]
    }
}

impl Drop for LxcContainer {
    fn drop(&mut self) {
        let output = self.netns.command("lxc-stop").arg("-k").args(self.arguments()).output();
        if !output.as_ref().is_ok_and(|output| output.status.success()) {
            eprintln!("the LXC container {} stays: {output:?}", self.name);
        }
    }
}
