//! Steps: commands in process groups of their own.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::{complain, signals};

/// How long a group has to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(10);

/// How long one command may take: the longest of the tests are the campaign's long sizes.
const LONGEST: Duration = Duration::from_secs(3_600);

/// Runs a command to its end, its standard input empty, and ends what it left in its group. Fails once a signal has come.
pub(super) fn run(command: &mut Command) -> Result<ExitStatus> {
    let begin = Instant::now();
    signals::check()?;
    let mut child = command
        .stdin(Stdio::null())
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {}", name(command)))?;
    let group = Pid::from_raw(i32::try_from(child.id()).context("a process id fits")?);
    signals::set_group(Some(group));
    if signals::interrupted() {
        // The signal came before the group was known. The group may have ended by itself.
        _ = killpg(group, Signal::SIGTERM);
    }
    let mut asked_to_end = None;
    let status = loop {
        if let Some(status) =
            child.try_wait().with_context(|| format!("cannot wait for {}", name(command)))?
        {
            break status;
        }
        let over = begin.elapsed() > LONGEST;
        if over && asked_to_end.is_none() {
            complain(&format!("lab: {} takes longer than an hour: it is ended", name(command)));
            _ = killpg(group, Signal::SIGTERM);
        }
        if (over || signals::interrupted()) && asked_to_end.get_or_insert_with(Instant::now).elapsed() > GRACE
        {
            _ = killpg(group, Signal::SIGKILL);
        }
        sleep(Duration::from_millis(20));
    };
    signals::set_group(None);
    end_group(group);
    signals::check()?;
    Ok(status)
}

/// Runs a command that must succeed.
pub(super) fn succeed(command: &mut Command) -> Result<()> {
    let status = run(command)?;
    if !status.success() {
        bail!("{} failed ({status})", name(command));
    }
    Ok(())
}

/// Runs a command to its end whatever signals come, so that it leaves nothing half done; its output is about the run.
pub(super) fn finish(command: &mut Command) -> Result<()> {
    signals::check()?;
    let command = command.stdin(Stdio::null()).stdout(io::stderr()).process_group(0);
    let status = command.status().with_context(|| format!("cannot start {}", name(command)))?;
    signals::check()?;
    if !status.success() {
        bail!("{} failed ({status})", name(command));
    }
    Ok(())
}

/// Runs a short command that must succeed, past the signals; returns its standard output.
pub(super) fn output(command: &mut Command) -> Result<String> {
    let command = command.stdin(Stdio::null()).process_group(0);
    let output = command.output().with_context(|| format!("cannot start {}", name(command)))?;
    if !output.status.success() {
        bail!(
            "{} failed ({}): {}",
            name(command),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn name(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.take(6).map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Ends what is left in a process group.
fn end_group(group: Pid) {
    if killpg(group, Signal::SIGTERM).is_ok() && !wait_until(GRACE, || killpg(group, None).is_err()) {
        _ = killpg(group, Signal::SIGKILL);
        if !wait_until(Duration::from_secs(5), || killpg(group, None).is_err()) {
            complain(&format!("lab: process group {group} does not end"));
        }
    }
}

/// Ends one process: SIGTERM, and SIGKILL after `grace`.
pub(super) fn end_process(pid: Pid, grace: Duration) {
    let gone = || !is_running(pid);
    if kill(pid, Signal::SIGTERM).is_ok() && !wait_until(grace, gone) {
        _ = kill(pid, Signal::SIGKILL);
        if !wait_until(Duration::from_secs(5), gone) {
            complain(&format!("lab: process {pid} does not end"));
        }
    }
}

/// Returns true for a process that is there and no zombie.
pub(super) fn is_running(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, behind_the_name)| !behind_the_name.starts_with('Z'))
}

/// Looks 20 times a second; returns false if the condition did not hold in time.
pub(super) fn wait_until(within: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let begin = Instant::now();
    while !condition() {
        if begin.elapsed() > within {
            return false;
        }
        sleep(Duration::from_millis(50));
    }
    true
}
