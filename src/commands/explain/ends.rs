//! The ends that a text of the command line means.

use crate::commands::lookup::{FindSources, find_targets};
use crate::find::{Catalog, EndText};
use crate::model::explain::ends::{Meaning, NamedEnds};
use crate::model::lack::Lack;
use crate::model::view::{Source, View};
use anyhow::{anyhow, bail};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// The reader of texts.
pub(super) struct Named<'a> {
    pub host: &'a mut FindSources,
    pub view: &'a View,
    pub lacks: &'a [(Source, Lack)],
}

impl Named<'_> {
    /// Returns what a text means.
    ///
    /// # Errors
    /// Fails if nothing is called so, if a thing has no link, and if the text means links of several
    /// namespaces.
    pub(super) fn read(&mut self, text: &OsStr) -> anyhow::Result<Meaning> {
        let mut catalog = Catalog::new(&self.view.scene);
        let end = EndText::read(&catalog, text.as_bytes());
        if let Some(place) = self.host.device(&end.pasted.text) {
            return Ok(Meaning::Ends(NamedEnds {
                places: vec![place],
                address: None,
                port: end.port,
                netns: None,
            }));
        }
        let found = match find_targets(self.host, &mut catalog, self.view, &end.pasted, self.lacks) {
            Ok(found) => found,
            Err(error) => return end.address.map(Meaning::Elsewhere).ok_or(error),
        };
        match end.meaning(&catalog, self.view, &found).map_err(|several| anyhow!(several))? {
            Some(meaning) => Ok(meaning),
            None => bail!("{}", self.host.absences(&catalog, self.view, &found)),
        }
    }
}
