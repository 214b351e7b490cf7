//! The door to the tests: the commands of the program `lab`, which `tests/run` starts.
//!
//! A command's steps run in process groups of their own, so that a signal ends the step and then takes everything down.

mod arguments;
mod campaign;
mod command;
mod down;
mod needs;
mod outcomes;
mod packages;
mod references;
mod signals;
mod suite;
mod up;

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser as _;

use arguments::{Arguments, Task};

/// Runs the program `lab` with the arguments of this process.
pub fn main() -> ExitCode {
    signals::watch();
    let code = match run(Arguments::parse().task) {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("lab: {error:#}"));
            1
        }
    };
    ExitCode::from(signals::exit_code().unwrap_or(code))
}

fn run(task: Task) -> Result<u8> {
    match task {
        Task::Needs { install, recipes } => needs::check(&recipes, install),
        Task::Up => up::up(),
        Task::Down { folder } => down::down(&folder),
        Task::Test(selection) => suite::run(&selection),
    }
}

/// Prints a line of the run. A reader that has gone is no reason to stop: everything still has to be taken down.
fn say(line: &str) {
    _ = writeln!(io::stdout(), "{line}");
}

/// Prints a line about the run itself; see [`say`].
fn complain(line: &str) {
    _ = writeln!(io::stderr(), "{line}");
}

/// Announces a step. It goes to the standard error: the output of `lab up` is for `eval`.
fn section(title: &str) {
    complain(&format!("\n== {title}"));
}
