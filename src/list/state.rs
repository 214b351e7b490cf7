//! The state of a pair in words: what a single reading can know to be wrong.

use crate::exposition::json::row::{EndRow, PairRow};

/// Returns `up`, or everything that is wrong with the pair.
pub(super) fn text(pair: &PairRow<'_, Vec<EndRow<'_>>>) -> String {
    let mut wrong: Vec<String> = Vec::new();
    if pair.state != "paired" {
        wrong.push(pair.state.replace('_', " "));
    }
    let places = || pair.ends.iter().map(|end| &end.place);
    if places().any(|place| place.up == Some(false)) {
        wrong.push("down".to_owned());
    }
    let mtus: Vec<u32> = places().filter_map(|place| place.mtu).collect();
    if let [port, peer] = mtus[..]
        && port != peer
    {
        wrong.push(format!("mtu {port} and {peer}"));
    }
    match (wrong.is_empty(), places().any(|place| place.up.is_some())) {
        (false, _) => wrong.join(", "),
        (true, true) => "up".to_owned(),
        (true, false) => "unknown".to_owned(),
    }
}
