//! A real containerd with its CRI plugin and CNI's bridge: Kubernetes' pods without Kubernetes.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use prost::Message;
use serde_json::Value;
use tokio::runtime::Runtime;
use veth_exporter::testing::runtimes::cri::messages::{
    ContainerMetadata, ImageSpec, ListContainersRequest, ListPodSandboxRequest, NAMESPACE_NODE,
    NamespaceOption, PodSandbox, PodSandboxMetadata, PodSandboxStatusRequest, SANDBOX_READY, VersionRequest,
};
use veth_exporter::testing::runtimes::cri::{CriConnection, CriEndpoint, Question};

use super::{
    DockerEngine, Exporter, Interface, Netns, Process, empty_folder, folder, forget, record, succeed,
    unique_name, wait_for,
};

/// The image of sandboxes and containers alike: the lab's busybox with a command that waits.
const IMAGE: &str = "localhost/pause:1";

/// For one question: a pod's start is one.
const PATIENCE: Duration = Duration::from_secs(60);

/// A containerd in a network namespace of its own, which is the host's for it.
pub struct Containerd {
    root: PathBuf,
    netns: Netns,
    /// Whoever stops and starts it has pods that borrow it.
    process: Mutex<Process>,
    client: Runtime,
}

impl Containerd {
    /// The one that the tests of a target share. `tests/run` takes it down.
    pub fn get() -> &'static Containerd {
        static SHARED: OnceLock<Containerd> = OnceLock::new();
        SHARED.get_or_init(Containerd::start)
    }

    /// One that a test may stop and start.
    pub fn start() -> Containerd {
        Containerd::start_with("")
    }

    /// The same with the names of its namespaces in its own folder: those of interrupted starts, which nobody removes,
    /// go with it.
    pub fn start_with_names_of_its_own() -> Containerd {
        Containerd::start_with("netns_mounts_under_state_dir = true\n")
    }

    fn start_with(cri: &str) -> Containerd {
        let root = empty_folder("c");
        let netns = Netns::quiet("cri");
        std::fs::write(root.join("config.toml"), configuration(&root, cri)).expect("its configuration");
        std::fs::create_dir(root.join("cni")).expect("a folder for CNI");
        std::fs::write(root.join("cni/10-lab.conflist"), network(&root)).expect("CNI's configuration");
        let process = Mutex::new(spawn(&root, &netns));
        let client = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let containerd = Containerd { root, netns, process, client: client.expect("a runtime") };
        containerd.wait_until_it_answers();
        let archive = image().display().to_string();
        let socket = containerd.socket().display().to_string();
        let mut import = vec!["-a", &socket, "-n", "k8s.io", "images", "import", "--snapshotter", "native"];
        if succeed(Command::new("ctr").args(["images", "import", "--help"])).contains("--local") {
            // containerd 2 would import by a service that knows no such snapshotter.
            import.push("--local");
        }
        succeed(Command::new("ctr").args(import).arg(&archive));
        containerd
    }

    /// The network namespace that its bridge is in.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.root.join("containerd.sock")
    }

    /// An exporter in its network namespace that asks it, blind to all other names, once it has answered.
    pub fn exporter(&self, more: &[&str]) -> Exporter {
        self.exporter_with_names(&empty_folder("n"), more)
    }

    /// The same with the names of namespaces in this folder.
    pub fn exporter_with_names(&self, names: &Path, more: &[&str]) -> Exporter {
        let (endpoint, names) = (self.socket().display().to_string(), names.display().to_string());
        let nobody = format!("unix://{}/nobody", self.root.display());
        let own = ["--cri.endpoint", &endpoint, "--path.netns", &names, "--docker.host", &nobody];
        let exporter = Exporter::start(&self.netns, &[&own, more].concat());
        exporter.wait_ready();
        exporter.wait_for(Duration::from_secs(10), "the CRI server has answered", |metrics| {
            metrics.collector_success("cri").filter(|success| *success)
        });
        exporter
    }

    /// Stops it in good order; its pods live on.
    pub fn stop(&self) {
        self.process().terminate(Duration::from_secs(30));
    }

    /// Kills it (SIGKILL); its pods live on.
    pub fn kill(&self) {
        self.process().kill();
    }

    /// Starts it again.
    pub fn restart(&self) {
        *self.process() = spawn(&self.root, &self.netns);
        self.wait_until_it_answers();
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a pod without IPv6 whose containers only wait.
    pub fn run<'a>(&'a self, namespace: &str, name: &str, containers: &[&str]) -> Pod<'a> {
        let off = ["all", "default"].map(|links| format!("net.ipv6.conf.{links}.disable_ipv6"));
        let linux = LinuxPodSandboxConfig {
            sysctls: off.into_iter().map(|setting| (setting, "1".to_owned())).collect(),
            security_context: None,
        };
        let (mut pod, config) = self.run_sandbox(namespace, name, linux);
        let info = pod.info();
        let namespaces = info["runtimeSpec"]["linux"]["namespaces"].as_array().expect("its namespaces");
        let netns = namespaces.iter().find(|namespace| namespace["type"] == "network");
        let netns = netns.and_then(|netns| netns["path"].as_str()).expect("the file of its netns");
        let netns = netns.rsplit('/').next().unwrap_or_default().to_owned();
        record("netns", &netns, "");
        pod.netns = Some(netns);
        for name in containers {
            pod.start_container(&config, name);
        }
        pod
    }

    /// Begins a pod without containers; what becomes of it is seen in [`Containerd::pods`].
    ///
    /// # Errors
    /// If containerd cannot be asked, or is gone before it has answered.
    pub fn try_run(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<(), veth_exporter::testing::runtimes::cri::Error> {
        let config = sandbox(namespace, name, LinuxPodSandboxConfig::default());
        self.try_to_ask(RunPodSandboxRequest { config: Some(config) }).map(|_| ())
    }

    /// The names of the pods that are ready, and of all.
    pub fn pods(&self) -> [BTreeSet<String>; 2] {
        let all = self.ask(ListPodSandboxRequest::default()).items;
        let name = |pod: &PodSandbox| pod.metadata.clone().unwrap_or_default().name;
        [
            all.iter().filter(|pod| pod.state == SANDBOX_READY).map(name).collect(),
            all.iter().map(name).collect(),
        ]
    }

    /// Removes all pods, and the namespaces that it has forgotten.
    pub fn remove_pods(&self) {
        for pod in self.ask(ListPodSandboxRequest::default()).items {
            self.ask(StopPodSandboxRequest { pod_sandbox_id: pod.id.clone() });
            self.ask(RemovePodSandboxRequest { pod_sandbox_id: pod.id });
        }
        // What was killed between making a name's file and mounting on it leaves a file that is no mount.
        crate::unmount_below(&self.root.join("state/io.containerd.grpc.v1.cri/netns"));
    }

    /// Runs a pod without containers on the host's network.
    pub fn run_on_host<'a>(&'a self, namespace: &str, name: &str) -> Pod<'a> {
        let options = Some(NamespaceOption { network: NAMESPACE_NODE });
        let security_context = Some(LinuxSandboxSecurityContext { namespace_options: options });
        self.run_sandbox(namespace, name, LinuxPodSandboxConfig { sysctls: HashMap::new(), security_context })
            .0
    }

    fn run_sandbox<'a>(
        &'a self,
        namespace: &str,
        name: &str,
        linux: LinuxPodSandboxConfig,
    ) -> (Pod<'a>, PodSandboxConfig) {
        let config = sandbox(namespace, name, linux);
        let id = self.ask(RunPodSandboxRequest { config: Some(config.clone()) }).pod_sandbox_id;
        let pod =
            Pod { engine: self, id, namespace: namespace.to_owned(), name: name.to_owned(), netns: None };
        (pod, config)
    }

    fn ask<Q: Question>(&self, question: Q) -> Q::Answer {
        self.try_to_ask(question).unwrap_or_else(|error| panic!("{}: {error}", Q::METHOD))
    }

    fn try_to_ask<Q: Question>(
        &self,
        question: Q,
    ) -> Result<Q::Answer, veth_exporter::testing::runtimes::cri::Error> {
        let endpoint: CriEndpoint = self.socket().display().to_string().parse().expect("a path");
        self.client
            .block_on(async { CriConnection::open(&endpoint, PATIENCE).await?.ask(question, PATIENCE).await })
    }

    fn wait_until_it_answers(&self) {
        wait_for(Duration::from_secs(60), "the test's own containerd answers by CRI", || {
            // One at a time: each holds the lock until its statement ends.
            let ended = self.process().ended();
            let log = self.process().log().join("\n");
            assert!(ended.is_none(), "containerd has ended instead ({ended:?}):\n{log}");
            self.try_to_ask(VersionRequest::default()).map_err(|error| format!("{error}\n{log}"))
        });
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return; // `tests/run` ends whatever is left
        }
        if self.process().ended().is_none() {
            self.stop();
        }
        std::fs::remove_dir_all(&self.root)
            .unwrap_or_else(|error| eprintln!("{}: {error}", self.root.display()));
    }
}

/// A pod. It is stopped and removed when this goes.
pub struct Pod<'a> {
    engine: &'a Containerd,
    id: String,
    namespace: String,
    name: String,
    netns: Option<String>,
}

impl Pod<'_> {
    /// The id of its sandbox.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The name of its network namespace in /run/netns.
    pub fn netns(&self) -> &str {
        self.netns.as_deref().expect("a namespace of its own")
    }

    /// The process that holds its network namespace.
    pub fn pid(&self) -> u32 {
        let pid = self.info()["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
        pid.unwrap_or_else(|| panic!("{} has no process", self.name))
    }

    /// Its interface.
    pub fn interface(&self) -> Interface {
        let labels =
            [("runtime", "cri"), ("container", ""), ("namespace", &self.namespace), ("pod", &self.name)];
        Interface::of(&labels, "eth0", self.pid())
    }

    /// Its address on the bridge.
    pub fn address(&self) -> IpAddr {
        let pid = self.pid().to_string();
        let said = succeed(
            Command::new("nsenter").args(["-n", "-t", &pid, "ip", "-j", "-4", "address", "show", "eth0"]),
        );
        let said: Value = serde_json::from_str(&said).expect("JSON from ip");
        said[0]["addr_info"][0]["local"].as_str().and_then(|text| text.parse().ok()).expect("an address")
    }

    /// The index of its eth0, inside, and of the peer on the host.
    pub fn ifindexes(&self) -> (u64, u64) {
        let pid = self.pid().to_string();
        let said =
            succeed(Command::new("nsenter").args(["-n", "-t", &pid, "ip", "-j", "link", "show", "eth0"]));
        let said: Value = serde_json::from_str(&said).expect("JSON from ip");
        let index = |key: &str| said[0][key].as_u64().expect("an index");
        (index("ifindex"), index("link_index"))
    }

    /// The name of the host's end of its eth0, as `ip` tells it.
    pub fn host_device(&self) -> String {
        let (_, peer) = self.ifindexes();
        let links = self.engine.netns.ip_json(["link", "show", "type", "veth"]);
        let found = links.as_array().and_then(|links| links.iter().find(|link| link["ifindex"] == peer));
        found
            .and_then(|link| link["ifname"].as_str())
            .unwrap_or_else(|| panic!("{peer} in {links:#}"))
            .to_owned()
    }

    /// What PodSandboxStatus tells under `info`.
    fn info(&self) -> Value {
        let question = PodSandboxStatusRequest { pod_sandbox_id: self.id.clone(), verbose: true };
        let answer = self.engine.ask(question);
        serde_json::from_str(&answer.info["info"]).expect("JSON under info")
    }

    /// Starts a container again as kubelet does: a new one with the next number, after the end of the one before, which is removed.
    pub fn start_again(&self, name: &str, attempt: u32) {
        let before = self.engine.ask(ListContainersRequest {}).containers.into_iter().find(|container| {
            container.pod_sandbox_id == self.id
                && container.metadata.as_ref().is_some_and(|metadata| metadata.name == name)
        });
        let before = before.expect("the container before").id;
        self.engine.ask(StopContainerRequest { container_id: before.clone(), timeout: 0 });
        self.start_attempt(
            &sandbox(&self.namespace, &self.name, LinuxPodSandboxConfig::default()),
            name,
            attempt,
        );
        self.engine.ask(RemoveContainerRequest { container_id: before });
    }

    fn start_container(&self, sandbox: &PodSandboxConfig, name: &str) {
        self.start_attempt(sandbox, name, 0);
    }

    fn start_attempt(&self, sandbox: &PodSandboxConfig, name: &str, attempt: u32) {
        let config = ContainerConfig {
            metadata: Some(ContainerMetadata { name: name.to_owned(), attempt }),
            image: Some(ImageSpec { image: IMAGE.to_owned(), ..ImageSpec::default() }),
        };
        let container_id = self
            .engine
            .ask(CreateContainerRequest {
                pod_sandbox_id: self.id.clone(),
                config: Some(config),
                sandbox_config: Some(sandbox.clone()),
            })
            .container_id;
        self.engine.ask(StartContainerRequest { container_id });
    }
}

impl Drop for Pod<'_> {
    fn drop(&mut self) {
        let pod_sandbox_id = self.id.clone();
        let stopped =
            self.engine.try_to_ask(StopPodSandboxRequest { pod_sandbox_id: pod_sandbox_id.clone() });
        let removed =
            stopped.and_then(|_| self.engine.try_to_ask(RemovePodSandboxRequest { pod_sandbox_id }));
        match removed {
            Ok(_) => self.netns.iter().for_each(|netns| forget("netns", netns)),
            Err(error) => eprintln!("the pod {}/{} stays: {error}", self.namespace, self.name),
        }
    }
}

fn sandbox(namespace: &str, name: &str, linux: LinuxPodSandboxConfig) -> PodSandboxConfig {
    let metadata = PodSandboxMetadata {
        name: name.to_owned(),
        namespace: namespace.to_owned(),
        uid: unique_name("uid"),
        attempt: 0,
    };
    PodSandboxConfig {
        metadata: Some(metadata),
        labels: [("app".to_owned(), name.to_owned())].into(),
        linux: Some(linux),
    }
}

/// Without restrict_oom_score_adj runc cannot start anything where root may not lower the score.
fn configuration(root: &Path, cri: &str) -> String {
    let runtime = root.join("runc");
    let root = root.display();
    let runtime = if write_runc_without_shares(&runtime) {
        format!(
            "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\n\
             runtime_type = \"io.containerd.runc.v2\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\n\
             BinaryName = \"{}\"\n",
            runtime.display()
        )
    } else {
        String::new()
    };
    format!(
        "version = 2\n\
         root = \"{root}/root\"\n\
         state = \"{root}/state\"\n\
         [grpc]\n\
         address = \"{root}/containerd.sock\"\n\
         [plugins.\"io.containerd.grpc.v1.cri\"]\n\
         sandbox_image = \"{IMAGE}\"\n\
         restrict_oom_score_adj = true\n\
         {cri}\
         [plugins.\"io.containerd.grpc.v1.cri\".cni]\n\
         bin_dir = \"/usr/lib/cni\"\n\
         conf_dir = \"{root}/cni\"\n\
         [plugins.\"io.containerd.grpc.v1.cri\".containerd]\n\
         snapshotter = \"native\"\n\
         {runtime}"
    )
}

/// containerd gives each sandbox a share of the processor, and runc refuses that where cgroup2 has no controller for it, because
/// version 1 has it. There, writes a runc to this path that leaves the share out.
fn write_runc_without_shares(path: &Path) -> bool {
    let controllers = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers");
    let has_cpu =
        controllers.map_or(true, |all| all.split_whitespace().any(|controller| controller == "cpu"));
    if has_cpu {
        return false;
    }
    const RUNC: &str = "#!/bin/sh\n\
        for word; do\n\
        [ \"$before\" != --bundle ] || sed -i 's/\"shares\":[0-9]*,\\{0,1\\}//' \"$word/config.json\"\n\
        before=$word\n\
        done\n\
        exec runc \"$@\"\n";
    std::fs::write(path, RUNC).expect("a script in its folder");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("a script that may run");
    true
}

/// The network has a name of its own: host-local and libcni keep what they know by that.
fn network(root: &Path) -> String {
    serde_json::json!({
        "cniVersion": "0.4.0",
        "name": unique_name("lab"),
        "plugins": [{
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": true,
            "ipam": {
                "type": "host-local",
                "dataDir": root.join("ipam"),
                "ranges": [[{ "subnet": "10.87.0.0/16" }]],
            },
        }],
    })
    .to_string()
}

/// The archive of the image, which Docker makes from the lab's busybox.
fn image() -> PathBuf {
    let docker = DockerEngine::get();
    let (busybox, archive) = (folder().join("busybox.tar"), folder().join(unique_name("pause.tar")));
    let entrypoint = "ENTRYPOINT [\"/bin/sleep\",\"1000000\"]";
    docker.docker(&["import", "--change", entrypoint, &busybox.display().to_string(), IMAGE]);
    docker.docker(&["save", "-o", &archive.display().to_string(), IMAGE]);
    archive
}

fn spawn(root: &Path, netns: &Netns) -> Process {
    let mut command = netns.command("containerd");
    command.args(["--config", &root.join("config.toml").display().to_string(), "--log-level", "warn"]);
    Process::start_apart("containerd", &mut command)
}

/// What makes a pod of the messages, where the exporter only looks.
macro_rules! orders {
    ($($message:ident => $method:literal -> $answer:ty;)*) => {$(
        impl Question for $message {
            const METHOD: &'static str = concat!("/runtime.v1.RuntimeService/", $method);
            type Answer = $answer;
        }
    )*};
}

orders! {
    RunPodSandboxRequest => "RunPodSandbox" -> RunPodSandboxResponse;
    StopPodSandboxRequest => "StopPodSandbox" -> Done;
    RemovePodSandboxRequest => "RemovePodSandbox" -> Done;
    CreateContainerRequest => "CreateContainer" -> CreateContainerResponse;
    StartContainerRequest => "StartContainer" -> Done;
    StopContainerRequest => "StopContainer" -> Done;
    RemoveContainerRequest => "RemoveContainer" -> Done;
}

#[derive(Clone, PartialEq, Message)]
struct Done {}

#[derive(Clone, PartialEq, Message)]
struct PodSandboxConfig {
    #[prost(message, optional, tag = "1")]
    metadata: Option<PodSandboxMetadata>,
    #[prost(map = "string, string", tag = "6")]
    labels: HashMap<String, String>,
    #[prost(message, optional, tag = "8")]
    linux: Option<LinuxPodSandboxConfig>,
}

#[derive(Clone, PartialEq, Message)]
struct LinuxPodSandboxConfig {
    #[prost(map = "string, string", tag = "3")]
    sysctls: HashMap<String, String>,
    #[prost(message, optional, tag = "2")]
    security_context: Option<LinuxSandboxSecurityContext>,
}

#[derive(Clone, PartialEq, Message)]
struct LinuxSandboxSecurityContext {
    #[prost(message, optional, tag = "1")]
    namespace_options: Option<NamespaceOption>,
}

#[derive(Clone, PartialEq, Message)]
struct RunPodSandboxRequest {
    #[prost(message, optional, tag = "1")]
    config: Option<PodSandboxConfig>,
}

#[derive(Clone, PartialEq, Message)]
struct RunPodSandboxResponse {
    #[prost(string, tag = "1")]
    pod_sandbox_id: String,
}

#[derive(Clone, PartialEq, Message)]
struct StopPodSandboxRequest {
    #[prost(string, tag = "1")]
    pod_sandbox_id: String,
}

#[derive(Clone, PartialEq, Message)]
struct RemovePodSandboxRequest {
    #[prost(string, tag = "1")]
    pod_sandbox_id: String,
}

#[derive(Clone, PartialEq, Message)]
struct ContainerConfig {
    #[prost(message, optional, tag = "1")]
    metadata: Option<ContainerMetadata>,
    #[prost(message, optional, tag = "2")]
    image: Option<ImageSpec>,
}

#[derive(Clone, PartialEq, Message)]
struct CreateContainerRequest {
    #[prost(string, tag = "1")]
    pod_sandbox_id: String,
    #[prost(message, optional, tag = "2")]
    config: Option<ContainerConfig>,
    #[prost(message, optional, tag = "3")]
    sandbox_config: Option<PodSandboxConfig>,
}

#[derive(Clone, PartialEq, Message)]
struct CreateContainerResponse {
    #[prost(string, tag = "1")]
    container_id: String,
}

#[derive(Clone, PartialEq, Message)]
struct StartContainerRequest {
    #[prost(string, tag = "1")]
    container_id: String,
}

#[derive(Clone, PartialEq, Message)]
struct StopContainerRequest {
    #[prost(string, tag = "1")]
    container_id: String,
    /// Seconds until it is killed.
    #[prost(int64, tag = "2")]
    timeout: i64,
}

#[derive(Clone, PartialEq, Message)]
struct RemoveContainerRequest {
    #[prost(string, tag = "1")]
    container_id: String,
}
