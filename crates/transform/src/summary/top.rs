//! The most frequent values, in a table of fixed size (Misra and Gries, "Finding repeated elements", 1982).

use std::collections::HashMap;

/// Values that are counted at a time.
const COUNTERS: usize = 256;
/// Values that are given.
const GIVEN: usize = 5;
/// Characters of a value that are kept.
const LONGEST: usize = 100;

/// Counts values by their hashes. As long as there are no more than [`COUNTERS`] of them, the counts are exact.
#[derive(Debug, Default)]
pub(super) struct Top {
    counters: HashMap<u64, (u64, String)>,
    /// By how much a count may be too low.
    missed: u64,
}

impl Top {
    #[inline]
    pub(super) fn see<E>(
        &mut self,
        hash: u64,
        text: impl FnOnce() -> Result<String, E>,
    ) -> Result<(), E> {
        if let Some((count, _)) = self.counters.get_mut(&hash) {
            *count += 1;
            return Ok(());
        }
        if self.counters.len() < COUNTERS {
            self.counters.insert(hash, (1, text()?));
            return Ok(());
        }
        self.missed += 1;
        self.counters.retain(|_, (count, _)| {
            *count -= 1;
            *count > 0
        });
        Ok(())
    }

    /// How many values there are, where all have been counted.
    pub(super) fn exact_distinct(&self) -> Option<u64> {
        (self.missed == 0).then_some(self.counters.len() as u64)
    }

    /// Values with their counts, and whether these may be too low: by less than the count itself.
    pub(super) fn values(self) -> Vec<(String, u64, bool)> {
        let is_exact = self.missed == 0;
        let mut all: Vec<_> = self.counters.into_values().collect();
        all.retain(|(count, _)| is_exact || *count > self.missed);
        all.sort_by(|one, other| (other.0, &one.1).cmp(&(one.0, &other.1)));
        all.truncate(GIVEN);
        let values = all.into_iter();
        values
            .map(|(count, text)| (text, count, !is_exact))
            .collect()
    }
}

/// A value, or the beginning of a long one.
pub(super) fn beginning(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::Top;

    fn of(values: impl Iterator<Item = u64>) -> Top {
        let mut top = Top::default();
        for value in values {
            top.see::<()>(value, || Ok(value.to_string())).unwrap();
        }
        top
    }

    #[test]
    fn few_values_are_counted_exactly_and_frequent_ones_are_found_among_many() {
        let few =
            of((0..100).flat_map(|value| std::iter::repeat_n(value, 3 + (value % 2) as usize)));
        assert_eq!(few.exact_distinct(), Some(100));
        assert_eq!(few.values()[0], ("1".to_owned(), 4, false));
        let many = of((0..100_000).map(|n| if n % 10 == 0 { 7 } else { 1000 + n }));
        assert_eq!(many.exact_distinct(), None);
        let found = many.values();
        let (value, count, at_least) = &found[0];
        assert_eq!((value.as_str(), *at_least), ("7", true));
        assert!((9_000..=10_000).contains(count), "{count}");
        // Nothing is frequent in a column of keys.
        assert!(of(0..100_000).values().is_empty());
    }
}
