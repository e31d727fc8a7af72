//! Names that callers send, as errors, logs and records may show them.

/// The longest name that is shown.
const LONGEST: usize = 64;

/// As many digits may be a telephone number.
const MANY_DIGITS: usize = 6;

/// A name that a caller sent, fit to be shown: its first 64 characters. What a name cannot contain becomes `?`. Of a name with six
/// digits or more, every digit becomes `#`, since a flow may send a telephone number in place of a name.
///
/// ```
/// use flowlake_transform::sent_name;
///
/// assert_eq!(sent_name("queue-2026"), "queue-2026");
/// assert_eq!(sent_name("+49 170 1234567"), "?##?###?#######");
/// ```
#[must_use]
pub fn sent_name(name: &str) -> String {
    let shown = || name.chars().take(LONGEST);
    let is_number = shown().filter(char::is_ascii_digit).count() >= MANY_DIGITS;
    let masked = shown().map(|c| match c {
        '0'..='9' if is_number => '#',
        c if c.is_ascii_alphanumeric() || "-_.".contains(c) => c,
        _ => '?',
    });
    masked.collect()
}
