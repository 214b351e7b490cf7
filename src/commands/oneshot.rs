//! A single reading of the host, for the commands that print and end.

use super::confine;
use crate::collector::{self, Engine, Snapshot};
use crate::model::filter::Filter;
use crate::model::host::{Config, Learning};
use crate::model::series::OutputLimits;
use crate::model::view::View;
use crate::settings::HostSettings;
use anyhow::{Context, bail};
use serde::Serialize;
use std::io::{self, Write};
use std::time::Duration;
use tokio::runtime::Runtime;

/// The result of the reading, and the sources for further requests.
pub(super) struct OneShot {
    pub view: View,
    pub sources: collector::Sources,
    pub engines: Vec<Engine>,
    pub runtime: Runtime,
}

impl OneShot {
    /// Reads the host. Parts that cannot be read are reported in the log, and the rest is still shown.
    pub(super) fn read_host(settings: &HostSettings) -> anyhow::Result<OneShot> {
        super::start_log(settings.log)?;
        let mut sources = super::open_kernel(settings)?;
        let mut engines = super::open_engines(settings)?;
        // A single reading needs no events.
        if let Some(lack) =
            confine::drop_privileges(&settings.sandbox)?.lacks(true, settings.sandbox.privileges)
        {
            tracing::warn!("{lack}");
        }
        confine::confine(settings, [], []);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let config = Config {
            retention: Duration::ZERO,
            hold_back: Duration::ZERO,
            leaving: Duration::ZERO,
            peak_window: Duration::ZERO,
            learning: Learning::Polling,
            processes: settings.processes,
            gather: collector::LOOK_STEP,
            resync: Duration::from_secs(300),
            pods: false,
            // A command shows all.
            filter: Filter { naming: settings.naming.clone(), ..Filter::default() },
            limits: OutputLimits { series: usize::MAX, interfaces: usize::MAX, history: false },
            sockets: engines.iter().map(|engine| (engine.runtime(), engine.looked_at())).collect(),
        };
        let Snapshot { view, status, .. } =
            runtime.block_on(collector::look_once(config, &mut sources, &mut engines));
        for (source, asked) in &status.sources {
            for lack in asked.lacks() {
                let reason = lack.message(*source);
                tracing::warn!(collector = source.as_str(), %reason, "{}", asked.state());
            }
        }
        match view {
            Some(view) => Ok(OneShot { view, sources, engines, runtime }),
            None => bail!("cannot read the host's links"),
        }
    }
}

/// Prints to standard output; a reader that has gone (`| head`) is no error.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot print"),
    }
}

pub(super) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&(serde_json::to_string_pretty(value)? + "\n"))
}
