//! The line that an error is about, as somebody wrote it.

use std::{fmt, path::Path};

use flowlake_transform::Place;

/// A line of a file or of a question's SQL. It may hold constants that are personal data, so it is for the terminal of the person who
/// wrote it, and in no log, record or answer: its `Debug` has no text.
#[derive(Clone, PartialEq, Eq)]
pub struct Excerpt {
    file: Option<String>,
    line: String,
    place: Place,
}

impl Excerpt {
    /// The line of a text; none where the text has no such line.
    pub(crate) fn of(file: Option<&Path>, text: &str, place: Place) -> Option<Self> {
        let number = usize::try_from(place.line).ok()?.checked_sub(1)?;
        Some(Self {
            file: file.map(|file| file.display().to_string()),
            line: text.lines().nth(number)?.to_owned(),
            place,
        })
    }

    /// The file, unless it is the SQL of a question.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The part of the line that the error is about.
    #[must_use]
    pub fn marked(&self) -> String {
        let counted = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let before = counted(self.place.column).saturating_sub(1);
        let marked = self.line.chars().skip(before);
        marked.take(counted(self.place.length)).collect()
    }

    /// The whole line.
    #[must_use]
    pub fn line(&self) -> &str {
        &self.line
    }

    /// Where in the file or the SQL it is.
    #[must_use]
    pub const fn place(&self) -> Place {
        self.place
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Excerpt")
            .field("file", &self.file)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

/// The place of a part of a text, in its first line.
pub(crate) fn place_of(text: &str, part: std::ops::Range<usize>) -> Place {
    let before = text.get(..part.start).unwrap_or(text);
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    let marked = text.get(part).unwrap_or_default().lines().next();
    let length = marked.map_or(0, |marked| marked.chars().count());
    Place {
        line: before.matches('\n').count() as u64 + 1,
        column: column as u64,
        length: length.max(1) as u64,
    }
}
