//! Release notes: what the CHANGELOGs say since the last release, by what it means to users.

use std::{collections::BTreeMap, fmt::Write};

/// The headings of a CHANGELOG, what asks most of users first, with what the notes call them.
const IMPACT: [(&str, &str); 6] = [
    ("Removed", "Gone: stop using it before you update"),
    ("Changed", "Changed: read before you update"),
    ("Security", "Security: update soon"),
    ("Deprecated", "Going away later"),
    ("Fixed", "Fixed"),
    ("Added", "New"),
];

/// The notes of the parts `[Unreleased]` of some CHANGELOGs, each with the name of its crate.
pub(super) fn notes(changelogs: &[(String, String)]) -> String {
    let mut by_heading: BTreeMap<&str, Vec<(&str, String)>> = BTreeMap::new();
    for (name, changelog) in changelogs {
        for (heading, entries) in unreleased(changelog) {
            by_heading.entry(heading).or_default().push((name, entries));
        }
    }
    let known = IMPACT.into_iter().filter_map(|(heading, title)| {
        let entries = by_heading.remove(heading)?;
        Some((title, entries))
    });
    let mut parts: Vec<_> = known.collect();
    // What has another heading is not lost.
    parts.extend(by_heading);
    let mut notes = String::new();
    for (title, entries) in parts {
        let _ = writeln!(notes, "## {title}\n");
        for (name, entries) in entries {
            let _ = writeln!(notes, "### {name}\n\n{entries}");
        }
    }
    notes
}

/// The headings of `[Unreleased]` with their entries.
fn unreleased(changelog: &str) -> Vec<(&str, String)> {
    let parts = changelog.split_once("## [Unreleased]");
    let part = parts.map_or("", |(_, rest)| rest);
    let part = part.split("\n## ").next().unwrap_or_default();
    let headings = part.split("\n### ").skip(1);
    headings
        .filter_map(|heading| {
            let (title, entries) = heading.split_once('\n')?;
            Some((title.trim(), format!("{}\n", entries.trim())))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asks_most_of_users_comes_first() {
        let changelog = |text: &str| text.to_owned();
        let cli = changelog(
            "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A command.\n\n### Changed\n\n- A flag.\n\n## [0.1.0]\n\n### Added\n\n- Old.\n",
        );
        let crate_ = changelog(
            "# Changelog\n\n## [Unreleased]\n\n### Changed\n\n- A type.\n\n### Kept\n\n- All.\n",
        );
        let none = changelog("# Changelog\n\n## [Unreleased]\n");
        let notes = notes(&[
            ("flowlake-cli".to_owned(), cli),
            ("flowlake-x".to_owned(), crate_),
            ("flowlake-y".to_owned(), none),
        ]);
        assert_eq!(
            notes,
            "## Changed: read before you update\n\n### flowlake-cli\n\n- A flag.\n\n### flowlake-x\n\n- A type.\n\n## New\n\n### flowlake-cli\n\n- A command.\n\n## Kept\n\n### flowlake-x\n\n- All.\n\n"
        );
    }
}
