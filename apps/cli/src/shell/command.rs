//! What begins with a backslash.

use std::{path::PathBuf, time::Duration};

use flowlake_data_action::{ActionError, ErrorCode, nearest};
use flowlake_transform::TableSpec;

use crate::{
    failure::Failure,
    parameter::parameter,
    sql::{TypedParameter, pause, table, typed_parameter},
};

/// What stands in the history for a value.
const HIDDEN: &str = "…";

/// Each command with its arguments, and what it does.
pub(super) const COMMANDS: [(&str, &str, &str); 17] = [
    ("\\?", "", "list the commands"),
    (
        "\\d",
        "[TABLE]",
        "the columns of a table or a file; all tables when none is named",
    ),
    ("\\dt", "", "the tables of this session"),
    (
        "\\table",
        "NAME=FILE[,KEY=VALUE]...",
        "name a table, with the keys of docs/tables.md",
    ),
    ("\\set", "NAME[:TYPE]=VALUE", "a value for $NAME in the SQL"),
    ("\\unset", "NAME", "forget that value"),
    (
        "\\run",
        "ACTION [NAME=VALUE]...",
        "run an action of the project",
    ),
    (
        "\\g",
        "[FILE]",
        "run what was typed, or the last statement again; into a file",
    ),
    (
        "\\watch",
        "[SECONDS]",
        "run the last statement again whenever its files have changed, looking every 2 seconds",
    ),
    ("\\e", "", "edit the last statement with $EDITOR"),
    ("\\i", "FILE", "run the statements of a file"),
    (
        "\\o",
        "[FILE]",
        "write answers to a file; back to the terminal when none is named",
    ),
    (
        "\\x",
        "[on|off]",
        "a line for each value in place of a line for each row",
    ),
    ("\\timing", "[on|off]", "show how long answers take"),
    (
        "\\trace",
        "[on|off]",
        "show the requests to S3 and their price",
    ),
    ("\\r", "", "forget the last statement"),
    ("\\q", "", "leave"),
];

/// A command that was understood.
#[derive(Debug)]
pub(super) enum Command {
    Help,
    Describe(Option<String>),
    Tables,
    Table(Box<(String, TableSpec)>),
    Set(TypedParameter),
    Unset(String),
    Run {
        action: String,
        params: Vec<(String, String)>,
    },
    Go(Option<PathBuf>),
    Watch(Duration),
    Edit,
    Include(PathBuf),
    Output(Option<PathBuf>),
    Expanded(Option<bool>),
    Timing(Option<bool>),
    Trace(Option<bool>),
    Reset,
    Quit,
}

impl Command {
    /// Reads a command; an error says how it is written.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (name, rest) = match text.find(char::is_whitespace) {
            Some(at) => (&text[..at], text[at..].trim()),
            None => (text.trim_end_matches(';'), ""),
        };
        let file = || (!rest.is_empty()).then(|| PathBuf::from(unquoted(rest)));
        let needed = |what: &str| match rest.is_empty() {
            true => Err(format!("write {name} {what}")),
            false => Ok(rest),
        };
        Ok(match name {
            "\\?" | "\\h" | "\\help" => Self::Help,
            "\\d" => Self::Describe((!rest.is_empty()).then(|| rest.to_owned())),
            "\\dt" => Self::Tables,
            "\\table" => Self::Table(Box::new(table(needed("NAME=FILE[,KEY=VALUE]...")?)?)),
            "\\set" => Self::Set(typed_parameter(needed("NAME[:TYPE]=VALUE")?)?),
            "\\unset" => Self::Unset(needed("NAME")?.to_owned()),
            "\\run" => {
                let mut words = words(needed("ACTION [NAME=VALUE]...")?).into_iter();
                let action = words.next().unwrap_or_default();
                let params = words.map(|word| parameter(&word));
                Self::Run {
                    action,
                    params: params.collect::<Result<_, _>>()?,
                }
            }
            "\\g" => Self::Go(file()),
            "\\watch" => Self::Watch(seconds(rest)?),
            "\\e" => Self::Edit,
            "\\i" => Self::Include(PathBuf::from(unquoted(needed("FILE")?))),
            "\\o" => Self::Output(file()),
            "\\x" => Self::Expanded(switch(rest)?),
            "\\timing" => Self::Timing(switch(rest)?),
            "\\trace" => Self::Trace(switch(rest)?),
            "\\r" => Self::Reset,
            "\\q" => Self::Quit,
            _ => {
                let known = COMMANDS.iter().map(|(known, _, _)| *known);
                let meant = nearest(name, known);
                let meant =
                    meant.map_or_else(String::new, |known| format!("; did you mean {known}?"));
                return Err(format!("there is no command {name}{meant} \\? lists them"));
            }
        })
    }
}

/// A command that cannot be followed.
pub(super) fn wrong(what: String) -> Failure {
    ActionError::new(
        ErrorCode::ConfigInvalid,
        what,
        "\\? lists the commands and how they are written.",
    )
    .into()
}

fn unquoted(text: &str) -> &str {
    let inner = text.strip_prefix('\'');
    inner
        .and_then(|text| text.strip_suffix('\''))
        .unwrap_or(text)
}

fn switch(text: &str) -> Result<Option<bool>, String> {
    match text {
        "" => Ok(None),
        "on" => Ok(Some(true)),
        "off" => Ok(Some(false)),
        other => Err(format!("`{other}` is neither on nor off")),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text {
        "" => Ok(Duration::from_secs(2)),
        text => pause(text),
    }
}

/// The words of a line: a blank in single quotes divides nothing, and `''` there is a quote.
pub(super) fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut is_quoted) = (Vec::new(), None::<String>, false);
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\'' if is_quoted && characters.next_if_eq(&'\'').is_some() => {
                word.get_or_insert_default().push(c);
            }
            '\'' => {
                is_quoted = !is_quoted;
                word.get_or_insert_default();
            }
            c if c.is_whitespace() && !is_quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// A command as the history keeps it: without values that may be personal data. `is_personal` says whether a parameter of an action is.
///
/// Of a command that is not understood, no value is kept either.
pub(super) fn without_values(command: &str, is_personal: impl Fn(&str, &str) -> bool) -> String {
    let words = words(command);
    let Some((name, rest)) = words.split_first() else {
        return String::new();
    };
    let hidden = |word: &String| match word.split_once('=') {
        Some((parameter, _)) => format!("{parameter}={HIDDEN}"),
        None => HIDDEN.to_owned(),
    };
    let kept: Vec<String> = match (name.as_str(), rest.split_first()) {
        ("\\set", Some(_)) => {
            let (parameter, _) = command.split_once('=').unwrap_or((command, ""));
            return format!("{}={HIDDEN}", parameter.trim());
        }
        ("\\run", Some((action, params))) => {
            let kept = params.iter().map(|word| match word.split_once('=') {
                Some((parameter, value)) if !is_personal(action, parameter) => {
                    format!("{parameter}={}", quoted(value))
                }
                _ => hidden(word),
            });
            [action.clone()].into_iter().chain(kept).collect()
        }
        (name, _) if COMMANDS.iter().any(|(known, _, _)| *known == name) => {
            return command.trim().to_owned();
        }
        _ => rest.iter().map(hidden).collect(),
    };
    let kept = [name.clone()].into_iter().chain(kept);
    kept.collect::<Vec<_>>().join(" ")
}

/// A value as [`words`] reads it.
fn quoted(value: &str) -> String {
    match value.contains(|c: char| c.is_whitespace() || c == '\'') {
        true => format!("'{}'", value.replace('\'', "''")),
        false => value.to_owned(),
    }
}

/// The list of commands.
pub(super) fn help() -> String {
    let mut lines = String::from(
        "End a statement with `;`. FROM 's3://bucket/key' and FROM 'data/*.csv' name files.\n",
    );
    for (name, arguments, what) in COMMANDS {
        let typed = format!("{name} {arguments}");
        lines += &format!("  {typed:<34} {what}\n");
    }
    lines + "Ctrl-C ends a running statement, Ctrl-D leaves.\n"
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{COMMANDS, Command, help, without_values};

    #[test]
    fn each_command_is_read_and_listed() {
        for (name, arguments, _) in COMMANDS {
            let sample = match arguments {
                "NAME=FILE[,KEY=VALUE]..." => "calls=data/calls.csv,delimiter=;",
                "NAME[:TYPE]=VALUE" => "n:string=5",
                "ACTION [NAME=VALUE]..." => "look-up ani=+1",
                "NAME" | "FILE" => "x",
                _ => "",
            };
            Command::parse(&format!("{name} {sample}")).unwrap();
            assert!(help().contains(&format!("  {name} ")), "{name}");
        }
        assert!(matches!(
            Command::parse("\\watch 0.5").unwrap(),
            Command::Watch(time) if time == Duration::from_millis(500)
        ));
        assert!(matches!(
            Command::parse("\\o 'out file.csv'").unwrap(),
            Command::Output(Some(path)) if path.as_os_str() == "out file.csv"
        ));
        for (wrong, told) in [
            ("\\timng", "did you mean \\timing?"),
            ("\\x maybe", "neither on nor off"),
            ("\\watch soon", "no number of seconds"),
            ("\\i", "write \\i FILE"),
        ] {
            assert!(Command::parse(wrong).unwrap_err().contains(told), "{wrong}");
        }
    }

    #[test]
    fn values_may_have_blanks() {
        let read = Command::parse("\\run look-up name='Ana O''Hara' day=2026-01-31").unwrap();
        let Command::Run { action, params } = read else {
            panic!("{read:?}");
        };
        assert_eq!(action, "look-up");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            params,
            [pair("name", "Ana O'Hara"), pair("day", "2026-01-31")]
        );
    }

    #[test]
    fn the_history_keeps_no_value_that_may_be_personal() {
        let is_personal = |action: &str, parameter: &str| action != "look-up" || parameter != "day";
        for (typed, kept) in [
            (
                "\\run look-up ani=+12025550142 day='31 January'",
                "\\run look-up ani=… day='31 January'",
            ),
            ("\\run look-up ani=+1 +12025550142", "\\run look-up ani=… …"),
            ("\\run look-up name='Ana O''Hara'", "\\run look-up name=…"),
            ("\\run other x=5", "\\run other x=…"),
            ("\\set ani:phone=+1 202 5550142", "\\set ani:phone=…"),
            ("\\set ani:phne=+12025550142", "\\set ani:phne=…"),
            ("\\sett ani=+12025550142", "\\sett ani=…"),
            ("\\rnu look-up ani=+12025550142", "\\rnu … ani=…"),
            ("\\timing on", "\\timing on"),
            ("\\table t=a.csv,delimiter=;", "\\table t=a.csv,delimiter=;"),
        ] {
            assert_eq!(without_values(typed, is_personal), kept);
        }
    }
}
