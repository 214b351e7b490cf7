//! The terminal view. All but [`terminal`] is pure: what was told of the pairs ([`pairs`]) becomes rows ([`table`]), keys change the
//! [`state`], and [`draw`] paints it.

pub mod draw;
pub mod pairs;
mod promql;
pub mod state;
pub mod table;
pub mod terminal;
mod text;

pub use text::printable;
