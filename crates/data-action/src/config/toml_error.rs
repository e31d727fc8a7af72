//! Errors in TOML files that say where they are and what was probably meant.

use std::{ops::Range, path::Path};

use serde::de::DeserializeOwned;
use toml::de::{DeArray, DeTable, DeValue, Error as TomlError};

use crate::{ActionError, ErrorCode, Excerpt, error::place_of};

/// Names further from each other than this share of letters are not offered as a correction.
const SIMILAR: f64 = 0.75;
/// Known names that are listed where none is like the unknown one.
const LISTED: usize = 30;
/// Parts of the names of keys whose values are not shown: somebody may have written a secret, or a caller's number, where its source
/// or its digest belongs.
const SECRETS: [&str; 7] = [
    "secret",
    "password",
    "token",
    "hash_key",
    "seal_key",
    "signing_key",
    "external_id",
];
/// Sections of which no line is shown: a key that is misspelt there may have a secret as its value.
const SECRET_SECTIONS: [&str; 3] = ["server", "genesys", "telemetry"];

/// Parses `text`; `path` names the file in errors.
///
/// # Errors
/// [`ErrorCode::ConfigInvalid`] with file, line and column, and for unknown keys the nearest known one.
pub fn read_toml<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, ActionError> {
    toml::from_str(text).map_err(|error| told(path, text, &error))
}

fn told(path: &Path, text: &str, error: &TomlError) -> ActionError {
    let mut message = in_words(&without_text(error.message().trim()));
    let is_missing = message.starts_with("missing field");
    let span = error.span();
    let keys = span
        .as_ref()
        .map_or_else(Vec::new, |span| keys_at(text, span, is_missing));
    let is_shown = match (keys.as_slice(), &span) {
        ([], Some(span)) => !may_hold_secret(text, span),
        (keys, _) => !is_secret(keys),
    };
    if !is_shown && message.starts_with("invalid") {
        message = without_values(&message);
    }
    // A missing key of the whole file has no place in it.
    let span = span.filter(|_| !is_missing || !keys.is_empty());
    let (said, advice) = match unknown_name(&message) {
        Some((kind, name, known)) => {
            let place = match keys.split_last() {
                Some((_, [])) | None => "the file".to_owned(),
                Some((_, table)) if kind == "field" => format!("[{}]", table.join(".")),
                Some(_) => format!("`{}`", keys.join(".")),
            };
            // The name of a key is no value; that of a variant is.
            let name_shown = match is_shown || kind == "field" {
                true => format!(" `{name}`"),
                false => String::new(),
            };
            (
                format!("unknown {kind}{name_shown} in {place}"),
                meant(name, &known, &place),
            )
        }
        None => {
            let said = match keys.as_slice() {
                [] => message,
                keys => format!("`{}`: {message}", keys.join(".")),
            };
            let advice = "Correct the file at that place; `flowlake check` reads it again.";
            (said, advice.to_owned())
        }
    };
    let place = span.map(|span| place_of(text, span));
    let at = place.map_or_else(String::new, |place| {
        format!(":{}:{}", place.line, place.column)
    });
    let excerpt = place.filter(|_| is_shown);
    let excerpt = excerpt.and_then(|place| Excerpt::of(Some(path), text, place));
    ActionError::new(
        ErrorCode::ConfigInvalid,
        format!("{}{at}: {said}", path.display()),
        advice,
    )
    .with_excerpt(excerpt)
}

/// Whether the value of a key may be a secret, by the names of the keys down to it.
fn is_secret(keys: &[String]) -> bool {
    let section = keys.first().map(String::as_str).unwrap_or_default();
    let is_named = |key: &String| SECRETS.iter().any(|secret| key.contains(secret));
    SECRET_SECTIONS.contains(&section) || keys.iter().any(is_named)
}

/// Whether the line of a setting may be shown once the file is parsed, so that what is a secret by its key is none in its value. What
/// stands in it may be personal data, or a secret's digest.
pub(super) fn may_be_shown(keys: &[String], line: &str) -> bool {
    const PERSONAL: [&str; 4] = ["claims", "params", "session_tags", "user"];
    let of_clients = keys.first().is_some_and(|section| section == "server");
    let is_hidden = |text: &str| {
        let is_in = |name: &&str| text.contains(*name);
        SECRETS.iter().any(is_in) || (of_clients && PERSONAL.iter().any(is_in))
    };
    !is_hidden(line) && !keys.iter().any(|key| is_hidden(key))
}

/// The same of a place in a text that is no TOML: by the header above it, and by what stands in its line.
fn may_hold_secret(text: &str, part: &Range<usize>) -> bool {
    let begin = text.get(..part.start).unwrap_or(text);
    let rest = text.get(begin.len()..).unwrap_or_default();
    let end = begin.len() + rest.find('\n').unwrap_or(rest.len());
    let lines = text[..end].lines();
    let Some(line) = lines.clone().next_back() else {
        return false;
    };
    let is_header = |line: &&str| line.starts_with('[') && !line.contains(['"', '\'', '=']);
    if is_header(&line) {
        return false;
    }
    let header = lines.rev().find(is_header).unwrap_or_default();
    let name = header.trim_matches(['[', ']', ' ']);
    let mut keys: Vec<String> = name.split('.').map(str::to_owned).collect();
    keys.push(line.to_owned());
    let is_table = |section: &&str| line.trim_start().starts_with(*section);
    is_secret(&keys) || SECRET_SECTIONS.iter().any(is_table)
}

/// A message without the values that it quotes from the file.
fn without_values(message: &str) -> String {
    let parts = message.split('`').enumerate();
    let parts = parts.map(|(place, part)| if place % 2 == 0 { part } else { "…" });
    parts.collect::<Vec<_>>().join("`").replace(" `…`", "")
}

/// A message in words that are not those of the program's own types.
fn in_words(message: &str) -> String {
    const WORDS: [(&str, &str); 9] = [
        ("parsable string", "a size such as `64MiB`"),
        (
            "a Decimal type representing a fixed-point number",
            "a number or a number in quotes",
        ),
        ("a duration", "a time such as `8s`"),
        ("usize", "a whole number from 0 on"),
        ("u64", "a whole number from 0 on"),
        ("u32", "a whole number from 0 on"),
        ("u16", "a whole number from 0 to 65535"),
        ("i64", "a whole number"),
        ("f64", "a number"),
    ];
    let Some((before, expected)) = message.rsplit_once("expected ") else {
        return message.to_owned();
    };
    let words = WORDS.iter().find(|(own, _)| expected == *own);
    match words {
        Some((_, words)) => format!("{before}expected {words}"),
        None => message.to_owned(),
    }
}

/// A message without the texts that it quotes from the file, which may be secrets.
fn without_text(message: &str) -> String {
    let Some((before, quoted)) = message.split_once("string \"") else {
        return message.to_owned();
    };
    match quoted.rsplit_once("\", expected") {
        Some((_, after)) => format!("{before}string, expected{after}"),
        None => message.to_owned(),
    }
}

/// The names of the keys down to the one whose name or value a part of the text is.
fn keys_at(text: &str, part: &Range<usize>, exactly: bool) -> Vec<String> {
    let mut keys = Vec::new();
    if let Ok(document) = DeTable::parse(text) {
        in_table(document.get_ref(), part, exactly, &mut keys);
    }
    keys
}

fn in_table(
    table: &DeTable<'_>,
    part: &Range<usize>,
    exactly: bool,
    keys: &mut Vec<String>,
) -> bool {
    table.iter().any(|(key, value)| {
        keys.push(key.get_ref().to_string());
        let found = in_value(value.get_ref(), part, exactly, keys)
            || holds(&value.span(), part, exactly)
            || (!exactly && holds(&key.span(), part, false));
        if !found {
            keys.pop();
        }
        found
    })
}

fn in_value(
    value: &DeValue<'_>,
    part: &Range<usize>,
    exactly: bool,
    keys: &mut Vec<String>,
) -> bool {
    let in_array = |array: &DeArray<'_>, keys: &mut Vec<String>| {
        array
            .iter()
            .any(|item| in_value(item.get_ref(), part, exactly, keys))
    };
    match value {
        DeValue::Table(table) => in_table(table, part, exactly, keys),
        DeValue::Array(array) => in_array(array, keys),
        _ => false,
    }
}

fn holds(whole: &Range<usize>, part: &Range<usize>, exactly: bool) -> bool {
    match exactly {
        true => whole == part,
        false => whole.start <= part.start && part.end <= whole.end,
    }
}

/// Whether a name is that of a `field` or a `variant` that there is not, and those that there are.
fn unknown_name(message: &str) -> Option<(&str, &str, Vec<&str>)> {
    let (kind, quoted) = message.strip_prefix("unknown ")?.split_once(' ')?;
    let kind = match kind {
        "field" => "field",
        "variant" => "value",
        _ => return None,
    };
    let mut names = quoted.split('`').skip(1).step_by(2);
    Some((kind, names.next()?, names.collect()))
}

/// The known name that an unknown one was probably meant to be.
pub fn nearest(unknown: &str, known: impl IntoIterator<Item = impl AsRef<str>>) -> Option<String> {
    known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(unknown, known.as_ref()), known))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known.as_ref().to_owned())
}

/// The known name nearest to an unknown one, or all of them.
fn meant(unknown: &str, known: &[&str], place: &str) -> String {
    if let Some(name) = nearest(unknown, known) {
        return format!("Did you mean `{name}`?");
    }
    let mut listed: Vec<&str> = known.to_vec();
    listed.sort_unstable();
    let more = if listed.len() > LISTED { ", …" } else { "" };
    listed.truncate(LISTED);
    match listed.as_slice() {
        [] => format!("Leave it out: {place} has no such thing."),
        listed => format!("There are: {}{more}.", listed.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::read_toml;
    use crate::{ActionDefinition, ActionError, Config, ErrorCode};

    fn error(text: &str) -> ActionError {
        let error = read_toml::<Config>(Path::new("flowlake.toml"), text).unwrap_err();
        assert_eq!(error.code(), ErrorCode::ConfigInvalid);
        error
    }

    /// What the caret is under.
    fn marked(error: &ActionError) -> String {
        let excerpt = error.excerpt().unwrap();
        let place = excerpt.place();
        let marks = excerpt.line().chars().skip(place.column as usize - 1);
        marks.take(place.length as usize).collect()
    }

    #[test]
    fn an_unknown_key_is_named_with_its_place_and_the_nearest_known_key() {
        let error = error("[access]\nmode = \"probe\"\nprob_bytes = 1\n");
        assert!(
            error
                .message()
                .starts_with("flowlake.toml:3:1: unknown field `prob_bytes` in [access]"),
            "{error}"
        );
        assert_eq!(marked(&error), "prob_bytes");
        // The value may be a key that a client sends.
        let error = self::error("[server]\nlisten = \"127.0.0.1:0\"\nrequire_keys = false\n");
        assert_eq!(
            error.message(),
            "flowlake.toml:3:1: unknown field `require_keys` in [server]"
        );
        assert_eq!(error.advice(), "Did you mean `require_key`?");
        assert!(error.excerpt().is_none());
    }

    #[test]
    fn unknown_tables_and_values_are_named_too() {
        let unknown = error("[sever]\nlisten = \"127.0.0.1:0\"\n");
        assert_eq!(
            unknown.message(),
            "flowlake.toml:1:2: unknown field `sever` in the file"
        );
        assert_eq!(unknown.advice(), "Did you mean `server`?");
        let unknown = error("[access]\nmode = \"prove\"\n");
        assert_eq!(
            unknown.message(),
            "flowlake.toml:2:8: unknown value `prove` in `access.mode`"
        );
        assert_eq!(marked(&unknown), "\"prove\"");
        let unknown = error("[access]\nxyz = 1\n");
        assert!(unknown.advice().starts_with("There are: "), "{unknown:?}");
        assert!(unknown.advice().contains("mode"), "{unknown:?}");
        let negative = error("[confirm]\nabove_usd = -1\n");
        assert!(negative.message().contains("is 0 or more"), "{negative}");
    }

    #[test]
    fn a_wrong_type_is_named_with_its_key_and_place() {
        let error = error("[access]\nttl = 8080\n");
        let begin = "flowlake.toml:2:7: `access.ttl`: invalid type: integer `8080`";
        assert!(error.message().starts_with(begin), "{error}");
        assert_eq!(marked(&error), "8080");
        let error = self::error("[server]\nlisten = 8080\n");
        let begin = "flowlake.toml:2:10: `server.listen`: invalid type: integer, expected";
        assert!(error.message().starts_with(begin), "{error}");
    }

    #[test]
    fn messages_name_no_types_of_the_program() {
        for (text, words) in [
            ("max_rows = -1\n", "a whole number from 0 on"),
            ("max_rows = \"x\"\n", "a whole number from 0 on"),
            (
                "max_output_bytes = \"1MX\"\n",
                "expected a size such as `64MiB`",
            ),
            (
                "max_cost_usd = true\n",
                "expected a number or a number in quotes",
            ),
            ("timeout = 5\n", "a time such as `8s`"),
            (
                "max_cost_usd = -1\n",
                "an amount of US dollars is 0 or more",
            ),
            ("max_cost_usd = \"-0.5\"\n", "is 0 or more"),
        ] {
            let text = format!(
                "name = \"a\"\n[tables.t]\nuri = \"s3://b/k\"\n[query]\nsql = \"SELECT 1 FROM t\"\n[limits]\n{text}"
            );
            let error = read_toml::<ActionDefinition>(Path::new("a.toml"), &text).unwrap_err();
            assert!(error.message().contains(words), "{error}");
        }
    }

    #[test]
    fn what_may_be_a_secret_is_not_repeated() {
        let error = error("[genesys]\nclient_secret = \"hunter2\"\n");
        assert!(
            error.message().contains("`genesys.client_secret`"),
            "{error}"
        );
        assert!(error.excerpt().is_none());
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        for text in [
            "[server]\nkeys = [{ name = \"a\", secret = \"hunter2\" }]\n",
            "[server]\nkeys = [{ name = \"a\", secrt = { env = \"A\" }, secret = \"hunter2\" }]\n",
            "[server]\nkeys = \"hunter2\"\n",
            "[server]\nkey = \"hunter2\"\n",
            "[genesys]\nclient_secert = \"hunter2\"\n",
            "[genesys]\nclient_secret = \"hunter2\n",
            "[server]\nkeys = [\n  { name = \"a\", secret = \"hunter2 },\n]\n",
            "genesys = { client = \"hunter2 }\n",
            "[telemetry]\nheaders = { authorization = \"hunter2\", x = 1 }\n",
            "[server.tokens]\nsigning_key = \"hunter2\"\n",
            "[[server.clients]]\nname = \"a\"\nkeys_sha256 = \"hunter2\"\n",
            "[[server.clients]]\nname = \"a\"\nbasic = \"hunter2\"\n",
            "[[server.clients]]\nname = \"a\"\nparams = \"hunter2\"\n",
            "[[server.clients]]\nname = \"a\"\ntokens = [{ issuer = \"b\", claims = \"hunter2\" }]\n",
            "[[server.clients]]\nname = \"a\"\noauth = { client_id = \"b\", secret = \"hunter2\" }\n",
        ] {
            let error = self::error(text);
            assert!(
                !format!("{error:?} {error}").contains("hunter2"),
                "{error:?}"
            );
            assert!(error.excerpt().is_none(), "{text}");
        }
        // A number may be a secret as well.
        let error = self::error("[server]\nkeys = 4711\n");
        assert!(!error.message().contains("4711"), "{error}");
    }

    #[test]
    fn a_line_that_is_no_toml_is_shown() {
        let error = error("[server\nlisten = 1\n");
        assert!(error.message().starts_with("flowlake.toml:1:"), "{error}");
        assert_eq!(error.excerpt().unwrap().line(), "[server");
    }

    #[test]
    fn a_missing_key_is_named_with_its_table() {
        let text =
            "name = \"a\"\n[query]\nsql = \"SELECT 1 FROM t\"\n[tables.t]\nformat = \"csv\"\n";
        let error = read_toml::<ActionDefinition>(Path::new("a.toml"), text).unwrap_err();
        assert_eq!(
            error.message(),
            "a.toml:4:1: `tables.t`: missing field `uri`"
        );
        let error =
            read_toml::<ActionDefinition>(Path::new("a.toml"), "name = \"a\"\n").unwrap_err();
        assert!(
            error.message().starts_with("a.toml: missing field `"),
            "{error}"
        );
    }
}
