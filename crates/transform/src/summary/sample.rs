//! A random sample of values, of which every value is as likely to be a part (Vitter, "Random sampling with a reservoir", 1985).

use std::cmp::Ordering;

/// Values of a sample; a quantile of it is off by about one percent of the values.
const SIZE: usize = 4096;
/// Parts of a histogram.
const PARTS: usize = 16;
/// Quantiles, in percent.
const PERCENTS: [u8; 5] = [5, 25, 50, 75, 95];

/// A value with a place in an order.
pub(super) trait Point: Copy {
    fn order(&self, other: &Self) -> Ordering;
    /// How far it is above a smaller one; none where it is no finite number.
    fn above(self, least: Self) -> Option<f64>;
}

impl Point for f64 {
    fn order(&self, other: &Self) -> Ordering {
        self.total_cmp(other)
    }

    fn above(self, least: Self) -> Option<f64> {
        self.is_finite().then_some(self - least)
    }
}

impl Point for i128 {
    fn order(&self, other: &Self) -> Ordering {
        self.cmp(other)
    }

    fn above(self, least: Self) -> Option<f64> {
        Some(self.abs_diff(least) as f64)
    }
}

#[derive(Debug)]
pub(super) struct Sample<T> {
    values: Vec<T>,
    seen: u64,
    state: u64,
}

impl<T> Default for Sample<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            seen: 0,
            state: 0,
        }
    }
}

impl<T: Point> Sample<T> {
    #[inline]
    pub(super) fn see(&mut self, value: T) {
        self.seen += 1;
        if self.values.len() < SIZE {
            self.values.push(value);
            return;
        }
        let place = usize::try_from(self.random() % self.seen).unwrap_or(usize::MAX);
        if let Some(kept) = self.values.get_mut(place) {
            *kept = value;
        }
    }

    /// `SplitMix64` (Steele and others, 2014): the same file gives the same sample.
    const fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn len(&self) -> u64 {
        self.values.len() as u64
    }

    /// The values that shares of the sample do not exceed.
    pub(super) fn quantiles(&mut self) -> Vec<(u8, T)> {
        self.values.sort_unstable_by(T::order);
        let Some(last) = self.values.len().checked_sub(1) else {
            return Vec::new();
        };
        let at = |percent: u8| (usize::from(percent) * last + 50) / 100;
        PERCENTS
            .map(|percent| (percent, self.values[at(percent)]))
            .into()
    }

    /// How many values lie in each of equally wide parts from the least to the most of the finite ones.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the place of a part is between 0 and the number of parts"
    )]
    pub(super) fn histogram(&self) -> Vec<u64> {
        let is_finite = |value: &&T| value.above(**value).is_some();
        let finite = || self.values.iter().filter(is_finite);
        let least = finite().min_by(|one, other| one.order(other));
        let Some(least) = least.copied() else {
            return Vec::new();
        };
        let heights: Vec<f64> = finite().filter_map(|value| value.above(least)).collect();
        let width = heights.iter().copied().fold(0.0, f64::max) / PARTS as f64;
        // One value has no range, and a range may be beyond what a float can hold.
        if !(width > 0.0 && width.is_finite()) {
            return Vec::new();
        }
        let mut parts = vec![0; PARTS];
        for height in heights {
            let part = (height / width) as usize;
            parts[part.min(PARTS - 1)] += 1;
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::Sample;

    #[test]
    fn few_values_are_all_in_it_and_many_are_sampled_evenly() {
        let mut few = Sample::default();
        (0..=100).for_each(|value| few.see(f64::from(value)));
        let expected = [(5, 5.0), (25, 25.0), (50, 50.0), (75, 75.0), (95, 95.0)];
        assert_eq!(few.quantiles(), expected);
        // What is no number is the largest, and has no place in a histogram.
        few.see(f64::NAN);
        assert_eq!(few.histogram().iter().sum::<u64>(), 101);
        let mut many = Sample::default();
        (0..1_000_000).for_each(|value| many.see(f64::from(value)));
        assert_eq!(many.len(), 4096);
        for (percent, value) in many.quantiles() {
            let exact = f64::from(percent) * 10_000.0;
            assert!((value - exact).abs() < 30_000.0, "{percent} %: {value}");
        }
        let parts = many.histogram();
        assert!(
            parts.iter().all(|part| (150..=360).contains(part)),
            "{parts:?}"
        );
    }

    #[test]
    fn one_value_has_no_histogram() {
        let mut sample = Sample::default();
        assert_eq!(sample.quantiles(), []);
        sample.see(7.0);
        sample.see(7.0);
        assert!(sample.histogram().is_empty());
        sample.see(f64::MAX);
        sample.see(f64::MIN);
        assert!(sample.histogram().is_empty());
    }
}
