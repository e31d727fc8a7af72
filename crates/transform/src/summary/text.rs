//! What only columns of text have: lengths, spellings of null, and the type that the rest is of.

use std::collections::BTreeMap;

use datafusion::arrow::datatypes::DataType;

use super::{TextSummary, top::beginning};
use crate::{formats::infer::Candidates, params::is_e164, schema::type_name};

/// What people and programs write where there is no value, in lower case.
const NULL_TEXTS: [&str; 16] = [
    "",
    "#n/a",
    "(null)",
    "-",
    "--",
    "?",
    "\\n",
    "n.a.",
    "n/a",
    "na",
    "nan",
    "nil",
    "none",
    "null",
    "undefined",
    "unknown",
];
const LONGEST_NULL_TEXT: usize = 9;
/// Different spellings that are remembered.
const MOST_SPELLINGS: usize = 16;

#[derive(Debug, Default)]
pub(super) struct TextSketch {
    least: Option<String>,
    most: Option<String>,
    lengths: Option<(u64, u64)>,
    null_texts: BTreeMap<String, u64>,
    others: Candidates,
    has_others: bool,
    has_no_phone: bool,
}

impl TextSketch {
    pub(super) fn see(&mut self, text: &str) {
        let length = text.chars().count() as u64;
        self.lengths = Some(match self.lengths {
            None => (length, length),
            Some((shortest, longest)) => (shortest.min(length), longest.max(length)),
        });
        if self.least.as_deref().is_none_or(|least| text < least) {
            self.least = Some(beginning(text));
        }
        if self.most.as_deref().is_none_or(|most| text > most) {
            self.most = Some(beginning(text));
        }
        if self.is_null_text(text) {
            return;
        }
        self.has_others = true;
        if !self.others.is_text() {
            self.others.see(text.as_bytes());
        }
        self.has_no_phone = self.has_no_phone || !is_e164(text);
    }

    /// Counts a spelling of null.
    fn is_null_text(&mut self, text: &str) -> bool {
        if text.len() > LONGEST_NULL_TEXT {
            return false;
        }
        let plain = text.trim().to_ascii_lowercase();
        if !NULL_TEXTS.contains(&plain.as_str()) {
            return false;
        }
        if let Some(count) = self.null_texts.get_mut(text) {
            *count += 1;
        } else if self.null_texts.len() < MOST_SPELLINGS {
            self.null_texts.insert(text.to_owned(), 1);
        }
        true
    }

    pub(super) fn range(&self) -> (Option<&str>, Option<&str>) {
        (self.least.as_deref(), self.most.as_deref())
    }

    pub(super) fn finish(self) -> TextSummary {
        let (shortest, longest) = self.lengths.unwrap_or_default();
        let kind = self.others.kind();
        let is_typed = self.has_others && !matches!(kind, DataType::Utf8 | DataType::Null);
        TextSummary {
            shortest,
            longest,
            null_texts: self.null_texts.into_iter().collect(),
            others_are: is_typed.then(|| type_name(&kind)),
            others_are_phones: self.has_others && !self.has_no_phone,
        }
    }
}
