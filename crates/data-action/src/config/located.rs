//! Where in its TOML file a setting is that cannot be meant, although the file could be parsed.

use std::{
    collections::HashSet,
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use super::toml_error::may_be_shown;
use crate::{
    ActionError, ErrorCode,
    error::{Excerpt, place_of},
};

/// A TOML file as it is written.
#[derive(Clone)]
pub(crate) struct TomlSource {
    path: PathBuf,
    text: String,
}

impl TomlSource {
    pub(crate) fn new(path: &Path, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The error with the file, the line and the column of the key that it is about, and with the line itself where that may be
    /// shown. An error that names no key, or that has its place already, is left as it is.
    pub(crate) fn locate(&self, error: ActionError) -> ActionError {
        let Some(key) = error.key().filter(|_| error.excerpt().is_none()) else {
            return error;
        };
        let path = self.path.display();
        let Some((keys, part)) = find(&self.text, key, error.message()) else {
            let message = format!("{path}: {}", error.message());
            return error.with_message(message).placed();
        };
        let place = place_of(&self.text, part);
        let message = format!(
            "{path}:{}:{}: {}",
            place.line,
            place.column,
            error.message()
        );
        let excerpt = Excerpt::of(Some(&self.path), &self.text, place);
        let excerpt = excerpt.filter(|excerpt| may_be_shown(&keys, excerpt.line()));
        error.with_message(message).with_excerpt(excerpt).placed()
    }
}

impl fmt::Debug for TomlSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TomlSource")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl ActionError {
    /// The same error in its place of the file, if it is about a setting of it.
    pub(crate) fn in_file(self, file: Option<&TomlSource>) -> Self {
        match file {
            Some(file) if self.code() == ErrorCode::ConfigInvalid => file.locate(self),
            _ => self,
        }
    }
}

/// The keys down to a setting, and its value in the text; of a table, its name. `path` leads to it as far as it is known: names of
/// keys, and of a table in an array the `name` in it or its number. From there on, the message names it.
fn find(text: &str, path: &[String], message: &str) -> Option<(Vec<String>, Range<usize>)> {
    let document = DeTable::parse(text).ok()?;
    let mut keys = Vec::new();
    let named = Named::of(text, message);
    let part = in_table(document.get_ref(), path, &named, &mut keys)?;
    Some((keys, part))
}

fn in_table(
    table: &DeTable<'_>,
    path: &[String],
    named: &Named<'_>,
    keys: &mut Vec<String>,
) -> Option<Range<usize>> {
    let (wanted, path) = match path.split_first() {
        Some((first, rest)) => (Some(first), rest),
        None => (None, path),
    };
    let find = |is_it: &dyn Fn(&str) -> bool| table.iter().find(|(key, _)| is_it(key.get_ref()));
    let (key, value) = match wanted {
        Some(wanted) => find(&|name| name == wanted),
        None => find(&|name| named.quoted.contains(name))
            .or_else(|| find(&|name| named.words.contains(name))),
    }?;
    keys.push(key.get_ref().to_string());
    // A table behind `=` is a value; any other is named in a header.
    let is_inline = named.text.as_bytes().get(value.span().start) == Some(&b'{');
    let whole = match value.get_ref() {
        DeValue::Table(_) if !is_inline => key.span(),
        _ => value.span(),
    };
    Some(in_value(value.get_ref(), path, named, keys).unwrap_or(whole))
}

fn in_value(
    value: &DeValue<'_>,
    path: &[String],
    named: &Named<'_>,
    keys: &mut Vec<String>,
) -> Option<Range<usize>> {
    match value {
        DeValue::Table(table) => in_table(table, path, named, keys),
        DeValue::Array(items) => {
            let (item, path) = match path.split_first() {
                Some((wanted, rest)) => {
                    let number = wanted.parse().ok();
                    let mut numbered = items.iter().enumerate();
                    let item = numbered.find(|(index, item)| {
                        number == Some(*index) || name_of(item.get_ref()) == Some(wanted)
                    });
                    (item?.1, rest)
                }
                None => {
                    let mut items = items.iter();
                    (items.find(|item| named.is_item(item.get_ref()))?, path)
                }
            };
            Some(in_value(item.get_ref(), path, named, keys).unwrap_or_else(|| item.span()))
        }
        _ => None,
    }
}

/// What a table in an array is called.
fn name_of<'a>(value: &'a DeValue<'_>) -> Option<&'a str> {
    match value {
        DeValue::Table(table) => table.get("name")?.get_ref().as_str(),
        _ => None,
    }
}

/// The file, and what a message names of it: its words, and the texts that it quotes.
struct Named<'a> {
    text: &'a str,
    words: HashSet<&'a str>,
    quoted: HashSet<&'a str>,
}

impl<'a> Named<'a> {
    fn of(text: &'a str, message: &'a str) -> Self {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
        Self {
            text,
            words: message.split(|c: char| !is_part(c)).collect(),
            quoted: message.split('`').skip(1).step_by(2).collect(),
        }
    }

    fn is_item(&self, value: &DeValue<'_>) -> bool {
        let text = value.as_str().or_else(|| name_of(value));
        text.is_some_and(|text| self.quoted.contains(text))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::TomlSource;
    use crate::{ActionError, ErrorCode};

    const TEXT: &str = "[policy]\nallow = [\"s3://a/*\", \"b\"]\n\n[server]\nlisten = \"nope\"\n\n[[server.clients]]\nname = \"a\"\nactions = [\"x\"]\n\n[[server.clients]]\nname = \"b\"\nparams = { ani = \"+491234\" }\nactions = [\n  \"*\",\n  \"y\",\n]\n";

    fn located(key: &[&str], message: &str) -> (String, Option<String>) {
        let error = ActionError::new(ErrorCode::ConfigInvalid, message, "Correct it.");
        let error = error.at_key(key.iter().copied());
        let error = error.in_file(Some(&TomlSource::new(Path::new("f.toml"), TEXT)));
        let marked = error.excerpt().map(crate::Excerpt::marked);
        (error.message().to_owned(), marked)
    }

    #[test]
    fn settings_are_found_by_their_keys_and_by_what_the_message_names() {
        let at = |place: &str, message: &str, marked: &str| {
            (
                format!("f.toml:{place}: {message}"),
                Some(marked.to_owned()),
            )
        };
        let told = "it is no address";
        assert_eq!(
            located(&["server", "listen"], told),
            at("5:10", told, "\"nope\"")
        );
        let told = "`listen` is no address";
        assert_eq!(located(&["server"], told), at("5:10", told, "\"nope\""));
        let told = "`b` is no pattern";
        assert_eq!(
            located(&["policy", "allow"], told),
            at("2:22", told, "\"b\"")
        );
        let told = "the client `b` lists `y`, which is no action";
        assert_eq!(
            located(&["server", "clients", "b", "actions"], told),
            at("16:3", told, "\"y\"")
        );
        // Of what is not there, the table where it would be.
        let told = "there is no address";
        assert_eq!(
            located(&["server", "admin"], told),
            at("4:2", told, "server")
        );
        assert_eq!(
            located(&["budget"], told),
            (format!("f.toml: {told}"), None)
        );
    }

    #[test]
    fn a_line_with_what_may_be_personal_is_not_shown() {
        let (message, marked) = located(&["server", "clients", "b", "params"], "does not fit");
        assert_eq!(
            (message.as_str(), marked),
            ("f.toml:13:10: does not fit", None)
        );
    }

    #[test]
    fn an_error_without_a_key_and_one_that_has_its_place_stay_as_they_are() {
        let file = TomlSource::new(Path::new("f.toml"), TEXT);
        let error = ActionError::new(ErrorCode::ConfigInvalid, "listen", "Correct it.");
        assert_eq!(error.in_file(Some(&file)).message(), "listen");
        let error = ActionError::new(ErrorCode::ConfigInvalid, "x", "Correct it.");
        let error = error.at_key(["server", "listen"]).in_file(Some(&file));
        let twice = error.clone().in_file(Some(&file));
        assert_eq!(twice.message(), error.message());
    }
}
