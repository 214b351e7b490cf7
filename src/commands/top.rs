//! `veth-exporter top`: the pairs in a terminal, live.

use super::collecting::{self, Wishes};
use super::confine;
use crate::cli::Top;
use crate::collector::{Handle, Snapshot};
use crate::http::{self, Remote};
use crate::kernel::Reach;
use crate::model::filter::Filter;
use crate::model::series;
use crate::model::view::Source;
use crate::top::draw::Theme;
use crate::top::pairs::Answer;
use crate::top::state::{Command, State, Told};
use crate::top::terminal::{Input, Screen, inputs};
use anyhow::{Context, anyhow, bail};
use futures_util::StreamExt;
use rustix::process::{Signal, getpid, kill_process};
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{MissedTickBehavior, interval};

/// How far back the peaks look, as `serve` does by default.
const PEAK_WINDOW: Duration = Duration::from_secs(60);

/// Where the numbers come from.
enum Supplier {
    Remote(Box<Remote>),
    Own { handle: Handle, lack: Option<&'static str> },
}

/// What a supplier says.
struct Message {
    told: Told,
    /// What is missing and what would give it.
    lacks: Vec<String>,
}

/// Shows the pairs until the user has seen enough.
///
/// # Errors
/// If there is no terminal, the exporter cannot be asked at all, or the host's links cannot be read.
pub(super) fn run(flags: &Top) -> anyhow::Result<()> {
    Screen::is_possible()
        .map_err(|why| anyhow!("top needs a terminal: {why}; `veth-exporter list` prints the pairs once"))?;
    let (source, opened) = match &flags.url {
        Some(url) => (url.to_string(), Err(Remote::new(url.clone(), &flags.remote_options())?)),
        None => ("this host".to_owned(), Ok(open(flags)?)),
    };
    // The first thread starts here.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let shown = runtime.block_on(async {
        let supplier = match opened {
            Err(remote) => Supplier::Remote(Box::new(remote)),
            Ok((sources, engines, lack)) => {
                let wishes = Wishes {
                    interval: flags.interval,
                    retention: Duration::ZERO,
                    peak_window: PEAK_WINDOW,
                    processes: flags.sources.is_on(Source::Process),
                    // A command shows all.
                    filter: Filter::default(),
                    series: series::USUAL,
                };
                Supplier::Own { handle: collecting::start(wishes, sources, engines)?, lack }
            }
        };
        let (out, messages) = channel(1);
        tokio::spawn(supply(supplier, flags.interval, out));
        show(State::new(source, flags.interval), messages).await
    });
    // A name that is being looked up may take longer than the user waits.
    runtime.shutdown_background();
    shown
}

type Opened = (crate::collector::Sources, Vec<crate::collector::Engine>, Option<&'static str>);

/// Opens what needs privileges, and gives them up.
fn open(flags: &Top) -> anyhow::Result<Opened> {
    // On the screen it would be in the way; what is missing is said there.
    if !io::stderr().is_terminal() {
        super::start_log(&flags.sources)?;
    }
    let sources = super::open_kernel(&flags.sources)?;
    let engines = super::open_engines(&flags.sources)?;
    let tier = confine::drop_privileges(&flags.sources)?;
    let lack = tier.lacks(sources.events.reach == Reach::All, flags.sources.privileges);
    for missing in confine::confine_beside_terminal(&flags.sources).missing {
        tracing::warn!("sandbox: without {missing}");
    }
    Ok((sources, engines, lack))
}

/// Asks at every tick, until nobody listens any more.
async fn supply(mut supplier: Supplier, every: Duration, out: Sender<Message>) {
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
    /// `None` if there is nothing to say yet.
    async fn ask(&mut self) -> Option<Message> {
        let read = |json: &[u8]| Answer::read(json).map_or_else(Told::Failure, Told::Pairs);
        match self {
            Supplier::Remote(remote) => {
                let told = match remote.pairs().await {
                    Ok(Some(json)) => read(&json),
                    Ok(None) => Told::Unchanged,
                    Err(error) => Told::Failure(error.to_string()),
                };
                Some(Message { told, lacks: Vec::new() })
            }
            Supplier::Own { handle, lack } => {
                let Some(snapshot) = handle.scrape().await else {
                    let told = Told::Failure("the collector has stopped".into());
                    return Some(Message { told, lacks: Vec::new() });
                };
                let Snapshot { view, status, epoch } = snapshot.as_ref();
                let failed = status.sources.iter().filter_map(|(source, asked)| {
                    Some(format!("{}: {}", source.as_str(), asked.result.as_ref().err()?))
                });
                let lacks = lack.iter().map(|&lack| lack.to_owned()).chain(failed).collect();
                let told = match http::pairs_as_json(view.as_ref()?, *epoch) {
                    Ok(json) => read(&json),
                    Err(error) => Told::Failure(error.to_string()),
                };
                Some(Message { told, lacks })
            }
        }
    }
}

/// What ends the view from outside, and what suspends it.
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

    async fn next(&mut self) -> Command {
        tokio::select! {
            _ = self.terminate.recv() => Command::Quit,
            _ = self.interrupt.recv() => Command::Quit,
            _ = self.hang_up.recv() => Command::Quit,
            _ = self.suspend.recv() => Command::Suspend,
        }
    }
}

async fn show(mut state: State, mut messages: Receiver<Message>) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut signals = Signals::new()?;
    // https://no-color.org
    let colors = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut screen = Screen::take(Theme { colors }).context("cannot take the terminal")?;
    let mut inputs = inputs();
    // The age of what is shown changes with time.
    let mut ticks = interval(Duration::from_secs(1));
    loop {
        screen.paint(&mut state, start.elapsed()).context("cannot write to the terminal")?;
        let command = tokio::select! {
            input = inputs.next() => match input {
                Some(Ok(Input::Key(key))) => state.press(key),
                Some(Ok(Input::Resized)) => Command::Show,
                Some(Err(error)) => return Err(error).context("cannot read the terminal"),
                None => bail!("the terminal is gone"),
            },
            message = messages.recv() => match message {
                Some(Message { told, lacks }) => {
                    state.lacks = lacks.iter().map(|lack| crate::model::text::printable(lack)).collect();
                    state.take(told, start.elapsed());
                    Command::Show
                }
                None => bail!("what asks for the numbers has ended"),
            },
            _ = ticks.tick() => Command::Show,
            command = signals.next() => command,
        };
        match command {
            Command::Show => {}
            Command::Repaint => screen.clear().context("cannot write to the terminal")?,
            Command::Suspend => screen.without(stop).context("cannot take the terminal again")?,
            Command::Quit => return Ok(()),
        }
    }
}

/// Stops this process until it is told to go on.
fn stop() {
    // A process may always stop itself.
    let _ = kill_process(getpid(), Signal::STOP);
}
