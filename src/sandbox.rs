//! The sandbox: what needs privileges is opened first, then the process gives up all that it does not need
//! any more, then threads start. docs/sandbox.md has the reasons.
//!
//! Each part that the kernel does not have, or that an outer sandbox forbids to set, is left out and said;
//! it is no reason not to run.

mod capabilities;
mod files;
mod seccomp;

pub(crate) use capabilities::{Privileges, Tier, drop_privileges};
use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};
use rustix::thread::{no_new_privs, set_no_new_privs};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What the sandbox is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Every capability is given up but CAP_NET_ADMIN (capabilities(7)).
    Capabilities,
    /// No program that is executed gets more privileges (PR_SET_NO_NEW_PRIVS of prctl(2)). Landlock and
    /// seccomp need it.
    NoNewPrivs,
    /// No core dumps, and nobody but root may look into the memory (PR_SET_DUMPABLE of prctl(2)).
    Dumpable,
    /// Only the system calls that are needed (seccomp(2)).
    Seccomp,
    /// Only the files that are needed (landlock(7)).
    Landlock,
}

impl Part {
    /// All, in the order in which they are set.
    pub const ALL: [Part; 5] =
        [Part::Capabilities, Part::NoNewPrivs, Part::Dumpable, Part::Landlock, Part::Seccomp];

    /// What users call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Part::Capabilities => "capabilities",
            Part::NoNewPrivs => "no-new-privs",
            Part::Dumpable => "dumpable",
            Part::Seccomp => "seccomp",
            Part::Landlock => "landlock",
        }
    }
}

/// What the process needs for as long as it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Folders and files below which it reads. Of one that is not there yet the nearest folder above counts.
    pub read: Vec<PathBuf>,
    /// Folders below which it may remove a file.
    pub remove: Vec<PathBuf>,
    /// TCP ports that it connects to, on whatever host.
    pub ports: Vec<u16>,
}

/// What holds now, as the kernel says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    capabilities: String,
    no_new_privs: bool,
    dumpable: bool,
    seccomp: State,
    landlock: State,
    /// What is not as it should be: one line each, which names the part.
    pub missing: Vec<String>,
}

/// How far a part is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The user has disabled it.
    Off,
    /// The system does not have it, or does not let us.
    Unavailable,
    /// Without what this kernel does not have yet.
    Partial,
    Full,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            State::Off => "off",
            State::Unavailable => "unavailable",
            State::Partial => "partial",
            State::Full => "full",
        }
    }
}

/// Sets every part that is not disabled, in the calling thread and all that it starts: must be called
/// before the first other thread starts, after `drop_privileges`.
pub fn confine(needs: &Needs, disabled: &BTreeSet<Part>) -> Sandbox {
    let mut missing = Vec::new();
    let mut set = |part: Part, how: &dyn Fn() -> Result<State, String>| {
        if disabled.contains(&part) {
            return State::Off;
        }
        how().unwrap_or_else(|reason| {
            missing.push(format!("{}: {reason}", part.as_str()));
            State::Unavailable
        })
    };
    let full = |done: rustix::io::Result<()>| done.map(|()| State::Full).map_err(|error| error.to_string());
    set(Part::NoNewPrivs, &|| full(set_no_new_privs(true)));
    set(Part::Dumpable, &|| full(set_dumpable_behavior(DumpableBehavior::NotDumpable)));
    let landlock = set(Part::Landlock, &|| files::restrict(needs));
    // Looked at before the filter, under which nobody may ask.
    let (capabilities, no_new_privs) = (capabilities::effective(), no_new_privs().unwrap_or(false));
    let dumpable = dumpable_behavior() != Ok(DumpableBehavior::NotDumpable);
    let seccomp = set(Part::Seccomp, &|| seccomp::restrict(!needs.remove.is_empty()).map(|()| State::Full));
    Sandbox { capabilities, no_new_privs, dumpable, seccomp, landlock, missing }
}

impl Sandbox {
    /// The labels of `veth_exporter_sandbox_info`.
    pub fn labels(&self) -> [(&'static str, &str); 5] {
        let word = |is: bool| if is { "true" } else { "false" };
        [
            ("capabilities", &self.capabilities),
            ("no_new_privs", word(self.no_new_privs)),
            ("dumpable", word(self.dumpable)),
            ("seccomp", self.seccomp.as_str()),
            ("landlock", self.landlock.as_str()),
        ]
    }
}
