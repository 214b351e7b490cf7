//! Chains and rules of nf_tables, as far as they decide about packets that a host forwards. Pure.
//!
//! The numbers in these messages are big-endian (net/netfilter/nf_tables_api.c).

use super::{nested, split};
use crate::model::explain::facts::FilterPlace;
use crate::model::text::Readable;
use netlink_packet_core::NlasIterator;
use std::collections::{BTreeMap, BTreeSet};

/// The number of a message of nf_tables.
const fn message(kind: u16) -> u16 {
    (libc::NFNL_SUBSYS_NFTABLES as u16) << 8 | kind
}

/// NFT_MSG_* of linux/netfilter/nf_tables.h, each with the number of its subsystem.
pub(crate) const NEWCHAIN: u16 = message(3);
pub(crate) const GETCHAIN: u16 = message(4);
pub(crate) const NEWRULE: u16 = message(6);
pub(crate) const GETRULE: u16 = message(7);

/// The length in bytes of `struct nfgenmsg`, from linux/netfilter/nfnetlink.h.
pub(crate) const NFGENMSG: usize = 4;

/// Attributes of linux/netfilter/nf_tables.h and nf_tables_compat.h.
mod nfta {
    pub(super) const CHAIN_TABLE: u16 = 1;
    pub(super) const CHAIN_NAME: u16 = 3;
    pub(super) const CHAIN_HOOK: u16 = 4;
    pub(super) const CHAIN_POLICY: u16 = 5;
    pub(super) const CHAIN_COUNTERS: u16 = 8;
    pub(super) const HOOK_HOOKNUM: u16 = 1;
    pub(super) const RULE_TABLE: u16 = 1;
    pub(super) const RULE_CHAIN: u16 = 2;
    pub(super) const RULE_EXPRESSIONS: u16 = 4;
    pub(super) const LIST_ELEM: u16 = 1;
    pub(super) const EXPR_NAME: u16 = 1;
    pub(super) const EXPR_DATA: u16 = 2;
    pub(super) const IMMEDIATE_DATA: u16 = 2;
    pub(super) const DATA_VERDICT: u16 = 2;
    pub(super) const VERDICT_CODE: u16 = 1;
    pub(super) const VERDICT_CHAIN: u16 = 2;
    pub(super) const COUNTER_PACKETS: u16 = 2;
    pub(super) const LOOKUP_DREG: u16 = 3;
    pub(super) const TARGET_NAME: u16 = 1;
}

/// NFT_REG_VERDICT: a lookup into this register takes its verdict from a map.
const VERDICT_REGISTER: u32 = 0;

/// The families with chains that see a forwarded packet of IP, NFPROTO_* of linux/netfilter.h, each with its
/// name in `nft`.
const FAMILIES: [(u8, &str); 3] = [(1, "inet"), (2, "ip"), (10, "ip6")];

/// The identity of a table: its family and name.
type TableId = (u8, Vec<u8>);

/// The identity of a chain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ChainId {
    table: TableId,
    name: Vec<u8>,
}

impl ChainId {
    /// Returns the place of this chain in messages; `None` in a family that sees no forwarded packet.
    fn place(&self, packets: Option<u64>, rejects: bool) -> Option<FilterPlace> {
        let (_, family) = FAMILIES.iter().find(|(number, _)| *number == self.table.0)?;
        let chain = format!("{family} {} {}", Readable(&self.table.1), Readable(&self.name));
        Some(FilterPlace { chain, packets, rejects, drops_all: false })
    }
}

/// A chain of nf_tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    id: ChainId,
    /// True for a base chain at the hook `forward`.
    forwards: bool,
    /// True for a base chain at any hook.
    is_base: bool,
    drops: bool,
    packets: Option<u64>,
}

/// A rule of nf_tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    chain: ChainId,
    /// The names of the chains that the rule jumps or goes to.
    jumps: Vec<Vec<u8>>,
    /// True if the rule takes its verdict from a map.
    uses_map: bool,
    /// Whether the rule refuses packets, and by which verdict.
    refusal: Option<RefusingVerdict>,
    packets: Option<u64>,
}

/// The way in which a rule refuses a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RefusingVerdict {
    Drop,
    Reject,
}

/// Reads the payload of NFT_MSG_NEWCHAIN; `None` if it violates the protocol.
pub fn chain(payload: &[u8]) -> Option<Chain> {
    let (header, attributes) = payload.split_at_checked(NFGENMSG)?;
    let mut id = ChainId { table: (*header.first()?, Vec::new()), name: Vec::new() };
    let (mut hook, mut is_base, mut drops, mut packets) = (None, false, false, None);
    for attribute in NlasIterator::new(attributes) {
        let (kind, value) = split(attribute)?;
        match kind {
            nfta::CHAIN_TABLE => id.table.1 = name(value),
            nfta::CHAIN_NAME => id.name = name(value),
            nfta::CHAIN_HOOK => {
                is_base = true;
                hook = nested(value, nfta::HOOK_HOOKNUM)?.map(number).unwrap_or_default();
            }
            nfta::CHAIN_POLICY => drops = number(value)? == libc::NF_DROP.cast_unsigned(),
            nfta::CHAIN_COUNTERS => packets = counter(value)?,
            _ => {}
        }
    }
    let forwards = hook == Some(libc::NF_INET_FORWARD.cast_unsigned());
    (!id.name.is_empty()).then_some(Chain { id, forwards, is_base, drops, packets })
}

/// Reads the payload of NFT_MSG_NEWRULE; `None` if it violates the protocol.
pub fn rule(payload: &[u8]) -> Option<Rule> {
    let (header, attributes) = payload.split_at_checked(NFGENMSG)?;
    let chain = ChainId { table: (*header.first()?, Vec::new()), name: Vec::new() };
    let mut rule = Rule { chain, jumps: Vec::new(), uses_map: false, refusal: None, packets: None };
    for attribute in NlasIterator::new(attributes) {
        let (kind, value) = split(attribute)?;
        match kind {
            nfta::RULE_TABLE => rule.chain.table.1 = name(value),
            nfta::RULE_CHAIN => rule.chain.name = name(value),
            nfta::RULE_EXPRESSIONS => {
                for element in NlasIterator::new(value) {
                    let (kind, expression) = split(element)?;
                    if kind == nfta::LIST_ELEM {
                        add_expression(expression, &mut rule)?;
                    }
                }
            }
            _ => {}
        }
    }
    (!rule.chain.name.is_empty()).then_some(rule)
}

/// Adds one expression to a rule. The compatible form of iptables has the target REJECT, and plain verdicts
/// for everything else that counts here.
fn add_expression(expression: &[u8], rule: &mut Rule) -> Option<()> {
    let kind = nested(expression, nfta::EXPR_NAME)?.map(name).unwrap_or_default();
    let data = nested(expression, nfta::EXPR_DATA)?.unwrap_or_default();
    match kind.as_slice() {
        b"counter" => rule.packets = counter(data)?,
        b"reject" => rule.refusal = Some(RefusingVerdict::Reject),
        b"target" if nested(data, nfta::TARGET_NAME)?.map(name).as_deref() == Some(b"REJECT") => {
            rule.refusal = Some(RefusingVerdict::Reject);
        }
        b"lookup" => {
            let register = nested(data, nfta::LOOKUP_DREG)?.map(number);
            rule.uses_map |= register == Some(Some(VERDICT_REGISTER));
        }
        b"immediate" => {
            let Some(value) = nested(data, nfta::IMMEDIATE_DATA)? else { return Some(()) };
            let Some(verdict) = nested(value, nfta::DATA_VERDICT)? else { return Some(()) };
            let code = number(nested(verdict, nfta::VERDICT_CODE)??)?.cast_signed();
            if code == libc::NF_DROP {
                rule.refusal = Some(RefusingVerdict::Drop);
            }
            rule.jumps.extend(nested(verdict, nfta::VERDICT_CHAIN)?.map(name));
        }
        _ => {}
    }
    Some(())
}

/// Returns the base chains at the hook `forward` that drop by policy, and the rules that drop or reject in
/// the chains that a forwarded packet can reach, each in the order of the kernel.
///
/// The elements of maps are not read. Where a rule on the way takes its verdict from a map, all chains of its
/// table that are no base chains count as reachable.
pub fn refusals(chains: &[Chain], rules: &[Rule]) -> (Vec<FilterPlace>, Vec<FilterPlace>) {
    let reachable = reachable(chains, rules);
    let policies = chains.iter().filter(|chain| chain.forwards && chain.drops);
    let policies = policies.filter_map(|chain| {
        let drops_all = !rules.iter().any(|rule| rule.chain == chain.id);
        Some(FilterPlace { drops_all, ..chain.id.place(chain.packets, false)? })
    });
    let refuse = rules.iter().filter(|rule| reachable.contains(&rule.chain)).filter_map(|rule| {
        let refusal = rule.refusal?;
        rule.chain.place(rule.packets, refusal == RefusingVerdict::Reject)
    });
    (policies.collect(), refuse.collect())
}

fn reachable(chains: &[Chain], rules: &[Rule]) -> BTreeSet<ChainId> {
    let mut within: BTreeMap<&ChainId, Vec<&Rule>> = BTreeMap::new();
    for rule in rules {
        within.entry(&rule.chain).or_default().push(rule);
    }
    let forwarding = chains.iter().filter(|chain| chain.forwards);
    let mut open: Vec<ChainId> = forwarding.map(|chain| chain.id.clone()).collect();
    let (mut found, mut mapped) = (BTreeSet::new(), BTreeSet::new());
    while let Some(id) = open.pop() {
        if !found.insert(id.clone()) {
            continue;
        }
        for rule in within.get(&id).into_iter().flatten() {
            let table = &rule.chain.table;
            open.extend(rule.jumps.iter().map(|name| ChainId { table: table.clone(), name: name.clone() }));
            if rule.uses_map && mapped.insert(table.clone()) {
                let regular = chains.iter().filter(|chain| !chain.is_base && chain.id.table == *table);
                open.extend(regular.map(|chain| chain.id.clone()));
            }
        }
    }
    found
}

/// Returns a name without its NUL.
fn name(value: &[u8]) -> Vec<u8> {
    value.strip_suffix(b"\0").unwrap_or(value).to_vec()
}

/// Reads the packets of a counter; `Some(None)` if there are none.
fn counter(data: &[u8]) -> Option<Option<u64>> {
    let Some(value) = nested(data, nfta::COUNTER_PACKETS)? else { return Some(None) };
    Some(Some(u64::from_be_bytes(value.try_into().ok()?)))
}

fn number(value: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(value.try_into().ok()?))
}

#[cfg(test)]
mod tests;
