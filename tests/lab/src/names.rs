//! A folder of named network namespaces, as /run/netns is one: what is not in it has no name for the exporter.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::{Netns, folder, unique_name, unmount_below};

/// A folder for `--path.netns`, where the test decides who is called what. It is removed when this goes.
pub struct NetnsFolder {
    path: PathBuf,
}

impl NetnsFolder {
    /// An empty one.
    pub fn new() -> NetnsFolder {
        let path = folder().join(unique_name("names"));
        std::fs::create_dir(&path).expect("a folder of its own");
        NetnsFolder { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives a namespace a name; takes it from another that had it.
    pub fn name(&self, name: impl AsRef<OsStr>, netns: &Netns) {
        let entry = self.path.join(name.as_ref());
        if entry.is_symlink() {
            std::fs::remove_file(&entry).expect("the old entry goes");
        }
        symlink(netns.path(), entry).expect("an entry");
    }

    /// Mounts a namespace on a new file of this name, as `ip netns attach` does in /run/netns.
    pub fn attach(&self, name: &str, netns: &Netns) {
        let entry = self.path.join(name);
        File::create_new(&entry).expect("a name that is not taken");
        mount(Some(&netns.path()), &entry, None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .expect("root may mount a namespace on its name");
    }

    /// Unmounts and removes a name that [`NetnsFolder::attach`] has made, as `ip netns del` does in /run/netns.
    pub fn delete(&self, name: &str) {
        let entry = self.path.join(name);
        umount2(&entry, MntFlags::MNT_DETACH).expect("the namespace is mounted there");
        std::fs::remove_file(&entry).expect("the name goes");
    }

    /// The arguments that make the exporter use it.
    pub fn arguments(&self) -> [&str; 2] {
        ["--path.netns", self.path.to_str().expect("the lab's folder is UTF-8")]
    }
}

impl Drop for NetnsFolder {
    fn drop(&mut self) {
        unmount_below(&self.path);
        std::fs::remove_dir_all(&self.path)
            .unwrap_or_else(|error| eprintln!("{}: {error}", self.path.display()));
    }
}
