//! How the page looks with 3, 50 and 1,000 pairs. With VETH_LAB_SCREENSHOTS=docs/images the pictures stay, after two minutes' worth
//! of ticks; else what they would show is only checked.

use super::town::Town;
use super::url;
use lab::{Browser, checkout, empty_folder, wait_for};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Ticks that a sparkline shows, and how long one is here.
const TICKS: u32 = 120;
const TICK: Duration = Duration::from_millis(250);

fn wanted() -> Option<PathBuf> {
    let folder = std::env::var_os("VETH_LAB_SCREENSHOTS")?;
    Some(checkout().join(folder))
}

/// Writes it with so few colours that it is small.
fn keep(from: &Path, folder: &Path, name: &str) {
    let to = folder.join(name);
    let mut command = Command::new("pngquant");
    command.args(["--force", "--strip", "--speed", "1", "80", "--output"]).arg(&to).arg("--").arg(from);
    lab::succeed(&mut command);
}

fn look_at(size: usize, talkers: usize) {
    let mut town = Town::new(size);
    town.talk(talkers);
    let trouble = if size == 50 { town.make_trouble() } else { Vec::new() };
    let exporter = town.host.exporter(&["--collector.interval", "250ms"]);
    exporter.wait_ready();
    let mut page = Browser::start(&town.host.netns).open(&url(&exporter));
    let rows = format!(
        "document.getElementById('count')?.textContent === '{}'",
        if size == 1_000 { "1,000".to_owned() } else { size.to_string() }
    );
    page.wait_until(Duration::from_secs(20), &rows);
    // What is wrong is in the picture: a port that is switched off, and one that loses what is too long for it.
    if !trouble.is_empty() {
        page.look(1_280, 2_400, false);
    }
    for name in trouble {
        page.wait_until(
            Duration::from_secs(30),
            &format!("[...document.querySelectorAll('.rows .row[data-severity] .title')].some((title) => title.textContent === '{name}')"),
        );
    }
    let folder = empty_folder("screenshots");
    let wanted = wanted();
    if wanted.is_some() {
        std::thread::sleep(TICK * TICKS);
    }
    for width in [1_280, 390] {
        for dark in [false, true] {
            page.look(width, if width < 600 { 844 } else { 900 }, dark);
            let colour = if dark { "dark" } else { "light" };
            let ground = if dark { "rgb(15, 20, 24)" } else { "rgb(245, 246, 247)" };
            page.wait_until(
                Duration::from_secs(5),
                &format!("innerWidth === {width} && getComputedStyle(document.documentElement).backgroundColor === '{ground}'"),
            );
            // The picture follows its window's width one frame later.
            page.wait_until(Duration::from_secs(5), "document.documentElement.scrollWidth <= innerWidth");
            let shown = page.value("document.querySelectorAll('.rows .row:not([hidden])').length");
            assert!(
                shown.as_u64() >= Some(1) && shown.as_u64() < Some(70),
                "{shown} rows are in the document"
            );
            let file = folder.join("page.png");
            page.screenshot(&file);
            if let Some(folder) = &wanted {
                keep(&file, folder, &format!("page-{size}-{width}-{colour}.png"));
            }
        }
    }
    // To the end and back: what is seen is always there.
    page.look(1_280, 900, false);
    page.value("document.querySelector('.grid').focus()");
    page.press("End");
    page.wait_until(
        Duration::from_secs(5),
        &format!(
            "document.querySelector('.rows [aria-selected=true]')?.getAttribute('aria-rowindex') === '{}'",
            size + 1
        ),
    );
    page.press("Enter");
    page.wait_until(Duration::from_secs(5), "!document.getElementById('detail').hidden");
    if let Some(folder) = &wanted
        && size == 50
    {
        page.press("Escape");
        page.press("Home");
        page.press("ArrowDown");
        page.press("Enter");
        let total = "[...document.querySelectorAll('#detail .numbers tr')].find((row) => row.textContent.startsWith('Total')).textContent";
        page.wait_until(Duration::from_secs(10), &format!("/Total.*[1-9]/.test({total})"));
        let file = folder.join("detail.png");
        page.screenshot(&file);
        keep(&file, folder, "page-detail-1280-light.png");
        std::fs::remove_file(file).unwrap();
    }
    // A frame is drawn in its time also while 1,000 rows move.
    let slowest = "new Promise((done) => { const all = []; let last = performance.now(); const frame = (now) => { all.push(now - last); last = now; if (all.length < 90) requestAnimationFrame(frame); else done(all.sort((a, b) => a - b)[80]); }; requestAnimationFrame(frame); })";
    wait_for(Duration::from_secs(30), "of 90 frames 80 come within 50 ms", || {
        let took = page.value(slowest).as_f64().unwrap();
        if took < 50.0 { Ok(()) } else { Err(took) }
    });
    let complaints = page.complaints();
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn the_page_is_useful_with_three_pairs() {
    look_at(3, 2);
}

#[test]
fn the_page_is_readable_with_fifty_pairs() {
    look_at(50, 22);
}

#[test]
fn the_page_is_smooth_with_a_thousand_pairs() {
    look_at(1_000, 60);
}
