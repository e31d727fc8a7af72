//! Names of versions. A contract cannot change, so a changed one is published as `name@2` beside `name`.

/// The name without its version, and the version; a name without one is version 1.
#[must_use]
pub fn split_version(name: &str) -> (&str, u32) {
    match name.rsplit_once('@') {
        Some((base, version)) => match version.parse::<u32>() {
            Ok(number) if number >= 2 && version == number.to_string() => (base, number),
            _ => (name, 1),
        },
        None => (name, 1),
    }
}

/// The name without its version, and the version that somebody asks for, if one: `name@1` is the first, which is
/// published as `name`.
#[must_use]
pub fn asked_version(name: &str) -> (&str, Option<u32>) {
    match (name.strip_suffix("@1"), split_version(name)) {
        (Some(base), _) => (base, Some(1)),
        (None, (base, 1)) => (base, None),
        (None, (base, version)) => (base, Some(version)),
    }
}

/// The name of a version.
pub(crate) fn versioned(base: &str, version: u32) -> String {
    match version {
        0 | 1 => base.to_owned(),
        _ => format!("{base}@{version}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_whole_number_from_2_after_the_last_at_sign() {
        for (name, expected) in [
            ("a", ("a", 1)),
            ("a@2", ("a", 2)),
            ("a@12", ("a", 12)),
            ("a@b@3", ("a@b", 3)),
            ("a@1", ("a@1", 1)),
            ("a@02", ("a@02", 1)),
            ("a@x", ("a@x", 1)),
        ] {
            assert_eq!(split_version(name), expected, "{name}");
            assert_eq!(versioned(expected.0, expected.1), name);
        }
        for (name, expected) in [
            ("a", ("a", None)),
            ("a@1", ("a", Some(1))),
            ("a@2", ("a", Some(2))),
            ("a@x", ("a@x", None)),
        ] {
            assert_eq!(asked_version(name), expected, "{name}");
        }
    }
}
