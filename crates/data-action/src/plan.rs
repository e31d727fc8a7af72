//! What a read takes: the objects are found once, checked by the policy once more, and handed to the engine as they are.

mod find;

use flowlake_transform::{Files, Prepared};

pub(crate) use self::find::{Found, find};
use crate::ActionError;

/// What an attempt is going to read.
#[derive(Debug)]
pub(crate) struct ReadPlan {
    /// The files of each table.
    pub(crate) files: Files,
    /// The same objects, as their price needs them.
    pub(crate) objects: Vec<PlannedObject>,
    /// LIST requests that finding them took.
    pub(crate) list_requests: u64,
}

/// One object that is going to be read.
#[derive(Debug)]
pub(crate) struct PlannedObject {
    pub(crate) size: u64,
    pub(crate) storage_class: Option<String>,
}

impl ReadPlan {
    /// The read of what was found at each location of a query.
    pub(crate) fn try_new(prepared: &Prepared, found: Vec<Found>) -> Result<Self, ActionError> {
        let (mut files, mut objects, mut list_requests) = (Vec::new(), Vec::new(), 0);
        for found in found {
            files.push(found.files);
            objects.extend(found.objects);
            list_requests += found.list_requests;
        }
        Ok(Self {
            files: Files::try_new(prepared, files)?,
            objects,
            list_requests,
        })
    }
}
