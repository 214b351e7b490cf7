//! Totals of today and of this month against what was sent: across midnight, kills, restarts, and clocks that jump.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use lab::crowd::Host;
use lab::{Exporter, Traffic, checkout, empty_folder, succeed, wait_for};

use super::{LIMIT, Lasting, take_host, wait_until_written};

const DAY: u64 = 86_400;

fn now() -> f64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64()
}

/// Starts an exporter with these variables, such as `TZ=UTC0`, that writes its state every 200 ms; it waits until it is ready.
fn start(host: &Host, variables: &[&str], state: Option<&Path>) -> Exporter {
    let state = state.map(|state| state.display().to_string());
    let flags = ["--collector.interval", "100ms", "--state.interval", "200ms"].into_iter();
    let flags = flags.chain(state.iter().flat_map(|state| ["--state.directory", state]));
    let own = host.folder.arguments();
    let flags: Vec<&str> = own.into_iter().chain(flags).collect();
    let exporter = Exporter::start_through(&host.netns, &[&["env"], variables].concat(), &flags);
    exporter.wait_ready();
    exporter
}

/// Returns `totals.periods` of each workload's interface.
fn periods(exporter: &Exporter) -> BTreeMap<String, Value> {
    let document: Value = serde_json::from_str(exporter.get("/api/v1/pairs").text()).unwrap();
    let pairs = document["pairs"].as_array().unwrap().clone();
    let ends = pairs.into_iter().map(|pair| pair["ends"][1].clone());
    let named = |end: &Value| {
        Some((end["workload"]["container"].as_str()?.to_owned(), end["totals"]["periods"].clone()))
    };
    ends.filter_map(|end| named(&end)).collect()
}

/// Waits until each workload has this traffic today and in this month.
fn wait_until_true(exporter: &Exporter, when: &str, truth: [&BTreeMap<String, Traffic>; 2]) {
    wait_for(LIMIT, &format!("today and this month are what was sent {when}"), || {
        let found = periods(exporter);
        assert!(!found.is_empty());
        for (period, truth) in ["today", "month"].into_iter().zip(truth) {
            for (name, found) in &found {
                let truth = truth.get(name).copied().unwrap_or_default();
                let bytes =
                    ["receive_bytes", "transmit_bytes"].map(|way| found[period][way].as_u64().unwrap());
                if bytes != [truth.receive_bytes, truth.transmit_bytes] {
                    return Err(format!("{name}: {period}: {bytes:?}, truly {truth:?}"));
                }
            }
        }
        Ok(())
    });
}

/// Returns from when the traffic of the periods is counted; of all workloads the same.
fn since(exporter: &Exporter) -> [f64; 2] {
    let found = periods(exporter);
    let of = |period: &str| {
        let all: Vec<f64> = found.values().map(|found| found[period]["since"].as_f64().unwrap()).collect();
        assert!(all.iter().all(|since| *since == all[0]), "{found:#?}");
        all[0]
    };
    [of("today"), of("month")]
}

fn wait_until_since(exporter: &Exporter, wanted: [f64; 2]) {
    wait_for(LIMIT, &format!("the periods are counted since {wanted:?}"), || match since(exporter) {
        found if found == wanted => Ok(()),
        found => Err(format!("{found:?}")),
    });
}

fn sum(all: &[&BTreeMap<String, Traffic>]) -> BTreeMap<String, Traffic> {
    let mut sum = BTreeMap::new();
    for (name, more) in all.iter().copied().flatten() {
        let before = sum.get(name).copied().unwrap_or_default();
        sum.insert(name.clone(), before + *more);
    }
    sum
}

/// Returns the day of the month of a day that is counted from the beginning of 1970 (proleptic Gregorian calendar).
fn day_of_month(days: u64) -> u64 {
    let day = (days + 719_468) % 146_097;
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    day - (153 * month + 2) / 5 + 1
}

/// Returns a time zone, as POSIX writes it, with a midnight at that time, seconds since 1970, which begins no month.
fn zone_with_midnight(at: u64) -> String {
    let east = DAY - at % DAY;
    // In one of the two, the day that begins is one later than in the other.
    let is_later = day_of_month((at + east) / DAY) != 1;
    let (sign, west) = if is_later { ('-', east) } else { ('+', DAY - east) };
    format!("TZ=XXX{sign}{}:{:02}:{:02}", west / 3600, west / 60 % 60, west % 60)
}

#[test]
fn today_ends_at_midnight_and_this_month_goes_on_across_kills_before_and_after_it() {
    // On a slow machine midnight may come before what is to be before it.
    assert!([12, 60, 240].into_iter().any(goes_across_midnight), "midnight always came too early");
}

/// Returns false if midnight, which is that many seconds away, came too early.
fn goes_across_midnight(seconds: u64) -> bool {
    let mut lasting = Lasting::new();
    let host = take_host(&mut lasting);
    let crowd = lasting.crowd(&host, 0..3);
    let midnight = now() as u64 + seconds;
    let zone = zone_with_midnight(midnight);
    let mut exporter = start(&host, &[&zone], Some(&lasting.state));
    let first = crowd.talk(&mut lasting.dice);
    wait_until_true(&exporter, "after the start", [&first, &first]);
    let begun = since(&exporter);
    assert!(
        begun[0] == begun[1] && begun[0] > now() - 60.0,
        "the totals have begun inside the day: {begun:?}"
    );
    wait_until_written(&exporter);
    exporter.process().kill();
    let meanwhile = crowd.talk(&mut lasting.dice);
    exporter = start(&host, &[&zone], Some(&lasting.state));
    let before = sum(&[&first, &meanwhile]);
    wait_until_true(&exporter, "after a kill", [&before, &before]);
    assert_eq!(since(&exporter), begun);
    if now() >= midnight as f64 - 0.5 {
        return false;
    }
    std::thread::sleep(Duration::from_secs_f64(midnight as f64 - now()));
    wait_until_true(&exporter, "at midnight", [&BTreeMap::new(), &before]);
    assert_eq!(since(&exporter), [midnight as f64, begun[1]], "{zone}");
    let after = crowd.talk(&mut lasting.dice);
    wait_until_true(&exporter, "after midnight", [&after, &sum(&[&before, &after])]);
    wait_until_written(&exporter);
    exporter.process().kill();
    let meanwhile = crowd.talk(&mut lasting.dice);
    exporter = start(&host, &[&zone], Some(&lasting.state));
    let today = sum(&[&after, &meanwhile]);
    wait_until_true(&exporter, "after midnight and a kill", [&today, &sum(&[&before, &today])]);
    assert_eq!(since(&exporter), [midnight as f64, begun[1]], "{zone}");
    println!("midnight in {zone}: {before:?} before it, {today:?} after it");
    true
}

#[test]
fn without_a_state_the_periods_begin_with_the_exporter_and_end_at_midnight() {
    let is_through = |seconds: u64| {
        let mut lasting = Lasting::new();
        let host = take_host(&mut lasting);
        let crowd = lasting.crowd(&host, 0..2);
        let midnight = now() as u64 + seconds;
        let zone = zone_with_midnight(midnight);
        let exporter = start(&host, &[&zone], None);
        let first = crowd.talk(&mut lasting.dice);
        wait_until_true(&exporter, "after the start", [&first, &first]);
        if now() >= midnight as f64 - 0.5 {
            return false;
        }
        std::thread::sleep(Duration::from_secs_f64(midnight as f64 - now()));
        wait_until_true(&exporter, "at midnight", [&BTreeMap::new(), &first]);
        let [today, month] = since(&exporter);
        assert!(today == midnight as f64 && month < today && month > today - 300.0, "{today} {month}");
        true
    };
    assert!([8, 60, 240].into_iter().any(is_through), "midnight always came too early");
}

/// A clock for exporters that jumps.
struct JumpingClock {
    variables: [String; 3],
    offset: PathBuf,
}

impl JumpingClock {
    fn new() -> JumpingClock {
        let folder = empty_folder("clock");
        let (library, offset) = (folder.join("clock.so"), folder.join("offset"));
        let source = checkout().join("tests/faults/clock.c");
        succeed(
            Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o"]).arg(&library).arg(source).arg("-ldl"),
        );
        let preload = format!("LD_PRELOAD={}", library.display());
        let variables = [preload, format!("CLOCK_OFFSET={}", offset.display()), "TZ=UTC0".to_owned()];
        JumpingClock { variables, offset }
    }

    /// Sets the clock to seconds since 1970. The file stays the same: it is mapped.
    fn set(&self, time: u64) {
        let offset = time as i64 - now() as i64;
        let mut file =
            fs::File::options().create(true).truncate(false).write(true).open(&self.offset).unwrap();
        file.write_all(&offset.to_ne_bytes()).unwrap();
    }

    fn start(&self, host: &Host, state: &Path) -> Exporter {
        start(host, &self.variables.each_ref().map(String::as_str), Some(state))
    }
}

/// Noon of 27 February 2040, midnight of the leap day and of 1 March, and other midnights of that year, all of UTC.
const FEBRUARY_27: u64 = 2_213_956_800;
const LEAP_DAY: u64 = 2_214_086_400;
const MARCH_1: u64 = 2_214_172_800;
const MARCH_2: u64 = 2_214_259_200;
const MAY_1: u64 = 2_219_443_200;
const MAY_3: u64 = 2_219_616_000;
const MAY_5: u64 = 2_219_788_800;

#[test]
fn periods_end_with_their_month_and_with_restarts_across_them_and_a_clock_that_is_set_back_begins_anew() {
    let mut lasting = Lasting::new();
    let host = take_host(&mut lasting);
    let (crowd, clock) = (lasting.crowd(&host, 0..3), JumpingClock::new());
    let (none, hours) = (BTreeMap::new(), 10 * 3600);
    clock.set(FEBRUARY_27);
    let mut exporter = clock.start(&host, &lasting.state);
    let february_27 = crowd.talk(&mut lasting.dice);
    wait_until_true(&exporter, "on 27 February", [&february_27, &february_27]);
    let [_, begun] = since(&exporter);
    clock.set(LEAP_DAY - 1);
    wait_until_since(&exporter, [LEAP_DAY as f64, begun]);
    wait_until_true(&exporter, "at the beginning of the leap day", [&none, &february_27]);
    let leap_day = crowd.talk(&mut lasting.dice);
    wait_until_true(&exporter, "on the leap day", [&leap_day, &sum(&[&february_27, &leap_day])]);
    clock.set(MARCH_1 - 1);
    wait_until_since(&exporter, [MARCH_1 as f64; 2]);
    wait_until_true(&exporter, "at the beginning of March", [&none, &none]);
    let march_1 = crowd.talk(&mut lasting.dice);
    wait_until_true(&exporter, "on 1 March", [&march_1, &march_1]);
    assert!(exporter.stop().success());
    // Down across one midnight: what passed meanwhile is of the day in which it is seen.
    let meanwhile = crowd.talk(&mut lasting.dice);
    clock.set(MARCH_2 + hours);
    exporter = clock.start(&host, &lasting.state);
    wait_until_true(&exporter, "on 2 March", [&meanwhile, &sum(&[&march_1, &meanwhile])]);
    assert_eq!(since(&exporter), [MARCH_2 as f64, MARCH_1 as f64]);
    // The state is written every 200 ms.
    std::thread::sleep(Duration::from_secs(1));
    exporter.process().kill();
    // Down across months.
    let meanwhile = crowd.talk(&mut lasting.dice);
    clock.set(MAY_5 + hours);
    exporter = clock.start(&host, &lasting.state);
    wait_until_true(&exporter, "in May", [&meanwhile, &meanwhile]);
    assert_eq!(since(&exporter), [MAY_5 as f64, MAY_1 as f64]);
    // Set back by two days, and right again: `since` says from when the figure is known.
    let mut may = meanwhile;
    for day in [MAY_3, MAY_5] {
        clock.set(day + hours);
        wait_until_true(&exporter, "after the clock was set", [&none, &may]);
        let [today, month] = since(&exporter);
        let set = (day + hours) as f64;
        assert!((set..set + 30.0).contains(&today) && month == MAY_1 as f64, "{today} {month}");
        let carried = crowd.talk(&mut lasting.dice);
        may = sum(&[&may, &carried]);
        wait_until_true(&exporter, "after the clock was set", [&carried, &may]);
    }
}

#[test]
fn a_time_zone_that_cannot_be_read_is_named_once_and_utc_is_used() {
    let mut lasting = Lasting::new();
    let host = take_host(&mut lasting);
    let lines = |exporter: &Exporter| {
        exporter.log().into_iter().filter(|line| line.contains("totals of today")).collect::<Vec<_>>()
    };
    let exporter = start(&host, &["TZ=Mars/Olympus_Mons"], None);
    let said = lines(&exporter);
    assert!(
        said.len() == 1 && said[0].contains("Mars/Olympus_Mons") && said[0].contains("level=warn"),
        "{said:?}"
    );
    let known =
        if Path::new("/usr/share/zoneinfo/Asia/Tokyo").exists() { "TZ=:Asia/Tokyo" } else { "TZ=JST-9" };
    for quiet in ["TZ=", "TZ=UTC0", known] {
        assert_eq!(lines(&start(&host, &[quiet], None)), Vec::<String>::new(), "{quiet}");
    }
    drop(lasting);
}
