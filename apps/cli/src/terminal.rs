//! How the command speaks to the person: how much, and in which colours.

use std::{
    io::{self, IsTerminal},
    sync::OnceLock,
};

use flowlake_data_action::Environment;

use crate::{arguments::Voice, colour::Colour};

static TERMINAL: OnceLock<Terminal> = OnceLock::new();

/// What is said on standard error. Standard output is for rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Terminal {
    /// Whether remarks are printed.
    pub(crate) has_remarks: bool,
    /// Whether there is somebody who can be asked.
    pub(crate) can_ask: bool,
    /// Whether a line shows how far a question has come.
    pub(crate) has_progress: bool,
    pub(crate) stderr: Colour,
    pub(crate) stdout: Colour,
}

impl Terminal {
    /// Decides once, from what was typed and the environment, and gives the decision.
    pub(crate) fn set(voice: &Voice, environment: &dyn Environment) {
        let (stderr, stdout) = (io::stderr().is_terminal(), io::stdout().is_terminal());
        let decided = Self {
            can_ask: stderr && io::stdin().is_terminal(),
            stdout: Self::of(voice, environment, stdout).stderr,
            ..Self::of(voice, environment, stderr)
        };
        TERMINAL.get_or_init(|| decided);
    }

    /// What was decided; nothing is said before that.
    pub(crate) fn get() -> Self {
        TERMINAL.get().copied().unwrap_or_default()
    }

    /// `NO_COLOR` (no-color.org) and `CLICOLOR_FORCE` (bixense.com/clicolors) count when they are set and not empty, or not `0`.
    fn of(voice: &Voice, environment: &dyn Environment, is_terminal: bool) -> Self {
        let is_set = |name: &str, unset: &str| {
            let value = environment.get(name);
            value.is_some_and(|value| !value.is_empty() && value != unset)
        };
        let is_dumb = environment.get("TERM").is_some_and(|term| term == "dumb");
        let has_colour = match (
            voice.no_color || is_set("NO_COLOR", ""),
            is_set("CLICOLOR_FORCE", "0"),
        ) {
            (true, _) => false,
            (false, true) => true,
            (false, false) => is_terminal && !is_dumb,
        };
        Self {
            can_ask: false,
            has_remarks: !voice.quiet,
            has_progress: !voice.quiet && is_terminal && !is_dumb,
            stderr: Colour::of(has_colour),
            stdout: Colour::of(has_colour),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use flowlake_data_action::Environment;

    use super::{Colour, Terminal, Voice};

    #[derive(Debug)]
    struct Variables(HashMap<&'static str, &'static str>);

    impl Environment for Variables {
        fn get(&self, name: &str) -> Option<String> {
            self.0.get(name).map(|&value| value.to_owned())
        }
    }

    #[test]
    fn colours_are_for_terminals_unless_something_else_is_said() {
        let has_colour = |variables: &[(&'static str, &'static str)], no_color, is_terminal| {
            let voice = Voice {
                no_color,
                ..Voice::default()
            };
            let variables = Variables(variables.iter().copied().collect());
            Terminal::of(&voice, &variables, is_terminal).stderr == Colour::of(true)
        };
        assert!(has_colour(&[], false, true));
        assert!(!has_colour(&[], false, false));
        assert!(!has_colour(&[], true, true));
        assert!(!has_colour(&[("NO_COLOR", "1")], false, true));
        assert!(has_colour(&[("NO_COLOR", "")], false, true));
        assert!(has_colour(&[("CLICOLOR_FORCE", "1")], false, false));
        assert!(!has_colour(&[("CLICOLOR_FORCE", "0")], false, false));
        let both = [("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")];
        assert!(!has_colour(&both, false, true));
        assert!(!has_colour(&[("TERM", "dumb")], false, true));
    }

    #[test]
    fn progress_is_for_terminals_and_remarks_are_not_for_the_quiet() {
        let decided = |quiet, is_terminal| {
            let voice = Voice {
                quiet,
                ..Voice::default()
            };
            let decided = Terminal::of(&voice, &Variables(HashMap::new()), is_terminal);
            (decided.has_remarks, decided.has_progress)
        };
        assert_eq!(decided(false, true), (true, true));
        assert_eq!(decided(false, false), (true, false));
        assert_eq!(decided(true, true), (false, false));
    }
}
