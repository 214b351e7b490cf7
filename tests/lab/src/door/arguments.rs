//! The command line of `lab`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Installs what the tests of veth-exporter need, starts a Docker engine for them, runs them and takes everything down.
#[derive(Debug, Parser)]
#[command(name = "lab")]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) task: Task,
}

#[derive(Debug, Subcommand)]
pub(super) enum Task {
    /// Lists the Debian packages that are missing, or installs them.
    Needs {
        /// Installs what is missing by apt-get.
        #[arg(long)]
        install: bool,
        /// What it is for: build, lib, kernel, engines, clients, faults, fuzz, repo, bench, image, shellcheck, deny, fresh.
        #[arg(long = "for", value_name = "RECIPE", default_values_t = RINGS.map(str::to_owned))]
        recipes: Vec<String>,
    },
    /// Starts the shared Docker engine, and prints the variables that hand it to `tests/run`: eval "$(lab up)".
    Up,
    /// Ends everything that a lab or a benchmark has started, and removes its folder.
    Down {
        /// The folder: VETH_LAB_DIR of `lab up`.
        folder: PathBuf,
    },
    /// Runs tests; `tests/run` is this command.
    Test(Selection),
}

/// The rings of tests, in the order in which they run.
pub(super) const RINGS: [&str; 7] = ["lib", "kernel", "engines", "clients", "faults", "fuzz", "repo"];

/// Which tests run, and how.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Selection {
    /// Leaves out the tests that need a Docker engine, and names them at the end.
    #[arg(long)]
    pub(super) small: bool,
    /// Runs only the fault campaign (tests/faults/campaign.tsv), fuzzing included, and writes its results into docs/reliability.md.
    #[arg(long, conflicts_with_all = ["test", "lib", "filter"])]
    pub(super) campaign: bool,
    /// Runs only libFuzzer, two minutes for each target, and writes its results into docs/reliability.md.
    #[arg(long, conflicts_with_all = ["test", "lib", "filter", "campaign"])]
    pub(super) fuzz: bool,
    /// Runs only this test binary; can be given several times.
    #[arg(long, value_name = "NAME", value_parser = ["kernel", "engines", "clients", "faults", "fuzz", "repo"])]
    pub(super) test: Vec<String>,
    /// Runs only the unit tests.
    #[arg(long)]
    pub(super) lib: bool,
    /// Builds with optimizations.
    #[arg(long)]
    pub(super) release: bool,
    /// Takes the test binaries from this file, the messages of `cargo test --no-run --message-format=json`: nothing is built or
    /// installed, as the machine has no cargo.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["campaign", "fuzz", "release"])]
    pub(super) built: Option<PathBuf>,
    /// Runs only the tests whose path contains this text.
    pub(super) filter: Option<String>,
    /// Arguments of the test binaries: --nocapture, --exact, --skip TEXT, --test-threads N.
    #[arg(last = true)]
    pub(super) arguments: Vec<String>,
}

impl Selection {
    /// Returns the chosen rings in their order.
    pub(super) fn rings(&self) -> Vec<&'static str> {
        let all = self.test.is_empty() && !self.lib;
        let chosen = |ring: &&str| match *ring {
            "lib" => self.lib || all,
            ring => all || self.test.iter().any(|test| test == ring),
        };
        RINGS.into_iter().filter(chosen).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(words: &[&str]) -> Result<Selection, clap::Error> {
        let words = ["lab", "test"].iter().chain(words);
        Arguments::try_parse_from(words).map(|arguments| match arguments.task {
            Task::Test(selection) => selection,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn without_a_choice_every_ring_runs() {
        assert_eq!(selection(&[]).unwrap().rings(), RINGS);
        assert_eq!(selection(&["--small"]).unwrap().rings(), RINGS);
        assert_eq!(selection(&["--lib"]).unwrap().rings(), ["lib"]);
        let two = selection(&["--test", "repo", "--test", "kernel"]).unwrap();
        assert_eq!(two.rings(), ["kernel", "repo"]);
    }

    #[test]
    fn the_words_of_cargo_test_are_understood() {
        let chosen =
            selection(&["--test", "clients", "web::greedy", "--", "--nocapture", "--test-threads=1"])
                .unwrap();
        assert_eq!(chosen.filter.as_deref(), Some("web::greedy"));
        assert_eq!(chosen.arguments, ["--nocapture", "--test-threads=1"]);
    }

    #[test]
    fn what_is_no_test_binary_is_refused_by_name() {
        for (words, named) in [
            (&["--test", "docker"][..], "docker"),
            (&["--bogus"], "--bogus"),
            (&["--campaign", "--lib"], "--lib"),
        ] {
            let refused = selection(words).unwrap_err().to_string();
            assert!(refused.contains(named), "{refused}");
        }
    }
}
