//! Which tests need more than Rust and a C compiler, and are therefore run by `e2e` instead of `test`.
//!
//! Beside the package of the end-to-end tests these are single tests of the crates. They are known by the name of the module
//! that they are in, such as `needs_root`, because a crate's tests are one program.

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

use crate::workspace::{E2E_PACKAGE, Workspace};

/// Modules of such tests, with what they need.
const OUTSIDE: &[(&str, Need)] = &[
    ("needs_chromium", Need::Chromium),
    ("needs_promtool", Need::Promtool),
    ("needs_root", Need::Root),
];

/// What a test needs.
#[derive(Debug, Clone, Copy)]
enum Need {
    /// A browser that the dashboard is opened in.
    Chromium,
    /// Prometheus's checker of its text format.
    Promtool,
    /// The right to mount a small disk that can be full.
    Root,
}

/// The nextest expression of the end-to-end tests and of the tests in these modules.
pub(crate) fn nextest_set<'a>(modules: impl IntoIterator<Item = &'a str>) -> String {
    let modules = modules
        .into_iter()
        .map(|module| format!(" | test(/(^|::){module}::/)"));
    let all: Vec<_> = outside_modules().collect();
    let all = all.join("|");
    let free = format!("(package({E2E_PACKAGE}) - test(/(^|::)({all})::/))");
    format!("{free}{}", modules.collect::<String>())
}

/// The modules of tests that need something.
pub(crate) fn outside_modules() -> impl Iterator<Item = &'static str> {
    OUTSIDE.iter().map(|(module, _)| *module)
}

/// The modules whose needs are met here; says which are not.
///
/// # Errors
/// With `strict`, when a need is not met.
pub(crate) fn met_modules(workspace: &Workspace, strict: bool) -> Result<Vec<&'static str>> {
    let mut met = Vec::new();
    for (module, need) in OUTSIDE {
        match need.missing(workspace) {
            None => met.push(*module),
            Some(missing) if strict => bail!("the tests in modules {module} need {missing}"),
            Some(missing) => {
                println!("--- tests in modules {module}: NOT RUN, because they need {missing}");
            }
        }
    }
    Ok(met)
}

impl Need {
    /// What is missing here, if anything.
    fn missing(self, workspace: &Workspace) -> Option<&'static str> {
        let shell = &workspace.shell;
        match self {
            Self::Chromium => (!is_installed(shell, "chromium"))
                .then_some("chromium; on Debian: apt-get install chromium"),
            Self::Promtool => (!is_installed(shell, "promtool"))
                .then_some("promtool; on Debian: apt-get install prometheus"),
            Self::Root => {
                let user = cmd!(shell, "id -u").quiet().read();
                (!user.is_ok_and(|user| user == "0"))
                    .then_some("root, to mount a small disk that can be full")
            }
        }
    }
}

/// Whether a program answers when it is asked for its version.
fn is_installed(shell: &Shell, program: &str) -> bool {
    let asked = cmd!(shell, "{program} --version")
        .quiet()
        .ignore_stdout()
        .ignore_stderr();
    asked.run().is_ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::tidy::sources;

    /// A name that is in no source is a test that `test` runs where its need is not met.
    #[test]
    fn the_names_of_the_modules_are_those_of_the_sources() {
        let workspace = Workspace::load().unwrap();
        let files = sources::rust_files(workspace.root()).unwrap();
        let lines = files.iter().flat_map(|file| file.text.lines());
        let named: BTreeSet<_> = lines
            .filter_map(|line| line.trim_start().strip_prefix("mod "))
            .filter(|rest| rest.starts_with("needs_"))
            .map(|rest| rest.trim_end_matches([' ', '{', ';']))
            .collect();
        assert_eq!(named, outside_modules().collect());
    }

    #[test]
    fn a_module_is_meant_wherever_it_is() {
        assert_eq!(
            nextest_set(["needs_root"]),
            "(package(flowlake-e2e) - test(/(^|::)(needs_chromium|needs_promtool|needs_root)::/)) | test(/(^|::)needs_root::/)"
        );
    }
}
