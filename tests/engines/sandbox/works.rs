//! That the exporter's work goes on under the sandbox, where files and sockets come after it was set.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use lab::{DockerEngine, Exporter, Netns, empty_folder, needs_engine, wait_for, within_netns};

const LIMIT: Duration = Duration::from_secs(10);

fn errors(exporter: &Exporter) -> Vec<String> {
    let bad = |line: &String| line.contains("level=warn") || line.contains("level=error");
    exporter.log().into_iter().filter(bad).collect()
}

#[test]
fn an_engine_that_comes_later_names_its_containers() {
    needs_engine!();
    let engine = DockerEngine::get();
    let (folder, names) = (empty_folder("s"), empty_folder("n").display().to_string());
    let socket = folder.join("docker.sock");
    let host = format!("unix://{}", socket.display());
    let exporter = Exporter::start(engine.netns(), &["--docker.host", &host, "--path.netns", &names]);
    exporter.wait_for(LIMIT, "the engine is missed", |metrics| {
        metrics.collector_success("docker").filter(|success| !success)
    });
    symlink(engine.socket(), &socket).unwrap();
    let container = engine.run_idle("sandboxed", &[]);
    exporter.wait_for(LIMIT, "its container is named", |metrics| {
        metrics.value(
            "veth_device_up",
            &[("runtime", "docker"), ("container", container.name()), ("interface", "eth0")],
        )
    });
}

/// Passes each connection to a port of this namespace on to the engine, until the test's process ends.
fn proxy(engine: &'static DockerEngine) -> SocketAddr {
    let listener = within_netns(&engine.netns().path(), || TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let pass_on = |mut from: TcpStream| {
        let mut to = UnixStream::connect(engine.socket()).unwrap();
        let (mut back, mut answers) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        // Who has gone away is no error.
        thread::spawn(move || {
            _ = io::copy(&mut answers, &mut back).and_then(|_| back.shutdown(Shutdown::Both))
        });
        thread::spawn(move || _ = io::copy(&mut from, &mut to).and_then(|_| to.shutdown(Shutdown::Both)));
    };
    thread::spawn(move || listener.incoming().flatten().for_each(pass_on));
    address
}

#[test]
fn an_engine_is_reached_by_tcp_under_a_number_and_under_a_name() {
    needs_engine!();
    let engine = DockerEngine::get();
    let container = engine.run_idle("by-tcp", &[]);
    let names = empty_folder("n").display().to_string();
    let address = proxy(engine);
    for host in [format!("tcp://{address}"), format!("tcp://localhost:{}", address.port())] {
        let exporter = Exporter::start(engine.netns(), &["--docker.host", &host, "--path.netns", &names]);
        exporter.wait_for(LIMIT, &host, |metrics| {
            metrics.value("veth_device_up", &[("runtime", "docker"), ("container", container.name())])
        });
        assert_eq!(errors(&exporter), Vec::<String>::new(), "{host}");
    }
}

#[test]
fn a_web_configuration_behind_links_is_read_again_when_the_link_leads_elsewhere() {
    let (host, folder) = (Netns::new("host"), empty_folder("web"));
    // As Kubernetes mounts a secret.
    let put = |version: &str, name: &str| {
        std::fs::create_dir(folder.join(version)).unwrap();
        let text = format!("http_server_config:\n  headers:\n    X-Frame-Options: {name}\n");
        std::fs::write(folder.join(version).join("web.yml"), text).unwrap();
        symlink(version, folder.join("next")).unwrap();
        std::fs::rename(folder.join("next"), folder.join("data")).unwrap();
    };
    put("1", "deny");
    symlink(Path::new("data/web.yml"), folder.join("web.yml")).unwrap();
    let config = folder.join("web.yml").display().to_string();
    // A container of another test would prove that an engine is here.
    let arguments = ["--web.config.file", &config, "--collector.disable", "docker,podman,cri"];
    let exporter = Exporter::start(&host, &arguments);
    let header = || exporter.get("/-/healthy").header("x-frame-options").map(str::to_owned);
    assert_eq!(header().as_deref(), Some("deny"));
    let landlock = exporter.metrics().value("veth_exporter_sandbox_info", &[("landlock", "full")]);
    assert_eq!(landlock, Some(1.0), "the rules for single files are all in force");
    put("2", "sameorigin");
    wait_for(LIMIT, "the new header is sent", || match header() {
        Some(now) if now == "sameorigin" => Ok(()),
        other => Err(format!("{other:?}\n{}", exporter.log().join("\n"))),
    });
    assert_eq!(errors(&exporter), Vec::<String>::new());
}

#[test]
fn a_folder_of_names_that_comes_later_is_read() {
    let (host, web, folder) = (Netns::new("host"), Netns::new("web"), empty_folder("run"));
    host.veth("veth-web", &web, "eth0");
    let names = folder.join("netns");
    std::fs::create_dir(&names).unwrap();
    let path = names.display().to_string();
    let exporter = Exporter::start(&host, &["--path.netns", &path]);
    exporter.wait_ready();
    let name = names.join("web");
    std::fs::write(&name, "").unwrap();
    let bind = nix::mount::MsFlags::MS_BIND;
    nix::mount::mount(Some(&web.path()), &name, None::<&str>, bind, None::<&str>).unwrap();
    let named = exporter.wait_for(LIMIT, "the namespace is named", |metrics| {
        metrics.value("veth_device_up", &[("runtime", "named"), ("container", "web")])
    });
    nix::mount::umount(&name).unwrap();
    assert_eq!(named, 1.0);
}
