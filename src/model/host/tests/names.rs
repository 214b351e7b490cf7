//! Names that come and go while their folder is read.

use super::*;

fn claim(name: &str) -> Claim {
    Claim {
        owner: Workload::named(Runtime::Named, name),
        locator: locator(name),
        endpoints: Vec::new(),
        members: Vec::new(),
        started: Started::default(),
    }
}

fn locator(name: &str) -> Locator {
    Locator::Path(std::path::Path::new("/run/netns").join(name).into())
}

fn add(host: &mut Host, name: &str) -> Vec<Request> {
    host.apply(Input::NameAdded(Box::new(claim(name))), NOW)
}

fn answer(host: &mut Host, names: &[&str]) -> Vec<Request> {
    let claims = names.iter().map(|name| claim(name)).collect();
    let answer = Some(Ok(Claims { claims, ..Claims::default() }));
    host.apply(Input::Claims { runtime: Runtime::Named, answer, took: Duration::ZERO }, NOW)
}

fn locate(host: &mut Host, name: &str, answer: Result<u32, LookFailure>) {
    let answer = answer.map(|nsid| Location { netns: Located::Nsid(nsid), cgroup: None });
    host.apply(Input::Located { locator: locator(name), answer }, NOW);
}

/// A host with a reading of the folder that is open: the file `half` is there, and nothing is mounted on it.
fn reading_host() -> Host {
    let mut host = Host::new(config(Learning::Events), [Runtime::Named]);
    host.apply(Input::NamesWatched(true), NOW);
    let world = World { links: BTreeMap::from([(None, Ok(Vec::new()))]), ..World::default() };
    let asked = host.apply(Input::Tick, NOW);
    assert!(asked.contains(&Request::Claims(Runtime::Named)));
    host.apply(world.answer(Request::Links { nsid: None }), NOW);
    answer(&mut host, &[]);
    assert!(host.is_ready());
    assert_eq!(add(&mut host, "half"), [Request::Locate(locator("half"))]);
    locate(&mut host, "half", Err(LookFailure::Gone));
    assert!(host.apply(Input::Tick, NOW + SECOND).contains(&Request::Claims(Runtime::Named)));
    host
}

#[test]
fn a_name_that_came_while_a_tick_read_the_folder_outlives_the_older_answer() {
    let mut host = reading_host();
    assert_eq!(add(&mut host, "new"), [Request::Locate(locator("new"))]);
    answer(&mut host, &["half"]);
    locate(&mut host, "new", Ok(7));
    assert!(host.known.evidence.location(&locator("new")).is_some());
}

#[test]
fn a_name_that_went_while_a_tick_read_the_folder_does_not_come_back_with_the_older_answer() {
    let mut host = reading_host();
    host.apply(Input::Unnamed { locator: locator("half") }, NOW);
    answer(&mut host, &["half"]);
    locate(&mut host, "half", Ok(7));
    assert!(host.known.evidence.location(&locator("half")).is_none());
}

#[test]
fn names_that_came_before_the_folder_was_watched_are_read_after_the_open_reading() {
    let mut host = reading_host();
    assert!(host.apply(Input::Named, NOW).is_empty(), "the open reading is awaited");
    assert!(answer(&mut host, &[]).contains(&Request::Claims(Runtime::Named)));
    assert!(!answer(&mut host, &["half"]).contains(&Request::Claims(Runtime::Named)));
}
