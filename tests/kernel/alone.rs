//! Tests that run one at a time, after all others of this ring: what they measure is a race of the exporter with the kernel, which the work of other
//! tests decides.

use crate::ledger::netns::{Last, end_abruptly};

/// The newest links come last in /proc/net/dev, and 1,000 pairs take over 200 KiB of it.
#[test]
fn beside_a_thousand_pairs_no_more_is_lost() {
    let [exact, bytes] = end_abruptly(Last::Whisper, 1_000);
    assert!(exact >= 0.95 && bytes >= 0.999, "{exact} exact, {bytes} of the bytes");
}
