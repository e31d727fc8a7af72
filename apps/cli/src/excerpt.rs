//! The line that an error is about, with marks under the place.

use flowlake_data_action::Excerpt;
use unicode_width::UnicodeWidthStr;

use crate::{grid::visible, terminal::Terminal};

/// Draws the line; `--> FILE:LINE:COLUMN` before it where it is of a file.
pub(crate) fn drawn(excerpt: &Excerpt) -> String {
    let place = excerpt.place();
    let counted = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
    let (begin, length) = (
        counted(place.column).saturating_sub(1),
        counted(place.length),
    );
    let text = excerpt.line().replace('\t', " ");
    let before: String = text.chars().take(begin).collect();
    let marked: String = text.chars().skip(begin).take(length).collect();
    let (text, before, marked) = (visible(&text), visible(&before), visible(&marked));
    let (before, marked) = (before.width(), marked.width().max(1));
    let number = place.line.to_string();
    let margin = " ".repeat(number.len());
    let marks = Terminal::get().stderr.red(&"^".repeat(marked));
    let file = excerpt.file().map_or_else(String::new, |file| {
        format!("  {margin}--> {file}:{}:{}\n", place.line, place.column)
    });
    format!(
        "{file}  {margin} |\n  {number} | {text}\n  {margin} | {}{marks}\n",
        " ".repeat(before),
    )
}
