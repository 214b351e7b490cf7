//! `lab`: installs what the tests need, starts the shared engine, runs the tests and takes everything down.

use std::process::ExitCode;

fn main() -> ExitCode {
    lab::door::main()
}
