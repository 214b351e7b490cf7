//! Names: patterns for them, and how they get into the exposition and out of it again.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use veth_exporter::cli::Cli;
use veth_exporter::testing::cli::shown_containers;
use veth_exporter::testing::exposition::Tables;
use veth_exporter::testing::exposition::format::Format;
use veth_exporter::testing::model::filter::Choice;
use veth_exporter::testing::model::ledger::{LabelSet, NetworkLabels, Traffic};
use veth_exporter::testing::model::link::{Counters, End, Link, LinkKind, Master, Name, NetnsId};
use veth_exporter::testing::model::pairing::{EndState, Role};
use veth_exporter::testing::model::peak::Rates;
use veth_exporter::testing::model::view::{
    NetworkNumbers, Ownership, Scene, SceneNetworks, ShownPair, ShownSide, TotalsBegun, View,
};
use veth_exporter::testing::model::workload::{Runtime, Workload};

use super::{ALWAYS, in_memory_of, parts};
use lab::Exposition;

// ---------------------------------------------------------------- patterns

/// For one pattern: the exporter lets it take 1 MiB when it is compiled, and on the way there it is in memory in other forms.
const COMPILED: usize = 16 << 20;

/// A regular expression, and a name that it may match. It is refused by an error that names the flag and it, or it is a pattern, and
/// the escaped name is one that matches this name alone.
pub fn patterns(input: &[u8]) {
    let [pattern, name] = parts(input).map(|part| String::from_utf8_lossy(part).into_owned());
    match in_memory_of(COMPILED, || matches(&pattern)) {
        Ok(matches) => {
            // One that is a pattern between anchors, is one by itself.
            let alone = regex::Regex::new(&format!("(?s:{pattern})"));
            let found = matches(&name);
            assert!(!found || alone.is_ok_and(|alone| alone.is_match(&name)), "{pattern:?} {name:?}");
        }
        Err(said) => {
            let shown = said.contains(&pattern) || pattern.contains(char::is_control);
            assert!(said.contains("--container.include") && shown, "{said:?}");
        }
    }
    if name.is_empty() || name.contains('\0') {
        return;
    }
    match matches(&regex::escape(&name)) {
        Ok(matches) => {
            assert!(matches(&name), "{name:?}");
            assert!(!matches(&format!("{name}x")) && !matches(&format!("x{name}")), "{name:?}");
        }
        Err(said) => panic!("{name:?}: {said}"),
    }
}

/// What a pattern matches, by the way that it comes from the command line.
fn matches(pattern: &str) -> Result<impl Fn(&str) -> bool, String> {
    let flag = format!("--container.include={pattern}");
    let cli = Cli::try_read(["veth-exporter", &flag]).map_err(|error| error.to_string())?;
    match shown_containers(&cli) {
        Choice::Only(matches) => Ok(move |name: &str| matches(name)),
        other => panic!("{other:?}"),
    }
}

// ---------------------------------------------------------------- labels

/// What things are called.
struct Names<'a> {
    device: Name,
    bridge: Option<Name>,
    /// container, namespace, pod, interface, network, netns, id, image.
    texts: [&'a str; 8],
    /// A label of the runtime's.
    label: (&'a str, &'a str),
}

/// Names in their parts: each comes out of the exposition as it was put in, in both formats and by two parsers.
pub fn labels(input: &[u8]) {
    let all: [&[u8]; 12] = parts(input);
    let texts = all.map(String::from_utf8_lossy);
    let short = |bytes: &[u8]| Name::from_bytes(&bytes[..bytes.len().min(15)]).unwrap_or_default();
    let names = Names {
        device: short(all[0]),
        bridge: Some(short(all[1])),
        texts: std::array::from_fn(|index| &*texts[2 + index]),
        label: (&texts[10], &texts[11]),
    };
    let view = view(&names);
    let written = |format| {
        let end = if format == Format::OpenMetrics { "# EOF\n" } else { "" };
        Tables::of(&view.scene).text(&view, format, Duration::from_secs(1_700_000_000), end)
    };
    let (text, open_metrics) =
        in_memory_of(ALWAYS + 256 * input.len(), || (written(Format::Text), written(Format::OpenMetrics)));
    let strict = Exposition::parse(&text).unwrap_or_else(|wrong| panic!("{wrong}"));
    let found = strict
        .families
        .into_iter()
        .flat_map(|family| family.samples)
        .map(|sample| (sample.name, sample.labels));
    are_there(&names, &found.collect());
    are_there(&names, &by_reference("text", &text));
    are_there(&names, &by_reference("openmetrics", &open_metrics));
    let cadvisor = Tables::of_cadvisor(&view.scene).text(&view, Format::Text, Duration::ZERO, "");
    Exposition::parse(&cadvisor).unwrap_or_else(|wrong| panic!("{wrong}"));
}

/// Containers, one a line: the first bytes are a counter, the rest is the name. What is unpacked from a gzip of their exposition is
/// the text, also where sections were kept from the gzip before.
pub fn packed(input: &[u8]) {
    const MOST: usize = 500;
    let lines: Vec<&[u8]> = input.split(|&byte| byte == b'\n').take(MOST).collect();
    let mut scene = Scene::default();
    let mut numbers = Vec::new();
    for line in &lines {
        let (number, name) = line.split_at(line.len().min(3));
        let name = String::from_utf8_lossy(name);
        let device = Name::from_bytes(&line[..line.len().min(15)]).unwrap_or_default();
        let texts = [&*name, "", "", "eth0", "front", "", &name, "image"];
        let one = view(&Names { device, bridge: None, texts, label: ("", "") });
        scene.pairs.extend(one.scene.pairs.iter().cloned());
        scene.workloads.extend(one.scene.workloads.iter().cloned());
        scene.ownerships.extend(one.scene.ownerships.iter().cloned());
        scene
            .begun
            .workloads
            .push(Duration::from_millis(u64::from(number.first().copied().unwrap_or(0)) * 40));
        numbers.push(number.iter().fold(0, |sum: u64, &byte| (sum << 21) + u64::from(byte)));
    }
    let scene = Arc::new(scene);
    let of = |number: &dyn Fn(usize) -> u64| {
        let numbers: Vec<u64> = (0..lines.len()).map(number).collect();
        let counted =
            |&bytes| [Counters { receive_bytes: bytes, ..Counters::default() }, Counters::default()];
        let peak = |&bytes: &u64| (bytes % 3 > 0).then(|| Rates { receive_bytes: bytes, ..Rates::default() });
        let mut traffic = vec![Traffic::default(); numbers.len()];
        traffic.iter_mut().zip(&numbers).for_each(|(traffic, &bytes)| traffic.transmit.bytes = bytes);
        View {
            samples: numbers.iter().map(counted).collect(),
            peaks: numbers.iter().map(peak).collect(),
            workloads: traffic,
            rates: vec![None; numbers.len()],
            networks: Default::default(),
            for_scrapes: Default::default(),
            overflow: Default::default(),
            ticked: Duration::ZERO,
            scene: Arc::clone(&scene),
            ..View::default()
        }
    };
    let views = [of(&|_| 0), of(&|index| numbers[index]), of(&|index| numbers[index] + (index as u64) % 2)];
    let tables = Tables::of(&scene);
    let own = "# the end\n";
    for format in [Format::Text, Format::OpenMetrics] {
        let packed = tables.packed(&views, format, Duration::from_secs(1_700_000_000), own);
        for (view, packed) in views.iter().zip(packed) {
            let mut text = String::new();
            flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut text).expect("a gzip");
            assert_eq!(text, tables.text(view, format, Duration::from_secs(1_700_000_000), own));
        }
    }
}

type Series = BTreeSet<(String, BTreeMap<String, String>)>;

fn are_there(names: &Names<'_>, found: &Series) {
    let [container, namespace, pod, interface, network, netns, id, image] = names.texts;
    let common = [
        ("runtime", "cri"),
        ("container", container),
        ("namespace", namespace),
        ("pod", pod),
        ("interface", interface),
        ("network", network),
    ];
    let device = names.device.to_string();
    let device = [("device", device.as_str()), ("netns", netns)];
    let label: String =
        names.label.0.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let label = format!("label_{label}");
    let of_whole_pod = container.is_empty() && !pod.is_empty();
    let info = [
        ("container_id", id),
        // Each of its containers has one.
        ("image", if of_whole_pod { "" } else { image }),
        (label.as_str(), names.label.1),
        ("compose_project", names.label.1),
    ];
    is_there(found, "veth_device_up", &[&device[..], &common].concat());
    is_there(found, "veth_container_receive_bytes_total", &common);
    is_there(found, "veth_network_receive_bytes_total", &[common[0], common[5]]);
    is_there(found, "veth_container_info", &[&common[..4], &info].concat());
}

/// A series with just these labels; an empty one is left out.
fn is_there(found: &Series, name: &str, labels: &[(&str, &str)]) {
    let labels = labels.iter().filter(|(_, value)| !value.is_empty());
    let wanted =
        (name.to_owned(), labels.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect());
    assert!(found.contains(&wanted), "no {wanted:?} in {found:#?}");
}

fn view(names: &Names<'_>) -> View {
    let [container, namespace, pod, interface, network, netns, id, image] = names.texts.map(str::to_owned);
    let owner = Workload {
        namespace,
        pod,
        id,
        image,
        compose_project: names.label.1.to_owned(),
        labels: [(names.label.0.to_owned(), names.label.1.to_owned())].into(),
        ..Workload::named(Runtime::Cri, container)
    };
    let labels = LabelSet::of(&owner, interface, network.clone());
    let ownership = Arc::new(Ownership::alone(owner, None));
    let side = |netns, role| ShownSide {
        end: End { netns, ifindex: 2 },
        link: Some(Link { ifindex: 2, name: names.device, ..Link::default() }),
        role,
        netns: "".into(),
        master: None,
        ownership: None,
        labels: None,
        hidden: false,
    };
    let master = names.bridge.map(|name| Master { name, kind: LinkKind::Bridge });
    let port = ShownSide { netns: netns.into(), master, ..side(NetnsId::Host, Role::Port) };
    let inside = side(NetnsId::Other { nsid: 1, generation: 0 }, Role::Interface);
    let inside =
        ShownSide { labels: Some(labels.clone()), ownership: Some(Arc::clone(&ownership)), ..inside };
    let scene = Scene {
        pairs: vec![ShownPair { sides: [port, inside], state: EndState::Paired }.into()],
        workloads: vec![labels.into()],
        begun: TotalsBegun {
            workloads: vec![Duration::ZERO],
            starts: vec![Duration::ZERO],
            ..TotalsBegun::default()
        },
        networks: SceneNetworks {
            labels: vec![NetworkLabels { runtime: Runtime::Cri, network }.into()],
            begun: vec![Duration::ZERO],
            ..SceneNetworks::default()
        },
        ownerships: vec![ownership],
        ..Scene::default()
    };
    View {
        scene: Arc::new(scene),
        samples: vec![[Counters::default(); 2]],
        workloads: vec![Traffic::default()],
        peaks: vec![None],
        rates: vec![None],
        networks: NetworkNumbers {
            traffic: vec![Traffic::default()],
            members: vec![0].into(),
            ..NetworkNumbers::default()
        },
        for_scrapes: Default::default(),
        overflow: Default::default(),
        ticked: Duration::ZERO,
        ..View::default()
    }
}

/// tests/python/exposition.py, which goes on as long as this thread.
struct Reference {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Drop for Reference {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Reference {
    fn start() -> Reference {
        let folder = std::env::var_os("VETH_LAB_DIR").expect("tests/run says where the packages are");
        let mut python = Command::new("python3");
        python
            .args(["-B", "tests/python/exposition.py"])
            .env("PYTHONPATH", std::path::Path::new(&folder).join("python"));
        let mut child = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3");
        let (questions, answers) =
            (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        Reference { child, questions, answers: BufReader::new(answers) }
    }

    fn ask(&mut self, format: &str, text: &str) -> Value {
        write!(self.questions, "{format} {}\n{text}", text.len())
            .and_then(|()| self.questions.flush())
            .expect("it reads");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("it answers");
        serde_json::from_str(&line).expect("JSON")
    }
}

/// The series as the reference parsers of Prometheus' Python client read them.
fn by_reference(format: &str, text: &str) -> Series {
    thread_local!(static REFERENCE: RefCell<Reference> = RefCell::new(Reference::start()));
    let read = REFERENCE.with_borrow_mut(|reference| reference.ask(format, text));
    serde_json::from_value(read.clone()).unwrap_or_else(|_| panic!("{format}: {read} of\n{text}"))
}
