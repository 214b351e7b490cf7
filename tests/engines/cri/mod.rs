//! Kubernetes' pods: those of a real containerd, of a Docker engine with kubelet's labels, and what broken servers do.

mod broken;
mod cadvisor;
mod commands;
mod docker;
mod events;
mod pods;
mod prometheus;
mod restart;
