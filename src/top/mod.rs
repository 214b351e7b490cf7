//! The terminal view. All but [`terminal`] is pure: the pairs of an answer become rows ([`table`]) of a
//! [`report`], the [`arrangement`] puts its lines in order, keys change the [`state`], and [`draw`] paints
//! it.

pub(crate) mod arrangement;
pub(crate) mod draw;
mod promql;
pub(crate) mod report;
pub(crate) mod state;
pub(crate) mod table;
pub(crate) mod terminal;
mod text;
pub(crate) mod trouble;

#[cfg(test)]
mod tests;
