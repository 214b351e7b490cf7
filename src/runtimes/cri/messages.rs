//! The messages of the Container Runtime Interface that are in use, with the fields that are read: those of
//! `runtime.v1` in k8s.io/cri-api's api.proto. Other fields that a server sends are skipped.

use super::connection::Question;
use prost::Message;
use std::collections::HashMap;

/// Implements [`Question`] for a message, from its method and the type of its answer.
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

/// The values of ContainerState for a container that runs, and for one that has ended.
pub(crate) const CONTAINER_RUNNING: i32 = 1;
pub(crate) const CONTAINER_EXITED: i32 = 2;

/// The value of NamespaceMode for a pod that uses the host's network.
pub const NAMESPACE_NODE: i32 = 2;

/// The request for the server's name and version.
#[derive(Clone, PartialEq, Message)]
pub struct VersionRequest {
    /// The version of kubelet's API, ignored by servers.
    #[prost(string, tag = "1")]
    pub version: String,
}

/// The answer to [`VersionRequest`].
#[derive(Clone, PartialEq, Message)]
pub struct VersionResponse {
    /// The server's name: `containerd`, `cri-o` ...
    #[prost(string, tag = "2")]
    pub runtime_name: String,
    /// The server's own version.
    #[prost(string, tag = "3")]
    pub runtime_version: String,
}

/// The request for the list of pods.
#[derive(Clone, PartialEq, Message)]
pub struct ListPodSandboxRequest {
    /// `None` lists all pods.
    #[prost(message, optional, tag = "1")]
    pub filter: Option<PodSandboxFilter>,
}

/// A filter of the list of pods.
#[derive(Clone, PartialEq, Message)]
pub struct PodSandboxFilter {
    /// `None` accepts any state.
    #[prost(message, optional, tag = "2")]
    pub state: Option<StateValue>,
}

/// PodSandboxStateValue: a wrapper that is present even if the state is the first
/// of its enumeration.
#[derive(Clone, PartialEq, Message)]
pub struct StateValue {
    #[prost(int32, tag = "1")]
    pub state: i32,
}

/// The answer to [`ListPodSandboxRequest`].
#[derive(Clone, PartialEq, Message)]
pub struct ListPodSandboxResponse {
    /// The sandboxes, in no particular order.
    #[prost(message, repeated, tag = "1")]
    pub items: Vec<PodSandbox>,
}

/// A list of pods or containers, with its entries as they were sent: one that is damaged leaves the others.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct RawList {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub entries: Vec<Vec<u8>>,
}

/// A pod's sandbox: the resources that its containers share, among them the network namespace.
#[derive(Clone, PartialEq, Message)]
pub struct PodSandbox {
    /// The runtime's id of the sandbox.
    #[prost(string, tag = "1")]
    pub id: String,
    /// The identity of the sandbox's pod.
    #[prost(message, optional, tag = "2")]
    pub metadata: Option<PodSandboxMetadata>,
    /// [`SANDBOX_READY`] or another state.
    #[prost(int32, tag = "3")]
    pub state: i32,
    /// The pod's labels and those that kubelet adds.
    #[prost(map = "string, string", tag = "5")]
    pub labels: HashMap<String, String>,
    /// The pod's annotations as they were when the sandbox was made.
    #[prost(map = "string, string", tag = "6")]
    pub annotations: HashMap<String, String>,
}

/// The identity of a pod.
#[derive(Clone, PartialEq, Message)]
pub struct PodSandboxMetadata {
    /// The pod's name, unique in its Kubernetes namespace.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Kubernetes' unique id of the pod.
    #[prost(string, tag = "2")]
    pub uid: String,
    /// The Kubernetes namespace of the pod.
    #[prost(string, tag = "3")]
    pub namespace: String,
    /// The number of times that the pod's sandbox was made anew.
    #[prost(uint32, tag = "4")]
    pub attempt: u32,
}

/// The request for the state of one pod.
#[derive(Clone, PartialEq, Message)]
pub struct PodSandboxStatusRequest {
    /// The id of the sandbox.
    #[prost(string, tag = "1")]
    pub pod_sandbox_id: String,
    /// True to include the runtime's own information.
    #[prost(bool, tag = "2")]
    pub verbose: bool,
}

/// The answer to [`PodSandboxStatusRequest`].
#[derive(Clone, PartialEq, Message)]
pub struct PodSandboxStatusResponse {
    /// The information that every runtime gives.
    #[prost(message, optional, tag = "1")]
    pub status: Option<PodSandboxStatus>,
    /// The runtime's own information: JSON under `info`.
    #[prost(map = "string, string", tag = "2")]
    pub info: HashMap<String, String>,
}

/// The state of a pod's sandbox.
#[derive(Clone, PartialEq, Message)]
pub struct PodSandboxStatus {
    #[prost(message, optional, tag = "5")]
    pub network: Option<PodNetworkStatus>,
    #[prost(message, optional, tag = "6")]
    pub linux: Option<LinuxPodSandboxStatus>,
}

/// The IP addresses of a pod (CRI's message `PodSandboxNetworkStatus`).
#[derive(Clone, PartialEq, Message)]
pub struct PodNetworkStatus {
    #[prost(string, tag = "1")]
    pub ip: String,
    #[prost(message, repeated, tag = "2")]
    pub additional_ips: Vec<PodIp>,
}

/// A further IP address of a pod.
#[derive(Clone, PartialEq, Message)]
pub struct PodIp {
    #[prost(string, tag = "1")]
    pub ip: String,
}

/// The state of a pod's sandbox on Linux.
#[derive(Clone, PartialEq, Message)]
pub struct LinuxPodSandboxStatus {
    #[prost(message, optional, tag = "1")]
    pub namespaces: Option<PodNamespaces>,
}

/// A pod's namespaces (CRI's message `Namespace`).
#[derive(Clone, PartialEq, Message)]
pub struct PodNamespaces {
    #[prost(message, optional, tag = "2")]
    pub options: Option<NamespaceOption>,
}

/// The sharing of a pod's namespaces with the host.
#[derive(Clone, PartialEq, Message)]
pub struct NamespaceOption {
    /// The mode of the network namespace; see [`NAMESPACE_NODE`].
    #[prost(int32, tag = "1")]
    pub network: i32,
}

/// The request for the list of containers, without its filter: all of them.
#[derive(Clone, PartialEq, Message)]
pub struct ListContainersRequest {}

/// The answer to `ListContainersRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct ListContainersResponse {
    /// The containers, in no particular order.
    #[prost(message, repeated, tag = "1")]
    pub containers: Vec<CriContainer>,
}

/// A container of a pod.
#[derive(Clone, PartialEq, Message)]
pub struct CriContainer {
    #[prost(string, tag = "1")]
    pub id: String,
    /// The id of the sandbox of the container's pod.
    #[prost(string, tag = "2")]
    pub pod_sandbox_id: String,
    #[prost(message, optional, tag = "3")]
    pub metadata: Option<ContainerMetadata>,
    #[prost(message, optional, tag = "4")]
    pub image: Option<ImageSpec>,
    /// The value of ContainerState.
    #[prost(int32, tag = "6")]
    pub state: i32,
    /// The time of its creation, in nanoseconds since 1970.
    #[prost(int64, tag = "7")]
    pub created_at: i64,
    /// The labels that kubelet gave the container.
    #[prost(map = "string, string", tag = "8")]
    pub labels: HashMap<String, String>,
}

/// The identity of a container within its pod.
#[derive(Clone, PartialEq, Message)]
pub struct ContainerMetadata {
    /// The container's name, unique in its pod.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The number of times that the container was made anew.
    #[prost(uint32, tag = "2")]
    pub attempt: u32,
}

/// The name of an image.
#[derive(Clone, PartialEq, Message)]
pub struct ImageSpec {
    /// The image's name, or the id that kubelet replaces it by.
    #[prost(string, tag = "1")]
    pub image: String,
    /// The name in the pod's specification, if kubelet passes it (since Kubernetes 1.28).
    #[prost(string, tag = "18")]
    pub user_specified_image: String,
}

/// The request for the stream of events.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct GetEventsRequest {}

/// An event of a container or a pod. Its content is not needed: the lists give the current state.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ContainerEventResponse {}
