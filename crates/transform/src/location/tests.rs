//! Locations, and the comparison of their patterns with every short key.

use super::{KeyPattern, Location};

fn at(uri: &str) -> Location {
    Location::parse(uri).unwrap()
}

#[test]
fn one_key_is_itself_and_is_never_listed() {
    let one = at("s3://lake/exports/K\u{f6}ln a~b%20#\\.csv");
    assert_eq!(one.key(), Some("exports/K\u{f6}ln a~b%20#\\.csv"));
    assert_eq!(one.list_prefix(), None);
    assert_eq!(one.folder(), "exports/");
    assert!(one.covers("exports/K\u{f6}ln a~b%20#\\.csv"));
    assert!(!one.covers("exports/K\u{f6}ln a~b%20#\\.csv/part-0"));
    assert_eq!(one.to_string(), "s3://lake/exports/K\u{f6}ln a~b%20#\\.csv");
}

#[test]
fn a_prefix_keeps_its_slash() {
    let calls = at("s3://lake/calls/");
    assert_eq!(calls.key(), None);
    assert_eq!(calls.list_prefix(), Some("calls/"));
    assert_eq!(calls.folder(), "calls/");
    for (key, covered) in [
        ("calls/a.csv", true),
        ("calls/x/y/z", true),
        ("calls/", true),
        ("calls", false),
        ("calls-private/a.csv", false),
        ("old/calls/a.csv", false),
    ] {
        assert_eq!(calls.covers(key), covered, "{key}");
    }
    assert_eq!(calls.as_wildcards(), "calls/*");
    assert_eq!(calls.to_string(), "s3://lake/calls/");
}

#[test]
fn a_glob_matches_the_key_as_it_is_written() {
    for (uri, prefix, folder, inside, outside) in [
        (
            "s3://lake/exports/part-*.csv",
            "exports/part-",
            "exports/",
            &[
                "exports/part-0.csv",
                "exports/part-a=b.csv",
                "exports/part-x/y.csv",
            ][..],
            &["exports/team=hr/part-0.csv", "exports/part-0.csv.gz"][..],
        ),
        (
            "s3://lake/exports/*.csv",
            "exports/",
            "exports/",
            &["exports/a.csv", "exports/team=hr/part-0.csv"],
            &["exports/a.CSV", "export/a.csv"],
        ),
        (
            "s3://lake/calls/date=*/part-?.csv",
            "calls/date=",
            "calls/",
            &["calls/date=2026-01-01/part-7.csv"],
            &["calls/part-7.csv", "calls/date=x/part-77.csv"],
        ),
        (
            "s3://lake/a[!0-9]b[]x]",
            "a",
            "",
            &["axb]", "a-bx"],
            &["a1bx", "axb["],
        ),
        ("s3://lake/*/", "", "", &["a/b"], &["a"]),
    ] {
        let glob = at(uri);
        let parts = (glob.key(), glob.list_prefix(), glob.folder());
        assert_eq!(parts, (None, Some(prefix), folder), "{uri}");
        assert!(inside.iter().all(|key| glob.covers(key)), "{uri}");
        assert!(!outside.iter().any(|key| glob.covers(key)), "{uri}");
    }
    for wrong in [
        "s3://lake/a[",
        "s3://lake/a[]",
        "s3://lake/[z-a]",
        "s3://lake/a//b/*",
        "s3://lake/../*",
    ] {
        assert!(Location::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_directory_bucket_is_listed_by_folders() {
    let glob = at("s3://lake--use1-az4--x-s3/a/part-*");
    assert_eq!(glob.list_prefix(), Some("a/"));
    assert!(glob.covers("a/part-0") && !glob.covers("a/x"));
}

#[test]
fn wildcards_for_iam_escape_what_iam_would_expand() {
    assert_eq!(at("s3://lake/a$b/*-[0-9]").as_wildcards(), "a${$}b/*-?");
    assert_eq!(KeyPattern::literal("a*b?").as_wildcards(), "a${*}b${?}");
}

#[test]
fn locations_are_compared_with_policies_as_sets() {
    for (uri, pattern, within, meets) in [
        ("s3://lake/calls/", "calls/*", true, true),
        ("s3://lake/calls/", "calls/*.csv", false, true),
        ("s3://lake/exports/*.csv", "exports/*.csv", true, true),
        ("s3://lake/exports/2026-*.csv", "exports/*.csv", true, true),
        ("s3://lake/exports/*.csv", "exports/2026-*", false, true),
        ("s3://lake/exports/pay/", "exports/payroll/*", false, false),
        ("s3://lake/exports/", "exports/payroll/*", false, true),
        (
            "s3://lake/exports/part-*.csv",
            "exports/team=hr/*",
            false,
            false,
        ),
        // In a policy, `?` is a literal character.
        ("s3://lake/exports/[ab].csv", "exports/?.csv", false, false),
        ("s3://lake/x.csv", "*", true, true),
    ] {
        let pattern = KeyPattern::policy(pattern);
        let location = at(uri);
        let found = (location.is_within(&pattern), location.meets(&pattern));
        assert_eq!(found, (within, meets), "{uri} {pattern:?}");
    }
}

/// Small numbers that look random and are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn text(&mut self, parts: &[&str], most: usize) -> String {
        let length = self.below(most + 1);
        (0..length)
            .map(|_| parts[self.below(parts.len())])
            .collect()
    }
}

/// All texts of `length` characters over an alphabet.
fn words(alphabet: &str, length: usize) -> Vec<String> {
    (0..length).fold(vec![String::new()], |words, _| {
        let longer = |word: String| alphabet.chars().map(move |c| format!("{word}{c}"));
        words.into_iter().flat_map(longer).collect()
    })
}

/// A matcher with no line in common with the one under test.
fn like(glob: &[char], text: &[char]) -> bool {
    match glob {
        [] => text.is_empty(),
        ['*', rest @ ..] => (0..=text.len()).any(|skipped| like(rest, &text[skipped..])),
        ['[', '!', 'a', ']', rest @ ..] => {
            matches!(text, [c, ..] if *c != 'a') && like(rest, &text[1..])
        }
        ['[', 'a', 'b', ']', rest @ ..] => {
            matches!(text, ['a' | 'b', ..]) && like(rest, &text[1..])
        }
        [own, rest @ ..] => text.first() == Some(own) && like(rest, &text[1..]),
    }
}

/// Every text of up to six characters over a small alphabet is tried, so a wrong answer about such small patterns has a
/// witness among them.
#[test]
fn comparisons_agree_with_every_short_key() {
    let texts: Vec<String> = (0..=6).flat_map(|length| words("ab/c", length)).collect();
    let parts = ["a", "b", "/", "*", "[ab]", "[!a]"];
    for seed in 0..400_u64 {
        let mut dice = Dice(seed);
        let (glob, policy) = (dice.text(&parts, 5), dice.text(&parts[..4], 5));
        let mut own = KeyPattern::default();
        own.push_glob(&glob).unwrap();
        let its = KeyPattern::policy(&policy);
        let (mut shared, mut only_own) = (0, 0);
        for text in texts.iter().filter(|text| own.matches(text)) {
            if its.matches(text) {
                shared += 1;
            } else {
                only_own += 1;
            }
        }
        assert_eq!(
            own.is_within(&its),
            only_own == 0,
            "{seed}: {glob} {policy}"
        );
        // Two patterns may meet only in a longer text, so this is asserted in one direction.
        assert!(own.meets(&its) || shared == 0, "{seed}: {glob} {policy}");
    }
}

#[test]
fn matching_agrees_with_a_recursive_matcher() {
    let texts: Vec<String> = (0..=4).flat_map(|length| words("ab/c", length)).collect();
    for seed in 0..200_u64 {
        let glob = Dice(seed).text(&["a", "b", "/", "*", "[ab]", "[!a]"], 5);
        let mut pattern = KeyPattern::default();
        pattern.push_glob(&glob).unwrap();
        let characters: Vec<char> = glob.chars().collect();
        for text in &texts {
            let expected = like(&characters, &text.chars().collect::<Vec<_>>());
            assert_eq!(pattern.matches(text), expected, "{glob} {text}");
        }
    }
}
