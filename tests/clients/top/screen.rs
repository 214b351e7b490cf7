//! What is shown, and what keys do.

use std::time::Duration;

use super::terminal::Terminal;
use super::{Host, PATIENCE};
use lab::{DockerEngine, Exporter, Netns, empty_folder, needs_engine, wait_for};

/// The cells of the row that begins with this word.
fn row(terminal: &Terminal, workload: &str) -> Result<Vec<String>, String> {
    let text = terminal.text();
    let begins = |line: &&str| line.split_whitespace().next() == Some(workload);
    let line = text.lines().find(begins).ok_or(text.clone())?;
    // `51.2 kB/s` is one cell.
    let mut cells: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        match cells.last_mut() {
            Some(number) if word.ends_with("B/s") => *number = format!("{number} {word}"),
            _ => cells.push(word.to_owned()),
        }
    }
    Ok(cells)
}

/// Sends until the row's transmit and peak show it.
fn traffic_is_seen(host: &Host, terminal: &Terminal) {
    wait_for(PATIENCE, "web's traffic is shown", || {
        host.send(0, 500);
        let cells = row(terminal, "web")?;
        // Workload, network, device, receive, transmit, drops, packets, peak.
        let many = |cell: &String| cell.ends_with("kB/s") || cell.ends_with("MB/s");
        if many(&cells[4]) && many(&cells[7]) && cells[3] == "0 B/s" { Ok(()) } else { Err(terminal.text()) }
    });
}

fn keys_do_what_they_say(host: &Host, mut terminal: Terminal) {
    terminal.wait_for_text("vethdb");
    assert!(terminal.is_taken());
    traffic_is_seen(host, &terminal);
    wait_for(PATIENCE, "web's rate is 0 again, and its peak is not", || {
        let cells = row(&terminal, "web")?;
        if cells[4] == "0 B/s" && cells[7] != "0 B/s" { Ok(()) } else { Err(terminal.text()) }
    });
    terminal.press("w");
    terminal.wait_for_rows(&["db", "web"]);
    terminal.press("p");
    terminal.wait_for_rows(&["web", "db"]);
    terminal.press("p");
    terminal.wait_for_rows(&["db", "web"]);
    // Two letters might be in a MAC address as well.
    terminal.press("/VETHDB\r");
    terminal.wait_for_rows(&["db"]);
    terminal.wait_for_text("1 of 2 rows");
    terminal.press("\x1b");
    // What is typed at once behind an escape would be a key with Alt.
    terminal.wait_until_gone("filter:");
    terminal.press("d\r");
    terminal.wait_for_text("in db (nsid ");
    let mac = &host.containers[1].ip_json(["link", "show", "eth0"])[0]["address"];
    terminal.wait_for_text(mac.as_str().unwrap());
    terminal.wait_for_text("veth_container_receive_bytes_total{runtime=\"named\",container=\"db\"");
    terminal.press("j");
    terminal.wait_for_text("in web (nsid ");
    terminal.press("q");
    terminal.wait_until_gone("nsid");
    terminal.press("?");
    terminal.wait_for_text("any other key: back");
    terminal.press("x ");
    terminal.wait_for_text("PAUSED");
    let paused = row(&terminal, "web").unwrap();
    host.send(0, 500);
    // Two more answers, at least.
    let quiet = std::time::Instant::now();
    wait_for(PATIENCE, "nothing moves", || {
        assert_eq!(row(&terminal, "web").unwrap(), paused);
        if quiet.elapsed() > Duration::from_millis(2_500) { Ok(()) } else { Err("a moment") }
    });
    terminal.press(" ");
    terminal.wait_until_gone("PAUSED");
    traffic_is_seen(host, &terminal);
    terminal.press("q");
    assert_eq!(terminal.ended_and_restored().code(), Some(0));
    assert_eq!(terminal.text().trim(), "", "nothing is left on the user's screen");
}

#[test]
fn keys_do_what_they_say_and_traffic_is_seen_with_an_exporter() {
    let host = Host::new();
    let exporter = host.exporter(&[]);
    let terminal = host.top_of(&format!("http://{}", exporter.address()), &[]);
    keys_do_what_they_say(&host, terminal);
}

#[test]
fn keys_do_what_they_say_and_traffic_is_seen_without_one() {
    let host = Host::new();
    let terminal = host.top(&[]);
    keys_do_what_they_say(&host, terminal);
}

#[test]
fn pairs_come_and_go() {
    let mut host = Host::new();
    let terminal = host.top(&["--interval", "200ms"]);
    terminal.wait_for_text("2 pairs");
    host.add("new", "vethnew");
    terminal.wait_for_text("vethnew");
    host.netns.ip(["link", "del", "vethweb"]);
    terminal.wait_until_gone("vethweb");
}

#[test]
fn a_port_that_goes_down_comes_first_with_a_mark_and_its_remedy() {
    let host = Host::new();
    let exporter = host.exporter(&[]);
    let mut terminal = host.top_of(&format!("http://{}", exporter.address()), &[]);
    terminal.press("w");
    terminal.wait_for_rows(&["db", "web"]);
    terminal.wait_for_text("WORKLOAD↑ (named)");
    host.netns.ip(["link", "set", "vethweb", "down"]);
    terminal.wait_for_text("1 problem: ");
    terminal.wait_for("web is first, with its mark", |text| {
        let mut rows = text.lines().skip_while(|line| !line.contains("WORKLOAD"));
        rows.nth(1)?.starts_with("! web ").then_some(())
    });
    terminal.press("!");
    terminal.wait_for_text("! link down for ");
    terminal.press("q");
    terminal.wait_for_text("WORKLOAD");
    terminal.press("/web\r\r");
    terminal.wait_for_text("switched off");
    terminal.wait_for_text("! link down for ");
    host.netns.ip(["link", "set", "vethweb", "up"]);
    terminal.wait_until_gone("link down for");
    terminal.wait_until_gone("1 problem");
    terminal.press("\x03");
    terminal.ended_and_restored();
}

#[test]
fn rows_are_grouped_and_arrows_fold_them() {
    let host = Host::new();
    let mut terminal = host.top(&[]);
    terminal.press("w");
    terminal.wait_for_rows(&["db", "web"]);
    terminal.press("ooo");
    terminal.wait_for_text("▾ named/db (1 row)");
    terminal.wait_for_rows(&["▾", "db", "▾", "web"]);
    // The first line is chosen, whichever it is.
    terminal.press("\x1b[D");
    terminal.wait_for_rows(&["▸", "▾", "web"]);
    terminal.press("\x1b[C");
    terminal.wait_for_rows(&["▾", "db", "▾", "web"]);
    terminal.press("o");
    terminal.wait_for_rows(&["db", "web"]);
    terminal.press("q");
    terminal.ended_and_restored();
}

#[test]
fn names_that_a_terminal_would_obey_are_shown_as_text() {
    let mut host = Host::new();
    host.join("t\u{1b}]0;evil\u{7}\u{1b}[2J", "e\u{1b}[31mvil");
    host.join("\u{202e}turned", "vturned");
    host.join("日本語の名前", "v日本");
    let exporter = host.exporter(&[]);
    let mut terminal = host.top_of(&format!("http://{}", exporter.address()), &[]);
    terminal.wait_for_text("5 pairs");
    terminal.press("w");
    for words in [r" t\x1b]0;evil\x07\x1b[2J", r"e\x1b[31mvil", r" \u{202e}turned", " 日本語の名前", "v日本"]
    {
        terminal.wait_for_text(words);
    }
    // All rows have the same numbers, and so the same columns behind the names.
    let seen = terminal.wait_for("all have rates", |text| {
        let rows = text.lines().skip_while(|line| !line.contains("WORKLOAD"));
        let rates: usize = rows.map(|row| row.matches(" 0 B/s").count()).sum();
        (rates == 3 * 5).then(|| text.to_owned())
    });
    let column = |name: &str, part: &str| {
        let line = seen.lines().find(|line| line.contains(name)).unwrap();
        // Wide characters are two columns.
        let wide = |c: char| if c as u32 >= 0x3000 { 2 } else { 1 };
        line[..line.find(part).unwrap()].chars().map(wide).sum::<usize>()
    };
    for name in ["日本語", "turned", "evil"] {
        assert_eq!(column(name, " 0 B/s"), column("vethweb", " 0 B/s"), "{name}:\n{seen}");
    }
    terminal.press("/evil\r\r");
    terminal.wait_for_text(r#"container="t\\x1b]0;evil\\x07\\x1b[2J""#);
    let raw = terminal.raw();
    for obeyed in ["\u{1b}]0;", "\u{7}", "\u{202e}"] {
        assert!(!raw.contains(obeyed), "{obeyed:?} was written");
    }
    terminal.press("\x03");
    terminal.ended_and_restored();
}

#[test]
fn windows_of_any_size_are_painted_and_a_change_is_seen() {
    let host = Host::new();
    let mut terminal = host.top(&[]);
    terminal.wait_for_text("vethweb");
    for (rows, columns) in [(2, 3), (1, 1), (3, 10), (60, 300), (1, 200), (200, 1)] {
        terminal.resize(rows, columns);
        terminal.press("\r?\x0cx");
    }
    terminal.resize(20, 60);
    terminal.press("\x0c");
    terminal.wait_for_text("vethweb");
    terminal.wait_for_text("RECEIVE");
    assert!(!terminal.text().contains("PEAK"), "there is no room for it:\n{}", terminal.text());
    for column in ["DROPS/S", "LAST 2 MIN"] {
        terminal.resize(24, 80);
        terminal.wait_for_text(column);
    }
    terminal.resize(20, 150);
    terminal.wait_for_text("PEAK");
    terminal.press("\x03");
    assert_eq!(terminal.ended_and_restored().code(), Some(0));
}

#[test]
fn no_color_is_heeded() {
    let host = Host::new();
    let words =
        [&["top"], &host.names.arguments()[..], &["--collector.disable", "docker,podman,cri"]].concat();
    let colored = |value| {
        let environment = [("NO_COLOR", value)];
        let mut terminal = Terminal::start(&host.netns, Exporter::binary(), &words, &environment, (30, 120));
        terminal.wait_for_text("vethweb");
        terminal.press("q");
        terminal.ended_and_restored();
        let raw = terminal.raw();
        ["38;5;6", "38;5;3"].iter().any(|code| raw.contains(code))
    };
    assert!(!colored("1"));
    assert!(colored(""), "an empty one means nothing");
}

#[test]
fn what_is_missing_is_said_as_list_says_it() {
    let host = Host::new();
    let own = host.names.arguments();
    // Root without a capability.
    let bare = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
    let mut said = host.netns.command(bare[0]);
    let output = said.args(&bare[1..]).args([Exporter::binary(), "list"]).args(own).output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("no CAP_NET_ADMIN: the names and addresses"), "{log}");
    let words =
        [&bare[1..], &[Exporter::binary(), "top"], &own, &["--collector.disable", "docker,podman,cri"]]
            .concat();
    let mut terminal = Terminal::start(&host.netns, bare[0], &words, &[], (30, 120));
    terminal.wait_for_text("no CAP_NET_ADMIN: the names and addresses");
    terminal.press("?");
    // Whole, over several lines.
    terminal.wait_for_text("or run as root");
}

#[test]
fn a_container_of_docker_is_shown_with_its_network_and_goes() {
    needs_engine!();
    let engine = DockerEngine::get();
    let network = engine.network("net");
    let web = engine.run_idle("web", &["--network", network.name()]);
    let folder = empty_folder("n").display().to_string();
    let words =
        ["top", "--docker.host", engine.host(), "--path.netns", &folder, "--collector.disable", "podman,cri"];
    let netns: &Netns = engine.netns();
    let mut terminal = Terminal::start(netns, Exporter::binary(), &words, &[], (40, 200));
    terminal.wait_for_text(web.name());
    terminal.press(&format!("/{}\r\r", web.name()));
    terminal.wait_for_text(&web.host_device(netns, "eth0"));
    terminal.wait_for_text(web.id());
    terminal.wait_for_text(&format!("network  {}", network.name()));
    drop(web);
    terminal.wait_for_text("GONE");
    terminal.press("\x1b");
    terminal.wait_for_text(" 0 of ");
    terminal.press("\x1bq");
}

#[test]
fn the_queries_in_the_details_name_series_that_the_exporter_has() {
    let host = Host::new();
    let exporter = host.exporter(&[]);
    let mut terminal = host.top_of(&format!("http://{}", exporter.address()), &[]);
    terminal.wait_for_text("vethdb");
    terminal.resize(60, 120);
    terminal.press("/vethdb\r\r");
    terminal.wait_for_text("veth_device_transmit_bytes_total{");
    let text = terminal.text();
    let queries: Vec<&str> =
        text.lines().filter(|line| line.contains("veth_") && line.contains('{')).collect();
    assert_eq!(queries.len(), 6, "{text}");
    let metrics = exporter.wait_for(PATIENCE, "peaks", |metrics| {
        let peaks = metrics.all("veth_container_receive_peak_bytes_per_second").len();
        (peaks == 2).then(|| metrics.clone())
    });
    for query in queries {
        let selector = query.trim().trim_start_matches("rate(").trim_end_matches("[5m])");
        // What is empty in a selector is no label of the series.
        let selector = selector.replace(",netns=\"\"", "");
        let begins = selector.trim_end_matches('}');
        assert!(metrics.text.lines().any(|line| line.starts_with(begins)), "{query}\n{}", metrics.text);
    }
}
