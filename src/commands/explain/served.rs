//! Explanations for the clients of the serving exporter, which asks no engine for them.

use super::{answer, names_folder};
use crate::collector::Sources;
use crate::collector::checking::Checker;
use crate::collector::explaining::Explainer;
use crate::commands::lookup::{device, listed};
use crate::exposition::json::{AskedEnd, ExplainQuery};
use crate::find::{Catalog, EndText, FindAnswer};
use crate::kernel::{FactsReader, Resolver, SYSCTL};
use crate::model::explain::Explained;
use crate::model::explain::ends::{LinkPosition, Meaning, NamedEnds, sides};
use crate::model::inventory::{EngineInventory, InventoryContainer};
use crate::model::link::End;
use crate::model::text::printable;
use crate::model::view::View;
use crate::runtimes::process::Processes;
use crate::settings::HostSettings;
use std::path::{Path, PathBuf};

/// The sources of explanations, opened before the sandbox is closed.
pub(in crate::commands) struct Served {
    facts: FactsReader,
    /// Reads what the scene does not have: addresses, and links that are no end of a pair.
    resolver: Resolver,
    processes: Processes,
    /// The folder in which namespaces have names.
    folder: PathBuf,
}

impl Served {
    /// Opens the sources for the host of these sources of the collector.
    ///
    /// # Errors
    /// Fails if a socket cannot be opened. Without a socket for the packet filter its rules stay unread.
    pub(in crate::commands) fn open(sources: &Sources, host: &HostSettings) -> anyhow::Result<Served> {
        let facts = facts_reader(sources, &host.procfs)?;
        let resolver = sources.resolver.open_another()?;
        let folder = names_folder(host);
        Ok(Served { facts, resolver, processes: sources.processes.clone(), folder })
    }

    /// Returns the explanations that a client asks for, of what this view shows.
    ///
    /// # Errors
    /// Fails with a sentence if an end is not found, is hidden, or means several things.
    pub(in crate::commands) fn explain(
        &mut self,
        view: &View,
        query: &ExplainQuery,
    ) -> Result<Vec<Explained>, String> {
        let from = query.from.as_ref().map(|end| self.meaning(view, end)).transpose()?;
        let to = query.to.as_ref().map(|end| self.meaning(view, end)).transpose()?;
        let mut reading = Explainer::new(&mut self.facts, view, &self.processes, &self.folder);
        match from {
            None => Ok(reading.everything()),
            Some(from) => answer(&mut reading, &from, to.as_ref()).map_err(|error| error.to_string()),
        }
    }

    fn meaning(&mut self, view: &View, end: &AskedEnd) -> Result<Meaning, String> {
        match end {
            AskedEnd::Link(place) if is_shown(view, *place) => {
                Ok(Meaning::Ends(NamedEnds { places: vec![*place], address: None, port: None, netns: None }))
            }
            AskedEnd::Link((nsid, ifindex)) => {
                let nsid = nsid.map_or_else(|| "host".to_owned(), |nsid| nsid.to_string());
                Err(format!("no end that is shown is at @{nsid}/{ifindex}"))
            }
            AskedEnd::Text(text) => self.named(view, text),
        }
    }

    /// Returns what a text means among the ends that are shown, the stranded containers and the host's links.
    fn named(&mut self, view: &View, text: &str) -> Result<Meaning, String> {
        let mut catalog = Catalog::of_shown(&view.scene);
        let end = EndText::read(&catalog, text.as_bytes());
        if let Some(place) = device(&mut self.resolver, &end.pasted.text) {
            return Ok(Meaning::Ends(NamedEnds {
                places: vec![place],
                address: None,
                port: end.port,
                netns: None,
            }));
        }
        for stranded in &view.stranded {
            let containers = vec![InventoryContainer::new(stranded.member.clone())];
            catalog.add_inventory(
                stranded.member.runtime,
                EngineInventory { containers, ..EngineInventory::default() },
            );
        }
        if end.pasted.is_address() {
            for nsid in catalog.nsids() {
                catalog.add_addresses(nsid, &self.resolver.addresses(nsid).unwrap_or_default());
            }
        }
        let near = match catalog.find(&end.pasted) {
            FindAnswer::Found(found) => {
                let meaning = end.meaning(&catalog, view, &found)?.and_then(|meaning| shown(view, meaning));
                return meaning.ok_or_else(|| not_found(&end, &[]));
            }
            FindAnswer::Nearest(name, _) => vec![name],
            FindAnswer::Near(names) => names,
            FindAnswer::Nothing => Vec::new(),
        };
        end.address.map(Meaning::Elsewhere).ok_or_else(|| not_found(&end, &near))
    }
}

/// Opens the checks of single namespaces, for the host of these sources.
///
/// # Errors
/// Fails if a socket cannot be opened.
pub(in crate::commands) fn checker(sources: &Sources, host: &HostSettings) -> anyhow::Result<Checker> {
    let facts = facts_reader(sources, &host.procfs)?;
    Ok(Checker::new(facts, sources.processes.clone(), names_folder(host)))
}

fn facts_reader(sources: &Sources, procfs: &Path) -> anyhow::Result<FactsReader> {
    Ok(FactsReader::new(sources.resolver.open_another()?, procfs, Path::new(SYSCTL)))
}

/// Returns the message for a text that no end here is called by. Containers without a veth are not known.
fn not_found(end: &EndText, near: &[String]) -> String {
    format!("no end of a pair here is called {}{}", printable(&end.pasted.text), listed(near))
}

/// Removes the links that the user's filter hides; returns `None` if no other is left.
fn shown(view: &View, meaning: Meaning) -> Option<Meaning> {
    let Meaning::Ends(mut ends) = meaning else { return Some(meaning) };
    ends.places.retain(|place| is_shown(view, *place));
    (!ends.places.is_empty()).then_some(Meaning::Ends(ends))
}

/// Returns true if an end of a pair that is not hidden is at this place.
fn is_shown(view: &View, (nsid, ifindex): LinkPosition) -> bool {
    let is_here = |end: End| (end.netns.nsid(), end.ifindex) == (nsid, ifindex);
    sides(view).any(|side| !side.hidden && is_here(side.end))
}
