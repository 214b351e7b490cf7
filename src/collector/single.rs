//! A single evaluation of the host, without threads.

use super::asking::{resolve, take_sample};
use super::{Engine, Snapshot, Sources, since_1970};
use crate::model::host::{Config, Host, Input, Request, Samples};
use crate::model::workload::Runtime;
use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// The step of the state machine's time in one evaluation: all requests of a step are answered in it, and
/// evaluated together at its end.
pub(crate) const LOOK_STEP: Duration = Duration::from_millis(1);

/// The longest time of one evaluation; at its end, the view has what is known by then.
const LOOK_LIMIT: Duration = Duration::from_secs(30);

/// Evaluates the host once, in the calling thread. Each engine is asked once.
pub(crate) async fn look_once(config: Config, sources: &mut Sources, engines: &mut [Engine]) -> Snapshot {
    let (start, epoch) = (Instant::now(), since_1970());
    let named = sources.netns_folder.iter().map(|_| Runtime::Named);
    let runtimes: Vec<Runtime> = engines.iter().map(Engine::runtime).chain(named).collect();
    let limits = super::surroundings::limits(sources, config.processes);
    // This evaluation does not know the names that one before it has read.
    if let Some(folder) = &mut sources.netns_folder {
        folder.names.forget();
    }
    let mut host = Host::new(config, runtimes);
    let mut now = Duration::ZERO;
    let mut requests = VecDeque::from(host.apply(Input::Tick, now));
    let mut asked = BTreeSet::new();
    while start.elapsed() < LOOK_LIMIT {
        let Some(request) = requests.pop_front() else {
            now += LOOK_STEP;
            requests.extend(host.apply(Input::Wake, now));
            if requests.is_empty() {
                break;
            }
            continue;
        };
        let engine = match request {
            Request::Claims(runtime) => engines.iter_mut().find(|engine| engine.runtime() == runtime),
            _ => None,
        };
        let folder = sources.netns_folder.as_mut();
        let input = match engine {
            Some(engine) if asked.insert(engine.runtime()) => Some(engine.ask().await),
            Some(_) => None,
            None => resolve(&mut sources.resolver, folder, &sources.processes, request),
        };
        let Some(input) = input else { continue };
        requests.extend(host.apply(input, now));
    }
    for limit in limits {
        host.apply(limit, now);
    }
    host.apply(take_sample(&mut sources.sampler, Samples::default()), now);
    Snapshot { view: host.view(), status: host.status().clone(), epoch, state: None }
}
