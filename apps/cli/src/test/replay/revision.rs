//! The action files of a git revision.

use std::{collections::BTreeMap, path::Path, process::Command};

use flowlake_data_action::{ActionDefinition, ActionError, ErrorCode, TEST_SUFFIX};

/// The actions that a revision has beside the configuration. One that cannot be read is an error.
pub(super) fn actions(
    project: &Path,
    revision: &str,
) -> Result<BTreeMap<String, ActionDefinition>, ActionError> {
    // Names, one a line; git would quote those with other characters, and no action file needs them.
    let place = format!("{revision}:./actions");
    let listed = git(project, revision, &["ls-tree", "--name-only", &place])?;
    let mut actions = BTreeMap::new();
    let names = listed.lines();
    let names = names.filter(|name| name.ends_with(".toml") && !name.ends_with(TEST_SUFFIX));
    for name in names {
        let object = format!("{revision}:./actions/{name}");
        let text = git(project, revision, &["show", &object])?;
        let definition = ActionDefinition::parse(Path::new(&object), &text)?;
        actions.insert(definition.name.clone(), definition);
    }
    Ok(actions)
}

fn git(project: &Path, revision: &str, arguments: &[&str]) -> Result<String, ActionError> {
    let failed = |what: &str| {
        ActionError::new(
            ErrorCode::ConfigInvalid,
            format!("the actions of `{revision}` cannot be read: {what}"),
            "Name a revision of the project's git repository that has its actions: --against REV.",
        )
    };
    // What begins with a dash would be an option.
    if revision.starts_with('-') {
        return Err(failed("no revision is called so"));
    }
    let folder = match project.as_os_str().is_empty() {
        true => Path::new("."),
        false => project,
    };
    let ended = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .output()
        .map_err(|error| failed(&format!("git cannot be run: {error}")))?;
    match ended.status.success() {
        true => String::from_utf8(ended.stdout).map_err(|_| failed("a file is no UTF-8")),
        false => {
            let told = String::from_utf8_lossy(&ended.stderr);
            Err(failed(told.trim()))
        }
    }
}
