//! A program in a pseudo-terminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};

use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};

use super::PATIENCE;
use lab::{Netns, wait_for};

/// A terminal with a program in it, which is killed and waited for when this goes.
pub(super) struct Terminal {
    /// `None` when somebody has closed the window.
    master: Option<File>,
    slave: OwnedFd,
    child: Child,
    seen: Arc<Mutex<Seen>>,
    before: String,
}

struct Seen {
    parser: vt100::Parser,
    raw: Vec<u8>,
}

impl Terminal {
    /// Starts a program in a network namespace, as the leader of a session that has the terminal of so many rows and columns.
    pub(super) fn start(
        netns: &Netns,
        program: &str,
        words: &[&str],
        environment: &[(&str, &str)],
        (rows, columns): (u16, u16),
    ) -> Terminal {
        let mut command = netns.command("setsid");
        command.args(["--ctty", program]).args(words).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("TERM", "xterm-256color");
        command.envs(environment.iter().copied());
        Terminal::run(command, (rows, columns))
    }

    fn run(mut command: Command, (rows, columns): (u16, u16)) -> Terminal {
        let ends = openpty(None, None).expect("a pseudo-terminal");
        tcsetwinsize(&ends.slave, size(rows, columns)).unwrap();
        let before = settings(&ends.slave);
        let stream = || ends.slave.try_clone().unwrap();
        let child = command.stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap();
        // It holds what the program is to have alone.
        drop(command);
        let master = File::from(ends.master);
        let mut reader = master.try_clone().unwrap();
        let parser = vt100::Parser::new(cells(rows), cells(columns), 1_000);
        let seen = Arc::new(Mutex::new(Seen { parser, raw: Vec::new() }));
        let into = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // It fails when nobody has the other end any more.
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                let mut seen = into.lock().unwrap();
                seen.parser.process(&buffer[..length]);
                seen.raw.extend_from_slice(&buffer[..length]);
            }
        });
        Terminal { master: Some(master), slave: ends.slave, child, seen, before }
    }

    /// Types.
    pub(super) fn press(&mut self, keys: &str) {
        self.master.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// All that is on the screen.
    pub(super) fn text(&self) -> String {
        self.seen.lock().unwrap().parser.screen().contents()
    }

    /// Every byte that the program has written.
    pub(super) fn raw(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap().raw).into_owned()
    }

    /// Waits for what `find` finds on the screen.
    pub(super) fn wait_for<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        wait_for(PATIENCE, what, || {
            let text = self.text();
            find(&text).ok_or(text)
        })
    }

    /// Waits until the screen holds these words.
    pub(super) fn wait_for_text(&self, words: &str) {
        self.wait_for(words, |text| text.contains(words).then_some(()));
    }

    /// Waits until the screen does not hold them.
    pub(super) fn wait_until_gone(&self, words: &str) {
        self.wait_for(&format!("{words} is gone"), |text| (!text.contains(words)).then_some(()));
    }

    /// The first words of the rows below the heading, up to the first empty line.
    pub(super) fn rows(&self) -> Vec<String> {
        let text = self.text();
        let below = text.lines().skip_while(|line| !line.trim_start().starts_with("WORKLOAD")).skip(1);
        let first = |line: &str| line.split_whitespace().next().map(str::to_owned);
        below.map_while(first).filter(|word| word != "q").collect()
    }

    /// Waits until the rows are these.
    pub(super) fn wait_for_rows(&self, wanted: &[&str]) {
        wait_for(PATIENCE, &format!("rows {wanted:?}"), || {
            if self.rows() == wanted { Ok(()) } else { Err(self.text()) }
        });
    }

    /// Gives the window another size.
    pub(super) fn resize(&self, rows: u16, columns: u16) {
        self.seen.lock().unwrap().parser.screen_mut().set_size(cells(rows), cells(columns));
        tcsetwinsize(self.master.as_ref().unwrap(), size(rows, columns)).unwrap();
    }

    /// Closes the window: the program is told by SIGHUP.
    pub(super) fn close(mut self) -> ExitStatus {
        let devnull = File::open("/dev/null").unwrap();
        // The reader has a copy, which goes with what it reads.
        drop(self.master.replace(devnull));
        self.signal(Signal::SIGHUP);
        self.ended()
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// Whether the kernel says that it is stopped (proc(5), the third field of stat).
    pub(super) fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        stat.rsplit_once(") ").unwrap().1.starts_with('T')
    }

    /// Whether the program has the terminal in its hands.
    pub(super) fn is_taken(&self) -> bool {
        let seen = self.seen.lock().unwrap();
        let screen = seen.parser.screen();
        screen.alternate_screen() && screen.hide_cursor() && settings(&self.slave) != self.before
    }

    /// What of the terminal is not as it was before the program; `Ok` if all is.
    pub(super) fn is_restored(&self) -> Result<(), String> {
        let seen = self.seen.lock().unwrap();
        let screen = seen.parser.screen();
        match (screen.alternate_screen(), screen.hide_cursor(), settings(&self.slave) == self.before) {
            (false, false, true) => Ok(()),
            (alternate, hidden, same) => Err(format!(
                "alternate screen: {alternate}, cursor hidden: {hidden}, settings as before: {same}\n{}",
                screen.contents()
            )),
        }
    }

    /// Waits until it has ended.
    pub(super) fn ended(&mut self) -> ExitStatus {
        wait_for(PATIENCE, "the program ends", || match self.child.try_wait().unwrap() {
            Some(status) => Ok(status),
            None => Err(self.seen.lock().unwrap().parser.screen().contents()),
        })
    }

    /// Waits until it has ended, and the terminal is as it was before.
    pub(super) fn ended_and_restored(&mut self) -> ExitStatus {
        let status = self.ended();
        // The last bytes are still on their way.
        wait_for(PATIENCE, "the terminal is restored", || self.is_restored());
        status
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

fn cells(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

fn settings(slave: &OwnedFd) -> String {
    format!("{:?}", tcgetattr(slave).unwrap())
}
