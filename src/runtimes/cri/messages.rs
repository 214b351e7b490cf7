//! The few messages of the Container Runtime Interface that are asked and answered, with the fields that
//! are read: those of `runtime.v1` in k8s.io/cri-api's api.proto. What else a server sends is skipped.

use super::connection::Question;
use prost::Message;
use std::collections::HashMap;

/// Implements [`Question`]: the message, its method, and what is answered.
macro_rules! questions {
    ($($message:ident => $method:literal -> $answer:ty;)*) => {$(
        impl Question for $message {
            const METHOD: &'static str = concat!("/runtime.v1.RuntimeService/", $method);
            type Answer = $answer;
        }
    )*};
}

questions! {
    VersionRequest => "Version" -> VersionResponse;
    ListPodSandboxRequest => "ListPodSandbox" -> ListPodSandboxResponse;
    PodSandboxStatusRequest => "PodSandboxStatus" -> PodSandboxStatusResponse;
    ListContainersRequest => "ListContainers" -> ListContainersResponse;
    GetEventsRequest => "GetContainerEvents" -> ContainerEventResponse;
}

/// The value of PodSandboxState for a sandbox that can run containers.
pub const SANDBOX_READY: i32 = 0;

/// The value of ContainerState for a container that runs.
pub(crate) const CONTAINER_RUNNING: i32 = 1;

/// The value of NamespaceMode for a pod that uses the host's network.
pub const NAMESPACE_NODE: i32 = 2;

/// The request for the server's name and version.
#[derive(Clone, PartialEq, Message)]
pub struct VersionRequest {
    /// The version of kubelet's API, which servers ignore.
    #[prost(string, tag = "1")]
    pub version: String,
}

/// The answer to [`VersionRequest`].
#[derive(Clone, PartialEq, Message)]
pub struct VersionResponse {
    /// The server's name: `containerd`, `cri-o` ...
    #[prost(string, tag = "2")]
    pub runtime_name: String,
    /// The version of the server.
    #[prost(string, tag = "3")]
    pub runtime_version: String,
}

/// Which pods are there?
#[derive(Clone, PartialEq, Message)]
pub struct ListPodSandboxRequest {
    /// Only these; all without.
    #[prost(message, optional, tag = "1")]
    pub filter: Option<PodSandboxFilter>,
}

/// A choice of pods.
#[derive(Clone, PartialEq, Message)]
pub struct PodSandboxFilter {
    /// Only those in this state.
    #[prost(message, optional, tag = "2")]
    pub state: Option<State>,
}

/// PodSandboxStateValue and ContainerStateValue: a state that is there, even if it is the first of its
/// enumeration.
#[derive(Clone, PartialEq, Message)]
pub struct State {
    #[prost(int32, tag = "1")]
    pub state: i32,
}

/// The answer to [`ListPodSandboxRequest`].
#[derive(Clone, PartialEq, Message)]
pub struct ListPodSandboxResponse {
    /// The sandboxes in any order.
    #[prost(message, repeated, tag = "1")]
    pub items: Vec<PodSandbox>,
}

/// A pod's sandbox: what its containers share, the network namespace among it.
#[derive(Clone, PartialEq, Message)]
pub struct PodSandbox {
    /// The runtime's id of the sandbox.
    #[prost(string, tag = "1")]
    pub id: String,
    /// The name and namespace of the pod.
    #[prost(message, optional, tag = "2")]
    pub metadata: Option<PodSandboxMetadata>,
    /// The state: [`SANDBOX_READY`] or another.
    #[prost(int32, tag = "3")]
    pub state: i32,
    /// The pod's labels, and kubelet's own.
    #[prost(map = "string, string", tag = "5")]
    pub labels: HashMap<String, String>,
}

/// What a pod is called.
#[derive(Clone, PartialEq, Message)]
pub struct PodSandboxMetadata {
    /// The name of the pod.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Kubernetes' unique id of it.
    #[prost(string, tag = "2")]
    pub uid: String,
    /// The Kubernetes namespace of the pod.
    #[prost(string, tag = "3")]
    pub namespace: String,
    /// How often its sandbox was made anew.
    #[prost(uint32, tag = "4")]
    pub attempt: u32,
}

/// How is this pod?
#[derive(Clone, PartialEq, Message)]
pub struct PodSandboxStatusRequest {
    /// The id of the sandbox.
    #[prost(string, tag = "1")]
    pub pod_sandbox_id: String,
    /// With what the runtime alone knows.
    #[prost(bool, tag = "2")]
    pub verbose: bool,
}

/// The answer to [`PodSandboxStatusRequest`].
#[derive(Clone, PartialEq, Message)]
pub struct PodSandboxStatusResponse {
    /// What every runtime knows.
    #[prost(message, optional, tag = "1")]
    pub status: Option<PodSandboxStatus>,
    /// What this one adds: JSON under `info`.
    #[prost(map = "string, string", tag = "2")]
    pub info: HashMap<String, String>,
}

/// The state of a pod's sandbox.
#[derive(Clone, PartialEq, Message)]
pub struct PodSandboxStatus {
    /// Its part on Linux.
    #[prost(message, optional, tag = "6")]
    pub linux: Option<LinuxPodSandboxStatus>,
}

/// The state of a pod's sandbox on Linux.
#[derive(Clone, PartialEq, Message)]
pub struct LinuxPodSandboxStatus {
    #[prost(message, optional, tag = "1")]
    pub namespaces: Option<Namespaces>,
}

/// A pod's namespaces (the message `Namespace`).
#[derive(Clone, PartialEq, Message)]
pub struct Namespaces {
    /// Which it has of its own.
    #[prost(message, optional, tag = "2")]
    pub options: Option<NamespaceOption>,
}

/// Which namespaces a pod has of its own.
#[derive(Clone, PartialEq, Message)]
pub struct NamespaceOption {
    /// That of the network; see [`NAMESPACE_NODE`].
    #[prost(int32, tag = "1")]
    pub network: i32,
}

/// Which containers are there?
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ListContainersRequest {
    /// Only these; all without.
    #[prost(message, optional, tag = "1")]
    pub filter: Option<ContainerFilter>,
}

/// A choice of containers.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ContainerFilter {
    /// Only those in this state.
    #[prost(message, optional, tag = "2")]
    pub state: Option<State>,
}

/// The answer to `ListContainersRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct ListContainersResponse {
    /// The containers in any order.
    #[prost(message, repeated, tag = "1")]
    pub containers: Vec<Container>,
}

/// A container of a pod.
#[derive(Clone, PartialEq, Message)]
pub struct Container {
    #[prost(string, tag = "1")]
    pub id: String,
    /// The pod's sandbox that it is in.
    #[prost(string, tag = "2")]
    pub pod_sandbox_id: String,
    /// What it is called.
    #[prost(message, optional, tag = "3")]
    pub metadata: Option<ContainerMetadata>,
    /// What it was made from.
    #[prost(message, optional, tag = "4")]
    pub image: Option<ImageSpec>,
    /// The labels that kubelet gave it.
    #[prost(map = "string, string", tag = "8")]
    pub labels: HashMap<String, String>,
}

/// What a container is called.
#[derive(Clone, PartialEq, Message)]
pub struct ContainerMetadata {
    /// Its name within the pod.
    #[prost(string, tag = "1")]
    pub name: String,
    /// How often it was made anew.
    #[prost(uint32, tag = "2")]
    pub attempt: u32,
}

/// The name of an image.
#[derive(Clone, PartialEq, Message)]
pub struct ImageSpec {
    /// A name, or what kubelet has made of it: an id.
    #[prost(string, tag = "1")]
    pub image: String,
    /// The name in the pod's specification, where kubelet says it (since Kubernetes 1.28).
    #[prost(string, tag = "18")]
    pub user_specified_image: String,
}

/// Tell what happens from now on.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct GetEventsRequest {}

/// Something has happened to a container or a pod. What it was does not matter: the lists say how things are.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ContainerEventResponse {}
