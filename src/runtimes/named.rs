//! Named network namespaces: the files that `ip netns add` leaves in /run/netns.

use crate::model::link::Readable;
use crate::model::workload::{Claim, Claims, Locator, Runtime, Workload};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Claims every name in `folder`; `None` if there is no such folder.
pub fn claims(folder: &Path) -> Option<io::Result<Claims>> {
    let files = match files(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return Some(Err(error)),
        Ok(files) => files,
    };
    let claims = files.into_iter().map(|(name, path)| Claim {
        owner: Workload::named(Runtime::Named, name),
        locator: Locator::Path(path),
        endpoints: Vec::new(),
        members: Vec::new(),
    });
    Some(Ok(Claims { claims: claims.collect(), ..Claims::default() }))
}

/// The files of a folder of namespaces, by name.
pub(super) fn files(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        files.push((Readable(name.as_bytes()).to_string(), folder.join(&name)));
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_absent_claims_nothing_and_is_no_error() {
        assert!(claims(Path::new("/nonexistent/netns")).is_none());
    }

    #[test]
    fn what_is_no_folder_is_an_error() {
        assert!(claims(Path::new("/proc/self/exe")).unwrap().is_err());
    }
}
