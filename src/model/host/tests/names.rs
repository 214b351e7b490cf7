//! Names that come and go while their folder is read.

use super::*;
use crate::model::host::names::NamesReading;

fn add(host: &mut Host, name: &str) -> Vec<Request> {
    host.apply(Input::NameAdded(Box::new(claim_of_name(name))), NOW)
}

fn answer(host: &mut Host, names: &[&str]) -> Vec<Request> {
    let claims = names.iter().map(|name| claim_of_name(name)).collect();
    let answer = Some(Ok(Claims { claims, ..Claims::default() }));
    host.apply(Input::Claims { runtime: Runtime::Named, answer, took: Duration::ZERO }, NOW)
}

fn locate(host: &mut Host, name: &str, answer: Result<u32, LookFailure>) {
    let answer = answer.map(|nsid| Location { netns: Located::Nsid(nsid), cgroup: None });
    host.apply(Input::Located { locator: locator_of_name(name), answer }, NOW);
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
    assert_eq!(add(&mut host, "half"), [Request::Locate(locator_of_name("half"))]);
    locate(&mut host, "half", Err(LookFailure::Gone));
    assert!(host.apply(Input::Tick, NOW + SECOND).contains(&Request::Claims(Runtime::Named)));
    host
}

#[test]
fn a_name_that_came_while_a_tick_read_the_folder_outlives_the_older_answer() {
    let mut host = reading_host();
    assert_eq!(add(&mut host, "new"), [Request::Locate(locator_of_name("new"))]);
    answer(&mut host, &["half"]);
    locate(&mut host, "new", Ok(7));
    assert!(host.known.evidence.location(&locator_of_name("new")).is_some());
}

#[test]
fn a_name_that_went_while_a_tick_read_the_folder_does_not_come_back_with_the_older_answer() {
    let mut host = reading_host();
    host.apply(Input::Unnamed { locator: locator_of_name("half") }, NOW);
    answer(&mut host, &["half"]);
    locate(&mut host, "half", Ok(7));
    assert!(host.known.evidence.location(&locator_of_name("half")).is_none());
}

#[test]
fn names_that_came_before_the_folder_was_watched_are_read_after_the_open_reading() {
    let mut host = reading_host();
    assert!(host.apply(Input::Named, NOW).is_empty(), "the open reading is awaited");
    assert!(answer(&mut host, &[]).contains(&Request::Claims(Runtime::Named)));
    assert!(!answer(&mut host, &["half"]).contains(&Request::Claims(Runtime::Named)));
}

fn completed(reading: &NamesReading, names: &[&str]) -> Vec<String> {
    let claims = names.iter().map(|name| claim_of_name(name)).collect();
    let mut claims = Claims { claims, ..Claims::default() };
    reading.complete(&mut claims);
    let mut names: Vec<String> = claims.claims.into_iter().map(|claim| claim.owner.name).collect();
    names.sort();
    names
}

#[test]
fn a_name_that_came_or_went_while_the_folder_was_read_is_as_the_change_says() {
    let mut reading = NamesReading::default();
    reading.changed(&locator_of_name("before"), Some(&claim_of_name("before")));
    reading.request();
    reading.changed(&locator_of_name("came"), Some(&claim_of_name("came")));
    reading.changed(&locator_of_name("went"), None);
    reading.changed(&locator_of_name("moment"), Some(&claim_of_name("moment")));
    reading.changed(&locator_of_name("moment"), None);
    // A change before the request is in the answer, or has been undone since.
    assert_eq!(completed(&reading, &["other", "went"]), ["came", "other"]);
    assert_eq!(completed(&reading, &["came", "moment", "other"]), ["came", "other"]);
    assert!(reading.answered().is_none());
    assert_eq!(completed(&reading, &["went"]), ["went"], "the next reading knows by itself");
}

#[test]
fn changes_hold_until_the_last_open_reading_is_answered() {
    let mut reading = NamesReading::default();
    assert!(reading.request().is_some());
    reading.changed(&locator_of_name("a"), Some(&claim_of_name("a")));
    assert!(reading.request().is_some());
    assert!(reading.request().is_none(), "the second has not begun");
    reading.changed(&locator_of_name("b"), Some(&claim_of_name("b")));
    assert!(reading.answered().is_none());
    assert_eq!(completed(&reading, &[]), ["a", "b"]);
    assert!(reading.answered().is_none());
    assert_eq!(completed(&reading, &["c"]), ["c"], "they are forgotten");
}

#[test]
fn a_reading_that_was_wanted_while_one_was_open_follows_it() {
    let mut reading = NamesReading::default();
    assert!(reading.request_after_open().is_some());
    assert!(reading.request_after_open().is_none());
    assert!(reading.answered().is_some());
    assert!(reading.answered().is_none());
}
