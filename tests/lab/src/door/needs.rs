//! `lab needs`: checks and installs the Debian packages of the list.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::packages::{self, Package};
use super::{command, complain, say, section};

/// Checks what these recipes need, and installs what is missing if asked to; returns the exit code.
pub(super) fn check(recipes: &[String], install: bool) -> Result<u8> {
    if install {
        install_missing(recipes)?;
        return Ok(0);
    }
    let missing = missing(recipes);
    for package in &missing {
        say(&format!("{}\t{}", package.name, package.proof));
    }
    Ok(u8::from(!missing.is_empty()))
}

/// Installs by apt-get what is missing for these recipes.
pub(super) fn install_missing(recipes: &[String]) -> Result<()> {
    let lacking = missing(recipes);
    if lacking.is_empty() {
        return Ok(());
    }
    let mut names: BTreeSet<&str> = lacking.iter().map(|package| package.name).collect();
    let listed = names.iter().copied().collect::<Vec<_>>().join(" ");
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!(
            "missing, and there is no apt-get to install it: {listed} (install these packages of your distribution)"
        );
    }
    section(&format!("Installing {listed}"));
    let policy = NoServices::set()?;
    apt(&["update"])?;
    // Since Debian 13 the client is a package of its own.
    let client_is_apart = || command::output(Command::new("apt-cache").args(["show", "docker-cli"])).is_ok();
    if lacking.iter().any(|package| package.proof == "docker") && client_is_apart() {
        names.insert("docker-cli");
    }
    let names: Vec<&str> = names.into_iter().collect();
    apt(&[&["install", "-y", "--no-install-recommends"], names.as_slice()].concat())?;
    drop(policy);
    let still: Vec<&str> = missing(recipes).iter().map(|package| package.proof).collect();
    if !still.is_empty() {
        bail!(
            "still missing after the installation: {} (is the package of another name here?)",
            still.join(" ")
        );
    }
    Ok(())
}

fn missing(recipes: &[String]) -> Vec<Package> {
    let wanted = |package: &Package| recipes.iter().any(|recipe| package.is_for(recipe));
    packages::all().filter(wanted).filter(|package| !package.is_there()).collect()
}

fn apt(words: &[&str]) -> Result<()> {
    let mut apt = Command::new("apt-get");
    apt.args(["-q", "-o", "DPkg::Lock::Timeout=300"]).args(words).env("DEBIAN_FRONTEND", "noninteractive");
    command::finish(&mut apt)
        .context("packages could not be installed (is Debian's package server in reach?)")
}

/// No service may start by being installed: the tests start what they need themselves. The rule goes with this value; one that a run
/// which was killed has left goes too, and any other that was there before stays.
struct NoServices(bool);

const POLICY: &str = "/usr/sbin/policy-rc.d";

/// The rule; its second line says that it is ours.
const RULE: &str =
    "#!/bin/sh\n# made by the tests of veth-exporter, for the time of an installation\nexit 101\n";

impl NoServices {
    fn set() -> Result<NoServices> {
        let before = fs::read_to_string(POLICY);
        if before.is_ok_and(|rule| rule != RULE) {
            return Ok(NoServices(false));
        }
        fs::write(POLICY, RULE).with_context(|| format!("cannot write {POLICY}"))?;
        fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755)).context(POLICY)?;
        Ok(NoServices(true))
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.0
            && let Err(error) = fs::remove_file(POLICY)
        {
            complain(&format!("lab: {POLICY} could not be removed: {error}"));
        }
    }
}
