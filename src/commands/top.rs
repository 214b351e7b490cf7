//! `veth-exporter top`: shows the pairs in a terminal, live.

use super::{about_host, collecting, confine};
use crate::client::Remote;
use crate::collector::calendar::Calendar;
use crate::collector::{Handle, Snapshot};
use crate::exposition::json::host::HostRow;
use crate::exposition::json::{self, PairsAnswer, Query};
use crate::kernel::Reach;
use crate::settings::{HostSettings, TopSettings};
use crate::top::draw::Theme;
use crate::top::state::{Update, UserCommand, ViewState};
use crate::top::terminal::{Screen, TerminalInput, inputs};
use anyhow::{Context, anyhow, bail};
use futures_util::StreamExt;
use rustix::process::{Signal, getpid, kill_process};
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant, SystemTime};
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{MissedTickBehavior, interval};

/// The source of the numbers.
enum Supplier {
    Remote(Box<Remote>),
    Own { handle: Handle, lack: Option<&'static str>, host: HostRow<'static> },
}

/// A message of the supplier to the view.
struct Supplied {
    update: Update,
    /// Missing facts, each with its remedy.
    lacks: Vec<String>,
}

/// Shows the pairs until the user quits.
///
/// # Errors
/// Fails if there is no terminal, if the exporter's address or files cannot be used, or if the host's links
/// cannot be read.
pub(super) fn run(settings: TopSettings) -> anyhow::Result<()> {
    let TopSettings { host, remote, collector, colors } = settings;
    let interval = collector.interval;
    Screen::is_possible()
        .map_err(|why| anyhow!("top needs a terminal: {why}; `veth-exporter list` prints the pairs once"))?;
    let (source, opened) = match remote {
        Some((url, options)) => (url.to_string(), Err(Remote::new(url, &options)?)),
        None => ("this host".to_owned(), Ok(open(&host)?)),
    };
    // The first thread starts here.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let shown = runtime.block_on(async {
        let supplier = match opened {
            Err(remote) => Supplier::Remote(Box::new(remote)),
            Ok((sources, engines, lack)) => {
                let handle =
                    collecting::start(collector, host.processes, sources, engines, (None, Calendar::utc()))?;
                Supplier::Own { handle, lack, host: about_host::read() }
            }
        };
        let (out, messages) = channel(1);
        tokio::spawn(supply(supplier, interval, out));
        show(ViewState::new(source, interval), colors, messages).await
    });
    // A pending look-up of a name may take longer than the user waits.
    runtime.shutdown_background();
    shown
}

type Opened = (crate::collector::Sources, Vec<crate::collector::Engine>, Option<&'static str>);

/// Opens the sources that need privileges, and gives the privileges up.
fn open(settings: &HostSettings) -> anyhow::Result<Opened> {
    // A log on the screen would be in the way; the view itself shows missing facts.
    if !io::stderr().is_terminal() {
        super::start_log(settings.log)?;
    }
    let sources = super::open_kernel(settings)?;
    let engines = super::open_engines(settings)?;
    let tier = confine::drop_privileges(&settings.sandbox)?;
    let lack = tier.lacks(sources.events.reach == Reach::All, settings.sandbox.privileges);
    for missing in confine::confine_beside_terminal(&settings.sandbox).missing {
        tracing::warn!("sandbox: without {missing}");
    }
    Ok((sources, engines, lack))
}

/// Sends a request at every tick, until the receiver is closed.
async fn supply(mut supplier: Supplier, every: Duration, out: Sender<Supplied>) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Some(message) = supplier.ask().await
            && out.send(message).await.is_err()
        {
            return;
        }
    }
}

impl Supplier {
    /// Returns the next message; `None` if there is none yet.
    async fn ask(&mut self) -> Option<Supplied> {
        let read = |json: &[u8]| PairsAnswer::read(json).map_or_else(Update::Failure, Update::Pairs);
        match self {
            Supplier::Remote(remote) => {
                let update = match remote.request_pairs().await {
                    Ok(Some(json)) => read(&json),
                    Ok(None) => Update::Unchanged,
                    Err(error) => Update::Failure(error.to_string()),
                };
                Some(Supplied { update, lacks: Vec::new() })
            }
            Supplier::Own { handle, lack, host } => {
                let Some(snapshot) = handle.scrape().await else {
                    let update = Update::Failure("the collector has stopped".into());
                    return Some(Supplied { update, lacks: Vec::new() });
                };
                let Snapshot { view, status, epoch, .. } = snapshot.as_ref();
                let failed = status.sources.iter().flat_map(|(&source, asked)| {
                    asked.lacks().map(move |lack| format!("{}: {}", source.as_str(), lack.message(source)))
                });
                let lacks = lack.iter().map(|&lack| lack.to_owned()).chain(failed).collect();
                let host = host.with_engines(status);
                let update = match json::to_json(view.as_ref()?, *epoch, host, &Query::default()) {
                    Ok(json) => read(&json),
                    Err(error) => Update::Failure(error.to_string()),
                };
                Some(Supplied { update, lacks })
            }
        }
    }
}

/// The signals that end the view, and those that suspend it.
struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hang_up: unix::Signal,
    suspend: unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            suspend: signal(SignalKind::from_raw(Signal::TSTP.as_raw()))?,
        })
    }

    async fn next(&mut self) -> UserCommand {
        tokio::select! {
            _ = self.terminate.recv() => UserCommand::Quit,
            _ = self.interrupt.recv() => UserCommand::Quit,
            _ = self.hang_up.recv() => UserCommand::Quit,
            _ = self.suspend.recv() => UserCommand::Suspend,
        }
    }
}

async fn show(mut state: ViewState, colors: bool, mut messages: Receiver<Supplied>) -> anyhow::Result<()> {
    let start = Instant::now();
    state.epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut signals = Signals::new()?;
    let mut screen = Screen::open(Theme { colors }).context("cannot take the terminal")?;
    let mut inputs = inputs();
    // The age of the numbers changes with time.
    let mut ticks = interval(Duration::from_secs(1));
    loop {
        screen.paint(&mut state, start.elapsed()).context("cannot write to the terminal")?;
        let command = tokio::select! {
            input = inputs.next() => match input {
                Some(Ok(TerminalInput::Key(key))) => state.press(key),
                Some(Ok(TerminalInput::Resized)) => UserCommand::Show,
                Some(Err(error)) => return Err(error).context("cannot read the terminal"),
                None => bail!("the terminal is gone"),
            },
            message = messages.recv() => match message {
                Some(Supplied { update, lacks }) => {
                    state.lacks = lacks.iter().map(|lack| crate::model::text::printable(lack)).collect();
                    state.apply(update, start.elapsed());
                    UserCommand::Show
                }
                None => bail!("what asks for the numbers has ended"),
            },
            _ = ticks.tick() => UserCommand::Show,
            command = signals.next() => command,
        };
        match command {
            UserCommand::Show => {}
            UserCommand::Repaint => screen.clear().context("cannot write to the terminal")?,
            UserCommand::Suspend => screen.without(stop).context("cannot take the terminal again")?,
            UserCommand::Quit => return Ok(()),
        }
    }
}

/// Stops this process until it gets SIGCONT.
fn stop() {
    // A process may always stop itself.
    let _ = kill_process(getpid(), Signal::STOP);
}
