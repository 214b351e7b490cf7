//! Names of containers that stay the same from one deployment to the next.

use super::workload::{Claim, Runtime, Workload};

/// The beginning of the name of the container that holds the namespaces of a Nomad allocation; the
/// allocation's id follows, which is new at each deployment.
const PAUSE: &str = "nomad_init_";

/// The name of such a container as long as no task runs beside it.
const PAUSED: &str = "nomad_init";

/// The user's choice of labels that containers are named by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Naming {
    /// The names of the labels; the first one that a container has counts.
    pub labels: Vec<String>,
}

impl Naming {
    /// Names a container by its labels. A pod and its containers keep their names, which Kubernetes gives.
    pub(super) fn name(&self, workload: &mut Workload) {
        if !matches!(workload.runtime, Runtime::Docker | Runtime::Podman) || !workload.pod.is_empty() {
            return;
        }
        let mut chosen = self.labels.iter().filter_map(|label| workload.labels.get(label));
        if let Some(name) = chosen.find(|name| !name.is_empty()) {
            workload.name.clone_from(name);
        } else if workload.name.starts_with(PAUSE) {
            PAUSED.clone_into(&mut workload.name);
        }
    }

    /// Names the owner of a claim, after all of its workloads were named: the container that holds the
    /// namespaces of a Nomad allocation is called after its first task.
    pub(super) fn name_owner(claim: &mut Claim) {
        if claim.owner.name == PAUSED
            && let Some(task) = claim.members.iter().map(|member| &member.name).min()
        {
            claim.owner.name.clone_from(task);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::filter::Filter;
    use crate::model::workload::{Claims, Locator};

    const ALLOCATION: &str = "5a6bbd1f-92c5-7d5c-5b1c-0b6f3c5f0a11";

    fn container(runtime: Runtime, name: &str, labels: &[(&str, &str)]) -> Workload {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Workload { labels, ..Workload::named(runtime, name) }
    }

    fn filter(labels: &[&str]) -> Filter {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        Filter { naming: Naming { labels }, ..Filter::default() }
    }

    #[test]
    fn a_container_is_called_after_the_first_of_the_labels_that_it_has() {
        let coolify = ("coolify.name", "shop");
        let ecs = ("com.amazonaws.ecs.container-name", "web");
        for (labels, has, wanted) in [
            (&[][..], &[coolify][..], "web-7f3a"),
            (&["coolify.name"], &[coolify], "shop"),
            (&["coolify.name"], &[], "web-7f3a"),
            (&["coolify.name"], &[("coolify.name", "")], "web-7f3a"),
            (&["coolify.name", "com.amazonaws.ecs.container-name"], &[ecs], "web"),
            (&["coolify.name", "com.amazonaws.ecs.container-name"], &[ecs, coolify], "shop"),
            (&["com.amazonaws.ecs.container-name", "coolify.name"], &[ecs, coolify], "web"),
        ] {
            for runtime in [Runtime::Docker, Runtime::Podman] {
                let mut workload = container(runtime, "web-7f3a", has);
                filter(labels).strip_workload(&mut workload);
                assert_eq!(
                    (workload.name.as_str(), workload.labels.len()),
                    (wanted, 0),
                    "{labels:?} {has:?}"
                );
            }
        }
    }

    #[test]
    fn a_pod_and_what_no_engine_runs_keep_their_names() {
        let label = [("app", "shop")];
        for mut workload in [
            container(Runtime::Cri, "", &label),
            container(Runtime::Lxc, "c", &label),
            container(Runtime::Named, "n", &label),
            container(Runtime::Process, "nomad_init_1", &label),
            Workload { pod: "kp".into(), ..container(Runtime::Podman, "", &label) },
            Workload { pod: "kp".into(), ..container(Runtime::Podman, "web", &label) },
        ] {
            let name = workload.name.clone();
            filter(&["app"]).strip_workload(&mut workload);
            assert_eq!(workload.name, name);
        }
    }

    #[test]
    fn the_pause_container_of_a_nomad_allocation_is_called_after_its_first_task() {
        let pause = format!("nomad_init_{ALLOCATION}");
        let task = |name: &str| {
            let own = format!("{name}-{ALLOCATION}");
            container(Runtime::Docker, &own, &[("com.hashicorp.nomad.task_name", name)])
        };
        let by_task = "com.hashicorp.nomad.task_name";
        for (labels, tasks, wanted) in [
            (&[by_task][..], &["web", "log"][..], "log"),
            (&[by_task], &["web"], "web"),
            (&[by_task], &[], "nomad_init"),
            (&[], &[], "nomad_init"),
        ] {
            let claim = Claim {
                owner: container(Runtime::Docker, &pause, &[]),
                locator: Locator::Pid(7),
                endpoints: Vec::new(),
                members: tasks.iter().map(|name| task(name)).collect(),
                started: Default::default(),
            };
            let mut claims = Claims { claims: vec![claim], ..Claims::default() };
            filter(labels).strip(&mut claims);
            assert_eq!(claims.claims[0].owner.name, wanted, "{labels:?} {tasks:?}");
        }
    }
}
