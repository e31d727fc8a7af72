//! How often each set of tables was asked for recently, in fixed memory.
//!
//! When there is no room, the tables with the fewest requests are dropped, and a new set gets room only if it has as many requests
//! as they have (`TinyLFU`, <https://dl.acm.org/citation.cfm?id=3149371>). So a scan over many sets, each asked for once, does not
//! evict those in use. The requests of all sets, also of those without tables, are counted by a count-min sketch
//! (<http://dimacs.rutgers.edu/~graham/pubs/papers/cm-full.pdf>).

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

/// Counters of each of the four rows.
const COUNTERS: usize = 1 << 14;

/// A count-min sketch: each key has a counter in each of four rows. Other keys may share a counter and make it too high, so the
/// smallest of the four is the estimate. All counters are halved from time to time, so that recent requests count more.
pub(super) struct RequestFrequency {
    counters: Vec<u8>,
    /// Requests since the counters were last halved.
    noted: usize,
}

impl RequestFrequency {
    pub(super) fn new() -> Self {
        Self {
            counters: vec![0; 4 * COUNTERS],
            noted: 0,
        }
    }

    fn places(key: &str) -> [usize; 4] {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        [0, 1, 2, 3].map(|row| {
            let part = usize::try_from((hash >> (16 * row)) & (COUNTERS as u64 - 1)).unwrap_or(0);
            usize::try_from(row).unwrap_or(0) * COUNTERS + part
        })
    }

    /// Counts one request for a key.
    pub(super) fn note(&mut self, key: &str) {
        for place in Self::places(key) {
            self.counters[place] = self.counters[place].saturating_add(1);
        }
        self.noted += 1;
        if self.noted >= 10 * COUNTERS {
            self.noted = 0;
            self.counters.iter_mut().for_each(|counter| *counter /= 2);
        }
    }

    /// An estimate of the recent requests for a key, never too low before it reaches 255.
    pub(super) fn count(&self, key: &str) -> u8 {
        let counters = Self::places(key).map(|place| self.counters[place]);
        counters.into_iter().min().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::{COUNTERS, RequestFrequency};

    #[test]
    fn each_key_has_its_own_count_up_to_the_largest() {
        let mut frequency = RequestFrequency::new();
        for _ in 0..3 {
            frequency.note("often");
        }
        frequency.note("once");
        assert_eq!(
            ["often", "once", "never"].map(|key| frequency.count(key)),
            [3, 1, 0]
        );
        for _ in 0..300 {
            frequency.note("often");
        }
        assert_eq!(frequency.count("often"), u8::MAX);
    }

    #[test]
    fn counts_are_halved_after_many_requests() {
        let mut frequency = RequestFrequency::new();
        for _ in 0..100 {
            frequency.note("once popular");
        }
        for other in 0..10 * COUNTERS - 101 {
            frequency.note(&other.to_string());
        }
        let before = frequency.count("once popular");
        assert!(before >= 100, "{before}");
        frequency.note("the last of the window");
        assert_eq!(frequency.count("once popular"), before / 2);
    }

    #[test]
    fn a_key_in_use_counts_more_than_each_of_many_that_were_asked_for_once() {
        let mut frequency = RequestFrequency::new();
        for key in 0..10_000 {
            frequency.note(&format!("scanned {key}"));
            if key % 100 == 0 {
                frequency.note("in use");
            }
        }
        let in_use = frequency.count("in use");
        let above = (0..10_000).filter(|key| frequency.count(&format!("scanned {key}")) >= in_use);
        assert_eq!(above.count(), 0);
    }
}
