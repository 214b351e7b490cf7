//! Pairs as JSON: the document of `/api/v1/pairs` and of `list --format json`, and its rows. Pure.
//! docs/api.md describes the document, and docs/api.schema.json defines it.

pub(crate) mod container;
pub(crate) mod event;
mod explanation;
pub(crate) mod host;
pub(crate) mod problem;
mod query;
pub(crate) mod row;
mod writer;

use crate::exposition::pieces::PIECE;
use crate::model::view::View;
use container::{RestartsRow, VethlessRow};
use event::EventRow;
use host::HostRow;
use problem::ProblemRow;
use row::{EndRow, PairRow, RowSource};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Serialize, Serializer};
use std::time::Duration;
use writer::write_row;

pub(crate) use explanation::{AskedEnd, ExplainQuery, ExplanationsDocument};
pub(crate) use query::Query;

/// A row is written when there is room for this many bytes; it rarely takes more.
const ROW: usize = 4 << 10;

/// The progress of a reader of the document.
pub(crate) struct PairsText {
    host: HostRow<'static>,
    matched: usize,
    /// The indices of the pairs in the document, in their order.
    pairs: Vec<usize>,
    /// The indices of the ends without a pair.
    unpaired: Vec<usize>,
    /// The number of parts that have been written: the beginning, each pair, the middle, each end, the end.
    written: usize,
}

impl PairsText {
    /// Chooses the pairs that are asked for.
    pub(crate) fn new(view: &View, epoch: Duration, host: HostRow<'static>, query: &Query) -> PairsText {
        let (matched, pairs) = query.choose(RowSource::running(view, epoch));
        PairsText { host, matched, pairs, unpaired: query.choose_unpaired(view).collect(), written: 0 }
    }

    /// Writes further rows until the piece is full. Returns false when the whole document is written.
    ///
    /// # Errors
    /// None that are known of: a row can be written to memory.
    pub(crate) fn write_piece(
        &mut self,
        view: &View,
        epoch: Duration,
        piece: &mut Vec<u8>,
    ) -> Result<bool, serde_json::Error> {
        let source = RowSource::running(view, epoch);
        while piece.is_empty() || piece.len() + ROW <= PIECE {
            if !self.write_part(source, piece)? {
                return Ok(false);
            }
            self.written += 1;
        }
        Ok(true)
    }

    fn write_part(&self, source: RowSource<'_>, piece: &mut Vec<u8>) -> Result<bool, serde_json::Error> {
        let comma = |piece: &mut Vec<u8>, row| {
            if row > 0 {
                piece.push(b',');
            }
        };
        let Some(pair) = self.written.checked_sub(1) else {
            let head = DocumentHead::new(source, Some(&self.host), self.matched);
            serde_json::to_writer(&mut *piece, &head)?;
            // The document goes on where the object would end.
            piece.pop();
            piece.extend_from_slice(br#","pairs":["#);
            return Ok(true);
        };
        if let Some(&index) = self.pairs.get(pair) {
            comma(piece, pair);
            write_row(piece, &source.pair(index))?;
            return Ok(true);
        }
        let Some(end) = (pair - self.pairs.len()).checked_sub(1) else {
            piece.extend_from_slice(br#"],"unpaired":["#);
            return Ok(true);
        };
        let Some((side, state)) =
            self.unpaired.get(end).and_then(|&index| source.view().scene.single.get(index))
        else {
            piece.extend_from_slice(b"]}\n");
            return Ok(false);
        };
        comma(piece, end);
        write_row(piece, &PairRow::unpaired(side, *state))?;
        Ok(true)
    }
}

/// Returns the document of the pairs that are asked for.
///
/// # Errors
/// None that are known of: a row can be written to memory.
pub(crate) fn to_json(
    view: &View,
    epoch: Duration,
    host: HostRow<'static>,
    query: &Query,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut text = PairsText::new(view, epoch, host, query);
    let (mut document, mut piece) = (Vec::new(), Vec::new());
    loop {
        let more = text.write_piece(view, epoch, &mut piece)?;
        document.append(&mut piece);
        if !more {
            return Ok(document);
        }
    }
}

/// Returns the document of the last events.
///
/// # Errors
/// None that are known of: a row can be written to memory.
pub(crate) fn events_to_json(view: &View, epoch: Duration) -> Result<Vec<u8>, serde_json::Error> {
    let events = view.condition.events.iter().map(|event| EventRow::new(event, epoch));
    let mut text = serde_json::to_vec(&EventsDocument { events: events.collect() })?;
    text.push(b'\n');
    Ok(text)
}

#[derive(Serialize)]
struct EventsDocument<'a> {
    events: Vec<EventRow<'a>>,
}

/// Returns the document of the rows with these indices in [`rows_read_once`], for people as well as for
/// programs.
///
/// # Errors
/// None that are known of: a row can be written to memory.
pub(crate) fn to_pretty_json(view: &View, rows: &[usize]) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(&PairsDocument::new(RowSource::once(view), rows))
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

/// The fields of the document that precede its pairs.
#[derive(Serialize)]
struct DocumentHead<'a> {
    /// `None` for a host that was read once.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a HostRow<'a>>,
    matched: usize,
    summed: usize,
    problems: Vec<ProblemRow<'a>>,
    /// The containers without a veth of their own.
    workloads: Vec<VethlessRow<'a>>,
    restarts: Vec<RestartsRow<'a>>,
}

impl<'a> DocumentHead<'a> {
    fn new(source: RowSource<'a>, host: Option<&'a HostRow<'a>>, matched: usize) -> DocumentHead<'a> {
        let (view, epoch) = (source.view(), source.epoch());
        let problems = view.condition.problems.iter().map(|problem| ProblemRow::new(problem, epoch));
        let vethless = view.condition.vethless.iter().map(|container| VethlessRow::new(container, epoch));
        let restarts = view.condition.restarts.iter().map(|restarts| RestartsRow::new(restarts, epoch));
        DocumentHead {
            host,
            matched,
            summed: view.scene.overflow.pairs,
            problems: problems.collect(),
            workloads: vethless.collect(),
            restarts: restarts.collect(),
        }
    }
}

#[derive(Serialize)]
struct PairsDocument<'a> {
    #[serde(flatten)]
    head: DocumentHead<'a>,
    pairs: ChosenPairs<'a>,
    unpaired: Vec<PairRow<'a, [EndRow<'a>; 1]>>,
}

impl<'a> PairsDocument<'a> {
    fn new(source: RowSource<'a>, rows: &[usize]) -> PairsDocument<'a> {
        let scene = &source.view().scene;
        let count = scene.pairs.len();
        let pairs: Vec<usize> = rows.iter().copied().filter(|&row| row < count).collect();
        let single = rows.iter().filter_map(|row| scene.single.get(row.checked_sub(count)?));
        let visible = single.filter(|(side, _)| !side.hidden);
        PairsDocument {
            head: DocumentHead::new(source, None, pairs.len()),
            pairs: ChosenPairs(source, pairs),
            unpaired: visible.map(|(side, why)| PairRow::unpaired(side, *why)).collect(),
        }
    }
}

/// The pairs of a view with these indices. Each row is made when it is written.
struct ChosenPairs<'a>(RowSource<'a>, Vec<usize>);

impl Serialize for ChosenPairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_seq(Some(self.1.len()))?;
        for &pair in &self.1 {
            rows.serialize_element(&self.0.pair(pair))?;
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
    #[serde(default)]
    pub host: HostRow<'static>,
    /// The problems, the most severe first.
    #[serde(default)]
    pub problems: Vec<ProblemRow<'static>>,
    /// The containers without a veth of their own.
    #[serde(default)]
    pub workloads: Vec<VethlessRow<'static>>,
    #[serde(default)]
    pub restarts: Vec<RestartsRow<'static>>,
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
