//! A question that is repeated: its rows are computed again only when the versions of its files have changed.

use flowlake_data_action::{Answer, Project};

/// How long metadata of an object is kept.
const FRESH_MS: u64 = 1000;

/// Shortens the cache of metadata, so that a changed object is noticed within a second. A server may be half a minute late.
pub(crate) fn see_changes(project: &mut Project) {
    let known_for = &mut project.config.s3.metadata_ttl_ms;
    *known_for = FRESH_MS.min(*known_for);
}

/// What is known of the last answer.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    tag: Option<String>,
}

impl Watch {
    /// The tags to send with the next request: files are read when the answer would have another one. An answer that depends on the
    /// time has none.
    pub(crate) fn known(&self) -> Vec<String> {
        self.tag.iter().cloned().collect()
    }

    /// Remembers the answer's tag. Returns whether there are new rows.
    pub(crate) fn is_new(&mut self, answer: &Answer) -> bool {
        if !answer.not_modified {
            self.tag.clone_from(&answer.tag);
        }
        !answer.not_modified
    }
}
