//! Several addresses, IPv6, and unix sockets.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::Host;
use super::curl::curl;
use lab::{Exporter, describe, succeed, wait_for};

fn socket(host: &Host) -> (PathBuf, String) {
    let path = host.files.join("s");
    let address = format!("unix:{}", path.display());
    (path, address)
}

fn ask(host: &Host, path: &str, page: &str) -> u16 {
    curl(host, &format!("http://localhost{page}"), &["--unix-socket", path]).status
}

/// Another one that tries to start on the same socket.
fn refusal(host: &Host, address: &str) -> String {
    let [flag, path] = host.names.arguments();
    let mut command = Exporter::command(&host.netns, &[flag, path, "--web.listen-address", address]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", describe(&output));
    describe(&output)
}

#[test]
fn it_serves_on_each_of_several_addresses() {
    let host = Host::new();
    let (_, address) = socket(&host);
    let exporter = host.exporter(&["--web.listen-address", "[::1]:0", "--web.listen-address", &address]);
    let addresses = wait_for(Duration::from_secs(5), "three listeners", || {
        let log = exporter.log();
        let said = log.iter().filter(|line| line.contains("msg=listening"));
        let said: Vec<String> = said
            .filter_map(|line| Some(line.split_once("address=")?.1.split(' ').next()?.to_owned()))
            .collect();
        if said.len() == 3 { Ok(said) } else { Err(log.join("\n")) }
    });
    assert!(addresses[0].starts_with("127.0.0.1:") && addresses[1].starts_with("[::1]:"), "{addresses:?}");
    for address in &addresses[..2] {
        let answer = curl(&host, &format!("http://{address}/metrics"), &[]);
        assert!(
            answer.status == 200 && answer.body.contains("veth_exporter_build_info{"),
            "{address}: {answer:?}"
        );
    }
    assert_eq!(ask(&host, addresses[2].strip_prefix("unix:").unwrap(), "/metrics"), 200);
}

#[test]
fn a_unix_socket_is_for_owner_and_group_and_goes_with_the_exporter() {
    let host = Host::new();
    let (path, address) = socket(&host);
    let mut exporter = host.exporter(&["--web.listen-address", &address]);
    let seen = std::fs::symlink_metadata(&path).unwrap();
    assert!(seen.file_type().is_socket());
    assert_eq!(seen.permissions().mode() & 0o777, 0o660);
    assert_eq!(ask(&host, path.to_str().unwrap(), "/metrics"), 200);
    assert!(refusal(&host, &address).contains("in use"), "who answers is not driven away");
    assert_eq!(ask(&host, path.to_str().unwrap(), "/-/healthy"), 200);
    assert_eq!(exporter.stop().code(), Some(0));
    assert!(!path.exists(), "the socket's file stays");
}

#[test]
fn what_a_killed_exporter_left_behind_is_replaced() {
    let host = Host::new();
    let (path, address) = socket(&host);
    let mut exporter = host.exporter(&["--web.listen-address", &address]);
    exporter.process().signal(Signal::SIGKILL);
    wait_for(Duration::from_secs(5), "it has ended", || exporter.process().ended().ok_or("it runs"));
    assert!(path.exists());
    let _next = host.exporter(&["--web.listen-address", &address]);
    assert_eq!(ask(&host, path.to_str().unwrap(), "/metrics"), 200);
}

#[test]
fn a_socket_whose_owner_accepts_nobody_is_in_use() {
    let host = Host::new();
    let (path, address) = socket(&host);
    let busy = UnixListener::bind(&path).unwrap();
    rustix::net::listen(&busy, 0).unwrap();
    let _waiting = UnixStream::connect(&path).unwrap();
    let said = refusal(&host, &address);
    assert!(said.contains("address already in use (is another veth-exporter running?"), "{said}");
}

#[test]
fn a_port_alone_is_for_ipv4_too_where_ipv6_sockets_are_for_ipv6_only() {
    let host = Host::new();
    succeed(host.netns.command("sysctl").args(["-qw", "net.ipv6.bindv6only=1"]));
    let exporter = host.exporter(&["--web.listen-address", ":10736"]);
    exporter.wait_ready();
    for address in ["127.0.0.1", "[::1]"] {
        let answer = curl(&host, &format!("http://{address}:10736/metrics"), &[]);
        assert_eq!(answer.status, 200, "{address}: {answer:?}");
    }
}

#[test]
fn a_file_that_is_no_socket_and_one_that_somebody_has_put_there_since_are_left_alone() {
    let host = Host::new();
    let (path, address) = socket(&host);
    std::fs::write(&path, "precious").unwrap();
    assert!(refusal(&host, &address).contains("no socket"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    std::fs::remove_file(&path).unwrap();

    let mut exporter = host.exporter(&["--web.listen-address", &address]);
    std::fs::remove_file(&path).unwrap();
    // Kept open, so that its inode is not the one that was just freed.
    let old = std::fs::File::create(host.files.join("keeps-the-inode")).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    let inode = std::fs::symlink_metadata(&path).unwrap().ino();
    drop(old);
    exporter.stop();
    assert_eq!(std::fs::symlink_metadata(&path).unwrap().ino(), inode);
}

#[test]
fn a_path_that_cannot_be_a_socket_is_named_in_one_line() {
    let host = Host::new();
    for path in ["/nonexistent/folder/s".to_owned(), format!("/tmp/{}", "x".repeat(120))] {
        assert!(refusal(&host, &format!("unix:{path}")).contains(&format!("cannot listen on unix:{path}")));
    }
}
