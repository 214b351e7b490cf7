//! A thread of another process that stands still.

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// One thread that is held (ptrace(2)) until this goes, in the thread that has made it.
pub struct Frozen(Pid);

impl Frozen {
    /// The thread of this process that is called so.
    pub fn thread(process: u32, name: &str) -> Frozen {
        let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("its threads");
        let task = tasks.flatten().find(|task| {
            std::fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim() == name)
        });
        let task = task.unwrap_or_else(|| panic!("{process} has no thread {name}")).file_name();
        let thread = Pid::from_raw(task.to_string_lossy().parse().expect("a number"));
        ptrace::seize(thread, ptrace::Options::empty()).expect("root may trace it");
        ptrace::interrupt(thread).expect("it is traced");
        waitpid(thread, Some(WaitPidFlag::__WALL)).expect("it stands still");
        Frozen(thread)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // It fails if the process has ended.
        let _ = ptrace::detach(self.0, None);
    }
}
