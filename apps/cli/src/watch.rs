//! A question that is repeated: its rows are computed again only when the versions of its files have changed.

use flowlake_data_action::{Answer, ErrorCode, Project};

use crate::{failure::Failure, output};

/// How long metadata of an object is kept.
const FRESH_MS: u64 = 1000;

/// Failures of files that somebody is writing or replacing.
const PASSING: [ErrorCode; 6] = [
    ErrorCode::DataMalformed,
    ErrorCode::DataNoFiles,
    ErrorCode::FileChanged,
    ErrorCode::FileNotFound,
    ErrorCode::S3NoSuchKey,
    ErrorCode::S3ObjectChanged,
];

/// Shortens the cache of metadata, so that a changed object is noticed within a second. A server may be half a minute late.
pub(crate) fn see_changes(project: &mut Project) {
    let known_for = &mut project.config.s3.metadata_ttl_ms;
    *known_for = FRESH_MS.min(*known_for);
}

/// What is known of the last answer.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    tag: Option<String>,
    has_answered: bool,
    /// The failure that was reported last, since the last answer.
    reported: Option<String>,
}

impl Watch {
    /// The tags to send with the next request: files are read when the answer would have another one. An answer that depends on the
    /// time has none.
    pub(crate) fn known(&self) -> Vec<String> {
        self.tag.iter().cloned().collect()
    }

    /// Remembers the answer's tag. Returns whether there are new rows.
    pub(crate) fn is_new(&mut self, answer: &Answer) -> bool {
        self.has_answered = true;
        self.reported = None;
        if !answer.not_modified {
            self.tag.clone_from(&answer.tag);
        }
        !answer.not_modified
    }

    /// Goes on after a failure that may pass, once there was an answer: the files may be whole at the next look. It is reported once.
    ///
    /// # Errors
    /// Any other failure, as it is given.
    pub(crate) fn outlive(&mut self, failure: Failure) -> Result<(), Failure> {
        match &failure {
            Failure::Action(error, _) if self.has_answered && PASSING.contains(&error.code()) => {
                let message = error.message();
                if self.reported.as_deref() != Some(message) {
                    output::note(&format!("{message}; the next look may find it whole"));
                    self.reported = Some(message.to_owned());
                }
                Ok(())
            }
            _ => Err(failure),
        }
    }
}
