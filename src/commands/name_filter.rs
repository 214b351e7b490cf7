//! `veth-exporter name-filter`: puts the workload's name behind each veth in the output of another program.

use super::confine;
use super::oneshot::{OneShot, warn_of};
use crate::client::{Remote, RemoteUrl};
use crate::exposition::json::row::{EndRow, PairRow};
use crate::exposition::json::{self, PairsAnswer};
use crate::model::end_names::EndNames;
use crate::model::name_filter::{NameFilter, may_be_port};
use crate::sandbox::Privileges;
use crate::settings::{HostSettings, NameFilterSettings, SandboxSettings};
use anyhow::Context;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// The time between two requests for the names.
const EVERY: Duration = Duration::from_secs(1);

/// The time for which a line with an unknown port waits for newer names.
const PATIENCE: Duration = Duration::from_millis(300);

/// The size of one read, in bytes: what a pipe holds.
const CHUNK: usize = 64 << 10;

/// The exporter that is asked if the user names none.
const USUAL_EXPORTER: &str = "http://localhost:10736";

/// The text for the brackets behind each device of the host.
type BracketTexts = HashMap<Box<[u8]>, Arc<str>>;

/// Passes standard input on to standard output, with names, until its end or until nothing reads the output.
///
/// # Errors
/// Fails if a file of the connection or the host's links cannot be read, or if the input or the output fails.
pub(super) fn run(settings: NameFilterSettings) -> anyhow::Result<()> {
    super::start_messages(settings.host.log)?;
    let (source, known) = NameSource::open(settings)?;
    // The first thread starts here.
    let mut names = KnownNames::follow(source, known)?;
    let (mut filter, mut out) = (NameFilter::default(), Vec::new());
    let (mut input, mut chunk) = (io::stdin().lock(), vec![0; CHUNK]);
    loop {
        out.clear();
        let read = match input.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.context("cannot read standard input")?,
        };
        let part = chunk.get(..read).unwrap_or_default();
        names.refresh();
        if part.is_empty() {
            filter.finish(|word| names.name(word), &mut out);
        } else {
            filter.pass(part, |word| names.name(word), &mut out);
        }
        if !write_out(&out)? || part.is_empty() {
            return Ok(());
        }
    }
}

/// Writes to standard output at once; returns false if nothing reads it any more.
fn write_out(bytes: &[u8]) -> anyhow::Result<bool> {
    let mut output = io::stdout().lock();
    match output.write_all(bytes).and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true).context("cannot write to standard output"),
    }
}

/// The source of the names.
enum NameSource {
    Remote { remote: Box<Remote>, runtime: Runtime },
    Own { look: Box<OneShot>, host: Box<HostSettings> },
}

impl NameSource {
    /// Returns the exporter that the user has named, else the one at the usual address if it answers, else
    /// this host; with the present names.
    fn open(settings: NameFilterSettings) -> anyhow::Result<(NameSource, BracketTexts)> {
        let NameFilterSettings { host, url, connection } = settings;
        let named = url.is_some();
        let url: RemoteUrl = match url {
            Some(url) => url,
            None => USUAL_EXPORTER.parse().map_err(anyhow::Error::msg)?,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut remote = Remote::new(url.clone(), &connection)?;
        match request_names(&mut remote, &runtime) {
            Err(why) if !named => tracing::debug!("{url}: {why}; this host is read directly"),
            answer => {
                give_up_privileges(&host.sandbox)?;
                let names = answer.unwrap_or_else(|why| {
                    tracing::warn!("{url}: {why}; lines pass without names until it answers");
                    None
                });
                let source = NameSource::Remote { remote: Box::new(remote), runtime };
                return Ok((source, names.unwrap_or_default()));
            }
        }
        // A thread that has resolved the address must not keep privileges.
        drop(runtime);
        let look = OneShot::read(&host)?;
        warn_of(&look.lacks);
        let names = names_of(&json::rows_read_once(&look.view));
        Ok((NameSource::Own { look: Box::new(look), host: Box::new(host) }, names))
    }

    /// Returns the present names; `None` if they are the same as before.
    ///
    /// # Errors
    /// Fails with one line if the exporter does not answer or the host's links cannot be read.
    fn ask(&mut self) -> Result<Option<BracketTexts>, String> {
        match self {
            NameSource::Remote { remote, runtime } => request_names(remote, runtime),
            NameSource::Own { look, host } => {
                look.read_again(host).map_err(|error| format!("{error:#}"))?;
                Ok(Some(names_of(&json::rows_read_once(&look.view))))
            }
        }
    }

    /// Answers each request, until nothing waits for the answers.
    fn answer_all(mut self, requests: &Receiver<()>, answers: &Sender<Option<BracketTexts>>) {
        let mut failing = false;
        while requests.recv().is_ok() {
            let answer = self.ask();
            if let Err(why) = &answer
                && !failing
            {
                tracing::warn!("{why}; the last names stay");
            }
            failing = answer.is_err();
            if answers.send(answer.unwrap_or_default()).is_err() {
                return;
            }
        }
    }
}

/// Gives up what a process that only asks an exporter does not need.
fn give_up_privileges(settings: &SandboxSettings) -> anyhow::Result<()> {
    let settings = SandboxSettings { privileges: Privileges::Minimal, ..settings.clone() };
    confine::drop_privileges(&settings)?;
    for missing in confine::confine_beside_terminal(&settings).missing {
        tracing::debug!("sandbox: without {missing}");
    }
    Ok(())
}

fn request_names(remote: &mut Remote, runtime: &Runtime) -> Result<Option<BracketTexts>, String> {
    let answer = runtime.block_on(remote.request_pairs()).map_err(|error| error.to_string())?;
    answer.map(|json| PairsAnswer::read(&json).map(|answer| names_of(&answer.pairs))).transpose()
}

/// Returns the names of the host's devices that have a workload at the other end.
fn names_of<'a, E: AsRef<[EndRow<'a>]>>(pairs: &[PairRow<'a, E>]) -> BracketTexts {
    let names = pairs.iter().filter_map(|pair| {
        let [port, other] = pair.ends.as_ref() else { return None };
        let device = port.place.name.as_ref().filter(|_| port.place.nsid.is_none())?;
        let workload = other.place.workload.as_ref().filter(|workload| workload.runtime != "unknown")?;
        let names = EndNames {
            workload: &workload.name(),
            interface: other.place.name.as_deref().unwrap_or_default(),
            network: &other.place.network,
        };
        Some((device.as_bytes().into(), names.bracketed()?.into()))
    });
    names.collect()
}

/// The names as last answered, and the way to newer ones.
struct KnownNames {
    known: BracketTexts,
    /// The time of the last request.
    asked: Instant,
    /// True until the last request is answered.
    pending: bool,
    /// True if a line has waited for the answer to the last request.
    waited: bool,
    requests: SyncSender<()>,
    answers: Receiver<Option<BracketTexts>>,
}

impl KnownNames {
    /// Starts the thread that asks for newer names.
    fn follow(source: NameSource, known: BracketTexts) -> io::Result<KnownNames> {
        let (requests, to_answer) = sync_channel(1);
        let (out, answers) = channel();
        let answer = move || source.answer_all(&to_answer, &out);
        thread::Builder::new().name("names".into()).spawn(answer)?;
        let asked = Instant::now();
        Ok(KnownNames { known, asked, pending: false, waited: false, requests, answers })
    }

    /// Accepts an answer that has arrived, and asks again if the last request is a second old.
    fn refresh(&mut self) {
        if self.pending
            && let Ok(answer) = self.answers.try_recv()
        {
            self.accept(answer);
        }
        if !self.pending && self.asked.elapsed() >= EVERY {
            self.asked = Instant::now();
            self.waited = false;
            // The send fails only if the thread has ended.
            self.pending = self.requests.send(()).is_ok();
        }
    }

    /// Returns the text for the brackets behind this word. An unknown port waits for newer names, once for
    /// each request.
    fn name(&mut self, word: &[u8]) -> Option<Arc<str>> {
        if self.pending && !self.waited && may_be_port(word) && !self.known.contains_key(word) {
            self.waited = true;
            if let Ok(answer) = self.answers.recv_timeout(PATIENCE) {
                self.accept(answer);
            }
        }
        self.known.get(word).cloned()
    }

    fn accept(&mut self, answer: Option<BracketTexts>) {
        self.pending = false;
        self.known = answer.unwrap_or_else(|| std::mem::take(&mut self.known));
    }
}
