//! Directories that are full, read-only, lost, in use or damaged.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use lab::book::booked;
use lab::{Exporter, describe, empty_folder, wait_for};
use serde_json::Value;

use super::{LIMIT, Lasting, start, take_host, wait_until_written};

/// A file system in memory of this size, until this goes.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn new(options: &str) -> Tmpfs {
        let path = empty_folder("tmpfs");
        mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), Some(options)).unwrap();
        Tmpfs(path)
    }

    fn remount(&self, flags: MsFlags) {
        mount(None::<&str>, &self.0, None::<&str>, MsFlags::MS_REMOUNT | flags, Some("size=4m")).unwrap();
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        umount2(&self.0, MntFlags::MNT_DETACH).unwrap();
    }
}

fn errors(exporter: &Exporter) -> f64 {
    exporter.metrics().value("veth_exporter_state_write_errors_total", &[]).unwrap()
}

fn lines_with(exporter: &Exporter, text: &str) -> usize {
    exporter.log().iter().filter(|line| line.contains(text)).count()
}

/// Waits until the exporter's problem of its state says this; `None` if it is to have none.
fn wait_for_problem(exporter: &Exporter, wanted: Option<&str>) {
    wait_for(LIMIT, &format!("the problem of the state is {wanted:?}"), || {
        let document: Value = serde_json::from_slice(&exporter.get("/api/v1/pairs").body).unwrap();
        let problems = document["problems"].as_array().unwrap().iter();
        let of_state: Vec<&Value> = problems.filter(|problem| problem["kind"] == "state").collect();
        let counted = exporter.metrics().value("veth_exporter_problems", &[("kind", "state")]);
        let is_as_wanted = match (&of_state[..], wanted) {
            ([], None) => counted == Some(0.0),
            ([problem], Some(wanted)) => {
                let text = problem["text"].as_str().unwrap();
                let remedy = problem["remedy"].as_str().unwrap();
                assert_eq!(problem["severity"], "warning");
                assert!(!remedy.is_empty(), "{problem:#}");
                counted == Some(1.0) && text.contains(wanted)
            }
            _ => false,
        };
        if is_as_wanted { Ok(()) } else { Err(format!("{of_state:#?}, counted {counted:?}")) }
    });
}

/// The files in the folder.
fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

/// With a file system in the way that `hinder` makes it: the exporter goes on, says it once, and is exact again later.
fn goes_on(tmpfs: &Tmpfs, reason: &str, hinder: impl Fn(), mend: impl Fn()) {
    let mut lasting = Lasting { state: tmpfs.0.clone(), ..Lasting::new() };
    let host = take_host(&mut lasting);
    let crowd = lasting.crowd(&host, 0..3);
    let mut exporter = start(&host, &lasting.state);
    let carried = crowd.talk(&mut lasting.dice);
    lasting.add(carried);
    lasting.wait_until_true(&exporter, "at first");
    wait_until_written(&exporter);
    wait_for_problem(&exporter, None);
    hinder();
    wait_for(LIMIT, "writes fail, again and again", || {
        let carried = crowd.whisper(&mut lasting.dice);
        lasting.add(carried);
        let errors = errors(&exporter);
        if errors >= 3.0 { Ok(()) } else { Err(errors.to_string()) }
    });
    lasting.wait_until_true(&exporter, "while writes fail");
    let text = format!("the state cannot be written to {} ({reason}", tmpfs.0.display());
    wait_for_problem(&exporter, Some(&text));
    assert_eq!(lines_with(&exporter, "cannot write the state"), 1, "{:#?}", exporter.log());
    exporter.process().kill();
    exporter = start(&host, &lasting.state);
    lasting.wait_until_true(&exporter, "after a kill while writes fail");
    wait_for_problem(&exporter, Some(&text));
    mend();
    wait_until_written(&exporter);
    wait_for_problem(&exporter, None);
    let carried = crowd.talk(&mut lasting.dice);
    lasting.add(carried);
    assert!(exporter.stop().success());
    let exporter = start(&host, &lasting.state);
    lasting.wait_until_true(&exporter, "after a restart once it can write again");
}

#[test]
fn a_full_disk_stops_neither_the_exporter_nor_later_writes() {
    let tmpfs = Tmpfs::new("size=64k");
    let filler = tmpfs.0.join("filler");
    let fill = || {
        let mut file = OpenOptions::new().create(true).append(true).open(&filler).unwrap();
        while file.write_all(&[0; 512]).is_ok() {}
    };
    goes_on(&tmpfs, "No space left on device", fill, || fs::remove_file(&filler).unwrap());
}

#[test]
fn a_file_that_was_replaced_and_cannot_be_written_anew_stops_neither() {
    let tmpfs = Tmpfs::new("size=4m");
    let next = tmpfs.0.join("totals.new");
    goes_on(
        &tmpfs,
        "Is a directory",
        || {
            // A folder with the name of the next file: no whole state can be written.
            fs::create_dir(&next).unwrap();
            fs::rename(tmpfs.0.join("totals"), tmpfs.0.join("kept")).unwrap();
            fs::copy(tmpfs.0.join("kept"), tmpfs.0.join("totals")).unwrap();
            fs::remove_file(tmpfs.0.join("kept")).unwrap();
        },
        || fs::remove_dir(&next).unwrap(),
    );
}

#[test]
fn a_read_only_directory_is_read_and_the_exporter_goes_on() {
    let tmpfs = Tmpfs::new("size=4m");
    let mut lasting = Lasting { state: tmpfs.0.clone(), ..Lasting::new() };
    let host = take_host(&mut lasting);
    let crowd = lasting.crowd(&host, 0..3);
    let mut exporter = start(&host, &lasting.state);
    let carried = crowd.talk(&mut lasting.dice);
    lasting.add(carried);
    lasting.wait_until_true(&exporter, "at first");
    assert!(exporter.stop().success());
    tmpfs.remount(MsFlags::MS_RDONLY);
    let carried = crowd.talk(&mut lasting.dice);
    lasting.add(carried);
    let mut exporter = start(&host, &lasting.state);
    lasting.wait_until_true(&exporter, "on a read-only directory");
    wait_for(LIMIT, "a write fails", || if errors(&exporter) >= 1.0 { Ok(()) } else { Err("none") });
    wait_for_problem(&exporter, Some("Read-only file system"));
    assert!(exporter.stop().success());
    tmpfs.remount(MsFlags::empty());
    let exporter = start(&host, &lasting.state);
    lasting.wait_until_true(&exporter, "once it can be written");
}

#[test]
fn a_second_exporter_on_one_directory_ends_with_a_sentence() {
    let mut lasting = Lasting::new();
    let host = take_host(&mut lasting);
    let exporter = start(&host, &lasting.state);
    let state = lasting.state.display().to_string();
    let words = ["serve", "--web.listen-address", "127.0.0.1:0", "--state.directory", &state];
    let second = Exporter::command(&host.netns, &words).output().unwrap();
    let told = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{}", describe(&second));
    assert!(told.contains("another veth-exporter uses it"), "{told}");
    assert_eq!(told.lines().filter(|line| line.starts_with("veth-exporter: ")).count(), 1, "{told}");
    drop(exporter);
    start(&host, &lasting.state);
}

#[test]
fn a_file_of_no_use_is_kept_under_another_name_and_totals_begin_at_0() {
    for content in ["", "PK\x03\x04 of another program", "veth-exporter-state 3\nof tomorrow\n"] {
        let mut lasting = Lasting::new();
        let host = take_host(&mut lasting);
        fs::write(lasting.state.join("totals"), content).unwrap();
        let exporter = start(&host, &lasting.state);
        let discarded = exporter.metrics().value("veth_exporter_state_files_discarded_total", &[]);
        assert_eq!(discarded, Some(1.0), "{content:?}");
        wait_until_written(&exporter);
        let files = files(&lasting.state);
        assert_eq!(files.len(), 2, "{files:?}");
        assert!(files[0] == "totals" && files[1].starts_with("totals.damaged-"), "{files:?}");
        assert_eq!(fs::read_to_string(lasting.state.join(&files[1])).unwrap(), content);
        assert_eq!(lines_with(&exporter, "is kept as"), 1);
    }
}

#[test]
fn a_file_that_was_cut_loses_no_byte_of_what_lives() {
    let mut lasting = Lasting::new();
    let host = take_host(&mut lasting);
    let crowd = lasting.crowd(&host, 0..3);
    let mut exporter = start(&host, &lasting.state);
    for _ in 0..5 {
        let carried = crowd.talk(&mut lasting.dice);
        lasting.add(carried);
        wait_until_written(&exporter);
    }
    exporter.process().kill();
    let file = lasting.state.join("totals");
    let length = fs::metadata(&file).unwrap().len();
    OpenOptions::new().write(true).open(&file).unwrap().set_len(length - 7).unwrap();
    exporter = start(&host, &lasting.state);
    lasting.wait_until_true(&exporter, "after the last batch was cut");
    assert_eq!(lines_with(&exporter, "the last write was not complete"), 1);
}

#[test]
fn a_directory_that_is_not_there_at_the_start_stays_a_problem_until_a_restart() {
    let mut lasting = Lasting::new();
    let host = take_host(&mut lasting);
    let missing = lasting.state.join("no/such/folder");
    let mut exporter = start(&host, &missing);
    wait_for_problem(&exporter, Some("No such file or directory (os error 2)): totals end with this run"));
    assert!(booked(&exporter.metrics()).is_empty());
    assert_eq!(lines_with(&exporter, "totals begin at 0 and end with this run"), 1);
    // The sandbox permits no folder that comes later.
    fs::create_dir_all(&missing).unwrap();
    let before = errors(&exporter);
    wait_for(LIMIT, "writes go on to fail", || {
        let errors = errors(&exporter);
        if errors >= before + 2.0 { Ok(()) } else { Err(errors.to_string()) }
    });
    wait_for_problem(&exporter, Some("totals end with this run"));
    assert_eq!(exporter.remarks().len(), 1, "{:#?}", exporter.log());
    assert!(exporter.stop().success());
    assert!(files(&missing).is_empty());
    let exporter = start(&host, &missing);
    wait_until_written(&exporter);
    wait_for_problem(&exporter, None);
    // A folder of which only the last part is missing is made.
    let own = lasting.state.join("own");
    let exporter = start(&host, &own);
    wait_until_written(&exporter);
    assert_eq!(files(&own), ["totals"]);
}

#[test]
fn a_directory_that_cannot_be_opened_at_the_start_is_tried_again_and_its_totals_are_not_added() {
    let mut lasting = Lasting::new();
    let host = take_host(&mut lasting);
    let crowd = lasting.crowd(&host, 0..3);
    let mut exporter = start(&host, &lasting.state);
    crowd.talk(&mut lasting.dice);
    wait_until_written(&exporter);
    assert!(exporter.stop().success());
    let before = fs::read(lasting.state.join("totals")).unwrap();
    let folder = lasting.state.clone();
    let close = |mode| fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
    close(0o000);
    let mut exporter = start(&host, &lasting.state);
    wait_for_problem(&exporter, Some("(Permission denied (os error 13))"));
    assert_eq!(lines_with(&exporter, "it is tried again at each --state.interval"), 1);
    let carried = crowd.talk(&mut lasting.dice);
    lasting.add(carried);
    lasting.wait_until_true(&exporter, "without the totals that could not be read");
    close(0o700);
    wait_until_written(&exporter);
    wait_for_problem(&exporter, None);
    lasting.wait_until_true(&exporter, "with the directory open");
    let names = files(&lasting.state);
    assert!(names.len() == 2 && names[1].starts_with("totals.unread-"), "{names:?}");
    assert_eq!(fs::read(lasting.state.join(&names[1])).unwrap(), before);
    let discarded = exporter.metrics().value("veth_exporter_state_files_discarded_total", &[]);
    assert_eq!(discarded, Some(1.0));
    assert_eq!(exporter.remarks().len(), 3, "unusable, kept aside, written again: {:#?}", exporter.log());
    // It has the lock now.
    let state = lasting.state.display().to_string();
    let words = ["serve", "--web.listen-address", "127.0.0.1:0", "--state.directory", &state];
    let second = Exporter::command(&host.netns, &words).output().unwrap();
    assert_eq!(second.status.code(), Some(1), "{}", describe(&second));
    exporter.process().kill();
    let carried = crowd.talk(&mut lasting.dice);
    lasting.add(carried);
    let exporter = start(&host, &lasting.state);
    lasting.wait_until_true(&exporter, "after the next start");
}

#[test]
fn a_directory_that_is_removed_while_the_exporter_runs_stays_a_problem_and_totals_go_on() {
    let mut lasting = Lasting::new();
    let host = take_host(&mut lasting);
    let crowd = lasting.crowd(&host, 0..3);
    let exporter = start(&host, &lasting.state);
    let carried = crowd.talk(&mut lasting.dice);
    lasting.add(carried);
    wait_until_written(&exporter);
    fs::remove_dir_all(&lasting.state).unwrap();
    fs::create_dir(&lasting.state).unwrap();
    wait_for(LIMIT, "writes fail", || {
        let carried = crowd.whisper(&mut lasting.dice);
        lasting.add(carried);
        let errors = errors(&exporter);
        if errors >= 3.0 { Ok(()) } else { Err(errors.to_string()) }
    });
    wait_for_problem(&exporter, Some("No such file or directory"));
    lasting.wait_until_true(&exporter, "without a directory");
    assert_eq!(lines_with(&exporter, "cannot write the state"), 1, "{:#?}", exporter.log());
    assert!(files(&lasting.state).is_empty(), "what has replaced the directory is another one");
}
