//! Pairs as JSON: the document of `/api/v1/pairs`, and its rows. Pure. docs/api.md describes the document, and
//! docs/api.schema.json defines it.

mod query;
pub(crate) mod row;

use crate::exposition::pieces::Pieces;
use crate::model::view::View;
use row::{LabelTotals, PairRow};
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};
use std::time::Duration;

pub(crate) use query::Query;

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
    serde_json::to_writer(&mut *out, &PairsDocument::new(view, epoch, query))?;
    out.push("\n");
    Ok(())
}

/// All pairs as the API shows them, for what shows them without a request.
///
/// # Errors
/// None that are known of: what is written can be written.
pub(crate) fn to_json(view: &View, epoch: Duration) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&PairsDocument::new(view, epoch, &Query::default()))
}

#[derive(Serialize)]
struct PairsDocument<'a> {
    matched: usize,
    summed: usize,
    pairs: Pairs<'a>,
}

impl<'a> PairsDocument<'a> {
    fn new(view: &'a View, epoch: Duration, query: &Query) -> PairsDocument<'a> {
        let totals = LabelTotals { view, epoch };
        let (matched, chosen) = query.choose(&totals);
        PairsDocument { matched, summed: view.scene.summed, pairs: Pairs { totals, chosen } }
    }
}

/// Each row is made when it is written.
struct Pairs<'a> {
    totals: LabelTotals<'a>,
    chosen: Vec<usize>,
}

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_seq(Some(self.chosen.len()))?;
        for &pair in &self.chosen {
            rows.serialize_element(&PairRow::new(&self.totals, pair))?;
        }
        rows.end()
    }
}
