//! Compares the bytes of a block with one byte, with the widest instructions that the processor has.

/// Bytes that are compared at a time.
pub(super) const BLOCK: usize = 64;

/// Something that compares many blocks.
pub(super) trait Task {
    /// What comes of it.
    type Output;

    /// Does it. `places` gives a bit for each byte of a block: whether it is the byte asked for.
    ///
    /// To be inlined always, into code for one kind of processor.
    fn run(self, places: impl Fn(&[u8; BLOCK], u8) -> u64 + Copy) -> Self::Output;
}

/// Runs a task as this processor does it fastest.
pub(super) fn run<T: Task>(task: T) -> T::Output {
    #[cfg(target_arch = "x86_64")]
    if let Some(avx2) = pulp::x86::V3::try_new() {
        return avx2.vectorize(
            #[inline(always)]
            || {
                task.run(
                    #[inline(always)]
                    |block, byte| with_avx2(avx2, block, byte),
                )
            },
        );
    }
    run_anywhere(task)
}

/// Runs a task with what all processors have.
pub(super) fn run_anywhere<T: Task>(task: T) -> T::Output {
    task.run(with_words)
}

/// Compares 8 bytes at a time, in ordinary registers.
fn with_words(block: &[u8; BLOCK], byte: u8) -> u64 {
    const LOW_BITS: u64 = u64::from_ne_bytes([0x7f; 8]);
    /// Moves the top bits of 8 bytes, as the lowest bit of each, next to each other into the top byte.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let wanted = u64::from_ne_bytes([byte; 8]);
    let (words, _) = block.as_chunks::<8>();
    let mut places = 0;
    for (number, &word) in words.iter().enumerate() {
        let different = u64::from_le_bytes(word) ^ wanted;
        // The top bit of each byte is set where the byte is zero; no carry leaves a byte.
        let equal = !(((different & LOW_BITS) + LOW_BITS) | different | LOW_BITS);
        places |= ((equal >> 7).wrapping_mul(GATHER) >> 56) << (8 * number);
    }
    places
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn with_avx2(avx2: pulp::x86::V3, block: &[u8; BLOCK], byte: u8) -> u64 {
    let wanted = avx2.avx._mm256_set1_epi8(byte.cast_signed());
    let (halves, _) = block.as_chunks::<{ BLOCK / 2 }>();
    let mut places = 0;
    for (half, &bytes) in halves.iter().enumerate() {
        let equal = avx2.avx2._mm256_cmpeq_epi8(pulp::cast(bytes), wanted);
        let bits = avx2.avx2._mm256_movemask_epi8(equal).cast_unsigned();
        places |= u64::from(bits) << (half * BLOCK / 2);
    }
    places
}
