//! The sandbox. Files and sockets that need privileges are opened first; then the process gives up all
//! privileges that it does not need any more; then threads start. docs/sandbox.md has the reasons.
//!
//! A part that the kernel does not support, or that an outer sandbox forbids to set, is left out and
//! reported; it is no reason not to run.

mod capabilities;
mod files;
mod seccomp;

pub(crate) use capabilities::{Privileges, Tier, drop_privileges};
use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};
use rustix::thread::{no_new_privs, set_no_new_privs};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The parts of the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Every capability is given up but CAP_NET_ADMIN (capabilities(7)).
    Capabilities,
    /// No program that is executed gets more privileges (PR_SET_NO_NEW_PRIVS of prctl(2)). Landlock and
    /// seccomp need this part.
    NoNewPrivs,
    /// No core dumps, and only root may look into the memory (PR_SET_DUMPABLE of prctl(2)).
    Dumpable,
    /// Only the needed system calls are allowed (seccomp(2)).
    Seccomp,
    /// Only the needed files are accessible (landlock(7)).
    Landlock,
}

impl Part {
    /// All parts, in the order in which they are set.
    pub const ALL: [Part; 5] =
        [Part::Capabilities, Part::NoNewPrivs, Part::Dumpable, Part::Landlock, Part::Seccomp];

    /// Returns the name of the part for users.
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

/// The resources that the process needs for as long as it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Folders and files below which the process reads. For a missing folder the nearest existing one above
    /// counts.
    pub read: Vec<PathBuf>,
    /// Folders below which the process may remove a file.
    pub remove: Vec<PathBuf>,
    /// Folders in which the process makes, writes, renames and removes files.
    pub write: Vec<PathBuf>,
    /// TCP ports that the process connects to, on any host.
    pub ports: Vec<u16>,
    /// True if the process reads maps of programs that it has loaded into the kernel (bpf(2)).
    pub maps: bool,
}

/// The sandbox that is in force, as the kernel reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    capabilities: String,
    no_new_privs: bool,
    dumpable: bool,
    seccomp: SandboxState,
    landlock: SandboxState,
    /// The parts that are not in force as expected: one line each, which names the part.
    pub missing: Vec<String>,
}

/// The extent to which a part is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SandboxState {
    /// The user has disabled the part.
    Off,
    /// The system does not support the part, or does not permit it.
    Unavailable,
    /// The part is in force without newer features that this kernel lacks.
    Partial,
    Full,
}

impl SandboxState {
    fn as_str(self) -> &'static str {
        match self {
            SandboxState::Off => "off",
            SandboxState::Unavailable => "unavailable",
            SandboxState::Partial => "partial",
            SandboxState::Full => "full",
        }
    }
}

/// Sets every part that is not disabled, in the calling thread and all threads that it starts. Must be called
/// before the first other thread starts, after `drop_privileges`.
pub fn confine(needs: &Needs, disabled: &BTreeSet<Part>) -> Sandbox {
    // rustix reads the auxiliary vector once, before Linux 6.4 from /proc/self/auxv, and panics if it cannot.
    // An ordinary user cannot read that file of a process that is not dumpable.
    let _ = rustix::param::page_size();
    let mut missing = Vec::new();
    let mut set = |part: Part, how: &dyn Fn() -> Result<SandboxState, String>| {
        if disabled.contains(&part) {
            return SandboxState::Off;
        }
        how().unwrap_or_else(|reason| {
            missing.push(format!("{}: {reason}", part.as_str()));
            SandboxState::Unavailable
        })
    };
    let full =
        |done: rustix::io::Result<()>| done.map(|()| SandboxState::Full).map_err(|error| error.to_string());
    set(Part::NoNewPrivs, &|| full(set_no_new_privs(true)));
    set(Part::Dumpable, &|| full(set_dumpable_behavior(DumpableBehavior::NotDumpable)));
    let landlock = set(Part::Landlock, &|| files::restrict(needs));
    // These are read before the filter is set, which forbids reading them.
    let (capabilities, no_new_privs) = (capabilities::effective(), no_new_privs().unwrap_or(false));
    let dumpable = dumpable_behavior() != Ok(DumpableBehavior::NotDumpable);
    let seccomp = set(Part::Seccomp, &|| {
        seccomp::restrict(!needs.remove.is_empty(), !needs.write.is_empty(), needs.maps)
            .map(|()| SandboxState::Full)
    });
    Sandbox { capabilities, no_new_privs, dumpable, seccomp, landlock, missing }
}

impl Sandbox {
    /// Returns the labels of `veth_exporter_sandbox_info`.
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
