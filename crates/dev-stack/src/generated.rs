//! How many generated cases a test runs.

/// Says how many generated cases the tests run: `whole`, which `cargo xtask ci` sets, or a tenth when it is not set.
const VARIABLE: &str = "FLOWLAKE_GENERATED";

/// The number of generated cases that a test runs: all of `whole` where the environment sets `FLOWLAKE_GENERATED=whole`, otherwise
/// a tenth of them.
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
        Err(_) => whole.div_ceil(10),
        Ok(other) => panic!("{VARIABLE} is `{other}`; it can only be `whole`"),
    }
}
