//! What does not fit the screen goes through a pager.

use std::{
    io::{self, IsTerminal, Write},
    process::{Command, Stdio},
};

use flowlake_data_action::{Environment, ProcessEnvironment};

use crate::{grid::terminal_width, output};

/// The pager where $PAGER does not say one.
const PAGER: &str = "less";
/// How it pages where $LESS does not say: colours as they are, long lines cut, nothing cleared, and no page for what fits one.
const LESS: &str = "FRSX";
/// Lines that the prompt takes.
const PROMPT_LINES: usize = 1;

/// The terminal that answers are shown on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Screen {
    /// Its lines; none where standard output is no terminal.
    pub(super) lines: Option<usize>,
}

impl Screen {
    /// Columns that an answer may take.
    pub(super) fn width(self) -> Option<usize> {
        terminal_width().filter(|_| io::stdout().is_terminal())
    }

    /// Shows a text, through a pager where it has more lines than the screen.
    pub(super) fn show(self, text: &str) -> io::Result<()> {
        let needed = text.lines().count() + PROMPT_LINES;
        let fits = self.lines.is_none_or(|lines| needed <= lines);
        let named = ProcessEnvironment.get("PAGER");
        let pager = named.unwrap_or_else(|| PAGER.to_owned());
        if fits || pager.trim().is_empty() || !io::stdout().is_terminal() {
            return output::print(text);
        }
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(&pager).stdin(Stdio::piped());
        if ProcessEnvironment.get("LESS").is_none() {
            command.env("LESS", LESS);
        }
        let mut paging = command.spawn()?;
        let mut page = paging.stdin.take();
        // Left before its end, it closes the pipe.
        let written = page
            .as_mut()
            .map_or(Ok(()), |page| page.write_all(text.as_bytes()));
        drop(page);
        let ended = paging.wait()?;
        match written {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            // The shell did not find it.
            _ if ended.code() == Some(127) => output::print(text),
            _ => Ok(()),
        }
    }
}
