//! The part of the program that tests, fuzz targets and the benchmark call, at the paths of the source.
//!
//! The module is no interface: it changes with the source.

pub mod cli {
    use crate::cli::{Cli, Command};
    use crate::model::filter::Choice;

    /// Returns which containers a command line shows.
    pub fn shown_containers(cli: &Cli) -> Choice {
        match &cli.command {
            Command::Serve(serve) => serve.selection.filter().containers,
            _ => Choice::All,
        }
    }
}

pub mod bpf {
    pub use crate::bpf::DropReader;
}

pub mod collector {
    pub use crate::collector::{Sources, start};
}

pub mod exposition {
    use crate::exposition::cadvisor::CadvisorTables;
    use crate::exposition::encode::VethTables;
    use crate::exposition::packed::{PackedCursor, PackedText};
    use crate::exposition::text::{Cursor, Layout, SceneText, Style};
    use crate::model::view::{Scene, View};
    use format::Format;
    use std::sync::Arc;
    use std::time::Duration;

    /// The label blocks of a scene, of which expositions with other numbers can be written.
    #[derive(Clone)]
    pub struct Tables(Arc<dyn Layout>);

    impl Tables {
        /// Formats the label blocks of the metrics.
        pub fn of(scene: &Scene) -> Tables {
            Tables(Arc::new(VethTables::of(scene)))
        }

        /// Returns these label blocks.
        #[cfg(test)]
        pub(crate) fn with(layout: Arc<dyn Layout>) -> Tables {
            Tables(layout)
        }

        /// Formats the label blocks of the containers in cAdvisor's vocabulary.
        pub fn of_cadvisor(scene: &Scene) -> Tables {
            Tables(Arc::new(CadvisorTables::of(scene)))
        }

        /// Returns the exposition of a view, with times from `epoch` on and these own families at the end.
        pub fn text(&self, view: &View, format: Format, epoch: Duration, own: &str) -> String {
            let text = self.scene_text(format, epoch);
            let (mut cursor, mut whole, mut piece) = (Cursor::default(), Vec::new(), Vec::new());
            loop {
                let more = text.write_piece(&mut cursor, Some(view), own, &mut piece);
                whole.append(&mut piece);
                if !more {
                    return String::from_utf8_lossy(&whole).into_owned();
                }
            }
        }

        /// Returns the same expositions as gzip, one after the other: what does not change from one to the
        /// next is not compressed again.
        pub fn packed(&self, views: &[View], format: Format, epoch: Duration, own: &str) -> Vec<Vec<u8>> {
            let (text, packed) = (self.scene_text(format, epoch), PackedText::default());
            let whole = |view| {
                let (mut cursor, mut whole, mut piece) = (PackedCursor::default(), Vec::new(), Vec::new());
                loop {
                    let more = packed.write_piece(&text, &mut cursor, view, own, &mut piece);
                    whole.append(&mut piece);
                    if !more {
                        return whole;
                    }
                }
            };
            views.iter().map(whole).collect()
        }

        fn scene_text(&self, format: Format, epoch: Duration) -> SceneText {
            SceneText::new(Arc::clone(&self.0), Style { format, created: true }, epoch)
        }
    }

    pub mod families {
        pub use crate::exposition::families::{DropsOf, FAMILIES, Series, Type};
    }
    pub mod format {
        pub use crate::exposition::format::Format;
    }
    pub mod telemetry {
        pub use crate::exposition::telemetry::Telemetry;
    }
}

pub mod http {
    pub use crate::server::{Encoding, ListenAddress, Listener};
    pub use crate::site::{About, LiveReaders, MetricsOptions, Routes, Site, accept, serve};
    pub use crate::web_config::{Gate, WebConfig};
}

pub mod kernel {
    pub use crate::kernel::{
        Events, FactsReader, FinalSampler, OwnNsid, Resolver, Sampler, TableReader, TcpReader, Wants,
    };

    pub mod answer {
        pub use crate::kernel::answer::{NetlinkAnswer, Until};
    }
    pub mod facts {
        pub use crate::kernel::facts::SYSCTL;
        pub use crate::kernel::facts::text::{ipv6_routes, listening, neighbours, routes, stack};
    }
    pub mod tcp {
        pub use crate::kernel::tcp::text::{add_netstat, add_snmp, add_sockstat};
    }
    pub mod wire {
        pub use crate::kernel::wire::{
            AddressMessage, LinkMessage, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWNSID, RTM_NEWQDISC, RTM_NEWSTATS,
            address, datagram, link, nsid, qdisc, source, stats,
        };

        pub mod facts {
            pub use crate::kernel::wire::facts::{RTM_NEWROUTE, link_facts, route};
        }
        pub mod filter {
            pub use crate::kernel::wire::filter::{chain, refusals, rule};
        }
    }
}

pub mod model {
    pub mod event {
        pub use crate::model::event::Event;
    }
    pub mod explain {
        pub use crate::model::explain::policy::{PolicyRule, RuleRefusal};
        pub use crate::model::explain::rules::RULE_WORDS;
        pub mod facts {
            pub use crate::model::explain::facts::{
                BridgePort, BridgeSettings, Carrier, FactKind, FilterPlace, HostFacts, HostFilter, HostRoute,
                IpRoute, Ipv4Settings, Ipv6Settings, LinkFacts, Lookup, LookupFailure, MacvlanMode,
                Neighbour, NetnsFacts, PortState, RouteQuestion, StackFacts, Unread,
            };
        }
    }
    pub mod filter {
        pub use crate::model::filter::Choice;
    }
    pub mod host {
        pub use crate::model::host::{
            Config, Host, Input, Learning, Links, Located, Location, Request, RestoredState, Samples,
        };
    }
    pub mod lack {
        pub use crate::model::lack::{Lack, LackReason};
    }
    pub mod ledger {
        pub use crate::model::ledger::{LabelSet, NetworkLabels, RestoredPairs, Traffic};
    }
    pub mod link {
        pub use crate::model::link::{
            Counters, End, Errors, IpAddress, Link, LinkKind, Mac, Master, Name, NetnsId, PeerNetns,
        };
    }
    pub mod pairing {
        pub use crate::model::pairing::{EndState, Role};
    }
    pub mod peak {
        pub use crate::model::peak::Rates;
    }
    pub mod problems {
        pub use crate::model::problems::{Problem, ProblemCounts, ProblemKind, Severity, Subject};
    }
    pub mod queues {
        pub use crate::model::queues::{QueueCounters, QueueReading, QueueSamples};
    }
    pub mod drops {
        pub use crate::model::drops::{
            DropKey, DropOwner, DropReading, DropReasons, DropSeries, DropsRequest, NetnsCookie,
        };
    }
    pub mod series {
        pub use crate::model::series::{OutputLimits, USUAL, USUAL_INTERFACES};
    }
    pub mod state {
        pub use crate::model::state::StateStatus;
    }
    pub mod tcp {
        pub use crate::model::tcp::{TcpCounter, TcpFigures, TcpReading, TcpTarget, TcpWorkload};
    }
    pub mod text {
        pub use crate::model::text::Readable;
    }
    pub mod view {
        pub use crate::model::view::{
            Condition, NetworkNumbers, Ownership, Scene, SceneNetworks, ShownDrops, ShownPair, ShownSide,
            Source, SourceStatus, Status, TotalsBegun, View,
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
                ContainerMetadata, ImageSpec, ListContainersRequest, ListContainersResponse,
                ListPodSandboxRequest, ListPodSandboxResponse, NAMESPACE_NODE, NamespaceOption, PodSandbox,
                PodSandboxMetadata, PodSandboxStatusRequest, PodSandboxStatusResponse, SANDBOX_READY,
                VersionRequest, VersionResponse,
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
