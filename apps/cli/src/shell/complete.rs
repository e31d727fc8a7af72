//! What a typed beginning may become.

use std::{fs, path::Path, time::Duration};

use flowlake_data_action::{ActionError, Pipeline, ProcessEnvironment};
use tokio::{runtime::Handle, time::timeout};

use super::{
    command::COMMANDS,
    known::{Known, Names, project},
    scan::{self, KEYWORDS, Kind, is_word},
};

/// Longest wait for a listing of S3 while somebody types.
const PATIENCE: Duration = Duration::from_secs(3);
/// Signs of names that a pattern or a text in quotes would have to write in another way: such names are not offered.
const SPECIAL: [char; 6] = ['*', '?', '[', '{', '}', '\''];
const S3: &str = "s3://";

/// Where the typed beginning begins, and what it may become.
pub(super) fn complete(known: &Known, typed: &str) -> (usize, Vec<String>) {
    if let Some(at) = scan::command_at(typed) {
        return of_command(known, typed, at);
    }
    let last = scan::pieces(typed).pop();
    match last {
        Some(piece) if piece.kind == Kind::Text && piece.is_open => {
            let begin = piece.begin + 1;
            (begin, files(known, &typed[begin..]))
        }
        Some(piece) if piece.is_open => (typed.len(), Vec::new()),
        _ => {
            let (begin, word) = last_word(typed);
            (begin, known.with(|names| words(names, word)))
        }
    }
}

/// The word that is being typed.
fn last_word(typed: &str) -> (usize, &str) {
    let begin = typed.char_indices().rev().find(|(_, c)| !is_word(*c));
    let begin = begin.map_or(0, |(at, c)| at + c.len_utf8());
    (begin, &typed[begin..])
}

/// Keywords, tables, columns, functions and values.
fn words(names: &Names, word: &str) -> Vec<String> {
    if word.is_empty() {
        return Vec::new();
    }
    if let Some(param) = word.strip_prefix('$') {
        return begun(names.params.iter(), param, |name| format!("${name}"));
    }
    let quoted = |name: &String| match name.chars().all(|c| is_word(c) && !c.is_uppercase()) {
        true => name.clone(),
        false => format!("\"{name}\""),
    };
    let of_tables = names.tables.values().flatten();
    let mut found = begun(names.tables.keys(), word, quoted);
    found.extend(begun(of_tables.chain(&names.columns), word, quoted));
    found.extend(begun(names.functions.iter(), word, |name| {
        format!("{name}(")
    }));
    let lower = word.chars().all(|c| !c.is_uppercase());
    let keywords = KEYWORDS
        .iter()
        .filter(|keyword| keyword.starts_with(&word.to_uppercase()));
    found.extend(keywords.map(|keyword| match lower {
        true => keyword.to_lowercase(),
        false => (*keyword).to_owned(),
    }));
    let mut seen = std::collections::HashSet::new();
    found.retain(|name| seen.insert(name.clone()));
    found
}

/// The names that begin so, whatever their case.
fn begun<'a>(
    names: impl Iterator<Item = &'a String>,
    begin: &str,
    shown: impl Fn(&String) -> String,
) -> Vec<String> {
    let begin = begin.to_lowercase();
    let names = names.filter(|name| name.to_lowercase().starts_with(&begin));
    names.map(shown).collect()
}

/// What the command that begins at `start` may become.
fn of_command(known: &Known, typed: &str, start: usize) -> (usize, Vec<String>) {
    let line = &typed[start..];
    let Some(at) = line.find(' ') else {
        let commands = COMMANDS.iter().map(|(name, _, _)| (*name).to_owned());
        return (
            start,
            commands.filter(|name| name.starts_with(line)).collect(),
        );
    };
    let (command, rest) = (&line[..at], line[at..].trim_start());
    let begin = typed.len() - rest.len();
    match command {
        "\\i" | "\\o" | "\\g" => (begin, files(known, rest)),
        "\\d" => {
            let open = rest.strip_prefix('\'');
            if let Some(path) = open.or_else(|| rest.starts_with(S3).then_some(rest)) {
                return (typed.len() - path.len(), files(known, path));
            }
            let tables = known.with(|names| begun(names.tables.keys(), rest, String::clone));
            match tables.is_empty() {
                true => (begin, files(known, rest)),
                false => (begin, tables),
            }
        }
        "\\unset" => (
            begin,
            known.with(|names| begun(names.params.iter(), rest, String::clone)),
        ),
        "\\run" => {
            let word_begin = typed.rfind(' ').map_or(begin, |at| at + 1);
            let word = &typed[word_begin..];
            let found = known.with(|names| match rest.split_once(' ') {
                None => begun(names.actions.keys(), word, String::clone),
                Some((action, _)) => {
                    let params = names.actions.get(action);
                    let params = params.into_iter().flat_map(|params| params.keys());
                    begun(params, word, |name| format!("{name}="))
                }
            });
            (word_begin, found)
        }
        "\\table" => match rest.split_once('=') {
            Some((_, path)) => (typed.len() - path.len(), files(known, path)),
            None => (begin, Vec::new()),
        },
        "\\x" | "\\timing" | "\\trace" => {
            let states = ["on", "off"]
                .into_iter()
                .filter(|state| state.starts_with(rest));
            (begin, states.map(str::to_owned).collect())
        }
        _ => (typed.len(), Vec::new()),
    }
}

/// Files of this machine or objects on S3 that begin with a text.
fn files(known: &Known, path: &str) -> Vec<String> {
    let is_object = path.starts_with(S3) || S3.starts_with(path) && path.len() > 1;
    let mut found = match is_object {
        true => objects(known, path),
        false => local(known, path),
    };
    found.retain(|name| !name.contains(SPECIAL));
    found.sort_unstable();
    found.dedup();
    found
}

fn local(known: &Known, path: &str) -> Vec<String> {
    let folder = known.with(|names| names.folder.clone());
    let (parent, begin) = path
        .rfind('/')
        .map_or(("", path), |at| path.split_at(at + 1));
    let entries = fs::read_dir(folder.join(Path::new(parent)));
    let entries = entries.into_iter().flatten().flatten();
    let found = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let is_hidden = name.starts_with('.') && !begin.starts_with('.');
        if is_hidden || !name.starts_with(begin) {
            return None;
        }
        let is_folder = fs::metadata(entry.path()).is_ok_and(|found| found.is_dir());
        let end = if is_folder { "/" } else { "" };
        Some(format!("{parent}{name}{end}"))
    });
    found.collect()
}

/// Objects and folders that begin with a text; where they may not be listed, what the policy names. Waits [`PATIENCE`] at most.
fn objects(known: &Known, path: &str) -> Vec<String> {
    let places = known.with(|names| names.places.clone());
    let places = places.into_iter().filter(|place| place.starts_with(path));
    let Some((bucket, prefix)) = path.strip_prefix(S3).and_then(|rest| rest.split_once('/')) else {
        let places: Vec<_> = places.collect();
        return match places.is_empty() && path.len() < S3.len() {
            true => vec![S3.to_owned()],
            false => places,
        };
    };
    let listed = Handle::current().block_on(timeout(PATIENCE, keys(known, bucket, prefix)));
    match listed {
        Ok(Ok(keys)) => {
            let keys = keys.into_iter();
            keys.map(|key| format!("{S3}{bucket}/{key}")).collect()
        }
        // The error is reported when the object is read.
        _ => places.collect(),
    }
}

async fn keys(known: &Known, bucket: &str, prefix: &str) -> Result<Vec<String>, ActionError> {
    let inspector = match known.with(|names| names.inspector.clone()) {
        Some(inspector) => inspector,
        None => {
            let project = project(&known.with(|names| names.config.clone()))?;
            let made = Pipeline::builder(project).inspect(&ProcessEnvironment);
            let made = Box::pin(made).await?;
            known.with(|names| names.inspector = Some(made.clone()));
            made
        }
    };
    inspector.keys(bucket, prefix).await
}

#[cfg(test)]
mod tests {
    use super::complete;
    use crate::shell::known::Known;

    fn known() -> Known {
        let known = Known::default();
        known.with(|names| {
            let columns = ["queue".to_owned(), "Queue Time".to_owned()];
            names.tables.insert("calls".to_owned(), columns.to_vec());
            names.functions = vec!["count".to_owned(), "to_e164".to_owned()];
            let params = [("ani".to_owned(), true)];
            names.actions.insert("look-up".to_owned(), params.into());
            names.params.insert("day".to_owned());
            names.places.insert("s3://lake/exports/".to_owned());
        });
        known
    }

    #[test]
    fn words_are_completed_by_what_they_may_be() {
        let known = known();
        for (typed, begin, found) in [
            ("SELECT qu", 7, vec!["queue", "\"Queue Time\""]),
            ("SELECT cou", 7, vec!["count("]),
            ("SELECT 1 FROM cal", 14, vec!["calls"]),
            ("SEL", 0, vec!["SELECT"]),
            ("sel", 0, vec!["select"]),
            ("SELECT $d", 7, vec!["$day"]),
            ("SELECT \"que", 11, vec![]),
            ("\\ti", 0, vec!["\\timing"]),
            ("\\d ca", 3, vec!["calls"]),
            ("\\run lo", 5, vec!["look-up"]),
            ("\\run look-up a", 13, vec!["ani="]),
            ("\\x of", 3, vec!["off"]),
            ("SELECT 1 FROM calls \\ti", 20, vec!["\\timing"]),
            ("SELECT * FROM 's3:", 15, vec!["s3://lake/exports/"]),
            ("SELECT * FROM 's3://la", 15, vec!["s3://lake/exports/"]),
        ] {
            let (at, names) = complete(&known, typed);
            assert_eq!(
                (at, names),
                (begin, found.into_iter().map(str::to_owned).collect()),
                "{typed}"
            );
        }
    }

    #[test]
    fn files_are_completed_in_quotes() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        std::fs::write(folder.path().join("data/calls.csv"), "").unwrap();
        std::fs::write(folder.path().join("data/.hidden"), "").unwrap();
        std::fs::write(folder.path().join("data/a[1].csv"), "").unwrap();
        let known = known();
        known.with(|names| names.folder = folder.path().to_owned());
        for (typed, found) in [
            ("SELECT * FROM 'da", vec!["data/"]),
            ("SELECT * FROM 'data/", vec!["data/calls.csv"]),
            ("\\i data/c", vec!["data/calls.csv"]),
            ("\\table t=da", vec!["data/"]),
        ] {
            assert_eq!(complete(&known, typed).1, found, "{typed}");
        }
    }
}
