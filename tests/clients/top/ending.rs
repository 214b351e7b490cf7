//! However it ends, the terminal is as it was before.

use std::time::Duration;

use nix::sys::signal::Signal;
use veth_exporter::testing::top::draw::Theme;
use veth_exporter::testing::top::state::ViewState;
use veth_exporter::testing::top::terminal::Screen;

use super::terminal::Terminal;
use super::{Host, PATIENCE};
use lab::{Exporter, Netns, describe, wait_for};

#[test]
fn a_signal_that_ends_it_restores_the_terminal() {
    let host = Host::new();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let mut terminal = host.top(&[]);
        terminal.wait_for_text("vethweb");
        assert!(terminal.is_taken());
        terminal.signal(signal);
        assert_eq!(terminal.ended_and_restored().code(), Some(0), "{signal}");
    }
}

#[test]
fn it_is_suspended_with_a_restored_terminal_and_goes_on() {
    let host = Host::new();
    let mut terminal = host.top(&[]);
    terminal.wait_for_text("vethweb");
    let suspended = |terminal: &Terminal| {
        wait_for(PATIENCE, "it is stopped, and the terminal is restored", || match terminal.is_stopped() {
            true => terminal.is_restored(),
            false => Err("it runs".to_owned()),
        });
        terminal.signal(Signal::SIGCONT);
        wait_for(PATIENCE, "it has the terminal again", || {
            if terminal.is_taken() { Ok(()) } else { Err(terminal.text()) }
        });
        terminal.wait_for_text("vethweb");
    };
    terminal.signal(Signal::SIGTSTP);
    suspended(&terminal);
    terminal.press("\x1a");
    suspended(&terminal);
    terminal.press("q");
    assert_eq!(terminal.ended_and_restored().code(), Some(0));
}

#[test]
fn it_ends_when_its_window_is_closed() {
    let host = Host::new();
    let terminal = host.top(&[]);
    terminal.wait_for_text("vethweb");
    assert_eq!(terminal.close().code(), Some(0));
}

/// Says to the test below that it is the program that panics, and not a test.
const PANICS: &str = "VETH_LAB_PANICS";

/// The program of [`a_panic_restores_the_terminal_and_its_message_can_be_read`]: it has the terminal as `top` has it, and then a
/// thread of it panics.
#[test]
fn program_that_panics() {
    if std::env::var_os(PANICS).is_none() {
        return;
    }
    let mut screen = Screen::open(Theme { colors: true }).unwrap();
    let mut state = ViewState::new("about to panic".into(), Duration::from_secs(1));
    screen.paint(&mut state, Duration::ZERO).unwrap();
    // Until the test has seen that.
    std::io::stdin().read_line(&mut String::new()).unwrap();
    let thread = std::thread::spawn(|| panic!("this is why"));
    thread.join().unwrap_err();
    // Not by the screen's own end.
    std::process::exit(7);
}

#[test]
fn a_panic_restores_the_terminal_and_its_message_can_be_read() {
    let netns = Netns::new("host");
    let program = std::env::current_exe().unwrap().display().to_string();
    let words = ["--exact", "top::ending::program_that_panics", "--nocapture"];
    let mut terminal = Terminal::start(&netns, &program, &words, &[(PANICS, "1")], (30, 120));
    terminal.wait_for_text("about to panic");
    assert!(terminal.is_taken());
    // Raw: Enter is no end of a line.
    terminal.press("\n");
    assert_eq!(terminal.ended_and_restored().code(), Some(7));
    terminal.wait_for_text("this is why");
}

#[test]
fn without_a_terminal_it_says_so_and_names_what_prints() {
    let host = Host::new();
    let [flag, path] = host.names.arguments();
    let output = Exporter::command(&host.netns, &["top", flag, path]).output().unwrap();
    let said = describe(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("top needs a terminal") && said.contains("veth-exporter list"), "{said}");
    assert!(output.stdout.is_empty(), "{said}");
}
