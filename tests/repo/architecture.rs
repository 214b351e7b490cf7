//! ARCHITECTURE.md and the source: the import rules, the code map, the files and the tests that the page names.

use lab::checkout;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Which of our modules each may name. What is not listed may be named by nobody but itself.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("bpf", &["model"]),
    ("kernel", &["model"]),
    ("runtimes", &["client", "model"]),
    ("exposition", &["model"]),
    ("sandbox", &[]),
    ("collector", &["bpf", "kernel", "model", "runtimes"]),
    ("server", &[]),
    ("web_config", &["model", "server"]),
    ("site", &["collector", "exposition", "model", "server", "web_config"]),
    ("find", &["model"]),
    ("list", &["exposition", "model"]),
    ("client", &["server"]),
    ("top", &["exposition", "model"]),
    ("cli", &["client", "list", "model", "runtimes", "sandbox", "server", "site"]),
    ("settings", &["cli", "client", "list", "model", "runtimes", "sandbox", "server", "site"]),
    // What tests take is of every room.
    ("testing", ALL),
    ("commands", ALL),
];

/// Every room, for those that assemble them.
const ALL: &[&str] = &[
    "bpf",
    "cli",
    "client",
    "collector",
    "exposition",
    "find",
    "kernel",
    "list",
    "model",
    "runtimes",
    "sandbox",
    "server",
    "settings",
    "site",
    "top",
    "web_config",
];

/// The types of `cli` that other modules may name: the command line as a whole, and the values of flags.
const NOT_FLAGS: &[&str] =
    &["Cli", "CompletionShell", "FindFormat", "ListFormat", "LogFormat", "LogLevel", "name_variables"];

/// Which foreign crates belong to which of our modules. What is not listed may be used anywhere but in `model`.
const OWNERS: &[(&str, &[&str])] = &[
    ("aya", &["bpf"]),
    ("netlink_sys", &["kernel"]),
    ("netlink_packet_core", &["kernel"]),
    ("netlink_packet_route", &["kernel"]),
    ("bollard", &["runtimes"]),
    ("tonic", &["runtimes"]),
    ("prost", &["runtimes"]),
    ("procfs", &["exposition", "runtimes"]),
    ("prometheus", &["exposition", "site"]),
    ("flate2", &["exposition", "server", "site"]),
    ("hyper", &["client", "runtimes", "server", "site", "web_config"]),
    ("hyper_util", &["client", "runtimes", "server"]),
    ("rustls", &["client", "server", "site", "web_config"]),
    ("x509_cert", &["web_config"]),
    ("yaml_serde", &["web_config"]),
    ("bcrypt", &["web_config"]),
    ("percent_encoding", &["client", "exposition"]),
    ("base64", &["client", "site", "web_config"]),
    ("listenfd", &["server"]),
    ("rustls_native_certs", &["client"]),
    ("ratatui", &["top"]),
    ("crossterm", &["top"]),
    ("unicode_width", &["list", "top"]),
    ("sd_notify", &["commands"]),
    ("clap", &["cli"]),
    ("regex", &["cli"]),
    ("regex_syntax", &["cli"]),
    ("anyhow", &["commands"]),
    ("jiff", &["cli", "collector", "commands"]),
    ("landlock", &["sandbox"]),
    ("libc", &["kernel", "sandbox"]),
    ("seccompiler", &["sandbox"]),
    ("tokio", &["client", "collector", "commands", "runtimes", "server", "site", "web_config"]),
];

/// What a path in `model` may begin with.
const MODEL_MAY_USE: &[&str] = &["std", "core", "crate", "super", "self"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// Each of our top modules with its code: comments and tests left out.
fn modules() -> BTreeMap<String, String> {
    let root = checkout().join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut modules: BTreeMap<String, String> = BTreeMap::new();
    for file in files {
        let inside = file.strip_prefix(&root).unwrap();
        let top = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        let of_tests =
            inside.iter().any(|part| part == "tests" || part.to_string_lossy().ends_with("tests.rs"));
        if ["lib", "main"].contains(&top) || of_tests {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        modules.entry(top.to_owned()).or_default().extend(code.map(|line| format!("{line}\n")));
    }
    modules
}

/// The names that follow `prefix` anywhere in the code, those of `use prefix{a, b}` included.
fn named_after(code: &str, prefix: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut names = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            None => names.push(word(rest)),
            Some(list) => {
                let mut depth = 0;
                let mut begins = true;
                for (i, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => begins = true,
                        c if begins && !c.is_whitespace() => {
                            names.push(word(&list[i..]));
                            begins = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    names
}

#[test]
fn only_cli_and_settings_read_flags_and_the_environment() {
    let readers = ["cli", "settings", "testing"];
    let mut broken = Vec::new();
    for (module, code) in modules().iter().filter(|(module, _)| !readers.contains(&module.as_str())) {
        let variables = ["env::var", "env::args"].into_iter().filter(|call| code.contains(call));
        broken.extend(variables.map(|call| format!("{module} calls {call}")));
        let flags = named_after(code, "crate::cli::").into_iter();
        let flags = flags.filter(|name| !NOT_FLAGS.contains(&name.as_str()));
        broken.extend(flags.map(|name| format!("{module} reads the flags {name}")));
    }
    assert!(broken.is_empty(), "settings::Settings has what a command needs: {broken:#?}");
}

#[test]
fn modules_import_only_what_they_may() {
    let mut broken = Vec::new();
    for (module, code) in modules() {
        let (_, allowed) = MAY_IMPORT
            .iter()
            .find(|(name, _)| *name == module)
            .unwrap_or_else(|| panic!("src/{module} is new: say in MAY_IMPORT what it may import"));
        for name in named_after(&code, "crate::") {
            if name != module && !allowed.contains(&name.as_str()) {
                broken.push(format!("src/{module} names crate::{name}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn a_foreign_crate_stays_in_the_edge_that_owns_it() {
    let mut broken = Vec::new();
    for (module, code) in modules() {
        for (foreign, owners) in OWNERS {
            let used = code.contains(&format!("{foreign}::"));
            if used && !owners.contains(&module.as_str()) {
                broken.push(format!("src/{module} names {foreign}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Returns true if a part of the model has a module of this name.
fn has_submodule(part: &str, name: &str) -> bool {
    checkout().join("src/model").join(part).join(name).with_extension("rs").exists()
}

#[test]
fn the_model_uses_nothing_but_the_standard_library() {
    let code = &modules()["model"];
    let foreign: Vec<&str> = code
        .lines()
        .filter_map(|line| line.trim_start().trim_start_matches("pub ").strip_prefix("use "))
        .map(|path| path.split("::").next().unwrap_or(path))
        // `use Role::..` and the like: types of the file itself.
        .filter(|name| name.starts_with(|c: char| c.is_lowercase()) && !MODEL_MAY_USE.contains(name))
        .filter(|name| {
            !["explain", "host", "ledger", "owners", "problems"].iter().any(|part| has_submodule(part, name))
        })
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}

/// No type of the model has more fields, no function more lines.
const MOST_FIELDS: usize = 12;
/// The types of which each field is one value that the kernel sends, and no method changes one.
const PLAIN_ROWS: [&str; 1] = ["pub struct Link {"];
const MOST_LINES: usize = 60;

/// The types with too many fields and the functions with too many lines in a text that rustfmt has written.
fn too_large(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap().lines().collect();
    let mut found = Vec::new();
    for (begin, line) in lines.iter().enumerate() {
        let indent = &line[..line.len() - line.trim_start().len()];
        let words: Vec<&str> = line.split_whitespace().collect();
        let named = |keyword: &str| words.iter().position(|word| *word == keyword).filter(|at| *at <= 2);
        let (kind, most) = match (named("struct"), named("fn")) {
            (Some(_), _) if line.ends_with('{') => ("fields", MOST_FIELDS),
            (_, Some(_)) if !line.trim_start().starts_with("//") => ("lines", MOST_LINES),
            _ => continue,
        };
        let end = lines[begin..].iter().position(|line| *line == format!("{indent}}}"));
        let body = &lines[begin..begin + end.unwrap_or(0)];
        let field = |(at, line): (usize, &&str)| {
            let deep = line
                .strip_prefix(indent)
                .is_some_and(|rest| rest.starts_with("    ") && !rest[4..].starts_with([' ', '/', '#']));
            deep && line.ends_with(',') && !body[at - 1].contains("cfg(test)")
        };
        let size = match kind {
            "fields" => body.iter().enumerate().skip(1).filter(|(at, line)| field((*at, line))).count(),
            _ => body.len() + 1,
        };
        if size > most && !PLAIN_ROWS.contains(&line.trim()) {
            found.push(format!("{}: {size} {kind}", line.trim()));
        }
    }
    found
}

#[test]
fn no_type_and_no_function_of_the_model_is_too_large_and_the_state_machine_is_in_its_file() {
    let mut files = Vec::new();
    sources(&checkout().join("src/model"), &mut files);
    let mut broken = Vec::new();
    let mut others = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let inside = file.strip_prefix(checkout()).unwrap().display().to_string();
        if inside.contains("tests") || ["oracle.rs", "whole.rs"].contains(&name.as_str()) {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        broken.extend(too_large(&text).into_iter().map(|what| format!("{inside}: {what}")));
        if text.contains("\nimpl Host {") && !inside.ends_with("model/host.rs") {
            others.push(name);
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(others.is_empty(), "files besides host.rs add methods to the state machine: {others:?}");
}

#[test]
fn the_measure_of_types_and_functions_counts_what_is_there() {
    let fields: String = (0..13).map(|n| format!("    /// A field.\n    pub(super) f{n}: u32,\n")).collect();
    assert_eq!(too_large(&format!("pub struct A {{\n{fields}}}\n")), ["pub struct A {: 13 fields"]);
    let lines = "        let _ = 0;\n".repeat(59);
    let text = format!(
        "impl A {{\n    pub(super) fn long(&self) {{\n{lines}    }}\n    fn short() {{\n    }}\n}}\n"
    );
    assert_eq!(too_large(&text), ["pub(super) fn long(&self) {: 61 lines"]);
}

#[test]
fn the_reader_of_imports_sees_lists_and_nested_lists() {
    let code = "use crate::{a::{b, c}, d};\nuse crate::e::f; let x = crate::g::h();";
    assert_eq!(named_after(code, "crate::"), ["a", "d", "e", "g"]);
}

#[test]
fn no_namespace_is_ever_entered_and_no_code_is_unsafe() {
    for (module, code) in modules() {
        // The sandbox names the call, to refuse it.
        let code = code.replace("SYS_setns", "");
        for word in ["setns", "unshare(", "unsafe "] {
            assert!(!code.contains(word), "src/{module} has {word}");
        }
    }
    let manifest = fs::read_to_string(checkout().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"forbid\""));
}

fn page() -> String {
    fs::read_to_string(checkout().join("ARCHITECTURE.md")).unwrap()
}

/// The paths in a tree of which each line has names, and behind two blanks what they are. A folder's name ends with a slash.
fn paths_of_tree(tree: &str) -> Vec<String> {
    let mut folders: Vec<&str> = Vec::new();
    let mut paths = Vec::new();
    for line in tree.lines() {
        let names = line.trim_start();
        folders.truncate((line.len() - names.len()) / 2);
        let names: Vec<&str> = names.split("  ").next().unwrap_or_default().split(' ').collect();
        paths.extend(names.iter().map(|name| folders.concat() + name));
        folders.extend(names.first().filter(|name| name.ends_with('/')));
    }
    paths
}

#[test]
fn the_reader_of_the_tree_joins_folders_and_names() {
    let tree = "src/\n  main lib  begin\n  model/  PURE\n    host/  a machine\n      input\n  cli/\n    top\ntests/\n  a/ b/  two";
    let paths = "src/ src/main src/lib src/model/ src/model/host/ src/model/host/input src/cli/ src/cli/top tests/ tests/a/ tests/b/";
    assert_eq!(paths_of_tree(tree).join(" "), paths);
}

#[test]
fn the_code_map_has_every_file_of_the_source_and_no_other() {
    let page = page();
    let map = page.split("\n## Code map\n\n```\n").nth(1).unwrap().split("\n```").next().unwrap();
    let wide: Vec<&str> = map.lines().filter(|line| line.chars().count() > 100).collect();
    assert!(wide.is_empty(), "{wide:#?}");
    let root = checkout();
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    let files = files.iter().map(|file| file.strip_prefix(root).unwrap().display().to_string());
    let files: Vec<String> = files.filter(|file| !file.contains("tests")).collect();
    let (mut mapped, mut others) = (Vec::new(), Vec::new());
    for path in paths_of_tree(map) {
        match path.strip_prefix("src/").is_some_and(|inside| !inside.is_empty()) {
            true => mapped.push(path),
            false => others.push(path),
        }
    }
    let module = |file: &String| file.trim_end_matches(".rs").trim_end_matches("/mod").to_owned();
    let there: Vec<String> = files.iter().map(module).collect();
    let mapped: Vec<&str> = mapped.iter().map(|path| path.trim_end_matches('/')).collect();
    let missing: Vec<&String> = there.iter().filter(|file| !mapped.contains(&file.as_str())).collect();
    let stale: Vec<&&str> = mapped.iter().filter(|path| !there.iter().any(|file| file == *path)).collect();
    let stale_others: Vec<&String> = others.iter().filter(|path| !root.join(path).is_dir()).collect();
    assert!(missing.is_empty() && stale.is_empty(), "not on the map: {missing:?}; not there: {stale:?}");
    assert!(stale_others.is_empty(), "not there: {stale_others:?}");
    assert!(mapped.len() > 100 && others.len() > 5, "the map was not read");
}

#[test]
fn every_file_that_the_page_names_is_there() {
    let page = page();
    let mut files = Vec::new();
    sources(&checkout().join("src"), &mut files);
    sources(&checkout().join("tests/repo"), &mut files);
    let named: Vec<&str> = page.split('`').skip(1).step_by(2).filter(|text| text.ends_with(".rs")).collect();
    let there = |name: &str| files.iter().any(|file| file.ends_with(name));
    let missing: Vec<&&str> = named.iter().filter(|name| !there(name)).collect();
    assert!(missing.is_empty() && named.len() > 20, "{missing:?} of {}", named.len());
}

#[test]
fn each_invariant_of_the_model_names_a_test_that_there_is() {
    let page = page();
    let chapter = page.split("\n## Invariants of the model\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut files = Vec::new();
    sources(&checkout().join("src/model"), &mut files);
    let texts: BTreeMap<String, String> = files
        .into_iter()
        .map(|file| (file.display().to_string(), fs::read_to_string(&file).unwrap()))
        .collect();
    let there = |test: &str| {
        let (module, name) = test.rsplit_once("::").unwrap_or(("", test));
        let begins = name.trim_end_matches("...").trim_end_matches('*');
        let whole = begins == name;
        texts.iter().any(|(file, text)| {
            let declared = if whole { format!("fn {begins}(") } else { format!("fn {begins}") };
            text.contains("#[test]") && text.contains(&declared) && file.ends_with(&format!("{module}.rs"))
        })
    };
    let invariants: Vec<&str> = chapter.split("\n- **I").skip(1).collect();
    assert!(invariants.len() >= 15, "{} invariants", invariants.len());
    for (number, invariant) in (1..).zip(&invariants) {
        assert!(invariant.starts_with(&format!("{number}.**")), "they are not in order: {invariant}");
        let quoted = invariant.split('`').skip(1).step_by(2);
        let named: Vec<&str> = quoted
            .filter(|text| text.contains("::") || text.contains('_') && !text.contains(['=', '/', '-']))
            .filter(|text| !text.starts_with("veth_"))
            .collect();
        for test in &named {
            assert!(there(test), "I{number} names {test}, which is no test of src/model");
        }
        assert!(!named.is_empty(), "I{number} names no test");
    }
}
