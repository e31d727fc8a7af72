//! Where a command finds its configuration, and what it keeps where there is none.

use std::path::{Path, PathBuf};

use flowlake_data_action::{
    ActionError, CONFIG_FILE, Environment, ErrorCode, ProcessEnvironment, Project,
};

/// Whether a configuration is named, or lies in the present folder.
pub(crate) fn has_config(config: &Path) -> bool {
    config != Path::new(".") || config.join(CONFIG_FILE).exists()
}

/// What is there without a configuration.
pub(crate) fn without_config() -> Result<Project, ActionError> {
    Ok(Project::without_files(&state_folder()?))
}

/// Where programs keep what is not to be lost (XDG Base Directory Specification).
pub(crate) fn state_folder() -> Result<PathBuf, ActionError> {
    let named = |name: &str| {
        let value = ProcessEnvironment.get(name)?;
        Some(PathBuf::from(value)).filter(|path| path.is_absolute())
    };
    let state = named("XDG_STATE_HOME").or_else(|| Some(named("HOME")?.join(".local/state")));
    let state = state.ok_or_else(|| {
        ActionError::new(
            ErrorCode::ConfigInvalid,
            "there is no folder for the audit log: neither XDG_STATE_HOME nor HOME is set",
            "Set one of them, or name a configuration with --config.",
        )
    })?;
    Ok(state.join("flowlake"))
}
