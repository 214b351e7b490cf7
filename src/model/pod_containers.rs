//! The starts of pods' containers. A runtime of Kubernetes reports no starts, but numbers them: each is a
//! container of its own with the attempt's number, and so none is missed between two lists.

use super::workload::{LifeAction, LifeChange, PodContainer, PodContainerList};
use std::collections::BTreeMap;

/// The most starts of a container that are reported at once: a server may send any number.
const AT_ONCE: u32 = 100;

/// The last attempt of each container, by the id of its pod and its name.
#[derive(Debug, Default)]
pub(crate) struct PodContainers {
    /// `None` before the first list, which reports nothing: what it has was started before.
    known: Option<BTreeMap<(String, String), PodContainer>>,
}

impl PodContainers {
    /// Takes a complete list, and returns the starts and ends since the one before. An end is reported of a
    /// container that has been started again before: one that ends for the first time may have done its work.
    pub(crate) fn take_list(&mut self, list: PodContainerList) -> Vec<LifeChange> {
        let mut latest: BTreeMap<(String, String), PodContainer> = BTreeMap::new();
        for container in list.containers {
            let key = (container.pod_id.clone(), container.workload.name.clone());
            let order = |one: &PodContainer| (one.attempt, one.created);
            if latest.get(&key).is_none_or(|other| order(other) <= order(&container)) {
                latest.insert(key, container);
            }
        }
        let Some(before) = self.known.take() else {
            self.known = Some(latest);
            return Vec::new();
        };
        let mut changes = Vec::new();
        for (key, container) in &latest {
            report(before.get(key), container, &mut changes);
        }
        for (key, container) in before {
            // A runtime may remove a container that has ended before it starts the next.
            if list.pods.contains(&key.0) {
                latest.entry(key).or_insert_with(|| {
                    let removed = PodContainer { is_running: false, ..container.clone() };
                    report(Some(&container), &removed, &mut changes);
                    removed
                });
            } else if container.attempt > 0 {
                changes.push(LifeChange { workload: container.workload, action: LifeAction::Removed });
            }
        }
        self.known = Some(latest);
        changes
    }
}

/// Appends what has happened to a container between two lists.
fn report(before: Option<&PodContainer>, now: &PodContainer, changes: &mut Vec<LifeChange>) {
    let mut add = |action| changes.push(LifeChange { workload: now.workload.clone(), action });
    let ended = LifeAction::Ended { exit_code: None };
    let has_ended = |container: &PodContainer| !container.is_running && container.attempt > 0;
    let starts = match before {
        // The number may go on from an earlier sandbox of the pod.
        None => 1,
        Some(before) if before.workload.id == now.workload.id => 0,
        Some(before) => now.attempt.saturating_sub(before.attempt).max(1),
    };
    // The first container of a pod follows no other one.
    let mut follows = before.is_some();
    let mut is_down = before.is_some_and(has_ended);
    for _ in 0..starts.min(AT_ONCE) {
        if follows && !is_down {
            add(ended);
        }
        add(LifeAction::Started);
        (follows, is_down) = (true, false);
    }
    if has_ended(now) && !is_down {
        add(ended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::workload::{Runtime, Workload};
    use std::collections::BTreeSet;

    fn container(pod: &str, name: &str, attempt: u32, is_running: bool) -> PodContainer {
        let id = format!("{name}-{attempt}");
        let workload = Workload { id, pod: pod.to_owned(), ..Workload::named(Runtime::Cri, name) };
        PodContainer { pod_id: pod.to_owned(), workload, attempt, created: 0, is_running }
    }

    fn list(pods: &[&str], containers: Vec<PodContainer>) -> PodContainerList {
        let pods: BTreeSet<String> = pods.iter().map(|pod| (*pod).to_owned()).collect();
        PodContainerList { pods, containers }
    }

    fn words(changes: &[LifeChange]) -> String {
        let word = |change: &LifeChange| {
            let action = match change.action {
                LifeAction::Started => "started",
                LifeAction::Ended { .. } => "ended",
                LifeAction::Removed => "removed",
                LifeAction::StopRequested => "stop",
            };
            format!("{} {action}", change.workload.id)
        };
        changes.iter().map(word).collect::<Vec<_>>().join(", ")
    }

    /// The containers of one list, each with its name, its attempt and whether it runs.
    type Listed = Vec<(&'static str, u32, bool)>;

    #[test]
    fn each_attempt_is_a_start_whatever_the_lists_have_seen() {
        let (up, down) = (true, false);
        let cases: [(Vec<Listed>, &str); 11] = [
            (vec![vec![("app", 7, up)], vec![("app", 7, up)]], ""),
            (vec![vec![("app", 0, up)], vec![("app", 1, up)]], "app-1 ended, app-1 started"),
            // The one that has ended is listed beside the new one.
            (
                vec![vec![("app", 0, up)], vec![("app", 1, up), ("app", 0, down)]],
                "app-1 ended, app-1 started",
            ),
            // Two starts between two lists, of which the second has ended.
            (
                vec![vec![("app", 0, up)], vec![("app", 2, down)]],
                "app-2 ended, app-2 started, app-2 ended, app-2 started, app-2 ended",
            ),
            // It waits to be started again, and is.
            (
                vec![
                    vec![("app", 1, up)],
                    vec![("app", 1, down)],
                    vec![("app", 1, down)],
                    vec![("app", 2, up)],
                ],
                "app-1 ended, app-2 started",
            ),
            // What does its work once is no crash.
            (vec![vec![("app", 0, up), ("init", 0, up)], vec![("app", 0, up), ("init", 0, down)]], ""),
            (vec![vec![("app", 0, up)], vec![("app", 0, up), ("late", 0, up)]], "late-0 started"),
            // The runtime removes the one that has ended before it starts the next.
            (vec![vec![("app", 3, down)], vec![], vec![("app", 4, up)]], "app-4 started"),
            // The same, and no list has seen it after its end.
            (vec![vec![("app", 3, up)], vec![], vec![], vec![("app", 4, up)]], "app-3 ended, app-4 started"),
            (vec![vec![("app", 0, up)], vec![], vec![("app", 1, up)]], "app-1 ended, app-1 started"),
            // kubelet has made the pod's sandbox anew.
            (vec![vec![("app", 3, up)], vec![("app", 4, up)]], "app-4 ended, app-4 started"),
        ];
        for (lists, wanted) in cases {
            let mut containers = PodContainers::default();
            let mut changes = Vec::new();
            for listed in &lists {
                let listed =
                    listed.iter().map(|&(name, attempt, is_up)| container("a", name, attempt, is_up));
                changes.extend(containers.take_list(list(&["a"], listed.collect())));
            }
            assert_eq!(words(&changes), wanted, "{lists:?}");
        }
    }

    #[test]
    fn a_pod_that_comes_later_is_started_once_and_one_that_goes_leaves_nothing() {
        let mut containers = PodContainers::default();
        let old = container("a", "app", 4, true);
        assert!(containers.take_list(list(&["a"], vec![old.clone()])).is_empty());
        let all = vec![old, container("b", "web", 0, true)];
        assert_eq!(words(&containers.take_list(list(&["a", "b"], all))), "web-0 started");
        assert_eq!(words(&containers.take_list(list(&[], Vec::new()))), "app-4 removed");
        assert!(containers.known.unwrap().is_empty());
    }

    #[test]
    fn a_number_without_bounds_takes_no_more_than_its_room() {
        let mut containers = PodContainers::default();
        containers.take_list(list(&["a"], vec![container("a", "app", 0, true)]));
        let changes = containers.take_list(list(&["a"], vec![container("a", "app", u32::MAX, true)]));
        assert_eq!(changes.len() as u32, 2 * AT_ONCE);
    }

    #[test]
    fn the_same_attempt_of_another_container_is_one_start() {
        let mut containers = PodContainers::default();
        containers.take_list(list(&["a"], vec![container("a", "app", 0, true)]));
        let mut other = container("a", "app", 0, true);
        (other.workload.id, other.created) = ("other".to_owned(), 5);
        let changes = containers.take_list(list(&["a"], vec![container("a", "app", 0, false), other]));
        assert_eq!(words(&changes), "other ended, other started");
    }
}
