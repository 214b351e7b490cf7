//! The terminal view. All but [`terminal`] is pure: answers about pairs ([`pairs`]) become rows ([`table`]),
//! keys change the [`state`], and [`draw`] paints it.

pub(crate) mod draw;
pub(crate) mod pairs;
mod promql;
pub(crate) mod state;
pub(crate) mod table;
pub(crate) mod terminal;
mod text;
