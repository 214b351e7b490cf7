//! The ends that a text names: the links of a catalog, and the port behind a name.

use super::{Catalog, FindTarget, Pasted};
use crate::model::explain::ends::{self, LinkPosition, Meaning, NamedEnds};
use crate::model::text::printable;
use crate::model::view::{Scene, View};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The most things that a message lists.
const LISTED: usize = 8;

/// The text of an end: a name or an address, and perhaps a TCP port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndText {
    pub(crate) pasted: Pasted,
    /// The text as an address; `None` for a name.
    pub(crate) address: Option<IpAddr>,
    pub(crate) port: Option<u16>,
}

impl EndText {
    /// Reads a text of any bytes. Its last colon is a part of the name if the catalog has the whole.
    pub(crate) fn read(catalog: &Catalog, raw: &[u8]) -> EndText {
        let whole = Pasted::read(raw);
        let split = split_port(&whole.text).filter(|_| !catalog.has(&whole.text));
        let (pasted, port) = match split {
            Some((name, port)) => (Pasted::read(name.as_bytes()), Some(port)),
            None => (whole, None),
        };
        let address = pasted.text.parse().ok();
        EndText { pasted, address, port }
    }

    /// Returns what the text means among the things that were found for it; `None` if none of them has a link
    /// and no container among them is stranded.
    ///
    /// # Errors
    /// Fails if the text means links of several namespaces, with a sentence that names them.
    pub(crate) fn meaning(
        &self,
        catalog: &Catalog,
        view: &View,
        found: &BTreeSet<FindTarget>,
    ) -> Result<Option<Meaning>, String> {
        let mut places = catalog.places(&self.pasted, found);
        if places.is_empty() {
            let rows = found.iter().filter_map(|target| target.row());
            places = rows.filter_map(|row| interface(&view.scene, row)).collect();
        }
        let mut netns = None;
        if places.is_empty() {
            (places, netns) = catalog.without_pairs(found);
        }
        if places.is_empty() {
            return Ok(stranded(catalog, view, found));
        }
        let namespaces: BTreeSet<Option<u32>> = places.iter().map(|(nsid, _)| *nsid).collect();
        if namespaces.len() > 1 {
            let listed = list(view, &namespaces);
            return Err(format!("{} means several things: {listed}", printable(&self.pasted.text)));
        }
        let places = places.into_iter().collect();
        Ok(Some(Meaning::Ends(NamedEnds { places, address: self.address, port: self.port, netns })))
    }
}

/// Returns the interface of a pair, or the end without a pair, by its index in the scene.
fn interface(scene: &Scene, row: usize) -> Option<LinkPosition> {
    let end = match scene.pairs.get(row) {
        Some(pair) => {
            let port = pair.ports().next().map_or(0, |(side, ..)| side);
            pair.sides[1 - port].end
        }
        None => scene.single.get(row - scene.pairs.len())?.0.end,
    };
    Some((end.netns.nsid(), end.ifindex))
}

fn stranded(catalog: &Catalog, view: &View, found: &BTreeSet<FindTarget>) -> Option<Meaning> {
    found.iter().find_map(|target| {
        let (_, id) = catalog.container(*target)?;
        let stranded = view.stranded.iter().find(|stranded| stranded.member.id == id)?;
        Some(Meaning::Stranded(Box::new(stranded.clone())))
    })
}

fn list(view: &View, namespaces: &BTreeSet<Option<u32>>) -> String {
    let labels = ends::labels(view);
    let names = namespaces.iter().map(|nsid| match labels.get(nsid) {
        Some(label) if !label.is_empty() => printable(label),
        _ => nsid.map_or_else(|| "the host".to_owned(), |nsid| format!("nsid {nsid}")),
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    let more = names.len().saturating_sub(LISTED);
    names.truncate(LISTED);
    names.extend((more > 0).then(|| format!("{more} more")));
    names.join(", ")
}

/// Splits `db:5432`, `10.0.0.2:5432` and `[fd00::2]:5432` into the name and the port.
fn split_port(text: &str) -> Option<(String, u16)> {
    let (name, port) = text.rsplit_once(':')?;
    let port: u16 = port.parse().ok().filter(|port| *port != 0)?;
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    match bare {
        Some(address) => Some((address.to_owned(), port)),
        // A MAC address and an IPv6 address have more colons than one.
        None if name.contains(':') || name.is_empty() => None,
        None => Some((name.to_owned(), port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_stands_behind_the_last_colon_of_a_name_or_an_address() {
        for (text, wanted) in [
            ("db:5432", Some(("db", 5432))),
            ("docker/shop-db-1:1", Some(("docker/shop-db-1", 1))),
            ("10.0.0.2:5432", Some(("10.0.0.2", 5432))),
            ("[fd00::2]:5432", Some(("fd00::2", 5432))),
            ("fd00::2", None),
            ("02:42:ac:12:00:02", None),
            ("db", None),
            ("db:", None),
            ("db:0", None),
            ("db:65536", None),
            ("db:http", None),
            (":80", None),
        ] {
            let wanted = wanted.map(|(name, port)| (name.to_owned(), port));
            assert_eq!(split_port(text), wanted, "{text}");
        }
    }
}
