//! The terminal view. All but [`terminal`] is pure: the pairs of an answer become rows ([`table`]),
//! keys change the [`state`], and [`draw`] paints it.

pub(crate) mod draw;
mod promql;
pub(crate) mod state;
pub(crate) mod table;
pub(crate) mod terminal;
mod text;

#[cfg(test)]
mod tests;
