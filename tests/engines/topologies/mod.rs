//! Topologies that need an engine: containers that move and restart, Swarm's overlays, containers in containers.

mod engine;
mod nested;
mod swarm;
