use super::*;
use crate::exposition::json::PairsAnswer;
use crate::exposition::json::container::{RestartsRow, VethlessRow};
use crate::exposition::json::host::{EngineRow, HostRow};
use crate::exposition::json::problem::ProblemRow;
use crate::exposition::json::row::PairRow;
use crate::top::state::{KeyPress, Update};
use crate::top::tests::{bridge_pair, down, dropping, member, pair_of, problem};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

fn state_of(pairs: Vec<PairRow<'static>>) -> ViewState {
    let mut state = ViewState::new("http://localhost:10736".into(), Duration::from_secs(1));
    state.apply(Update::Pairs(PairsAnswer { pairs, ..PairsAnswer::default() }), Duration::ZERO);
    state
}

fn painted(state: &mut ViewState, seconds: u64, columns: u16, rows: u16) -> Buffer {
    painted_with(state, seconds, (columns, rows), Theme { colors: true })
}

fn painted_with(state: &mut ViewState, seconds: u64, (columns, rows): (u16, u16), theme: Theme) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
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

/// Returns the content of a screen, and below it the styles of its cells: the first letter of the colour, in
/// upper case if it is bold, and `*` for bold without a colour, `_` for reversed, `.` for dim.
fn screen(buffer: &Buffer) -> String {
    let style = |cell: &ratatui::buffer::Cell| {
        let letter = match cell.fg {
            Color::Red => 'r',
            Color::Yellow => 'y',
            Color::Green => 'g',
            Color::Cyan => 'c',
            Color::Magenta => 'm',
            Color::DarkGray => 'd',
            _ => ' ',
        };
        match (cell.modifier.contains(Modifier::BOLD), letter) {
            _ if cell.modifier.contains(Modifier::REVERSED) => '_',
            _ if cell.modifier.contains(Modifier::DIM) => '.',
            (true, ' ') => '*',
            (true, letter) => letter.to_ascii_uppercase(),
            (false, letter) => letter,
        }
    };
    let rows = buffer.content.chunks(usize::from(buffer.area.width));
    let styles: Vec<String> =
        rows.map(|row| row.iter().map(style).collect::<String>().trim_end().to_owned()).collect();
    format!("{}\n---\n{}\n", lines(buffer).join("\n"), styles.join("\n"))
}

/// Compares a screen with the file of this name; `UPDATE_GOLDEN=1` writes the file.
fn assert_golden(name: &str, buffer: &Buffer) {
    let path = format!("{}/src/top/draw/screens/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let screen = screen(buffer);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &screen).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(screen == wanted, "{path} differs (UPDATE_GOLDEN=1 writes it):\n{screen}");
}

fn of(mut pair: PairRow<'static>, project: &str, network: &str, device: &str) -> PairRow<'static> {
    pair.ends[0].place.name = Some(device.to_owned().into());
    pair.ends[1].place.network = network.to_owned().into();
    if let Some(workload) = &mut pair.ends[1].place.workload {
        workload.compose_project = project.to_owned().into();
    }
    pair
}

fn pairs_of_the_shop(busy: u64) -> Vec<PairRow<'static>> {
    let mut vpn = dropping(pair_of("media-gluetun-1", 4, 2_400_000, 310_000), 0);
    vpn.ends[1].place.members = vec![member("media-torrent-1"), member("media-sonarr-1")];
    vec![
        of(dropping(pair_of("shop-web-1", 1, busy, 51_200), 0), "shop", "shop_front", "veth2c38542"),
        of(dropping(pair_of("shop-web-1", 2, 12_000, 900_000), 0), "shop", "shop_back", "vethb3d1a8f"),
        of(
            dropping(pair_of("shop-database-1", 3, 130_000_000, 4_000), 0),
            "shop",
            "shop_back",
            "veth77aa001",
        ),
        of(vpn, "media", "media_default", "veth0f00ba7"),
        of(dropping(pair_of("shop-payment-gateway-1", 5, 50_000, 600), 990), "shop", "shop_back", "veth5"),
        of(dropping(pair_of("shop-mailer-1", 6, 0, 0), 0), "shop", "shop_front", "veth6"),
        of(dropping(pair_of("metrics", 7, 0, 300), 0), "", "bridge", "veth1111111"),
    ]
}

/// Returns a host with problems, members, and workloads without a veth.
fn shop() -> ViewState {
    let without = |name: &str, state: &'static str, text: &'static str, since| VethlessRow {
        workload: member(name),
        state: state.into(),
        text: text.into(),
        since,
        ..VethlessRow::default()
    };
    let mut loses = down("shop-payment-gateway-1", 5);
    loses.text = "docker/shop-payment-gateway-1 loses 33 % of its packets".into();
    loses.kind = "drops".into();
    loses.severity = "warning".into();
    let source = ProblemRow { since: Some(1_060.0), ..problem("source", "notice", "podman: no socket") };
    let answer = |busy| PairsAnswer {
        host: HostRow {
            name: "vm1".into(),
            kernel: "6.18.2".into(),
            engines: vec![EngineRow { runtime: "docker".into(), version: "28.5.2".into() }],
            ..HostRow::default()
        },
        problems: vec![down("shop-mailer-1", 6), loses.clone(), source.clone()],
        workloads: vec![
            without("media-torrent-1", "running", "in docker/media-gluetun-1's network namespace", None),
            without("node-exporter", "running", "uses the host's network", None),
            without("shop-worker-1", "restarting", "restarting", None),
            without("shop-migrate-1", "stopped", "ended with exit code 1", Some(1_000.0)),
        ],
        restarts: vec![RestartsRow {
            runtime: "docker".into(),
            workload: "shop-worker-1".into(),
            id: "id-of-shop-worker-1".into(),
            count: 54,
            since: Some(1_000.0),
        }],
        pairs: pairs_of_the_shop(busy),
        ..PairsAnswer::default()
    };
    let mut state = ViewState::new("http://vm1:10736".into(), Duration::from_secs(1));
    state.epoch = Duration::from_secs(1_180);
    for second in 0..100_u64 {
        state.apply(Update::Pairs(answer(900 * second.pow(2))), Duration::ZERO);
    }
    state
}

#[test]
fn golden_screens() {
    for (columns, rows) in [(40, 12), (80, 24), (200, 50)] {
        for colors in [true, false] {
            let name = format!("{columns}x{rows}{}", if colors { "" } else { "-no-color" });
            let theme = Theme { colors };
            assert_golden(&name, &painted_with(&mut shop(), 0, (columns, rows), theme));
        }
    }
    for (keys, name) in [("o", "grouped"), ("!", "problems"), ("?", "help"), ("\n", "details")] {
        let mut state = shop();
        for key in keys.chars() {
            state.press(if key == '\n' { KeyPress::Enter } else { KeyPress::Char(key) });
        }
        assert_golden(name, &painted(&mut state, 0, 100, 40));
    }
}

#[test]
fn an_older_exporter_without_the_new_fields_is_shown() {
    let shown = lines(&painted(&mut three(), 0, 124, 10));
    assert_eq!(shown[0], "veth-exporter top · http://localhost:10736");
    assert_eq!(shown[1], "3 pairs · receive 51.2 kB/s · transmit 901 kB/s · by busy ↓");
    assert!(shown[2].starts_with("  WORKLOAD"), "{shown:?}");
    assert!(shown[3].starts_with("  db") && !shown.join("").contains("problem ·"), "{shown:?}");
}

/// Tests the time of an answer and a painting, with a filter and groups, at 5,000 rows.
#[test]
fn five_thousand_rows_are_quick() {
    let pairs: Vec<_> = (0..5_000).map(|n| pair_of(&format!("container-{n}"), n, u64::from(n), 9)).collect();
    let mut state = state_of(pairs.clone());
    let problems: Vec<_> = (0..500).map(|n| down(&format!("container-{n}"), n)).collect();
    let took = |state: &mut ViewState, answer: PairsAnswer| {
        let begin = std::time::Instant::now();
        state.apply(Update::Pairs(answer), Duration::ZERO);
        painted(state, 0, 200, 50);
        begin.elapsed()
    };
    let mut best = Duration::MAX;
    for keys in ["", "o", "o", "o", "/cont"] {
        keys.chars().for_each(|key| _ = state.press(KeyPress::Char(key)));
        let answer =
            PairsAnswer { pairs: pairs.clone(), problems: problems.clone(), ..PairsAnswer::default() };
        let took = took(&mut state, answer);
        println!("{keys:?}: {took:?}");
        best = best.min(took);
    }
    // A debug build on a busy machine: what is quadratic takes minutes.
    assert!(best < Duration::from_secs(5), "{best:?}");
}

#[test]
fn the_details_of_a_pair() {
    let mut state = three();
    state.press(KeyPress::Enter);
    let shown = lines(&painted(&mut state, 0, 160, 50)).join("\n");
    for wanted in [
        "docker/db · paired",
        "rates  receive 10 B/s, 0 packets/s; transmit 900 kB/s, 0 packets/s",
        "11 dropped; sent",
        "network  front",
        "port  11: veth11 in the host, 32:e3:b5:aa:c8:f4, up, mtu 1500, in br-front",
        "interface  2: eth0 in docker/db (nsid 11), 02:42:ac:12:00:02",
        "workload  docker/db, id 81686e7a420d, image shop/app:3",
        "\nrate(veth_container_receive_bytes_total{runtime=\"docker\",container=\"db\",interface=\"eth0\"",
        "\nrate(veth_device_receive_bytes_total{device=\"veth11\",netns=\"\"}[5m])",
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

/// Returns a host all of whose names are hostile, with open details.
fn hostile() -> ViewState {
    let long = "\u{202e}x".repeat(50) + "abc";
    assert_eq!(long.len(), 203);
    let names = [
        &*long,
        "\u{1b}[2J\u{1b}[31mred",
        "日本語の名前がとても長い",
        "\u{202e}evil",
        "🦀👩\u{200d}💻",
        "e\u{301}\u{301}",
        "",
    ];
    let pair = |(name, n): (&&str, u32)| {
        let mut pair = dropping(pair_of(name, n, 5, u64::MAX), u64::MAX);
        pair.ends[1].place.members = vec![member(name); 2];
        of(pair, name, name, name)
    };
    let problem = |name: &&str| {
        let mut problem = down(name, 1);
        problem.subject.device = name.to_string().into();
        (problem.kind, problem.remedy) = (name.to_string().into(), name.to_string().into());
        problem
    };
    let without = |name: &&str| VethlessRow {
        workload: member(name),
        text: name.to_string().into(),
        owner: name.to_string().into(),
        ..VethlessRow::default()
    };
    let answer = PairsAnswer {
        host: HostRow {
            name: long.clone().into(),
            kernel: "\u{1b}k".into(),
            engines: vec![EngineRow { runtime: "\u{7}".into(), version: "\u{9b}2J".into() }],
            ..HostRow::default()
        },
        problems: names.iter().map(problem).collect(),
        workloads: names.iter().map(without).collect(),
        pairs: names.iter().zip(1..).map(pair).collect(),
        ..PairsAnswer::default()
    };
    let mut state = ViewState::new("here".into(), Duration::from_secs(1));
    state.apply(Update::Pairs(answer), Duration::ZERO);
    state.lacks = vec!["something is missing".repeat(9); 2];
    state.press(KeyPress::Enter);
    let (row, _) = state.opened().unwrap();
    assert_eq!(row.trouble.severity(), 3);
    state
}

/// Tests sizes from nothing up, in every mode, with hostile names.
#[test]
fn nothing_is_too_small_and_no_name_too_bad() {
    let mut state = hostile();
    let modes = [
        Mode::Table,
        Mode::Filter,
        Mode::Detail(0),
        Mode::Detail(u16::MAX),
        Mode::Help(0),
        Mode::Help(9),
        Mode::Problems(u16::MAX),
    ];
    let sizes = (0..30).flat_map(|columns| (0..16).map(move |rows| (columns, rows)));
    for (columns, rows) in sizes.chain([(500, 1), (1, 200), (300, 80), (120, 90), (80, 24)]) {
        for mode in modes {
            state.mode = mode;
            let buffer = painted(&mut state, 0, columns, rows);
            let whole: String = buffer.content.iter().map(|cell| cell.symbol()).collect();
            assert!(!whole.chars().any(crate::model::text::misleads), "{columns}x{rows} {mode:?}");
        }
        state.mode = Mode::Table;
        state.press(KeyPress::Char('o'));
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
    let place = |row: u16| (0..100).find(|&x| buffer[(x, row)].symbol() == "/");
    assert_eq!(place(2), place(3), "{:?}", lines(&buffer));
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
    assert!(end.iter().any(|line| line.contains("netns=\"\"}[5m])")), "{end:#?}");
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
    assert!(text.contains(" db "), "{text}");
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
