//! Which tests need more than Rust and a C compiler, and are therefore run by `e2e` instead of `test`.

use anyhow::{Result, bail};
use cargo_metadata::TargetKind;
use xshell::cmd;

use crate::workspace::{E2E_PACKAGE, Workspace};

/// Test files of crates that need something from outside, with what it is.
const OUTSIDE: &[(&str, Need)] = &[
    ("exposition", Need::Promtool),
    ("full_disk", Need::Root),
    ("metrics", Need::Promtool),
];

/// What a test needs.
#[derive(Debug, Clone, Copy)]
enum Need {
    /// Prometheus's checker of its text format.
    Promtool,
    /// The right to mount a small disk that can be full.
    Root,
}

/// The nextest expression of the end-to-end tests and of these test files.
pub(crate) fn nextest_set<'a>(files: impl IntoIterator<Item = &'a str>) -> String {
    let files = files.into_iter().map(|file| format!(" | binary(={file})"));
    format!("package({E2E_PACKAGE}){}", files.collect::<String>())
}

/// The integration tests that need nothing, by file; for `cargo test`, which has no expressions.
pub(crate) fn inside_test_files(workspace: &Workspace) -> Vec<&str> {
    let members = workspace
        .members()
        .into_iter()
        .filter(|package| package.name.as_str() != E2E_PACKAGE);
    let targets = members.flat_map(|package| &package.targets);
    let tests = targets.filter(|target| target.kind.contains(&TargetKind::Test));
    let mut files: Vec<_> = tests.map(|target| target.name.as_str()).collect();
    files.retain(|file| OUTSIDE.iter().all(|(outside, _)| outside != file));
    files.sort_unstable();
    files.dedup();
    files
}

/// The files that need something.
pub(crate) fn outside_test_files() -> impl Iterator<Item = &'static str> {
    OUTSIDE.iter().map(|(file, _)| *file)
}

/// The files whose needs are met here; says which are not.
///
/// # Errors
/// With `strict`, when a need is not met.
pub(crate) fn met_test_files(workspace: &Workspace, strict: bool) -> Result<Vec<&'static str>> {
    let mut met = Vec::new();
    for (file, need) in OUTSIDE {
        match need.missing(workspace) {
            None => met.push(*file),
            Some(missing) if strict => bail!("the tests of {file} need {missing}"),
            Some(missing) => println!("--- tests of {file}: NOT RUN, because they need {missing}"),
        }
    }
    Ok(met)
}

impl Need {
    /// What is missing here, if anything.
    fn missing(self, workspace: &Workspace) -> Option<&'static str> {
        let shell = &workspace.shell;
        match self {
            Self::Promtool => {
                let found = cmd!(shell, "promtool --version")
                    .quiet()
                    .ignore_stdout()
                    .ignore_stderr()
                    .run();
                found
                    .is_err()
                    .then_some("promtool; on Debian: apt-get install prometheus")
            }
            Self::Root => {
                let user = cmd!(shell, "id -u").quiet().read();
                (!user.is_ok_and(|user| user == "0"))
                    .then_some("root, to mount a small disk that can be full")
            }
        }
    }
}
