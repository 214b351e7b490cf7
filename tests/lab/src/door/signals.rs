//! SIGINT, SIGTERM and SIGHUP: the first ends the running step, later ones only say that everything is being taken down.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

use anyhow::{Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::complain;

static RECEIVED: AtomicI32 = AtomicI32::new(0);

/// The process group of the running step.
static GROUP: Mutex<Option<Pid>> = Mutex::new(None);

/// Starts to watch for signals.
pub(super) fn watch() {
    let signals = Signals::new([SIGINT, SIGTERM, SIGHUP]);
    let mut signals = match signals {
        Ok(signals) => signals,
        Err(error) => return complain(&format!("lab: cannot watch for signals: {error}")),
    };
    thread::spawn(move || {
        for signal in signals.forever() {
            if RECEIVED.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst).is_err() {
                complain("lab: everything is being taken down already; this takes a minute at most");
                continue;
            }
            if let Some(group) = GROUP.lock().ok().and_then(|group| *group) {
                // The group may have ended by itself.
                _ = killpg(group, Signal::SIGTERM);
            }
        }
    });
}

/// Notes which process group a signal ends; `None` between two steps.
pub(super) fn set_group(group: Option<Pid>) {
    if let Ok(mut current) = GROUP.lock() {
        *current = group;
    }
}

/// Returns true once a signal has come.
pub(super) fn interrupted() -> bool {
    RECEIVED.load(Ordering::SeqCst) != 0
}

/// Returns the shell's exit code for the signal that has come.
pub(super) fn exit_code() -> Option<u8> {
    u8::try_from(RECEIVED.load(Ordering::SeqCst))
        .ok()
        .filter(|signal| *signal != 0)
        .map(|signal| 128 + signal)
}

/// Fails once a signal has come.
pub(super) fn check() -> Result<()> {
    if interrupted() {
        bail!("interrupted by a signal");
    }
    Ok(())
}
