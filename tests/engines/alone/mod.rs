//! Tests of times: the lab runs them after all others of this binary, one at a time, so that no other test takes a processor.

mod naming;
