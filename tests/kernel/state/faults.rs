//! Directories that are full, read-only, lost, in use or damaged.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use lab::book::booked;
use lab::{Exporter, describe, empty_folder, wait_for};

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

/// The files in the folder.
fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

/// With a file system in the way that `hinder` makes it: the exporter goes on, says it once, and is exact again later.
fn goes_on(tmpfs: &Tmpfs, hinder: impl Fn(), mend: impl Fn()) {
    let mut lasting = Lasting { state: tmpfs.0.clone(), ..Lasting::new() };
    let host = take_host(&mut lasting);
    let crowd = lasting.crowd(&host, 0..3);
    let mut exporter = start(&host, &lasting.state);
    let carried = crowd.talk(&mut lasting.dice);
    lasting.add(carried);
    lasting.wait_until_true(&exporter, "at first");
    wait_until_written(&exporter);
    hinder();
    wait_for(LIMIT, "writes fail, again and again", || {
        let carried = crowd.whisper(&mut lasting.dice);
        lasting.add(carried);
        let errors = errors(&exporter);
        if errors >= 3.0 { Ok(()) } else { Err(errors.to_string()) }
    });
    lasting.wait_until_true(&exporter, "while writes fail");
    assert_eq!(lines_with(&exporter, "cannot write the state"), 1, "{:#?}", exporter.log());
    exporter.process().kill();
    exporter = start(&host, &lasting.state);
    lasting.wait_until_true(&exporter, "after a kill while writes fail");
    mend();
    wait_until_written(&exporter);
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
    goes_on(&tmpfs, fill, || fs::remove_file(&filler).unwrap());
}

#[test]
fn a_file_that_was_replaced_and_cannot_be_written_anew_stops_neither() {
    let tmpfs = Tmpfs::new("size=4m");
    let next = tmpfs.0.join("totals.new");
    goes_on(
        &tmpfs,
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
fn without_a_usable_directory_it_runs_and_says_so() {
    let mut lasting = Lasting::new();
    let host = take_host(&mut lasting);
    let missing = lasting.state.join("no/such/folder");
    let exporter = start(&host, &missing);
    std::thread::sleep(Duration::from_millis(300));
    assert!(booked(&exporter.metrics()).is_empty());
    assert_eq!(lines_with(&exporter, "totals begin at 0 and end with this run"), 1);
    // A folder of which only the last part is missing is made.
    let own = lasting.state.join("own");
    let exporter = start(&host, &own);
    wait_until_written(&exporter);
    assert_eq!(files(&own), ["totals"]);
}
