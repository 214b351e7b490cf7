//! The docs: links lead somewhere, blocks are what they say, the list of metrics is that of the program, and so are the messages.
//! `UPDATE_GOLDEN=1` writes docs/metrics.md; read the difference before it goes in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use lab::{Exporter, Exposition, Netns, checkout, describe, empty_folder, folder, succeed, wait_for};
use veth_exporter::testing::exposition::families::{DropsOf, FAMILIES, Series, Type};
use veth_exporter::testing::exposition::telemetry::Telemetry;
use veth_exporter::testing::model::problems::{Problem, ProblemKind, Severity, Subject};
use veth_exporter::testing::model::state::StateStatus;
use veth_exporter::testing::model::view::{Condition, Scene, ShownDrops, Source, SourceStatus, Status, View};
use veth_exporter::testing::model::workload::Runtime;

/// Every page, with its text.
fn pages() -> BTreeMap<PathBuf, String> {
    let folders = ["", "docs", "dashboards"].map(|folder| checkout().join(folder));
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let pages = files.map(|entry| entry.unwrap().path());
    let pages = pages.filter(|path| path.extension().is_some_and(|ending| ending == "md"));
    pages.map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

// ---------------------------------------------------------------- docs/metrics.md

const WORKLOAD: &str = "`runtime`, `container`, `namespace`, `pod`, `interface`, `network`";

/// As the text format says it, which has no type for information.
fn word(kind: Type) -> &'static str {
    match kind {
        Type::Counter => "counter",
        Type::Gauge | Type::Info => "gauge",
    }
}

fn labels(series: Series) -> String {
    match series {
        Series::Starts | Series::StartTime | Series::StaleMember | Series::Tcp(_) => {
            "`runtime`, `container`, `namespace`, `pod`".to_owned()
        }
        Series::DeviceCounter(_) | Series::DeviceState(_) | Series::PeerState(_) => {
            format!("`device`, `netns`, {WORKLOAD}")
        }
        Series::DeviceInfo => format!(
            "`device`, `netns`, {WORKLOAD}, `ifindex`, `peer_ifindex`, `peer_netns`, `bridge`, `kind`, `master`, \
             `master_kind`, `address`, `peer_address`, `container_id`, `image`"
        ),
        Series::DeviceQueue(_) => format!("`device`, `netns`, {WORKLOAD}, `kind`"),
        Series::Workload(_) | Series::Peak(_) => WORKLOAD.to_owned(),
        Series::WorkloadInfo => "`runtime`, `container`, `namespace`, `pod`, `container_id`, `image`, \
                                 `network_owner`, `parent`, `compose_project`, `compose_service`"
            .to_owned(),
        Series::Network(_) | Series::NetworkMembers => "`runtime`, `network`".to_owned(),
        Series::NetworkInfo => {
            "`runtime`, `network`, `network_id`, `driver`, `bridge`, `subnet`, `gateway`, `subnet_ipv6`, \
                                `internal`, `ipv6`"
                .to_owned()
        }
        Series::StackDrops(DropsOf::Workloads) => {
            "`runtime`, `container`, `namespace`, `pod`, `reason`".to_owned()
        }
        Series::StackDrops(_) => "`reason`".to_owned(),
        Series::AddressesUsed | Series::AddressesSize => "`runtime`, `network`, `subnet`".to_owned(),
    }
}

/// The labels that say how the process is confined; docs/sandbox.md has their values.
const SANDBOX: [(&str, &str); 5] = [
    ("capabilities", "none"),
    ("no_new_privs", "true"),
    ("dumpable", "false"),
    ("seccomp", "full"),
    ("landlock", "full"),
];

/// The exporter's own families: name, type, labels, help.
fn telemetry() -> Vec<(String, String, String, String)> {
    // A family with labels is shown once it has a series.
    let answered = SourceStatus::new(Ok(()), Duration::ZERO);
    let status = Status {
        sources: [(Source::Links, answered)].into(),
        resyncs: [("start", 1)].into(),
        engine_requests: [((Runtime::Docker, "containers"), 1)].into(),
        ..Status::default()
    };
    let subject = Subject { runtime: Some(Runtime::Docker), ..Subject::default() };
    let problem = Problem {
        kind: ProblemKind::Drops,
        severity: Severity::Notice,
        subject,
        since: Duration::ZERO,
        text: String::new(),
        remedy: String::new(),
    };
    let drops = Some(ShownDrops::default());
    let condition = Condition { problems: Arc::new(vec![problem]), drops, ..Condition::default() };
    let view = View { scene: Scene { pods: true, ..Scene::default() }.into(), condition, ..View::default() };
    let families =
        Telemetry::new(&SANDBOX).unwrap().gather(&status, Some(&view), Some(&StateStatus::default()));
    let families = families.iter().map(|family| {
        let metrics = family.get_metric();
        let names: BTreeSet<&str> =
            metrics.iter().flat_map(|metric| metric.get_label()).map(|label| label.name()).collect();
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let kind = format!("{:?}", family.get_field_type()).to_lowercase();
        (family.name().to_owned(), kind, names.join(", "), family.help().to_owned())
    });
    families.collect()
}

/// The number of series of a thing, by `--device.metrics`: true, state, false.
fn counted(is_of: impl Fn(Series) -> bool) -> [usize; 3] {
    let of = |left_out: fn(Series) -> bool| {
        FAMILIES.iter().filter(|family| is_of(family.series) && !left_out(family.series)).count()
    };
    let is_of_port = |series: Series| {
        matches!(
            series,
            Series::DeviceCounter(_) | Series::DeviceState(_) | Series::PeerState(_) | Series::DeviceInfo
        )
    };
    [of(|_| false), of(|series| matches!(series, Series::DeviceCounter(_))), of(is_of_port)]
}

/// The series of a pair with a container behind it, by `--device.metrics`.
fn series_by_flag() -> String {
    let mut text = String::from(
        "\n## Series by flag\n\nThe series of a pair that joins the host and a workload, by `--device.metrics`. A member of a workload has three series more, a network \
         ten, a queue discipline of a port four; peaks are there while there are any.\n\n| series of | `true` | `state` | `false` |\n|---|---|---|---|\n",
    );
    let port = counted(|series| {
        matches!(
            series,
            Series::DeviceCounter(_) | Series::DeviceState(_) | Series::PeerState(_) | Series::DeviceInfo
        )
    });
    let interface = counted(|series| matches!(series, Series::Workload(_) | Series::Peak(_)));
    let workload =
        counted(|series| matches!(series, Series::WorkloadInfo | Series::Starts | Series::StartTime));
    let tcp = counted(|series| matches!(series, Series::Tcp(_)));
    let rows = [
        ("its port", port),
        ("each interface of its workload", interface),
        ("its workload", workload),
        ("TCP of its workload (`--collector.tcp`)", tcp),
    ];
    let all: Vec<usize> = (0..3).map(|flag| rows.iter().map(|(_, counts)| counts[flag]).sum()).collect();
    for (name, [all, state, none]) in rows.into_iter().chain([("all together", [all[0], all[1], all[2]])]) {
        writeln!(text, "| {name} | {all} | {state} | {none} |").unwrap();
    }
    text
}

fn list_of_metrics() -> String {
    let mut page = String::from(
        "# Metrics\n\nMade from the program's own tables (`UPDATE_GOLDEN=1 tests/run --small --test repo docs::`), and held equal to them by a test. A \
         label that is empty is left out, but for `container`, `namespace` and `pod` where there are pods. In OpenMetrics a gauge whose \
         name ends in `_info` is of the type info.\n\n\
         ## Veths\n\n| family | type | labels | meaning |\n|---|---|---|---|\n",
    );
    for family in FAMILIES {
        let (name, kind, labels) = (family.name, word(family.kind), labels(family.series));
        writeln!(page, "| `{name}` | {kind} | {labels} | {} |", family.help).unwrap();
    }
    page.push_str(&series_by_flag());
    page.push_str("\n## The exporter itself\n\n| family | type | labels | meaning |\n|---|---|---|---|\n");
    for (name, kind, labels, help) in telemetry() {
        writeln!(page, "| `{name}` | {kind} | {labels} | {help} |").unwrap();
    }
    page
}

#[test]
fn the_list_of_metrics_is_that_of_the_program() {
    let path = checkout().join("docs/metrics.md");
    let list = list_of_metrics();
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        fs::write(&path, &list).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap();
    assert_eq!(written, list, "docs/metrics.md is not what UPDATE_GOLDEN=1 would write");
}

#[test]
fn a_real_exporter_has_no_family_and_no_label_that_the_list_lacks() {
    let (host, web) = (Netns::quiet("host"), Netns::quiet("web"));
    let names = lab::NetnsFolder::new();
    names.name("web", &web);
    host.veth("veth-web", &web, "eth0");
    let exporter = Exporter::start(&host, &names.arguments());
    let shown: Exposition = exporter.wait_for(Duration::from_secs(5), "the pair", |metrics| {
        metrics.value("veth_container_info", &[("container", "web")]).map(|_| metrics.clone())
    });
    let page = list_of_metrics();
    let mut checked = 0;
    for line in shown.text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        let row = page.lines().find(|row| row.starts_with(&format!("| `{name}` | {kind} |")));
        let row = row.unwrap_or_else(|| panic!("no {line} in docs/metrics.md"));
        for (labels, _) in shown.all(name) {
            for label in labels.keys() {
                assert!(row.contains(&format!("`{label}`")), "no {label} in {row}");
            }
        }
        checked += 1;
    }
    // Those of a pair of a named namespace, and the exporter's own.
    let of_a_pair = FAMILIES.iter().filter(|family| {
        matches!(
            family.series,
            Series::DeviceCounter(_)
                | Series::DeviceState(_)
                | Series::PeerState(_)
                | Series::DeviceInfo
                | Series::Workload(_)
                | Series::WorkloadInfo
                | Series::Starts
        )
    });
    assert!(checked > of_a_pair.count() + 15, "{checked} families in:\n{}", shown.text);
}

// ---------------------------------------------------------------- links and blocks

#[test]
fn every_link_within_the_repository_leads_to_a_file() {
    let mut broken = Vec::new();
    let mut seen = 0;
    for (page, text) in pages() {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            seen += 1;
            if !page.parent().unwrap().join(target).exists() {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty() && seen >= 10, "{seen} links, broken: {broken:#?}");
}

#[test]
fn every_test_that_the_page_of_the_field_names_is_there() {
    let page = fs::read_to_string(checkout().join("docs/field.md")).unwrap();
    let (page, _figures) = page.split_once("\n## Today's engines\n").unwrap();
    let mut rows = BTreeSet::new();
    for line in page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| row |")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [row, _, test] = cells[..] else { panic!("three columns: {line}") };
        let named: Vec<&str> = test.split('`').skip(1).step_by(2).collect();
        let [file, test] = named[..] else { panic!("a file and a test: {line}") };
        let text = fs::read_to_string(checkout().join(file)).unwrap_or_else(|_| panic!("no file {file}"));
        let begin = text.find(&format!("fn {test}(")).unwrap_or_else(|| panic!("no test {test} in {file}"));
        let above = text[..begin].trim_end().trim_end_matches("async").trim_end();
        assert!(
            above.lines().next_back().is_some_and(|line| line.trim().starts_with("#[")),
            "{test} in {file} is no test"
        );
        rows.insert(row.to_owned());
    }
    let part = |letter: char, count: u32| (1..=count).map(move |number| format!("{letter}{number}"));
    let wanted = part('A', 8).chain(part('B', 16)).chain(part('C', 9)).chain(["D".to_owned()]);
    let missing: Vec<String> = wanted.filter(|row| !rows.contains(row)).collect();
    assert!(missing.is_empty(), "no test for {missing:?}");
}

/// All blocks of one of these languages: page and text.
fn blocks(languages: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for (page, text) in pages() {
        // Every second piece is inside.
        for block in text.split("```").skip(1).step_by(2) {
            let (language, block) = block.split_once('\n').unwrap();
            if languages.contains(&language.trim()) {
                found.push((page.clone(), block.to_owned()));
            }
        }
    }
    assert!(!found.is_empty(), "no block of {languages:?}");
    found
}

#[test]
fn every_block_of_shell_is_shell() {
    for (page, block) in blocks(&["sh", "bash"]) {
        let output = Command::new("bash").args(["-n", "-c", &block]).output().unwrap();
        assert!(output.status.success(), "{}: {}\n{block}", page.display(), describe(&output));
    }
}

#[test]
fn every_block_of_yaml_is_yaml() {
    let packages = folder().join("kubernetes-python");
    assert!(
        packages.join("yaml").exists(),
        "{} is missing: see what tests/run says of pip",
        packages.display()
    );
    for (page, block) in blocks(&["yaml", "yml"]) {
        let read = "import sys, yaml; list(yaml.safe_load_all(sys.argv[1]))";
        let output =
            Command::new("python3").env("PYTHONPATH", &packages).args(["-c", read, &block]).output().unwrap();
        assert!(output.status.success(), "{}: {}\n{block}", page.display(), describe(&output));
    }
}

// ---------------------------------------------------------------- the messages in docs/faq.md

/// What the FAQ shows as printed.
fn messages() -> BTreeSet<String> {
    let text = fs::read_to_string(checkout().join("docs/faq.md")).unwrap();
    let blocks = text.split("```text\n").skip(1).map(|rest| rest.split("\n```").next().unwrap());
    let messages: BTreeSet<String> = blocks.map(str::to_owned).collect();
    assert_eq!(messages.len(), 10, "{messages:#?}");
    messages
}

fn assert_in_faq(what: &str, said: &str) {
    let found = messages().into_iter().find(|message| message.starts_with(what));
    let message = found.unwrap_or_else(|| panic!("nothing in the FAQ begins with {what}"));
    assert!(said.contains(&message), "the FAQ has\n{message}\nand the program said\n{said}");
}

/// A log until it has this; as root, or through a program that becomes the exporter.
fn log_of(through: &[&str], arguments: &[&str], wanted: &str) -> String {
    let host = Netns::quiet("host");
    let names = lab::NetnsFolder::new();
    let exporter = Exporter::start_through(&host, through, &[&names.arguments()[..], arguments].concat());
    wait_for(Duration::from_secs(10), wanted, || {
        let log = exporter.log().join("\n");
        if log.contains(wanted) { Ok(log) } else { Err(log) }
    })
}

/// As an ordinary user with these capabilities; a copy of the binary, because the original may be where only root can go.
fn log_as_nobody(capabilities: &[&str], arguments: &[&str], wanted: &str) -> String {
    fs::set_permissions(folder(), PermissionsExt::from_mode(0o711)).unwrap();
    let copy = empty_folder("binary").join("veth-exporter");
    succeed(Command::new("cp").args([Path::new(Exporter::binary()), &copy]));
    let shell = format!("shift; exec {} \"$@\"", copy.display());
    let user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    log_of(&[&user, capabilities, &["sh", "-c", &shell, "sh"]].concat(), arguments, wanted)
}

#[test]
fn the_faq_has_what_a_wrong_socket_path_gets() {
    let missing = empty_folder("socket").join("docker.sock");
    let host = format!("unix://{}", missing.display());
    let log = log_of(&["env"], &["--docker.host", &host], "no engine at");
    assert_in_faq("no engine at", &log.replace(&host, "unix:///var/run/docker.sock"));
}

#[test]
fn the_faq_has_what_no_permission_on_dockers_socket_gets() {
    let socket = empty_folder("socket").join("docker.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, PermissionsExt::from_mode(0o660)).unwrap();
    let host = format!("unix://{}", socket.display());
    let log = log_as_nobody(&["--inh-caps=-all"], &["--docker.host", &host], "permission denied at");
    assert_in_faq("permission denied at", &log.replace(&host, "unix:///var/run/docker.sock"));
}

#[test]
fn the_faq_has_what_missing_capabilities_get() {
    let log = log_as_nobody(&["--inh-caps=-all"], &[], "no CAP_NET_ADMIN");
    assert_in_faq("no CAP_NET_ADMIN", &log);
    let admin = ["--inh-caps=-all,+net_admin", "--ambient-caps=+net_admin"];
    let log = log_as_nobody(&admin, &[], "no CAP_NET_BROADCAST");
    assert_in_faq("no CAP_NET_BROADCAST", &log);
}

#[test]
fn the_faq_has_what_another_network_namespace_gets() {
    let begin = "this is not the host's network namespace";
    let log = log_of(&["env", "-u", "VETH_EXPORTER_NETNS_OWN"], &[], begin);
    assert_in_faq(begin, &log);
}

#[test]
fn the_faq_has_what_a_port_that_is_taken_gets() {
    let host = Netns::quiet("host");
    let _taken = host.within(|| std::net::TcpListener::bind("127.0.0.1:10736").unwrap());
    let names = lab::NetnsFolder::new();
    let arguments = [&names.arguments()[..], &["--web.listen-address", "127.0.0.1:10736"]].concat();
    let output = Exporter::command(&host, &arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", describe(&output));
    assert_in_faq("veth-exporter: cannot listen on", &String::from_utf8_lossy(&output.stderr));
}

/// What a command that ends says on standard error, after it has failed.
fn failure(host: &Netns, arguments: &[&str], code: i32) -> String {
    let output = Exporter::command(host, arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{}", describe(&output));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_faq_has_what_list_and_find_say_of_a_name_that_they_do_not_have() {
    let (host, web, names) = (Netns::quiet("host"), Netns::quiet("web"), lab::NetnsFolder::new());
    host.veth("veth0", &web, "eth0");
    let [flag, path] = names.arguments();
    let missing = empty_folder("socket").join("docker.sock");
    let engine = format!("unix://{}", missing.display());
    let said = failure(&host, &["find", "web", flag, path, "--docker.host", &engine], 1);
    assert_in_faq("veth-exporter: it is not known", &said.replace(&engine, "unix:///var/run/docker.sock"));
    let said = failure(&host, &["list", "web", flag, path], 1);
    assert_in_faq("veth-exporter: the one pair", &said);
}

#[test]
fn the_faq_has_what_a_bad_variable_gets() {
    let host = Netns::quiet("host");
    let mut command = Exporter::command(&host, &[]);
    let output = command.env("VETH_EXPORTER_WEB_MAX_REQUESTS", "many").output().unwrap();
    assert_in_faq("error: invalid value", &String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_faq_has_twelve_questions() {
    let text = fs::read_to_string(checkout().join("docs/faq.md")).unwrap();
    let numbers: Vec<String> = text
        .lines()
        .filter_map(|line| Some(line.strip_prefix("## ")?.split_once(". ")?.0.to_owned()))
        .collect();
    assert_eq!(numbers, (1..=12).map(|number| number.to_string()).collect::<Vec<_>>());
}
