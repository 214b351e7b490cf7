//! dashboards/*.json: Grafana's own types accept them, they belong together, and each query of each panel, and each of docs/queries.md,
//! finds something in a real Prometheus that scrapes the real exporter while real containers talk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lab::{
    Container, DockerEngine, DockerNetwork, Exporter, Process, Prometheus, checkout, describe, empty_folder,
    folder, needs_engine, silent_on, succeed, wait_for, within_netns,
};
use serde_json::Value;

/// All dashboards, by uid.
fn dashboards() -> BTreeMap<String, Value> {
    let files = dashboard_files().into_iter().map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        let dashboard: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), dashboard)
    });
    files.collect()
}

fn dashboard_files() -> Vec<PathBuf> {
    let files = fs::read_dir(checkout().join("dashboards")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|ending| ending == "json")).collect()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no text {key} in {value:#}"))
}

/// The panels that stand beside each other: those of the first screen, and those of each row.
fn screens(dashboard: &Value) -> Vec<Vec<&Value>> {
    let (rows, first): (Vec<&Value>, Vec<&Value>) =
        list(dashboard, "panels").iter().partition(|panel| panel["type"] == "row");
    std::iter::once(first).chain(rows.into_iter().map(|row| list(row, "panels").iter().collect())).collect()
}

/// The panels that show something: rows do not.
fn panels(dashboard: &Value) -> Vec<&Value> {
    screens(dashboard).concat()
}

fn annotations(dashboard: &Value) -> &[Value] {
    list(&dashboard["annotations"], "list")
}

fn variables(dashboard: &Value) -> &[Value] {
    list(&dashboard["templating"], "list")
}

/// Calls `found` with every text of a JSON value.
fn each_text<'a>(value: &'a Value, found: &mut impl FnMut(&'a str)) {
    match value {
        Value::String(text) => found(text),
        Value::Array(values) => values.iter().for_each(|value| each_text(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| each_text(value, found)),
        _ => {}
    }
}

/// The words behind each `mark`, until something that is in no name.
fn names_behind<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = &'a str> {
    let name = |rest: &'a str| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap();
    text.split(mark).skip(1).map(name).filter(|name| !name.is_empty())
}

// ---------------------------------------------------------------- the files by themselves

/// Grafana's types hold these files: `tests/run` has installed them.
fn check_by_grafana(files: &[PathBuf]) -> Output {
    let types = folder().join("grafana");
    assert!(
        types.join("node_modules/@grafana/schema").exists(),
        "Grafana's types are not in {}: tests/run installs them",
        types.display()
    );
    let own = empty_folder("grafana");
    std::os::unix::fs::symlink(types.join("node_modules"), own.join("node_modules")).unwrap();
    let check = checkout().join("tests/grafana/check.mjs");
    Command::new("node").arg(check).arg(own).args(files).output().unwrap()
}

#[test]
fn grafanas_own_types_accept_every_dashboard() {
    let output = check_by_grafana(&dashboard_files());
    assert!(output.status.success(), "{}", describe(&output));
}

#[test]
fn grafanas_own_types_refuse_a_dashboard_with_a_mistake() {
    let original = fs::read_to_string(checkout().join("dashboards/veth-fleet.json")).unwrap();
    let mistakes = [
        ("a field that there is not", "\"graphTooltip\":", "\"graphToolTip\":", "graphToolTip"),
        ("a number as text", "\"schemaVersion\": 39", "\"schemaVersion\": \"39\"", "type 'number'"),
        (
            "no such stacking",
            "\"stacking\": {\"mode\": \"normal\"",
            "\"stacking\": {\"mode\": \"high\"",
            "high",
        ),
        ("no such format of a query", "\"format\": \"table\"", "\"format\": \"tables\"", "tables"),
    ];
    let folder = empty_folder("mistakes");
    let write = |(number, (what, from, to, _)): (usize, &(&str, &str, &str, &str))| {
        assert!(original.contains(from), "{what}: {from} is not there");
        let file = folder.join(format!("mistake{number}.json"));
        fs::write(&file, original.replace(from, to)).unwrap();
        file
    };
    let files: Vec<PathBuf> = mistakes.iter().enumerate().map(write).collect();
    let output = check_by_grafana(&files);
    let said = describe(&output);
    assert!(!output.status.success(), "{said}");
    for (number, (what, .., word)) in mistakes.iter().enumerate() {
        let file = format!("mistake{number}.json: ");
        let named = said.lines().any(|line| line.starts_with(&file) && line.contains(word));
        assert!(named, "{what}: {said}");
    }
}

#[test]
fn a_dashboard_imports_without_edits_and_its_links_lead_somewhere() {
    let dashboards = dashboards();
    assert_eq!(
        Vec::from_iter(dashboards.keys()),
        ["veth-exporter", "veth-fleet", "veth-host", "veth-workload"]
    );
    for (name, dashboard) in &dashboards {
        assert_eq!(text(dashboard, "uid"), name, "the file is called by the uid");
        assert!(dashboard.get("id").is_none() && dashboard.get("__inputs").is_none(), "{name}");
        let declared: BTreeSet<&str> =
            variables(dashboard).iter().map(|variable| text(variable, "name")).collect();
        assert!(declared.contains("datasource"), "{name}");
        each_text(dashboard, &mut |text| {
            for used in names_behind(text, "$").chain(names_behind(text, "${")) {
                let known = declared.contains(used) || used.starts_with("__");
                assert!(known, "{name}: the variable {used} in {text}");
            }
            for uid in text.split("/d/").skip(1).map(|rest| rest.split('?').next().unwrap()) {
                assert!(dashboards.contains_key(uid), "{name}: a link to {uid}");
            }
        });
        assert_eq!(text(&list(dashboard, "links")[0], "type"), "dashboards", "{name}");
        assert_eq!(dashboard["links"][0]["tags"], dashboard["tags"], "{name} links to its likes");
        let datasources =
            panels(dashboard).into_iter().chain(variables(dashboard)).chain(annotations(dashboard));
        for of in datasources.filter(|of| of["type"] != "datasource" && of["type"] != "custom") {
            assert_eq!(text(&of["datasource"], "uid"), "${datasource}", "{name}: {of:#}");
        }
    }
}

#[test]
fn a_link_to_a_dashboard_sets_only_variables_that_it_has() {
    let dashboards = dashboards();
    for (name, dashboard) in &dashboards {
        each_text(dashboard, &mut |text| {
            let Some((_, link)) = text.split_once("/d/") else { return };
            let (uid, query) = link.split_once('?').unwrap();
            let declared = variables(&dashboards[uid]);
            for set in names_behind(query, "var-") {
                let known = declared.iter().any(|variable| variable["name"] == set);
                assert!(known, "{name}: the link {text} sets {set}, which {uid} has not");
            }
        });
    }
}

#[test]
fn what_links_to_a_workload_links_to_the_exporters_page_too() {
    let mut linked = 0;
    for (name, dashboard) in &dashboards() {
        for panel in panels(dashboard) {
            let Some(links) = panel["fieldConfig"]["defaults"]["links"].as_array() else { continue };
            let leads = |begin: &str| links.iter().any(|link| text(link, "url").starts_with(begin));
            let of_workload = leads("/d/veth-workload?") || name == "veth-workload";
            assert!(
                !of_workload || leads("http://${__field.labels.instance}/?q="),
                "{name}: {}",
                text(panel, "title")
            );
            linked += usize::from(of_workload);
        }
    }
    assert!(linked > 15, "{linked}");
}

#[test]
fn every_panel_says_what_it_shows_in_which_unit_and_stands_on_no_other() {
    let readme = fs::read_to_string(checkout().join("dashboards/README.md")).unwrap();
    for (name, dashboard) in &dashboards() {
        for screen in screens(dashboard) {
            let mut taken = BTreeSet::new();
            for panel in screen {
                check_panel(name, panel, &readme, &mut taken);
            }
        }
        let mut ids = BTreeSet::new();
        let all = list(dashboard, "panels").iter().chain(panels(dashboard));
        let numbers: BTreeSet<u64> = all.map(|panel| panel["id"].as_u64().unwrap()).collect();
        let rows = list(dashboard, "panels").iter().filter(|panel| panel["type"] == "row");
        assert_eq!(numbers.len(), panels(dashboard).len() + rows.count(), "{name}: an id is there twice");
        for annotation in annotations(dashboard) {
            assert!(
                ids.insert(text(annotation, "name")) && readme.contains(text(annotation, "name")),
                "{name}"
            );
        }
    }
}

fn check_panel(name: &str, panel: &Value, readme: &str, taken: &mut BTreeSet<(u64, u64)>) {
    let title = text(panel, "title");
    assert!(readme.contains(title), "{name}: {title} is not in dashboards/README.md");
    assert!(text(panel, "description").ends_with('.'), "{name}: {title}");
    let defaults = &panel["fieldConfig"]["defaults"];
    assert!(!text(defaults, "unit").is_empty() && defaults["thresholds"].is_object(), "{name}: {title}");
    let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
    assert!(place("x") + place("w") <= 24, "{name}: {title}");
    for x in place("x")..place("x") + place("w") {
        for y in place("y")..place("y") + place("h") {
            assert!(taken.insert((x, y)), "{name}: {title} covers another panel");
        }
    }
    for target in list(panel, "targets") {
        let legend = target["legendFormat"].as_str().unwrap_or_default();
        assert_ne!(legend.is_empty(), panel["type"] != "table", "{name}: {title}: the legend {legend:?}");
    }
}

#[test]
fn below_the_first_screen_every_row_is_collapsed() {
    for (name, dashboard) in &dashboards() {
        let first = &screens(dashboard)[0];
        let bottom = first.iter().map(|panel| panel["gridPos"]["y"].as_u64().unwrap()).max().unwrap();
        assert!(bottom < 15, "{name}: the first screen has {bottom} lines above its last panel");
        for row in list(dashboard, "panels").iter().filter(|panel| panel["type"] == "row") {
            assert!(row["collapsed"] == true && !list(row, "panels").is_empty(), "{name}: {row:#}");
            assert!(row["gridPos"]["y"].as_u64().unwrap() > bottom, "{name}: {row:#}");
        }
    }
}

/// Matchers of a label that no series has: with `.*` for `$unit` the first holds for all series and the second for none, with `bits`
/// the other way round.
const IN_BYTES: &str = "unit=~\"$unit\"";
const IN_BITS: &str = "unit!~\"$unit\"";

#[test]
fn every_rate_of_bytes_is_there_in_bits_too() {
    let mut seen = 0;
    for (name, dashboard) in &dashboards() {
        for panel in
            panels(dashboard).into_iter().filter(|panel| panel["fieldConfig"]["defaults"]["unit"] == "Bps")
        {
            let (bits, bytes): (Vec<&Value>, Vec<&Value>) =
                list(panel, "targets").iter().partition(|target| text(target, "expr").contains(IN_BITS));
            assert_eq!(bits.len(), bytes.len(), "{name}: {}", text(panel, "title"));
            for (bits, bytes) in bits.iter().zip(&bytes) {
                let expected = format!("8 * (\n{}\n)", text(bytes, "expr").replace(IN_BYTES, IN_BITS));
                assert!(text(bytes, "expr").contains(IN_BYTES) && text(bits, "expr") == expected, "{bits:#}");
                let matcher = serde_json::json!({"id": "byFrameRefID", "options": bits["refId"]});
                let own =
                    list(&panel["fieldConfig"], "overrides").iter().find(|own| own["matcher"] == matcher);
                let unit = serde_json::json!([{"id": "unit", "value": "bps"}]);
                assert_eq!(own.unwrap()["properties"], unit, "{name}: {}", text(panel, "title"));
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "{seen}");
}

// ---------------------------------------------------------------- the queries, in a real Prometheus

/// Two containers that talk, one whose port drops what comes because its MTU is smaller and its queue too short, one that is restarted
/// once Prometheus knows it, the exporter, node_exporter, and a Prometheus that scrapes both and has an alert.
struct Scene {
    prometheus: Prometheus,
    exporter: Exporter,
    _node_exporter: Process,
    containers: [Container; 4],
    network: DockerNetwork,
}

/// An alert that fires at once, for the annotations.
const ALERT: &str = "groups: [{name: scene, rules: [{alert: VethScene, expr: 'veth_container_info', labels: {severity: info}}]}]\n";

impl Scene {
    fn start() -> Scene {
        let engine = DockerEngine::get();
        let network = engine.network("scene");
        let run = |name: &str| {
            let compose = ["project=scene", &format!("service={name}")]
                .map(|label| format!("com.docker.compose.{label}"));
            let labels = ["--label", &compose[0], "--label", &compose[1]];
            engine.run_idle(name, &[&silent_on(&network)[..], &labels].concat())
        };
        let containers = ["sender", "receiver", "narrow", "restarted"].map(run);
        let narrow = containers[2].netns_path().display().to_string();
        succeed(Command::new("nsenter").args([
            &format!("--net={narrow}"),
            "ip",
            "link",
            "set",
            "eth0",
            "mtu",
            "600",
        ]));
        let port = containers[2].host_device(engine.netns(), "eth0");
        succeed(engine.netns().command("tc").args([
            "qdisc", "add", "dev", &port, "root", "tbf", "rate", "200kbit", "burst", "10kb", "latency",
            "50ms",
        ]));
        let exporter = Exporter::for_engine(engine, &["--collector.interval", "200ms"]);
        // `ip netns exec` and not `nsenter`: it mounts /sys anew, where node_exporter reads of the devices of this namespace.
        let mut command = Command::new("ip");
        command.args(["netns", "exec", engine.netns().name(), "prometheus-node-exporter"]);
        command.args(["--web.listen-address=127.0.0.1:0", "--collector.disable-defaults"]);
        command.args(["--collector.netdev", "--collector.netclass"]);
        let mut node_exporter = Process::start("node_exporter", &mut command);
        let node: SocketAddr = node_exporter.wait_for_listener(Duration::from_secs(10));
        let rules = empty_folder("scene-rules").join("rules.yaml");
        fs::write(&rules, ALERT).unwrap();
        let configuration = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}\n\
             rule_files: ['{}']\n\
             scrape_configs:\n\
             - {{job_name: veth, static_configs: [{{targets: ['{}']}}]}}\n\
             - {{job_name: node, static_configs: [{{targets: ['{node}']}}]}}\n",
            rules.display(),
            exporter.address()
        );
        let prometheus = Prometheus::configured(engine.netns(), &configuration);
        Scene { prometheus, exporter, _node_exporter: node_exporter, containers, network }
    }

    /// Sends 50 datagrams a second from the first container to both others until `done`: frames of 1,000 bytes, which the third
    /// cannot take.
    fn talk(&self, done: &AtomicBool) {
        let [sender, receivers @ .., _restarted] = &self.containers;
        let socket = within_netns(&sender.netns_path(), || UdpSocket::bind("0.0.0.0:0").unwrap());
        let targets: Vec<SocketAddr> =
            receivers.iter().map(|to| SocketAddr::new(to.address(self.network.name()), 9)).collect();
        while !done.load(Ordering::Relaxed) {
            for target in &targets {
                // Nobody listens there: the answers, and the errors that they make here, are part of the traffic.
                let _refused = socket.send_to(&[0; 958], target);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Runs `act` while the containers talk.
    fn while_talking<T>(&self, act: impl FnOnce() -> T) -> T {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| self.talk(&done));
            let answer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
            done.store(true, Ordering::Relaxed);
            answer.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

/// One query of a panel, as it reads after Grafana has put in the values of the variables.
#[derive(Debug)]
struct Query {
    /// Where it stands.
    place: String,
    promql: String,
    /// Over time, or only now.
    range: bool,
    /// The labels that the legend, or the table's columns, show.
    labels: BTreeSet<String>,
}

/// What Grafana puts in for a variable: of all that has a name, the whole; the time range is the last 20 s.
fn interpolate(promql: &str, values: &[(&str, String)]) -> String {
    let mut text = promql.replace("$__rate_interval", "4s").replace("$__range", "20s");
    for (name, value) in values {
        text = text.replace(&format!("${name}"), value);
    }
    assert!(!text.contains('$'), "a variable is left in {text}");
    text
}

fn queries(values: &[(&str, String)]) -> Vec<Query> {
    let mut queries = Vec::new();
    for (name, dashboard) in &dashboards() {
        for panel in panels(dashboard) {
            for target in list(panel, "targets") {
                let shown = match panel["type"] == "table" {
                    true => columns(panel),
                    false => names_behind(text(target, "legendFormat"), "{{").map(str::to_owned).collect(),
                };
                let expr = text(target, "expr");
                let unit = if expr.contains(IN_BITS) { "bits" } else { ".*" };
                queries.push(Query {
                    place: format!("{name}: {}: {}", text(panel, "title"), text(target, "refId")),
                    promql: interpolate(&expr.replace("$unit", unit), values),
                    range: target["range"] == true,
                    labels: shown,
                });
            }
        }
    }
    queries
}

/// The queries of the annotations, with the labels that their texts show.
fn annotation_queries(values: &[(&str, String)]) -> Vec<Query> {
    let mut queries = Vec::new();
    for (name, dashboard) in &dashboards() {
        for annotation in annotations(dashboard) {
            let shown = format!("{}{}", text(annotation, "titleFormat"), text(annotation, "textFormat"));
            let labels = names_behind(&shown, "{{").filter(|label| *label != "device").map(str::to_owned);
            queries.push(Query {
                place: format!("{name}: annotation {}", text(annotation, "name")),
                promql: interpolate(text(&annotation["target"], "expr"), values),
                range: true,
                labels: labels.collect(),
            });
        }
    }
    queries
}

/// The queries of the unit that is not chosen find nothing.
fn check_units(prometheus: &Prometheus, values: &[(&str, String)]) {
    for dashboard in dashboards().values() {
        for target in panels(dashboard).into_iter().flat_map(|panel| list(panel, "targets")) {
            let expr = text(target, "expr");
            let not_chosen = match (expr.contains(IN_BYTES), expr.contains(IN_BITS)) {
                (true, _) => "bits",
                (_, true) => ".*",
                _ => continue,
            };
            let found = prometheus.query(&interpolate(&expr.replace("$unit", not_chosen), values));
            assert_eq!(found, serde_json::json!([]), "{expr}");
        }
    }
}

/// The labels that a table's columns are ordered by.
fn columns(panel: &Value) -> BTreeSet<String> {
    let organize = list(panel, "transformations").iter().find(|step| step["id"] == "organize").unwrap();
    let order = organize["options"]["indexByName"].as_object().unwrap();
    order.keys().filter(|column| !column.starts_with("Value")).cloned().collect()
}

/// Labels that a workload of Docker on an ordinary bridge does not have.
const NOT_OF_DOCKER: [&str; 3] = ["namespace", "pod", "netns"];

/// What is wrong with what a query finds: nothing there, no number, or a label that is shown and that no series has.
fn complaint(prometheus: &Prometheus, query: &Query) -> Option<String> {
    let answer = match query.range {
        true => prometheus.query_range(&query.promql, 10),
        false => prometheus.query(&query.promql),
    };
    let series = answer.as_array().unwrap();
    let numbers = series.iter().flat_map(|series| match query.range {
        true => list(series, "values").iter().map(|value| value[1].as_str().unwrap()).collect(),
        false => vec![series["value"][1].as_str().unwrap()],
    });
    let mut finite = numbers.filter(|number| number.parse().is_ok_and(f64::is_finite));
    if finite.next().is_none() {
        return Some(format!("{}: no number: {answer}\n{}", query.place, query.promql));
    }
    let lacks = |label: &&String| !series.iter().any(|series| series["metric"].get(label.as_str()).is_some());
    let shown = query.labels.iter().filter(|label| !NOT_OF_DOCKER.contains(&label.as_str()));
    let lacking: Vec<&String> = shown.filter(lacks).collect();
    (!lacking.is_empty())
        .then(|| format!("{}: no series has {lacking:?}: {answer}\n{}", query.place, query.promql))
}

/// Asks until no query has a complaint left; each is asked until it once found what it should.
fn wait_for_data(prometheus: &Prometheus, mut queries: Vec<Query>) {
    wait_for(Duration::from_secs(30), "every query finds something", || {
        let complaints: Vec<(Query, String)> = std::mem::take(&mut queries)
            .into_iter()
            .filter_map(|query| complaint(prometheus, &query).map(|complaint| (query, complaint)))
            .collect();
        let said: Vec<&str> = complaints.iter().map(|(_, said)| said.as_str()).collect();
        let said = said.join("\n\n");
        queries = complaints.into_iter().map(|(query, _)| query).collect();
        if queries.is_empty() { Ok(()) } else { Err(said) }
    });
}

/// Every variable at All; what each of them is for one container; and what a link from a table gives for a container, which has
/// no pod and no namespace.
fn choices(scene: &Scene, container: &Container) -> [Vec<(&'static str, String)>; 2] {
    // A regular expression in a string of PromQL: the backslash itself is escaped.
    let instance = scene.exporter.address().to_string().replace('.', "\\\\.");
    let one = [
        ("instance", instance.as_str()),
        ("runtime", "docker"),
        ("network", scene.network.name()),
        ("project", "scene"),
        ("service", "narrow"),
        ("namespace", ""),
        ("pod", ""),
        ("container", container.name()),
        ("job", "veth"),
    ];
    [
        one.map(|(name, _)| (name, ".*".to_owned())).to_vec(),
        one.map(|(name, value)| (name, value.to_owned())).to_vec(),
    ]
}

/// The variables' own queries, `label_values(SELECTOR, LABEL)`.
fn check_variables(prometheus: &Prometheus, values: &[(&str, String)]) {
    for (name, dashboard) in &dashboards() {
        for variable in variables(dashboard).iter().filter(|variable| variable["type"] == "query") {
            let query = interpolate(text(&variable["query"], "query"), values);
            let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
            let (selector, label) = inner.and_then(|inner| inner.rsplit_once(", ")).unwrap();
            let found = prometheus.label_values(selector, label);
            let expected = !NOT_OF_DOCKER.contains(&label);
            assert_eq!(!found.is_empty(), expected, "{name}: {query} finds {found:?}");
        }
    }
}

/// The PromQL blocks of docs/queries.md.
fn documented_queries() -> Vec<Query> {
    let text = fs::read_to_string(checkout().join("docs/queries.md")).unwrap();
    let blocks = text.split("```promql\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let query = |(number, promql): (usize, &str)| Query {
        place: format!("docs/queries.md, block {}", number + 1),
        promql: promql.to_owned(),
        range: false,
        labels: BTreeSet::new(),
    };
    blocks.enumerate().map(query).collect()
}

/// What the scene cannot have: cAdvisor, Kubernetes, and a yesterday. Prometheus must still understand the query.
const NOT_IN_THE_SCENE: [&str; 4] = ["container_network_", "kube_", "offset", "pod="];

#[test]
fn every_query_of_the_dashboards_and_of_the_docs_finds_something() {
    needs_engine!();
    let scene = Scene::start();
    let prometheus = &scene.prometheus;
    scene.while_talking(|| {
        // The one that drops has everything that a workload can have.
        let [all, one] = choices(&scene, &scene.containers[2]);
        let (in_the_scene, elsewhere): (Vec<Query>, Vec<Query>) = documented_queries()
            .into_iter()
            .partition(|query| !NOT_IN_THE_SCENE.iter().any(|word| query.promql.contains(word)));
        assert!(in_the_scene.len() > elsewhere.len(), "most of the documented queries are run");
        let restarted = scene.containers[3].name();
        wait_for(Duration::from_secs(10), "Prometheus knows the container that is restarted", || {
            let found = prometheus.query(&format!("veth_container_info{{container=\"{restarted}\"}}"));
            if found.as_array().unwrap().is_empty() { Err(found) } else { Ok(()) }
        });
        DockerEngine::get().docker(&["restart", restarted]);
        wait_for_data(
            prometheus,
            [queries(&all), queries(&one), annotation_queries(&all), in_the_scene]
                .into_iter()
                .flatten()
                .collect(),
        );
        check_units(prometheus, &all);
        for query in elsewhere {
            // An error of the parser makes this panic.
            prometheus.query(&query.promql);
        }
        check_variables(prometheus, &all);
        check_variables(prometheus, &one);
        let narrow = scene.containers[2].name();
        let dropped =
            format!("rate(veth_container_receive_packets_dropped_total{{container=\"{narrow}\"}}[5s])");
        let dropped = prometheus.query(&dropped);
        let rate: f64 = dropped[0]["value"][1].as_str().unwrap().parse().unwrap();
        assert!(rate > 10.0, "50 datagrams a second are too large for {narrow}: {dropped:#}");
    });
}
