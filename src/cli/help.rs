//! The texts of the help and of the man pages besides the flags: examples, exit codes, files.

use clap::{Arg, Command, ValueHint};

/// A command line, and what it does.
pub type Example = (&'static str, &'static str);

const SERVE: &[Example] = &[
    ("veth-exporter", "serve the page and /metrics on port 10736 of every address"),
    ("veth-exporter --web.listen-address 127.0.0.1:10736", "serve on one address only"),
    ("veth-exporter --docker.host unix:///run/user/1000/docker.sock", "ask an engine at another address"),
    ("veth-exporter --container.exclude 'ci-.*' --device.metrics=false", "leave out what is not wanted"),
];

const LIST: &[Example] = &[
    ("veth-exporter list", "every pair, as a table"),
    (
        "veth-exporter list shop web",
        "the pairs that have both words in a name, a network, an address, an image ...",
    ),
    ("veth-exporter list --sort=-receive", "the highest received bytes first"),
    ("veth-exporter list --format tsv --no-header", "exact values, for cut and awk"),
    (
        "veth-exporter list --format json | jq '.pairs[].ends[1].workload.container'",
        "the document of the API",
    ),
];

const FIND: &[Example] = &[
    ("veth-exporter find web", "the devices of a container"),
    ("veth-exporter find veth2c38542", "the owner of a device"),
    ("veth-exporter find 172.18.0.2", "the owner of an IP address"),
    ("veth-exporter find 02:42:ac:12:00:02 --format json", "the owner of a MAC address, for programs"),
    ("veth-exporter find 4711", "the owner of an ifindex, or the network of a process"),
];

const EXPLAIN: &[Example] = &[
    ("veth-exporter explain", "everything that is wrong on this host"),
    ("veth-exporter explain web", "a container, and its way to its gateway"),
    ("veth-exporter explain web db", "what stops a packet from one container to another, and the answer"),
    ("veth-exporter explain web db:5432", "the same, and whether anything listens on the port"),
    (
        "veth-exporter explain web 192.0.2.7 --format json",
        "the way to an address that is not here, for programs",
    ),
];

const TOP: &[Example] = &[
    ("veth-exporter top", "this host, read directly"),
    ("veth-exporter top --url localhost:10736", "a running exporter, which takes no privilege"),
    (
        "veth-exporter top --url https://vm1/veth --url.user me --url.password-file secret",
        "one with TLS and a password",
    ),
];

const NAME_FILTER: &[Example] = &[
    ("ip link | veth-exporter name-filter", "the links of this host, with the name of each container"),
    ("tcpdump -l -n -i any | veth-exporter name-filter", "packets, with the container of each port"),
    ("journalctl -kf | veth-exporter name-filter", "the kernel's log"),
    (
        "bridge link | veth-exporter name-filter --url unix:/run/veth.sock",
        "the same with the names of an exporter at another address",
    ),
];

const ANNOTATE: &[Example] =
    &[("veth-exporter annotate --clear", "remove what an exporter that was killed has left")];

const CHECK_WEB_CONFIG: &[Example] = &[(
    "veth-exporter check-web-config /etc/veth-exporter/web.yml",
    "say whether serve would accept the file",
)];

const HEALTHY: &[Example] = &[
    ("veth-exporter healthy", "check the exporter on port 10736 of this host"),
    (
        "veth-exporter healthy --web.listen-address unix:/run/veth.sock",
        "check one that serves on a unix socket",
    ),
];

const COMPLETIONS: &[Example] = &[
    ("veth-exporter completions bash > /etc/bash_completion.d/veth-exporter", "for all users of bash"),
    ("veth-exporter completions zsh > \"${fpath[1]}/_veth-exporter\"", "for zsh"),
    ("veth-exporter completions fish > ~/.config/fish/completions/veth-exporter.fish", "for fish"),
];

/// The description of `list` in its long help.
pub(super) const LIST_IN_FULL: &str = "Print all pairs once, or those that fit some words.\n\nA row is a pair: the port on \
     the host, the other end, and the workload behind it, with the bytes that the workload has received and sent since the \
     pair was made. The state is up, or everything that is wrong with the pair.\n\nA single reading knows no rates: \
     `veth-exporter top` shows them, and follows changes.";

/// The description of `explain` in its long help.
pub(super) const EXPLAIN_IN_FULL: &str = "Say why two ends cannot talk: in the order of the packet's way what stops it, the \
     command that shows the same, and what mends it.\n\nA reason is proved by what the kernel reports. A symptom shows that \
     packets were lost. What is lost only under a condition that cannot be read is possible. No namespace is entered, and \
     what can never be read of another namespace stands under `not checked`.";

/// The description of `annotate` in its long help.
pub(super) const ANNOTATE_IN_FULL: &str = "Remove the aliases that --annotate.alias has written.\n\nAn exporter with that flag \
     removes them at its end; this command removes those of one that was killed. An alias of the exporter ends with \
     [veth-exporter]; no other is changed. It needs CAP_NET_ADMIN, and prints how many aliases it has removed.";

/// The description of `name-filter` in its long help.
pub(super) const NAME_FILTER_IN_FULL: &str = "Put the workload's name behind each veth in the output of another program.\n\n\
     Standard input comes out on standard output, byte for byte and at once; behind each whole word that is a veth of this host \
     stand the workload and its interface: `veth3f2a91c[web eth0]`. Letters, digits, `_`, `-` and `.` belong to a word.\n\n\
     The names are those of the running exporter, else of this host, which is then read directly; they are asked for again \
     once a second while there is input. Nothing on the host is changed.";

/// Returns the examples of a command; those of `serve` for the program itself.
pub(super) fn examples(command: &str) -> &'static [Example] {
    match command {
        "list" => LIST,
        "find" => FIND,
        "explain" => EXPLAIN,
        "top" => TOP,
        "name-filter" => NAME_FILTER,
        "annotate" => ANNOTATE,
        "check-web-config" => CHECK_WEB_CONFIG,
        "healthy" => HEALTHY,
        "completions" => COMPLETIONS,
        _ => SERVE,
    }
}

/// Returns the exit codes of a command, each with its meaning.
pub(super) fn exit_codes(command: &str) -> Vec<(u8, &'static str)> {
    let (success, failure) = match command {
        "list" => ("pairs were printed", "no pair fits the query, or the host's links cannot be read"),
        "find" => ("a pair was found", "nothing was found, or the host's links cannot be read"),
        "explain" => ("nothing was found that stops a packet", "something was found"),
        "top" => ("the user has quit", "there is no terminal, or the host's links cannot be read"),
        "name-filter" => (
            "the input has ended, or the output has no reader any more",
            "the input cannot be read, or the output cannot be written, or the host's links cannot be read",
        ),
        "annotate" => (
            "no alias of the exporter is left",
            "the host's links cannot be read, or an alias cannot be removed",
        ),
        "check-web-config" => ("the file is good", "the file has an error, which the message names"),
        "healthy" => ("the exporter is healthy", "the exporter is not healthy, or cannot be reached"),
        "completions" => ("the script was printed", "the script cannot be printed"),
        _ => ("the program was stopped by SIGTERM or SIGINT", "the program could not start, or has failed"),
    };
    let mut codes =
        vec![(0, success), (1, failure), (2, "a flag, its value or an environment variable is wrong")];
    if command == "explain" {
        codes.push((3, "an end was not found, or a fact that can be read on most hosts could not be read"));
    }
    codes
}

/// Returns the files that a command reads by default, each with its use.
pub(super) fn files(command: &str) -> &'static [(&'static str, &'static str)] {
    match command {
        "annotate" | "healthy" | "completions" => &[],
        "check-web-config" => {
            &[("/etc/veth-exporter/web.yml", "the web configuration file of the Debian package")]
        }
        _ => &[
            ("/var/run/docker.sock", "Docker's API"),
            ("/run/podman/podman.sock", "Podman's API"),
            (
                "/run/containerd/containerd.sock",
                "the Container Runtime Interface, and other usual sockets of it",
            ),
            ("/run/netns", "the named network namespaces of ip-netns(8)"),
            ("/proc", "the processes of namespaces that no runtime claims"),
        ],
    }
}

const VARIABLES: &str = "Each flag has an environment variable: VETH_EXPORTER_ and its name in capitals, with _ for \
                         each dot and dash (VETH_EXPORTER_LOG_LEVEL). A flag counts more than its variable.";

/// Completes a command with all of its commands: short lines without the variables, shared flags in the long
/// help only, examples at the end, and values that a shell can complete.
pub(super) fn dress(command: Command) -> Command {
    let command = command.mut_args(dress_argument).mut_subcommands(|command| {
        let shares = matches!(command.get_name(), "list" | "find" | "explain" | "top" | "name-filter");
        let name = command.get_name().to_owned();
        let command = command.mut_args(|argument| {
            let is_shared = shares && argument.get_help_heading().is_some();
            dress_argument(argument).hide_short_help(is_shared)
        });
        let more = match shares {
            true => "\n\nFlags of engines, sandbox and log: --help",
            false => "",
        };
        let long = format!("{}\n\n{VARIABLES}", examples_text(&name));
        command.after_help(format!("{}{more}", examples_text(&name))).after_long_help(long)
    });
    let notes = format!("{}\n\nHelp of a command: veth-exporter help COMMAND", examples_text("serve"));
    command.after_long_help(format!("{notes}\n\n{VARIABLES}")).after_help(notes)
}

fn examples_text(command: &str) -> String {
    let lines = examples(command).iter().map(|(line, what)| format!("  {line}\n      {what}"));
    format!("Examples:\n{}", lines.collect::<Vec<_>>().join("\n"))
}

/// Hides the variable, which has the flag's name, and has no file completed where no file is meant.
fn dress_argument(argument: Arg) -> Arg {
    let argument = argument.hide_env(true);
    let is_path = matches!(
        argument.get_id().as_str(),
        "config" | "procfs" | "netns" | "read" | "ca_file" | "password_file" | "file"
    );
    match argument.get_value_hint() {
        ValueHint::Unknown if !is_path && argument.get_action().takes_values() => {
            argument.value_hint(ValueHint::Other)
        }
        _ => argument,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Cli;
    use super::*;

    /// Returns the words of a command line, without what a shell does behind it.
    fn words(line: &str) -> Vec<String> {
        let line = line.split([' ', '|', '>']).map(|word| word.trim_matches(['\'', '"']));
        let end = |word: &&str| !word.is_empty() || word == &"";
        line.take_while(end).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn every_example_is_a_command_line_that_the_program_takes() {
        let commands = Cli::commands();
        let mut seen = 0;
        for command in commands.get_subcommands().filter(|command| !command.is_hide_set()) {
            for (line, what) in examples(command.get_name()) {
                let line = line.split(" | ").flat_map(|part| part.split(" > "));
                let line = line.into_iter().find(|part| part.starts_with("veth-exporter")).unwrap();
                let cli = Cli::try_read(words(line)).unwrap_or_else(|error| panic!("{line}: {error}"));
                assert_eq!(cli.command.name(), command.get_name(), "{line}");
                assert!(!what.is_empty());
                seen += 1;
            }
        }
        assert!(seen > 15, "{seen}");
    }

    #[test]
    fn a_short_help_has_the_commands_own_flags_and_the_long_one_has_them_first() {
        let mut commands = Cli::commands();
        commands.build();
        for (name, own) in [
            ("list", "--sort"),
            ("find", "--format"),
            ("explain", "--format"),
            ("top", "--url.user"),
            ("name-filter", "--url.user"),
        ] {
            let command = commands.find_subcommand_mut(name).unwrap();
            let short = command.render_help().to_string();
            assert!(short.contains(own) && !short.contains("--sandbox"), "{short}");
            assert!(short.lines().count() < 45, "{short}");
            let long = command.render_long_help().to_string();
            let place =
                |flag: &str| long.find(&format!(" {flag} ")).unwrap_or_else(|| panic!("{flag} in {long}"));
            assert!(
                place(own) < place("--docker.host") && place("--docker.host") < place("--sandbox.read"),
                "{long}"
            );
            assert!(name != "list" || long.contains("`veth-exporter top` shows them"), "{long}");
            assert!(long.contains("Examples:") && long.contains("VETH_EXPORTER_LOG_LEVEL"), "{long}");
        }
    }

    #[test]
    fn the_help_of_the_program_has_the_commands_and_the_flags_of_serve_below_headings() {
        let help = Cli::documented().render_long_help().to_string();
        let headings = [
            "Commands:",
            "Options:",
            "Web:",
            "Engines:",
            "What is shown:",
            "Limits:",
            "Sandbox:",
            "Log:",
            "Examples:",
        ];
        let places =
            headings.map(|heading| help.find(heading).unwrap_or_else(|| panic!("{heading} in {help}")));
        assert!(places.is_sorted(), "{places:?} {help}");
        assert!(!help.contains("[env:") && help.starts_with("Prometheus exporter that knows"), "{help}");
    }
}
