//! The walk of docs/explain.md, run in a namespace: what its commands print is what the page says. `UPDATE_GOLDEN=1` writes the page.

use std::path::Path;

use super::*;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/explain.md");

/// The start of a line with a command.
const COMMAND: &str = "    $ ";

/// Returns what a command of the page prints in the ground's host.
fn output_of(ground: &Ground, command: &str) -> String {
    let output = match command.strip_prefix("veth-exporter ") {
        Some(words) => {
            let words = words.split(' ').chain(ground.folder.arguments());
            Exporter::command(&ground.host, &words.collect::<Vec<_>>()).output().unwrap()
        }
        None => ground.host.exec(["sh", "-c", command]),
    };
    assert!(output.stderr.is_empty(), "{command}: {}", describe(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the lines of the walk with what its commands print now.
fn walked(ground: &Ground, walk: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut is_output = false;
    for line in walk.lines() {
        if let Some(command) = line.strip_prefix(COMMAND) {
            lines.push(line.to_owned());
            let output = output_of(ground, command);
            lines.extend(output.trim_end().lines().map(|line| format!("    {line}").trim_end().to_owned()));
            is_output = true;
        } else if !line.is_empty() && !line.starts_with("    ") {
            lines.extend(is_output.then(String::new));
            lines.push(line.to_owned());
            is_output = false;
        } else if !is_output {
            lines.push(line.to_owned());
        }
    }
    lines.push(String::new());
    lines
}

/// Leaves out the times of a ping.
fn without_times(line: &str) -> &str {
    if line.starts_with("    rtt ") { "    rtt" } else { line }
}

#[test]
fn every_command_of_the_walk_prints_what_the_page_says() {
    let ground = Ground::new(0);
    for setting in ["all.rp_filter=0", "default.rp_filter=0", "all.accept_local=0", "default.accept_local=0"]
    {
        sysctl(&ground.host, &format!("net.ipv4.conf.{setting}"));
    }
    let page = std::fs::read_to_string(Path::new(PAGE)).unwrap();
    let begin = page.find("## A walk").unwrap();
    let end = begin + page[begin..].find("\n## What is found").unwrap() + 1;
    let lines = walked(&ground, &page[begin..end]);
    assert!(lines.iter().filter(|line| line.starts_with(COMMAND)).count() > 10);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        let walk: String = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(PAGE, [&page[..begin], &walk, &page[end..]].concat()).unwrap();
        return;
    }
    let seen: Vec<&str> = lines.iter().map(|line| without_times(line)).collect();
    let said: Vec<&str> = page[begin..end].lines().map(without_times).collect();
    assert_eq!(seen, said, "docs/explain.md: UPDATE_GOLDEN=1 writes it");
}
