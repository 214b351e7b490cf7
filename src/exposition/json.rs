//! Pairs as JSON: the document of `/api/v1/pairs` and of `list --format json`, and its rows. Pure. docs/api.md
//! describes the document, and docs/api.schema.json defines it.

mod query;
pub(crate) mod row;

use crate::exposition::pieces::Pieces;
use crate::model::view::View;
use row::{EndRow, PairRow, RowSource};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Serialize, Serializer};
use std::io::{BufWriter, Write};
use std::time::Duration;

pub(crate) use query::Query;

/// The bytes that are gathered before they go into a piece: a row is written in some hundred parts.
const GATHERED: usize = 16 << 10;

/// Writes the pairs that are asked for.
///
/// # Errors
/// None that are known of: what is written can be written.
pub(crate) fn write(
    view: &View,
    epoch: Duration,
    query: &Query,
    out: &mut Pieces,
) -> Result<(), serde_json::Error> {
    let mut gathered = BufWriter::with_capacity(GATHERED, &mut *out);
    serde_json::to_writer(&mut gathered, &PairsDocument::new(RowSource::running(view, epoch), query))?;
    gathered.flush().map_err(serde_json::Error::io)?;
    drop(gathered);
    out.push("\n");
    Ok(())
}

/// Returns the document of all pairs.
///
/// # Errors
/// None that are known of: what is written can be written.
pub(crate) fn to_json(view: &View, epoch: Duration) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&PairsDocument::new(RowSource::running(view, epoch), &Query::default()))
}

/// Returns the document of all pairs of a host that was read once, for people as well as for programs.
///
/// # Errors
/// None that are known of: what is written can be written.
pub(crate) fn to_pretty_json(view: &View) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(&PairsDocument::new(RowSource::once(view), &Query::default()))
}

/// Returns the row of each pair, and of each end without one, of a host that was read once.
pub(crate) fn rows_read_once(view: &View) -> Vec<PairRow<'_, Vec<EndRow<'_>>>> {
    let source = RowSource::once(view);
    let pairs = (0..view.scene.pairs.len()).map(|pair| {
        let PairRow { state, ends } = source.pair(pair);
        PairRow { state, ends: ends.into() }
    });
    let unpaired = view.scene.single.iter().map(|(side, why)| {
        let PairRow { state, ends } = PairRow::unpaired(side, *why);
        PairRow { state, ends: ends.into() }
    });
    pairs.chain(unpaired).collect()
}

#[derive(Serialize)]
struct PairsDocument<'a> {
    matched: usize,
    summed: usize,
    pairs: ChosenPairs<'a>,
    unpaired: Vec<PairRow<'a, [EndRow<'a>; 1]>>,
}

impl<'a> PairsDocument<'a> {
    fn new(source: RowSource<'a>, query: &Query) -> PairsDocument<'a> {
        let (matched, chosen) = query.choose(source);
        let unpaired = query.choose_unpaired(source.view());
        PairsDocument {
            matched,
            summed: source.view().scene.summed,
            pairs: ChosenPairs { source, chosen },
            unpaired: unpaired.map(|(side, why)| PairRow::unpaired(side, *why)).collect(),
        }
    }
}

/// The indices of the pairs in the document. Each row is made when it is written.
struct ChosenPairs<'a> {
    source: RowSource<'a>,
    chosen: Vec<usize>,
}

impl Serialize for ChosenPairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_seq(Some(self.chosen.len()))?;
        for &pair in &self.chosen {
            rows.serialize_element(&self.source.pair(pair))?;
        }
        rows.end()
    }
}

/// The document as `top` reads it. Fields that an exporter of another version adds are ignored, and fields
/// that it leaves out are unknown.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct PairsAnswer {
    /// The number of pairs beyond the limit of series, which the answer leaves out.
    #[serde(default)]
    pub summed: u64,
    pub pairs: Vec<PairRow<'static>>,
}

impl PairsAnswer {
    /// Parses an answer.
    ///
    /// # Errors
    /// Fails if the text is not JSON of that shape: one line that names the position.
    pub fn read(json: &[u8]) -> Result<PairsAnswer, String> {
        serde_json::from_slice(json).map_err(|error| format!("not an answer of /api/v1/pairs: {error}"))
    }
}

#[cfg(test)]
mod tests;
