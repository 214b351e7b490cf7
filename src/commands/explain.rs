//! `veth-exporter explain A [B]`: says why two ends cannot talk, in the order of the packet's way.

mod ends;
mod report;
mod served;

use super::lookup::FindSources;
use super::oneshot::{OneShot, print, print_json, warn_of};
use super::print_message;
use crate::cli::FindFormat;
use crate::collector::explaining::{Explainer, NoEnd};
use crate::exposition::json::ExplanationsDocument;
use crate::kernel::{FactsReader, OwnNsid, Resolver, SYSCTL};
use crate::model::explain::ends::Meaning;
use crate::model::explain::{Explained, Explanation, Finding};
use crate::settings::{ExplainSettings, HostSettings};
use ends::Named;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(super) use served::{Served, checker};

/// The exit code if an end was not found, or a fact that can be read on most hosts could not be.
const UNKNOWN: u8 = 3;

/// Prints what stops a packet between the two ends that the user names, or all that is wrong. Returns the
/// exit code: 0 without a finding, 1 with one, 3 if an end was not found or a fact could not be read.
///
/// # Errors
/// Fails if standard output cannot be written.
pub(super) fn run(settings: &ExplainSettings) -> anyhow::Result<ExitCode> {
    let documents = match explain(settings) {
        Ok(documents) => documents,
        Err(error) => {
            print_message(&format!("{error:#}"));
            return Ok(ExitCode::from(UNKNOWN));
        }
    };
    match settings.format {
        FindFormat::Json => print_json(&ExplanationsDocument::of(&documents))?,
        FindFormat::Table => print(&report::text(&documents))?,
    }
    let has_finding = documents.iter().any(|document| document.explanation.has_finding());
    let is_unread = documents.iter().any(|document| !document.explanation.unread.is_empty());
    Ok(match (has_finding, is_unread) {
        (true, _) => ExitCode::FAILURE,
        (false, true) => ExitCode::from(UNKNOWN),
        (false, false) => ExitCode::SUCCESS,
    })
}

/// Returns the explanations that the user asks for.
///
/// # Errors
/// Fails if the host cannot be read, and if an end is not found or means several things.
fn explain(settings: &ExplainSettings) -> anyhow::Result<Vec<Explained>> {
    // The sandbox of the reading permits no socket for packet filters.
    let resolver = Resolver::open(OwnNsid::default())?;
    let mut reader = FactsReader::new(resolver, &settings.host.procfs, Path::new(SYSCTL));
    let OneShot { view, sources, engines, runtime, lacks } = OneShot::read_host(&settings.host)?;
    warn_of(&lacks);
    let processes = sources.processes.clone();
    let mut host = FindSources::new(sources, engines, runtime);
    let mut named = Named { host: &mut host, view: &view, lacks: &lacks };
    let folder = names_folder(&settings.host);
    let mut reading = Explainer::new(&mut reader, &view, &processes, &folder);
    let Some(from) = &settings.from else { return Ok(reading.everything()) };
    let from = named.read(from)?;
    let to = settings.to.as_ref().map(|to| named.read(to)).transpose()?;
    Ok(answer(&mut reading, &from, to.as_ref())?)
}

/// Returns the absolute path of the folder in which namespaces have names: commands are to run anywhere.
fn names_folder(host: &HostSettings) -> PathBuf {
    let folder = &host.netns.folder;
    std::path::absolute(folder).unwrap_or_else(|_| folder.clone())
}

/// Returns the explanation of the way between two ends, or why one of them is in no namespace that it was to
/// share.
///
/// # Errors
/// Fails if an end is gone, and if the first end is an address that is not here.
fn answer(
    reading: &mut Explainer<'_>,
    from: &Meaning,
    to: Option<&Meaning>,
) -> Result<Vec<Explained>, NoEnd> {
    for end in [Some(from), to].into_iter().flatten() {
        if let Meaning::Stranded(stranded) = end {
            let findings = vec![Finding::of_stranded(stranded)];
            let from = stranded.member.title();
            let explanation = Explanation { findings, ..Explanation::default() };
            return Ok(vec![Explained { from, to: String::new(), explanation }]);
        }
    }
    Ok(vec![reading.between(from, to)?])
}
