//! Edge: the terminal. It is put into another state for the view, and back however the view ends.

use super::draw::{Theme, draw};
use super::state::{KeyPress, ViewState};
use crossterm::cursor::Show;
use crossterm::event::{Event, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::execute;
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use futures_util::{Stream, StreamExt};
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::layout::{Position, Rect};
use ratatui::{Terminal, TerminalOptions, Viewport};
use std::io::{self, IsTerminal, Stdout};
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// True while this process has the terminal in its own mode: the first to clear the flag restores the
/// terminal, once.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal in raw mode with the alternate screen. It is restored when the value is dropped, and on a
/// panic of any thread.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    theme: Theme,
}

/// An action of the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TerminalInput {
    /// A pressed key that may have a meaning.
    Key(KeyPress),
    /// A changed size of the terminal; the next painting reads the size.
    Resized,
}

impl Screen {
    /// Checks that standard input and output are both a terminal.
    ///
    /// # Errors
    /// Fails with one line that names the end without a terminal.
    pub fn is_possible() -> Result<(), String> {
        let missing = |what| Err(format!("standard {what} is no terminal"));
        match (io::stdin().is_terminal(), io::stdout().is_terminal()) {
            (true, true) => Ok(()),
            (true, false) => missing("output"),
            (false, _) => missing("input"),
        }
    }

    /// Puts the terminal into the view's mode.
    ///
    /// # Errors
    /// Returns the system's error; the terminal is then as before.
    pub fn open(theme: Theme) -> io::Result<Screen> {
        restore_on_panic();
        let terminal = blank()?;
        enter()?;
        Ok(Screen { terminal, theme })
    }

    /// Paints the state on the terminal.
    ///
    /// # Errors
    /// Returns the system's error: for example, the terminal is gone.
    pub fn paint(&mut self, state: &mut ViewState, now: Duration) -> io::Result<()> {
        if self.terminal.size()? != self.terminal.get_frame().area().as_size() {
            self.clear()?;
        }
        self.terminal.draw(|frame| draw(frame, state, now, self.theme)).map(|_| ())
    }

    /// Clears the screen, so that the next painting writes everything anew.
    ///
    /// # Errors
    /// Returns the system's error.
    pub fn clear(&mut self) -> io::Result<()> {
        execute!(io::stdout(), Clear(ClearType::All))?;
        self.terminal = blank()?;
        Ok(())
    }

    /// Restores the terminal, calls `meanwhile`, and puts the terminal into the view's mode again.
    ///
    /// # Errors
    /// Returns the system's error.
    pub fn without(&mut self, meanwhile: impl FnOnce()) -> io::Result<()> {
        restore();
        meanwhile();
        enter()?;
        self.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Returns an empty screen of the terminal's present size. A screen that follows the size by itself would
/// request the cursor's position from the terminal: the answer comes with the keys, or never.
fn blank() -> io::Result<Terminal<CrosstermBackend<Stdout>>> {
    let backend = CrosstermBackend::new(io::stdout());
    let viewport = Viewport::Fixed(Rect::from((Position::ORIGIN, backend.size()?)));
    Terminal::with_options(backend, TerminalOptions { viewport })
}

fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    // The first painting hides the cursor.
    execute!(io::stdout(), EnterAlternateScreen).inspect_err(|_| restore())
}

/// Restores the terminal if it is in the view's mode. An error here means that the terminal is gone, and no
/// reader of the error is left.
fn restore() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

/// Restores the terminal before a panic's message, which belongs on the screen that the user came from.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            restore();
            before(info);
        }));
    });
}

/// Returns the user's actions until the terminal is gone. Must be called in a tokio runtime.
pub(crate) fn inputs() -> impl Stream<Item = io::Result<TerminalInput>> + Unpin {
    EventStream::new().filter_map(|event| std::future::ready(event.map(input).transpose()))
}

fn input(event: Event) -> Option<TerminalInput> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => key_of(key).map(TerminalInput::Key),
        Event::Resize(..) => Some(TerminalInput::Resized),
        _ => None,
    }
}

fn key_of(KeyEvent { code, modifiers, .. }: KeyEvent) -> Option<KeyPress> {
    Some(match code {
        KeyCode::Char(c) if modifiers.contains(KeyModifiers::CONTROL) => {
            KeyPress::Ctrl(c.to_ascii_lowercase())
        }
        KeyCode::Char(_) if modifiers.contains(KeyModifiers::ALT) => return None,
        KeyCode::Char(c) => KeyPress::Char(c),
        KeyCode::Enter => KeyPress::Enter,
        KeyCode::Esc => KeyPress::Escape,
        KeyCode::Backspace => KeyPress::Backspace,
        KeyCode::Up => KeyPress::Up,
        KeyCode::Down => KeyPress::Down,
        KeyCode::Left => KeyPress::Left,
        KeyCode::Right => KeyPress::Right,
        KeyCode::PageUp => KeyPress::PageUp,
        KeyCode::PageDown => KeyPress::PageDown,
        KeyCode::Home => KeyPress::Home,
        KeyCode::End => KeyPress::End,
        _ => return None,
    })
}
