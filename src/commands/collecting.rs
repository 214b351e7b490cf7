//! A collector that runs until the end, for the commands `serve` and `top`.

use crate::collector::calendar::Calendar;
use crate::collector::state::StateDirectory;
use crate::collector::{self, Engine, Handle};
use crate::kernel::Reach;
use crate::model::host::{Config, Learning};
use crate::model::policy::{GATHER, HOLD_BACK, LEAVING, RESYNC};
use crate::settings::CollectorSettings;
use std::io;
use std::thread;

/// The number of threads of an engine that look names up.
const LOOK_UPS: usize = 2;

/// Starts the collector, and the threads that ask the engines. `processes` is true if the processes of
/// unclaimed namespaces are looked for; `lasting` is the saved state, and the calendar of totals.
/// Must be called in a tokio runtime.
///
/// # Errors
/// Fails if the system cannot start a thread.
pub(super) fn start(
    settings: CollectorSettings,
    processes: bool,
    sources: collector::Sources,
    engines: Vec<Engine>,
    lasting: (Option<StateDirectory>, Calendar),
) -> io::Result<Handle> {
    let config = Config {
        retention: settings.retention,
        hold_back: HOLD_BACK,
        leaving: LEAVING.max(2 * settings.interval),
        peak_window: settings.peak_window,
        learning: match sources.events.reach {
            Reach::All => Learning::Events,
            Reach::Host => Learning::Polling,
        },
        processes,
        gather: GATHER,
        resync: RESYNC,
        pods: engines.iter().any(Engine::may_tell_of_pods),
        filter: settings.filter,
        limits: settings.limits,
        sockets: engines.iter().map(|engine| (engine.runtime(), engine.looked_at())).collect(),
    };
    let asked = engines.iter().map(|engine| (engine.runtime(), engine.calls()));
    let (handle, exits) = collector::start_saving(config, settings.interval, sources, asked, lasting)?;
    tokio::spawn(collector::watch_exits(exits, handle.clone()));
    for engine in engines {
        follow(engine, handle.clone())?;
    }
    Ok(handle)
}

/// Asks the engine on a thread of its own: parsing a long answer must delay neither a scrape nor another
/// engine.
fn follow(engine: Engine, collector: Handle) -> io::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().max_blocking_threads(LOOK_UPS).enable_all().build()?;
    let name = engine.runtime().as_str().to_owned();
    thread::Builder::new().name(name).spawn(move || runtime.block_on(engine.follow(collector)))?;
    Ok(())
}
