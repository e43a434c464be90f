//! The terminal that `top` draws on: its other screen, without a cursor and without line breaks of its own, as long as
//! [`Screen`] lives. Whatever ends it, the terminal is as it was.

use std::io::{IsTerminal as _, Read as _, Write as _, stdin, stdout};
use std::{io, thread};

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::style::Print;
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, DisableLineWrap, EnableLineWrap, EndSynchronizedUpdate,
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};
use crossterm::{execute, queue};
use tokio::sync::mpsc;

use crate::exit::{Failure, Outcome};

/// Ctrl-C and Ctrl-D, as a terminal in raw mode gives them, Escape and q.
const QUIT: [u8; 5] = [3, 4, 27, b'q', b'Q'];

/// A terminal that is drawn on.
pub(super) struct Screen {
    keys: mpsc::UnboundedReceiver<()>,
}

impl Screen {
    /// Takes the terminal; `None` where standard input or output is none.
    ///
    /// # Errors
    /// It does not let itself be taken.
    pub(super) fn open() -> Outcome<Option<Self>> {
        if !(stdin().is_terminal() && stdout().is_terminal()) {
            return Ok(None);
        }
        let (tell, keys) = mpsc::unbounded_channel();
        let screen = Self { keys };
        enable_raw_mode().map_err(Failure::output)?;
        // From here on it is given back, also when the rest fails.
        execute!(stdout(), EnterAlternateScreen, DisableLineWrap, Hide).map_err(Failure::output)?;
        thread::Builder::new()
            .name("keys".to_owned())
            .spawn(move || read_keys(&tell))
            .map_err(|error| Failure::io("there is no thread for the keyboard", error))?;
        Ok(Some(screen))
    }

    /// Ready when somebody wants to quit.
    pub(super) async fn quit(&mut self) {
        if self.keys.recv().await.is_none() {
            // Nobody reads the keyboard any more: a signal still ends this.
            std::future::pending().await
        }
    }

    /// Puts `text` where the last one was; what does not fit is left out.
    ///
    /// # Errors
    /// The terminal can't be written to.
    pub(super) fn draw(&mut self, text: &str) -> Outcome {
        let rows = size().map_or(24, |(_, rows)| rows);
        let mut out = anstream::AutoStream::auto(stdout());
        let draw = |out: &mut anstream::AutoStream<io::Stdout>| -> io::Result<()> {
            queue!(out, BeginSynchronizedUpdate)?;
            for (row, line) in (0..rows).zip(text.lines()) {
                queue!(out, MoveTo(0, row), Print(line), Clear(ClearType::UntilNewLine))?;
            }
            queue!(out, Clear(ClearType::FromCursorDown), EndSynchronizedUpdate)?;
            out.flush()
        };
        draw(&mut out).map_err(Failure::output)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // There is nobody left to tell if the terminal is gone.
        let _ = execute!(stdout(), Show, EnableLineWrap, LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
}

/// Reads until somebody wants to quit. It is never waited for: a program that ends ends its threads.
fn read_keys(tell: &mpsc::UnboundedSender<()>) {
    let mut key = [0];
    while matches!(stdin().lock().read(&mut key), Ok(1)) {
        if QUIT.contains(&key[0]) && tell.send(()).is_err() {
            return;
        }
    }
}
