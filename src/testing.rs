//! The part of the program that tests, fuzz targets and the benchmark call, at the paths of the source.
//!
//! The module is no interface: it changes with the source.

pub mod cli {
    use crate::cli::Cli;
    use crate::model::filter::Choice;

    /// Returns which containers a command line shows.
    pub fn shown_containers(cli: &Cli) -> Choice {
        cli.serve.selection.filter().containers
    }
}

pub mod collector {
    pub use crate::collector::{Sources, start};
}

pub mod exposition {
    pub mod cadvisor {
        pub use crate::exposition::cadvisor::CadvisorEncoder;
    }
    pub mod encode {
        pub use crate::exposition::encode::{EncodeRequest, Encoder};
    }
    pub mod families {
        pub use crate::exposition::families::{FAMILIES, Series, Type};
    }
    pub mod format {
        pub use crate::exposition::format::Format;
    }
    pub mod pieces {
        pub use crate::exposition::pieces::Pool;
    }
    pub mod telemetry {
        pub use crate::exposition::telemetry::Telemetry;
    }
}

pub mod http {
    pub use crate::server::{Encoding, ListenAddress, Listener};
    pub use crate::site::{About, Routes, ScrapeLimits, Site, accept, serve};
    pub use crate::web_config::{Gate, WebConfig};
}

pub mod kernel {
    pub use crate::kernel::{DeviceTable, Events, FinalSampler, OwnNsid, Resolver, Sampler};

    pub mod answer {
        pub use crate::kernel::answer::{NetlinkAnswer, Until};
    }
    pub mod wire {
        pub use crate::kernel::wire::{
            AddressMessage, LinkMessage, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWNSID, RTM_NEWSTATS, address,
            datagram, link, nsid, source, stats,
        };
    }
}

pub mod model {
    pub mod event {
        pub use crate::model::event::Event;
    }
    pub mod filter {
        pub use crate::model::filter::Choice;
    }
    pub mod host {
        pub use crate::model::host::{
            Config, Host, Input, Learning, Links, Located, Location, Request, Samples,
        };
    }
    pub mod lack {
        pub use crate::model::lack::{Lack, LackReason};
    }
    pub mod ledger {
        pub use crate::model::ledger::{LabelSet, NetworkLabels, Traffic};
    }
    pub mod link {
        pub use crate::model::link::{
            Counters, End, Errors, IpAddress, Link, LinkKind, Mac, Name, NetnsId, PeerNetns,
        };
    }
    pub mod pairing {
        pub use crate::model::pairing::{EndState, Role};
    }
    pub mod series {
        pub use crate::model::series::{OutputLimits, USUAL, USUAL_INTERFACES};
    }
    pub mod text {
        pub use crate::model::text::Readable;
    }
    pub mod view {
        pub use crate::model::view::{
            Ownership, Scene, ShownPair, ShownSide, Source, SourceStatus, Status, View,
        };
    }
    pub mod workload {
        pub use crate::model::workload::{Claim, Claims, Locator, Runtime, Workload};
    }
}

pub mod runtimes {
    pub mod cri {
        pub use crate::runtimes::cri::{Cri, CriConnection, CriEndpoint, Error, Question};

        pub mod messages {
            pub use crate::runtimes::cri::messages::{
                ContainerMetadata, ImageSpec, ListContainersResponse, ListPodSandboxRequest,
                ListPodSandboxResponse, NAMESPACE_NODE, NamespaceOption, PodSandbox, PodSandboxMetadata,
                PodSandboxStatusRequest, PodSandboxStatusResponse, SANDBOX_READY, VersionRequest,
                VersionResponse,
            };
        }
    }
    pub mod docker {
        pub use crate::runtimes::docker::{Docker, DockerHost, DockerWatch, EngineAddress};
    }
    pub mod process {
        pub use crate::runtimes::process::Processes;
    }
}

pub mod sandbox {
    pub use crate::sandbox::{Needs, Part, confine};
}

pub mod top {
    pub mod draw {
        pub use crate::top::draw::Theme;
    }
    pub mod state {
        pub use crate::top::state::ViewState;
    }
    pub mod terminal {
        pub use crate::top::terminal::Screen;
    }
}
