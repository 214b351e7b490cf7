use super::*;
use crate::exposition::json::PairsAnswer;
use crate::exposition::json::row::PairRow;
use crate::top::state::{KeyPress, Update};
use crate::top::tests::{bridge_pair, pair_of};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

fn state_of(pairs: Vec<PairRow<'static>>) -> ViewState {
    let mut state = ViewState::new("http://localhost:10736".into(), Duration::from_secs(1));
    state.apply(Update::Pairs(PairsAnswer { pairs, ..PairsAnswer::default() }), Duration::ZERO);
    state
}

fn painted(state: &mut ViewState, seconds: u64, columns: u16, rows: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    let theme = Theme { colors: true };
    terminal.draw(|frame| draw(frame, state, Duration::from_secs(seconds), theme)).unwrap();
    terminal.backend().buffer().clone()
}

fn lines(buffer: &Buffer) -> Vec<String> {
    let rows = buffer.content.chunks(usize::from(buffer.area.width.max(1)));
    let text = |row: &[ratatui::buffer::Cell]| row.iter().map(|cell| cell.symbol()).collect::<String>();
    rows.map(|row| text(row).trim_end().to_owned()).collect()
}

fn three() -> ViewState {
    let mut state =
        state_of(vec![pair_of("web", 7, 51_200, 1_000), pair_of("db", 11, 10, 900_000), bridge_pair()]);
    for rate in [0, 10_000, 900_000] {
        let pairs = vec![pair_of("web", 7, 51_200, 1_000), pair_of("db", 11, 10, rate), bridge_pair()];
        state.apply(Update::Pairs(PairsAnswer { pairs, ..PairsAnswer::default() }), Duration::ZERO);
    }
    state
}

#[test]
fn the_table_in_a_wide_terminal() {
    let wanted = "\
veth-exporter top · 3 rows by busy ↓ · http://localhost:10736
WORKLOAD                NETWORK            DEVICE               RECEIVE↓  TRANSMIT↓       PEAK    DROPS LAST 2 MIN
docker/db               front              veth11                 10 B/s   900 kB/s  2.70 MB/s       11                    █
docker/web              front              veth7               51.2 kB/s  1.00 kB/s   154 kB/s        7                    █
-                       -                  veth90 veth91               -          -          -        0

q quit · ? help · / filter · enter details · space pause · < > i sort";
    assert_eq!(lines(&painted(&mut three(), 0, 124, 7)).join("\n"), wanted);
}

#[test]
fn the_table_in_a_narrow_one() {
    let wanted = "\
veth-exporter top · 3 rows by busy ↓ · h
WORKLOAD             RECEIVE↓  TRANSMIT↓
docker/db              10 B/s   900 kB/s
docker/web          51.2 kB/s  1.00 kB/s
-                           -          -
q quit · ? help · / filter · enter detai";
    assert_eq!(lines(&painted(&mut three(), 0, 40, 6)).join("\n"), wanted);
}

#[test]
fn the_details_of_a_pair() {
    let mut state = three();
    state.press(KeyPress::Enter);
    let shown = lines(&painted(&mut state, 0, 160, 50)).join("\n");
    for wanted in [
        "docker/db · paired",
        "rates  receive 10 B/s, 0 packets/s; transmit 900 kB/s, 0 packets/s",
        "network  front",
        "port  11: veth11 in the host, 32:e3:b5:aa:c8:f4, up, mtu 1500, in br-front",
        "interface  2: eth0 in docker/db (nsid 11), 02:42:ac:12:00:02",
        "workload  docker/db, id 81686e7a420d, image shop/app:3",
        "\nrate(veth_container_receive_bytes_total{runtime=\"docker\",container=\"db\",interface=\"eth0\"",
        "\nrate(veth_device_receive_bytes_total{device=\"veth11\",netns=\"\"}[1m])",
        "esc back",
    ] {
        assert!(shown.contains(wanted), "{wanted}\nis not in\n{shown}");
    }
}

#[test]
fn what_is_in_the_way_is_said_and_old_numbers_are_dim_and_called_stale() {
    let mut waiting = ViewState::new("unix:/run/x".into(), Duration::from_secs(1));
    assert!(lines(&painted(&mut waiting, 0, 80, 5))[1].contains("waiting for the first answer"));
    waiting.apply(Update::Failure("connection refused".into()), Duration::ZERO);
    assert_eq!(lines(&painted(&mut waiting, 9, 80, 5))[1], "connection refused; trying again");
    let mut state = three();
    assert!(!painted(&mut state, 1, 80, 6).content.iter().any(|cell| cell.modifier.contains(Modifier::DIM)));
    state.apply(Update::Failure("connection refused".into()), Duration::from_secs(2));
    let buffer = painted(&mut state, 12, 80, 6);
    assert_eq!(lines(&buffer)[1], "STALE, 12 s old: connection refused; trying again");
    for row in [3, 4] {
        assert!(buffer[(0, row)].modifier.contains(Modifier::DIM), "{row}: {:?}", lines(&buffer));
    }
}

#[test]
fn a_host_without_pairs_and_a_filter_without_a_row_are_said() {
    assert!(
        lines(&painted(&mut state_of(vec![]), 0, 80, 6)).iter().any(|line| line.contains("no veth pair"))
    );
    let mut state = three();
    for c in "/none".chars() {
        state.press(KeyPress::Char(c));
    }
    let shown = lines(&painted(&mut state, 0, 80, 6));
    assert!(shown[2].contains("No row fits") && shown[5].starts_with("filter: none"), "{shown:?}");
}

#[test]
fn pairs_that_there_is_no_room_for_are_said() {
    for (summed, wanted) in [(0, ""), (1, "1 more pair is not shown: "), (7, "7 more pairs are not shown: ")]
    {
        let mut state = three();
        state.apply(
            Update::Pairs(PairsAnswer {
                summed,
                pairs: vec![pair_of("web", 1, 1, 1)],
                ..PairsAnswer::default()
            }),
            Duration::ZERO,
        );
        let shown = lines(&painted(&mut state, 0, 120, 6));
        assert!(wanted.is_empty() || shown.iter().any(|line| line.contains(wanted)), "{shown:?}");
        assert_eq!(shown.iter().any(|line| line.contains("not shown")), summed > 0, "{shown:?}");
    }
}

/// Tests sizes from nothing up, in every mode, with hostile names.
#[test]
fn nothing_is_too_small_and_no_name_too_bad() {
    let bad = [
        "\u{1b}[2J\u{1b}[31mred",
        "日本語の名前がとても長い",
        "\u{202e}evil",
        "🦀👩\u{200d}💻",
        "e\u{301}\u{301}",
        "",
    ];
    let mut state = state_of(bad.iter().zip(1..).map(|(name, n)| pair_of(name, n, 5, u64::MAX)).collect());
    state.lacks = vec!["something is missing".repeat(9); 2];
    let modes =
        [Mode::Table, Mode::Filter, Mode::Detail(0), Mode::Detail(u16::MAX), Mode::Help(0), Mode::Help(9)];
    let sizes = (0..30).flat_map(|columns| (0..16).map(move |rows| (columns, rows)));
    for (columns, rows) in sizes.chain([(500, 1), (1, 200), (300, 80)]) {
        for mode in modes {
            state.mode = mode;
            let buffer = painted(&mut state, 0, columns, rows);
            let whole: String = buffer.content.iter().map(|cell| cell.symbol()).collect();
            assert!(!whole.chars().any(char::is_control), "{columns}x{rows} {mode:?}");
        }
    }
}

#[test]
fn wide_characters_do_not_move_the_columns_behind_them() {
    let mut state = state_of(vec![
        pair_of("日本語の名前がとても長いのでこれは切られる", 1, 7, 7),
        pair_of("web", 2, 7, 7),
    ]);
    let buffer = painted(&mut state, 0, 100, 6);
    let column = |row: u16, wanted: &str| (0..100).find(|&x| buffer[(x, row)].symbol() == wanted);
    assert_eq!(column(2, "v"), column(3, "v"), "{:?}", lines(&buffer));
    assert!(column(2, "v").is_some());
    assert!(lines(&buffer)[3].ends_with(" 1"), "{:?}", lines(&buffer));
}

#[test]
fn without_colours_there_is_none() {
    let mut state = three();
    state.lacks.push("a notice".into());
    let mut terminal = Terminal::new(TestBackend::new(120, 20)).unwrap();
    terminal.draw(|frame| draw(frame, &mut state, Duration::ZERO, Theme { colors: false })).unwrap();
    let cells = &terminal.backend().buffer().content;
    assert!(cells.iter().all(|cell| (cell.fg, cell.bg) == (Color::Reset, Color::Reset)));
}

#[test]
fn details_are_scrolled_to_their_last_line_and_no_further_in_a_narrow_window() {
    let mut state = three();
    state.press(KeyPress::Enter);
    for _ in 0..200 {
        painted(&mut state, 0, 40, 14);
        state.press(KeyPress::PageDown);
    }
    let end = lines(&painted(&mut state, 0, 40, 14));
    // The last query is that of the port.
    assert!(end.iter().any(|line| line.contains("netns=\"\"}[1m])")), "{end:#?}");
    state.press(KeyPress::PageUp);
    assert_ne!(lines(&painted(&mut state, 0, 40, 14)), end, "one step back is seen at once");
}

#[test]
fn in_a_narrow_window_the_whole_reason_is_told() {
    let mut state = three();
    let reason = "cannot connect: Connection refused (os error 111)";
    state.apply(Update::Failure(reason.into()), Duration::from_secs(1));
    let text = lines(&painted(&mut state, 9, 40, 14)).join(" ");
    assert!(text.contains("(os error 111); trying again"), "{text}");
    assert!(text.contains("docker/db"), "{text}");
}

#[test]
fn whoever_looks_for_an_ip_address_is_told_who_knows_it() {
    let mut state = three();
    for key in "/172.18.0.2".chars().map(KeyPress::Char) {
        state.press(key);
    }
    let text = lines(&painted(&mut state, 0, 124, 8)).join("\n");
    assert!(text.contains("`veth-exporter find` looks for one"), "{text}");
}
