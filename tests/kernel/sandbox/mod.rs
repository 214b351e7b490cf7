//! What confines the exporter: what it shows of that, what is then refused, and that its work goes on. Every other test target runs
//! the exporter with its sandbox too.

mod refused;
mod shown;
