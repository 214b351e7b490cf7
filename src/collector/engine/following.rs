//! The task of one engine: it asks when the pace says so, and answers the collector's requests from what the
//! engine has reported last.

use super::super::absence::Absence;
use super::super::backlog::TaskSlots;
use super::super::handle::{Handle, Message};
use super::events::{EventLine, EventState, watch_cri, watch_docker};
use super::pace::{Answered, Pace};
use super::{Api, Asked, Engine};
use crate::model::host::Input;
use crate::model::lack::{Lack, LackReason};
use crate::model::workload::Claims;
use crate::runtimes::docker::{AddressChanges, DockerHost};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// The time for which inspections are gathered that come late.
const GATHER: Duration = Duration::from_millis(50);

/// The reason to look whether the engine has to be asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The collector wants the present state.
    Tick,
    /// Something has no name that the engine may have.
    Nameless,
    News,
    Stream,
    Due,
    /// Inspections that the last list has not waited for are complete.
    Inspected,
}

/// An engine that is followed.
struct Follower {
    engine: Engine,
    collector: Handle,
    line: Arc<EventLine>,
    pace: Pace,
    /// The last answer: the digest of its claims, or the failure; `None` if the engine is not there.
    last: Option<Result<u64, Lack>>,
    took: Duration,
    slots: TaskSlots,
    pods_watched: bool,
}

impl Engine {
    /// Answers the collector's requests and passes on the engine's events, until the collector has stopped.
    pub(crate) async fn follow(self, collector: Handle) {
        let Some(asks) = collector.engines.get(&self.runtime) else { return };
        let asks = Arc::clone(asks);
        let line = Arc::new(EventLine::default());
        let mut stream = line.stream.subscribe();
        let (runtime, mut changes) = (self.runtime, None);
        let mut follower = Follower {
            engine: self,
            collector,
            line: Arc::clone(&line),
            pace: Pace::new(Instant::now()),
            last: None,
            took: Duration::ZERO,
            slots: TaskSlots::new(1),
            pods_watched: false,
        };
        loop {
            // Whether the engine's pids are believed may be known only after the first dial.
            if changes.is_none()
                && let Ok(Api::Docker(docker)) = follower.engine.usable()
            {
                changes = Some(docker.address().changes());
                let (address, collector) = (docker.address().clone(), follower.collector.clone());
                tokio::spawn(watch_docker(address, runtime, Arc::clone(&line), collector));
            }
            let due = follower.pace.due();
            let Engine { absence, api, .. } = &mut follower.engine;
            let absent = absence.is_some();
            let cause = tokio::select! {
                () = asks.state.notified() => Cause::Tick,
                () = asks.nameless.notified() => Cause::Nameless,
                () = line.news.notified() => Cause::News,
                Ok(()) = stream.changed() => Cause::Stream,
                () = moved(&mut changes) => Cause::News,
                () = dial_due(absence) => Cause::Due,
                () = passed(due), if !absent => Cause::Due,
                () = inspected(api) => Cause::Inspected,
            };
            // Without an update: a change that came beside another cause is the cause of the next turn.
            let state = *stream.borrow();
            if !follower.act(cause, state).await {
                return;
            }
        }
    }
}

impl Follower {
    /// Acts on a cause. Returns false if the collector has stopped.
    async fn act(&mut self, cause: Cause, stream: EventState) -> bool {
        match cause {
            Cause::Tick => self.pace.begin(),
            Cause::Nameless => self.pace.want_without_events(),
            Cause::News => self.pace.want(),
            Cause::Stream => {
                self.pace.set_live(stream == EventState::Open, Instant::now());
                if stream == EventState::Ended {
                    self.begin_stopped();
                }
            }
            Cause::Inspected => {
                let claims = self.engine.gather(GATHER).await;
                return match claims {
                    Some(claims) => self.send_claims(Some(Ok(claims))).await,
                    None => true,
                };
            }
            Cause::Due => {}
        }
        let (now, addresses) = (Instant::now(), self.engine.addresses());
        if let Some(absence) = self.engine.absence.as_ref().filter(|absence| absence.holds(&addresses)) {
            let answer = absence.answer(self.engine.runtime);
            return cause != Cause::Tick || self.send(answer).await;
        }
        if self.engine.absence.is_some() || self.pace.due().is_some_and(|due| due <= now) {
            return self.dial(addresses).await;
        }
        match cause {
            Cause::Tick => self.answer_again().await,
            _ => true,
        }
    }

    /// Asks the engine for its claims, and begins, continues or ends its absence.
    async fn dial(&mut self, addresses: Vec<DockerHost>) -> bool {
        let begin = Instant::now();
        let networks = self.pace.ask(begin) | self.line.take_networks();
        let (runtime, (patience, slow)) = (self.engine.runtime, self.engine.too_slow());
        let asked = {
            let mut claims = pin!(self.engine.claims(networks));
            match timeout(patience, &mut claims).await {
                Ok(asked) => asked,
                // That the engine is slow is reported at once; its answer counts whenever it comes.
                Err(_) => {
                    let slow = Input::Claims { runtime, answer: Some(Err(slow)), took: begin.elapsed() };
                    let slot = self.slots.acquire().await;
                    if self.collector.inbox.send(Message::Input(slow, slot)).is_err() {
                        return false;
                    }
                    self.last = None;
                    claims.await
                }
            }
        };
        let Asked { answer, listens } = asked;
        self.took = begin.elapsed();
        if listens {
            self.engine.absence = None;
        } else {
            self.engine.pids.forget_engine();
            if self.engine.absence.as_ref().is_none_or(|absence| !absence.is_at(&addresses)) {
                self.engine.absence = Some(Absence::begin(addresses));
            }
            if let Some(absence) = &mut self.engine.absence {
                let reason = answer.as_ref().and_then(|answer| answer.as_ref().err().cloned());
                absence.record(reason, self.took);
            }
        }
        self.line.set_listening(listens);
        self.watch_pods();
        let well = answer.as_ref().is_some_and(Result::is_ok);
        self.line.set_answers(well);
        let before = self.last.clone();
        let sent = self.send_claims(answer).await;
        let answered = Answered {
            well: well || listens && self.last.is_none(),
            changed: self.last != before,
            complete: self.engine.is_complete(),
            took: self.took,
        };
        self.pace.answered(answered, Instant::now());
        sent
    }

    /// Follows the events of a CRI server once its endpoint is known: after the first successful request.
    fn watch_pods(&mut self) {
        if self.pods_watched {
            return;
        }
        if let Ok(Api::Cri(cri)) = self.engine.usable()
            && let Some(endpoint) = cri.endpoint().cloned()
        {
            tokio::spawn(watch_cri(endpoint, cri.calls(), Arc::clone(&self.line)));
            self.pods_watched = true;
        }
    }

    /// Begins the wait for an engine that has ended its stream of events, and that a connection may start.
    fn begin_stopped(&mut self) {
        let Ok(Api::Docker(docker)) = &self.engine.api else { return };
        let Some(stopped) = docker.address().stopped(&self.engine.processes) else { return };
        let what = format!(
            "no engine at {}: it has ended, and a connection to its socket would start it",
            docker.host()
        );
        let addresses = docker.address().hosts();
        let lack = Lack::new(LackReason::EngineDown, what);
        self.engine.absence = Some(Absence::of_stopped(addresses, stopped, lack));
    }

    /// Sends an answer, or that it is the last one again.
    async fn send_claims(&mut self, answer: Option<Result<Claims, Lack>>) -> bool {
        let (runtime, took) = (self.engine.runtime, self.took);
        let digest = answer.as_ref().map(|answer| answer.as_ref().map(digest).map_err(Clone::clone));
        let same = matches!(digest, Some(Ok(_))) && self.last == digest;
        self.last = digest;
        self.send(match same {
            true => Input::SameClaims { runtime, took },
            false => Input::Claims { runtime, answer, took },
        })
        .await
    }

    /// Sends the last answer again, with what the engine need not be asked for.
    async fn answer_again(&mut self) -> bool {
        let (runtime, took) = (self.engine.runtime, self.took);
        if let (Some(Ok(_)), Ok(Api::Docker(docker))) = (&self.last, &mut self.engine.api)
            && docker.has_other_netns()
        {
            let claims = docker.claims();
            return self.send_claims(Some(Ok(claims))).await;
        }
        match &self.last {
            Some(Ok(_)) => self.send(Input::SameClaims { runtime, took }).await,
            Some(Err(lack)) => {
                self.send(Input::Claims { runtime, answer: Some(Err(lack.clone())), took }).await
            }
            None => true,
        }
    }

    /// Sends an input. Returns false if the collector has stopped.
    async fn send(&self, input: Input) -> bool {
        let slot = self.slots.acquire().await;
        self.collector.inbox.send(Message::Input(input, slot)).is_ok()
    }
}

/// Returns a number that differs for different claims.
fn digest(claims: &Claims) -> u64 {
    let mut hasher = DefaultHasher::new();
    let Claims { claims, networks, given, own, joined, vethless, pod_containers, limits } = claims;
    (claims, networks, given, own, joined, vethless, pod_containers).hash(&mut hasher);
    limits.iter().for_each(|lack| lack.what.hash(&mut hasher));
    hasher.finish()
}

/// Waits until the engine may have a different address.
async fn moved(changes: &mut Option<AddressChanges>) {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}

/// Waits until an absent engine shall be dialled.
async fn dial_due(absence: &mut Option<Absence>) {
    match absence {
        Some(absence) => absence.dial_due().await,
        None => std::future::pending().await,
    }
}

/// Waits until this time.
async fn passed(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Waits until an inspection is complete that the last list has not waited for.
async fn inspected(api: &mut Result<Api, Lack>) {
    match api {
        Ok(Api::Docker(docker)) => docker.inspected_later().await,
        Ok(Api::Cri(cri)) => cri.located_later().await,
        Err(_) => std::future::pending().await,
    }
}
