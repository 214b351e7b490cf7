//! The ends of a question as a view names them.

use crate::model::view::{ShownSide, Stranded, View};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The position of a link: the nsid, `None` for the host, and the ifindex.
pub(crate) type LinkPosition = (Option<u32>, u32);

/// The meaning of a text.
pub(crate) enum Meaning {
    /// Links of one namespace.
    Ends(NamedEnds),
    /// An address that nothing here has.
    Elsewhere(IpAddr),
    /// A container that is not in the namespace that it was to share.
    Stranded(Box<Stranded>),
}

impl Meaning {
    /// Returns the links that a text means; `None` if it means none here.
    pub(crate) fn ends(&self) -> Option<&NamedEnds> {
        if let Meaning::Ends(ends) = self { Some(ends) } else { None }
    }
}

/// Links of one namespace that a text means.
pub(crate) struct NamedEnds {
    pub places: Vec<LinkPosition>,
    /// The address in the text.
    pub address: Option<IpAddr>,
    /// The TCP port in the text.
    pub port: Option<u16>,
    /// The name in /run/netns of a namespace without a pair.
    pub netns: Option<String>,
}

/// Returns the label of each namespace that has an end of a pair: its owner's name, else that of the
/// namespace; empty for the host.
pub(crate) fn labels(view: &View) -> BTreeMap<Option<u32>, String> {
    let mut labels = BTreeMap::from([(None, String::new())]);
    for side in sides(view) {
        let label = match &side.ownership {
            Some(known) => format!("{}/{}", known.owner.runtime.as_str(), known.owner.title()),
            None => side.netns.to_string(),
        };
        labels.insert(side.end.netns.nsid(), label);
    }
    labels
}

/// Returns both ends of all pairs, and the ends without a pair.
pub(crate) fn sides(view: &View) -> impl Iterator<Item = &ShownSide> {
    let paired = view.scene.pairs.iter().flat_map(|pair| &pair.sides);
    paired.chain(view.scene.single.iter().map(|(side, _)| &**side))
}
