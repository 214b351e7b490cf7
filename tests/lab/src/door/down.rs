//! `lab down`: ends what a lab has started, by process id, and removes what it has made. It can be called again, and after a crash.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::command::{end_process, is_running, output, wait_until};
use super::complain;
use super::up::{ENGINE, MARK, NETNS};
use crate::docker::docker_command;

/// How long a killed process has to disappear.
const SOON: Duration = Duration::from_secs(5);

/// Takes the lab with this folder down; returns the exit code.
pub(super) fn down(folder: &Path) -> Result<u8> {
    if !folder.exists() {
        return Ok(0);
    }
    ensure!(folder.join(MARK).is_file(), "{} is no folder of a lab: it has no {MARK}", folder.display());
    let folder = folder.canonicalize().with_context(|| folder.display().to_string())?;
    end_recorded_processes(&folder);
    end_engine(&folder);
    let mut traces = Traces::left_by(&folder);
    end_podman(&folder);
    traces.look_for_shims(&folder);
    end_remains(&folder);
    traces.remove();
    unmount_below(&folder);
    delete_namespaces(&folder);
    // Below it nothing of another file system is mounted any more; were it so, that is left alone.
    let removed = output(Command::new("rm").args(["-rf", "--one-file-system"]).arg(&folder));
    removed.with_context(|| format!("{} could not be removed", folder.display()))?;
    let left = remains(&folder);
    ensure!(left.is_empty(), "these processes of {} do not end: {left:?}", folder.display());
    Ok(0)
}

fn entries(folder: PathBuf) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Returns field 22 of /proc/PID/stat (proc(5)): with it a process id cannot be mistaken for a later process of the same number.
fn start_time(pid: Pid) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(19).map(str::to_owned)
}

fn parse_pid(text: &str) -> Option<Pid> {
    text.trim().parse().ok().filter(|pid| *pid > 1).map(Pid::from_raw)
}

/// Ends what a test has started and could not end, because the test was killed.
fn end_recorded_processes(folder: &Path) {
    for record in entries(folder.join("processes")) {
        let Some(pid) = parse_pid(&file_name(&record)) else { continue };
        if fs::read_to_string(&record).ok() == start_time(pid) {
            kill_process(pid);
        }
    }
}

/// Kills one process and waits until it is gone; it may be gone already.
fn kill_process(pid: Pid) {
    _ = kill(pid, Signal::SIGKILL);
    wait_until(SOON, || !is_running(pid));
}

/// Ends the shared engine and its containers.
fn end_engine(folder: &Path) {
    let Ok(record) = fs::read_to_string(folder.join(ENGINE)) else { return };
    let Some((pid, started)) = record.split_once(' ') else { return };
    let Some(pid) = parse_pid(pid).filter(|pid| start_time(*pid).as_deref() == Some(started.trim())) else {
        return;
    };
    let socket = format!("unix://{}", folder.join("docker.sock").display());
    if let Ok(containers) = output(docker_command(&socket).args(["ps", "-aq"])) {
        let containers: Vec<&str> = containers.split_whitespace().collect();
        if !containers.is_empty() {
            // What the engine does not remove is ended with the remains.
            _ = output(docker_command(&socket).args(["rm", "-f", "-v"]).args(containers));
        }
    }
    let containerd = fs::read_to_string(folder.join("exec/containerd/containerd.pid")).ok();
    end_process(pid, Duration::from_secs(20));
    if let Some(containerd) = containerd.as_deref().and_then(parse_pid).filter(|pid| is_of(*pid, folder))
        && !wait_until(SOON, || !is_running(containerd))
    {
        end_process(containerd, SOON);
    }
}

/// Returns true if the process's command line names the folder.
fn is_of(pid: Pid, folder: &Path) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).contains(&format!("{}/", folder.display()))
}

/// What engines leave outside of the folder: names of namespaces, cgroups, sockets of shims.
#[derive(Debug, Default)]
struct Traces {
    namespaces: BTreeSet<String>,
    /// Names of cgroups, and beginnings of names of cgroups within `docker` and `k8s.io`.
    cgroups: BTreeSet<String>,
    containers: BTreeSet<String>,
    sockets: BTreeSet<PathBuf>,
}

impl Traces {
    /// Finds what Podman and LXC have made elsewhere, before their folders go.
    fn left_by(folder: &Path) -> Traces {
        let mut traces = Traces::default();
        for root in entries(folder.to_owned()) {
            let name = file_name(&root);
            if name.starts_with("podman-") {
                let files = [root.join("run"), root.join("root/overlay-containers")].map(files_below);
                for file in files.into_iter().flatten() {
                    traces.namespaces.extend(made_up_names(&fs::read(&file).unwrap_or_default()));
                }
                let containers = entries(root.join("root/overlay-containers"));
                traces.cgroups.extend(containers.iter().map(|path| format!("libpod-{}", file_name(path))));
            } else if name.starts_with("lxc-") {
                let machines = entries(root).into_iter().filter(|path| path.join("config").is_file());
                for machine in machines.map(|path| file_name(&path)) {
                    traces.cgroups.extend(["payload", "monitor"].map(|part| format!("lxc.{part}.{machine}")));
                }
            }
        }
        traces
    }

    /// Finds what a shim leaves behind if it is killed: its socket and its container's cgroup.
    fn look_for_shims(&mut self, folder: &Path) {
        for file in files_below(folder.to_owned()) {
            let text = file.display().to_string();
            let parent = file.parent().map(file_name).unwrap_or_default();
            if text.ends_with("/address") && text.contains("/io.containerd.runtime.v2.task/") {
                let address = fs::read_to_string(&file).unwrap_or_default();
                let socket = address.trim().strip_prefix("unix://").map(PathBuf::from);
                self.sockets.extend(socket.filter(|path| path.starts_with("/run/containerd/s")));
                self.containers.insert(parent);
            } else if text.contains("/containers/") && text.ends_with("/config.v2.json") {
                self.containers.insert(parent);
            }
        }
    }

    fn remove(&self) {
        for socket in &self.sockets {
            // Nearly always the shim has removed it.
            _ = fs::remove_file(socket);
        }
        for name in &self.namespaces {
            delete_namespace(name);
        }
        for cgroup in folders_below(PathBuf::from("/sys/fs/cgroup")).iter().rev() {
            if self.is_trace(cgroup) {
                // A cgroup that still has a process stays, and that process has been named before.
                _ = fs::remove_dir(cgroup);
            }
        }
    }

    fn is_trace(&self, cgroup: &Path) -> bool {
        let names: Vec<String> = cgroup.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let of_container = |pair: &[String]| {
            (pair[0] == "docker" || pair[0] == "k8s.io") && self.containers.contains(&pair[1])
        };
        names.iter().any(|name| self.cgroups.contains(name)) || names.windows(2).any(of_container)
    }
}

/// Returns the names that Podman makes up for namespaces, where these bytes have their paths.
fn made_up_names(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let names = text.split("/run/netns/").skip(1);
    let name =
        |rest: &str| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect::<String>();
    names.map(name).filter(|name| name.starts_with("netns-") && name.len() == 42).collect()
}

/// Returns all regular files below a folder; links are not followed.
fn files_below(folder: PathBuf) -> Vec<PathBuf> {
    walk(folder).into_iter().filter(|(_, is_folder)| !is_folder).map(|(path, _)| path).collect()
}

/// Returns all folders below a folder, each before those in it.
fn folders_below(folder: PathBuf) -> Vec<PathBuf> {
    walk(folder).into_iter().filter(|(_, is_folder)| *is_folder).map(|(path, _)| path).collect()
}

fn walk(folder: PathBuf) -> Vec<(PathBuf, bool)> {
    let (mut found, mut open) = (Vec::new(), vec![folder]);
    while let Some(folder) = open.pop() {
        for path in entries(folder) {
            let Ok(kind) = path.symlink_metadata().map(|data| data.file_type()) else { continue };
            if kind.is_dir() {
                open.push(path.clone());
            }
            if kind.is_dir() || kind.is_file() {
                found.push((path, kind.is_dir()));
            }
        }
    }
    found
}

/// Removes the containers of the tests' own Podmans: Podman knows best, networks and names of namespaces included.
fn end_podman(folder: &Path) {
    for root in entries(folder.to_owned()) {
        if !file_name(&root).starts_with("podman-")
            || !root.join("containers.conf").exists()
            || !root.join("root").exists()
        {
            continue;
        }
        let podman = |words: &[&str]| {
            let mut podman = Command::new("timeout");
            podman.args(["60", "podman", "--log-level", "error"]);
            for (flag, path) in [
                ("--root", "root"),
                ("--runroot", "run"),
                ("--tmpdir", "tmp"),
                ("--network-config-dir", "networks"),
            ] {
                podman.arg(flag).arg(root.join(path));
            }
            podman.env("CONTAINERS_CONF", root.join("containers.conf")).env_remove("DOCKER_CONFIG");
            output(podman.args(words)).is_ok()
        };
        podman(&["pod", "rm", "-f", "-a"]);
        // A container that others depend on can go only after these: twice.
        _ = podman(&["rm", "-f", "-a", "-t", "0"]) || podman(&["rm", "-f", "-a", "-t", "0"]);
    }
}

/// Ends what an engine has left running: containers, which have their root below the folder, and then the shims.
fn end_remains(folder: &Path) {
    for round in 1..=3 {
        let remains = remains(folder);
        if remains.is_empty() {
            return;
        }
        let listed = remains.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        complain(&format!("lab: ending what an engine left running (round {round}): {listed}"));
        remains.iter().for_each(|pid| _ = kill(*pid, Signal::SIGKILL));
        remains.iter().for_each(|pid| _ = wait_until(SOON, || !is_running(*pid)));
    }
}

fn remains(folder: &Path) -> Vec<Pid> {
    const ENGINES: [&str; 6] = ["dockerd", "containerd", "podman", "conmon", "lxc-start", "containerd-shim"];
    let pids = entries(PathBuf::from("/proc")).into_iter().filter_map(|path| parse_pid(&file_name(&path)));
    let is_remain = |pid: &Pid| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let engine = ENGINES.iter().any(|engine| name.trim_end().starts_with(engine));
        engine && is_of(*pid, folder) || has_root_below(*pid, folder)
    };
    pids.filter(is_remain).filter(|pid| is_running(*pid)).collect()
}

/// Returns true if the root of the process's mounts is below the folder. In mountinfo (proc(5)) field 4 is the root within the file
/// system, field 5 the mount point, and an overlay's folders come last.
fn has_root_below(pid: Pid, folder: &Path) -> bool {
    let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
    let below =
        [folder.to_owned(), within_file_system(folder)].map(|folder| format!("{}/", folder.display()));
    let is_below = |text: &str| below.iter().any(|below| text.contains(below));
    mounts.lines().filter(|line| line.split(' ').nth(4) == Some("/")).any(|line| {
        let root = line.split(' ').nth(3).unwrap_or_default();
        is_below(root) || line.split(" - ").nth(1).is_some_and(is_below)
    })
}

/// Returns the folder's path within its file system, which is another one where a folder above it is a mount point.
fn within_file_system(folder: &Path) -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let nearest = mounts
        .lines()
        .filter_map(|line| Some((line.split(' ').nth(3)?, line.split(' ').nth(4)?)))
        .filter(|(_, point)| folder.starts_with(point))
        .max_by_key(|(_, point)| point.len());
    nearest
        .and_then(|(root, point)| Some(Path::new(root).join(folder.strip_prefix(point).ok()?)))
        .unwrap_or_else(|| folder.to_owned())
}

/// Unmounts everything below the folder, the last mount first.
fn unmount_below(folder: &Path) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    let mut below: Vec<&str> =
        points.filter(|point| Path::new(point).starts_with(folder) && Path::new(point) != folder).collect();
    below.sort_unstable();
    for point in below.into_iter().rev() {
        if output(Command::new("umount").arg(point)).is_err()
            && let Err(error) = output(Command::new("umount").args(["-l", point]))
        {
            complain(&format!("lab: {error:#}"));
        }
    }
}

/// Deletes the namespaces that tests have recorded, the engine's, and a benchmark's, which are called like its folder.
fn delete_namespaces(folder: &Path) {
    let own = file_name(folder);
    let recorded = entries(folder.join("netns")).into_iter().map(|path| file_name(&path));
    let engine = fs::read_to_string(folder.join(NETNS)).ok();
    let benchmark = entries(PathBuf::from("/run/netns")).into_iter().map(|path| file_name(&path));
    let benchmark = benchmark.filter(|name| *name == own || name.starts_with(&format!("{own}-")));
    for name in recorded.chain(engine).chain(benchmark).collect::<BTreeSet<_>>() {
        delete_namespace(&name);
    }
}

fn delete_namespace(name: &str) {
    if Path::new("/run/netns").join(name).exists()
        && let Err(error) = output(Command::new("ip").args(["netns", "del", name]))
    {
        complain(&format!("lab: {error:#}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_no_labs_is_left_alone() {
        let refused = down(Path::new("/etc")).unwrap_err().to_string();
        assert!(refused.contains("/etc is no folder of a lab"), "{refused}");
        assert_eq!(down(Path::new("/no/such/folder")).unwrap(), 0);
    }

    #[test]
    fn names_that_podman_made_up_are_found_among_other_bytes() {
        let bytes = b"{\"path\":\"/run/netns/netns-01234567-89ab-cdef-0123-456789abcdef\"}\xff/run/netns/web";
        assert_eq!(made_up_names(bytes), ["netns-01234567-89ab-cdef-0123-456789abcdef"]);
    }

    #[test]
    fn a_cgroup_is_a_trace_by_its_own_name_or_by_that_of_one_above() {
        let traces = Traces {
            cgroups: ["lxc.payload.c".to_owned()].into(),
            containers: ["4a35".to_owned()].into(),
            ..Traces::default()
        };
        for (path, is_trace) in [
            ("/sys/fs/cgroup/unified/lxc.payload.c", true),
            ("/sys/fs/cgroup/memory/lxc.payload.c/below", true),
            ("/sys/fs/cgroup/memory/docker/4a35", true),
            ("/sys/fs/cgroup/memory/docker/4a36", false),
            ("/sys/fs/cgroup/memory/docker", false),
            ("/sys/fs/cgroup/memory/user/4a35", false),
        ] {
            assert_eq!(traces.is_trace(Path::new(path)), is_trace, "{path}");
        }
    }
}
