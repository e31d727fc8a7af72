//! Errors in TOML files that say where they are and what was probably meant.

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::{ActionError, ErrorCode};

/// Names further from each other than this share of letters are not offered as a correction.
const SIMILAR: f64 = 0.7;

/// Parses `text`; `path` names the file in errors.
///
/// # Errors
/// [`ErrorCode::ConfigInvalid`] with file, line and column, and for unknown keys the nearest known one.
pub fn read_toml<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, ActionError> {
    toml::from_str(text).map_err(|error| {
        let place = error
            .span()
            .map_or_else(String::new, |span| line_and_column(text, span.start));
        let advice = suggestion(error.message()).map_or_else(
            || "Correct the file at that place; `flowlake check` reads it again.".to_owned(),
            |name| format!("Did you mean `{name}`?"),
        );
        ActionError::new(
            ErrorCode::ConfigInvalid,
            format!("{}{place}: {}", path.display(), error.message().trim()),
            advice,
        )
    })
}

/// `:line:column` of a byte offset, both from 1.
fn line_and_column(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before
        .chars()
        .rev()
        .take_while(|&character| character != '\n')
        .count()
        + 1;
    format!(":{line}:{column}")
}

/// The known name nearest to the unknown one that serde's message quotes first.
fn suggestion(message: &str) -> Option<String> {
    if !message.contains("unknown field") && !message.contains("unknown variant") {
        return None;
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = quoted.next()?;
    nearest(unknown, quoted)
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::read_toml;
    use crate::{Config, ErrorCode};

    #[test]
    fn an_unknown_key_is_named_with_its_place_and_the_nearest_known_key() {
        let text = "[server]\nlisten = \"127.0.0.1:0\"\nrequire_keys = false\n";
        let error = read_toml::<Config>(Path::new("flowlake.toml"), text).unwrap_err();
        assert_eq!(error.code(), ErrorCode::ConfigInvalid);
        assert!(
            error
                .message()
                .starts_with("flowlake.toml:3:1: unknown field `require_keys`"),
            "{}",
            error.message()
        );
        assert_eq!(error.advice(), "Did you mean `require_key`?");
    }

    #[test]
    fn a_wrong_type_is_named_with_its_place() {
        let error = read_toml::<Config>(Path::new("flowlake.toml"), "[server]\nlisten = 8080\n")
            .unwrap_err();
        assert!(
            error
                .message()
                .starts_with("flowlake.toml:2:10: invalid type"),
            "{}",
            error.message()
        );
    }
}
