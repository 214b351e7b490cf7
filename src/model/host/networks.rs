//! The networks that are shown with what their engines report, and the addresses that are used in them.

use super::knowledge::Knowledge;
use crate::model::ledger::NetworkLabels;
use crate::model::view::{PoolLabels, ReportedNetworks};
use crate::model::workload::{Network, Runtime};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// The networks that are shown; each list is the same allocation until it changes.
#[derive(Debug, Default)]
pub(super) struct ShownNetworks {
    /// The version of the engines' lists of networks, and the number of totals of networks, that `reported`
    /// was built from.
    built_from: (u64, usize),
    /// The versions of `reported` and of the engines' addresses that the numbers were counted from.
    counted_from: (u64, u64),
    version: u64,
    pub reported: Arc<ReportedNetworks>,
    pub used: Arc<Vec<Option<u64>>>,
    /// The number of containers on each network with a driver that makes no veth.
    pub vethless: BTreeMap<NetworkLabels, u64>,
}

impl ShownNetworks {
    /// Takes what engines report, as far as it has changed: at most `most` networks and as many pools.
    pub(super) fn update(&mut self, known: &Knowledge, most: usize) {
        let (lists, addresses) = known.evidence.networks_version();
        let from = (lists, known.ledger.shown_totals().1);
        if std::mem::replace(&mut self.built_from, from) != from {
            let reported = reported(known, most);
            if *self.reported != reported {
                self.reported = Arc::new(reported);
                self.version += 1;
            }
        }
        if self.counted_from != (self.version, addresses) {
            self.count(known);
            self.counted_from = (self.version, addresses);
        }
    }

    /// Returns a number that changes whenever another scene is to be built.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    fn count(&mut self, known: &Knowledge) {
        let ReportedNetworks { networks, pools } = &*self.reported;
        let mut given: HashMap<(Runtime, &str), Vec<Ipv4Addr>> = HashMap::new();
        for (runtime, of) in known.evidence.given() {
            given.entry((runtime, &of.network)).or_default().push(of.address);
        }
        let used = pools.iter().map(|labels| {
            let (runtime, network) = &networks[labels.network];
            let given = given.get(&(*runtime, network.name.as_str())).into_iter().flatten().copied();
            network.is_counted.then(|| network.pools[labels.pool].used(given))
        });
        let used: Vec<Option<u64>> = used.collect();
        if *self.used != used {
            self.used = Arc::new(used);
        }
        let vethless = networks.iter().filter(|(_, network)| makes_no_veth(network));
        let vethless: BTreeMap<NetworkLabels, u64> = vethless
            .map(|(runtime, network)| {
                let members = known.evidence.attached(*runtime, &network.name) as u64;
                (NetworkLabels { runtime: *runtime, network: network.name.clone() }, members)
            })
            .collect();
        // The members are counted with the scene.
        self.version += u64::from(self.vethless != vethless);
        self.vethless = vethless;
    }
}

/// Returns true for a network on which containers have no veth.
fn makes_no_veth(network: &Network) -> bool {
    matches!(network.driver.as_str(), "macvlan" | "ipvlan")
}

/// Returns the networks that engines report and that have a total of their own, with their pools.
fn reported(known: &Knowledge, most: usize) -> ReportedNetworks {
    let mut networks: Vec<(Runtime, &Network)> = Vec::new();
    for (&runtime, source) in &known.evidence.sources {
        networks.extend(source.networks.iter().map(|network| (runtime, network)));
    }
    networks.sort();
    networks.dedup_by(|a, b| a.0 == b.0 && a.1.name == b.1.name);
    let has_total = |(runtime, network): &(Runtime, &Network)| {
        known.ledger.has_network(&NetworkLabels { runtime: *runtime, network: network.name.clone() })
    };
    let networks = networks.into_iter().filter(has_total).take(most);
    let networks: Vec<(Runtime, Network)> =
        networks.map(|(runtime, network)| (runtime, network.clone())).collect();
    let mut pools = Vec::new();
    for (index, (_, network)) in networks.iter().enumerate() {
        let mut seen = BTreeSet::new();
        let own = network.pools.iter().enumerate().filter(|(_, pool)| pool.size() > 0);
        let own = own.filter(|(_, pool)| seen.insert(pool.subnet));
        pools.extend(own.map(|(place, pool)| PoolLabels {
            network: index,
            pool: place,
            subnet: pool.subnet,
            size: pool.size(),
        }));
    }
    pools.truncate(most);
    ReportedNetworks { networks, pools }
}
