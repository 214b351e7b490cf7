//! Histories leave nothing behind once their links, namespaces, names and containers are gone.

use super::sequences::{Kernel, Step, steps};
use super::*;
use proptest::prelude::*;

/// The collections that may hold more than those of a new host, and what bounds or empties them.
const EXEMPT: &[&str] = &[
    // One number for each id that was ever given: the kernel gives the lowest that is free.
    "known.topology.inventory.generations",
    // Slots that are used again: as many as there were accounts and totals at once.
    "known.ledger.accounts.slots",
    "known.ledger.accounts.free",
    "known.ledger.book.networks.slots.slots",
    "known.ledger.book.networks.slots.free",
    "known.ledger.book.workloads.slots.slots",
    "known.ledger.book.workloads.slots.free",
    // Memory that the next tick uses again.
    "schedule.spare",
    "schedule.spent.counters",
];

/// The number of elements of each collection in a text of `{:#?}`, by the fields that lead there. Empty ones
/// are left out, and what is within an element.
fn sizes(text: &str) -> BTreeMap<String, usize> {
    let mut sizes = BTreeMap::new();
    let mut path: Vec<&str> = Vec::new();
    let mut inside: Option<(usize, String)> = None;
    for line in text.lines() {
        let depth = (line.len() - line.trim_start().len()) / 4;
        let line = line.trim();
        if let Some((at, collection)) = &inside {
            if depth > *at {
                // An element begins; a line that begins with a bracket goes on with one.
                let begins = depth == at + 1 && !line.starts_with(['}', ']', ')']);
                *sizes.entry(collection.clone()).or_insert(0) += usize::from(begins);
                continue;
            }
            inside = None;
        }
        path.truncate(depth);
        let (field, value) = line.split_once(": ").unwrap_or(("", line));
        path.push(field);
        if value == "{" || value == "[" {
            let fields: Vec<&str> = path.iter().filter(|field| !field.is_empty()).copied().collect();
            inside = Some((depth, fields.join(".")));
        }
    }
    sizes
}

fn sizes_of(host: &Host) -> BTreeMap<String, usize> {
    // The maps of the status are by sources and by reasons, of which there are few.
    let Host { known, reading, finals, schedule, shown, containers, problems, lives, .. } = host;
    let parts: [(&str, String); 8] = [
        ("known", format!("{known:#?}")),
        ("reading", format!("{reading:#?}")),
        ("finals", format!("{finals:#?}")),
        ("schedule", format!("{schedule:#?}")),
        ("shown", format!("{shown:#?}")),
        ("containers", format!("{containers:#?}")),
        ("problems", format!("{problems:#?}")),
        ("lives", format!("{lives:#?}")),
    ];
    let all = parts.iter().flat_map(|(part, text)| {
        sizes(text).into_iter().map(move |(field, size)| (format!("{part}.{field}"), size))
    });
    all.filter(|(field, _)| !EXEMPT.contains(&field.as_str())).collect()
}

/// A host that has seen a resync of this kernel, and some ticks until all that waits is over.
fn settle(kernel: &mut Kernel, host: &mut Host) {
    for _ in 0..12 {
        kernel.now += 60 * SECOND;
        kernel.step(host, Step::Tick);
    }
    host.take_named();
}

fn new_host(kernel: &mut Kernel) -> Host {
    let mut host = Host::new(config(Learning::Events), [Runtime::Docker, Runtime::Named]);
    kernel.give(&mut host, Input::NamesWatched(true));
    kernel.step(&mut host, Step::Tick);
    host
}

#[test]
fn the_sizes_of_collections_are_read_from_their_text() {
    #[derive(Debug)]
    #[expect(dead_code, reason = "it is shown")]
    struct Part {
        empty: Vec<u32>,
        list: Vec<Option<(u32, u32)>>,
        inner: Inner,
        number: u32,
    }
    #[derive(Debug)]
    #[expect(dead_code, reason = "it is shown")]
    struct Inner {
        map: BTreeMap<(u32, u32), Vec<u32>>,
    }
    let map = BTreeMap::from([((1, 2), vec![3, 4]), ((5, 6), vec![])]);
    let part = Part { empty: vec![], list: vec![Some((1, 2)), None], inner: Inner { map }, number: 7 };
    let found = sizes(&format!("{part:#?}"));
    assert_eq!(found, BTreeMap::from([("list".to_owned(), 2), ("inner.map".to_owned(), 2)]));
}

proptest! {
    #[test]
    fn a_history_whose_links_namespaces_names_and_containers_are_gone_leaves_nothing(steps in steps()) {
        let mut kernel = Kernel::default();
        kernel.now = NOW;
        let mut host = new_host(&mut kernel);
        for step in steps {
            kernel.step(&mut host, step);
        }
        kernel.end_all(&mut host);
        settle(&mut kernel, &mut host);
        let mut fresh = new_host(&mut kernel);
        settle(&mut kernel, &mut fresh);
        prop_assert_eq!(sizes_of(&host), sizes_of(&fresh));
    }
}

/// Found by the comparison of both implementations: the answer to a search comes after the kernel has given the
/// nsid to another namespace, which was taken for a searched one.
#[test]
fn an_answer_about_the_namespace_that_had_an_nsid_before_is_no_search_of_the_one_that_has_it_now() {
    use Step::{Add, DeleteNetns, Expect, Hear, Move, Name, Tick};
    let mut kernel = Kernel::default();
    kernel.now = NOW;
    let mut host = new_host(&mut kernel);
    let before = [Add([0, 1]), Hear(3), Tick, Tick, Name(3, 0), Tick, Add([0, 2]), Expect(0, 0), Tick];
    let after = [DeleteNetns(2), Add([0, 0]), Add([0, 0]), Move(0, 2), Tick, Tick, Tick];
    for step in before.into_iter().chain(after) {
        kernel.step(&mut host, step);
    }
}
