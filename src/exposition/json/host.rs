//! The row of the host: its name, its kernel, its engines, and the times since which it and the exporter run.

use crate::model::view::Status;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The host that the exporter runs on.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct HostRow<'a> {
    /// The name of the host (`uname -n`).
    pub name: Cow<'a, str>,
    /// The release of the kernel (`uname -r`).
    pub kernel: Cow<'a, str>,
    /// The time at which the host was booted, in seconds since 1970 began; `None` if it is not known.
    pub booted: Option<f64>,
    /// The time at which the exporter was started, in seconds since 1970 began.
    pub started: Option<f64>,
    /// The container engines that answer.
    pub engines: Vec<EngineRow<'a>>,
}

/// A container engine that answers, with the version that it reports.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct EngineRow<'a> {
    /// The runtime's name: `docker` and so on.
    pub runtime: Cow<'a, str>,
    /// The version that the engine reports; empty if it does not report one.
    pub version: Cow<'a, str>,
}

impl HostRow<'static> {
    /// Returns the row with the engines that answer.
    pub(crate) fn with_engines(&self, status: &Status) -> HostRow<'static> {
        let engines = status.engines.iter().map(|(runtime, version)| EngineRow {
            runtime: runtime.as_str().into(),
            version: version.clone().into(),
        });
        HostRow { engines: engines.collect(), ..self.clone() }
    }
}
