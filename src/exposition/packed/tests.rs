use crate::exposition::format::Format;
use crate::model::ledger::{Flow, LabelSet, Traffic};
use crate::model::link::{Counters, End, Link, Name, NetnsId};
use crate::model::pairing::{EndState, Role};
use crate::model::peak::Rates;
use crate::model::view::{Ownership, Scene, ShownPair, ShownSide, View};
use crate::model::workload::{Runtime, Workload};
use crate::testing::exposition::Tables;
use flate2::read::GzDecoder;
use proptest::prelude::*;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

const EPOCH: Duration = Duration::from_secs(1_700_000_000);

/// Returns a view with one container behind each port, named so; without traffic.
fn view(containers: &[String]) -> View {
    let side = |netns, ifindex, name: String, role| ShownSide {
        end: End { netns, ifindex },
        link: Some(Link { ifindex, name: Name::from_bytes(name.as_bytes()).unwrap(), ..Link::default() }),
        role,
        netns: "".into(),
        master: None,
        ownership: None,
        labels: None,
        hidden: false,
    };
    let mut scene = Scene::default();
    for (number, container) in (0u32..).zip(containers) {
        let owner = Workload {
            id: format!("{:064x}", number * 7_919),
            ..Workload::named(Runtime::Docker, container)
        };
        let labels = LabelSet::of(&owner, "eth0".into(), "front".into());
        let ownership = Arc::new(Ownership::alone(owner, None));
        let inside = NetnsId::Other { nsid: number, generation: 0 };
        let interface = ShownSide {
            labels: Some(labels.clone()),
            ownership: Some(Arc::clone(&ownership)),
            ..side(inside, 2, "eth0".into(), Role::Interface)
        };
        let port = side(
            NetnsId::Host,
            number + 10,
            format!("veth{:07x}", number.wrapping_mul(40_503) & 0xfff_ffff),
            Role::Port,
        );
        scene.pairs.push(Arc::new(ShownPair { sides: [port, interface], state: EndState::Paired }));
        scene.workloads.push(Arc::new(labels));
        scene.begun.workloads.push(Duration::from_millis(u64::from(number % 3) * 1_250));
        scene.ownerships.push(ownership);
    }
    View {
        samples: vec![[Counters::default(); 2]; containers.len()],
        rates: vec![None; containers.len()],
        workloads: vec![Traffic::default(); containers.len()],
        peaks: vec![None; containers.len()],
        networks: Default::default(),
        for_scrapes: Default::default(),
        overflow: Default::default(),
        ticked: Duration::ZERO,
        scene: Arc::new(scene),
        ..View::default()
    }
}

/// Changes numbers of a view; peaks come and go.
fn change(view: &mut View, changes: &[(prop::sample::Index, u64, bool)]) {
    if view.samples.is_empty() {
        return;
    }
    for (index, number, peak) in changes {
        let index = index.index(view.samples.len());
        view.samples[index][0] =
            Counters { receive_bytes: *number, transmit_packets: number / 3, ..Counters::default() };
        view.workloads[index].receive = Flow { bytes: number / 2, packets: 3, dropped: number % 2 };
        view.peaks[index] = peak.then_some(Rates { receive_bytes: *number, ..Rates::default() });
    }
}

fn unpacked(packed: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    text
}

/// Compresses views of one scene, one after the other, and compares each with its text.
fn check(views: &[View], own: &str) -> Vec<Vec<u8>> {
    let tables = [Tables::of(&views[0].scene), Tables::of_cadvisor(&views[0].scene)];
    let formats = [(0, Format::OpenMetrics), (1, Format::Text), (0, Format::Text)];
    let mut packed = Vec::new();
    for (table, format) in formats {
        packed = tables[table].packed(views, format, EPOCH, own);
        for (view, packed) in views.iter().zip(&packed) {
            assert_eq!(unpacked(packed), tables[table].text(view, format, EPOCH, own));
        }
    }
    packed
}

#[test]
fn an_exposition_of_many_pairs_is_small_and_what_has_not_changed_is_the_same() {
    let mut changed = view(&(0..700).map(|number| format!("web-{number}")).collect::<Vec<_>>());
    let still = [changed.clone(), changed.clone()];
    changed.samples[350][0].receive_bytes = u64::MAX;
    let packed = check(&[still, [changed.clone(), changed]].concat(), "# own\n");
    assert_eq!(packed[0], packed[1]);
    assert_eq!(packed[2], packed[3]);
    assert_ne!(packed[1], packed[2]);
    let plain = unpacked(&packed[0]).len();
    assert!(packed[0].len() < plain / 12, "{} of {plain}", packed[0].len());
}

#[test]
fn nothing_at_all_is_a_gzip_too() {
    let packed = check(&[view(&[])], "");
    assert_eq!(unpacked(&packed[0]), "");
}

#[test]
fn label_blocks_beyond_the_window_of_deflate_and_longer_than_a_piece_are_written_as_they_are() {
    for length in [200, 5_000, 17_000, 33_000, 70_000] {
        let names: Vec<String> = (0..6).map(|number| format!("{number}{}", "ab".repeat(length))).collect();
        let mut moved = view(&names);
        moved.workloads[3].receive.bytes = 123_456;
        check(
            &[view(&names), moved.clone()].map(|view| View { scene: Arc::clone(&moved.scene), ..view }),
            "end\n",
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Any names and any numbers: what is unpacked is the very text, whatever was kept from the views before.
    #[test]
    fn whatever_is_packed_comes_back(
        names in proptest::collection::vec(".{0,40}|[a-z]{1,3}-[0-9]{1,4}|[ab]{0,300}", 0..200),
        views in proptest::collection::vec(
            proptest::collection::vec((any::<prop::sample::Index>(), any::<u64>(), any::<bool>()), 0..40),
            1..4,
        ),
        own in "(# [a-z]{0,30}\n)?",
    ) {
        let mut shown = view(&names);
        let views: Vec<View> = views
            .iter()
            .map(|changes| {
                change(&mut shown, changes);
                shown.clone()
            })
            .collect();
        check(&views, &own);
    }
}
