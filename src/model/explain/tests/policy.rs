//! Policy rules of the host.

use super::*;
use crate::model::explain::policy::{PolicyRule, RuleRefusal};

/// Two containers with a subnet each, which the host routes between.
fn routed() -> HostFacts {
    let mut facts = bridged();
    change(&mut facts, 0, |host| {
        for link in &mut *host.links {
            (link.link.master, link.port, link.ipv4.forwarding) = (None, None, 1);
        }
        host.addresses = vec![address(11, "10.1.0.1/24"), address(12, "10.2.0.1/24")];
    });
    for (nsid, own, gateway) in [(1, "10.1.0.2/24", "10.1.0.1"), (2, "10.2.0.2/24", "10.2.0.1")] {
        change(&mut facts, nsid, |netns| {
            netns.addresses = vec![address(2, own)];
            let gateway = Some(gateway.parse().unwrap());
            netns.routes = Some(vec![IpRoute { gateway, ..route("0.0.0.0/0", "eth0") }]);
        });
    }
    facts
}

/// The host's answer for each direction; the first is doubtful or not.
fn lookups(there: Result<HostRoute, LookupFailure>, doubtful: bool) -> Vec<Lookup> {
    let lookup = |destination: &str, doubtful, answer| Lookup {
        destination: destination.parse().unwrap(),
        vrf: None,
        by_rule: false,
        doubtful,
        answer,
    };
    vec![lookup("10.2.0.2", doubtful, there), lookup("10.1.0.2", false, by(11))]
}

fn by(ifindex: u32) -> Result<HostRoute, LookupFailure> {
    Ok(HostRoute { ifindex, gateway: None, local: false })
}

fn rule(refusal: Option<RuleRefusal>) -> PolicyRule {
    let any = ("0.0.0.0".parse().unwrap(), 0);
    PolicyRule {
        is_ipv4: true,
        priority: 77,
        source: ("10.1.0.0".parse().unwrap(), 24),
        destination: any,
        ingress: None,
        mark: None,
        further: false,
        refusal,
    }
}

fn found(facts: &HostFacts) -> Vec<(&'static str, Grade, String)> {
    let findings = explain(facts, &BETWEEN).findings.into_iter();
    findings.map(|finding| (finding.rule, finding.grade, finding.text)).collect()
}

#[test]
fn the_rule_that_the_kernels_answer_is_from_is_named() {
    use RuleRefusal::{Blackhole, Prohibit, Unreachable};
    let text =
        |word| format!("the host refuses packets for 10.2.0.2 from 10.1.0.2: its policy rule 77 is {word}");
    for (answer, doubtful, refusal, wanted) in [
        (Err(LookupFailure::Blackhole), false, Some(Blackhole), text("blackhole")),
        (by(12), true, Some(Blackhole), text("blackhole")),
        (Err(LookupFailure::None), false, Some(Unreachable), text("unreachable")),
        (Err(LookupFailure::Prohibited), false, Some(Prohibit), text("prohibit")),
        // The answer is another one than the rule gives.
        (Err(LookupFailure::None), false, Some(Prohibit), "the host has no route to 10.2.0.2".to_owned()),
        (Err(LookupFailure::None), false, None, "the host has no route to 10.2.0.2".to_owned()),
    ] {
        let mut facts = routed();
        facts.policy = vec![rule(refusal)];
        facts.lookups = lookups(answer, doubtful);
        assert_eq!(found(&facts), [("no_route", Grade::Reason, wanted)], "{refusal:?}");
    }
    let mut facts = routed();
    facts.policy = vec![rule(Some(Blackhole))];
    facts.lookups = lookups(Err(LookupFailure::Blackhole), false);
    let finding = &explain(&facts, &BETWEEN).findings[0];
    assert_eq!(finding.by_hand, "ip rule show");
    assert_eq!(finding.remedy, ["ip rule add from 10.1.0.2 to 10.2.0.2 lookup main"]);
}

#[test]
fn a_rule_that_did_not_decide_has_no_finding_and_one_for_a_mark_is_a_possibility() {
    let mut facts = routed();
    facts.lookups = lookups(by(12), false);
    // An earlier rule has answered.
    facts.policy = vec![rule(Some(RuleRefusal::Blackhole))];
    assert_eq!(found(&facts), []);
    // The source is doubtful, and no rule refuses it.
    facts.lookups = lookups(by(12), true);
    facts.policy = vec![rule(Some(RuleRefusal::Prohibit)), rule(None)];
    assert_eq!(found(&facts), []);
    let marked = |refusal| PolicyRule { mark: Some((7, 0xff)), ..rule(refusal) };
    facts.policy = vec![marked(Some(RuleRefusal::Prohibit))];
    let text = "the host refuses packets for 10.2.0.2 from 10.1.0.2 if they have the mark 0x7/0xff: its policy rule 77 is prohibit";
    assert_eq!(found(&facts), [("no_route", Grade::Possibility, text.to_owned())]);
    facts.policy = vec![marked(None)];
    let explanation = explain(&facts, &BETWEEN);
    assert_eq!(explanation.findings, []);
    let asks = "routes of the host for packets with a mark: a policy rule asks for one";
    assert!(explanation.not_checked.iter().any(|text| text == asks), "{explanation:#?}");
}
