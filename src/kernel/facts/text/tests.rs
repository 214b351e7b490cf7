use super::*;
use proptest::prelude::*;

/// As Linux 6.18 writes it, without the spaces at the end of the lines. The last but one is a route of the
/// type `unreachable`, the last one of the type `blackhole`.
const ROUTE: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT   
eth0\t00000000\t010011AC\t0003\t0\t0\t100\t00000000\t0\t0\t0                       
eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0                         
eth0\t0000190A\t00000000\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0                         
eth1\t00000A0A\t00000000\t0000\t0\t0\t0\t0000FFFF\t0\t0\t0                         
lo\t0000007F\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0                           
*\t0000140A\t00000000\t0201\t0\t0\t0\t0000FFFF\t0\t0\t0                            
*\t00001E0A\t00000000\t0001\t0\t0\t7\t0000FFFF\t0\t0\t0                            
";

/// As Linux 6.18 writes it: two routes, a default one, a route of the type `unreachable`, the loopback's, an
/// address of the namespace, an anycast address, a multicast one, and the entry without a default route.
const IPV6_ROUTE: &str = "\
fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000002 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000000000000000000000000000001 00000400 00000002 00000000 00000003     eth0
fd990000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000400 00000001 00000000 00200200       lo
00000000000000000000000000000001 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000002 00000000 80200001       lo
fd000000000000000000000000000002 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000003 00000000 80200001     eth0
fd000000000000000000000000000000 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000003 00000000 00100001     eth0
ff000000000000000000000000000000 08 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000003 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
";

const ARP: &str = "\
IP address       HW type     Flags       HW address            Mask     Device
172.17.0.2       0x1         0x2         02:42:ac:11:00:02     *        docker0
172.17.0.3       0x1         0x0         00:00:00:00:00:00     *        docker0
172.17.0.4       0x1         0x6         02:42:ac:11:00:04     *        eth\u{1}
172.17.0.5       0x1         0x0         02:42:ac:11:00:05     *        docker0
";

const SNMP: &str = "\
Ip: Forwarding DefaultTTL InReceives
Ip: 1 64 57049
Icmp: Forwarding
Icmp: 2
";

const NETSTAT: &str = "\
TcpExt: SyncookiesSent ListenOverflows IPReversePathFilter
TcpExt: 1 4 18446744073709551615
IpExt: IPReversePathFilter
IpExt: 3
";

/// With a listening socket, an established one and one that waits.
const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 41 1 0 100 0 0 10 0
   1: 0100007F:0016 0200007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 42 1 0 20 4 30 10 -1
   2: 0100007F:0017 0200007F:C351 06 00000000:00000000 00:00000000 00000000     0        0 0 3 0
";
const TCP6: &str = "\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr
   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00
   1: B80D0120000000000000000001000000:0051 00000000000000000000000000000000:0000 0A 00000000:00000000 00
";

fn via(destination: &str, prefix: u8, gateway: Option<&str>, device: &str, metric: u32) -> IpRoute {
    IpRoute {
        destination: destination.parse().unwrap(),
        prefix,
        gateway: gateway.map(|gateway| gateway.parse().unwrap()),
        device: device.to_owned(),
        metric,
        refuses: device.is_empty(),
    }
}

#[test]
fn routes_of_ipv4_are_those_that_a_packet_to_another_host_can_take() {
    let expected = [
        via("0.0.0.0", 0, Some("172.17.0.1"), "eth0", 100),
        via("172.17.0.0", 16, None, "eth0", 0),
        via("10.25.0.0", 16, Some("::"), "eth0", 0),
        via("10.20.0.0", 16, None, "", 0),
        via("10.30.0.0", 16, None, "", 7),
    ];
    assert_eq!(routes(ROUTE.as_bytes()), expected);
}

#[test]
fn routes_of_ipv6_are_without_the_table_local() {
    let expected = [
        via("fd00::", 64, None, "eth0", 256),
        via("fe80::", 64, None, "eth0", 256),
        via("::", 0, Some("fd00::1"), "eth0", 1024),
        via("fd99::", 64, None, "", 1024),
    ];
    assert_eq!(ipv6_routes(IPV6_ROUTE.as_bytes()), expected);
}

#[test]
fn a_neighbour_that_has_not_answered_has_no_mac() {
    let neighbour = |last: u8, mac: Option<&str>, device: &str| Neighbour {
        address: [172, 17, 0, last].into(),
        mac: mac.map(|mac| Mac::parse(mac).unwrap()),
        device: device.to_owned(),
    };
    let expected = [
        neighbour(2, Some("02:42:ac:11:00:02"), "docker0"),
        neighbour(3, None, "docker0"),
        neighbour(4, Some("02:42:ac:11:00:04"), r"eth\x01"),
        neighbour(5, None, "docker0"),
    ];
    assert_eq!(neighbours(ARP.as_bytes()), expected);
}

#[test]
fn counters_are_of_their_own_section_and_zero_where_a_kernel_has_none() {
    let expected = StackFacts { forwards_ipv4: true, reverse_path_drops: u64::MAX, listen_overflows: 4 };
    assert_eq!(stack(SNMP.as_bytes(), NETSTAT.as_bytes()), Some(expected));
    let host = StackFacts { forwards_ipv4: false, ..StackFacts::default() };
    assert_eq!(stack(b"Ip: DefaultTTL Forwarding\nIp: 64 2\n", b""), Some(host));
    assert_eq!(stack(b"", NETSTAT.as_bytes()), None);
    assert_eq!(stack(b"Ip: Forwarding\n", b""), None, "the values are missing");
}

#[cfg(target_endian = "little")]
#[test]
fn listening_sockets_are_those_in_their_state() {
    let of = |text: &str| listening(text.as_bytes()).iter().map(SocketAddr::to_string).collect::<Vec<_>>();
    assert_eq!(of(TCP), ["127.0.0.1:8080"]);
    assert_eq!(of(TCP6), ["[::]:80", "[2001:db8::1]:81"]);
}

#[test]
fn lines_that_are_short_or_unreadable_are_skipped() {
    let spoiled = ROUTE.replace("eth0\t00000000", "eth0\t0000000000");
    assert_eq!(routes(spoiled.as_bytes()).len(), 4);
    assert_eq!(ipv6_routes(IPV6_ROUTE.replace("fd000000", "fd00").as_bytes()).len(), 2);
    assert_eq!(ipv6_routes(IPV6_ROUTE.replace(" 40 ", " 81 ").as_bytes()).len(), 1);
    assert_eq!(neighbours(b"172.17.0.2 0x1 0x2 02:42:ac:11:00:02 *\n"), []);
    for local in ["0100007F", "0100007F:", "0100007F:10000", "7F:1F90", "\u{e9}100007:1F90", ":1F90"] {
        assert_eq!(listening(TCP.replace("0100007F:1F90", local).as_bytes()), [], "{local}");
    }
}

proptest! {
    #[test]
    fn no_text_is_too_strange(
        words in prop::collection::vec("[0-9A-Fa-f:x*\n ]{0,40}|\\PC{0,4}", 0..60),
        cut in any::<prop::sample::Index>(),
    ) {
        let text = [ROUTE, IPV6_ROUTE, ARP, SNMP, NETSTAT, TCP, TCP6, &words.join(" ")].concat();
        let text = &text.as_bytes()[cut.index(text.len())..];
        for route in routes(text).into_iter().chain(ipv6_routes(text)) {
            let longest = if route.destination.is_ipv4() { 32 } else { 128 };
            prop_assert!(route.prefix <= longest);
        }
        neighbours(text);
        listening(text);
        stack(text, text);
    }
}
