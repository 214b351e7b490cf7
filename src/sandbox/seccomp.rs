//! System calls: two filters of seccomp(2).
//!
//! The first filter lists the permitted calls. All others fail with ENOSYS, as on an older kernel: a C
//! library that is newer than this list then uses the older call, which is in the list. The second filter
//! refuses with EPERM the calls that must never succeed, and permitted calls with arguments that this program
//! never uses. The second filter decides first, and also refuses any further filter.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) use known::restrict;

/// # Errors
/// Always fails: the needed calls of this architecture are unknown.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) fn restrict(_removes_files: bool, _writes_files: bool, _reads_maps: bool) -> Result<(), String> {
    Err(format!("there is no filter for {}", std::env::consts::ARCH))
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod known {
    // The names of calls and of their arguments are the kernel's.
    use libc::*;
    use seccompiler::SeccompCmpArgLen::Dword;
    use seccompiler::{
        BackendError, BpfProgram, SeccompAction, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    };
    use std::collections::BTreeMap;

    /// The permitted calls. Seen by strace of glibc, or made by the C libraries, the standard library and
    /// tokio when something is missing or fails; the calls that only x86-64 has are for musl, and for the
    /// calls that the others replace.
    const ALLOWED: &[c_long] = &[
        // Descriptors.
        SYS_read,
        SYS_readv,
        SYS_pread64,
        SYS_write,
        SYS_writev,
        SYS_close,
        SYS_close_range,
        SYS_dup,
        SYS_dup3,
        SYS_fcntl,
        SYS_ioctl,
        SYS_lseek,
        SYS_pipe2,
        SYS_eventfd2,
        // Files.
        SYS_openat,
        SYS_newfstatat,
        SYS_fstat,
        SYS_statx,
        SYS_statfs,
        SYS_fstatfs,
        SYS_faccessat,
        SYS_faccessat2,
        SYS_readlinkat,
        SYS_getdents64,
        SYS_getcwd,
        SYS_unlinkat,
        SYS_inotify_init1,
        SYS_inotify_add_watch,
        SYS_inotify_rm_watch,
        // Sockets.
        SYS_socket,
        SYS_socketpair,
        SYS_connect,
        SYS_bind,
        SYS_accept,
        SYS_accept4,
        SYS_getsockname,
        SYS_getpeername,
        SYS_getsockopt,
        SYS_setsockopt,
        SYS_sendto,
        SYS_sendmsg,
        SYS_sendmmsg,
        SYS_recvfrom,
        SYS_recvmsg,
        SYS_recvmmsg,
        SYS_shutdown,
        // Waiting.
        SYS_epoll_create1,
        SYS_epoll_ctl,
        SYS_epoll_pwait,
        SYS_epoll_pwait2,
        SYS_ppoll,
        SYS_pselect6,
        SYS_nanosleep,
        SYS_clock_nanosleep,
        SYS_clock_gettime,
        SYS_clock_getres,
        SYS_gettimeofday,
        SYS_restart_syscall,
        // Memory.
        SYS_mmap,
        SYS_mremap,
        SYS_munmap,
        SYS_mprotect,
        SYS_madvise,
        SYS_brk,
        SYS_membarrier,
        // Threads: not clone3, the flags of which a filter cannot see.
        SYS_clone,
        SYS_futex,
        SYS_set_robust_list,
        SYS_set_tid_address,
        SYS_rseq,
        SYS_sched_yield,
        SYS_sched_getaffinity,
        SYS_prctl,
        SYS_exit,
        SYS_exit_group,
        // Signals.
        SYS_rt_sigaction,
        SYS_rt_sigprocmask,
        SYS_rt_sigreturn,
        SYS_sigaltstack,
        SYS_tgkill,
        // Identity of the process and the system.
        SYS_getpid,
        SYS_gettid,
        SYS_getuid,
        SYS_geteuid,
        SYS_getgid,
        SYS_getegid,
        SYS_getrandom,
        SYS_getrusage,
        SYS_prlimit64,
        SYS_sysinfo,
        SYS_uname,
        SYS_pidfd_open,
        // Permitted here for the second filter, which then refuses it.
        SYS_seccomp,
    ];

    #[cfg(target_arch = "x86_64")]
    const ALLOWED_HERE: &[c_long] = &[
        SYS_open,
        SYS_stat,
        SYS_lstat,
        SYS_access,
        SYS_readlink,
        SYS_unlink,
        SYS_poll,
        SYS_select,
        SYS_epoll_wait,
        SYS_dup2,
        SYS_pipe,
        SYS_time,
        SYS_getrlimit,
    ];
    #[cfg(target_arch = "aarch64")]
    const ALLOWED_HERE: &[c_long] = &[];

    /// The calls that must never succeed, even if the first filter lets them pass.
    const REFUSED: &[c_long] = &[
        // Programs.
        SYS_execve,
        SYS_execveat,
        // Other processes.
        SYS_ptrace,
        SYS_process_vm_readv,
        SYS_process_vm_writev,
        SYS_pidfd_getfd,
        SYS_pidfd_send_signal,
        SYS_kill,
        SYS_tkill,
        SYS_kcmp,
        // Namespaces, mounts, users.
        SYS_setns,
        SYS_unshare,
        SYS_mount,
        SYS_umount2,
        SYS_move_mount,
        SYS_open_tree,
        SYS_fsopen,
        SYS_fsmount,
        SYS_pivot_root,
        SYS_chroot,
        SYS_setuid,
        SYS_setresuid,
        SYS_setgid,
        SYS_setresgid,
        SYS_setgroups,
        SYS_capset,
        SYS_personality,
        // The kernel itself.
        SYS_bpf,
        SYS_perf_event_open,
        SYS_userfaultfd,
        SYS_io_uring_setup,
        SYS_init_module,
        SYS_finit_module,
        SYS_delete_module,
        SYS_kexec_load,
        SYS_reboot,
        SYS_syslog,
        SYS_swapon,
        SYS_settimeofday,
        SYS_clock_settime,
        SYS_keyctl,
        SYS_add_key,
        SYS_request_key,
        SYS_open_by_handle_at,
        SYS_fanotify_init,
        // Files.
        SYS_mkdirat,
        SYS_mknodat,
        SYS_renameat2,
        SYS_linkat,
        SYS_symlinkat,
        SYS_fchmodat,
        SYS_fchownat,
        SYS_truncate,
        SYS_ftruncate,
        SYS_memfd_create,
        // New listeners, and a way round these filters.
        SYS_listen,
        SYS_seccomp,
    ];

    #[cfg(target_arch = "x86_64")]
    const REFUSED_HERE: &[c_long] = &[
        SYS_fork,
        SYS_vfork,
        SYS_creat,
        SYS_mkdir,
        SYS_mknod,
        SYS_rename,
        SYS_link,
        SYS_symlink,
        SYS_chmod,
        SYS_chown,
        SYS_iopl,
        SYS_ioperm,
    ];
    #[cfg(target_arch = "aarch64")]
    const REFUSED_HERE: &[c_long] = &[];

    /// The calls that are permitted only to a process that writes files. `flock` locks a directory that
    /// could not be opened at the start.
    const WRITES: &[c_long] = &[SYS_flock, SYS_fsync, SYS_fdatasync, SYS_renameat];

    /// The commands of bpf(2) that read and empty a map, and list namespaces by a program that was loaded
    /// before: `BPF_MAP_LOOKUP_ELEM`, `BPF_MAP_DELETE_ELEM`, `BPF_MAP_GET_NEXT_KEY`, `BPF_LINK_CREATE` and
    /// `BPF_ITER_CREATE` of linux/bpf.h, permitted only to a process that has such a program.
    const BPF_COMMANDS: [u64; 5] = [1, 3, 4, 28, 33];

    /// The permitted families of sockets. Of AF_NETLINK only rtnetlink is permitted.
    const FAMILIES: [c_int; 4] = [AF_UNIX, AF_INET, AF_INET6, AF_NETLINK];

    /// Non-blocking mode as the standard library sets it, and the request of isatty(3).
    #[allow(clippy::unnecessary_cast, reason = "in musl these are of another type")]
    const IOCTLS: [u64; 4] = [FIONBIO as u64, FIONREAD as u64, TCGETS as u64, TIOCGWINSZ as u64];

    /// A constant of linux/prctl.h, which libc defines for Android alone.
    const PR_GET_AUXV: c_int = 0x41_55_58_56;

    /// The names of threads and of glibc's memory, and the processor's features.
    const PRCTLS: [c_int; 4] = [PR_SET_NAME, PR_GET_NAME, PR_SET_VMA, PR_GET_AUXV];

    /// One comparison of an argument, which is given by its position.
    type Test = (u8, SeccompCmpOp, u64);

    /// Sets both filters for the calling thread and all threads that it starts.
    ///
    /// # Errors
    /// Returns the kernel's error.
    pub(in crate::sandbox) fn restrict(
        removes_files: bool,
        writes_files: bool,
        reads_maps: bool,
    ) -> Result<(), String> {
        let nosys = SeccompAction::Errno(ENOSYS.unsigned_abs());
        let perm = SeccompAction::Errno(EPERM.unsigned_abs());
        let known = compile(allowed(writes_files, reads_maps), nosys, SeccompAction::Allow);
        let refused = refused(removes_files, writes_files, reads_maps)
            .and_then(|refused| compile(refused, SeccompAction::Allow, perm));
        // Both are made before one is set: one filter alone would be a sandbox of neither kind.
        let programs = [known, refused].map(|program| program.map_err(|error| error.to_string()));
        for program in programs.into_iter().collect::<Result<Vec<_>, _>>()? {
            seccompiler::apply_filter(&program).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn compile(
        rules: BTreeMap<i64, Vec<SeccompRule>>,
        otherwise: SeccompAction,
        matched: SeccompAction,
    ) -> Result<BpfProgram, BackendError> {
        SeccompFilter::new(rules, otherwise, matched, std::env::consts::ARCH.try_into()?)?.try_into()
    }

    fn allowed(writes_files: bool, reads_maps: bool) -> BTreeMap<i64, Vec<SeccompRule>> {
        let of_writes: &[c_long] = if writes_files { WRITES } else { &[] };
        let of_maps: &[c_long] = if reads_maps { &[SYS_bpf] } else { &[] };
        let calls = ALLOWED.iter().chain(ALLOWED_HERE).chain(of_writes).chain(of_maps);
        calls.map(|&call| (call, Vec::new())).collect()
    }

    fn refused(
        removes_files: bool,
        writes_files: bool,
        reads_maps: bool,
    ) -> Result<BTreeMap<i64, Vec<SeccompRule>>, BackendError> {
        use SeccompCmpOp::{Eq, MaskedEq, Ne};
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
            REFUSED.iter().chain(REFUSED_HERE).map(|&call| (call, Vec::new())).collect();
        let mut refuse = |call, tests: &[&[Test]]| {
            let alternatives = tests.iter().map(|tests| rule(tests)).collect::<Result<_, _>>()?;
            rules.insert(call, alternatives);
            Ok::<_, BackendError>(())
        };
        let none_of = |argument, values: &[u64]| -> Vec<Test> {
            values.iter().map(|&value| (argument, Ne, value)).collect()
        };
        let word = |value: c_int| u64::from(value.unsigned_abs());
        let bits =
            |argument, mask: c_int, value: c_int| -> Test { (argument, MaskedEq(word(mask)), word(value)) };
        let other_netlink = [(0, Eq, word(AF_NETLINK)), (2, Ne, word(NETLINK_ROUTE))];
        refuse(SYS_socket, &[&none_of(0, &FAMILIES.map(word)), &other_netlink])?;
        refuse(SYS_socketpair, &[&none_of(0, &[word(AF_UNIX)])])?;
        refuse(SYS_ioctl, &[&none_of(1, &IOCTLS)])?;
        refuse(SYS_prctl, &[&none_of(0, &PRCTLS.map(word))])?;
        if reads_maps {
            refuse(SYS_bpf, &[&none_of(0, &BPF_COMMANDS)])?;
        }
        // Limits, signals and memory of this process only.
        refuse(SYS_prlimit64, &[&none_of(0, &[0])])?;
        refuse(SYS_tgkill, &[&none_of(0, &[u64::from(std::process::id())])])?;
        // A new thread of this process in the same namespaces, and no other clone.
        let namespaces = CLONE_NEWNET
            | CLONE_NEWNS
            | CLONE_NEWPID
            | CLONE_NEWUSER
            | CLONE_NEWIPC
            | CLONE_NEWUTS
            | CLONE_NEWCGROUP;
        let each = (0..32).map(|bit| 1 << bit).filter(|bit| namespaces & bit != 0);
        let each: Vec<[Test; 1]> = each.map(|bit| [bits(0, bit, bit)]).collect();
        let process = [bits(0, CLONE_THREAD, 0)];
        let clones: Vec<&[Test]> = each.iter().chain([&process]).map(|tests| tests.as_slice()).collect();
        refuse(SYS_clone, &clones)?;
        // Memory that can be written is not executed.
        let both = [bits(2, PROT_WRITE | PROT_EXEC, PROT_WRITE | PROT_EXEC)];
        refuse(SYS_mmap, &[&both])?;
        refuse(SYS_mprotect, &[&both])?;
        let writes = |flags| {
            [
                [bits(flags, O_ACCMODE, O_WRONLY)],
                [bits(flags, O_ACCMODE, O_RDWR)],
                [bits(flags, O_CREAT, O_CREAT)],
                [bits(flags, O_TRUNC, O_TRUNC)],
            ]
        };
        match writes_files {
            // Only for writing, as the state is; Landlock says where.
            true => refuse(SYS_openat, &[&[bits(2, O_ACCMODE, O_RDWR)]])?,
            false => refuse(SYS_openat, &writes(2).each_ref().map(|tests| tests.as_slice()))?,
        }
        #[cfg(target_arch = "x86_64")]
        refuse(SYS_open, &writes(1).each_ref().map(|tests| tests.as_slice()))?;
        if !removes_files && !writes_files {
            refuse(SYS_unlinkat, &[])?;
            #[cfg(target_arch = "x86_64")]
            refuse(SYS_unlink, &[])?;
        }
        Ok(rules)
    }

    /// Returns a rule that holds if all of these comparisons hold.
    fn rule(tests: &[Test]) -> Result<SeccompRule, BackendError> {
        let conditions = tests.iter().map(|(argument, operator, value)| {
            SeccompCondition::new(*argument, Dword, operator.clone(), *value)
        });
        SeccompRule::new(conditions.collect::<Result<_, _>>()?)
    }
}
