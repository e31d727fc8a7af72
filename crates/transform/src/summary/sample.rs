//! A random sample of numbers, of which every value is as likely to be a part (Vitter, "Random sampling with a reservoir", 1985).

/// Values of a sample; a quantile of it is off by about one percent of the values.
const SIZE: usize = 4096;
/// Parts of a histogram.
const PARTS: usize = 16;
/// Quantiles, in percent.
const PERCENTS: [u8; 5] = [5, 25, 50, 75, 95];

#[derive(Debug, Default)]
pub(super) struct Sample {
    values: Vec<f64>,
    seen: u64,
    state: u64,
}

impl Sample {
    /// Takes a value in; what is no number has no place in an order.
    #[inline]
    pub(super) fn see(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
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
    pub(super) fn quantiles(&mut self) -> Vec<(u8, f64)> {
        self.values.sort_unstable_by(f64::total_cmp);
        let Some(last) = self.values.len().checked_sub(1) else {
            return Vec::new();
        };
        let at = |percent: u8| (usize::from(percent) * last + 50) / 100;
        PERCENTS
            .map(|percent| (percent, self.values[at(percent)]))
            .into()
    }

    /// How many values lie in each of equally wide parts from the least to the most.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the place of a part is between 0 and the number of parts"
    )]
    pub(super) fn histogram(&self) -> Vec<u64> {
        let least = self.values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.values.iter().copied().fold(-f64::INFINITY, f64::max);
        let width = (most - least) / PARTS as f64;
        // One value has no range, and a range may be beyond what a float can hold.
        if !(width > 0.0 && width.is_finite()) {
            return Vec::new();
        }
        let mut parts = vec![0; PARTS];
        for value in &self.values {
            let part = ((value - least) / width) as usize;
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
        few.see(f64::NAN);
        let expected = [(5, 5.0), (25, 25.0), (50, 50.0), (75, 75.0), (95, 95.0)];
        assert_eq!(few.quantiles(), expected);
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
