//! A real Prometheus scrapes the exporter while real containers send each other a known traffic, and answers the questions that
//! people will ask it.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use lab::{
    Container, DockerEngine, Exporter, Interface, Prometheus, Traffic, acquaint, needs_engine, two_silent,
    wait_for, within_netns,
};

/// Of each datagram: 958 bytes make a frame of 1,000 (8 UDP, 20 IPv4, 14 Ethernet).
const PAYLOAD: usize = 958;

/// One every 5 ms is 200,000 bytes a second as the container counts them.
const PAUSE: Duration = Duration::from_millis(5);
const RATE: f64 = 200_000.0;

/// Sends datagrams from one container to another for so long, at the known rate: each has its moment, so that one that was
/// late is made up for. Nothing comes back.
fn send_steadily(from: &Interface, to: &Interface, address: std::net::IpAddr, during: Duration) {
    let receiver = within_netns(&to.netns_path(), || UdpSocket::bind((address, 0)).unwrap());
    let target: SocketAddr = receiver.local_addr().unwrap();
    let sender = within_netns(&from.netns_path(), || UdpSocket::bind("0.0.0.0:0").unwrap());
    let begin = Instant::now();
    for number in 0..(during.as_micros() / PAUSE.as_micros()) as u32 {
        std::thread::sleep((begin + PAUSE * number).saturating_duration_since(Instant::now()));
        sender.send_to(&[0; PAYLOAD], target).unwrap();
    }
}

/// The value of the one series that a query answers with; `None` if it answers with nothing.
fn scalar(prometheus: &Prometheus, query: &str) -> Option<f64> {
    let answer = prometheus.query(query);
    let list = answer.as_array().unwrap();
    assert!(list.len() < 2, "{query}: {answer:#}");
    Some(list.first()?["value"][1].as_str().unwrap().parse().unwrap())
}

/// Waits until Prometheus has scraped what the container itself counts now.
fn wait_until_scraped(prometheus: &Prometheus, container: &Container, before: Traffic) -> Traffic {
    let interface = container.interface("eth0");
    wait_for(Duration::from_secs(10), "Prometheus has the container's own count", || {
        let own = before + interface.own();
        let query =
            |what: &str| scalar(prometheus, &format!("veth_container_{what}_total{}", labels(container)));
        let has = query("receive_bytes").zip(query("transmit_bytes"));
        if has == Some((own.receive_bytes as f64, own.transmit_bytes as f64)) {
            return Ok(own);
        }
        Err(format!("{own:?} and {has:?}"))
    })
}

fn labels(container: &Container) -> String {
    format!("{{runtime=\"docker\",container=\"{}\",interface=\"eth0\"}}", container.name())
}

#[test]
fn prometheus_answers_the_rate_the_sum_and_no_spike_after_a_restart() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("rate");
    let exporter = Exporter::for_engine(engine, &[]);
    let prometheus = Prometheus::start(engine.netns(), exporter.address());
    let [sender, receiver] = two_silent(engine, &network);
    let start = wait_until_scraped(&prometheus, &receiver, Traffic::default());

    let (from, to) = (sender.interface("eth0"), receiver.interface("eth0"));
    let address = receiver.address(network.name());
    let by_container = |container: &Container, window: &str| {
        let name = container.name();
        format!(
            "sum by (container) (rate(veth_container_receive_bytes_total{{container=\"{name}\"}}[{window}]))"
        )
    };
    std::thread::scope(|scope| {
        let traffic = scope.spawn(|| send_steadily(&from, &to, address, Duration::from_secs(10)));
        // Until every sample in a window of 6 s lies in the time of the traffic.
        std::thread::sleep(Duration::from_millis(8_500));
        let rate = scalar(&prometheus, &by_container(&receiver, "6s")).unwrap();
        // Prometheus gives a sample the time when it began to scrape, and the exporter reads the counters up to 50 ms later; on
        // a busy machine the sender and both of them are up to another 100 ms late. At both ends of at least 5 s between the
        // first and the last sample these 0.15 s make 6 %.
        assert!((rate / RATE - 1.0).abs() < 0.07, "{rate} bytes/s, sent were {RATE}");
        let answer = prometheus.query(&by_container(&receiver, "6s"));
        let only_label = serde_json::json!({ "container": receiver.name() });
        assert_eq!(answer[0]["metric"], only_label, "{answer:#}");
        traffic.join().unwrap();
    });
    let first = wait_until_scraped(&prometheus, &receiver, Traffic::default());
    assert_eq!(first.receive_bytes - start.receive_bytes, 2_000_000, "2,000 frames of 1,000 bytes");

    engine.docker(&["restart", receiver.name()]);
    acquaint(engine, &network, [&sender, &receiver]);
    let (to, address) = (receiver.interface("eth0"), receiver.address(network.name()));
    send_steadily(&from, &to, address, Duration::from_secs(3));
    let last = wait_until_scraped(&prometheus, &receiver, first);
    assert!(last.receive_bytes - first.receive_bytes >= 600_000, "{first:?}, then {last:?}");

    let all = format!("veth_container_receive_bytes_total{}", labels(&receiver));
    assert_eq!(scalar(&prometheus, &format!("resets({all}[2m])")), Some(0.0), "a total never falls");
    // Windows of 3 s have 2 s and more between their samples: with 0.15 s at each end the rate is at most 15 % too high.
    let rates = |which: &str| {
        let window = by_container(&receiver, "3s");
        scalar(&prometheus, &format!("{which}(({window})[40s:500ms])")).unwrap()
    };
    let (lowest, highest) = (rates("min_over_time"), rates("max_over_time"));
    assert!(lowest >= 0.0 && highest < 1.5 * RATE, "between {lowest} and {highest} bytes/s");
    assert_eq!(scalar(&prometheus, "min_over_time(up[2m])"), Some(1.0), "every scrape succeeded");
    prometheus.refuse_complaints();
}
