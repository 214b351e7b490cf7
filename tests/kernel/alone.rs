//! Tests that run one at a time, after all others of this ring: what they measure is a race of the exporter with the kernel, which the work of other
//! tests decides.

use crate::ledger::netns::{Last, end_abruptly};

/// The newest links come last in /proc/net/dev, and 1,000 pairs take over 200 KiB of it.
///
/// The last frames of some namespaces that end at once are lost while the threads of the exporter, of a debug build here, wait for
/// a core: of 500, 0 to 20 in most rounds, and 45 to 50 in two of 29. So the mean of two rounds is what is judged.
#[test]
fn beside_a_thousand_pairs_no_more_is_lost() {
    let rounds = [(); 2].map(|()| end_abruptly(Last::Whisper, 1_000));
    let [exact, bytes] = [0, 1].map(|share| (rounds[0][share] + rounds[1][share]) / 2.0);
    assert!(exact >= 0.9 && bytes >= 0.999, "{exact} exact, {bytes} of the bytes");
}
