//! Files and TCP: Landlock (landlock(7), Linux 5.13 and newer; TCP since 6.7, signals since 6.12).

use super::{Needs, SandboxState};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, NetPort, PathBeneath, PathFd, PathFdError, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};
use std::io::ErrorKind;
use std::path::Path;

/// The newest set of rights that this was written and tested for; an older kernel has fewer.
const RIGHTS: ABI = ABI::V6;

/// Denies every access to files, every TCP port and every signal to others that `needs` does not name.
///
/// # Errors
/// Fails with one line if the kernel has no Landlock, or does not permit it.
pub(super) fn restrict(needs: &Needs) -> Result<SandboxState, String> {
    let failed = |error: landlock::RulesetError| error.to_string();
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(RIGHTS))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(RIGHTS)))
        .and_then(|ruleset| ruleset.scope(Scope::Signal));
    let mut rules = ruleset.and_then(Ruleset::create).map_err(failed)?;
    for path in &needs.read {
        rules = allow(rules, path, AccessFs::ReadFile | AccessFs::ReadDir)?;
    }
    for path in &needs.remove {
        rules = allow(rules, path, AccessFs::RemoveFile.into())?;
    }
    for path in &needs.write {
        rules = allow(rules, path, written())?;
    }
    for &port in &needs.ports {
        rules = rules.add_rule(NetPort::new(port, AccessNet::ConnectTcp)).map_err(failed)?;
    }
    match rules.restrict_self().map_err(failed)?.ruleset {
        RulesetStatus::FullyEnforced => Ok(SandboxState::Full),
        RulesetStatus::PartiallyEnforced => Ok(SandboxState::Partial),
        RulesetStatus::NotEnforced => {
            Err("this kernel has it not, or it is not switched on (lsm=landlock,...)".into())
        }
    }
}

/// Returns the rights to a folder in which files are made, written and renamed.
fn written() -> BitFlags<AccessFs> {
    AccessFs::ReadFile
        | AccessFs::ReadDir
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::RemoveFile
}

/// Allows access below this path. As long as the path does not exist, access is allowed below the nearest
/// folder above; but never below the root, which would allow all.
fn allow(rules: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated, String> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    for path in path.ancestors().filter(|path| path.parent().is_some()) {
        match PathFd::new(path) {
            Ok(opened) => {
                // A file has no entries, and a right to them would count as one that the kernel lacks.
                let of_file = AccessFs::from_file(RIGHTS);
                let access = if path.is_dir() { access } else { access & of_file };
                let rules = rules.add_rule(PathBeneath::new(opened, access));
                return rules.map_err(|error| format!("{}: {error}", path.display()));
            }
            Err(PathFdError::OpenCall { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            // A path that cannot be reached now cannot be read later either.
            Err(_) => return Ok(rules),
        }
    }
    Ok(rules)
}
