//! README.md: its commands do what it says, and its flags are those of the program.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use clap::CommandFactory as _;
use lab::{Netns, Process, checkout, static_binary, succeed, wait_for};
use veth_exporter::cli::Cli;

fn read(page: &str) -> String {
    fs::read_to_string(checkout().join(page)).unwrap()
}

fn chapter<'a>(readme: &'a str, title: &str) -> &'a str {
    readme.split(&format!("\n## {title}\n")).nth(1).unwrap().split("\n## ").next().unwrap()
}

/// What stands behind the prompts of the first console.
fn console(readme: &str) -> Vec<&str> {
    let block = readme.split("```console\n").nth(1).unwrap().split("```").next().unwrap();
    block.lines().filter_map(|line| line.strip_prefix("# ")).collect()
}

/// The first of its two commands, in this checkout, as a process that serves. It is the build that the image has: so it is made once, and by
/// the same profile.
fn cargo_run(host: &Netns, command: &str) -> Process {
    let binary = static_binary();
    let (target, folder) = (binary.ancestors().nth(2).unwrap(), binary.ancestors().nth(3).unwrap());
    let mut shell = host.command("sh");
    shell.args(["-c", &format!("exec {command}")]).current_dir(checkout());
    shell.env("CARGO_TARGET_DIR", folder).env("CARGO_BUILD_TARGET", target.file_name().unwrap());
    shell.env("RUSTFLAGS", "-C target-feature=+crt-static").env_remove("DOCKER_HOST");
    Process::start("cargo run", &mut shell)
}

#[test]
fn cargo_run_serves_and_the_commands_of_the_first_example_work_beside_it() {
    let readme = read("README.md");
    let two = chapter(&readme, "Two commands");
    let commands: Vec<&str> = two.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    assert_eq!(commands, ["cargo run --release --locked", "tests/run"]);
    let (host, web) = (Netns::quiet("host"), Netns::quiet("web"));
    host.veth("veth2c38542", &web, "eth0");
    let mut running = cargo_run(&host, commands[0]);
    running.wait_for_line(Duration::from_secs(60), "it listens", |line| {
        line.contains("msg=listening").then_some(())
    });
    let [list, curl] = console(&readme)[..] else { panic!("two commands in the first example") };
    let path = format!(
        "{}:{}",
        static_binary().parent().unwrap().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let said = |command: &str| succeed(host.command("sh").env("PATH", &path).args(["-c", command]));
    wait_for(Duration::from_secs(10), "the pair is in the metrics", || {
        let metrics = said(curl);
        if metrics.contains("veth_device_info{device=\"veth2c38542\"") { Ok(()) } else { Err(metrics) }
    });
    let table = said(list);
    let columns = |text: &str| -> Vec<String> {
        let header = text.lines().find(|line| line.starts_with("DEVICE ")).unwrap();
        header.split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(columns(&table), columns(&readme), "{table}");
    assert!(table.contains(":veth2c38542 "), "{table}");
    assert_eq!(running.terminate(Duration::from_secs(5)).code(), Some(0));
}

/// The words of a text that begin with this, as far as they are made of letters and what may join them.
fn words<'a>(text: &'a str, begin: &str) -> BTreeSet<&'a str> {
    let inside = |c: char| c.is_ascii_lowercase() || ".-".contains(c);
    let words = text.match_indices(begin).map(|(at, _)| &text[at..]);
    words.map(|rest| rest.split(|c| !inside(c)).next().unwrap().trim_end_matches(['.', '-'])).collect()
}

#[test]
fn every_flag_and_every_command_of_the_readme_and_the_docs_is_there_and_the_readme_has_all() {
    let command = Cli::command();
    let all = std::iter::once(&command).chain(command.get_subcommands());
    let flags: BTreeSet<String> = all
        .flat_map(|command| command.get_arguments())
        .filter_map(|flag| flag.get_long().map(|name| format!("--{name}")))
        .collect();
    let subcommands: BTreeSet<String> =
        command.get_subcommands().map(|command| format!("veth-exporter {}", command.get_name())).collect();
    let readme = read("README.md");
    for page in [
        "README.md",
        "docs/install.md",
        "docs/faq.md",
        "docs/security.md",
        "docs/top.md",
        "docs/web-config.md",
    ] {
        let text = read(page);
        // Ours have a dot; those of other programs here have none.
        for flag in words(&text, "--").into_iter().filter(|flag| flag.contains('.')) {
            assert!(flags.contains(flag), "{page}: there is no {flag}");
        }
        for called in words(&text, "`veth-exporter ").into_iter().filter_map(|word| word.strip_prefix('`')) {
            assert!(subcommands.contains(called), "{page}: there is no `{called}`");
        }
    }
    for flag in flags.iter().filter(|flag| flag.contains('.')) {
        assert!(readme.contains(&format!("`{flag}`")), "{flag} is not in the README");
    }
    for name in subcommands.iter().filter(|name| !name.ends_with(" serve")) {
        assert!(readme.contains(name), "{name} is not in the README");
    }
}

#[test]
fn tests_run_and_benches_run_explain_themselves() {
    let root = checkout();
    assert!(succeed(Command::new(root.join("tests/run")).arg("--help")).contains("--small"));
    assert!(succeed(Command::new(root.join("benches/run")).arg("--help")).contains("benches/run"));
}
