//! Arguments -> command -> exit code.

use std::process::ExitCode;
use veth_exporter::{cli::Cli, commands};

fn main() -> ExitCode {
    match commands::run(Cli::read()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("veth-exporter: {error:#}");
            ExitCode::FAILURE
        }
    }
}
