//! The engines that are not there although containers of theirs are.

use super::input::Config;
use crate::model::lack::{Lack, LackReason};
use crate::model::owners::Evidence;
use crate::model::policy::ENGINE_ABSENT_FOR;
use crate::model::view::{Source, SourceStatus, Status};
use crate::model::workload::Runtime;
use std::collections::BTreeMap;
use std::time::Duration;

/// The engines with a container on this host and without an answer.
#[derive(Debug, Default)]
pub(super) struct AbsentEngines {
    /// The time since which each engine is missing.
    since: BTreeMap<Runtime, Duration>,
}

impl AbsentEngines {
    /// Reports each engine that has been missing for [`ENGINE_ABSENT_FOR`], and takes back what it has
    /// reported of an engine that is not missing any more.
    ///
    /// No engine is missing before each source has answered once: the address of one engine may turn out
    /// to be that of another, which is asked there only then.
    pub(super) fn report(
        &mut self,
        evidence: &Evidence,
        status: &mut Status,
        config: &Config,
        now: Duration,
    ) {
        for runtime in [Runtime::Docker, Runtime::Podman, Runtime::Cri] {
            let Some(source) = Source::of(runtime) else { continue };
            let known = status.sources.get(&source).and_then(|status| status.result.as_ref().err());
            let is_known = known.is_some_and(|lack| lack.reason == LackReason::SocketAbsent);
            let missing = evidence.unreported(runtime).filter(|_| evidence.have_all_answered());
            let Some(container) = missing else {
                self.since.remove(&runtime);
                if is_known {
                    status.sources.remove(&source);
                }
                continue;
            };
            let since = *self.since.entry(runtime).or_insert(now);
            if is_known || now < since + ENGINE_ABSENT_FOR {
                continue;
            }
            let (runtime_name, name) = (runtime.as_str(), &container.name);
            let sockets = config.sockets.get(&runtime).map_or("its usual address", String::as_str);
            let what =
                format!("containers of {runtime_name} are here ({name}), and no engine listens at {sockets}");
            let lack = Lack::new(LackReason::SocketAbsent, what);
            status.sources.insert(source, SourceStatus::new(Err(lack), Duration::ZERO));
        }
    }

    /// Returns the next time at which an engine has been missing for long enough.
    pub(super) fn due(&self, now: Duration) -> Option<Duration> {
        self.since.values().map(|since| *since + ENGINE_ABSENT_FOR).filter(|due| *due > now).min()
    }
}
