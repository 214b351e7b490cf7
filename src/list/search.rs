//! The search: the same words as those of the page's search (`words` in site/page/model.js), and the IP
//! addresses that the table shows.

use super::ListRow;
use crate::exposition::json::row::PlaceRow;
use crate::model::cgroup;

/// The words of a query, in lower case. A row fits if it has all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SearchTerms(Vec<String>);

impl SearchTerms {
    /// Returns the words of the texts that the user has typed.
    pub(crate) fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> SearchTerms {
        SearchTerms(texts.into_iter().flat_map(str::split_whitespace).map(str::to_lowercase).collect())
    }

    /// Returns true if there is no word: every row fits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns true if the row has all words.
    pub(crate) fn fit(&self, row: &ListRow<'_>) -> bool {
        if self.is_empty() {
            return true;
        }
        let words = words(row).to_lowercase();
        self.0.iter().all(|term| words.contains(term.as_str()))
    }
}

/// Returns all that a search looks at, a line for each.
fn words(row: &ListRow<'_>) -> String {
    let mut words: Vec<String> = row.addresses.clone();
    for end in &row.pair.ends {
        add_place(&end.place, &mut words);
    }
    words.join("\n")
}

fn add_place(place: &PlaceRow<'_>, words: &mut Vec<String>) {
    let text = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().unwrap_or_default().to_owned();
    let kind = place.kind.as_deref().filter(|kind| *kind != "veth").unwrap_or_default();
    words.extend([
        text(&place.name),
        text(&place.address),
        kind.to_owned(),
        text(&place.master),
        text(&place.bridge),
    ]);
    words.extend([place.netns.to_string(), place.network.to_string(), format!("ifindex {}", place.ifindex)]);
    if !place.is_port() && place.workload.is_none() {
        words.push(format!("unclaimed {}", place.netns));
    }
    for workload in place.workload.iter().chain(&place.members) {
        words.extend([workload.runtime.to_string(), workload.title(), workload.id.to_string()]);
        words.extend([cgroup::short(&workload.id).to_owned(), workload.image.to_string()]);
        words.extend([workload.compose_project.to_string(), workload.compose_service.to_string()]);
    }
}
