//! README.md: its commands do what it says, and its flags are those of the program.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use lab::{Netns, Process, checkout, empty_folder, static_binary, succeed, wait_for};
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
    // A column without any value is left out, and the namespaces of other tests may have ports.
    let mut documented = columns(&readme);
    let mut shown = columns(&table);
    shown.retain(|column| column != "NETNS");
    documented.retain(|column| shown.contains(column));
    assert_eq!(shown, documented, "{table}");
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
fn every_flag_and_every_command_of_the_docs_is_there_and_the_docs_have_all() {
    let command = Cli::documented();
    let all = std::iter::once(&command).chain(command.get_subcommands());
    let flags: BTreeSet<String> = all
        .flat_map(|command| command.get_arguments())
        .filter_map(|flag| flag.get_long().map(|name| format!("--{name}")))
        .collect();
    let subcommands: BTreeSet<String> = command
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .map(|command| format!("veth-exporter {}", command.get_name()))
        .collect();
    let [readme, page_of_flags] = ["README.md", "docs/flags.md"].map(read);
    for page in [
        "README.md",
        "docs/flags.md",
        "docs/commands.md",
        "docs/runtimes.md",
        "docs/install.md",
        "docs/faq.md",
        "docs/security.md",
        "docs/top.md",
        "docs/names-elsewhere.md",
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
        assert!(page_of_flags.contains(&format!("`{flag}`")), "{flag} is not in docs/flags.md");
    }
    for name in subcommands.iter().filter(|name| !name.ends_with(" serve")) {
        assert!(readme.contains(name), "{name} is not in the README");
    }
}

#[test]
fn the_readme_is_short_and_its_way_into_a_container_is_the_one_that_is_tested() {
    let readme = read("README.md");
    assert!(readme.lines().count() < 150, "{} lines", readme.lines().count());
    let block = |page: &str| {
        let text = read(page);
        let begin = text.find("docker build -t").unwrap_or_else(|| panic!("no docker build in {page}"));
        text[begin..].split("```").next().unwrap().to_owned()
    };
    // The tests of the image run the command of docs/install.md.
    assert_eq!(block("README.md"), block("docs/install.md"));
}

#[test]
fn prometheus_takes_the_scrape_config_of_the_readme() {
    let readme = read("README.md");
    let config = readme.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let file = empty_folder("prometheus").join("prometheus.yml");
    fs::write(&file, config).unwrap();
    let said = succeed(Command::new("promtool").args(["check", "config"]).arg(&file));
    assert!(said.contains("SUCCESS") && config.contains("localhost:10736"), "{said}");
}

/// The commands of the program in the consoles of a page, as they would be typed.
fn typed_commands(page: &str) -> Vec<String> {
    let text = read(page);
    let consoles = text.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let lines = consoles.flat_map(str::lines).filter_map(|line| line.strip_prefix("# "));
    lines.map(|line| line.split('#').next().unwrap().trim().to_owned()).collect()
}

#[test]
fn every_command_of_the_pages_about_list_and_find_is_understood() {
    let (host, web, names) = (Netns::quiet("host"), Netns::quiet("web"), lab::NetnsFolder::new());
    host.veth("veth2c38542", &web, "eth0");
    names.name("web", &web);
    let path = format!(
        "{}:{}",
        std::path::Path::new(lab::Exporter::binary()).parent().unwrap().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let mut seen = 0;
    for line in ["docs/commands.md", "docs/how-it-works.md"].into_iter().flat_map(typed_commands) {
        if !line.starts_with("veth-exporter list") && !line.starts_with("veth-exporter find") {
            continue;
        }
        let mut shell = host.command("sh");
        let output = shell
            .env("PATH", &path)
            .env("VETH_EXPORTER_PATH_NETNS", names.path())
            .args(["-c", &line])
            .output();
        // Most of the names are not here; that is a failure, and no misunderstanding.
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let expected = output.status.success() != said.contains("veth-exporter: ");
        assert!(
            matches!(output.status.code(), Some(0 | 1)) && expected,
            "{line}: {}",
            lab::describe(&output)
        );
        seen += 1;
    }
    assert!(seen >= 8, "{seen}");
}

#[test]
fn tests_run_and_benches_run_explain_themselves() {
    let root = checkout();
    assert!(succeed(Command::new(root.join("tests/run")).arg("--help")).contains("--small"));
    assert!(succeed(Command::new(root.join("benches/run")).arg("--help")).contains("benches/run"));
}
