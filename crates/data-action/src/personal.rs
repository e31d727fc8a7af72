//! Telephone numbers in identifiers that callers make up: they are personal data, and stand in no record in the clear.

use std::borrow::Cow;

/// Digits that a telephone number has, with its country or without.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// Last digits of a masked number, so that records of one call can be found together.
const SHOWN: usize = 2;

/// A caller's own identifier as it may be recorded: one that looks like a telephone number has stars in place of its digits.
pub(crate) fn masked(id: &str) -> Cow<'_, str> {
    if !looks_like_number(id) {
        return Cow::Borrowed(id);
    }
    let digits = id.bytes().filter(u8::is_ascii_digit).count();
    let mut hidden = digits.saturating_sub(SHOWN);
    let masked = id.chars().map(|character| {
        if character.is_ascii_digit() && hidden > 0 {
            hidden -= 1;
            '*'
        } else {
            character
        }
    });
    Cow::Owned(masked.collect())
}

/// Whether a text is a telephone number in one of its many spellings, also as the address of a call.
fn looks_like_number(id: &str) -> bool {
    let lower = id.to_ascii_lowercase();
    let mut schemes = ["tel:", "sip:", "sips:"].iter();
    let number = schemes.find_map(|scheme| lower.strip_prefix(scheme));
    let number = number.unwrap_or(&lower);
    let number = number.split(['@', ';']).next().unwrap_or_default();
    let number = number.strip_prefix('+').unwrap_or(number);
    let is_part = |character: char| character.is_ascii_digit() || "-./() ".contains(character);
    DIGITS.contains(&number.bytes().filter(u8::is_ascii_digit).count())
        && number.chars().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::masked;

    #[test]
    fn numbers_are_masked_and_identifiers_are_not() {
        for (id, expected) in [
            ("+12025550142", "+*********42"),
            ("12025550142", "*********42"),
            ("+49-30-5550142", "+**-**-*****42"),
            ("(202)555-0142", "(***)***-**42"),
            ("tel:+12025550142;ext=7", "tel:+**********2;ext=7"),
            ("sip:12025550142@example.com", "sip:*********42@example.com"),
        ] {
            assert_eq!(masked(id), expected);
        }
        for id in [
            "0af7651916cd43dd8448eb211c80319c",
            "018f2b1c-7d3e-7000-8000-000000000001",
            "r-1",
            "order-12025550142",
            "123456",
            "2026113012025550142",
        ] {
            assert_eq!(masked(id), id);
        }
    }
}
