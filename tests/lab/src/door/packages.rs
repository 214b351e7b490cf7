//! The list of Debian packages: `packages.tsv`.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

/// The list, one package and one proof a line.
const LIST: &str = include_str!("../../packages.tsv");

/// One line of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Package {
    /// The name of the Debian package.
    pub(super) name: &'static str,
    /// What proves that it is there.
    pub(super) proof: &'static str,
    needed_by: &'static str,
}

impl Package {
    /// Returns true if the test binary or recipe needs this package.
    pub(super) fn is_for(&self, recipe: &str) -> bool {
        self.needed_by.split(' ').any(|needs| needs == recipe)
    }

    /// Returns true if the proof holds on this machine.
    pub(super) fn is_there(&self) -> bool {
        self.proof.split('|').any(holds)
    }
}

/// Returns every line of the list.
pub(super) fn all() -> impl Iterator<Item = Package> {
    LIST.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut fields = line.split('\t');
        Some(Package { name: fields.next()?, proof: fields.next()?, needed_by: fields.next()? })
    })
}

fn holds(proof: &str) -> bool {
    if let Some(module) = proof.strip_prefix("python:") {
        return succeeds(Command::new("python3").args(["-m", module, "--version"]));
    }
    if let Some(program) = proof.strip_prefix("static:") {
        return find(program).is_some_and(|path| is_static(&path));
    }
    if proof.starts_with('/') { Path::new(proof).exists() } else { find(proof).is_some() }
}

/// Returns the path of a program in PATH.
fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// Returns true if ldd finds no dynamic section.
fn is_static(path: &Path) -> bool {
    let output = Command::new("ldd").arg(path).env("LC_ALL", "C").output();
    output.is_ok_and(|output| {
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).contains("not a dynamic executable")
    })
}

fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_list_has_three_fields_and_a_recipe_that_is_known() {
        let known = [
            "build",
            "lib",
            "kernel",
            "engines",
            "clients",
            "faults",
            "fuzz",
            "repo",
            "bench",
            "fresh",
            "field",
            "image",
            "deny",
            "shellcheck",
            "fuzz-long",
            "screenshots",
        ];
        let lines = LIST.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(all().count(), lines);
        for package in all() {
            assert!(package.needed_by.split(' ').all(|recipe| known.contains(&recipe)), "{package:?}");
        }
    }

    #[test]
    fn a_proof_is_a_command_a_file_or_one_of_several() {
        let proof = |proof| Package { name: "x", proof, needed_by: "build" }.is_there();
        assert!(proof("sh") && proof("/etc/passwd") && proof("/no/such/file|sh"));
        assert!(!proof("no-such-command") && !proof("/no/such/file") && !proof("static:no-such-command"));
    }
}
