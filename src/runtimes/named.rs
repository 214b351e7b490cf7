//! Named network namespaces: the files that `ip netns add` leaves in /run/netns.

use crate::model::link::Readable;
use crate::model::workload::{Claim, Claims, Locator, Runtime, Workload};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Claims every name in `directory`; `None` if there is no such directory.
pub fn claims(directory: &Path) -> Option<io::Result<Claims>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return Some(Err(error)),
        Ok(entries) => entries,
    };
    let claims = entries.map(|entry| {
        let name = entry?.file_name();
        Ok(Claim {
            owner: Workload::named(Runtime::Named, Readable(name.as_bytes()).to_string()),
            locator: Locator::Path(directory.join(&name)),
            endpoints: Vec::new(),
            members: Vec::new(),
        })
    });
    Some(claims.collect::<io::Result<_>>().map(|claims| Claims { claims, networks: Vec::new() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_absent_claims_nothing_and_is_no_error() {
        assert!(claims(Path::new("/nonexistent/netns")).is_none());
    }

    #[test]
    fn what_is_no_directory_is_an_error() {
        assert!(claims(Path::new("/proc/self/exe")).unwrap().is_err());
    }
}
