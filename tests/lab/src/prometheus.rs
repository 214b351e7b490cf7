//! The real Prometheus, and its promtool.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::http::request;
use super::{Netns, Process, describe, folder, unique_name, wait_for};

/// What `promtool check metrics` says of a text: nothing, or what is wrong.
pub fn promtool_check(text: &str) -> Result<(), String> {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, which tests/run installs");
    let mut input = promtool.stdin.take().expect("the stream that was asked for");
    // It reads all before it writes. One that gives up early closes the stream, and says why below.
    let written = input.write_all(text.as_bytes());
    drop(input);
    let output = promtool.wait_with_output().expect("promtool ends");
    match written {
        Ok(()) if output.status.success() && output.stderr.is_empty() => Ok(()),
        _ => Err(describe(&output)),
    }
}

/// A Prometheus that scrapes one target. It is killed, and its storage removed, when this goes.
pub struct Prometheus {
    process: Process,
    netns: PathBuf,
    address: SocketAddr,
    folder: PathBuf,
}

impl Prometheus {
    /// Starts one that scrapes every second, in a network namespace, and waits until it is ready.
    pub fn start(netns: &Netns, target: SocketAddr) -> Prometheus {
        Prometheus::start_every(netns, target, 1)
    }

    /// The same with another interval, in seconds.
    pub fn start_every(netns: &Netns, target: SocketAddr, interval: u32) -> Prometheus {
        Prometheus::start_with(netns, interval, &format!("static_configs: [{{targets: ['{target}']}}]"))
    }

    /// The same with another job, in YAML.
    pub fn start_with(netns: &Netns, interval: u32, job: &str) -> Prometheus {
        Prometheus::configured(
            netns,
            &format!(
                "global: {{scrape_interval: {interval}s, scrape_timeout: 1s}}\n\
                 scrape_configs: [{{job_name: veth, {job}}}]\n"
            ),
        )
    }

    /// The same with a configuration of the test's own.
    pub fn configured(netns: &Netns, configuration: &str) -> Prometheus {
        let folder = folder().join(unique_name("prometheus"));
        std::fs::create_dir(&folder).expect("a folder of its own");
        std::fs::write(folder.join("prometheus.yml"), configuration).expect("its configuration");
        let mut command = netns.command("prometheus");
        command
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("storage").display()))
            .arg("--web.listen-address=127.0.0.1:0");
        let mut process = Process::start("prometheus", &mut command);
        let limit = Duration::from_secs(30);
        let address = process.wait_for_listener(limit);
        let prometheus = Prometheus { process, netns: netns.path(), address, folder };
        wait_for(limit, "Prometheus is ready", || {
            match request(&prometheus.netns, address, "GET", "/-/ready", &[]) {
                Ok(response) if response.status == 200 => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        prometheus
    }

    /// The result of an instant query: a list with `metric` and `value` each, for a vector.
    pub fn query(&self, promql: &str) -> Value {
        self.data(&format!("query?query={}", percent_encode(promql)))["result"].take()
    }

    /// The result of a range query over the last `seconds`, with a value a second: a list with `metric` and `values` each.
    pub fn query_range(&self, promql: &str, seconds: u32) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that is set").as_secs();
        let range = format!("start={}&end={now}&step=1", now - u64::from(seconds));
        self.data(&format!("query_range?query={}&{range}", percent_encode(promql)))["result"].take()
    }

    /// The values that a label has in the series of a selector.
    pub fn label_values(&self, selector: &str, label: &str) -> Vec<String> {
        let values = self.data(&format!("label/{label}/values?match[]={}", percent_encode(selector)));
        serde_json::from_value(values).expect("a list of values")
    }

    /// Its rules as /api/v1/rules shows them, of all groups.
    pub fn rules(&self) -> Vec<Value> {
        let groups = self.data("rules")["groups"].take();
        let groups = groups.as_array().expect("a list of groups").iter();
        groups.flat_map(|group| group["rules"].as_array().expect("a list of rules").clone()).collect()
    }

    /// The targets that it scrapes, as /api/v1/targets shows them.
    pub fn targets(&self) -> Value {
        self.data("targets")["activeTargets"].take()
    }

    /// What it knows of a metric's family: type, unit, help.
    pub fn metadata(&self, metric: &str) -> Value {
        self.data(&format!("metadata?metric={metric}"))[metric][0].take()
    }

    /// Its one target is up, and its log has no warning of it.
    pub fn refuse_complaints(&self) {
        let targets = self.targets();
        let target = |key: &str| targets[0][key].clone();
        assert_eq!(targets.as_array().map(Vec::len), Some(1), "{targets:#}");
        assert_eq!(
            (target("health"), target("lastError")),
            (Value::from("up"), Value::from("")),
            "{targets:#}"
        );
        let log = self.log();
        let complaints: Vec<&String> = log
            .iter()
            .filter(|line| {
                ["level=warn", "level=error", "level=WARN", "level=ERROR"]
                    .iter()
                    .any(|level| line.contains(level))
            })
            .filter(|line| line.contains("scrape") || line.contains("target"))
            .collect();
        assert!(complaints.is_empty(), "{complaints:#?}");
    }

    /// The lines of its log so far.
    pub fn log(&self) -> Vec<String> {
        self.process.log()
    }

    fn data(&self, what: &str) -> Value {
        let response = request(&self.netns, self.address, "GET", &format!("/api/v1/{what}"), &[])
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let mut answer: Value = serde_json::from_slice(&response.body).expect("an answer in JSON");
        assert_eq!(answer["status"], "success", "/api/v1/{what}: {answer}");
        answer["data"].take()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.process.kill();
        std::fs::remove_dir_all(&self.folder)
            .unwrap_or_else(|error| eprintln!("{}: {error}", self.folder.display()));
    }
}

fn percent_encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
