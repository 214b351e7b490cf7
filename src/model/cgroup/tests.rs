use super::*;
use proptest::prelude::*;

/// A container's id, and that of another one.
const A: &str = "4a35084850c14a35084850c14a35084850c14a35084850c14a35084850c14a35";
const B: &str = "b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0";
const UUID: &str = "1b2c3d4e-0001-4002-8003-123456789abc";
const POD: &str = "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0f1c_22.slice";

/// Returns `RUNTIME/NAME` of the first process of a path's container or machine, and the parent.
fn named(path: &str) -> [String; 2] {
    let path = path.replace("{A}", A).replace("{B}", B).replace("{UUID}", UUID).replace("{POD}", POD);
    let workload = workload(b"init", &path, true).expect("init is a workload");
    let parent = parent(&path, &workload);
    [format!("{}/{}", workload.runtime.as_str(), workload.name), parent]
}

#[test]
fn the_innermost_container_or_machine_of_a_path_names_the_namespace_of_its_first_process() {
    for (path, name, parent) in [
        // Docker: cgroupfs, systemd, rootless, other parents; with systemd inside.
        ("/docker/{A}", "docker/4a35084850c1", ""),
        ("/docker/{A}/init.scope", "docker/4a35084850c1", ""),
        ("/system.slice/docker-{A}.scope", "docker/4a35084850c1", ""),
        ("/system.slice/docker-{A}.scope/system.slice/nginx.service", "docker/4a35084850c1", ""),
        ("/batch.slice/docker-{A}.scope", "docker/4a35084850c1", ""),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{A}.scope",
            "docker/4a35084850c1",
            "",
        ),
        ("/system.slice/containerd.service/system.slice:docker:{A}", "docker/4a35084850c1", ""),
        ("/actions_job/{A}", "docker/4a35084850c1", ""),
        ("/moby/{A}", "docker/4a35084850c1", ""),
        // Seen from a cgroup namespace beside it.
        ("/../{A}", "docker/4a35084850c1", ""),
        ("/../docker-{A}.scope", "docker/4a35084850c1", ""),
        ("/../../docker/{A}", "docker/4a35084850c1", ""),
        ("/../../{POD}/cri-containerd-{A}.scope", "cri/4a35084850c1", ""),
        // ECS on instances and on Fargate.
        ("/ecs/0123456789abcdef0123456789abcdef/{A}", "docker/4a35084850c1", ""),
        ("/ecs/{UUID}/{A}", "docker/4a35084850c1", ""),
        ("/ecstasks.slice/ecstasks-0123.slice/docker-{A}.scope", "docker/4a35084850c1", ""),
        (
            "/ecs/0123456789abcdef0123456789abcdef/0123456789abcdef0123456789abcdef-2330",
            "process/0123456789abcdef0123456789abcdef-2330",
            "",
        ),
        // Kubernetes: both drivers, containerd, CRI-O, cri-dockerd, k3s, kind, Kata, without kubelet.
        ("/kubepods/besteffort/pod0f1c-22/{A}", "cri/4a35084850c1", ""),
        ("/kubepods/pod0f1c-22/{A}", "cri/4a35084850c1", ""),
        ("/{POD}/cri-containerd-{A}.scope", "cri/4a35084850c1", ""),
        ("/{POD}/crio-{A}.scope", "cri/4a35084850c1", ""),
        ("/{POD}/crio-{A}.scope/container", "cri/4a35084850c1", ""),
        ("/{POD}/docker-{A}.scope", "docker/4a35084850c1", ""),
        ("/kubepods/burstable/pod0f1c-22/crio-{A}", "cri/4a35084850c1", ""),
        (
            "/system.slice/containerd.service/kubepods-pod0f1c.slice:cri-containerd:{A}",
            "cri/4a35084850c1",
            "",
        ),
        ("/system.slice/k3s.service/kubepods/burstable/pod0f1c-22/{A}", "cri/4a35084850c1", ""),
        (
            "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod0f.slice/cri-containerd-{A}.scope",
            "cri/4a35084850c1",
            "",
        ),
        ("/kubelet/kubepods/besteffort/pod0f1c-22/{A}", "cri/4a35084850c1", ""),
        ("/k8s.io/{A}", "cri/4a35084850c1", ""),
        ("/kata_overhead/{A}", "cri/4a35084850c1", ""),
        ("/kubepods/pod0f1c-22/kata_{A}", "cri/4a35084850c1", ""),
        // Podman: root and rootless, both drivers, split, in a pod.
        ("/machine.slice/libpod-{A}.scope", "podman/4a35084850c1", ""),
        ("/machine.slice/libpod-{A}.scope/container", "podman/4a35084850c1", ""),
        ("/machine.slice/machine-libpod_pod_{B}.slice/libpod-{A}.scope/container", "podman/4a35084850c1", ""),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{A}.scope/container",
            "podman/4a35084850c1",
            "",
        ),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/user-libpod_pod_{B}.slice/libpod-{A}.scope",
            "podman/4a35084850c1",
            "",
        ),
        ("/libpod_parent/libpod-{A}", "podman/4a35084850c1", ""),
        ("/libpod_parent/{B}/libpod-{A}", "podman/4a35084850c1", ""),
        ("/system.slice/web.service/libpod-payload-{A}", "podman/4a35084850c1", ""),
        // containerd without CRI, and engines that have no source.
        ("/default/{A}", "process/4a35084850c1", ""),
        ("/ci/{A}", "process/4a35084850c1", ""),
        ("/default/redis", "process/redis", ""),
        ("/system.slice/nerdctl-{A}.scope", "process/4a35084850c1", ""),
        // Builds, Cloud Foundry, Nomad.
        ("/docker/buildkit/x1y2z3a4b5c6d7e8f9g0h1i2j", "process/buildkit", ""),
        ("/system.slice/buildkit-x1y2z3a4b5c6d7e8f9g0h1i2j.scope", "process/buildkit", ""),
        ("/buildkit/x1y2z3a4b5c6d7e8f9g0h1i2j", "process/buildkit", ""),
        ("/garden/{UUID}", "process/1b2c3d4e-0001-4002-8003-123456789abc", ""),
        (
            "/system.slice/garden.service/garden/{UUID}/init",
            "process/1b2c3d4e-0001-4002-8003-123456789abc",
            "",
        ),
        ("/nomad.slice/share.slice/{UUID}.redis.scope", "process/1b2c3d4e.redis", ""),
        ("/nomad/{UUID}-redis", "process/1b2c3d4e-redis", ""),
        ("/nomad.slice/docker-{A}.scope", "docker/4a35084850c1", ""),
        // LXC 3, 4 and 5, Proxmox, Incus, an ordinary user's; nspawn, NixOS, libvirt.
        ("/lxc.payload.web", "lxc/web", ""),
        ("/lxc.payload.web/system.slice/cron.service", "lxc/web", ""),
        ("/lxc.payload/web", "lxc/web", ""),
        ("/lxc/web", "lxc/web", ""),
        ("/lxc/101/ns/init.scope", "lxc/101", ""),
        ("/lxc.payload.shop_web/init.scope", "lxc/shop_web", ""),
        ("/user.slice/user-1000.slice/session-1.scope/lxc.payload.web", "lxc/web", ""),
        ("/../../lxc.payload...", "lxc/..", ""),
        (r"/machine.slice/machine-deb\\x2d12.scope", "nspawn/deb-12", ""),
        ("/machine.slice/systemd-nspawn@deb.service/payload", "nspawn/deb", ""),
        ("/machine.slice/container@web.service/payload/init.scope", "nspawn/web", ""),
        ("/system.slice/container@web.service", "nspawn/web", ""),
        (r"/machine.slice/machine-lxc\\x2d4711\\x2dweb.scope", "lxc/web", ""),
        // One in another.
        ("/lxc.payload.ct/docker/{A}", "docker/4a35084850c1", "ct"),
        ("/lxc/101/ns/system.slice/docker-{A}.scope", "docker/4a35084850c1", "101"),
        ("/lxc.payload.ct/system.slice/docker-{A}.scope/docker/{B}", "docker/b0b0b0b0b0b0", "4a35084850c1"),
        ("/docker/{A}/docker/{B}", "docker/b0b0b0b0b0b0", "4a35084850c1"),
        ("/docker/{A}/docker/buildkit/x1y2z3", "process/4a35084850c1/buildkit", "4a35084850c1"),
        (
            "/docker/{A}/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod0.slice/cri-containerd-{B}.scope",
            "cri/b0b0b0b0b0b0",
            "4a35084850c1",
        ),
        ("/docker/{A}/kubelet/kubepods/besteffort/pod0f1c-22/{B}", "cri/b0b0b0b0b0b0", "4a35084850c1"),
        ("/docker/{A}/machine.slice/libpod-{B}.scope/container", "podman/b0b0b0b0b0b0", "4a35084850c1"),
        (
            "/machine.slice/machine-deb.scope/payload/system.slice/docker-{A}.scope",
            "docker/4a35084850c1",
            "deb",
        ),
        // A name that is chosen in a container or machine never is that of one outside.
        ("/lxc.payload.a/lxc.payload.b", "lxc/a/b", "a"),
        ("/lxc.payload.a/machine.slice/machine-b.scope", "nspawn/a/b", "a"),
        ("/docker/{A}/lxc/web", "lxc/4a35084850c1/web", "4a35084850c1"),
        (
            "/system.slice/docker-{A}.scope/machine.slice/machine-web.scope",
            "nspawn/4a35084850c1/web",
            "4a35084850c1",
        ),
        // Neither container nor machine.
        ("/system.slice/openvpn@home.service", "process/openvpn@home", ""),
        ("/user.slice/user-0.slice/session-1.scope", "process/init", ""),
        ("/", "process/init", ""),
        ("", "process/init", ""),
        ("/slurm/uid_0/job_1/step_0", "process/init", ""),
        ("/system.slice/slurmstepd.scope/job_1/step_0/user/task_0", "process/init", ""),
        (r"/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt/emulator", "process/init", ""),
        ("/system.slice/containerd.service", "process/init", ""),
        ("/system.slice/docker.service", "process/init", ""),
        ("/machine.slice/libpod-conmon-{A}.scope", "process/init", ""),
        ("/{POD}/crio-conmon-{A}.scope", "process/init", ""),
        ("/lxc.monitor.web", "process/init", ""),
        ("/lxc.monitor/web", "process/init", ""),
        ("/lxc", "process/init", ""),
        ("/nomad.slice/share.slice", "process/init", ""),
        ("/default", "process/init", ""),
        ("/default/a/b", "process/init", ""),
        ("/x/default/a", "process/init", ""),
        ("/docker/{A}0", "process/init", ""),
    ] {
        assert_eq!(named(path), [name.to_owned(), parent.to_owned()], "{path}");
    }
}

#[test]
fn any_other_namespace_in_a_container_or_machine_is_a_workload_of_its_own_with_a_parent() {
    let id = |path: &str| path.replace("{A}", A).replace("{B}", B);
    for (command, path, name, parent_name) in [
        ("sleep", "/lxc.payload.ct", "sleep", "ct"),
        ("openvpn", "/lxc.payload.ct/system.slice/openvpn@home.service", "openvpn@home", "ct"),
        ("sleep", "/machine.slice/machine-deb.scope/payload", "sleep", "deb"),
        ("sleep", "/docker/{A}", "sleep", "4a35084850c1"),
        // A container chooses the names of its units.
        ("sleep", "/docker/{A}/web.service", "sleep", "4a35084850c1"),
        ("sleep", "/lxc.payload.ct/docker/{A}", "sleep", "4a35084850c1"),
        ("sleep", "/default/{A}", "sleep", "4a35084850c1"),
        ("a\nb\x1b[2J", "/", r"a\x0ab\x1b[2J", ""),
    ] {
        let path = id(path);
        let workload = workload(command.as_bytes(), &path, false).unwrap();
        assert_eq!((workload.runtime, workload.name.as_str()), (Runtime::Process, name), "{path}");
        assert_eq!((parent(&path, &workload).as_str(), own_path(&path, &workload)), (parent_name, &*path));
    }
    assert_eq!(workload(b"v\xff", "/", false).unwrap().name, r"v\xff");
}

#[test]
fn an_engines_helper_is_never_a_workload_and_its_container_is() {
    for command in [
        "runc:[1:CHILD]",
        "runc:[2:INIT]",
        "runc",
        "crun",
        "conmon",
        "containerd-shim",
        "youki",
        "systemd-nspawn",
    ] {
        for path in ["/", "/system.slice/containerd.service", "/user.slice/user-0.slice/session-1.scope"] {
            assert_eq!(workload(command.as_bytes(), path, true), None, "{command} {path}");
        }
        let container = format!("/docker/{A}");
        assert_eq!(workload(command.as_bytes(), &container, true).unwrap().name, "4a35084850c1");
        assert_eq!(workload(command.as_bytes(), &container, false), None);
    }
    for command in ["runcible", "crund", "init", "sh", ""] {
        assert!(workload(command.as_bytes(), "/", true).is_some(), "{command}");
    }
}

#[test]
fn a_machines_manager_beside_its_payload_is_not_inside_the_machine() {
    let unit = "/machine.slice/systemd-nspawn@deb.service";
    for (path, inside) in [
        ("", true),
        ("/payload", true),
        ("/payload/init.scope", true),
        ("/payload/supervisor", true),
        ("/supervisor", false),
        ("/supervisor/x", false),
        ("/supervisors", true),
        ("x/payload", false),
    ] {
        assert_eq!(layers(unit)[0].has_inside(&format!("{unit}{path}")), inside, "{path}");
    }
    // The group of that name in a container is the container's.
    let container = format!("/docker/{A}");
    assert!(layers(&container)[0].has_inside(&format!("{container}/supervisor")));
    assert!(!layers(&container)[0].has_inside("/docker"));
}

#[test]
fn the_cgroup_of_a_workload_is_that_of_its_container_or_machine() {
    let docker = Workload { id: A.into(), ..Workload::named(Runtime::Docker, "web") };
    for (below, own) in [("", ""), ("/init.scope", ""), ("/docker/{B}", ""), ("/system.slice/x.service", "")]
    {
        let path = format!("/docker/{A}{}", below.replace("{B}", B));
        assert_eq!(own_path(&path, &docker), format!("/docker/{A}{own}"));
        assert_eq!(parent(&path, &docker), "");
    }
    let outer = format!("/docker/{B}/docker/{A}/init.scope");
    assert_eq!(own_path(&outer, &docker), format!("/docker/{B}/docker/{A}"));
    assert_eq!(parent(&outer, &docker), "b0b0b0b0b0b0");
    let machine = Workload::named(Runtime::Lxc, "ct");
    assert_eq!(own_path("/lxc.payload.ct/init.scope", &machine), "/lxc.payload.ct");
    // An engine's container whose id is not in the path: the path says nothing of it.
    let other = Workload { id: B.into(), ..Workload::named(Runtime::Cri, "") };
    assert_eq!(
        (own_path(&format!("/docker/{A}"), &other), parent(&format!("/docker/{A}"), &other)),
        (&*format!("/docker/{A}"), String::new())
    );
}

#[test]
fn a_path_that_begins_above_the_own_cgroup_is_shown_without_that() {
    let docker = Workload { id: A.into(), ..Workload::named(Runtime::Docker, "web") };
    let pod = Workload { id: A.into(), ..Workload::named(Runtime::Cri, "") };
    for (path, owner, wanted) in [
        ("/../{A}", &docker, "/docker/{A}"),
        ("/../docker-{A}.scope", &docker, "/docker/{A}"),
        ("/../../docker-{A}.scope", &docker, "/docker/{A}"),
        ("/../../batch.slice/docker-{A}.scope", &docker, "/batch.slice/docker-{A}.scope"),
        ("/docker/{A}", &docker, "/docker/{A}"),
        ("/system.slice/docker-{A}.scope", &docker, "/system.slice/docker-{A}.scope"),
        ("/../../{POD}/cri-containerd-{A}.scope", &pod, "/{POD}/cri-containerd-{A}.scope"),
        ("/kubepods/pod0/{A}", &pod, "/kubepods/pod0/{A}"),
        ("/..x/{A}", &docker, "/..x/{A}"),
    ] {
        let fill = |text: &str| text.replace("{A}", A).replace("{POD}", POD);
        assert_eq!(from_root(&fill(path), owner), fill(wanted), "{path}");
    }
}

#[test]
fn only_a_containers_own_cgroup_is_that_of_its_first_process() {
    for path in [
        format!("/docker/{A}"),
        format!("/system.slice/docker-{A}.scope"),
        format!("/machine.slice/libpod-{A}.scope/container"),
        format!("/kubepods/besteffort/pod0f1c/{A}"),
        format!("/docker/{B}/docker/{A}"),
    ] {
        assert_eq!(own_container(&path).map(|layer| layer.id), Some(A), "{path}");
    }
    for path in [format!("/docker/{A}/init.scope"), format!("/docker/{A}0"), "/lxc/web".into(), "/".into()] {
        assert_eq!(own_container(&path), None, "{path}");
    }
    let path = format!("/docker/{B}/x/docker/{A}/y");
    assert!(ids(&path).eq([A, B]));
}

#[test]
fn the_unified_hierarchy_counts_then_one_with_a_container_or_machine_then_the_deepest() {
    let docker = format!("/docker/{A}");
    for (lines, wanted) in [
        ("0::/system.slice/docker-{A}.scope\n", "/system.slice/docker-{A}.scope"),
        // Docker 20.10 on a host with both hierarchies.
        ("9:name=systemd:/docker/{A}\n4:memory:/process_api/x/y\n0::/docker/{A}\n", "/docker/{A}"),
        // All processes of the host are in a deep group of one of the others: Slurm, a runner, an agent.
        ("4:memory:/slurm/uid_0/job_1/step_0\n0::/lxc.payload.ct\n", "/lxc.payload.ct"),
        ("4:memory:/agent/a/b/c/d\n0::/system.slice/web.service\n", "/system.slice/web.service"),
        ("4:memory:/docker/{B}/x/y\n0::/docker/{A}\n", "/docker/{A}"),
        ("4:memory:/agent/a/b/c/d\n3:pids:/docker/{A}\n0::/\n", "/docker/{A}"),
        (
            "4:memory:/agent/a/b/c/d\n3:pids:/machine.slice/machine-deb.scope\n",
            "/machine.slice/machine-deb.scope",
        ),
        ("4:memory:/slurm/uid_0/job_1/step_0\n1:cpu:/x\n0::/\n", "/slurm/uid_0/job_1/step_0"),
        // An old runc does not enter the unified hierarchy.
        ("3:pids:/docker/{A}\n0::/system.slice/containerd.service\n", "/docker/{A}"),
        ("3:pids:/agent/a/b/c\n0::/system.slice/docker.service\n", "/system.slice/docker.service"),
        ("0::/a:b/c\n", "/a:b/c"),
        ("2:cpu:/x/y\n1:memory:/a/b\n", "/x/y"),
    ] {
        let fill = |text: &str| text.replace("{A}", A).replace("{B}", B);
        assert_eq!(path(fill(lines).as_bytes()), Some(fill(wanted)), "{lines}");
    }
    for none in ["0::/\n", "", "junk", "1:cpu:\n0::\n", ":::\n"] {
        assert_eq!(path(none.as_bytes()), None, "{none:?}");
    }
    assert_eq!(path(b"0::/a\xff\\b\n").as_deref(), Some(r"/a\xff\\b"));
    assert_eq!(own_container(&docker).unwrap().runtime, Runtime::Docker);
}

#[test]
fn a_path_of_four_thousand_characters_is_named_as_any_other() {
    let long = format!("/{}", "x/".repeat(2000));
    assert_eq!(workload(b"sleep", &long, true).unwrap().name, "sleep");
    let nested = "/lxc/a".repeat(700);
    assert!(workload(b"init", &nested, true).unwrap().name.len() <= label::LONGEST);
    assert!(parent(&nested, &workload(b"init", &nested, true).unwrap()).len() <= label::LONGEST);
}

proptest! {
    #[test]
    fn whatever_a_path_has_in_it_its_layers_are_parts_of_it(
        parts in prop::collection::vec(
            prop_oneof![
                "[a-z@.\\\\:-]{0,12}",
                Just(A.to_owned()),
                Just(format!("docker-{A}.scope")),
                Just("lxc".to_owned()),
                Just("machine.slice".to_owned()),
                "machine-[a-z\\\\é]{0,8}.scope",
                Just("..".to_owned()),
            ],
            0..8,
        ),
    ) {
        let path = format!("/{}", parts.join("/"));
        let mut length = 0;
        for layer in layers(&path) {
            prop_assert!(path.starts_with(layer.cgroup) && layer.cgroup.len() > length);
            prop_assert!(layer.id.is_empty() || layer.cgroup.contains(layer.id));
            length = layer.cgroup.len();
        }
        let first = workload(b"init", &path, true).unwrap();
        prop_assert!(path.starts_with(own_path(&path, &first)));
        prop_assert_eq!(parent(&path, &first).is_empty(), layers(&path).len() < 2);
    }
}
