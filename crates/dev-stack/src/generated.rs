//! How many generated cases a test runs.

/// Says how many generated cases the tests run: `whole`, which `cargo xtask ci` sets, or one in [`EVERYDAY`] when it is not set.
const VARIABLE: &str = "FLOWLAKE_GENERATED";

/// The everyday run has one in this many cases.
const EVERYDAY: u64 = 40;

/// Few enough cases to stay quick, and enough that one of them is not the first, which some tests leave undamaged.
const FEWEST: u64 = 2;

/// The number of generated cases that a test runs: all of `whole` where the environment sets `FLOWLAKE_GENERATED=whole`, otherwise
/// one in forty, and at least two.
///
/// # Panics
///
/// Where the variable is set to anything else.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "only who starts the tests knows how long they may take"
)]
pub fn generated_cases(whole: u64) -> u64 {
    match std::env::var(VARIABLE).as_deref() {
        Ok("whole") => whole,
        Err(_) => whole.div_ceil(EVERYDAY).max(FEWEST),
        Ok(other) => panic!("{VARIABLE} is `{other}`; it can only be `whole`"),
    }
}
