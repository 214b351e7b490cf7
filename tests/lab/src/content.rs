//! The findings of `explain` in a topology are compared with what `ip` shows: there may be none where nothing is wrong.

use std::collections::BTreeSet;

use serde_json::Value;

use super::truth::{Pairs, pairs_by_ip};
use super::{Exporter, Netns, NetnsFolder, describe};

/// The findings of `explain` with these words, each by its rule and its text. Panics if the exit code is not that of these findings.
pub fn findings(host: &Netns, folder: &NetnsFolder, words: &[&str]) -> BTreeSet<(String, String)> {
    let words = [&["explain"], words, &["--format", "json"], &folder.arguments()[..]].concat();
    let output = Exporter::command(host, &words).output().unwrap();
    let document: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", describe(&output)));
    let explanations = document["explanations"].as_array().unwrap();
    let all = explanations.iter().flat_map(|one| one["findings"].as_array().unwrap());
    let is_reason = |finding: &Value| finding["grade"] != "possibility";
    let code = i32::from(all.clone().any(is_reason));
    assert_eq!(output.status.code(), Some(code), "{document:#}\n{}", describe(&output));
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    all.map(|finding| (word(&finding["rule"]), word(&finding["text"]))).collect()
}

/// Checks that `explain` finds nothing between two ends that have just talked, in both directions.
pub fn assert_talk(host: &Netns, folder: &NetnsFolder, [one, other]: [&str; 2]) {
    for words in [[one, other], [other, one]] {
        assert_eq!(findings(host, folder, &words), BTreeSet::new(), "{words:?}");
    }
}

/// Checks that `explain` without an end finds nothing but what `ip` shows: ends that are down, and pairs of two MTUs.
pub fn assert_content(host: &Netns, others: &[&Netns], folder: &NetnsFolder) {
    let found = findings(host, folder, &[]);
    let pairs = pairs_by_ip(host, others);
    let shown = faults_by_ip(&pairs);
    let is_shown = |(rule, _): &&(String, String)| !shown.contains(rule.as_str());
    let more: Vec<_> = found.iter().filter(is_shown).collect();
    assert!(more.is_empty(), "{more:#?}\nwhere `ip` shows {shown:?} of {pairs:#?}");
}

/// The rules that may find something in these pairs.
fn faults_by_ip(pairs: &Pairs) -> BTreeSet<&'static str> {
    let mut rules = BTreeSet::new();
    for [one, other] in pairs {
        if !(one.up && other.up) {
            rules.extend(["link_down", "no_carrier"]);
        }
        if one.mtu != other.mtu {
            rules.insert("mtu_mismatch");
        }
    }
    rules
}
