//! What was typed, cut into statements and commands.

use super::{command::without_values, known::Known, scan};

/// A statement, or a command with the SQL before it.
pub(super) enum Input<'a> {
    Statement(&'a str),
    Command { before: &'a str, command: &'a str },
}

/// The first input of a text that is not blank, and what follows it. A command goes on to the end of its line.
pub(super) fn first_input(text: &str) -> (Input<'_>, &str) {
    let pieces = scan::pieces(text);
    let end = pieces.iter().find(|piece| piece.kind == scan::Kind::End);
    let end = end.map_or(text.len(), |piece| piece.begin);
    match scan::command_at(text).filter(|at| *at < end) {
        Some(at) => {
            let line = text[at..].find('\n');
            let line = line.map_or(text.len(), |length| at + length);
            let input = Input::Command {
                before: &text[..at],
                command: &text[at..line],
            };
            (input, &text[line..])
        }
        None => {
            let rest = text.get(end + 1..).unwrap_or_default();
            (Input::Statement(text[..end].trim()), rest)
        }
    }
}

/// A text as the history keeps it: without values of `\set`, and of parameters of actions that are sensitive or not known.
pub(super) fn without_secrets(known: &Known, typed: &str) -> String {
    let is_personal = |action: &str, parameter: &str| {
        let declared = known.with(|names| names.actions.get(action)?.get(parameter).copied());
        declared != Some(false)
    };
    let (mut kept, mut rest) = (String::new(), typed);
    while !scan::is_blank(rest) {
        let (input, after) = first_input(rest);
        match input {
            Input::Statement(_) => kept += &rest[..rest.len() - after.len()],
            Input::Command { before, command } => {
                kept += before;
                kept += &without_values(command, is_personal);
            }
        }
        rest = after;
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::without_secrets;
    use crate::shell::known::Known;

    #[test]
    fn each_command_of_a_line_loses_its_values() {
        let known = Known::default();
        known.with(|names| {
            let params = [("ani".to_owned(), true), ("day".to_owned(), false)];
            names.actions.insert("look-up".to_owned(), params.into());
        });
        for (typed, kept) in [
            (
                "\\run look-up ani=+12025550142 day=2026-01-31",
                "\\run look-up ani=… day=2026-01-31",
            ),
            ("SELECT 1; \\set x=secret", "SELECT 1; \\set x=…"),
            (
                "\\set x=secret\nSELECT $x\nFROM t;\n\\run other y=secret",
                "\\set x=…\nSELECT $x\nFROM t;\n\\run other y=…",
            ),
            ("SELECT 'a;b', '\\set x=1';", "SELECT 'a;b', '\\set x=1';"),
        ] {
            assert_eq!(without_secrets(&known, typed), kept);
        }
    }
}
