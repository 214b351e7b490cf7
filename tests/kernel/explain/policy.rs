//! Scenes of policy rules of the host that refuse packets.

use super::*;

#[test]
fn a_policy_rule_that_refuses_is_named_and_outranked() {
    for rule in [
        ["from", "10.1.0.2", "blackhole"],
        ["iif", "p1", "blackhole"],
        ["to", "10.2.0.0/24", "blackhole"],
        ["to", "10.2.0.2", "unreachable"],
        ["from", "10.1.0.0/24", "prohibit"],
    ] {
        let ground = Ground::routed(2);
        let [a, b] = names(&ground);
        let probe = || pings(ground.a(), "10.2.0.2");
        assert!(probe());
        let words = [&["rule", "add", "priority", "77"], rule.as_slice()].concat();
        ground.host.ip(words);
        let explained = ground.explain(&[&a, &b]);
        let text = explained.findings()[0]["text"].clone();
        let wanted =
            format!("the host refuses packets for 10.2.0.2 from 10.1.0.2: its policy rule 77 is {}", rule[2]);
        assert_eq!(text, wanted, "{explained:#?}");
        ground.check("no_route", &[&a, &b], probe);
    }
}

#[test]
fn a_policy_rule_that_refuses_a_mark_is_a_possibility() {
    let ground = Ground::routed(2);
    let words = ["p2", "10.2.0.2"];
    ground.content(&words);
    ground.host.ip("rule add priority 77 fwmark 0x7/0xff blackhole".split(' '));
    let ping = |mark: &str| {
        let words = ["ping", "-m", mark, "-I", "10.2.0.1", "-qc1", "-W1", "10.2.0.2"];
        ground.host.exec(words).status.success()
    };
    assert!(ping("8") && !ping("7"));
    let explained = ground.explain(&words);
    let first = explained.findings()[0].clone();
    assert_eq!((explained.code, explained.first().as_str()), (0, "no_route"), "{explained:#?}");
    assert_eq!(
        first["text"],
        "the host refuses packets for 10.2.0.2 from 10.2.0.1 if they have the mark 0x7/0xff: its policy rule 77 is blackhole"
    );
    for line in first["remedy"].as_array().unwrap() {
        ground.run(line.as_str().unwrap());
    }
    assert!(ping("8") && ping("7"));
    // A rule that asks a table for a mark stands under what is not checked.
    let not_checked = |of: &Explained| of.document["explanations"][0]["not_checked"].to_string();
    let asks = "routes of the host for packets with a mark";
    ground.host.ip("rule del fwmark 0x7/0xff blackhole".split(' '));
    let explained = ground.explain(&words);
    assert_eq!(explained.findings(), [Value::Null; 0], "{explained:#?}");
    assert!(not_checked(&explained).contains(asks), "{explained:#?}");
    ground.host.ip("rule del fwmark 0x7/0xff lookup main".split(' '));
    let explained = ground.explain(&words);
    assert!(!not_checked(&explained).contains(asks), "{explained:#?}");
}
