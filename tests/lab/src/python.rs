//! References that are written in Python: the scripts of tests/python, with the packages that `tests/run` has installed.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use super::{checkout, folder};

/// Runs a script of tests/python with this on its standard input.
pub fn python(script: &str, arguments: &[&str], input: &[u8]) -> Output {
    let packages = folder().join("python");
    assert!(
        packages.join("prometheus_client").exists() && packages.join("jsonschema").exists(),
        "the Python packages are not in {}: tests/run installs them",
        packages.display()
    );
    let script = checkout().join("tests/python").join(script);
    let mut command = Command::new("python3");
    command.arg("-B").arg(script).args(arguments).env("PYTHONPATH", packages);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("python3");
    let mut pipe = child.stdin.take().expect("a pipe");
    std::thread::scope(|scope| {
        // A script that ends early does not read all: what it says is what counts.
        scope.spawn(move || drop(pipe.write_all(input)));
        child.wait_with_output().expect("it ends")
    })
}
