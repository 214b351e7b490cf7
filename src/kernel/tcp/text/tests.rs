use super::*;
use TcpCounter::{
    AttemptsFailed, ConnectionsReset, ListenDrops, ListenOverflows, ResetsSent, SegmentsRetransmitted,
    SegmentsSent, Timeouts,
};

/// The texts as Linux 6.18 writes them, with the sections before and after.
const SNMP: &str = "\
Ip: Forwarding DefaultTTL InReceives
Ip: 2 64 57049
IcmpMsg: InType3
IcmpMsg: 3
Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors
Tcp: 1 200 120000 -1 395 61 83 67 0 55193 40561 18446744073709551615 0 446 0
Udp: InDatagrams NoPorts OutSegs
Udp: 1853 0 7
";
const NETSTAT: &str = "\
TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPHPHits TCPTimeouts
TcpExt: 0 4 5 739 9
IpExt: InNoRoutes TCPTimeouts
IpExt: 0 1
MPTcpExt: MPCapableSYNRX
MPTcpExt: 0
";
const SOCKSTAT: &str = "sockets: used 13\nTCP: inuse 3 orphan 0 tw 2 alloc 4 mem 0\nUDP: inuse 8 mem 135\n";

fn of_snmp(text: &str) -> TcpFigures {
    let mut figures = TcpFigures::default();
    add_snmp(text.as_bytes(), &mut figures);
    figures
}

fn sockets(texts: &[&str]) -> Option<u64> {
    let mut figures = TcpFigures::default();
    texts.iter().for_each(|text| add_sockstat(text.as_bytes(), &mut figures));
    figures.sockets()
}

#[test]
fn the_figures_are_those_of_the_columns_with_their_names() {
    let mut figures = of_snmp(SNMP);
    add_netstat(NETSTAT.as_bytes(), &mut figures);
    for (counter, value) in [
        (SegmentsSent, 40_561),
        (SegmentsRetransmitted, u64::MAX),
        (ResetsSent, 446),
        (AttemptsFailed, 83),
        (ConnectionsReset, 67),
        (Timeouts, 9),
        (ListenOverflows, 4),
        (ListenDrops, 5),
    ] {
        assert_eq!(figures.counter(counter), Some(value), "{counter:?}");
    }
}

#[test]
fn a_column_that_is_missing_is_absent_and_not_zero() {
    for (text, sent, resets) in [
        ("Tcp: OutSegs\nTcp: 7\n", Some(7), None),
        ("Tcp: New OutRsts Newer OutSegs\nTcp: 1 2 x 4\n", Some(4), Some(2)),
        // Fewer values than names, and a value that is none of an unsigned column.
        ("Tcp: OutSegs OutRsts\nTcp: 7\n", Some(7), None),
        ("Tcp: OutSegs OutRsts\nTcp: -1 18446744073709551616\n", None, None),
        ("Tcp: OutSegs OutRsts\nTcp: +1 1e3\n", None, None),
        // The values of another section, or none.
        ("Tcp: OutSegs\nUdp: 7\nTcp: 8\n", None, None),
        ("Tcp: OutSegs\n", None, None),
        ("NewTcp: OutSegs\nNewTcp: 7\n", None, None),
        ("", None, None),
        ("\n\n\0\n", None, None),
    ] {
        let figures = of_snmp(text);
        assert_eq!((figures.counter(SegmentsSent), figures.counter(ResetsSent)), (sent, resets), "{text:?}");
        assert_eq!(figures.is_empty(), sent.is_none() && resets.is_none());
    }
}

#[test]
fn the_sockets_of_both_protocols_are_added_up() {
    assert_eq!(sockets(&[SOCKSTAT]), Some(3));
    assert_eq!(sockets(&[SOCKSTAT, "TCP6: inuse 2\nUDP6: inuse 9\n"]), Some(5));
    assert_eq!(sockets(&["TCP6: inuse 0\n"]), Some(0));
    for nothing in ["", "UDP: inuse 1\n", "TCP: orphan 1\n", "TCP: inuse\n", "TCP: inuse -1\n"] {
        assert_eq!(sockets(&[nothing]), None, "{nothing:?}");
    }
}
