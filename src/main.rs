//! Arguments -> command -> exit code.

use std::process::ExitCode;
use veth_exporter::{cli::Cli, commands};

fn main() -> ExitCode {
    commands::run(Cli::read())
}
