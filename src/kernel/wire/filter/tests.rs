use super::*;
use crate::kernel::wire::tests::attribute;
use proptest::prelude::*;

fn nest(kind: u16, attributes: &[Vec<u8>]) -> Vec<u8> {
    attribute(kind | 1 << 15, &attributes.concat())
}

fn payload(family: u8, attributes: &[Vec<u8>]) -> Vec<u8> {
    [&[family, 0, 0, 0], attributes.concat().as_slice()].concat()
}

fn text(kind: u16, text: &str) -> Vec<u8> {
    attribute(kind, format!("{text}\0").as_bytes())
}

/// A chain of the table `filter`; with a hook and a policy it is a base chain.
fn chain_of(family: u8, name: &str, base: Option<(u32, u32)>, packets: Option<u64>) -> Chain {
    let mut attributes = vec![text(1, "filter"), text(3, name)];
    if let Some((hook, policy)) = base {
        attributes.push(nest(4, &[attribute(1, &hook.to_be_bytes()), attribute(2, &[0; 4])]));
        attributes.push(attribute(5, &policy.to_be_bytes()));
    }
    attributes.extend(packets.map(|packets| nest(8, &[attribute(2, &packets.to_be_bytes())])));
    chain(&payload(family, &attributes)).unwrap()
}

fn expression(name: &str, data: &[Vec<u8>]) -> Vec<u8> {
    nest(1, &[text(1, name), nest(2, data)])
}

fn counter_of(packets: u64) -> Vec<u8> {
    expression("counter", &[attribute(1, &[0; 8]), attribute(2, &packets.to_be_bytes())])
}

fn verdict(code: i32, to: Option<&str>) -> Vec<u8> {
    let mut verdict = vec![attribute(1, &code.to_be_bytes())];
    verdict.extend(to.map(|to| text(2, to)));
    expression("immediate", &[attribute(1, &[0; 4]), nest(2, &[nest(2, &verdict)])])
}

fn rule_of(family: u8, chain: &str, expressions: &[Vec<u8>]) -> Rule {
    rule(&payload(family, &[text(1, "filter"), text(2, chain), nest(4, expressions)])).unwrap()
}

const DROP: i32 = 0;
const ACCEPT: i32 = 1;
const JUMP: i32 = -3;
const GOTO: i32 = -4;
const FORWARD: u32 = 2;
const INPUT: u32 = 1;

fn place(chain: &str, packets: Option<u64>, rejects: bool) -> FilterPlace {
    FilterPlace { chain: chain.to_owned(), packets, rejects, drops_all: false }
}

#[test]
fn a_policy_counts_at_the_hook_forward_of_a_family_of_ip() {
    let chains = [
        chain_of(2, "FORWARD", Some((FORWARD, 0)), Some(7)),
        chain_of(10, "FORWARD", Some((FORWARD, 1)), Some(8)),
        chain_of(1, "f\u{1}", Some((FORWARD, 0)), None),
        chain_of(2, "INPUT", Some((INPUT, 0)), None),
        chain_of(7, "BRIDGE", Some((FORWARD, 0)), None),
        chain_of(2, "regular", None, None),
    ];
    let policy = |chain, packets| FilterPlace { drops_all: true, ..place(chain, packets, false) };
    let expected = [policy("ip filter FORWARD", Some(7)), policy(r"inet filter f\x01", None)];
    assert_eq!(refusals(&chains, &[]), (expected.to_vec(), vec![]));
    // A rule may accept what the policy drops.
    let accepts = rule_of(2, "FORWARD", &[verdict(ACCEPT, None)]);
    let expected = [place("ip filter FORWARD", Some(7), false), policy(r"inet filter f\x01", None)];
    assert_eq!(refusals(&chains, &[accepts]), (expected.to_vec(), vec![]));
}

#[test]
fn rules_count_in_chains_that_a_forwarded_packet_can_reach() {
    let chains = [
        chain_of(2, "FORWARD", Some((FORWARD, 1)), None),
        chain_of(2, "INPUT", Some((INPUT, 1)), None),
        chain_of(2, "a", None, None),
        chain_of(2, "b", None, None),
        chain_of(2, "only-in", None, None),
        chain_of(10, "a", None, None),
    ];
    let rules = [
        rule_of(2, "FORWARD", &[counter_of(1), verdict(JUMP, Some("a"))]),
        rule_of(2, "FORWARD", &[verdict(ACCEPT, None)]),
        rule_of(2, "a", &[counter_of(2), verdict(GOTO, Some("b"))]),
        rule_of(2, "a", &[counter_of(3), verdict(DROP, None)]),
        rule_of(2, "b", &[verdict(JUMP, Some("a")), verdict(DROP, None)]),
        rule_of(2, "b", &[counter_of(4), expression("reject", &[attribute(1, &[0; 4])])]),
        rule_of(2, "b", &[expression("target", &[text(1, "REJECT")]), counter_of(5)]),
        rule_of(2, "b", &[expression("target", &[text(1, "LOG")])]),
        rule_of(2, "INPUT", &[verdict(JUMP, Some("only-in"))]),
        rule_of(2, "INPUT", &[verdict(DROP, None)]),
        rule_of(2, "only-in", &[verdict(DROP, None)]),
        rule_of(10, "a", &[verdict(DROP, None)]),
    ];
    let expected = [
        place("ip filter a", Some(3), false),
        place("ip filter b", None, false),
        place("ip filter b", Some(4), true),
        place("ip filter b", Some(5), true),
    ];
    assert_eq!(refusals(&chains, &rules), (vec![], expected.to_vec()));
}

#[test]
fn a_map_of_verdicts_may_lead_to_any_chain_of_its_table_that_is_no_base_chain() {
    let chains = [
        chain_of(2, "FORWARD", Some((FORWARD, 1)), None),
        chain_of(2, "INPUT", Some((INPUT, 1)), None),
        chain_of(2, "a", None, None),
        chain_of(10, "a", None, None),
    ];
    let drops = ["INPUT", "a"].map(|chain| rule_of(2, chain, &[verdict(DROP, None)]));
    let other = rule_of(10, "a", &[verdict(DROP, None)]);
    let map = |register: u32| {
        let lookup = expression("lookup", &[text(1, "m"), attribute(3, &register.to_be_bytes())]);
        let rules = [drops.as_slice(), &[other.clone(), rule_of(2, "FORWARD", &[lookup])]].concat();
        refusals(&chains, &rules).1
    };
    assert_eq!(map(0), [place("ip filter a", None, false)]);
    assert_eq!(map(1), [], "a lookup into another register gives no verdict");
    let set = expression("lookup", &[text(1, "m")]);
    let rules = [drops.as_slice(), &[rule_of(2, "FORWARD", &[set])]].concat();
    assert_eq!(refusals(&chains, &rules).1, []);
}

#[test]
fn messages_that_violate_the_protocol_are_refused() {
    let short = payload(2, &[text(1, "filter"), text(2, "c"), nest(4, &[verdict(DROP, None)])]);
    for cut in [0, 3, 4, short.len() - 8, short.len() - 4] {
        assert_eq!(rule(&short[..cut]), None, "{cut}");
    }
    assert_eq!(chain(&payload(2, &[text(1, "filter")])), None, "no name");
    assert_eq!(chain(&payload(2, &[text(3, "c"), attribute(5, &[0])])), None, "a short policy");
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let known = payload(2, &[text(1, "filter"), text(2, "c"), nest(4, &[counter_of(1), verdict(DROP, None)])]);
        let mixed = [known.as_slice(), &bytes].concat();
        let rules: Vec<Rule> = [rule(&bytes), rule(&mixed)].into_iter().flatten().collect();
        let chains: Vec<Chain> = [chain(&bytes), chain(&mixed)].into_iter().flatten().collect();
        refusals(&chains, &rules);
    }
}
