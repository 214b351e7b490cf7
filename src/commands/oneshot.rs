//! A single reading of the host, for the commands that print and end.

use super::confine;
use crate::collector::{self, Engine, Snapshot};
use crate::model::filter::Filter;
use crate::model::host::{Config, Learning};
use crate::model::lack::Lack;
use crate::model::series::OutputLimits;
use crate::model::view::{Source, View};
use crate::sandbox::Privileges;
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
    /// The lacks of the sources, to be reported by [`warn_of`].
    pub lacks: Vec<(Source, Lack)>,
}

/// The warning about the capability that a single reading may need. Such a reading needs no events.
const NO_CAPABILITY: &str = "no CAP_NET_ADMIN: the names and addresses of interfaces inside containers, and pairs between \
                             containers, cannot be seen; run the command as root, or with this capability";

impl OneShot {
    /// Starts the messages and reads the host. Parts that cannot be read are reported, and the rest is still
    /// shown.
    pub(super) fn read_host(settings: &HostSettings) -> anyhow::Result<OneShot> {
        super::start_messages(settings.log)?;
        OneShot::read(settings)
    }

    /// Gives up the privileges and reads the host. Must be called before the first thread starts.
    pub(super) fn read(settings: &HostSettings) -> anyhow::Result<OneShot> {
        let mut sources = super::open_kernel(settings)?;
        let mut engines = super::open_engines(settings)?;
        let tier = confine::drop_privileges(&settings.sandbox)?;
        match (tier.lacks(true, settings.sandbox.privileges), settings.sandbox.privileges) {
            (Some(_), Privileges::Full) => tracing::warn!("{NO_CAPABILITY}"),
            (Some(lack), Privileges::Minimal) => tracing::warn!("{lack}"),
            (None, _) => {}
        }
        // The process ends soon: a part that this kernel lacks is no news for the user.
        for missing in confine::confine(settings, [], [], None, false).missing {
            tracing::debug!("sandbox: without {missing}");
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let config = config(settings, &engines);
        let Snapshot { view, status, .. } =
            runtime.block_on(collector::look_once(config, &mut sources, &mut engines));
        let lacks = status
            .sources
            .iter()
            .flat_map(|(&source, asked)| asked.lacks().map(move |lack| (source, lack.clone())));
        let lacks: Vec<(Source, Lack)> = lacks.collect();
        match view {
            Some(view) => Ok(OneShot { view, sources, engines, runtime, lacks }),
            None => {
                warn_of(&lacks);
                bail!("{NO_LINKS}")
            }
        }
    }

    /// Reads the host again, in place of the view.
    ///
    /// # Errors
    /// Fails if the host's links cannot be read; the view stays.
    pub(super) fn read_again(&mut self, settings: &HostSettings) -> anyhow::Result<()> {
        let config = config(settings, &self.engines);
        let look = collector::look_once(config, &mut self.sources, &mut self.engines);
        self.view = self.runtime.block_on(look).view.context(NO_LINKS)?;
        Ok(())
    }
}

const NO_LINKS: &str = "cannot read the host's links";

/// Returns the configuration of a single evaluation.
fn config(settings: &HostSettings, engines: &[Engine]) -> Config {
    Config {
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
        limits: OutputLimits { series: usize::MAX, interfaces: usize::MAX, history: false, tcp: false },
        sockets: engines.iter().map(|engine| (engine.runtime(), engine.looked_at())).collect(),
    }
}

/// Reports each lack of a source, with what would remedy it.
pub(super) fn warn_of<'a>(lacks: impl IntoIterator<Item = &'a (Source, Lack)>) {
    for (source, lack) in lacks {
        let reason = lack.message(*source);
        tracing::warn!(collector = source.as_str(), reason, "limited");
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
