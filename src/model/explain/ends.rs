//! The ends of a question as a view names them.

use crate::model::text::quoted;
use crate::model::view::{ShownSide, Stranded, View};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

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

/// Returns the words before a command that is to run in the namespace with this name in this folder. `ip`
/// knows names in /run/netns alone (NETNS_RUN_DIR of iproute2), which /var/run is a link to.
pub(crate) fn into_named(folder: &Path, name: &str) -> String {
    let is_of_ip = ["/run/netns", "/var/run/netns"].iter().any(|of_ip| folder == Path::new(of_ip));
    match is_of_ip {
        true => format!("ip netns exec {} ", quoted(name.as_bytes())),
        false => format!("nsenter --net={} ", quoted(folder.join(name).as_os_str().as_bytes())),
    }
}

/// Returns both ends of all pairs, and the ends without a pair.
pub(crate) fn sides(view: &View) -> impl Iterator<Item = &ShownSide> {
    let paired = view.scene.pairs.iter().flat_map(|pair| &pair.sides);
    paired.chain(view.scene.single.iter().map(|(side, _)| &**side))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_outside_of_the_folder_of_ip_is_entered_by_its_file() {
        for (folder, words) in [
            ("/run/netns", "ip netns exec blue "),
            ("/run/netns/", "ip netns exec blue "),
            ("/var/run/netns", "ip netns exec blue "),
            ("/host/run/netns", "nsenter --net=/host/run/netns/blue "),
            ("/srv/my names", "nsenter --net=$'/srv/my names/blue' "),
        ] {
            assert_eq!(into_named(Path::new(folder), "blue"), words);
        }
    }
}
