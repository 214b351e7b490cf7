//! Pairs without an end on the host where no events of them arrive: what a reading shows is all there is.

use super::*;

/// Two containers that are joined by a pair of their own: eth1 (index 3) of the first, eth1 (index 4) of the
/// second.
fn joined(world: &mut World, sent: [u64; 2]) {
    for (side, [nsid, ifindex, iflink]) in [[0, 3, 4], [1, 4, 3]].into_iter().enumerate() {
        let peer_netns = PeerNetns::Nsid(1 - nsid);
        let counters = bytes(sent[side], sent[1 - side]);
        let own = Link { name: name("eth1"), counters, ..veth(ifindex, iflink, peer_netns) };
        let links = world.links.get_mut(&Some(nsid)).unwrap().as_mut().unwrap();
        links.retain(|link| link.ifindex != ifindex);
        links.push(own);
    }
}

fn carried(host: &Host) -> BTreeMap<String, (u64, u64)> {
    let view = host.view().unwrap();
    let rows = view.scene.workloads.iter().zip(&view.workloads);
    let rows = rows.filter(|(labels, _)| labels.interface == "eth1");
    rows.map(|(labels, traffic)| (labels.container.clone(), (traffic.receive.bytes, traffic.transmit.bytes)))
        .collect()
}

/// Reads the world so often, with these bytes sent by each end; returns what is booked of it, and how often
/// something was missed.
fn read(sent: &[[u64; 2]]) -> (Vec<(u64, u64)>, u64) {
    let mut world = World::with_containers(&[(0, 10), (1, 11)]);
    world.pids = BTreeMap::from([(100, Located::Nsid(0)), (101, Located::Nsid(1))]);
    world.docker_says(&[("web", 100, 10), ("db", 101, 11)]);
    let mut host = new_host();
    for second in 0..3 {
        world.tick(&mut host, NOW + second * SECOND);
    }
    for (second, &sent) in (3..).zip(sent) {
        joined(&mut world, sent);
        world.tick(&mut host, NOW + second * SECOND);
        host.apply(Input::Wake, NOW + second * SECOND);
    }
    let booked = carried(&host);
    (["web", "db"].map(|container| booked[container]).to_vec(), host.status().lost)
}

#[test]
fn a_pair_that_was_made_anew_between_two_readings_counts_from_zero_and_is_said_to_have_been_missed() {
    // What web and db have sent at each reading; what they are booked to have received and sent, and misses.
    for (sent, web, missed) in [
        (&[[100, 40], [150, 60]][..], (60, 150), 0),
        // Both ends have sent less.
        (&[[100, 40], [30, 20], [35, 20]], (60, 135), 1),
        // One end had sent nothing before and after.
        (&[[100, 0], [30, 0], [31, 0]], (0, 131), 1),
        // It is made anew each time.
        (&[[100, 40], [30, 20], [10, 5]], (65, 140), 2),
        // Nothing is known of what was not there at a reading.
        (&[[0, 0], [0, 0]], (0, 0), 0),
    ] {
        let db = (web.1, web.0);
        assert_eq!(read(sent), (vec![web, db], missed), "{sent:?}");
    }
}
