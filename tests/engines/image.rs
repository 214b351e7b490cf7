//! Dockerfile: its final stage around the static binary, built and run by a real engine as docs/install.md says.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use lab::{
    DockerEngine, Exposition, Netns, Response, checkout, describe, empty_folder, http_get, needs_engine,
    static_binary, succeed, unique_name, wait_for,
};
use serde_json::Value;

const MIB: u64 = 1 << 20;

/// The image in the engine that all tests share, and that goes with it.
struct Image {
    engine: &'static DockerEngine,
    name: String,
}

impl Image {
    fn get() -> &'static Image {
        static IMAGE: OnceLock<Image> = OnceLock::new();
        IMAGE.get_or_init(Image::build)
    }

    /// The final stage around the static binary. The classic builder, because BuildKit is a plugin that may be missing.
    fn build() -> Image {
        let engine = DockerEngine::get();
        let context = empty_folder("image");
        fs::copy(static_binary(), context.join("veth-exporter")).unwrap();
        let image = Image { engine, name: unique_name("veth-exporter") };
        let mut build = Command::new("docker");
        build.env("DOCKER_BUILDKIT", "0").args(["-H", engine.host(), "build", "-q", "--target", "prebuilt"]);
        build.args(["-t", &image.name, "-f"]).arg(checkout().join("Dockerfile")).arg(&context);
        succeed(&mut build);
        image
    }

    fn inspect(&self) -> Value {
        let text = self.engine.docker(&["image", "inspect", &self.name]);
        serde_json::from_str::<Value>(&text).unwrap()[0].take()
    }

    /// `docker run` as docs/install.md has it, but for this engine's socket and folder, and a health check that does not take
    /// half a minute.
    fn run(&self, more: &[&str]) -> Running<'_> {
        let documented = documented_run();
        let socket = format!("{}:/var/run/docker.sock", self.engine.socket().display());
        let folder = self.engine.socket().with_file_name("exec/netns").display().to_string();
        // Below /run a mount is shared where systemd runs; the lab's engine has its folder elsewhere, on a private one.
        let own_netns = format!("{folder}:{folder}:ro");
        let words = documented.iter().map(|word| match word.as_str() {
            "/var/run/docker.sock:/var/run/docker.sock" => socket.as_str(),
            "/var/run/docker/netns:/var/run/docker/netns:ro,rslave" => own_netns.as_str(),
            "unless-stopped" => "no",
            word => word,
        });
        let mut words: Vec<&str> = words.collect();
        assert_eq!(words.pop(), Some("veth-exporter"), "{documented:?}");
        assert_eq!(words[..2], ["docker", "run"], "{documented:?}");
        let name = words.iter().position(|word| *word == "--name").unwrap() + 1;
        let running = Running { image: self, name: unique_name("exporter") };
        words[name] = &running.name;
        // The network namespace of the lab's engine stands for the host's.
        let own = ["--health-interval", "1s", "--env", "VETH_EXPORTER_NETNS_OWN=true"];
        self.engine.docker(&[&words[1..], &own, more, &[&self.name]].concat());
        running
    }
}

/// A container of the image, removed by force when this goes.
struct Running<'a> {
    image: &'a Image,
    name: String,
}

impl Running<'_> {
    fn docker(&self, arguments: &[&str]) -> String {
        self.image.engine.docker(arguments)
    }

    fn log(&self) -> String {
        describe(&self.image.engine.try_docker(&["logs", &self.name]))
    }

    fn wait_for_health(&self, wanted: &str) {
        wait_for(Duration::from_secs(20), &format!("the health check says {wanted}"), || {
            let state = self.docker(&["inspect", "-f", "{{json .State}}", &self.name]);
            if state.contains(&format!(r#""Health":{{"Status":"{wanted}""#)) {
                Ok(())
            } else {
                Err(format!("{state}\n{}", self.log()))
            }
        });
    }

    fn get(&self, path: &str) -> Result<Response, String> {
        let address: SocketAddr = "127.0.0.1:10736".parse().unwrap();
        http_get(&self.image.engine.netns().path(), address, path)
    }

    fn wait_for<T>(&self, what: &str, find: impl Fn(&Exposition) -> Option<T>) -> T {
        wait_for(Duration::from_secs(10), what, || {
            let answer = self.get("/metrics").map_err(|error| format!("{error}\n{}", self.log()))?;
            find(&Exposition::parse(answer.text())?).ok_or_else(|| answer.text().to_owned())
        })
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let removed = self.image.engine.try_docker(&["rm", "-f", &self.name]);
        if !removed.status.success() {
            eprintln!("the container {} stays: {}", self.name, describe(&removed));
        }
    }
}

/// The words of the command in docs/install.md that runs the image.
fn documented_run() -> Vec<String> {
    let text = fs::read_to_string(checkout().join("docs/install.md")).unwrap();
    let begin = text.find("docker run -d").unwrap_or_else(|| panic!("no docker run in docs/install.md"));
    let command = text[begin..].split("```").next().unwrap().replace("\\\n", " ");
    command.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_image_runs_as_documented_names_containers_and_new_namespaces_and_gets_healthy() {
    needs_engine!();
    let image = Image::get();
    let container = image.engine.run_idle("web", &[]);
    let exporter = image.run(&[]);
    exporter.wait_for("the container is named", |metrics| {
        let labels = [("runtime", "docker"), ("container", container.name()), ("interface", "eth0")];
        metrics.value("veth_container_receive_bytes_total", &labels)
    });
    // Made after the container was started: it must come through the mount.
    let (host, late) = (image.engine.netns(), Netns::quiet("late"));
    let device = "veth-late";
    host.veth(device, &late, "eth0");
    exporter.wait_for("a named namespace that is younger than the exporter", |metrics| {
        metrics.value("veth_device_up", &[("device", device), ("container", late.name())])
    });
    host.ip(["link", "del", device]);
    exporter.wait_for_health("healthy");
    let log = exporter.log();
    assert!(!log.contains("level=warn") && !log.contains("level=error"), "{log}");
}

#[test]
fn the_health_check_follows_the_port_in_the_environment_and_fails_where_nobody_serves() {
    needs_engine!();
    let image = Image::get();
    let moved = image.run(&["-e", "VETH_EXPORTER_WEB_LISTEN_ADDRESS=127.0.0.1:10799"]);
    moved.wait_for_health("healthy");
    let elsewhere = ["exec", "-e", "VETH_EXPORTER_WEB_LISTEN_ADDRESS=127.0.0.1:9", &moved.name];
    let output = image.engine.try_docker(&[&elsewhere[..], &["/veth-exporter", "healthy"]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", describe(&output));
    assert!(describe(&output).contains("no exporter at 127.0.0.1:9: Connection refused"), "{output:?}");
}

#[test]
fn the_image_is_small_has_nothing_but_the_binary_and_says_what_it_is() {
    needs_engine!();
    let image = Image::get();
    let told = image.inspect();
    let size = told["Size"].as_u64().unwrap();
    println!("image: {size} bytes, static binary: {} bytes", fs::metadata(static_binary()).unwrap().len());
    assert!(size <= 15 * MIB, "the image has {size} bytes");
    let config = &told["Config"];
    assert_eq!(config["Entrypoint"], serde_json::json!(["/veth-exporter"]), "{config:#}");
    assert_eq!(config["Healthcheck"]["Test"], serde_json::json!(["CMD", "/veth-exporter", "healthy"]));
    let label = |name: &str| config["Labels"][format!("org.opencontainers.image.{name}")].clone();
    assert_eq!(label("version"), env!("CARGO_PKG_VERSION"), "ARG VERSION in the Dockerfile");
    assert_eq!(label("description"), env!("CARGO_PKG_DESCRIPTION"));
    assert_eq!(label("licenses"), env!("CARGO_PKG_LICENSE"));
    let layers = told["RootFS"]["Layers"].as_array().unwrap().len();
    assert_eq!(layers, 1, "one layer, that of the binary: {told:#}");
    let output = image.engine.try_docker(&["run", "--rm", &image.name, "--version"]);
    let version = format!("veth-exporter {}", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), version, "{}", describe(&output));
}

#[test]
fn the_static_binary_needs_no_library_and_is_within_its_budget() {
    let binary = static_binary();
    let size = fs::metadata(binary).unwrap().len();
    assert!(size <= 13_600_000, "{size} bytes");
    let linked = Command::new("ldd").env("LC_ALL", "C").arg(binary).output().unwrap();
    assert!(describe(&linked).contains("statically linked"), "{}", describe(&linked));
}
