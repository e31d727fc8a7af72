//! One feature set: whatever command builds the programs or the tests, every dependency has the same features.
//!
//! Otherwise a crate that half of the build depends on is compiled once for each set, and all that depends on it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use xshell::{Shell, cmd};

use crate::workspace::Workspace;

/// The sets of features that each package is built with, by name and version. Build scripts and macros may add a second set.
type Features = BTreeMap<String, BTreeSet<String>>;

/// The dependencies that `cargo run` builds with other features than the tests do.
///
/// Without `--package`, cargo resolves features for all default members, whichever program is asked for.
pub(super) fn problems(workspace: &Workspace) -> Result<Vec<String>> {
    let shell = &workspace.shell;
    let run = features(shell, &["--edges", "normal,build"])?;
    let tests = features(shell, &["--workspace", "--edges", "normal,build,dev"])?;
    let problems = differences(&run, &tests).into_iter().map(|difference| {
        format!(
            "apps/server/Cargo.toml: `cargo run` builds {difference}; name the missing features under cfg(flowlake_shared_build)"
        )
    });
    Ok(problems.collect())
}

fn features(shell: &Shell, selection: &[&str]) -> Result<Features> {
    let format = "{p}|{f}";
    let tree = cmd!(
        shell,
        "cargo tree --locked --prefix none --format {format} {selection...}"
    )
    .quiet()
    .read()?;
    Ok(parse(&tree))
}

fn parse(tree: &str) -> Features {
    let mut all = Features::new();
    for line in tree.lines() {
        let Some((package, features)) = line.trim_end_matches(" (*)").split_once('|') else {
            continue;
        };
        let mut words = package.split(' ');
        let (name, version) = (words.next(), words.next());
        let key = [name, version].into_iter().flatten().collect::<Vec<_>>();
        all.entry(key.join(" "))
            .or_default()
            .insert(features.to_owned());
    }
    all
}

/// Each package of `built` that has a set of features which it does not have in `tests`.
fn differences(built: &Features, tests: &Features) -> Vec<String> {
    let none = BTreeSet::new();
    let mut differences = Vec::new();
    for (package, sets) in built {
        let known = tests.get(package).unwrap_or(&none);
        for set in sets.difference(known) {
            let known = known.iter().map(|set| format!("[{set}]"));
            let known: Vec<_> = known.collect();
            differences.push(format!(
                "{package} with the features [{set}], the tests with {}",
                known.join(" and ")
            ));
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_that_only_the_tests_have_is_found() {
        let tests = parse("a v1.0.0|default,std\nb v2.1.0 (proc-macro)|\na v1.0.0|default (*)\n");
        assert_eq!(tests["a v1.0.0"].len(), 2);
        let same = parse("a v1.0.0|default\nb v2.1.0 (proc-macro)| (*)\n");
        assert_eq!(differences(&same, &tests), Vec::<String>::new());
        let other = parse("a v1.0.0|\n");
        let found = differences(&other, &tests);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with("a v1.0.0 with the features []"),
            "{found:?}"
        );
    }
}
