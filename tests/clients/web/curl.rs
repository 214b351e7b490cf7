//! curl, as a user of the exporter has it.

use std::net::SocketAddr;

use super::Host;

/// What came of it.
#[derive(Debug)]
pub(super) struct Answer {
    /// The exit code; 0 if there was an answer, whatever its status.
    pub code: i32,
    /// 0 if there was none.
    pub status: u16,
    /// `1.1` or `2`.
    pub version: String,
    /// All headers, in lower case.
    pub head: String,
    pub body: String,
    pub error: String,
}

/// Asks for an URL, with these further arguments.
pub(super) fn curl(host: &Host, url: &str, arguments: &[&str]) -> Answer {
    let mut command = host.netns.command("curl");
    command.current_dir(&host.files).args([
        "-sS",
        "-m",
        "20",
        "-D",
        "/dev/stderr",
        "-w",
        "\n%{http_code} %{http_version}",
    ]);
    let output = command.args(arguments).arg(url).output().unwrap();
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, last) = out.rsplit_once('\n').unwrap_or_else(|| panic!("{output:?}"));
    let (status, version) = last.split_once(' ').unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    Answer {
        code: output.status.code().unwrap(),
        status: status.parse().unwrap(),
        version: version.to_owned(),
        head: error.to_lowercase(),
        body: body.to_owned(),
        error,
    }
}

/// The URL of a path over TLS, by the name that certificates have.
pub(super) fn https(address: SocketAddr, path: &str) -> String {
    format!("https://localhost:{}{path}", address.port())
}
