//! Edge: the terminal. It is put into another state for the view, and back however the view ends.

use super::draw::{Theme, draw};
use super::state::{Key, State};
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

/// Whether the terminal is in our hands: who gives it back does it once.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal in our hands: raw, with the alternate screen. It is given back when this goes, and on a
/// panic of any thread.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    theme: Theme,
}

/// What the user did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// Pressed a key that may mean something.
    Key(Key),
    /// Changed the size of the terminal, which is looked at when it is painted.
    Resized,
}

impl Screen {
    /// Whether there is a terminal at both ends; if not, which end has none.
    ///
    /// # Errors
    /// One line that names it.
    pub fn is_possible() -> Result<(), String> {
        let missing = |what| Err(format!("standard {what} is no terminal"));
        match (io::stdin().is_terminal(), io::stdout().is_terminal()) {
            (true, true) => Ok(()),
            (true, false) => missing("output"),
            (false, _) => missing("input"),
        }
    }

    /// Takes the terminal.
    ///
    /// # Errors
    /// What the system said; the terminal is then as before.
    pub fn take(theme: Theme) -> io::Result<Screen> {
        restore_on_panic();
        let terminal = blank()?;
        enter()?;
        Ok(Screen { terminal, theme })
    }

    /// Paints the state.
    ///
    /// # Errors
    /// What the system said: the terminal is gone, say.
    pub fn paint(&mut self, state: &mut State, now: Duration) -> io::Result<()> {
        if self.terminal.size()? != self.terminal.get_frame().area().as_size() {
            self.clear()?;
        }
        self.terminal.draw(|frame| draw(frame, state, now, self.theme)).map(|_| ())
    }

    /// Forgets what was painted, so that all is painted anew.
    ///
    /// # Errors
    /// What the system said.
    pub fn clear(&mut self) -> io::Result<()> {
        execute!(io::stdout(), Clear(ClearType::All))?;
        self.terminal = blank()?;
        Ok(())
    }

    /// Gives the terminal back, calls `meanwhile`, and takes it again.
    ///
    /// # Errors
    /// What the system said.
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

/// A screen that holds nothing, of the terminal's size at the moment. One that followed the size by itself
/// would ask the terminal where its cursor is: the answer comes with the keys, or never.
fn blank() -> io::Result<Terminal<CrosstermBackend<Stdout>>> {
    let backend = CrosstermBackend::new(io::stdout());
    let viewport = Viewport::Fixed(Rect::from((Position::ORIGIN, backend.size()?)));
    Terminal::with_options(backend, TerminalOptions { viewport })
}

fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    // The cursor is hidden by what is painted first.
    execute!(io::stdout(), EnterAlternateScreen).inspect_err(|_| restore())
}

/// Gives the terminal back if it is in our hands. Where that fails the terminal is gone, and there is
/// nobody to tell.
fn restore() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

/// A panic's message is for the screen that the user came from.
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

/// What the user does, until the terminal is gone. Must be called in a tokio runtime.
pub(crate) fn inputs() -> impl Stream<Item = io::Result<Input>> + Unpin {
    EventStream::new().filter_map(|event| std::future::ready(event.map(input).transpose()))
}

fn input(event: Event) -> Option<Input> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => key_of(key).map(Input::Key),
        Event::Resize(..) => Some(Input::Resized),
        _ => None,
    }
}

fn key_of(KeyEvent { code, modifiers, .. }: KeyEvent) -> Option<Key> {
    Some(match code {
        KeyCode::Char(c) if modifiers.contains(KeyModifiers::CONTROL) => Key::Ctrl(c.to_ascii_lowercase()),
        KeyCode::Char(_) if modifiers.contains(KeyModifiers::ALT) => return None,
        KeyCode::Char(c) => Key::Char(c),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        _ => return None,
    })
}
