//! `list` and `find` know pods.

use serde_json::Value;

use lab::{Containerd, Exporter, describe, empty_folder, needs_engine, unique_name};

#[test]
fn find_knows_a_pod_by_name_by_namespace_and_name_and_by_its_containers_and_list_shows_it() {
    needs_engine!();
    let engine = Containerd::get();
    let (name, member) = (unique_name("web"), unique_name("nginx"));
    let pod = engine.run("shop", &name, &[&member]);
    let (endpoint, names) = (engine.socket().display().to_string(), empty_folder("n").display().to_string());
    let nobody = format!("unix://{names}/nobody");
    let sources = ["--cri.endpoint", &endpoint, "--path.netns", &names, "--docker.host", &nobody];
    let title = format!("shop/{name}");
    for query in [&name, &title, &format!("cri/{title}"), &member, &pod.id()[..12].to_owned()] {
        let words = [&["find", query, "--format", "json"], &sources[..]].concat();
        let output = Exporter::command(engine.netns(), &words).output().unwrap();
        assert!(output.status.success(), "{query}: {}", describe(&output));
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let ends = &found[0]["ends"];
        assert_eq!(ends[0]["name"], pod.host_device().as_str(), "{query}: {found:#}");
        let workload = &ends[1]["workload"];
        assert_eq!([&workload["namespace"], &workload["pod"]], ["shop", name.as_str()], "{query}: {found:#}");
        assert_eq!(workload["container"], "", "{found:#}");
        let members: Vec<&Value> = ends[1]["members"].as_array().unwrap().iter().collect();
        assert_eq!(members.len(), 1, "{found:#}");
        assert_eq!(members[0]["container"], member.as_str(), "{found:#}");
    }
    let output = Exporter::command(engine.netns(), &[&["list"], &sources[..]].concat()).output().unwrap();
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    let line = said.lines().find(|line| line.contains(&pod.host_device()));
    let line = line.unwrap_or_else(|| panic!("{}", describe(&output)));
    assert!(line.contains(&format!("cri/{title} ")), "{line}");
}

#[test]
fn find_says_of_a_pod_without_a_veth_that_it_has_none_and_of_none_that_it_is_unknown() {
    needs_engine!();
    let engine = Containerd::get();
    let name = unique_name("ingress");
    let _pod = engine.run_on_host("shop", &name);
    let (endpoint, names) = (engine.socket().display().to_string(), empty_folder("n").display().to_string());
    let nobody = format!("unix://{names}/nobody");
    let sources = ["--cri.endpoint", &endpoint, "--path.netns", &names, "--docker.host", &nobody];
    for (query, wanted) in
        // The engine that the flags name is not there, and may have the name.
        [
            (name.as_str(), "hostNetwork"),
            ("no-such-pod", "it is not known what no-such-pod is; docker could not be asked"),
        ]
    {
        let output =
            Exporter::command(engine.netns(), &[&["find", query], &sources[..]].concat()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", describe(&output));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(wanted), "{query}: {said}");
    }
}
