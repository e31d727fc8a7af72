//! Leaves out rows before they are decoded, where the query's own conditions rule them out.
//!
//! The idea is that of Palkar et al., "Filter Before You Parse" (VLDB 2018): bytes are searched for what any row of the
//! answer must hold, and conditions are judged on the columns that they need before the other columns are decoded. A sieve
//! may let rows through that do not belong; the engine applies the exact conditions to what is left.

use std::fmt;

use aho_corasick::{AhoCorasick, MatchKind};
use datafusion::arrow::array::{BooleanArray, RecordBatch};
use memchr::memmem::Finder;

/// Judges rows by some of their columns.
pub(crate) type Judge = Box<dyn Fn(&RecordBatch) -> Option<BooleanArray> + Send + Sync>;

/// Which rows need not be decoded.
#[derive(Default)]
pub(crate) struct Sieve {
    /// Texts, one of which the bytes of each row of the answer hold as they are, unless the format wrote them with escapes.
    pub(crate) needles: Option<Needles>,
    /// Places in the table of the columns that `judge` looks at.
    pub(crate) columns: Vec<usize>,
    /// `None` when it cannot tell.
    pub(crate) judge: Option<Judge>,
}

/// Up to this number, searching for one text after the other is faster than for all at once.
const FEW_NEEDLES: usize = 3;

/// Texts that are searched for.
pub(crate) struct Needles {
    search: Search,
    /// Whether one has a slash, which JSON may write with a backslash before it.
    pub(crate) have_slash: bool,
}

enum Search {
    /// Each by itself.
    Few(Vec<Finder<'static>>),
    /// All in one pass.
    Many(AhoCorasick),
}

/// Where the needles are in a text.
pub(crate) struct Occurrences<'a> {
    needles: &'a Needles,
    text: &'a [u8],
    /// Where each of few comes next, or all of many, when that is known to be so; `usize::MAX` when it does not come again.
    next: Vec<usize>,
}

impl Needles {
    /// `None` when there are none, or they are too many for a search.
    pub(crate) fn new(texts: &[String]) -> Option<Self> {
        if texts.is_empty() {
            return None;
        }
        let search = if texts.len() <= FEW_NEEDLES {
            let finders = texts.iter().map(|text| Finder::new(text).into_owned());
            Search::Few(finders.collect())
        } else {
            let all = AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostFirst)
                .build(texts);
            Search::Many(all.ok()?)
        };
        let have_slash = texts.iter().any(|text| text.contains('/'));
        Some(Self { search, have_slash })
    }

    pub(crate) fn occurrences<'a>(&'a self, text: &'a [u8]) -> Occurrences<'a> {
        let searches = match &self.search {
            Search::Few(finders) => finders.len(),
            Search::Many(_) => 1,
        };
        let mut occurrences = Occurrences {
            needles: self,
            text,
            next: Vec::new(),
        };
        occurrences.next = (0..searches)
            .map(|search| occurrences.search(search, 0))
            .collect();
        occurrences
    }
}

impl Occurrences<'_> {
    /// The first place from `from` on, which is not before that of an earlier call.
    pub(crate) fn next(&mut self, from: usize) -> Option<usize> {
        for search in 0..self.next.len() {
            if self.next[search] < from {
                self.next[search] = self.search(search, from);
            }
        }
        let first = self.next.iter().min().copied();
        first.filter(|&place| place < usize::MAX)
    }

    fn search(&self, search: usize, from: usize) -> usize {
        let rest = self.text.get(from..).unwrap_or_default();
        let found = match &self.needles.search {
            Search::Few(finders) => finders[search].find(rest),
            Search::Many(all) => all.find(rest).map(|found| found.start()),
        };
        found.map_or(usize::MAX, |place| from + place)
    }
}

impl fmt::Debug for Sieve {
    /// What is searched for may be personal data.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Sieve")
            .field("needles", &self.needles.is_some())
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Needles;

    #[test]
    fn needles_are_found_in_their_order() {
        let text = b"one two three two one four";
        for texts in [&["two", "one"][..], &["two", "one", "five", "six", "seven"]] {
            let texts: Vec<_> = texts.iter().map(|&text| text.to_owned()).collect();
            let needles = Needles::new(&texts).unwrap();
            let mut occurrences = needles.occurrences(text);
            let mut places = Vec::new();
            let mut from = 0;
            while let Some(place) = occurrences.next(from) {
                places.push(place);
                from = place + 1;
            }
            assert_eq!(places, [0, 4, 14, 18], "{texts:?}");
        }
        assert!(Needles::new(&[]).is_none());
    }
}
