//! The lives of containers: how often each was started again, which are stopped, and which crash in a loop.
//!
//! A container is known here from the first end of its process that an engine reports until the engine
//! removes it. A container that runs since before that has no entry.

use super::pod_containers::PodContainers;
use super::policy::{CRASH_LOOP_WITHIN, STOPPED_FOR};
use super::problems::remembered::Remembered;
use super::problems::{Found, ProblemKey, ProblemKind, Severity, Subject};
use super::workload::{ContainerState, LifeAction, LifeChange, PodContainerList, Runtime, Workload};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// The most containers that are known, and the most stopped ones that are shown.
const KNOWN: usize = 1000;
const STOPPED: usize = 200;

/// The number of crashes within [`CRASH_LOOP_WITHIN`] that are a loop.
const CRASHES: usize = 3;

/// A container that was restarted since the engine's events are followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restarts {
    pub workload: Workload,
    pub count: u64,
    /// The time of the first end of its process, as the state machine's time.
    pub since: Duration,
}

/// A container that is stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoppedContainer {
    pub workload: Workload,
    pub exit_code: Option<i64>,
    pub since: Duration,
}

/// One container, from the first end of its process on.
#[derive(Clone, Debug)]
struct Life {
    workload: Workload,
    since: Duration,
    restarts: u64,
    /// The time of the last end; `None` while the container runs.
    ended: Option<Duration>,
    exit_code: Option<i64>,
    /// True if a user has asked for the end that comes next, or that came last.
    requested: bool,
    /// The last ends without a request, within [`CRASH_LOOP_WITHIN`].
    crashes: VecDeque<Duration>,
    /// The number of crashes since the first of `crashes` that was not longer ago than that, and its time.
    crashed: u64,
    crashing_since: Duration,
}

/// A container: its id, or for one of a pod its name with the pod's, as each of its starts has another id.
type LifeKey = (Runtime, String);

fn key_of(workload: &Workload) -> LifeKey {
    let key = if workload.runtime == Runtime::Cri { workload.title() } else { workload.id.clone() };
    (workload.runtime, key)
}

/// All containers with a process that has ended.
#[derive(Debug, Default)]
pub(crate) struct Lives {
    known: BTreeMap<LifeKey, Life>,
    pods: PodContainers,
    /// The crash loops as they were described last.
    loops: Remembered<CrashLoop>,
    /// The number of changes that are shown.
    version: u64,
}

impl Lives {
    /// Returns a number that changes whenever the restarts or the stopped containers do.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Takes a complete list of pods' containers, and returns what has happened to them since the one before.
    pub(crate) fn take_pods(&mut self, list: PodContainerList) -> Vec<LifeChange> {
        self.pods.take_list(list)
    }

    /// Takes what an engine has reported about one container.
    pub(crate) fn take_change(&mut self, change: LifeChange, now: Duration) {
        let LifeChange { workload, action } = change;
        let key = key_of(&workload);
        match action {
            LifeAction::Started => {
                if let Some(life) = self.known.get_mut(&key).filter(|life| life.ended.is_some()) {
                    life.workload = workload;
                    (life.ended, life.requested) = (None, false);
                    life.restarts += 1;
                }
            }
            LifeAction::StopRequested => {
                let life = self.known.entry(key).or_insert_with(|| Life::new(workload, now));
                // Podman reports the request after the end.
                if life.ended.is_some() && life.crashes.back() == life.ended.as_ref() {
                    life.crashes.pop_back();
                    life.crashed = life.crashed.saturating_sub(1);
                }
                life.requested = true;
            }
            LifeAction::Ended { exit_code } => {
                let life = self.known.entry(key).or_insert_with(|| Life::new(workload, now));
                life.end(exit_code, now);
            }
            LifeAction::Removed => _ = self.known.remove(&key),
        }
        self.version += 1;
        self.forget_beyond(KNOWN);
    }

    /// Forgets the containers that ended first, beyond this number.
    fn forget_beyond(&mut self, most: usize) {
        while self.known.len() > most {
            let oldest =
                self.known.iter().min_by_key(|(_, life)| (life.ended.is_none(), life.ended, life.since));
            let Some(key) = oldest.map(|(key, _)| key.clone()) else { return };
            self.known.remove(&key);
        }
    }

    /// Forgets the containers that have been stopped for longer than [`STOPPED_FOR`], and those that were
    /// asked to stop and did not.
    pub(crate) fn expire(&mut self, now: Duration) {
        let before = self.known.len();
        self.known.retain(|_, life| {
            let last = life.ended.unwrap_or(if life.restarts > 0 { now } else { life.since });
            now.saturating_sub(last) <= STOPPED_FOR
        });
        self.version += u64::from(self.known.len() != before);
        for life in self.known.values_mut() {
            life.forget_crashes(now);
        }
    }

    /// Returns the containers that were restarted, in the order of their runtimes and ids.
    pub(crate) fn restarts(&self) -> Vec<Restarts> {
        let restarted = self.known.values().filter(|life| life.restarts > 0);
        let restarts = restarted.map(|life| Restarts {
            workload: life.workload.clone(),
            count: life.restarts,
            since: life.since,
        });
        restarts.collect()
    }

    /// Returns how often a container was restarted.
    pub(crate) fn restarts_of(&self, workload: &Workload) -> u64 {
        self.known.get(&key_of(workload)).map_or(0, |life| life.restarts)
    }

    /// Returns the containers that are stopped, the last one first; those of pods are no rows of their own.
    pub(crate) fn stopped(&self) -> Vec<StoppedContainer> {
        let rows = self.known.values().filter(|life| life.workload.runtime != Runtime::Cri);
        let stopped = rows.filter_map(|life| {
            let (workload, exit_code) = (life.workload.clone(), life.exit_code);
            Some(StoppedContainer { workload, exit_code, since: life.ended? })
        });
        let mut stopped: Vec<StoppedContainer> = stopped.collect();
        stopped.sort_by_key(|container| std::cmp::Reverse(container.since));
        stopped.truncate(STOPPED);
        stopped
    }

    /// Passes on a problem for each container that crashes in a loop. `restarting` are those that their
    /// engine is about to start again, whatever was heard of them.
    pub(crate) fn each_problem<'a>(
        &mut self,
        restarting: impl Iterator<Item = &'a Workload> + Clone,
        now: Duration,
        mut take: impl FnMut(&Arc<Found>),
    ) {
        let Lives { known, loops, .. } = self;
        let is_restarting = |life: &Life| restarting.clone().any(|workload| is_one(workload, &life.workload));
        for workload in restarting.clone() {
            let life = known.values().find(|life| is_one(workload, &life.workload));
            take(loops.next_loop(workload, life, true, now));
        }
        let looping = known.values().filter(|life| life.crashes.len() >= CRASHES);
        for life in looping.filter(|life| !is_restarting(life)) {
            take(loops.next_loop(&life.workload, Some(life), life.ended.is_some(), now));
        }
        loops.end();
    }
}

impl Life {
    fn new(workload: Workload, now: Duration) -> Life {
        Life {
            workload,
            since: now,
            restarts: 0,
            ended: None,
            exit_code: None,
            requested: false,
            crashes: VecDeque::new(),
            crashed: 0,
            crashing_since: now,
        }
    }

    fn end(&mut self, exit_code: Option<i64>, now: Duration) {
        self.forget_crashes(now);
        (self.ended, self.exit_code) = (Some(now), exit_code);
        if std::mem::take(&mut self.requested) {
            return;
        }
        if self.crashes.is_empty() {
            (self.crashed, self.crashing_since) = (0, now);
        }
        self.crashed += 1;
        self.crashes.push_back(now);
        // More than those that are a loop need not be known one by one.
        while self.crashes.len() > CRASHES {
            self.crashes.pop_front();
        }
    }

    fn forget_crashes(&mut self, now: Duration) {
        while self.crashes.front().is_some_and(|crash| now.saturating_sub(*crash) > CRASH_LOOP_WITHIN) {
            self.crashes.pop_front();
        }
    }
}

/// Returns true for two reports of one container.
fn is_one(one: &Workload, other: &Workload) -> bool {
    one.id == other.id && one.runtime == other.runtime
}

/// Everything that the text of a crash loop shows.
#[derive(Debug)]
struct CrashLoop {
    workload: Workload,
    numbers: LoopNumbers,
}

/// The numbers of a crash loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LoopNumbers {
    /// The number of crashes, and the minutes in which they were.
    times: Option<(u64, u64)>,
    exit_code: Option<i64>,
    /// True while the container does not run.
    is_down: bool,
}

impl Remembered<CrashLoop> {
    /// Returns the problem of the next container that crashes in a loop.
    fn next_loop(
        &mut self,
        workload: &Workload,
        life: Option<&Life>,
        is_down: bool,
        now: Duration,
    ) -> &Arc<Found> {
        let life = life.filter(|life| !life.crashes.is_empty());
        let minutes = |life: &Life| now.saturating_sub(life.crashing_since).as_secs().div_ceil(60);
        let numbers = LoopNumbers {
            times: life.map(|life| (life.crashed, minutes(life))),
            exit_code: life.and_then(|life| life.exit_code),
            is_down,
        };
        let is_same = |known: &CrashLoop| known.numbers == numbers && known.workload == *workload;
        self.next(is_same, || {
            (CrashLoop { workload: workload.clone(), numbers }, crash_loop(workload, numbers))
        })
    }
}

fn crash_loop(workload: &Workload, numbers: LoopNumbers) -> Found {
    let (runtime, title) = (workload.runtime.as_str(), workload.title());
    let LoopNumbers { times, exit_code, is_down } = numbers;
    let times =
        times.map_or_else(String::new, |(times, minutes)| format!(", {times} times in {minutes} min"));
    let code = exit_code.map_or_else(String::new, |code| format!(", last with exit code {code}"));
    Found {
        key: ProblemKey::Workload(ProblemKind::CrashLoop, workload.runtime, key_of(workload).1),
        severity: if is_down { Severity::Critical } else { Severity::Warning },
        subject: Subject::workload(workload),
        text: format!("{runtime}/{title} ends and is started again{times}{code}"),
        remedy: match workload.runtime {
            Runtime::Docker | Runtime::Podman => format!("see why it ends: {runtime} logs --tail 50 {title}"),
            Runtime::Cri if !workload.namespace.is_empty() => format!(
                "see why it ends: kubectl -n {} logs {} -c {} --previous",
                workload.namespace, workload.pod, workload.name
            ),
            _ => "see its log".to_owned(),
        },
    }
}

impl StoppedContainer {
    /// Returns the state of the container.
    pub(crate) fn state(&self) -> ContainerState {
        ContainerState::Stopped { exit_code: self.exit_code }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MINUTE: Duration = Duration::from_secs(60);

    fn workload(name: &str) -> Workload {
        Workload { id: format!("id-{name}"), ..Workload::named(Runtime::Docker, name) }
    }

    fn change(lives: &mut Lives, name: &str, action: LifeAction, now: Duration) {
        lives.take_change(LifeChange { workload: workload(name), action }, now);
    }

    fn crash(lives: &mut Lives, name: &str, now: Duration) {
        change(lives, name, LifeAction::Ended { exit_code: Some(1) }, now);
        change(lives, name, LifeAction::Started, now + SECOND / 10);
    }

    fn told(lives: &mut Lives, now: Duration) -> Vec<String> {
        let mut told = Vec::new();
        let line = |found: &Arc<Found>| told.push(format!("{}: {}", found.severity.as_str(), found.text));
        lives.each_problem(std::iter::empty(), now, line);
        told
    }

    #[test]
    fn a_container_that_ends_by_itself_again_and_again_is_in_a_crash_loop() {
        let mut lives = Lives::default();
        crash(&mut lives, "web", MINUTE);
        crash(&mut lives, "web", 2 * MINUTE);
        assert_eq!(told(&mut lives, 2 * MINUTE), [] as [&str; 0], "twice");
        crash(&mut lives, "web", 3 * MINUTE);
        let text = "docker/web ends and is started again, 3 times in 2 min, last with exit code 1";
        assert_eq!(told(&mut lives, 3 * MINUTE), [format!("warning: {text}")]);
        change(&mut lives, "web", LifeAction::Ended { exit_code: Some(1) }, 4 * MINUTE);
        let text = "docker/web ends and is started again, 4 times in 3 min, last with exit code 1";
        assert_eq!(told(&mut lives, 4 * MINUTE), [format!("critical: {text}")], "it is down now");
        change(&mut lives, "web", LifeAction::Started, 4 * MINUTE);
        lives.expire(15 * MINUTE);
        assert_eq!(told(&mut lives, 15 * MINUTE), [] as [&str; 0], "it has lived for 11 minutes");
        assert_eq!(lives.restarts()[0].count, 4);
    }

    #[test]
    fn what_a_user_has_stopped_did_not_crash_whenever_the_engine_says_so() {
        let end = LifeAction::Ended { exit_code: Some(137) };
        let orders: [&[LifeAction]; 2] = [
            &[LifeAction::StopRequested, end, LifeAction::StopRequested, LifeAction::Started],
            &[end, LifeAction::StopRequested, LifeAction::Started],
        ];
        for order in orders {
            let mut lives = Lives::default();
            for minute in 1..=5 {
                order.iter().for_each(|action| change(&mut lives, "web", *action, minute * MINUTE));
            }
            assert_eq!(told(&mut lives, 5 * MINUTE), [] as [&str; 0], "{order:?}");
            assert_eq!(lives.restarts()[0].count, 5);
        }
    }

    #[test]
    fn a_pods_container_has_another_id_at_each_start_and_is_one_all_the_same() {
        let mut lives = Lives::default();
        let started = |n: u32| Workload {
            namespace: "shop".into(),
            pod: "web-0".into(),
            id: format!("id-{n}"),
            ..Workload::named(Runtime::Cri, "app")
        };
        for n in 1..=3 {
            for action in [LifeAction::Ended { exit_code: None }, LifeAction::Started] {
                lives.take_change(LifeChange { workload: started(n), action }, n * MINUTE);
            }
        }
        let text = "cri/shop/web-0/app ends and is started again, 3 times in 2 min";
        assert_eq!(told(&mut lives, 3 * MINUTE), [format!("warning: {text}")]);
        lives.each_problem(std::iter::empty(), 3 * MINUTE, |found| {
            assert_eq!(found.remedy, "see why it ends: kubectl -n shop logs web-0 -c app --previous");
        });
        assert_eq!((lives.restarts().len(), lives.restarts_of(&started(9))), (1, 3));
        lives.take_change(
            LifeChange { workload: started(3), action: LifeAction::Ended { exit_code: None } },
            4 * MINUTE,
        );
        assert!(told(&mut lives, 4 * MINUTE)[0].starts_with("critical"));
        assert!(lives.stopped().is_empty(), "it is the pod's matter");
        lives.take_change(LifeChange { workload: started(3), action: LifeAction::Removed }, 4 * MINUTE);
        assert!(lives.known.is_empty());
    }

    #[test]
    fn the_engines_word_that_it_restarts_a_container_is_enough() {
        let mut lives = Lives::default();
        let web = workload("web");
        let mut find = || {
            let mut all = Vec::new();
            lives.each_problem([&web].into_iter(), MINUTE, |found| all.push(Arc::clone(found)));
            all
        };
        let (found, again) = (find(), find());
        assert!(Arc::ptr_eq(&found[0], &again[0]), "nothing has changed");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].text, "docker/web ends and is started again");
        assert_eq!(found[0].remedy, "see why it ends: docker logs --tail 50 web");
    }

    #[test]
    fn a_stopped_container_is_known_for_an_hour_or_until_it_is_removed_or_started() {
        let mut lives = Lives::default();
        for (name, minute) in [("a", 1), ("b", 2), ("c", 3), ("d", 4)] {
            change(&mut lives, name, LifeAction::Ended { exit_code: Some(0) }, minute * MINUTE);
        }
        let names = |lives: &Lives| {
            lives.stopped().into_iter().map(|container| container.workload.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&lives), ["d", "c", "b", "a"]);
        change(&mut lives, "c", LifeAction::Started, 5 * MINUTE);
        change(&mut lives, "d", LifeAction::Removed, 5 * MINUTE);
        assert_eq!(names(&lives), ["b", "a"]);
        let version = lives.version();
        lives.expire(61 * MINUTE);
        assert_eq!((names(&lives), lives.version() == version), (vec!["b".to_owned(), "a".to_owned()], true));
        lives.expire(61 * MINUTE + SECOND);
        assert_eq!((names(&lives), lives.version() == version), (vec!["b".to_owned()], false));
    }

    #[test]
    fn any_number_of_containers_takes_no_more_than_its_room() {
        let mut lives = Lives::default();
        for n in 0..KNOWN as u32 + 50 {
            change(&mut lives, &format!("job-{n}"), LifeAction::Ended { exit_code: Some(0) }, SECOND * n);
        }
        assert_eq!((lives.known.len(), lives.stopped().len()), (KNOWN, STOPPED));
        assert_eq!(lives.stopped()[0].workload.name, format!("job-{}", KNOWN + 49));
        for n in 0..KNOWN + 50 {
            change(&mut lives, &format!("job-{n}"), LifeAction::Removed, MINUTE);
        }
        assert!(lives.known.is_empty());
    }
}
