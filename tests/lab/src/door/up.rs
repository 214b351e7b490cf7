//! `lab up`: the folder of a run, and the Docker engine that its tests share.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::statvfs::statvfs;
use nix::unistd::mkdtemp;

use super::{command, complain, down, needs, say, section, signals};
use crate::docker::{self, IMAGE};
use crate::process::start_time;

/// The file that marks a folder as one that `lab down` may remove.
pub(super) const MARK: &str = ".veth-lab";

/// The process id of the shared dockerd and its start time.
pub(super) const ENGINE: &str = "engine.pid";

/// The name of the network namespace that the shared engine is in.
pub(super) const NETNS: &str = "engine.netns";

/// Bytes that a run takes in the temporary folder: images, browsers' profiles, engines' state.
const NEEDED: u64 = 2 << 30;

/// A lab that is up. It is taken down with this value, unless another process has started it.
#[derive(Debug)]
pub(super) struct Lab {
    pub(super) folder: PathBuf,
    /// The engine's socket address and network namespace; `None` in the small set.
    engine: Option<(String, String)>,
    ours: bool,
}

/// Starts a lab, leaves it running and prints the variables that name it.
pub(super) fn up() -> Result<u8> {
    needs::install_missing(&["image".to_owned()])?;
    let mut lab = Lab::start(true)?;
    signals::check()?;
    for (name, value) in lab.variables() {
        say(&format!("export {name}={value}"));
    }
    lab.ours = false;
    Ok(0)
}

impl Lab {
    /// Returns the lab that VETH_LAB_DIR names, or starts one.
    pub(super) fn enter(with_engine: bool) -> Result<Lab> {
        let Some(folder) = env::var_os("VETH_LAB_DIR") else { return Lab::start(with_engine) };
        let folder = PathBuf::from(folder);
        ensure!(
            folder.join(MARK).is_file(),
            "VETH_LAB_DIR={} is no lab that is up: unset it, or start one by `lab up`",
            folder.display()
        );
        if !with_engine {
            return Ok(Lab { folder, engine: None, ours: false });
        }
        let netns = fs::read_to_string(folder.join(NETNS)).with_context(|| {
            format!("VETH_LAB_DIR={}: that lab has no engine: unset it, or use --small", folder.display())
        })?;
        let lab = Lab { engine: Some((socket(&folder), netns)), folder, ours: false };
        command::output(&mut lab.docker(&["version"]))
            .context("the engine of VETH_LAB_DIR does not answer")?;
        Ok(lab)
    }

    fn start(with_engine: bool) -> Result<Lab> {
        let folder = new_folder()?;
        // From here on it is taken down whatever happens.
        let mut lab = Lab { folder, engine: None, ours: true };
        for name in ["processes", "netns", "docker-config"] {
            fs::create_dir(lab.folder.join(name)).with_context(|| lab.no_room())?;
        }
        if with_engine {
            lab.start_engine()?;
        }
        Ok(lab)
    }

    fn start_engine(&mut self) -> Result<()> {
        signals::check()?;
        section("Starting a Docker engine");
        let suffix =
            self.folder.extension().context("a folder with a suffix")?.to_string_lossy().into_owned();
        let netns = format!("vxlab-{suffix}");
        fs::write(self.folder.join(NETNS), &netns).with_context(|| self.no_room())?;
        command::output(Command::new("ip").args(["netns", "add", &netns]))?;
        command::output(Command::new("ip").args(["-n", &netns, "link", "set", "lo", "up"]))?;
        self.engine = Some((socket(&self.folder), netns.clone()));
        fs::write(self.folder.join("daemon.json"), "{}").with_context(|| self.no_room())?;
        let log = File::create(self.folder.join("dockerd.log")).with_context(|| self.no_room())?;
        let mut dockerd = docker::dockerd(&self.folder, &Path::new("/run/netns").join(&netns));
        dockerd.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        let mut child = dockerd.spawn().context("cannot start dockerd")?;
        fs::write(self.folder.join(ENGINE), format!("{} {}", child.id(), start_time(child.id())))
            .with_context(|| self.no_room())?;
        let answers = command::wait_until(Duration::from_secs(60), || {
            signals::interrupted()
                || child.try_wait().is_ok_and(|ended| ended.is_some())
                || command::output(&mut self.docker(&["version"])).is_ok()
        });
        signals::check()?;
        if !answers || child.try_wait()?.is_some() {
            let log = fs::read_to_string(self.folder.join("dockerd.log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let end = lines[lines.len().saturating_sub(20)..].join("\n");
            bail!(
                "the Docker engine of the tests does not answer after 60 s, or has ended; its log ends with:\n{end}"
            );
        }
        self.make_image()?;
        let version = command::output(&mut self.docker(&["version", "-f", "{{.Server.Version}}"]))?;
        complain(&format!(
            "Docker engine {}, process {}, network namespace {netns}",
            version.trim(),
            child.id()
        ));
        Ok(())
    }

    /// Makes the image of the lab from the static busybox and links for its applets. The archive stays for the tests' own engines.
    fn make_image(&self) -> Result<()> {
        let root = self.folder.join("image");
        for name in ["bin", "dev", "etc", "proc", "sys", "tmp"] {
            fs::create_dir_all(root.join(name)).with_context(|| self.no_room())?;
        }
        let busybox = command::output(Command::new("sh").args(["-c", "command -v busybox"]))?;
        fs::copy(busybox.trim(), root.join("bin/busybox")).with_context(|| self.no_room())?;
        for applet in command::output(Command::new("busybox").arg("--list"))?.lines() {
            if applet != "busybox" {
                symlink("busybox", root.join("bin").join(applet)).with_context(|| self.no_room())?;
            }
        }
        let archive = self.folder.join("busybox.tar");
        let mut tar = Command::new("tar");
        command::output(tar.arg("-C").arg(&root).arg("-cf").arg(&archive).arg("."))?;
        fs::remove_dir_all(&root)?;
        command::output(self.docker(&["import"]).arg(&archive).arg(IMAGE))?;
        Ok(())
    }

    fn docker(&self, words: &[&str]) -> Command {
        let mut docker = docker::docker_command(&socket(&self.folder));
        docker.args(words).env("DOCKER_CONFIG", self.folder.join("docker-config"));
        docker
    }

    /// Returns the variables by which tests find the lab.
    pub(super) fn variables(&self) -> BTreeMap<&'static str, String> {
        let mut variables = BTreeMap::from([
            ("VETH_LAB_DIR", self.folder.display().to_string()),
            ("DOCKER_CONFIG", self.folder.join("docker-config").display().to_string()),
        ]);
        match &self.engine {
            Some((socket, netns)) => {
                variables
                    .extend([("VETH_LAB_DOCKER_HOST", socket.clone()), ("VETH_LAB_NETNS", netns.clone())]);
            }
            None => _ = variables.insert("VETH_LAB", "small".to_owned()),
        }
        variables
    }

    fn no_room(&self) -> String {
        format!(
            "cannot write below {} ({} MiB are free there)",
            self.folder.display(),
            free(&self.folder) >> 20
        )
    }
}

impl Lab {
    /// Takes the lab down, if this process has started it.
    pub(super) fn leave(mut self) -> Result<()> {
        if !std::mem::take(&mut self.ours) {
            return Ok(());
        }
        section("Taking everything down");
        down::down(&self.folder).map(|_| ())
    }
}

/// Where something has failed before [`Lab::leave`].
impl Drop for Lab {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = down::down(&self.folder)
        {
            complain(&format!("lab: {error:#}"));
        }
    }
}

/// Makes the folder of a run. Its path is short: that of a unix socket has at most 108 bytes.
fn new_folder() -> Result<PathBuf> {
    let parent = env::temp_dir();
    let free = free(&parent);
    ensure!(
        free >= NEEDED,
        "{} has {} MiB free, and the tests take some {} MiB there: make room, or set TMPDIR to another folder",
        parent.display(),
        free >> 20,
        NEEDED >> 20
    );
    let folder = mkdtemp(&parent.join("vx.XXXXXX"))
        .with_context(|| format!("cannot make a folder in {}", parent.display()))?;
    // An ordinary user's exporter is run from below it.
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o711))?;
    fs::write(folder.join(MARK), "")?;
    Ok(folder)
}

/// Returns how many bytes are free to write in a folder's file system; 0 if that cannot be read.
pub(super) fn free(folder: &Path) -> u64 {
    statvfs(folder).map_or(0, |found| found.blocks_available() * found.fragment_size())
}

fn socket(folder: &Path) -> String {
    format!("unix://{}", folder.join("docker.sock").display())
}
