//! The line editor: when an input is whole, how it is coloured, and what completes it.

use std::borrow::Cow;

use rustyline::{
    Config, Context, Editor, Helper, Result as LineResult,
    completion::{Completer, Pair},
    highlight::{CmdKind, Highlighter},
    hint::Hinter,
    history::FileHistory,
    validate::{ValidationContext, ValidationResult, Validator},
};

use super::{
    complete::complete,
    known::Known,
    scan::{self, Kind},
};
use crate::colour::Colour;

/// Typed lines that are kept.
const HISTORY_LINES: usize = 10_000;

/// The editor of a session.
pub(super) type LineEditor = Editor<SqlHelper, FileHistory>;

/// Knows SQL for the editor.
pub(super) struct SqlHelper {
    known: Known,
    colour: Colour,
}

/// An editor for a session that knows these names.
pub(super) fn editor(known: Known, colour: Colour) -> LineResult<LineEditor> {
    let config = Config::builder()
        .max_history_size(HISTORY_LINES)?
        .history_ignore_dups(true)?
        .completion_type(rustyline::CompletionType::List)
        .build();
    let mut editor = Editor::with_config(config)?;
    editor.set_helper(Some(SqlHelper { known, colour }));
    Ok(editor)
}

impl Helper for SqlHelper {}

impl Hinter for SqlHelper {
    type Hint = String;
}

impl Validator for SqlHelper {
    fn validate(&self, context: &mut ValidationContext<'_>) -> LineResult<ValidationResult> {
        Ok(match scan::is_whole(context.input()) {
            true => ValidationResult::Valid(None),
            false => ValidationResult::Incomplete,
        })
    }
}

impl Highlighter for SqlHelper {
    fn highlight<'l>(&self, line: &'l str, _at: usize) -> Cow<'l, str> {
        if self.colour == Colour::NONE || line.trim_start().starts_with('\\') {
            return Cow::Borrowed(line);
        }
        let pieces = scan::pieces(line).into_iter();
        let painted = pieces.map(|piece| {
            let text = &line[piece.begin..piece.end];
            match piece.kind {
                Kind::Text => self.colour.green(text),
                Kind::Comment => self.colour.dim(text),
                Kind::Word if scan::is_keyword(text) => self.colour.bold(text),
                _ => text.to_owned(),
            }
        });
        Cow::Owned(painted.collect())
    }

    fn highlight_char(&self, _line: &str, _at: usize, _kind: CmdKind) -> bool {
        self.colour != Colour::NONE
    }
}

impl Completer for SqlHelper {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _context: &Context<'_>,
    ) -> LineResult<(usize, Vec<Pair>)> {
        let (begin, found) = complete(&self.known, line.get(..at).unwrap_or(line));
        let found = found.into_iter().map(|text| Pair {
            display: text.clone(),
            replacement: text,
        });
        Ok((begin, found.collect()))
    }
}
