//! The reason why the state cannot be written, as a problem of the host.

/// The kind of a failure to write the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateFault {
    /// The file system or the user's quota is full.
    Full,
    /// The file system is mounted read-only.
    ReadOnly,
    /// The user of the exporter may not open the directory or write to it.
    Permission,
    /// The file or the directory was removed or replaced while the exporter runs.
    Removed,
    /// Another exporter has locked the directory.
    InUse,
    /// The directory was not there at the start and could not be made, or it is none.
    Missing,
    /// A fault of another kind, which the words of the system describe.
    Other,
}

/// A failure to write the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateFailure {
    /// The directory of the state.
    pub directory: String,
    /// The kind of the failure.
    pub fault: StateFault,
    /// The reason in the system's words.
    pub reason: String,
}

impl StateFailure {
    /// Returns the failure in one sentence, with its consequence.
    pub(crate) fn sentence(&self) -> String {
        let StateFailure { directory, fault, reason } = self;
        match fault {
            StateFault::Missing => {
                format!("the state directory {directory} cannot be used ({reason}): totals end with this run")
            }
            _ => format!(
                "the state cannot be written to {directory} ({reason}): a restart would lose what was counted since the last write"
            ),
        }
    }

    /// Returns the next step, in one sentence.
    pub(crate) fn remedy(&self) -> String {
        let StateFailure { directory, fault, .. } = self;
        match fault {
            StateFault::Full => format!("free space there (df -h {directory}): it is tried again by itself"),
            StateFault::ReadOnly => {
                format!("mount it to be written (findmnt -T {directory}): it is tried again by itself")
            }
            StateFault::Permission => format!(
                "give it to the user that the exporter runs as (ls -ld {directory}): it is tried again by itself"
            ),
            StateFault::Removed => "a file that was removed is written anew by itself; if the directory itself was removed or replaced, start the exporter again".to_owned(),
            StateFault::InUse => {
                "give each veth-exporter a directory of its own with --state.directory".to_owned()
            }
            StateFault::Missing => {
                format!("make the directory (mkdir -p {directory}), and start the exporter again")
            }
            StateFault::Other => {
                format!("see what is wrong with it (ls -la {directory}): it is tried again by itself")
            }
        }
    }
}
