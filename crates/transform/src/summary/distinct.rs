//! How many distinct values there are, from their hashes: `HyperLogLog` (Flajolet and others, 2007) with the estimator of Ertl, "New
//! cardinality estimation algorithms for `HyperLogLog` sketches" (2017), section 4.

/// Bits of a hash that choose a register. With 2^14 registers, the standard error is 0.8 %.
const BITS: u32 = 14;
const REGISTERS: usize = 1 << BITS;
/// Bits of a hash that are left.
const REST: usize = (u64::BITS - BITS) as usize;

/// A sketch of a set, 16 KiB large.
#[derive(Debug)]
pub(super) struct Distinct(Box<[u8]>);

impl Default for Distinct {
    fn default() -> Self {
        Self(vec![0; REGISTERS].into())
    }
}

impl Distinct {
    #[inline]
    pub(super) fn see(&mut self, hash: u64) {
        let register = &mut self.0[(hash >> (u64::BITS - BITS)) as usize];
        // The place of the first one among the other bits.
        let rank = ((hash << BITS) | 1 << (BITS - 1)).leading_zeros() + 1;
        *register = (*register).max(u8::try_from(rank).unwrap_or(u8::MAX));
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate of a count is not negative, and far below 2^64"
    )]
    pub(super) fn estimate(&self) -> u64 {
        let mut counts = [0.0; REST + 2];
        for &rank in &self.0 {
            counts[usize::from(rank).min(REST + 1)] += 1.0;
        }
        let registers = 2.0_f64.powi(i32::try_from(BITS).unwrap_or_default());
        let mut sum = registers * tau(1.0 - counts[REST + 1] / registers);
        for count in counts[1..=REST].iter().rev() {
            sum = 0.5 * (sum + count);
        }
        sum += registers * sigma(counts[0] / registers);
        (registers * registers / (2.0 * std::f64::consts::LN_2 * sum)).round() as u64
    }
}

fn sigma(x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut x, mut y, mut z) = (x, 1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z <= before {
            return z;
        }
    }
}

fn tau(x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut x, mut y, mut z) = (x, 1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z >= before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Distinct;

    #[test]
    fn estimates_are_within_some_percent() {
        for count in [0_u64, 1, 10, 1000, 20_000, 300_000] {
            let mut distinct = Distinct::default();
            let state = datafusion::common::hash_utils::HLL_RANDOM_STATE;
            for value in (0..count).chain(0..count) {
                distinct.see(std::hash::BuildHasher::hash_one(&state, value));
            }
            let found = distinct.estimate();
            let allowed = count / 40;
            assert!(found.abs_diff(count) <= allowed, "{count}: {found}");
        }
    }
}
