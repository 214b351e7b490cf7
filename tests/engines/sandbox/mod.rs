//! The sandbox beside engines: the exporter's work goes on in it, also in a container.

mod container;
mod works;
