//! Compares the bytes of a block, with the widest instructions that the processor has.

/// Bytes that are compared at a time.
pub(crate) const BLOCK: usize = 64;

/// Comparisons of a block's bytes. Each gives a bit for each byte of the block.
pub(crate) trait Compare: Copy {
    /// Which bytes are this byte.
    fn equal(self, block: &[u8; BLOCK], byte: u8) -> u64;

    /// Which bytes are below this one, which is 1 to 128.
    fn below(self, block: &[u8; BLOCK], byte: u8) -> u64;

    /// Which bytes are not ASCII.
    fn beyond_ascii(self, block: &[u8; BLOCK]) -> u64;
}

/// Something that compares many blocks.
pub(crate) trait Task {
    /// What comes of it.
    type Output;

    /// Does it. To be inlined always, into code for one kind of processor.
    fn run(self, compare: impl Compare) -> Self::Output;
}

/// Runs a task as this processor does it fastest.
pub(crate) fn run<T: Task>(task: T) -> T::Output {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = pulp::x86::V3::try_new() {
        return avx2.vectorize(
            #[inline(always)]
            || task.run(Avx2(avx2)),
        );
    }
    run_anywhere(task)
}

/// Runs a task with what all processors have.
pub(crate) fn run_anywhere<T: Task>(task: T) -> T::Output {
    task.run(Words)
}

/// Compares 8 bytes at a time, in ordinary registers.
#[derive(Clone, Copy)]
struct Words;

impl Words {
    const LOW_BITS: u64 = u64::from_ne_bytes([0x7f; 8]);

    /// The places of the bytes whose top bit is set in what `found` makes of 8 bytes.
    fn places(block: &[u8; BLOCK], found: impl Fn(u64) -> u64) -> u64 {
        /// Moves the top bits of 8 bytes, as the lowest bit of each, next to each other into the top byte.
        const GATHER: u64 = 0x0102_0408_1020_4080;
        let (words, _) = block.as_chunks::<8>();
        let mut places = 0;
        for (number, &word) in words.iter().enumerate() {
            let found = found(u64::from_le_bytes(word)) & !Self::LOW_BITS;
            places |= ((found >> 7).wrapping_mul(GATHER) >> 56) << (8 * number);
        }
        places
    }
}

impl Compare for Words {
    fn equal(self, block: &[u8; BLOCK], byte: u8) -> u64 {
        let wanted = u64::from_ne_bytes([byte; 8]);
        Self::places(block, |word| {
            let different = word ^ wanted;
            // The top bit of each byte is set where the byte is zero; no carry leaves a byte.
            !(((different & Self::LOW_BITS) + Self::LOW_BITS) | different)
        })
    }

    fn below(self, block: &[u8; BLOCK], byte: u8) -> u64 {
        let missing = u64::from_ne_bytes([0x80 - byte; 8]);
        Self::places(block, |word| !(((word & Self::LOW_BITS) + missing) | word))
    }

    fn beyond_ascii(self, block: &[u8; BLOCK]) -> u64 {
        Self::places(block, |word| word)
    }
}

#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Avx2(pulp::x86::V3);

#[cfg(target_arch = "x86_64")]
impl Avx2 {
    #[inline(always)]
    fn places(
        self,
        block: &[u8; BLOCK],
        found: impl Fn(std::arch::x86_64::__m256i) -> std::arch::x86_64::__m256i,
    ) -> u64 {
        let (halves, _) = block.as_chunks::<{ BLOCK / 2 }>();
        let mut places = 0;
        for (half, &bytes) in halves.iter().enumerate() {
            let bits = self.0.avx2._mm256_movemask_epi8(found(pulp::cast(bytes)));
            places |= u64::from(bits.cast_unsigned()) << (half * BLOCK / 2);
        }
        places
    }
}

#[cfg(target_arch = "x86_64")]
impl Compare for Avx2 {
    #[inline(always)]
    fn equal(self, block: &[u8; BLOCK], byte: u8) -> u64 {
        let wanted = self.0.avx._mm256_set1_epi8(byte.cast_signed());
        self.places(
            block,
            #[inline(always)]
            |bytes| self.0.avx2._mm256_cmpeq_epi8(bytes, wanted),
        )
    }

    #[inline(always)]
    fn below(self, block: &[u8; BLOCK], byte: u8) -> u64 {
        let most = self.0.avx._mm256_set1_epi8((byte - 1).cast_signed());
        self.places(
            block,
            #[inline(always)]
            |bytes| {
                let larger = self.0.avx2._mm256_max_epu8(bytes, most);
                self.0.avx2._mm256_cmpeq_epi8(larger, most)
            },
        )
    }

    #[inline(always)]
    fn beyond_ascii(self, block: &[u8; BLOCK]) -> u64 {
        self.places(
            block,
            #[inline(always)]
            |bytes| bytes,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Compare, Task, run, run_anywhere};

    struct All<'a>(&'a [u8; BLOCK], u8);

    impl Task for All<'_> {
        type Output = (u64, u64, u64);

        fn run(self, compare: impl Compare) -> Self::Output {
            let Self(block, byte) = self;
            (
                compare.equal(block, byte),
                compare.below(block, byte),
                compare.beyond_ascii(block),
            )
        }
    }

    #[test]
    fn every_byte_is_compared_with_every_byte() {
        for start in (0..=255).step_by(BLOCK) {
            let block: [u8; BLOCK] =
                std::array::from_fn(|place| u8::try_from(start + place).unwrap());
            for byte in 1..=0x80 {
                let places = |wanted: &dyn Fn(u8) -> bool| {
                    let bits = block.iter().enumerate();
                    bits.fold(0, |bits, (place, &byte)| {
                        bits | u64::from(wanted(byte)) << place
                    })
                };
                let expected = (
                    places(&|found| found == byte),
                    places(&|found| found < byte),
                    places(&|found| !found.is_ascii()),
                );
                assert_eq!(run(All(&block, byte)), expected, "{byte}");
                assert_eq!(run_anywhere(All(&block, byte)), expected, "{byte}");
            }
        }
    }
}
