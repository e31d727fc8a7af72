//! Colours on standard output: on a terminal, unless `NO_COLOR` is set, and anywhere with `CLICOLOR_FORCE`.

use std::io::{self, IsTerminal};

use flowlake_data_action::{Environment, ProcessEnvironment};

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Colour(bool);

impl Colour {
    /// For files.
    pub(crate) const NONE: Self = Self(false);

    /// As the environment and standard output say (<https://no-color.org>, <https://bixense.com/clicolors>).
    pub(crate) fn of_stdout() -> Self {
        let is_set = |name: &str| {
            let value = ProcessEnvironment.get(name);
            value.is_some_and(|value| !value.is_empty() && value != "0")
        };
        let forced = is_set("CLICOLOR_FORCE");
        Self(!is_set("NO_COLOR") && (forced || io::stdout().is_terminal()))
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.painted("32", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.painted("31", text)
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.painted("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.painted("2", text)
    }

    fn painted(self, code: &str, text: &str) -> String {
        match self.0 && !text.is_empty() {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }
}
