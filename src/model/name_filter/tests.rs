use super::*;
use proptest::prelude::*;

fn name(word: &[u8]) -> Option<&'static str> {
    match word {
        b"veth3f2a91c" => Some("web eth0"),
        b"veth1" => Some("db eth0"),
        b"veth10" => Some("log eth1"),
        b"veth-15-letters" => Some("long eth0"),
        b"lxc-a.1_b" => Some("shop/web-0 eth0"),
        _ => None,
    }
}

/// Returns what comes out of the filter if the text arrives in these parts.
fn filtered(parts: &[&[u8]]) -> Vec<u8> {
    let (mut filter, mut out) = (NameFilter::default(), Vec::new());
    for part in parts {
        filter.pass(part, name, &mut out);
    }
    filter.finish(name, &mut out);
    out
}

#[test]
fn the_lines_of_tools_get_their_names() {
    for (line, wanted) in [
        // ip link
        (
            "7: veth3f2a91c@if6: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue master br-1 state UP",
            "7: veth3f2a91c[web eth0]@if6: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue master br-1 state UP",
        ),
        ("8: veth1: <BROADCAST> mtu 1500", "8: veth1[db eth0]: <BROADCAST> mtu 1500"),
        // ip -br link, ip -j link, ip -c link
        ("veth10@if2       UP   5e:1:2:3:4:5", "veth10[log eth1]@if2       UP   5e:1:2:3:4:5"),
        (r#"{"ifname":"veth1","flags":[]}"#, r#"{"ifname":"veth1[db eth0]","flags":[]}"#),
        ("\x1b[36mveth3f2a91c@if6: \x1b[0m<", "\x1b[36mveth3f2a91c[web eth0]@if6: \x1b[0m<"),
        ("\x1b[1;36mveth1\x1b[0m", "\x1b[1;36mveth1[db eth0]\x1b[0m"),
        ("\x1b(Bveth1\x1b[m", "\x1b(Bveth1[db eth0]\x1b[m"),
        // bridge link, bridge fdb
        (
            "7: veth3f2a91c@enp3s0: <UP> mtu 1500 master br-1 state forwarding priority 32 cost 2",
            "7: veth3f2a91c[web eth0]@enp3s0: <UP> mtu 1500 master br-1 state forwarding priority 32 cost 2",
        ),
        ("33:33:00:00:00:01 dev veth1 self permanent", "33:33:00:00:00:01 dev veth1[db eth0] self permanent"),
        // tcpdump -i any
        (
            "12:00:00.1 veth3f2a91c P   IP 10.0.0.2.80 > 10.0.0.3.4711: Flags [S]",
            "12:00:00.1 veth3f2a91c[web eth0] P   IP 10.0.0.2.80 > 10.0.0.3.4711: Flags [S]",
        ),
        // the kernel's log
        (
            "kernel: br-1: port 1(veth3f2a91c) entered blocking state",
            "kernel: br-1: port 1(veth3f2a91c[web eth0]) entered blocking state",
        ),
        ("kernel: veth1: renamed from eth0", "kernel: veth1[db eth0]: renamed from eth0"),
        ("\u{2018}veth1\u{2019}", "\u{2018}veth1[db eth0]\u{2019}"),
        // node_exporter, sysctl, /sys, nft, LXC
        (r#"node_network_up{device="veth10"} 1"#, r#"node_network_up{device="veth10[log eth1]"} 1"#),
        ("net/ipv4/conf/veth1/rp_filter", "net/ipv4/conf/veth1[db eth0]/rp_filter"),
        ("iifname { veth1,veth10 }", "iifname { veth1[db eth0],veth10[log eth1] }"),
        ("lxc-a.1_b|veth-15-letters\0", "lxc-a.1_b[shop/web-0 eth0]|veth-15-letters[long eth0]\0"),
    ] {
        assert_eq!(String::from_utf8_lossy(&filtered(&[line.as_bytes()])), wanted);
    }
}

#[test]
fn a_part_of_a_word_is_no_device() {
    for line in [
        "veth",
        "veth1x",
        "xveth1",
        "veth1.5",
        "veth1-a",
        "_veth1",
        "veth100",
        "veth3f2a91",
        "veth3f2a91cc",
        "veth-15-letters1",
        "veth-15-letters-and-more",
        "aaaaaaaaaaaaaaaveth1",
        "\x1b[veth1",
    ] {
        assert_eq!(String::from_utf8_lossy(&filtered(&[line.as_bytes()])), line);
    }
}

#[test]
fn the_last_word_has_its_name_without_a_line_end() {
    assert_eq!(filtered(&[b"dev veth1"]), b"dev veth1[db eth0]");
    assert_eq!(filtered(&[b"veth1", b"0"]), b"veth10[log eth1]");
    assert_eq!(filtered(&[b"veth1", b"\n"]), b"veth1[db eth0]\n");
}

#[test]
fn every_byte_is_passed_on_when_it_has_come() {
    let (mut filter, mut out) = (NameFilter::default(), Vec::new());
    for (part, wanted) in
        [(&b"a veth"[..], &b"a veth"[..]), (b"1", b"a veth1"), (b" b", b"a veth1[db eth0] b")]
    {
        filter.pass(part, name, &mut out);
        assert_eq!(out, wanted);
    }
}

#[test]
fn a_long_word_is_counted_no_further_than_any_device() {
    let (mut filter, mut out) = (NameFilter::default(), Vec::new());
    for _ in 0..1000 {
        out.clear();
        filter.pass(&[b'a'; 1000], name, &mut out);
        assert_eq!((out.len(), filter.length), (1000, LONGEST_DEVICE + 1));
    }
    out.clear();
    filter.pass(b" veth1 ", name, &mut out);
    assert_eq!(out, b" veth1[db eth0] ");
}

#[test]
fn the_ports_of_runtimes_are_known_by_their_first_letters() {
    for word in ["veth3f2a91c", "veth0", "cali12ab", "lxc7f", "ve-web", "vb-web"] {
        assert!(may_be_port(word.as_bytes()), "{word}");
    }
    for word in ["veth", "lxc", "eth0", "", "br-1", "Link"] {
        assert!(!may_be_port(word.as_bytes()), "{word}");
    }
}

/// Bytes with devices and ends of words among them.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..20),
        prop::sample::select(vec!["veth1", "veth10", "veth3f2a91c", " ", "\n", "@", "\x1b[1m", "0", "\0"])
            .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Returns the parts of a text between these positions.
fn cut_at<'a>(text: &'a [u8], positions: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut ends: Vec<usize> = positions.iter().map(|position| position.index(text.len() + 1)).collect();
    ends.sort_unstable();
    ends.push(text.len());
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts.zip(&ends).map(|(start, &end)| &text[start..end]).collect()
}

proptest! {
    #[test]
    fn without_names_every_byte_comes_out_as_it_was_however_it_is_cut(
        text in bytes(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20)
    ) {
        let (mut filter, mut out) = (NameFilter::default(), Vec::new());
        for part in cut_at(&text, &cuts) {
            filter.pass(part, |_| None::<&str>, &mut out);
        }
        filter.finish(|_| None::<&str>, &mut out);
        prop_assert_eq!(out, text);
    }

    #[test]
    fn a_text_in_parts_comes_out_as_in_one_piece(
        text in bytes(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20)
    ) {
        prop_assert_eq!(filtered(&cut_at(&text, &cuts)), filtered(&[&text]));
    }

    #[test]
    fn what_is_added_are_names_in_brackets_and_nothing_else(text in bytes()) {
        let mut rest = filtered(&[&text]);
        for name in ["[web eth0]", "[db eth0]", "[log eth1]"] {
            let out = String::from_utf8(rest.iter().map(|&b| if b < 0x80 { b } else { b'?' }).collect()).unwrap();
            let mut kept = Vec::new();
            let mut from = 0;
            for (at, _) in out.match_indices(name) {
                kept.extend_from_slice(&rest[from..at]);
                from = at + name.len();
            }
            kept.extend_from_slice(&rest[from..]);
            rest = kept;
        }
        prop_assert_eq!(rest, text);
    }
}
