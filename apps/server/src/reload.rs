//! Taking another configuration while requests go on: all of it, or nothing.

use std::{
    fs,
    path::{Path, PathBuf},
};

use flowlake_data_action::{ActionError, CONFIG_FILE, Change, Environment, Project, action_files};
use sha2::{Digest, Sha256};

use crate::{RunningServer, live::Live};

impl RunningServer {
    /// Takes the actions, the policy, the budgets, the callers and the bounds of `project`. Requests that run keep what they
    /// began with. What takes effect at the next start only is logged, and counted in `/metrics`.
    ///
    /// # Errors
    /// Those that a server with this configuration would not start for; everything stays as it is, and the reason is logged, and
    /// counted in `/metrics`.
    pub fn reload(
        &self,
        project: Result<Project, ActionError>,
        environment: &dyn Environment,
    ) -> Result<(), ActionError> {
        let live = self.live();
        project
            .and_then(|project| replace(live, project, environment))
            .inspect_err(|error| {
                tracing::error!(
                    code = error.code().as_str(),
                    advice = error.advice(),
                    "the configuration cannot be taken, and the one of before stays: {error}"
                );
                live.note_failure(error.message().to_owned());
            })
    }
}

fn replace(
    live: &Live,
    project: Project,
    environment: &dyn Environment,
) -> Result<(), ActionError> {
    let old = live.state();
    let changes = old.pipeline.changes(&project);
    let settings = project.config.server.clone();
    for (name, error) in &project.broken {
        tracing::warn!(action = %name, code = %error.code(), "an action cannot be read: {error}");
    }
    let broken_actions = settings.start_with_broken_actions;
    let documents = project.documents.clone();
    let pipeline = old.pipeline.reloaded(project, broken_actions)?;
    let callers = old.callers.reloaded(&settings, environment);
    let callers = callers.map_err(|error| documents.locate(error))?;
    let renewed = old.callers.renewed(&callers);
    // Nothing can fail any more.
    let new = old.reloaded(pipeline, callers, &settings);
    let pending = changes.iter().filter(|change| change.at_start);
    let pending = pending.map(|change| change.key.clone()).collect();
    for change in &changes {
        log(change);
    }
    for key in &renewed {
        tracing::info!(key, "configuration: what it names has changed");
    }
    new.load.resize(&settings);
    new.connections.set_limits(&settings);
    let successor = new.pipeline.clone();
    live.replace(new, pending);
    old.pipeline.retire(&successor);
    let changed = changes.iter().filter(|change| !change.at_start).count() + renewed.len();
    tracing::info!(changed, "the configuration was reloaded");
    Ok(())
}

fn log(change: &Change) {
    let Change {
        key,
        old,
        new,
        at_start,
    } = change;
    if *at_start {
        tracing::warn!(
            key,
            old,
            new,
            "configuration: changed, and takes effect at the next start only"
        );
    } else {
        tracing::info!(key, old, new, "configuration: changed");
    }
}

/// Finds out when the files of a configuration have changed.
#[derive(Debug)]
pub struct ConfigFiles {
    path: PathBuf,
    /// Files that the configuration names, whose content is a part of it.
    named: Vec<PathBuf>,
    /// What was taken or refused last.
    known: [u8; 32],
    /// What the last look found.
    seen: [u8; 32],
}

impl ConfigFiles {
    /// The configuration at `path`, a folder with `flowlake.toml` or the file itself, as it is now.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        let known = digest(path, &[]);
        Self {
            path: path.to_owned(),
            named: Vec::new(),
            known,
            seen: known,
        }
    }

    /// Whether the files have changed and then been the same at two looks: nobody is writing them at this moment. A change is
    /// reported once.
    pub fn look(&mut self) -> bool {
        let found = digest(&self.path, &self.named);
        let is_settled = found == self.seen;
        self.seen = found;
        let is_new = is_settled && found != self.known;
        if is_new {
            self.known = found;
        }
        is_new
    }

    /// Watches the files that the configuration names, too: those of secrets and of issuers' keys.
    pub fn watch<'a>(&mut self, named: impl Iterator<Item = &'a Path>) {
        let named: Vec<_> = named.map(Path::to_owned).collect();
        if named != self.named {
            self.named = named;
            self.taken();
        }
    }

    /// Notes that the files are taken as they are now.
    pub fn taken(&mut self) {
        self.known = digest(&self.path, &self.named);
        self.seen = self.known;
    }
}

/// The SHA-256 of the files; what cannot be read counts as nothing.
fn digest(path: &Path, named: &[PathBuf]) -> [u8; 32] {
    let file = if path.is_dir() {
        path.join(CONFIG_FILE)
    } else {
        path.to_owned()
    };
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut files = vec![file.clone()];
    files.extend(action_files(folder).into_iter().flatten());
    files.extend_from_slice(named);
    files.sort();
    let mut digest = Sha256::new();
    for file in files {
        let content = fs::read(&file).unwrap_or_default();
        digest.update(file.as_os_str().as_encoded_bytes());
        digest.update((content.len() as u64).to_le_bytes());
        digest.update(content);
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::ConfigFiles;

    #[test]
    fn a_change_is_reported_once_and_not_while_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let actions = folder.path().join("actions");
        std::fs::create_dir(&actions).unwrap();
        std::fs::write(folder.path().join("flowlake.toml"), "").unwrap();
        let mut files = ConfigFiles::new(folder.path());
        assert!(!files.look());
        std::fs::write(actions.join("a.toml"), "name = ").unwrap();
        assert!(!files.look());
        std::fs::write(actions.join("a.toml"), "name = \"a\"").unwrap();
        assert!(!files.look());
        assert!(files.look() && !files.look());
        std::fs::write(actions.join("notes.txt"), "no action").unwrap();
        std::fs::write(actions.join("a.test.toml"), "[[case]]").unwrap();
        assert!(!files.look() && !files.look());
        std::fs::remove_file(actions.join("a.toml")).unwrap();
        let secret = folder.path().join("secret");
        files.taken();
        files.watch([secret.as_path()].into_iter());
        assert!(!files.look() && !files.look());
        std::fs::write(&secret, "what the key is now").unwrap();
        assert!(!files.look() && files.look() && !files.look());
        files.watch(std::iter::empty());
        std::fs::write(&secret, "and what it is then").unwrap();
        assert!(!files.look() && !files.look());
    }
}
